#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs fuzz targets for a bounded time and says in one line a target how it went.

usage: run.py --programs FOLDER --crashes FOLDER [--grown FOLDER] [--seconds N] [--runs N] [--seed N] [--jobs N] [--quiet] TARGET...

Each target first replays its committed corpus (corpus/<target> beside this file) and what --grown has of it, then
mutates it, with words of dictionary/<target>.dict, for --seconds or --runs, whichever ends first. With --grown, inputs
that reach new code are kept there. --jobs processes run at a time; when there are fewer targets, a target gets several.
With --seed, the same program makes the same inputs again, as far as time allows; else each run makes others.

An input that crashes a target, breaks its property, or takes 10 seconds is kept in --crashes, with the command that
replays it on the screen, and the exit code is 1.
"""

import argparse
import concurrent.futures
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 10
PROGRESS_SECONDS = 10
INTERRUPTED = 72  # libFuzzer's exit code after Ctrl-C, which reaches it too
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:allocator_may_return_null=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
# "#4096  pulse  cov: 812 ft: 1930 corp: 101/2345b exec/s: 2048 rss: 61Mb"
STATUS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+.*")
KEPT = re.compile(r"Test unit written to (\S+)")

libc = ctypes.CDLL(None)
ADDR_NO_RANDOMIZE = 0x0040000

screen = threading.Lock()
interrupted = threading.Event()


def show(text):
    with screen:
        print(text, flush=True)


def keep_addresses():
    """The fuzzer keeps inputs also for the values that they compare, and pointers are among these. A container may
    refuse; then the inputs of a seed are not quite the same each time."""
    libc.personality(ADDR_NO_RANDOMIZE)


class Target:
    """One process that fuzzes one target; `number` tells those of a target apart."""

    def __init__(self, name, number, arguments):
        self.name, self.number, self.arguments = name, number, arguments
        self.label = name if number == 0 else f"{name}/{number}"
        self.executions = self.edges = self.inputs = 0
        self.seconds = 0.0
        self.output, self.kept = [], []

    def command(self, scratch):
        arguments = self.arguments
        folders = [scratch, HERE / "corpus" / self.name]
        if arguments.grown:
            grown = pathlib.Path(arguments.grown, self.name)
            grown.mkdir(parents=True, exist_ok=True)
            folders.insert(0, grown)
        command = [str(pathlib.Path(arguments.programs, "fuzz_" + self.name)), f"-max_len={INPUT_BYTES_MAX}",
                   f"-timeout={INPUT_SECONDS_MAX}", "-rss_limit_mb=2048", "-print_final_stats=1", "-use_value_profile=1", "-entropic=0",
                   f"-max_total_time={arguments.seconds}", f"-artifact_prefix={arguments.crashes}/{self.name}-"]
        if arguments.seed:
            command += [f"-seed={arguments.seed + self.number}", "-reload=0"]
        if arguments.runs:
            command.append(f"-runs={arguments.runs}")
        dictionary = HERE / "dictionary" / (self.name + ".dict")
        if dictionary.is_file():
            command.append(f"-dict={dictionary}")
        return command + [str(folder) for folder in folders]

    def run(self):
        if interrupted.is_set():
            return True
        start = shown = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="trireme-fuzz-") as scratch:
            process = subprocess.Popen(self.command(scratch), env={**os.environ, **OPTIONS},
                                       preexec_fn=keep_addresses if self.arguments.seed else None, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            with process.stdout:
                for line in process.stdout:
                    self.read(line)
                    now = time.monotonic()
                    if not self.arguments.quiet and now - shown >= PROGRESS_SECONDS:
                        shown = now
                        show(f"    ...   {self.label:<16} {self.numbers()}, {now - start:.0f} s")
            exit_code = process.wait()
        self.seconds = time.monotonic() - start
        return exit_code in (0, INTERRUPTED)

    def read(self, line):
        status, kept = STATUS.match(line), KEPT.search(line)
        if status:
            self.executions, self.edges, self.inputs = (int(status.group(i)) for i in (1, 2, 4))
        else:
            self.output.append(line)
        if line.startswith("stat::number_of_executed_units:"):
            self.executions = int(line.split()[1])
        if kept:
            self.kept.append(os.path.relpath(kept.group(1)))

    def numbers(self):
        return f"{self.executions} executions, {self.edges} edges covered, {self.inputs} inputs in the corpus"

    def tell(self, passed):
        show(f"    {'ok  ' if passed else 'FAIL'}  {self.label:<16} {self.numbers()}  ({self.seconds:.1f} s)")
        if passed:
            return
        show("".join("        " + line for line in self.output[-80:]))
        program = os.path.relpath(pathlib.Path(self.arguments.programs, "fuzz_" + self.name))
        for path in self.kept:
            show(f"        replay it with: {program} {path}")
            show(f"        make it small:  {program} -minimize_crash=1 -max_total_time=30 {path}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--crashes", required=True)
    parser.add_argument("--grown")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    pathlib.Path(arguments.crashes).mkdir(parents=True, exist_ok=True)

    shares = max(1, arguments.jobs // len(arguments.targets))
    targets = [Target(name, number, arguments) for name in arguments.targets for number in range(shares)]
    passed = []
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        outcomes = pool.map(Target.run, targets)
        try:
            for target, outcome in zip(targets, outcomes):
                target.tell(outcome)
                passed.append(outcome)
        except KeyboardInterrupt:
            interrupted.set()
            show("    interrupted; what was found so far is kept")
    executions = sum(target.executions for target in targets)
    if len(targets) > 1:
        show(f"{passed.count(True)} without a finding, {passed.count(False)} with one, {executions} executions")
    else:
        show("summary: " + targets[0].numbers())
    sys.exit(130 if interrupted.is_set() else 0 if all(passed) else 1)


if __name__ == "__main__":
    main()
