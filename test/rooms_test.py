#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one-way rule: each room includes only what stands below it.

Reads every #include under src/ and checks it against the table below, that liburing, wolfSSL and the JSON parser
stay in their rooms, that each file opens with its licence, and that each header (and each source without a header)
then says in prose what it is. Prints the offending lines. Before
it judges the tree, it judges a fabricated one in which every rule is broken once.
"""

import pathlib
import re
import sys
import tempfile

# Room -> rooms it may include, besides itself. src/README.md explains the levels.
ALLOWED = {
    "base": "",
    "ring": "base",
    "tls": "base",
    "wire": "base",
    "config": "base",
    "side": "base",
    "sql": "base",
    "auth": "wire base",
    "route": "wire config base",
    "admin": "wire config base",
    "net": "ring tls base",
    "pool": "net auth route wire config side base",
    "session": "pool net route auth admin wire config side sql base",
    "shard": "session pool net auth route admin ring tls wire config side sql base",
    "main": "shard session pool net auth route admin ring tls wire config side sql base",
}
ALLOWED = {room: set(below.split()) for room, below in ALLOWED.items()}

# Header of a library -> the rooms that may include it.
LIBRARIES = {
    r"liburing(\.h|/)|linux/io_uring": {"ring"},
    r"wolfssl/": {"tls", "auth"},
    r"nlohmann/": {"config"},
    r"pg_query(\.h|/)|protobuf-c/": {"sql"},
}

# Written in quotes too, as their own documentation does.
OUTSIDE = {"absl", "gtest", "gmock", "benchmark"}

LICENCE = "// SPDX-License-Identifier: GPL-3.0-or-later"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def stands_on(room):
    """Everything below a room, directly or not: what its tests may build their world from."""
    reached, todo = set(), [room]
    while todo:
        for below in ALLOWED[todo.pop()] - reached:
            reached.add(below)
            todo.append(below)
    return reached


def include_fault(room, is_test, mark, name):
    for pattern, rooms in LIBRARIES.items():
        if re.match(pattern, name) and room not in rooms:
            return f"{name} belongs to {' and '.join(sorted(rooms))}, not to {room}"
    target = name.split("/")[0]
    if mark == "<" or target in OUTSIDE:
        return None
    if "/" not in name or target not in ALLOWED:
        return f'"{name}": includes are written from the root of src, "room/file.h"'
    allowed = stands_on(room) if is_test else ALLOWED[room]
    if target != room and target not in allowed:
        may = ", ".join(sorted(allowed)) or "nothing"
        return f'{room} may not include {target} ("{name}"); it may include: {may}'
    return None


def needs_prose(path):
    """A header says what the room offers; a source beside its header, or a test beside its subject, adds mechanism."""
    if path.suffix == ".h":
        return True
    subject = path.with_name(path.name.replace("_test.cc", ".cc"))
    return not any(p.exists() and p != path for p in (subject, subject.with_suffix(".h")))


def opening_fault(path, lines):
    if not lines or lines[0].rstrip() != LICENCE:
        return f"the first line must be {LICENCE}"
    if not needs_prose(path):
        return None
    for line in lines[1:]:
        if not line.startswith("//"):
            break
        if len(line.lstrip("/ ").split()) >= 3:
            return None
    return "after the licence a comment must say what this file is"


def faults(src):
    found, files, includes = [], 0, 0
    for path in sorted(src.rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        files += 1
        room = path.relative_to(src).parts[0]
        lines = path.read_text(encoding="utf-8").splitlines()
        if room not in ALLOWED:
            found.append(f"{path}:1: {room} is not a room")
            continue
        fault = opening_fault(path, lines)
        if fault:
            found.append(f"{path}:1: {fault}")
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if match:
                includes += 1
                fault = include_fault(room, path.stem.endswith("_test"), *match.groups())
                if fault:
                    found.append(f"{path}:{number}: {fault}")
    return found, files, includes


def self_test():
    opening = LICENCE + "\n//\n// What this file is.\n"
    tree = {
        "wire/good.h": opening + '#include "base/bytes.h"\n#include "wire/other.h"\n#include <vector>\n',
        "wire/upward.h": opening + '#include "pool/pool.h"\n',
        "net/kernel.cc": opening + "#include <liburing.h>\n",
        "route/secret.cc": opening + "  #  include <wolfssl/ssl.h>\n",
        "pool/json.cc": opening + "#include <nlohmann/json.hpp>\n",
        "base/relative.h": opening + '#include "../wire/framer.h"\n',
        "base/bare.h": opening + '#include "bytes.h"\n',
        "base/unlicensed.h": "// What this file is.\n",
        "base/silent.h": LICENCE + "\n#pragma once\n",
        "base/lonely.cc": LICENCE + "\n#include <vector>\n",
        "wire/good.cc": LICENCE + "\n#include \"wire/good.h\"\n#include \"absl/strings/str_cat.h\"\n",
        "wire/good_test.cc": LICENCE + "\n#include \"wire/good.h\"\n",
        "helpers/stray.h": opening,
        "pool/pool_test.cc": opening + '#include "ring/ring.h"\n#include <gtest/gtest.h>\n',
        "pool/direct.cc": opening + '#include "ring/ring.h"\n',
        "wire/framer_test.cc": opening + '#include "net/stream.h"\n',
    }
    expected = {
        "wire/upward.h:4", "net/kernel.cc:4", "route/secret.cc:4", "pool/json.cc:4", "base/relative.h:4",
        "base/bare.h:4", "base/unlicensed.h:1", "base/silent.h:1", "base/lonely.cc:1", "helpers/stray.h:1", "pool/direct.cc:4",
        "wire/framer_test.cc:4",
    }
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, text in tree.items():
            (src / name).parent.mkdir(exist_ok=True)
            (src / name).write_text(text)
        reported = {f.split(": ")[0].removeprefix(folder + "/") for f in faults(src)[0]}
    if reported != expected:
        sys.exit("rooms_test misjudges its own example.\n"
                 f"  missed: {expected - reported}\n  wrongly reported: {reported - expected}")


def main():
    self_test()
    src = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / "src"
    found, files, includes = faults(src)
    for fault in found:
        print(fault)
    print(f"{files} files, {includes} includes, {len(found)} against the rules")
    sys.exit(1 if found or not files else 0)


if __name__ == "__main__":
    main()
