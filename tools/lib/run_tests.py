#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests that Meson knows in a build folder and counts their cases.

usage: run_tests.py FOLDER --counts FILE [--suite NAME]... [--case PATTERN] [--daemon PATH]

One line for each test program as it ends, what its failed cases printed (all it printed, when it died between cases),
and a sign of life from those that take long. Whole outputs are kept in FOLDER/test-logs/; the names of all failed cases
come once more at the end. Appends "passed failed skipped" to the counts file. Cases of
GoogleTest and unittest are counted one by one; any other program is one case, with what follows "summary: " in its last
line. A program that dies counts as a failure
more than those it reported. Exit code 1 when anything failed.

With --daemon end-to-end tests drive that one instead of the folder's. With --case only GoogleTest cases whose name contains PATTERN run, or all of a test program whose own name contains it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ENVIRONMENT = {
    "ASAN_OPTIONS": "halt_on_error=1:detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
SIGN_OF_LIFE_SECONDS = 30
OUTPUT_LINES_MAX = 100  # of a failed case, on the screen; all are in the log

GOOGLE_CASE = re.compile(r"^\[ *(OK|FAILED|SKIPPED) *\] (\S+?),? .*\(\d+ ms\)", re.MULTILINE)
GOOGLE_BEGIN = re.compile(r"^\[ RUN +\] (\S+)")
SUMMARY = re.compile(r"^summary: (.+)\n\Z", re.MULTILINE)
UNITTEST_END = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)

screen = threading.Lock()


def show(text):
    with screen:
        print(text, flush=True)


def failures_of(output):
    """The failed cases of a GoogleTest output, (name, lines) each; one that never ended failed as well."""
    failures, name, lines = [], None, []
    for line in output.splitlines():
        begin, end = GOOGLE_BEGIN.match(line), GOOGLE_CASE.match(line)
        if begin:
            name, lines = begin.group(1), []
        elif end and end.group(1) == "FAILED":
            failures.append((end.group(2), lines))
        if end:
            name = None
        elif name and not begin:
            lines.append(line)
    return failures + ([(name, lines)] if name else [])


class Outcome:
    def __init__(self, test, output, exit_code, seconds, timed_out):
        self.name, self.output, self.seconds, self.timed_out = test["name"], output, seconds, timed_out
        self.exit_code = exit_code
        self.passed = self.failed = self.skipped = 0
        cases = GOOGLE_CASE.findall(output)
        unittest = UNITTEST_END.search(output)
        if cases:
            for result, _ in cases:
                if result == "OK":
                    self.passed += 1
                elif result == "FAILED":
                    self.failed += 1
                else:
                    self.skipped += 1
        elif exit_code == 77:
            self.skipped = 1
        elif exit_code == 0 and test["protocol"] != "gtest":
            self.passed = int(unittest.group(1)) if unittest else 1
        self.failures = failures_of(output)
        if exit_code < 0 or (exit_code not in (0, 77) and self.failed == 0):
            self.failed += 1
            self.failures = self.failures or [(self.name, output.splitlines())]
        if exit_code == 0 and test["protocol"] == "gtest" and not cases:
            self.failed = 1
            self.output += "\nno test case ran\n"
            self.failures = [(self.name, self.output.splitlines())]

    def line(self):
        counts = f"{self.passed} passed"
        if self.failed:
            counts += f", {self.failed} failed"
        if self.skipped:
            counts += f", {self.skipped} skipped"
        if self.timed_out:
            counts += ", timed out"
        elif self.exit_code < 0:
            counts += f", ended by {signal.Signals(-self.exit_code).name}"
        summary = SUMMARY.search(self.output)
        if summary:
            counts += f"; {summary.group(1).strip()}"
        return f"    {'FAIL' if self.failed else 'ok  '}  {self.name:<28} {counts}  ({self.seconds:.1f} s)"


def cases_of(test, pattern):
    """The --gtest_filter for the cases that match, None for all, "" for none."""
    if pattern is None or pattern.lower() in test["name"].lower():
        return None
    if test["protocol"] != "gtest":
        return ""
    for argument in test["cmd"]:
        if argument.startswith("--gtest_filter="):
            own = argument.removeprefix("--gtest_filter=")
            break
    else:
        own = "*"
    listing = subprocess.run(test["cmd"] + ["--gtest_list_tests"], env={**os.environ, **test["env"]}, text=True,
                             capture_output=True, timeout=60, check=False).stdout
    suite, names = "", []
    for line in listing.splitlines():
        if not line.startswith(" "):
            suite = line.split("#")[0].strip()
        else:
            names.append(suite + line.split("#")[0].strip())
    matching = [name for name in names if pattern.lower() in name.lower()]
    return ":".join(matching) if own and matching else ""


def run(test, filter_, folder):
    command = list(test["cmd"])
    if filter_:
        command.append("--gtest_filter=" + filter_)
    environment = {**os.environ, **ENVIRONMENT, **test["env"]}
    start, lines, current, timed_out = time.monotonic(), [], "", threading.Event()
    process = subprocess.Popen(command, cwd=test["workdir"] or folder, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)

    def expire():
        timed_out.set()
        os.killpg(process.pid, signal.SIGKILL)  # the session this run started, and nothing else

    def sign_of_life():
        nonlocal life
        show(f"    ...   {test['name']}, {time.monotonic() - start:.0f} s {current}")
        life = threading.Timer(SIGN_OF_LIFE_SECONDS, sign_of_life)
        life.daemon = True
        life.start()

    alarm = threading.Timer(test["timeout"] if test["timeout"] > 0 else 3600, expire)
    life = threading.Timer(SIGN_OF_LIFE_SECONDS, sign_of_life)
    for timer in (alarm, life):
        timer.daemon = True
        timer.start()
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("[ RUN "):
                current = "in " + line.split("]")[1].strip()
    exit_code = process.wait()
    alarm.cancel()
    life.cancel()
    output = "".join(lines)
    outcome = Outcome(test, output, exit_code, time.monotonic() - start, timed_out.is_set())
    logs = pathlib.Path(folder, "test-logs")
    logs.mkdir(exist_ok=True)
    log = logs / (re.sub(r"[^\w.-]+", "-", test["name"]) + ".log")
    log.write_text(f"$ {' '.join(command)}\n{outcome.output}")
    show(outcome.line())
    if outcome.failed:
        for case, shown in outcome.failures or [(outcome.name, output.splitlines())]:
            if len(shown) > OUTPUT_LINES_MAX:
                shown = ([f"({len(shown) - OUTPUT_LINES_MAX} lines before this are in the log)"]
                         + shown[-OUTPUT_LINES_MAX:])
            show("\n".join([f"        --- {case}"] + ["        " + line for line in shown]))
        show(f"        (log: {os.path.relpath(log)})")
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--case")
    parser.add_argument("--counts", required=True)
    parser.add_argument("--daemon", type=os.path.abspath)
    arguments = parser.parse_args()

    known = json.loads(subprocess.run(["meson", "introspect", "--tests", arguments.folder], capture_output=True,
                                      text=True, check=True).stdout)
    chosen = []
    for test in known:
        suites = {suite.split(":")[-1] for suite in test["suite"]}
        if arguments.suite and not suites & set(arguments.suite):
            continue
        if arguments.daemon:
            test["env"] = {**test["env"], "TRIREME_BINARY": arguments.daemon}
        filter_ = cases_of(test, arguments.case)
        if filter_ != "":
            chosen.append((test, filter_))

    outcomes = []
    together = [item for item in chosen if item[0]["is_parallel"]]
    alone = [item for item in chosen if not item[0]["is_parallel"]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        outcomes += pool.map(lambda item: run(*item, arguments.folder), together)
    outcomes += [run(*item, arguments.folder) for item in alone]

    passed, failed, skipped = (sum(getattr(o, key) for o in outcomes) for key in ("passed", "failed", "skipped"))
    for outcome in outcomes:
        for case, _ in outcome.failures or ([(outcome.name, [])] if outcome.failed else []):
            print(f"    FAILED: {outcome.name} {case}" if case != outcome.name else f"    FAILED: {case}", flush=True)
    with open(arguments.counts, "a", encoding="utf-8") as counts:
        counts.write(f"{passed} {failed} {skipped}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
