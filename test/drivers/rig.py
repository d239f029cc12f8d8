# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind every scenario: a private PostgreSQL run by an ordinary user, and a Trireme in front of it.

Both live in a folder of their own, on free ports of 127.0.0.1, and end with the `with` block that started them. Trireme
serves the database `app_transaction` in transaction mode, from fewer servers than a scenario has clients, and
`app_session` in session mode; `app_direct` is for PostgreSQL itself. All clients of a route share its servers.
"""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATIENCE_SECONDS = 60  # longer than any healthy start or stop takes on a busy machine
USER, PASSWORD = "app", "secret-app"
MODES = ("direct", "transaction", "session")
SERVERS = 4  # of the transaction pool
SHARDS = 2
SANITIZER_ALARMS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "WARNING: ThreadSanitizer")

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
max_prepared_transactions = 10
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
huge_pages = off
jit = off
timezone = 'UTC'
log_min_messages = warning
log_min_error_statement = panic
"""
HOST_RULES = """
local all postgres trust
host all app 127.0.0.1/32 scram-sha-256
"""


class RigError(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RigError(f"{what}: not within {PATIENCE_SECONDS} s")
        time.sleep(0.02)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ordinary_user():
    """Whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise RigError("neither postgres nor nobody is a user here, and PostgreSQL refuses to run as root")


def postgres_program(name):
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = folders[-1] / name if folders else shutil.which(name)
    if not found or not os.access(found, os.X_OK):
        raise RigError(f"PostgreSQL's {name} is not installed; run tools/setup")
    return str(found)


class Postgres:
    def __enter__(self):
        self.port, self.owner = free_port(), ordinary_user()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trireme-drivers-"))
        if self.owner:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        self.process = None
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _as_owner(self, command, output=subprocess.PIPE):
        identity = dict(user=self.owner.pw_uid, group=self.owner.pw_gid, extra_groups=[]) if self.owner else {}
        return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                text=True, **identity)

    def _run(self, *command):
        process = self._as_owner(command)
        output = process.communicate()[0]
        if process.returncode != 0:
            raise RigError(f"{command[0]} failed:\n{output}")
        return output

    def _start(self):
        data = self.folder / "data"
        self._run(postgres_program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")
        (data / "postgresql.conf").write_text(SETTINGS.format(port=self.port, folder=self.folder))
        (data / "pg_hba.conf").write_text(HOST_RULES)
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = self._as_owner([postgres_program("postgres"), "-D", str(data)], log)
        until(lambda: self.process.poll() is not None or self._ready(), "PostgreSQL's start")
        if self.process.poll() is not None:
            raise RigError("PostgreSQL does not start:\n" + self.log())
        self.sql("postgres", f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", f"CREATE ROLE {USER}_reader",
                 f"GRANT {USER}_reader TO {USER}", *(f"CREATE DATABASE {USER}_{mode} OWNER {USER}" for mode in MODES))

    def _ready(self):
        return self._as_owner([postgres_program("pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port),
                               "-t", "1"]).wait() == 0

    def sql(self, database, *statements):
        return self._run(postgres_program("psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p",
                         str(self.port), "-U", "postgres", "-d", database,
                         *(word for statement in statements for word in ("-c", statement)))

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)


class Trireme:
    def __init__(self, program, postgres):
        self.program, self.postgres = program, postgres

    def __enter__(self):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trireme-drivers-"))
        (self.folder / "config.json").write_text(json.dumps(self._config(), indent=2))
        sanitizers = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1",
                      "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
                      "TSAN_OPTIONS": "halt_on_error=1:exitcode=99"}
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([self.program, str(self.folder / "config.json")], cwd=self.folder,
                                            env={**os.environ, **sanitizers}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: self.process.poll() is not None or ("serving" in self.log() and accepts(self.port)), "Trireme's start")
        if self.process.poll() is not None:
            raise RigError("Trireme does not start:\n" + self.log())
        return self

    def _config(self):
        def route(mode, size):
            return {"database": f"{USER}_{mode}", "user": "*", "storage": "main", "storage_user": USER,
                    "storage_secret": PASSWORD, "pool": {"mode": mode, "size": size}}
        return {
            "listen": [{"host": "127.0.0.1", "port": self.port}],
            "cores": SHARDS,
            "storages": {"main": {"hosts": [f"127.0.0.1:{self.postgres.port}"]}},
            "users": {USER: {"secret": PASSWORD}, "neighbour": {"auth": "trust"}},
            "routes": [route("transaction", SERVERS), route("session", 30)],
            "timeouts": {"shutdown": "10s"},
        }

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def stop(self):
        """Ends it in order; what is wrong about how it ended, "" when nothing is."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return "it does not stop after SIGTERM"
        log = self.log()
        complaints = [alarm for alarm in SANITIZER_ALARMS if alarm in log]
        if code != 0:
            complaints.append(f"exit code {code}")
        rest = [line for line in log.splitlines() if "resources at rest" in line]
        if not rest:
            complaints.append("it did not report its resources at rest")
        else:
            complaints += [f"left: {name}={count}" for name, count in re.findall(r"(\w+)=(\d+)", rest[-1].split("rest", 1)[1])
                           if count != "0" and name in ("clients", "servers", "buffers_in_use", "ops_in_flight")]
        return "; ".join(complaints)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
