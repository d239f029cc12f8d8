# SPDX-License-Identifier: GPL-3.0-or-later
"""Are two conversations the same? Byte for byte, but for what two connections to one and the same PostgreSQL would not
have in common either, or what the protocol leaves to the sender:

  BackendKeyData        process id and secret are the connection's own; that there is one, and where, must be the same
  NotificationResponse  the process id of the session that notified
  ErrorResponse and     the fields F, L and R name a file, line and function of PostgreSQL's source: they change with
  NoticeResponse        every release, and an error that the pooler must raise itself has no such place
  RowDescription and    OIDs of tables and types made by users (from 16384 on) are counted up by the server: the first
  ParameterDescription  new one of a conversation is #1, the next #2
"""

import itertools
import struct

import messages

FIRST_USER_OID = 16384
SOURCE_FIELDS = "FLR"


class Normaliser:
    """Of one client's conversation."""

    def __init__(self):
        self.oids = {}

    def oid(self, number):
        if number < FIRST_USER_OID:
            return number
        return FIRST_USER_OID + self.oids.setdefault(number, len(self.oids) + 1)

    def __call__(self, item):
        kind, body = item
        if kind == "K":
            return kind, b""
        if kind == "A":
            return kind, b"\0\0\0\0" + body[4:]
        if kind in ("E", "N"):
            fields = [field for field in messages.error_fields(body) if field[0] not in SOURCE_FIELDS]
            return kind, messages.error_text(fields)
        if kind == "T":
            found = messages.columns(body)
            return kind, struct.pack("!H", len(found)) + b"".join(
                name + b"\0" + struct.pack("!IHIhih", self.oid(table), number, self.oid(type_), size, modifier, form)
                for name, table, number, type_, size, modifier, form in found)
        if kind == "t":
            count = (len(body) - 2) // 4
            return kind, body[:2] + b"".join(
                struct.pack("!I", self.oid(oid)) for oid in struct.unpack_from(f"!{count}I", body, 2))
        return item


def normalised(conversation):
    normalise = Normaliser()
    return [normalise(item) for item in conversation]


def differences(direct, through, vanished):
    """The clients whose conversations are not the same, with both. How far those came who vanished is chance."""
    found = []
    for client, expected in direct.messages.items():
        told = through.messages.get(client, [])
        length = direct.heard_out.get(client, min(len(expected), len(told)) if client in vanished else None)
        expected, told = expected[:length], told[:length]
        pair = normalised(expected), normalised(told)
        if pair[0] != pair[1]:
            found.append((client, *pair))
    return found


def kind_of(item):
    kind, body = item
    return kind + dict(messages.error_fields(body)).get("C", b"").decode() if kind in ("E", "N") else kind


def first_difference(direct, through):
    """What kind of message came instead of what."""
    pairs = itertools.zip_longest(direct, through, fillvalue=messages.SILENT)
    return next((kind_of(a), kind_of(b)) for a, b in pairs if a != b)


def runs(conversation):
    """(how often, message): many rows alike are one line."""
    out = []
    for item in conversation:
        if out and out[-1][1] == item:
            out[-1][0] += 1
        else:
            out.append([1, item])
    return out


def side_by_side(client, direct, through, width=66):
    """Lines for a person; from the first difference on, with a little before it."""
    first = next((i for i, pair in enumerate(zip(direct, through)) if pair[0] != pair[1]),
                 min(len(direct), len(through)))
    start = max(0, first - 6)
    lines = [f"client {client}, message {first + 1}:", f"  {'PostgreSQL':<{width}}   Trireme"]
    lines += [f"  … {start} messages alike"] if start else []
    left, right = runs(direct[start:]), runs(through[start:])
    for i in range(min(max(len(left), len(right)), 40)):
        cells = [f"{'' if side[i][0] == 1 else str(side[i][0]) + ' × '}{messages.shown(side[i][1])}"
                 if i < len(side) else "" for side in (left, right)]
        same = i < len(left) and i < len(right) and left[i] == right[i]
        if max(map(len, cells)) <= width or same:
            lines.append(f"  {cells[0]:<{width}} {' ' if same else '|'} {cells[1] if not same else cells[1][:width]}")
        else:
            lines += [f"  {'= ' if same else '- '}{cells[0]}", f"  + {cells[1]}"]
    return lines
