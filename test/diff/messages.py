# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's protocol 3.0 as bytes: what a client sends is put together here, and what a server says is taken
apart, compared and shown. No sockets.

A backend message is a pair (type, body), type one character. What no message says has a type of its own, longer than
one character: CLOSED when the server ended the connection, SILENT when what was awaited did not come."""

import struct

CLOSED = ("closed", b"")
SILENT = ("silent", b"")
NULL = None

TYPES = {"bool": 16, "bytea": 17, "int8": 20, "int2": 21, "int4": 23, "text": 25, "oid": 26, "json": 114,
         "float8": 701, "unknown": 705, "int4[]": 1007, "varchar": 1043, "date": 1082, "timestamptz": 1184,
         "numeric": 1700}

NAMES = {
    "R": "Authentication", "K": "BackendKeyData", "S": "ParameterStatus", "Z": "ReadyForQuery", "1": "ParseComplete",
    "2": "BindComplete", "3": "CloseComplete", "C": "CommandComplete", "D": "DataRow", "E": "ErrorResponse",
    "N": "NoticeResponse", "A": "NotificationResponse", "T": "RowDescription", "t": "ParameterDescription",
    "n": "NoData", "I": "EmptyQueryResponse", "s": "PortalSuspended", "G": "CopyInResponse", "H": "CopyOutResponse",
    "W": "CopyBothResponse", "d": "CopyData", "c": "CopyDone", "V": "FunctionCallResponse",
    "v": "NegotiateProtocolVersion", "closed": "(the server closed the connection)",
    "silent": "(nothing came)",
}


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def values(items):
    """A count, then each value with its length."""
    out = [struct.pack("!H", len(items))]
    for item in items:
        out.append(struct.pack("!i", -1) if item is NULL else struct.pack("!i", len(item)) + item)
    return b"".join(out)


def numbers(form, items):
    return struct.pack("!H", len(items)) + b"".join(struct.pack("!" + form, item) for item in items)


def startup(parameters, version=196608):
    body = struct.pack("!I", version) + b"".join(text(k) + text(v) for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel_request(key):
    return struct.pack("!II", len(key) + 8, 80877102) + key


def parse(name, sql, types):
    return message("P", text(name) + text(sql) + numbers("I", types))


def bind(portal, statement, arguments, formats):
    return message("B", text(portal) + text(statement) + numbers("H", formats["in"]) + values(arguments)
                   + numbers("H", formats["out"]))


def describe(kind, name):
    return message("D", kind.encode() + text(name))


def close(kind, name):
    return message("C", kind.encode() + text(name))


def execute(portal, rows_max):
    return message("E", text(portal) + struct.pack("!i", rows_max))


def function_call(oid, arguments):
    return message("F", struct.pack("!I", oid) + numbers("H", [1]) + values(arguments) + struct.pack("!H", 1))


class Splitter:
    """Bytes in, messages out."""

    def __init__(self):
        self.bytes = bytearray()

    def feed(self, data):
        self.bytes += data
        found, at = [], 0
        while len(self.bytes) - at >= 5:
            size = struct.unpack_from("!I", self.bytes, at + 1)[0]
            if len(self.bytes) - at < size + 1:
                break
            found.append((chr(self.bytes[at]), bytes(self.bytes[at + 5:at + 1 + size])))
            at += size + 1
        del self.bytes[:at]
        return found


def error_fields(body):
    """Of an ErrorResponse or NoticeResponse: (letter, value) in the order they came."""
    return [(part[:1].decode("latin1"), part[1:]) for part in body.split(b"\0") if part]


def error_text(fields):
    return b"".join(letter.encode("latin1") + value + b"\0" for letter, value in fields) + b"\0"


def columns(body):
    """Of a RowDescription: name, then the six numbers, each."""
    count, found, at = struct.unpack_from("!H", body)[0], [], 2
    for _ in range(count):
        end = body.index(b"\0", at)
        found.append((body[at:end], *struct.unpack_from("!IHIhih", body, end + 1)))
        at = end + 19
    return found


def fields_of_row(body):
    count, found, at = struct.unpack_from("!H", body)[0], [], 2
    for _ in range(count):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        found.append(NULL if size < 0 else body[at:at + size])
        at += max(size, 0)
    return found


def printable(data, limit=60):
    shown = "null" if data is NULL else repr(bytes(data))[2:-1]
    return shown if len(shown) <= limit else f"{shown[:limit]}… ({len(data)} bytes)"


def details(kind, body):
    if kind in "EN" and len(kind) == 1:
        return " ".join(f"{letter}={printable(value, 100)}" for letter, value in error_fields(body))
    if kind == "T":
        return " ".join(f"{printable(c[0])}({c[1]}.{c[2]} type {c[3]} size {c[4]} mod {c[5]} format {c[6]})"
                        for c in columns(body))
    if kind == "D":
        return " | ".join(printable(value) for value in fields_of_row(body))
    if kind == "t":
        return " ".join(str(n) for n in struct.unpack_from(f"!{(len(body) - 2) // 4}I", body, 2))
    if kind == "S":
        name, value = body.split(b"\0")[:2]
        return f"{printable(name)} = {printable(value)}"
    return printable(body) if body else ""


def shown(item):
    """One line for a person."""
    kind, body = item
    name = NAMES.get(kind, f"(type {kind!r})")
    try:
        rest = details(kind, body)
    except (struct.error, ValueError, IndexError):
        rest = "broken: " + printable(body)
    return f"{name} {rest}".rstrip()
