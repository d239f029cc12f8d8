# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs: /proc before and after, the CPU's counters through perf where the machine lets us, and Trireme's
own counters from its console. Everything is a difference between the beginning and the end of the measured time."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from machine import Usage, resident_bytes  # noqa: E402
from wire import Console, ConsoleError  # noqa: E402

HARDWARE = ["instructions:u", "instructions:k", "cycles:u", "cycles:k"]
SYSTEM_CALLS = "raw_syscalls:sys_enter"


def perf_events(wanted):
    """Those of `wanted` that perf can count here."""
    works = []
    for event in wanted:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(["perf", "stat", "-x", ";", "-e", event, "--", "true"], capture_output=True,
                                  text=True, timeout=10)
            for line in done.stderr.splitlines():
                words = line.split(";")
                if len(words) > 2 and words[2] == event and words[0].isdigit():
                    works.append(event)
    return works


class Perf:
    """perf stat on a process, attached early and switched on and off by its control pipe."""

    def __init__(self, pid, events, folder):
        self.control, self.answer = folder / f"perf-{pid}.control", folder / f"perf-{pid}.answer"
        self.output = folder / f"perf-{pid}.txt"
        for path in (self.control, self.answer):
            os.mkfifo(path)
        self.process = subprocess.Popen(
            ["perf", "stat", "-x", ";", "-D", "-1", "-o", str(self.output), "-e", ",".join(events), "-p", str(pid),
             "--control", f"fifo:{self.control},{self.answer}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.to = os.open(self.control, os.O_RDWR)
        self.back = os.open(self.answer, os.O_RDWR | os.O_NONBLOCK)

    def say(self, word):
        os.write(self.to, word + b"\n")
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                if b"ack" in os.read(self.back, 64):
                    return
            time.sleep(0.001)

    def stop(self):
        """{event: count}"""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        counts = {}
        with contextlib.suppress(OSError):
            for line in self.output.read_text().splitlines():
                words = line.split(";")
                if len(words) > 2 and words[0].isdigit():
                    counts[words[2]] = int(words[0])
        for path in (self.control, self.answer, self.output):
            path.unlink(missing_ok=True)
        return counts


def children(pid):
    """The process and all below it: PostgreSQL is many."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


NOTHING = Usage(0, 0, 0, 0)


def usage_of(pid):
    """{process: Usage}, and under "ended" what the children that the first one has waited for had used."""
    found = {}
    for one in children(pid):
        with contextlib.suppress(OSError):
            found[one] = Usage.of(one)
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        tick = os.sysconf("SC_CLK_TCK")
        user, system = int(fields[13]) / tick, int(fields[14]) / tick
        found["ended"] = Usage(user, system, user + system, 0)
    return found


def used_between(before, after):
    """Of all processes: those that came meanwhile, and those that went."""
    total = NOTHING
    for pid, usage in after.items():
        used = usage - before.get(pid, NOTHING)
        total = Usage(total.user + used.user, total.system + used.system, total.run + used.run,
                      total.switches + used.switches)
    for pid, usage in before.items():
        if pid not in after:  # all it ever used is under "ended" now
            total = total - Usage(usage.user, usage.system, usage.run, 0)
    return total


def system_busy():
    """Seconds all CPUs together were not idle. Everything on the machine counts."""
    words = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    ticks = list(map(int, words))
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Watch:
    """begin() when the load begins to measure, end() when it has; then `facts` has everything."""

    def __init__(self, processes, trireme_port=None, events=(), folder=None):
        self.processes = {name: process for name, process in processes.items() if process is not None}
        self.facts = {"usage": {}}
        self.resident_before = {name: resident_bytes(process.pid) for name, process in self.processes.items()
                                if name == "pooler"}
        self.console = None
        if trireme_port:
            with contextlib.suppress(OSError, ConsoleError):
                self.console = Console(trireme_port)
        pooler = self.processes.get("pooler")
        self.perf = Perf(pooler.pid, events, folder) if events and pooler else None
        self.before = None

    def look(self):
        now = {"at": time.monotonic(), "busy": system_busy(),
               "usage": {name: usage_of(process.pid) for name, process in self.processes.items()}}
        if self.console:
            try:
                now["shards"] = self.console.ask("SHOW SHARDS")
                now["pools"] = self.console.ask("SHOW POOLS")
            except (OSError, ConsoleError) as problem:
                self.facts["console_error"] = str(problem)
        return now

    def ports_of_core(self, core):
        """Where those clients connect from that Trireme has placed on a core."""
        if not self.console:
            return []
        rows = self.console.ask("SHOW CLIENTS")
        return [int(row["port"]) for row in rows if row["core"] == str(core) and row["database"] != "trireme"]

    def begin(self):
        self.before = self.look()
        if self.perf:
            self.perf.say(b"enable")

    def end(self):
        if self.perf:
            self.perf.say(b"disable")
        after = self.look()
        if self.before is None:
            return
        self.facts["seconds"] = after["at"] - self.before["at"]
        self.facts["busy_s"] = after["busy"] - self.before["busy"]
        for name, usage in after["usage"].items():
            used = used_between(self.before["usage"].get(name, {}), usage)
            self.facts["usage"][name] = {"user_s": used.user, "system_s": used.system, "run_s": used.run,
                                         "switches": used.switches}
        for name, resident in self.resident_before.items():
            with contextlib.suppress(OSError, TypeError):
                pid = self.processes[name].pid
                self.facts["rss"] = resident_bytes(pid)
                self.facts["rss_grown"] = self.facts["rss"] - resident
        if "shards" in after and "shards" in self.before:
            self.facts["shards"] = shard_differences(self.before["shards"], after["shards"])

    def stop(self):
        if self.perf:
            self.facts["perf"] = self.perf.stop()
        if self.console:
            self.console.close()
        return self.facts


GAUGES = {"core", "cpu", "clients", "waiting", "servers", "servers_idle", "buffers_in_use", "buffers_total",
          "hand_over_p50_us", "hand_over_p99_us"}


def shard_differences(before, after):
    """One row a core: counters as differences, the rest as they are at the end."""
    rows = []
    for old, new in zip(before, after):
        row = {}
        for name, value in new.items():
            if value is None or not re.fullmatch(r"-?\d+", value):
                continue
            row[name] = int(value) if name in GAUGES else int(value) - int(old.get(name) or 0)
        rows.append(row)
    return rows
