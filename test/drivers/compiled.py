#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles a scenario that is written in Java or Go, into build/drivers, and becomes it.

usage: compiled.py java CLASS | go NAME [--only-compile]
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "drivers"
JDBC = pathlib.Path("/usr/share/java/postgresql.jar")
GO_PATH = BUILD / "go" / "usr" / "share" / "gocode"


def absent(reason):
    print(f"absent\t{reason}", flush=True)
    sys.exit(0)


def compile_with(command, **more):
    outcome = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if outcome.returncode != 0:
        print(outcome.stdout)
        sys.exit(f"{command[0]} failed")


def is_older(target, sources):
    return not target.exists() or any(target.stat().st_mtime < source.stat().st_mtime for source in sources)


def become(command):
    if "--only-compile" not in sys.argv:
        os.execvp(command[0], command)


def java(name):
    if not shutil.which("javac") or not JDBC.exists():
        absent("javac, or " + str(JDBC))
    source, classes = HERE / "java" / f"{name}.java", BUILD / "java"
    compiled = classes / f"{name}.class"
    if is_older(compiled, [source, JDBC]):
        classes.mkdir(parents=True, exist_ok=True)
        compile_with(["javac", "-d", str(classes), "-cp", str(JDBC), str(source)])
    # Quick to start rather than quick in the long run.
    become(["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-Duser.timezone=UTC",
            "-Duser.language=en", "-cp", f"{JDBC}:{classes}", name])


def go(name):
    if not shutil.which("go") or not GO_PATH.exists():
        absent("go, or its drivers")
    program, sources = BUILD / f"{name}_scenario", ["scenario.go", f"{name}_scenario.go"]
    environment = {**os.environ, "GOPATH": str(GO_PATH), "GO111MODULE": "off", "GOCACHE": str(BUILD / "go-cache"),
                   "GOFLAGS": "", "CGO_ENABLED": "0", "GOPROXY": "off"}
    if is_older(program, [HERE / "go" / source for source in sources] + [GO_PATH]):
        compile_with(["go", "build", "-o", str(program), *sources], cwd=HERE / "go", env=environment)
    become([str(program)])


{"java": java, "go": go}[sys.argv[1]](sys.argv[2])
