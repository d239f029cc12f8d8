# SPDX-License-Identifier: GPL-3.0-or-later
"""A private PostgreSQL and poolers before it, in one temporary directory, and what /proc says of them. Whatever is
started here is ended by its id, and the directory removed, by Machine.stop()."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Target:
    name: str
    port: int
    process: subprocess.Popen
    thread: str  # beginning of the name of the thread that serves clients
    signal: int = signal.SIGINT  # "end now"

    @property
    def pid(self):
        return self.process.pid


def ordinary_user():
    """Arguments for subprocess that run a child as an ordinary user, when we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    sys.exit("running as root, and neither user postgres nor nobody exists")


def postgres_program(name):
    if "PG_BINDIR" in os.environ:
        return os.path.join(os.environ["PG_BINDIR"], name)
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(found[-1]) if found else name


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    def __init__(self, options):
        self.options = options
        self.as_user = ordinary_user()
        self.dir = tempfile.mkdtemp(prefix="trireme-bench-")
        if self.as_user:
            os.chown(self.dir, self.as_user["user"], self.as_user["group"])
        os.chmod(self.dir, 0o755)
        self.running = []
        self.helpers = []  # processes that watch those
        self.started = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, argv, name, port, thread="", ends_with=signal.SIGINT, **popen):
        log = self.path(f"{name}.log")
        with open(log, "ab") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=self.dir,
                                       start_new_session=True, **popen)
        target = Target(name, port, process, thread, ends_with)
        self.running.append(target)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return target
            time.sleep(0.05)
        sys.exit(f"{argv[0]} does not start:\n{pathlib.Path(log).read_text()}")

    def start_postgres(self):
        data = self.path("data")
        subprocess.run(
            [postgres_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=self.dir, **self.as_user)
        port = free_port()
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.dir, "fsync": "off",
            # Every instance of a pooler may fill its pool.
            "max_connections": self.options.pool * 8 + 20, "shared_buffers": "256MB", "autovacuum": "off",
        }
        argv = [postgres_program("postgres"), "-D", data]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        target = self.start(argv, "direct", port, **self.as_user)
        self.postgres_port = port
        self.pgbench(target, ["-i", "-q", "-s", str(self.options.scale)])
        return target

    def start_pooler(self, name, scram=None, **popen):
        """A fresh instance of `pgbouncer` or `trireme`; clients need no password, or prove theirs by SCRAM."""
        self.started += 1
        port = free_port()
        config = self.path(f"{name}.{self.started}.conf")
        if name == "pgbouncer":
            pathlib.Path(config).write_text(self.pgbouncer_config(port, scram))
            # SIGINT lets clients finish; SIGTERM ends now.
            return self.start([self.options.pgbouncer, config], name, port, thread="pgbouncer",
                              ends_with=signal.SIGTERM, **popen, **self.as_user)
        pathlib.Path(config).write_text(json.dumps(self.trireme_config(port, scram), indent=2))
        return self.start([self.options.trireme, config], name, port, thread="trireme/0", **popen, **self.as_user)

    def pgbouncer_config(self, port, scram):
        # Debian's keeps no named statements across servers: its clients keep their servers there, which costs it less.
        mode = "session" if self.options.protocol == "prepared" else "transaction"
        users = self.path(f"userlist.{self.started}.txt")
        pathlib.Path(users).write_text(f'"postgres" "{scram.verifier if scram else ""}"\n')
        return (f"[databases]\n* = host=127.0.0.1 port={self.postgres_port}\n[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
                f"auth_type = {'scram-sha-256' if scram else 'trust'}\nauth_file = {users}\npool_mode = {mode}\nmax_client_conn = 9000\n"
                f"default_pool_size = {self.options.pool}\nlog_connections = 0\nlog_disconnections = 0\n")

    def trireme_config(self, port, scram):
        return {
            "listen": [{"host": "127.0.0.1", "port": port}],
            "cores": self.options.shards,
            "auth": "scram-sha-256" if scram else "trust",
            "storages": {"main": {"hosts": [f"127.0.0.1:{self.postgres_port}"], "connecting_max": self.options.pool}},
            "users": {"postgres": {"secret": scram.verifier if scram else "unused"}},
            "routes": [{"database": "*", "user": "*", "storage": "main",
                        "pool": {"mode": "transaction", "size": self.options.pool}}],
            "log": {"level": "warning"},
        }

    def pgbench(self, target, arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        done = subprocess.run(
            [postgres_program("pgbench"), "-h", "127.0.0.1", "-p", str(target.port), "-U", "postgres", *arguments,
             "postgres"], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            sys.exit(f"pgbench through {target.name} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def end(self, target):
        self.running.remove(target)
        with contextlib.suppress(ProcessLookupError):
            target.process.send_signal(target.signal)
        try:
            target.process.wait(20)
        except subprocess.TimeoutExpired:
            print(f"{target.name} did not end within 20 s of signal {target.signal}", file=sys.stderr)
            target.process.kill()
            target.process.wait()

    def stop(self):
        for helper in self.helpers:  # before what they watch
            if helper.poll() is None:
                helper.terminate()
                helper.wait(20)
        for target in list(reversed(self.running)):
            self.end(target)
        shutil.rmtree(self.dir, ignore_errors=True)


@dataclass
class Usage:
    """What a process has used so far, all threads together."""
    user: float  # seconds, in clock ticks
    system: float
    run: float  # seconds, in nanoseconds
    switches: int

    def __sub__(self, other):
        return Usage(self.user - other.user, self.system - other.system, self.run - other.run,
                     self.switches - other.switches)

    @staticmethod
    def of(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        tick = os.sysconf("SC_CLK_TCK")
        run = switches = 0
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                run += int((task / "schedstat").read_text().split()[0])
                switches += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())))
        return Usage(int(fields[11]) / tick, int(fields[12]) / tick, run / 1e9, switches)


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
