# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs, started and ended: a backend (trireme-stub, or a private PostgreSQL) and a pooler before it. All on
free ports of 127.0.0.1, all files in one temporary directory, every process ended by its id."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from experiment import merge  # noqa: E402
from machine import free_port, ordinary_user, postgres_program  # noqa: E402


PASSWORD = "lab"  # of everybody, where passwords are asked for; on loopback, for the time of a run


class CannotRun(Exception):
    """A run cannot be made: skip it and say why."""


class CannotStart(CannotRun):
    """This pooler is not there, or refuses what it is asked: so it will the next time."""


class Process:
    def __init__(self, name, popen, port, log):
        self.name, self.popen, self.port, self.log = name, popen, port, log

    @property
    def pid(self):
        return self.popen.pid

    def last_words(self):
        return self.log.read_text(errors="replace")[-1000:].strip()


class Stage:
    def __init__(self, tools):
        self.tools = tools  # paths of programs, by name
        self.as_user = ordinary_user()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="trireme-lab-"))
        if self.as_user:
            os.chown(self.dir, self.as_user["user"], self.as_user["group"])
        self.dir.chmod(0o755)
        self.running = []
        self.postgres = None
        self.number = 0

    def start(self, name, argv, port, cpus=None, ordinary=True):
        """`ordinary`: not as root, which PostgreSQL and PgBouncer refuse. Our own may lie where only root can read."""
        self.number += 1
        log = self.dir / f"{self.number}-{name}.log"
        user = self.as_user if ordinary else {}

        def pin():
            if cpus:
                os.sched_setaffinity(0, cpus)

        with open(log, "ab") as output:
            try:
                popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.dir,
                                         start_new_session=True, preexec_fn=pin if cpus else None, **user)
            except OSError as problem:
                raise CannotRun(f"{argv[0]}: {problem.strerror}") from None
        process = Process(name, popen, port, log)
        self.running.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and popen.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            time.sleep(0.01)
        self.end(process)
        raise CannotRun(f"{name} does not start: {process.last_words() or 'no word'}")

    def end(self, process):
        """The exit code; None when it had to be killed."""
        if process in self.running:
            self.running.remove(process)
        # PgBouncer lets clients finish on SIGINT, PostgreSQL on SIGTERM; the others end on either.
        number = signal.SIGINT if process.name == "postgres" else signal.SIGTERM
        with contextlib.suppress(ProcessLookupError):
            process.popen.send_signal(number)
        try:
            return process.popen.wait(20)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
            return None

    def stop(self):
        for process in list(reversed(self.running)):
            self.end(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- backends ---

    def start_backend(self, settings, connections, cpus):
        """A Process; PostgreSQL is kept for the next run, the stub is a new one each time."""
        kind = settings.get("kind", "stub")
        if kind == "stub":
            port = free_port()
            counts = self.dir / f"stub-{self.number}.json"
            argv = [self.tool("trireme-stub"), "--port", str(port), "--json", str(counts)]
            for name, value in settings.items():
                if name != "kind":
                    argv += [f"--{name}", str(value)]
            if cpus:
                argv += ["--cpus", ",".join(map(str, cpus))]
            process = self.start("stub", argv, port, ordinary=False)
            process.counts = counts
            return process
        if kind != "postgres":
            raise CannotRun(f'backend kind "{kind}" is neither stub nor postgres')
        if self.postgres is not None and self.postgres.connections < connections:
            self.end(self.postgres)
            shutil.rmtree(self.dir / "data", ignore_errors=True)
            self.postgres = None
        if self.postgres is None:
            self.postgres = self.start_postgres(settings, connections, cpus)
        return self.postgres

    def start_postgres(self, settings, connections, cpus):
        data, port = self.dir / "data", free_port()
        shutil.rmtree(data, ignore_errors=True)
        try:
            subprocess.run([postgres_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                            "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, cwd=self.dir, **self.as_user)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise CannotRun(f"PostgreSQL cannot be set up: {problem}") from None
        options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.dir, "fsync": "off",
                   "max_connections": connections + 20, "shared_buffers": "256MB", "autovacuum": "off"}
        argv = [postgres_program("postgres"), "-D", str(data)]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        process = self.start("postgres", argv, port, cpus)
        process.connections = connections
        deadline = time.monotonic() + 60  # it accepts connections before it is ready
        while subprocess.run([postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode != 0:
            if time.monotonic() > deadline or process.popen.poll() is not None:
                self.end(process)
                raise CannotRun(f"PostgreSQL does not become ready: {process.last_words()}")
            time.sleep(0.05)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        for command in ([postgres_program("pgbench"), "-i", "-q", "-s", str(settings.get("scale", 1))],
                        [postgres_program("psql"), "-qc", "CREATE TABLE bench_copy (line text)"]):
            argv = [*command, "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres"]
            done = subprocess.run(argv, capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                self.end(process)
                raise CannotRun(f"{command[0]} failed: {done.stderr.strip()}")
        return process

    def tool(self, name):
        path = self.tools.get(name)
        if not path or not os.path.exists(path):
            raise CannotRun(f"{name} is not built: tools/build, or give its directory with --build")
        return str(path)

    # --- poolers ---

    def start_pooler(self, run, backend):
        """A Process, or None for a direct connection."""
        pooler, workload = run.pooler, run.workload
        kind = pooler["kind"]
        if kind == "direct":
            return None
        facts = {"port": free_port(), "backend_port": backend.port, "pool": workload.get("pool", 32),
                 "cores": workload.get("cores", pooler.get("cores", 1)), "mode": workload.get("mode", "transaction"),
                 "auth": workload.get("auth", "trust"), "dir": str(self.dir),
                 "cpus": (workload.get("pins") or {}).get("pooler")}
        try:
            return getattr(self, f"start_{kind}")(pooler, facts)
        except (CannotRun, OSError) as problem:
            raise CannotStart(str(problem)) from None

    def start_floor(self, pooler, facts):
        argv = [self.tool("trireme-floor"), "--port", str(facts["port"]), "--to-port", str(facts["backend_port"]),
                "--threads", str(facts["cores"])]
        if facts["cpus"]:
            argv += ["--cpus", ",".join(map(str, facts["cpus"]))]
        return self.start(pooler["name"], argv, facts["port"], ordinary=False)

    def start_pgbouncer(self, pooler, facts):
        program = self.tools.get("pgbouncer")
        if not program:
            raise CannotStart("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
        users = self.dir / "userlist.txt"
        users.write_text(f'"postgres" "{secret_for(facts["auth"])}"\n')
        trust = facts["auth"] == "trust"
        settings = {"listen_addr": "127.0.0.1", "listen_port": facts["port"], "unix_socket_dir": "",
                    "auth_type": "any" if trust else facts["auth"],
                    "auth_file": users, "pool_mode": facts["mode"], "max_client_conn": 19000,
                    "default_pool_size": facts["pool"], "log_connections": 0, "log_disconnections": 0,
                    "log_pooler_errors": 0}
        settings.update(pooler.get("config", {}))
        database = f"host=127.0.0.1 port={facts['backend_port']}" + (" user=postgres" if trust else "")
        text = (f"[databases]\n* = {database}\n[pgbouncer]\n" +
                "".join(f"{key} = {value}\n" for key, value in settings.items()))
        config = self.config_file(pooler, "ini", text)
        return self.start(pooler["name"], [program, config], facts["port"], facts["cpus"])

    def start_trireme(self, pooler, facts):
        program = self.tool("trireme")
        config = merge(trireme_config(facts), pooler.get("config", {}))
        path = self.config_file(pooler, "json", json.dumps(config, indent=2))
        check = subprocess.run([program, "--check", path], capture_output=True, text=True)
        if check.returncode != 0:
            said = (check.stderr or check.stdout).strip().replace(path, os.path.basename(path).split("-", 1)[1])
            raise CannotStart(f"Trireme refuses the configuration: {said}")
        return self.start(pooler["name"], [program, path], facts["port"], ordinary=False)

    def start_command(self, pooler, facts):
        """Any other: {port}, {backend_port}, {pool}, {cores}, {mode}, {dir}, {config} and {program} are filled in."""
        program = self.tools.get(pooler["name"]) or os.environ.get(pooler.get("program", ""), "")
        facts = facts | {"program": program}
        if "{program}" in " ".join(pooler["command"]) and not shutil.which(program or "?"):
            raise CannotStart(f'no program for {pooler["name"]}: give it with --program {pooler["name"]}=PATH'
                            + (f' or ${pooler["program"]}' if pooler.get("program") else ""))
        text = pooler.get("config_text", "")
        if isinstance(text, list):
            text = "\n".join(text) + "\n"
        facts["config"] = self.config_file(pooler, "conf", filled(text, facts))
        return self.start(pooler["name"], [filled(word, facts) for word in pooler["command"]], facts["port"],
                          facts["cpus"])

    def config_file(self, pooler, suffix, text):
        self.number += 1
        path = self.dir / f"{self.number}-{pooler['name']}.{suffix}"
        path.write_text(text)
        path.chmod(0o644)
        return str(path)


def secret_for(auth):
    """As it is stored: a SCRAM verifier for SCRAM, so that nobody derives keys for each login."""
    if auth != "scram-sha-256":
        return PASSWORD
    salt, iterations = b"sixteen bytes ok", 4096
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, iterations)
    client, server = (hmac.digest(salted, word, "sha256") for word in (b"Client Key", b"Server Key"))
    texts = [base64.b64encode(value).decode() for value in (salt, hashlib.sha256(client).digest(), server)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


def filled(text, facts):
    """Only the names we know: braces may mean something in a configuration."""
    for name, value in facts.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def trireme_config(facts):
    cpus = facts["cpus"]
    cores = {"use": cpus if cpus and len(cpus) == facts["cores"] else facts["cores"]}
    return {
        "listen": [{"host": "127.0.0.1", "port": facts["port"]}],
        "cores": cores,
        "auth": facts["auth"],
        "storages": {"main": {"hosts": [f"127.0.0.1:{facts['backend_port']}"],
                              "connecting_max": min(max(facts["pool"], 1), 1024)}},
        "users": {name: {"secret": secret_for(facts["auth"])} for name in ("postgres", "*")},
        "routes": [{"database": "*", "user": "*", "storage": "main",
                    "pool": {"mode": facts["mode"], "size": facts["pool"]}}],
        "limits": {"clients_max": 20000},
        "console": {"admin_users": ["postgres"]},
        "log": {"level": "warning"},
    }
