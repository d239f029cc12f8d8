# SPDX-License-Identifier: GPL-3.0-or-later
"""Just enough of PostgreSQL's protocol to ask a console something: trust, simple queries, rows as dictionaries."""

import socket
import struct


class ConsoleError(Exception):
    pass


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


class Console:
    def __init__(self, port, database="trireme", user="postgres", timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")
        text = f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(message(b"", struct.pack("!I", 196608) + text))
        self.answer()

    def read(self):
        head = self.file.read(5)
        if len(head) < 5:
            raise ConsoleError("the console has closed the connection")
        size = struct.unpack("!I", head[1:])[0] - 4
        return head[:1], self.file.read(size)

    def answer(self):
        """Rows up to ReadyForQuery."""
        columns, rows, error = [], [], None
        while True:
            kind, body = self.read()
            if kind == b"Z":
                if error:
                    raise ConsoleError(error)
                return rows
            if kind == b"E":
                fields = dict((part[:1], part[1:].decode(errors="replace")) for part in body.split(b"\0") if part)
                error = fields.get(b"M", "error")
                if fields.get(b"S") == "FATAL":
                    raise ConsoleError(error)
            elif kind == b"R" and struct.unpack("!I", body[:4])[0] != 0:
                raise ConsoleError("the console asks for a password")
            elif kind == b"T":
                columns = column_names(body)
            elif kind == b"D":
                rows.append(dict(zip(columns, row_values(body))))

    def ask(self, sql):
        self.socket.sendall(message(b"Q", sql.encode() + b"\0"))
        return self.answer()

    def close(self):
        self.file.close()
        self.socket.close()


def column_names(body):
    count, at, names = struct.unpack("!H", body[:2])[0], 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        at = end + 1 + 18
    return names


def row_values(body):
    count, at, values = struct.unpack("!H", body[:2])[0], 2, []
    for _ in range(count):
        size = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        values.append(None if size < 0 else body[at:at + size].decode(errors="replace"))
        at += max(size, 0)
    return values
