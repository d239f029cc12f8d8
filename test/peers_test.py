#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test that peers.md names exists.

Each row of a table there has a number, a defect, and what became of it: "test:" with cases that exist, "does not apply:" or
"not yet:" with a reason. The numbers of a subject go up by one from 1. Before it judges the page, it judges a
fabricated one in which every rule is broken once.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASE = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P)\((\w+),\s*(\w+)\)", re.MULTILINE)
REFERENCE = re.compile(r"`([^`]+)`")
OUTCOMES = ("test: ", "does not apply: ", "not yet: ")


def cases_of(root):
    found = set()
    for folder in ("src", "test", "bench"):
        for path in (root / folder).rglob("*_test.cc"):
            found |= {f"{suite}.{case}" for suite, case in CASE.findall(path.read_text(encoding="utf-8"))}
    found |= {f"diff/{path.stem}" for path in (root / "test" / "diff" / "sequences").glob("*.seq")}
    for path in (root / "test" / "drivers").rglob("*cenario.*"):
        if "node_modules" not in path.parts:
            words = re.findall(r"[a-z][a-z_]*_[a-z_0-9]+", path.read_text(encoding="utf-8"))
            found |= {f"drivers/{word}" for word in words}
    return found


def follows(number, before):
    """Is `number` the next of its subject? `before`: subject -> the last one there."""
    subject, _, last = number.rpartition(".")
    expected = before.get(subject, 0) + 1
    before[subject] = int(last)
    return int(last) == expected


def row_fault(row, existing, before):
    cells = [cell.strip() for cell in row.strip().strip("|").split(" | ")]
    if len(cells) != 3 or not all(cells):
        return "a row has a number, a defect and what became of it"
    number, _defect, outcome = cells
    if not re.fullmatch(r"\d+(\.\d+)+", number):
        return f"{number} is no number"
    if not follows(number, before):
        return f"{number} is not the next number"
    references = REFERENCE.findall(outcome)
    for reference in references:
        if reference not in existing:
            return f"{reference} does not exist"
    if not outcome.startswith(OUTCOMES):
        return f"{number} must begin with one of: {', '.join(each.strip() for each in OUTCOMES)}"
    if outcome.startswith("test: ") and not references:
        return f"{number} names no test"
    return None


def faults(text, existing):
    found, rows, before = [], 0, {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            before = {}
        if not line.startswith("|") or line.startswith(("| number |", "| --- |")):
            continue
        rows += 1
        fault = row_fault(line, existing, before)
        if fault:
            found.append((number, fault))
    return found, rows


def self_test():
    lines = [
        "| number | defect | here |",
        "| --- | --- | --- |",
        "| 1.1 | good | test: `Suite.Case`, `diff/a-sequence`, `drivers/a_check` |",
        "| 1.2 | bad | test: `Suite.Other` |",
        "| 1.3 | bad | test: none |",
        "| 1.5 | bad | test: `Suite.Case` |",
        "| 1.6 | bad | some day |",
        "| 1.7 | bad | not yet: `diff/another` |",
        "| 1.8 | bad |",
        "| x | bad | test: `Suite.Case` |",
        "| 2.1 | good | does not apply: there is none |",
        "## Another",
        "| 1.1 | good | not yet: something |",
    ]
    existing = {"Suite.Case", "diff/a-sequence", "drivers/a_check"}
    found, rows = faults("\n".join(lines), existing)
    if [number for number, _ in found] != [4, 5, 6, 7, 8, 9, 10] or rows != 10:
        sys.exit(f"peers_test misjudges its own example: {rows} rows, {found}")


def main():
    self_test()
    page = ROOT / "test" / "peers.md"
    found, rows = faults(page.read_text(encoding="utf-8"), cases_of(ROOT))
    for number, fault in found:
        print(f"{page.relative_to(ROOT)}:{number}: {fault}")
    print(f"{rows} rows, {len(found)} against the rules")
    sys.exit(1 if found or not rows else 0)


if __name__ == "__main__":
    main()
