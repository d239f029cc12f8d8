#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays message sequences to PostgreSQL directly and through Trireme, and compares what the clients are told.

usage: diff.py [--binary TRIREME] [--seeds N] [--from S] [--minutes M] [--modes MODE,...] [--no-files] [FILE...]

All of sequences/, or the files named, in each mode; then N random sequences (0) of seeds from S (1) on, in transaction
mode, for at most M minutes. A random sequence that differs is made as small as it gets and printed, with both
conversations beside each other. The daemon is $TRIREME_BINARY unless named.

Each sequence and mode is a test case, shown as GoogleTest shows its cases; --gtest_list_tests and --gtest_filter are
understood. Exit code 1 when anything differs that expected.txt does not explain.
"""

import argparse
import fnmatch
import os
import pathlib
import sys
import time

import comparison
import grammar
import messages
import sequence
import world
from expected import Expected
from minimise import minimised

HERE = pathlib.Path(__file__).resolve().parent
SUBJECTS = {"named-statements", "session-parameters", "pins"}
MINIMISE_SECONDS = 60
FAILURES_MAX = 10  # random ones; more tell nothing new


class Outcome:
    """`lines` say what differed, none when all was alike; `signs` are what a smaller sequence must have in common."""

    def __init__(self):
        self.lines, self.signs = [], set()

    def add(self, sign, lines):
        self.signs.add(sign)
        self.lines += lines


def play(place, played, mode):
    outcome = Outcome()
    place.reset(mode)
    direct = place.play_direct(played)
    for client, told in direct.messages.items():
        if messages.SILENT in told:
            outcome.add("direct", [f"PostgreSQL itself falls silent towards client {client}: what is awaited?"])
    try:
        through = place.play_through(played, direct, mode)
        for client, expected, told in comparison.differences(direct, through, played.vanished()):
            outcome.add(comparison.first_difference(expected, told), comparison.side_by_side(client, expected, told))
        if not outcome.lines:
            for what in place.left_behind(played, mode):
                outcome.add(what, [f"left on a server: {what}"])
    except OSError as error:
        outcome.add("company", [f"another client of the pool: {error}"])
    if outcome.lines:
        for line in place.renew_servers():
            outcome.add("end", [f"Trireme: {line}"])
    return outcome


class Report:
    def __init__(self, pattern):
        self.pattern = pattern
        self.failed, self.explained, self.gone, self.passed = [], [], [], 0

    def wants(self, name):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.pattern.split(":"))

    def run(self, name, reason, case):
        """`case()` returns lines, none when all is well; with a reason, lines are no failure."""
        print(f"[ RUN      ] {name}", flush=True)
        start = time.monotonic()
        lines = case()
        for line in lines:
            print(f"{'    ' if reason else ''}{line}")
        result = "OK"
        if lines and reason:
            result = "SKIPPED"
            self.explained.append(name)
            print(f"differs as expected: {reason}")
        elif lines:
            result = "FAILED"
            self.failed.append(name)
        else:
            self.passed += 1
            if reason:
                self.gone.append((name, reason))
        mark = {"OK": "       OK ", "FAILED": "  FAILED  ", "SKIPPED": "  SKIPPED "}[result]
        print(f"[{mark}] {name} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)

    def end(self):
        for name, reason in self.gone:
            print(f"differs no longer, so expected.txt need not explain it: {name} ({reason})")
        gone = f", {len(self.gone)} differences no longer occur" if self.gone else ""
        print(f"summary: {self.passed} conversations alike, {len(self.failed)} not, {len(self.explained)} differ as "
              f"expected.txt explains{gone}")


def case_names(arguments):
    for path in arguments.files:
        played = sequence.read_file(path)
        for mode in played.modes:
            if mode in arguments.modes:
                yield f"Sequence.{played.name}/{mode}", played, mode


def play_files(place, expected, arguments, report):
    for name, played, mode in case_names(arguments):
        if report.wants(name):
            report.run(name, expected.reason(played, mode), lambda: play(place, played, mode).lines)


def play_seed(place, seed):
    played = grammar.of_seed(seed, place.features)
    whole = play(place, played, "transaction")
    if not whole.lines:
        return []
    small = minimised(played, lambda candidate: play(place, candidate, "transaction").signs & whole.signs,
                      MINIMISE_SECONDS)
    again = play(place, small, "transaction")
    return (["a small sequence that differs:"] + ["    " + line for line in small.text().splitlines()] +
            (again.lines or ["(it did not differ when it was played once more; the whole one said:)"] + whole.lines))


def play_seeds(place, arguments, report):
    end = time.monotonic() + arguments.minutes * 60
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        if time.monotonic() > end or len(report.failed) >= FAILURES_MAX:
            break
        if report.wants(f"Random.seed/{seed}"):
            report.run(f"Random.seed/{seed}", None, lambda: play_seed(place, seed))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--binary", default=os.environ.get("TRIREME_BINARY"))
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=sequence.MODES)
    parser.add_argument("--no-files", action="store_true")
    parser.add_argument("--gtest_list_tests", action="store_true")
    parser.add_argument("--gtest_filter", default="*")
    parser.add_argument("--gtest_output")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    if not arguments.files and not arguments.no_files:
        arguments.files = sorted((HERE / "sequences").glob("*.seq"))
    if arguments.gtest_list_tests:
        for name, _, _ in case_names(arguments):
            print(name.replace(".", ".\n  ", 1))
        return
    if not arguments.binary:
        sys.exit("name the daemon: --binary PATH, or TRIREME_BINARY in the environment")
    expected, report = Expected(), Report(arguments.gtest_filter)
    place = world.World(os.path.abspath(arguments.binary), SUBJECTS - set(expected.unbuilt))
    try:
        play_files(place, expected, arguments, report)
        play_seeds(place, arguments, report)
    finally:
        complaints = place.stop()
    for complaint in complaints:
        report.run("Trireme.EndsWell", None, lambda: [complaint])
    report.end()
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
