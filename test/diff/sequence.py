# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form of a message sequence: README.md has the steps. A file is read into a Sequence and written back; a
step becomes the bytes a client sends."""

import dataclasses
import pathlib
import re
import struct

import messages

TOKEN = re.compile(r'\s+|x"((?:[0-9a-fA-F]{2})*)"|"((?:[^"\\]|\\.)*)"|([^\s"]+)')
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}
KINDS = {"statement": "S", "portal": "P"}
WAITS = {"ready": "Z", "notification": "A", "copy-in": "G", "copy-out": "H", "error": "E", "suspended": "s",
         "complete": "C", "notice": "N", "closed": "closed", "row": "D", "bound": "2", "parsed": "1"}
MODES = ("transaction", "session")


class SequenceError(Exception):
    """The text is not a sequence; says where."""


class Word(str):
    """A token that was written without quotes."""


class Octets(bytes):
    """A token that was written in hexadecimal."""


def tokens(line):
    found, at = [], 0
    while at < len(line):
        match = TOKEN.match(line, at)
        if not match:
            raise SequenceError(f"cannot read from here on: {line[at:]}")
        at = match.end()
        if match.group(1) is not None:
            found.append(Octets(bytes.fromhex(match.group(1))))
        elif match.group(2) is not None:
            found.append(re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), match.group(2), flags=re.S))
        elif match.group(3) is not None:
            if found and match.group(3) == "#":
                raise SequenceError("a comment has a line of its own")
            found.append(Word(match.group(3)))
    return found


def quoted(value):
    if isinstance(value, Octets):
        return f'x"{value.hex()}"'
    if isinstance(value, Word):
        return str(value)
    out = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{out}"'


def name(token):
    """Of a statement or portal; - is the unnamed one."""
    return "" if token == "-" else str(token)


def value(token):
    if isinstance(token, Octets):
        return bytes(token)
    return messages.NULL if isinstance(token, Word) and token == "null" else token.encode()


def type_oid(token):
    if token.isdigit():
        return int(token)
    if token not in messages.TYPES:
        raise SequenceError(f"unknown type {token}; write its OID")
    return messages.TYPES[token]


def bind_bytes(portal, statement, *rest):
    formats, arguments = {"in": [], "out": []}, []
    for token in rest:
        if isinstance(token, Word) and token.startswith(("in=", "out=")):
            key, items = token.split("=")
            formats[key] = [int(item) for item in items.split(",")]
        else:
            arguments.append(value(token))
    return messages.bind(name(portal), name(statement), arguments, formats)


def raw_bytes(*parts):
    return b"".join(bytes(part) if isinstance(part, Octets) else part.encode() for part in parts)


# What a client sends for a step; what is not in here is done by who plays it: wait, disconnect, cancel, visit.
BYTES = {
    "parse": lambda statement, sql, *types: messages.parse(name(statement), sql, [type_oid(t) for t in types]),
    "bind": bind_bytes,
    "describe": lambda kind, what: messages.describe(KINDS[kind], name(what)),
    "close": lambda kind, what: messages.close(KINDS[kind], name(what)),
    "execute": lambda portal, rows_max="0": messages.execute(name(portal), int(rows_max)),
    "flush": lambda: messages.message("H"),
    "sync": lambda: messages.message("S"),
    "query": lambda sql: messages.message("Q", messages.text(sql)),
    "copydata": lambda *parts: messages.message("d", raw_bytes(*parts)),
    "copydone": lambda: messages.message("c"),
    "copyfail": lambda why="": messages.message("f", messages.text(why)),
    "function": lambda oid, *arguments: messages.function_call(int(oid), [value(a) for a in arguments]),
    "terminate": lambda: messages.message("X"),
    "message": lambda kind, *parts: messages.message(kind, raw_bytes(*parts)),
    "raw": raw_bytes,
    "int4": lambda number: struct.pack("!i", int(number)),
}
PLAYED = {"wait": (0, 1), "disconnect": (0, 0), "cancel": (0, 0), "login": (0, 99)}


@dataclasses.dataclass
class Step:
    client: str
    verb: str
    arguments: list
    data: bytes = b""

    def text(self, alone):
        prefix = "" if alone else f"{self.client}: "
        return prefix + " ".join([self.verb] + [quoted(a) for a in self.arguments])


def replaced(arguments, what, by):
    return [type(a)(a.replace(what, by)) if isinstance(a, str) else a for a in arguments]


def make_step(client, verb, arguments):
    step = Step(client, str(verb), list(arguments))
    try:
        if step.verb in BYTES:
            step.data = BYTES[step.verb](*arguments)
        elif step.verb == "many":  # many N STEP...: that step N times, %d being its number
            count, inner, *rest = arguments
            step.data = b"".join(BYTES[str(inner)](*replaced(rest, "%d", str(i))) for i in range(int(count)))
        elif step.verb == "large":  # large N STEP...: %s in it stands for N characters
            size, inner, *rest = arguments
            step.data = BYTES[str(inner)](*replaced(rest, "%s", "x" * int(size)))
        elif step.verb not in PLAYED:
            raise SequenceError(f"there is no step {step.verb}")
        else:
            least, most = PLAYED[step.verb]
            if not least <= len(arguments) <= most:
                raise SequenceError(f"{step.verb} has {len(arguments)} arguments")
            if step.verb == "wait" and arguments and arguments[0] not in WAITS:
                raise SequenceError(f"wait for what? one of {', '.join(WAITS)}")
    except (KeyError, TypeError, ValueError) as error:
        raise SequenceError(f"{step.verb}: {error}") from None
    return step


@dataclasses.dataclass
class Sequence:
    name: str
    steps: list
    title: str = ""
    pool: int = 3
    alone: bool = False     # nobody else uses the pool meanwhile
    loose: bool = False     # the clients have nothing to do with each other and may wait for a server
    pieces: int = 0         # through Trireme, bytes go in pieces of this size
    modes: tuple = MODES
    needs: tuple = ()       # subjects of expected.txt

    def clients(self):
        return list(dict.fromkeys(step.client for step in self.steps))

    def vanished(self):
        return {step.client for step in self.steps if step.verb == "disconnect"}

    def text(self):
        head = [f"# {line}" for line in self.title.splitlines()]
        head += [f"pool {self.pool}"] if self.pool != 3 else []
        head += ["alone"] if self.alone else []
        head += [f"pieces {self.pieces}"] if self.pieces else []
        head += ["loose"] if self.loose else []
        head += ["modes " + " ".join(self.modes)] if self.modes != MODES else []
        head += ["needs " + " ".join(self.needs)] if self.needs else []
        one = self.clients() == ["a"]
        return "\n".join(head + [""] + [step.text(one) for step in self.steps]) + "\n"


def read(text, called):
    sequence = Sequence(called, [])
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        try:
            if line.startswith("#"):
                if not sequence.steps:
                    sequence.title += line.lstrip("# ") + "\n"
                continue
            match = re.match(r"([a-z]): +(.*)", line)
            client, rest = (match.group(1), match.group(2)) if match else ("a", line)
            words = tokens(rest)
            if not words:
                continue
            verb, *arguments = words
            if verb == "pool":
                sequence.pool = int(arguments[0])
            elif verb == "pieces":
                sequence.pieces = int(arguments[0])
            elif verb == "alone":
                sequence.alone = True
            elif verb == "loose":
                sequence.loose = True
            elif verb == "modes":
                sequence.modes = tuple(str(a) for a in arguments)
            elif verb == "needs":
                sequence.needs = tuple(str(a) for a in arguments)
            else:
                sequence.steps.append(make_step(client, verb, arguments))
        except SequenceError as error:
            raise SequenceError(f"{called}:{number}: {error}") from None
    if not sequence.steps:
        raise SequenceError(f"{called}: no step")
    return sequence


def read_file(path):
    path = pathlib.Path(path)
    return read(path.read_text(encoding="utf-8"), path.stem)
