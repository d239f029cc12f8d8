#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own tests, run directly and through Trireme: the results must be the same files.

usage: regress.py --prepared FOLDER --binary TRIREME [--modes MODE,...] [--suites SUITE,...] [--tests NAME,...]
                  [--minutes N] [--results FOLDER] [--quiet]

The suites are regress (219 SQL files), isolation (several sessions, step by step; session mode only, since it watches
which backend waits for which) and libpq_pipeline (libpq's pipeline mode, with a trace of its messages). Whether a result is
what PostgreSQL's authors expected is of no matter here: it must be what the same server says without Trireme.

Each mode has a new PostgreSQL, so that all start alike. Results and differences are kept in --results. Exit code 1 when a
result differs that expected.txt does not explain; 77 when the tests are not there (tools/regress gets them).
"""

import argparse
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools" / "lib"))

import instances  # noqa: E402

DATABASE = "regression"
SESSIONS_MAX = 4  # tests at a time: two cores
SUITES = ("regress", "isolation", "libpq_pipeline")
MODES = ("session", "transaction")
# As pg_regress makes its database.
DATABASE_SETTINGS = ["lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'",
                     "bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'"]
PIPELINE_ROWS = "700"
# Of the others it depends on how the bytes came in what they say and in which order; how they end does not.
TRACED = {"simple_pipeline", "nosync", "multi_pipelines", "prepared", "singlerow", "pipeline_abort", "transaction",
          "disallowed_in_pipeline"}
# Its own line for a test, alone or in a group.
PROGRESS = re.compile(r"^(?:test|    ) (\S+) +\.\.\. (.+?) +(\d+) ms")


def say(text):
    print(text, flush=True)


def configuration(port, mode):
    return {
        "cores": 2, "auth": "trust", "storages": {"main": {"hosts": [f"127.0.0.1:{port}"]}},
        "users": {"*": {}}, "routes": [{"storage": "main", "pool": {"mode": mode, "size": 20, "wait_timeout": "30s"}}],
        "timeouts": {"shutdown": "5s"},
    }


def run_bounded(command, seconds, on_line, **more):
    """Its exit code, or None when it had to be ended."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True, **{"stdin": subprocess.DEVNULL, **more})
    expired = threading.Event()

    def expire():
        expired.set()
        os.killpg(process.pid, 9)  # the session this started, and nothing else

    alarm = threading.Timer(seconds, expire)
    alarm.start()
    with process.stdout:
        for line in process.stdout:
            on_line(line.rstrip("\n"))
    code = process.wait()
    alarm.cancel()
    return None if expired.is_set() else code


class Way:
    """To PostgreSQL: direct, or through Trireme in a mode. One at a time, since all use the same folder: paths are in
    the results."""

    def __init__(self, name, folder, arguments):
        self.name, self.folder, self.arguments = name, folder, arguments
        self.postgres = instances.Postgres("max_prepared_transactions = 2\n")
        self.trireme = None
        try:
            self.sql("postgres", f"CREATE DATABASE {DATABASE} TEMPLATE = template0",
                     *(f"ALTER DATABASE {DATABASE} SET {setting}" for setting in DATABASE_SETTINGS))
            if name != "direct":
                self.trireme = instances.Trireme(arguments.binary, configuration(self.postgres.port, name))
        except BaseException:
            self.postgres.stop()
            raise
        self.port = self.trireme.port if self.trireme else self.postgres.port

    def sql(self, database, *commands):
        for command in commands:
            subprocess.run([instances.program("psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(self.postgres.port), "-U",
                            "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-c", command], check=True)

    def environment(self):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return {**kept, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "LC_ALL": "C"}

    def driver(self, name, suite, schedule, more):
        """pg_regress or pg_isolation_regress."""
        output = self.folder.path / "output"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        if self.postgres.user:
            os.chown(output, self.postgres.user.pw_uid, self.postgres.user.pw_gid)
        command = [str(self.folder.path / "lib" / name), f"--inputdir={self.folder.path / suite}",
                   f"--outputdir={output}", f"--bindir={os.path.dirname(instances.program('psql'))}",
                   "--use-existing", f"--dbname={DATABASE}", "--host=127.0.0.1", f"--port={self.port}",
                   "--user=postgres", f"--max-connections={SESSIONS_MAX}", *more]
        command += [f"--schedule={schedule}"] if schedule else self.arguments.tests
        finished = 0

        def follow(line):
            nonlocal finished
            match = PROGRESS.match(line)
            if match:
                finished += 1
                if not self.arguments.quiet:
                    say(f"    {self.name:<12} {finished:>3} {match.group(1):<28} {int(match.group(3)) / 1000:.1f} s")

        code = run_bounded(command, self.arguments.minutes * 60, follow, cwd=output, env=self.environment(),
                           **{key: value for key, value in instances.as_user(self.postgres.user).items() if key != "cwd"})
        results = self.arguments.results / suite / self.name
        shutil.rmtree(results, ignore_errors=True)
        shutil.copytree(output / "results", results)
        if code is None:
            say(f"    {self.name}: not finished within {self.arguments.minutes} minutes; what is missing counts as different")
        return {path.stem: path.read_text(errors="replace") for path in results.glob("*.out")}

    def schedule(self, suite, name):
        return None if self.arguments.tests else self.folder.path / suite / name

    def regress(self):
        return self.driver("pg_regress", "regress", self.schedule("regress", "parallel_schedule"),
                           [f"--dlpath={self.folder.path / 'lib'}"])

    def isolation(self):
        return self.driver("pg_isolation_regress", "isolation", self.schedule("isolation", "isolation_schedule"), [])

    def libpq_pipeline(self):
        program, results = str(self.folder.path / "lib" / "libpq_pipeline"), {}
        target = f"host=127.0.0.1 port={self.port} user=postgres dbname={DATABASE}"
        names = subprocess.run([program, "tests"], text=True, capture_output=True, check=True).stdout.split()
        kept = self.arguments.results / "libpq_pipeline" / self.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for name in names:
            trace, said, start = kept / f"{name}.trace", [], time.monotonic()
            tracing = ["-t", str(trace)] if name in TRACED else []
            code = run_bounded([program, "-r", PIPELINE_ROWS, *tracing, name, target], 60, said.append, env=self.environment())
            if not self.arguments.quiet:
                say(f"    {self.name:<12}     {name:<28} {time.monotonic() - start:.1f} s")
            text = trace.read_text(errors="replace") if trace.exists() else ""
            (kept / f"{name}.out").write_text("\n".join(said))
            results[name] = "\n".join((said + [text] if name in TRACED else said[-1:]) + [f"exit code {code}"])
        return results

    def stop(self):
        """The complaints of a Trireme that did not end well."""
        try:
            if self.trireme:
                self.trireme.stop()
        except instances.InstanceError as error:
            return [str(error)]
        finally:
            self.postgres.stop()
        return []


def expected_differences():
    """(suite, mode, test) → reason."""
    found = {}
    for number, line in enumerate((HERE / "expected.txt").read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where, _, reason = line.partition(":")
        if len(where.split()) != 3 or not reason.strip():
            sys.exit(f"expected.txt:{number}: SUITE MODE TEST: REASON is what a line says, not: {line}")
        found[tuple(where.split())] = reason.strip()
    return found


def compare(suite, mode, direct, through, arguments, expected):
    """Prints what differs; returns how many differ without an explanation."""
    different = [name for name in direct if direct[name] != through.get(name)]
    unexplained = [name for name in different if (suite, mode, name) not in expected]
    gone = [name for s, m, name in expected if (s, m) == (suite, mode) and name in direct and name not in different]
    with open(arguments.results / suite / f"{mode}.diff", "w", encoding="utf-8") as file:
        for name in different:
            lines = list(difflib.unified_diff(direct[name].splitlines(), through.get(name, "").splitlines(), f"{name} direct",
                                              f"{name} {mode}", lineterm="", n=3))
            file.write("\n".join(lines) + "\n")
            if name in unexplained:
                say(f"    {name}: {sum(line[:1] in '+-' for line in lines) - 2} lines differ")
    for name in gone:
        say(f"    {name} differs no longer, so expected.txt need not explain it")
    say(f"{suite}, {mode} mode: {len(direct) - len(different)} of {len(direct)} results are the same, {len(unexplained)} "
        f"differ, {len(different) - len(unexplained)} as expected.txt explains"
        + (f"; see {os.path.relpath(file.name)}" if different else ""))
    return len(unexplained)


def run_way(name, folder, arguments):
    """suite → test → result."""
    results = {}
    for suite in arguments.suites:
        if suite == "isolation" and name == "transaction":
            continue
        way = Way(name, folder, arguments)
        try:
            results[suite] = getattr(way, suite)()
        finally:
            complaints = way.stop()
        if complaints:
            results[suite]["(end of Trireme)"] = "\n".join(complaints)
            say("\n".join(complaints))
    return results


def copy_tests(prepared, folder):
    for suite, source in (("regress", "regress"), ("isolation", "isolation")):
        shutil.copytree(prepared / "source" / "src" / "test" / source, folder / suite)
    shutil.copytree(prepared / "lib", folder / "lib")
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--prepared", type=pathlib.Path, required=True)
    parser.add_argument("--binary", type=os.path.abspath, default=os.environ.get("TRIREME_BINARY"))
    parser.add_argument("--modes", type=lambda text: text.split(","), default=list(MODES))
    parser.add_argument("--suites", type=lambda text: text.split(","), default=list(SUITES))
    parser.add_argument("--tests", type=lambda text: text.split(","), default=[])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.prepared / "lib" / "pg_regress").exists():
        print("PostgreSQL's tests are not here; tools/regress gets them")
        sys.exit(77)
    for name, known in (("modes", MODES), ("suites", SUITES)):
        wrong = set(getattr(arguments, name)) - set(known)
        if wrong:
            sys.exit(f"--{name}: {', '.join(sorted(wrong))} is none of {', '.join(known)}")
    arguments.results = arguments.results or arguments.prepared / "results"
    expected, unexplained = expected_differences(), 0
    folder = instances.Folder(instances.ordinary_user())
    try:
        copy_tests(arguments.prepared, folder.path)
        direct = run_way("direct", folder, arguments)
        for mode in arguments.modes:
            through = run_way(mode, folder, arguments)
            for suite in through:
                unexplained += compare(suite, mode, direct[suite], through[suite], arguments, expected)
                unexplained += "(end of Trireme)" in through[suite]
    finally:
        folder.remove()
    say(f"summary: {sum(map(len, direct.values()))} results compared, {unexplained} differ without an explanation")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
