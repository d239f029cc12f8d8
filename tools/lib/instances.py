# SPDX-License-Identifier: GPL-3.0-or-later
"""A private PostgreSQL and a Trireme in front of it, for programs that compare the two.

Both run on free ports of 127.0.0.1 with a folder of their own, end at the latest when the program that started them
does (the kernel sees to that), and are checked when they are stopped. PostgreSQL refuses root, so it runs as an
ordinary user then."""

import ctypes
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
SANITIZERS = {
    "ASAN_OPTIONS": "exitcode=99:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}
SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 100
shared_buffers = 128MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
huge_pages = off
logging_collector = off
"""


class InstanceError(Exception):
    """What was started did not start, did not stop, or did not stop well."""


def ordinary_user():
    """Whom PostgreSQL runs as, or None for ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise InstanceError("there is neither a user postgres nor a user nobody to run PostgreSQL as")


def program(name):
    """The newest PostgreSQL's, as $PG_BINDIR or Debian has it."""
    folders = [pathlib.Path(os.environ["PG_BINDIR"])] if "PG_BINDIR" in os.environ else sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if not found:
        raise InstanceError(f"PostgreSQL's {name} is not installed; run tools/setup")
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise InstanceError(f"{what} within {seconds} s")
        time.sleep(0.01)


def as_user(user):
    """The arguments of Popen that make a child run as `user`, without a word to it from our terminal."""
    common = {"stdin": subprocess.DEVNULL, "cwd": "/"}
    return common if user is None else {**common, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def dies_with_us(with_signal):
    def ask():
        ctypes.CDLL(None).prctl(1, int(with_signal))  # PR_SET_PDEATHSIG
    return ask


class Folder:
    """A new folder, readable by `user`, gone when this is closed."""

    def __init__(self, user=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="trireme-diff-"))
        if user:
            os.chown(self.path, user.pw_uid, user.pw_gid)
        self.path.chmod(0o755)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Postgres:
    def __init__(self, settings=""):
        self.user = ordinary_user()
        self.folder = Folder(self.user)
        self.socket_folder = str(self.folder.path)
        self.port = free_port()
        self.process = None
        data = self.folder.path / "data"
        made = subprocess.run(
            [program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
             "--no-instructions"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            **as_user(self.user))
        if made.returncode:
            raise InstanceError(f"initdb failed:\n{made.stdout}")
        with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}port = {self.port}\nunix_socket_directories = '{self.folder.path}'\n{settings}")
        self.log = self.folder.path / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", data], stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"},
                preexec_fn=dies_with_us(signal.SIGQUIT), **as_user(self.user))
        wait_until(self.accepts, START_SECONDS_MAX, "PostgreSQL did not start")

    def accepts(self):
        if self.process.poll() is not None:
            raise InstanceError(f"PostgreSQL does not start:\n{self.log.read_text(errors='replace')}")
        return "ready to accept connections" in self.log.read_text(errors="replace")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(STOP_SECONDS_MAX)
        self.folder.remove()


class Trireme:
    """The daemon with a configuration of the caller's; a listener is added."""

    def __init__(self, binary, configuration):
        self.folder = Folder()
        self.port = free_port()
        self.log = self.folder.path / "log"
        path = self.folder.path / "config.json"
        path.write_text(json.dumps({"listen": [{"host": "127.0.0.1", "port": self.port}], **configuration}, indent=2))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([binary, path], stdout=log, stderr=subprocess.STDOUT, cwd="/",
                                            stdin=subprocess.DEVNULL, env={**os.environ, **SANITIZERS},
                                            preexec_fn=dies_with_us(signal.SIGKILL))
        wait_until(self.serves, START_SECONDS_MAX, "Trireme did not start")

    def serves(self):
        if self.process.poll() is not None:
            raise InstanceError(f"Trireme does not start:\n{self.said()}")
        return "serving" in self.said()

    def said(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        """Ends it; raises when it did not end well."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise InstanceError(f"Trireme does not stop after SIGTERM:\n{self.said()}") from None
            if code != 0:
                raise InstanceError(f"Trireme ended with code {code}:\n{self.said()}")
            if "resources at rest" not in self.said():
                raise InstanceError(f"Trireme did not come to rest:\n{self.said()}")
        finally:
            self.folder.remove()
