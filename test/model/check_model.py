#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the formal models of what cores share: every state that the model can reach, no state left out.

usage: check_model.py [NAME-PATTERN]

First the models as the code is: no property may fail. Then the same models with one step done wrong, as README.md
lists them: each must be found. One line for each: what was asked, the states that were visited, the longest path, the
seconds. Needs spin and a C compiler; 77 (skipped) when spin is missing. Exit code 1 when anything is not as it must be.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SECONDS_MAX = 600  # on a machine that has other things to do; README.md has what they take alone
MEGABYTES_MAX = 2000

POOLS = "3 cores, 2 pools under one cap: "


def setting(cores, pools, requests, faults, **more):
    return {"N": cores, "P": pools, "REQUESTS": requests, "CLIENTS": 3, "FAULTS": faults, **more}


ONE_POOL = setting(3, 1, 3, 1)
TWO_POOLS = setting(3, 2, 3, 1)
TWO_POOLS_CALM = setting(3, 2, 3, 0)

# Model, what it shows, switches, and how: "" = nothing bad ever comes, "any" = something good comes in any run,
# "fair" = in any run in which no core stops for ever.
PROPERTIES = [
    ("sleep", "no letter waits for a sleeper, none is doubled: 2 cores", dict(N=2, LETTERS=3), ""),
    ("sleep", "no letter waits for a sleeper, none is doubled: 3 cores", dict(N=3, LETTERS=1), ""),
    ("sleep", "every letter is read in the end: 2 cores", dict(N=2, LETTERS=2), "fair"),
    ("stealing", POOLS + "caps, servers, wake-ups", TWO_POOLS, ""),
    ("stealing", POOLS + "size 2", dict(TWO_POOLS_CALM, SIZE=2, STORAGE=2), ""),
    ("stealing", "3 cores, 1 pool of size 2: caps, servers, wake-ups", dict(ONE_POOL, SIZE=2, STORAGE=2, FAULTS=0), ""),
    ("stealing", "2 cores, 1 pool, requests without end: caps, servers, wake-ups", setting(2, 1, 255, 1, CLIENTS=2), "breadth first"),
    ("stealing", POOLS + "every waiter is served or told", dict(TWO_POOLS_CALM, AGES=1), "any"),
    ("stealing", "3 cores, 1 pool: every waiter is served or told", dict(ONE_POOL, AGES=1), "any"),
    ("stealing", "2 cores, 1 pool: … under three faults", dict(setting(2, 1, 3, 3), AGES=1), "any"),
]

# A step done wrong, and what must be said of it.
DEFECTS = [
    ("sleep", "LOOKS_BEFORE_IT_SAYS", dict(N=2), "letter_nobody_is_woken_for"),
    ("sleep", "LOOKS_BEFORE_IT_ANNOUNCES", dict(N=2), "letter_nobody_is_woken_for"),
    ("sleep", "CLEARS_AFTER_READING", dict(N=2), "letter_nobody_is_woken_for"),
    ("sleep", "SLEEPS_BACKED_UP", dict(N=2), "letter_nobody_is_woken_for"),
    ("stealing", "NO_LOOK_AFTER_HUNGER", ONE_POOL, "waiter_beside"),
    ("stealing", "NO_LOOK_AFTER_PARK", ONE_POOL, "waiter_beside"),
    ("stealing", "GIVE_UP_CLAIM", ONE_POOL, "waiter_beside"),
    ("stealing", "SILENT_RELEASE", ONE_POOL, "waiter_beside"),
    ("stealing", "SILENT_TO_OTHER_POOLS", TWO_POOLS, "waiter_beside"),
    ("stealing", "KEEP_CLAIM", ONE_POOL, "waiter_beside"),
    ("stealing", "SILENT_DEATH", ONE_POOL, "waiter_beside"),
    ("stealing", "DROP_LATE_GRANT", ONE_POOL, "server_lost_or_doubled"),
    ("stealing", "GRANT_WITHOUT_CLAIM", ONE_POOL, "advertised"),
    ("stealing", "CAP_UNRESERVED", ONE_POOL, "cap_exceeded"),
]


def verify(model, switches, lasting, optimised):
    """Runs spin; (what it printed, seconds)."""
    start = time.monotonic()
    defines = [f"-D{name}={value}" for name, value in switches.items()]
    compile_, run = ["-DCOLLAPSE", f"-DMEMLIM={MEGABYTES_MAX}"], ["-m4000000", "-w24"]
    if lasting in ("any", "fair"):
        defines.append("-DLIVENESS=1")
        run.append("-a")
        compile_.append("-DNFAIR=3")
        if lasting == "fair":
            run.append("-f")
    else:
        compile_ += ["-DSAFETY", "-DNOREDUCE"]
        if lasting == "breadth first":  # for runs without end, whose depth would be that of the whole space
            compile_.append("-DBFS")
    with tempfile.TemporaryDirectory() as folder:
        for command in (["spin", *defines, "-a", str(HERE / (model + ".pml"))],
                        ["gcc", optimised, "-w", *compile_, "-o", "pan", "pan.c"]):
            made = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=SECONDS_MAX, check=False)
            if made.returncode != 0:
                return f"{' '.join(command)}\n{made.stdout}{made.stderr}", time.monotonic() - start
        try:
            output = subprocess.run(["./pan", *run], cwd=folder, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=False).stdout
        except subprocess.TimeoutExpired as expired:
            output = f"not done in {SECONDS_MAX} seconds\n{(expired.stdout or b'').decode()}"
        return output, time.monotonic() - start


def number(pattern, output):
    found = re.search(pattern, output)
    return int(found.group(1)) if found else 0


def check(job):
    model, name, switches, lasting, expected = job
    output, seconds = verify(model, switches, lasting, "-O1" if expected is None else "-O0")
    states = number(r"(\d+) states, stored", output)
    depth = number(r"depth reached (\d+)", output)
    whole = ("errors: " in output and "max search depth too small" not in output
             and "Search not completed" not in output)
    errors = number(r"errors: (\d+)", output)
    if expected is None:
        good = whole and errors == 0 and states > 0
        verdict = "holds" if good else "DOES NOT HOLD"
    else:
        good = errors > 0 and expected in output
        verdict = f"found: {expected}" if good else f"NOT FOUND ({expected})"
    line = f"{model:<8}  {name}: {verdict}  ({states} states, depth {depth}, {seconds:.1f} s)"
    return good, line if good else line + "\n" + "\n".join("    " + text for text in output.splitlines()[:40])


def main():
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        print("spin or gcc is not installed; tools/setup installs them")
        sys.exit(77)
    pattern = sys.argv[1].lower() if len(sys.argv) > 1 else ""
    jobs = [(model, name, switches, lasting, None) for model, name, switches, lasting in PROPERTIES]
    jobs += [(model, name, dict(switches, **{name: 1}), "", expected) for model, name, switches, expected in DEFECTS]
    jobs = [job for job in jobs if pattern in f"{job[0]} {job[1]}".lower()]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for good, line in pool.map(check, jobs):
            print(line, flush=True)
            bad += not good
    print(f"{len(jobs) - bad} as they must be, {bad} not")
    sys.exit(1 if bad or not jobs else 0)


if __name__ == "__main__":
    main()
