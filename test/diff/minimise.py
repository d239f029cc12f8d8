# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a sequence that differs as small as it gets: steps are left out, first many at once, then one by one, as long as
what is left still differs."""

import dataclasses
import time


def without(sequence, start, count):
    return dataclasses.replace(sequence, steps=sequence.steps[:start] + sequence.steps[start + count:])


def minimised(sequence, differs, seconds):
    """`differs(sequence)` plays it. Ends after so many seconds with what it has."""
    end = time.monotonic() + seconds
    size = max(1, len(sequence.steps) // 2)
    while True:
        start, shorter = 0, False
        while start < len(sequence.steps) and time.monotonic() < end:
            candidate = without(sequence, start, size)
            if candidate.steps and differs(candidate):
                sequence, shorter = candidate, True
            else:
                start += size
        if time.monotonic() >= end or size == 1 and not shorter:
            return sequence
        if not shorter or size > 1:
            size = max(1, size // 2)
