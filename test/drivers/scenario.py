# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the Python scenarios: @check registers a function, run() runs them in the order they stand.

Each runs in a process of its own, so what one leaves behind, or hangs in, is no other's trouble. A check fails by raising;
it must hold directly and through the pooler alike.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
import traceback

CHECK_SECONDS_MAX = 20
ROUNDS = 20  # transactions after which a client has surely met every server of the pool
CLIENTS = 12  # three times the servers of the pool
MODE = os.environ.get("DRIVERS_MODE", "direct")

checks = []


def check(function):
    checks.append(function)
    return function


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{_short(actual)}, not {_short(expected)}")


def _short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


def raises(kind, function, sqlstate=None, attribute="sqlstate"):
    """The exception of that kind that `function` must raise."""
    try:
        function()
    except kind as error:
        if sqlstate is not None:
            equal(getattr(error, attribute), sqlstate)
        return error
    raise AssertionError(f"no {kind.__name__}")


def until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def in_threads(count, work):
    """Runs work(0) … work(count - 1) at the same time; raises the first failure."""
    failures = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:  # told by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _perform(function):
    if inspect.iscoroutinefunction(function):
        asyncio.run(function())
    else:
        function()


def _story(error):
    place = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in place if "scenario" in frame.filename] or place
    line = f" (line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}".strip() + line


def _in_child(function, write_end):
    try:
        _perform(function)
        story = ""
    except BaseException as error:  # every way to fail is a failure
        story = _story(error) or "failed"
    os.write(write_end, story.encode(errors="replace")[:60000])
    os._exit(0)  # what the check left open ends here, as a client that vanishes


def _run_one(function):
    """Why it failed, "" when it did not."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _in_child(function, write_end)
    os.close(write_end)
    alarm = threading.Timer(CHECK_SECONDS_MAX, os.kill, (pid, signal.SIGKILL))
    alarm.start()
    with os.fdopen(read_end, "rb") as story:
        text = story.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    alarm.cancel()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"no end within {CHECK_SECONDS_MAX} s" if number == signal.SIGKILL else f"signal {number}"
    return text


def run():
    only = os.environ.get("DRIVERS_ONLY", "")
    for function in checks:
        if only not in function.__name__:
            continue
        begin = time.monotonic()
        story = _run_one(function).replace("\t", " ").replace("\n", "\\n")
        milliseconds = int((time.monotonic() - begin) * 1000)
        outcome = f"failed\t{function.__name__}\t{milliseconds}\t{story}" if story else f"ok\t{function.__name__}\t{milliseconds}"
        print(outcome, flush=True)
    print("done", flush=True)


def absent(reason):
    print(f"absent\t{reason}", flush=True)
    sys.exit(0)
