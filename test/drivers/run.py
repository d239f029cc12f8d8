#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the scenario of one driver three times: against PostgreSQL itself, which proves the scenario, then through Trireme
in transaction mode, among neighbours and with fewer servers than clients, then in session mode.

usage: run.py DRIVER --trireme PROGRAM [--mode MODE]... [--only PATTERN] [--fresh-list] [--show-log] -- COMMAND...

COMMAND is the scenario. It finds PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE in its environment, and writes a line
for each check, fields parted by tabs: "ok NAME MILLISECONDS" or "failed NAME MILLISECONDS REASON"; its last line is
"done". "absent REASON" instead, as the only line, says that the driver is not installed. DRIVERS_MODE names the mode,
DRIVERS_ONLY a part of the names of those checks to run.

expected_failures.txt lists checks known to fail through Trireme. Such a failure is counted apart; when it passes, that is
an error, so the list can only shrink. (A "?" before the name: chance decides, and passing is no error.) What is printed are lines like GoogleTest's, DRIVER.MODE.CHECK, then a summary.
With --fresh-list the lines for that file which would describe this run come last instead.
"""

import argparse
import collections
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time

import neighbours
import rig

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected_failures.txt"
SILENCE_SECONDS_MAX = 120  # of a scenario; each check has a bound of its own
LOG_LINES_MAX = 60
NOT_INSTALLED = 77


Expected = collections.namedtuple("Expected", "reason by_chance")


def expected_failures(driver):
    """(mode, check) -> Expected."""
    expected = {}
    for number, line in enumerate(EXPECTED.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(":")
        words = name.removeprefix("?").split(".")
        if len(words) != 3 or not reason.strip() or words[1] not in rig.MODES[1:]:
            sys.exit(f"{EXPECTED.name}:{number}: not DRIVER.MODE.CHECK: REASON")
        if words[0] == driver:
            expected[words[1], words[2]] = Expected(reason.strip(), by_chance=name.startswith("?"))
    return expected


class Report:
    def __init__(self, driver, fresh_list):
        self.driver, self.expected, self.fresh_list = driver, expected_failures(driver), fresh_list
        self.seen, self.failed, self.expectedly, self.passed, self.lines = set(), 0, 0, 0, []

    def add(self, mode, check, reason, milliseconds):
        """`reason` is why it failed, None when it passed."""
        name = f"{self.driver}.{mode}.{check}"
        expected = self.expected.get((mode, check))
        self.seen.add((mode, check))
        if reason is not None and mode != "direct":
            self.lines.append(f"{name}: {expected.reason if expected else reason.splitlines()[0][:120]}")
        if reason is not None and expected is not None:
            self.expectedly += 1
            print(f"  expected  {name}: {expected.reason}\n            {reason.splitlines()[0]}", flush=True)
            return
        print(f"[ RUN      ] {name}")
        if reason is None and (expected is None or expected.by_chance):
            self.passed += 1
            print(f"[       OK ] {name} ({milliseconds} ms)", flush=True)
            return
        self.failed += 1
        if reason is None:
            reason = f"now passes: take it off {EXPECTED.name}"
        print(f"{reason}\n[  FAILED  ] {name} ({milliseconds} ms)", flush=True)

    def checks_of(self, mode):
        return {check for seen, check in self.seen if seen == mode}

    def finish(self, complete):
        if complete:
            for mode, check in sorted(self.expected.keys() - self.seen):
                del self.expected[mode, check]
                self.add(mode, check, f"there is no such check: take it off {EXPECTED.name}", 0)
        if self.fresh_list:
            print(*self.lines, sep="\n")
        print(f"summary: {self.expectedly} expected failures", flush=True)
        return 1 if self.failed else 0


def lines_of(process):
    """Lines as they come; None when there was none for too long."""
    arrived = queue.Queue()

    def read():
        for line in process.stdout:
            arrived.put(line.rstrip("\n"))
        arrived.put(StopIteration)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=SILENCE_SECONDS_MAX)
        except queue.Empty:
            yield None
            return
        if line is StopIteration:
            return
        yield line


def run_scenario(command, mode, port, report, only, alive=lambda: True):
    """True when the driver is there. Ends early when `alive` no longer holds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": rig.USER, "PGPASSWORD": rig.PASSWORD,
                    "PGDATABASE": f"{rig.USER}_{mode}", "DRIVERS_MODE": mode, "DRIVERS_ONLY": only or "",
                    "PYTHONDONTWRITEBYTECODE": "1"}
    done, began = False, time.monotonic()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    last = ""
    for line in lines_of(process):
        if line is None or not alive():
            os.killpg(process.pid, 9)  # the session this run started, and nothing else
            why = f"silent for {SILENCE_SECONDS_MAX} s" if line is None else "Trireme is gone"
            report.add(mode, "the_scenario_ends", why, 0)
            process.wait()
            return True
        fields = line.split("\t")
        if fields[0] == "absent":
            process.wait()
            print(f"{report.driver} is not installed: {fields[1]}; run tools/drivers-setup")
            return False
        if fields[0] == "ok" and len(fields) == 3:
            report.add(mode, fields[1], None, fields[2])
        elif fields[0] == "failed" and len(fields) == 4:
            report.add(mode, fields[1], fields[3].replace("\\n", "\n"), fields[2])
        elif line == "done":
            done = True
        else:
            last = line
            print(line)
    code = process.wait()
    if not done or code != 0:
        report.add(mode, "the_scenario_ends", f"exit code {code}, last words: {last}", 0)
    print(f"{report.driver}, {mode}: {time.monotonic() - began:.1f} s", flush=True)
    return True


def run_through(trireme, command, mode, report, only):
    crowd = neighbours.Neighbours(trireme.port, f"{rig.USER}_{mode}") if mode == "transaction" else None
    if crowd:
        crowd.start()
    try:
        run_scenario(command, mode, trireme.port, report, only, lambda: trireme.process.poll() is None)
    finally:
        if crowd:
            crowd.stop()
    if crowd:
        print(f"{crowd.transactions} transactions of {neighbours.NEIGHBOURS} neighbours")
        for promise in ("neighbours_are_served", "neighbours_get_their_own_answers", "neighbours_keep_their_settings",
                        "neighbours_meet_nothing_of_others"):
            wrong = list(dict.fromkeys(crowd.wrong[promise]))
            report.add(mode, promise, "; ".join(wrong[:5]) if wrong else None, 0)
    missing = report.checks_of("direct") - report.checks_of(mode)
    if missing:
        report.add(mode, "all_checks_run", "these did not: " + ", ".join(sorted(missing)), 0)


def show(log):
    told = [line for line in log.splitlines() if "client logged in" not in line and "client closed its connection" not in line]
    print("--- of Trireme's log", *told[-LOG_LINES_MAX:], sep="\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--trireme", required=True)
    parser.add_argument("--mode", action="append", choices=rig.MODES)
    parser.add_argument("--only")
    parser.add_argument("--fresh-list", action="store_true")
    parser.add_argument("--show-log", action="store_true")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    modes = arguments.mode or rig.MODES

    if not shutil.which(arguments.command[0]):
        print(f"{arguments.command[0]} is not installed; run tools/drivers-setup")
        sys.exit(NOT_INSTALLED)
    report = Report(arguments.driver, arguments.fresh_list)
    with rig.Postgres() as postgres:
        if "direct" in modes and not run_scenario(arguments.command, "direct", postgres.port, report, arguments.only):
            sys.exit(NOT_INSTALLED)
        if set(modes) - {"direct"}:
            with rig.Trireme(str(pathlib.Path(arguments.trireme).resolve()), postgres) as trireme:
                for mode in rig.MODES[1:]:
                    if mode in modes:
                        run_through(trireme, arguments.command, mode, report, arguments.only)
                complaint = trireme.stop()
                report.add(modes[-1], "nothing_is_left_at_the_end", complaint or None, 0)
                if complaint or report.failed or arguments.show_log:
                    show(trireme.log())
    sys.exit(report.finish(complete=not arguments.mode and not arguments.only))


if __name__ == "__main__":
    main()
