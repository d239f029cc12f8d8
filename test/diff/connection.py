# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's connection: bytes out, messages in, nothing understood but the login.

Reading never sleeps: it waits for bytes, with a bound."""

import fcntl
import select
import socket
import struct
import termios
import time

import messages

SECONDS_MAX = 10
USER = "app"


class Connection:
    """`address` is a Unix socket's path, or a port of 127.0.0.1. `received` is all that came, the login included."""

    def __init__(self, address, database, parameters=None):
        self.address = address
        self.received = []
        self.closed = False
        self.piece = 65536  # bytes a send at most
        self.splitter = messages.Splitter()
        self.socket = self.connect()
        self.socket.setblocking(False)
        self.send(messages.startup({"user": USER, "database": database, **(parameters or {})}))
        self.read_until(lambda: self.closed or self.received and self.received[-1][0] in "ZE", SECONDS_MAX)

    def connect(self):
        if isinstance(self.address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(SECONDS_MAX)
            connection.connect(self.address)
        else:
            connection = socket.create_connection(("127.0.0.1", self.address), SECONDS_MAX)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def fileno(self):
        return self.socket.fileno()

    def send(self, data):
        """In a pipeline without end both sides may wait for the other to read, so it reads while it sends. What is
        sent to a peer that has closed goes nowhere."""
        left = memoryview(data)
        end = time.monotonic() + SECONDS_MAX
        while left and not self.closed and time.monotonic() < end:
            readable, writable, _ = select.select([self], [self], [], SECONDS_MAX)
            if readable:
                self.receive()
            if writable and not self.closed:
                try:
                    left = left[self.socket.send(left[:self.piece]):]
                except BlockingIOError:
                    pass
                except OSError:
                    self.end()

    def end(self):
        if not self.closed:
            self.closed = True
            self.received.append(messages.CLOSED)

    def receive(self):
        """What there is. False when there was nothing."""
        if self.closed:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:  # reset
            data = b""
        if data:
            self.received += self.splitter.feed(data)
        else:
            self.end()
        return True

    def read_until(self, condition, seconds):
        """True when the condition holds; False after so many seconds without."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or self.closed:
                return condition()
            if select.select([self], [], [], left)[0]:
                self.receive()
        return True

    def ask(self, sql):
        """For queries of our own. The rows, each a list of texts; raises on an error."""
        start = len(self.received)
        self.send(messages.message("Q", messages.text(sql)))
        answered = self.read_until(
            lambda: any(kind in ("Z", "closed") for kind, _ in self.received[start:]), SECONDS_MAX)
        answer = self.received[start:]
        errors = [messages.shown(item) for item in answer if item[0] in ("E", "closed")]
        if errors or not answered:
            raise ConnectionError(f"{sql}: {errors[0] if errors else 'no answer'}")
        del self.received[start:]
        return [[field.decode() if field is not None else "" for field in messages.fields_of_row(body)]
                for kind, body in answer if kind == "D"]

    def key(self):
        """Of its BackendKeyData: the process id and the secret, as bytes."""
        return next((body for kind, body in self.received if kind == "K"), b"")

    def process_id(self):
        return struct.unpack("!I", self.key()[:4])[0]

    def unread_by_peer(self):
        """Bytes we sent that the peer has not taken; exact for Unix sockets."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]

    def cancel(self):
        """Sends a cancel request for this connection; returns when it has been taken."""
        asker = self.connect()
        asker.sendall(messages.cancel_request(self.key()))
        try:
            asker.recv(1)
        except OSError:
            pass
        asker.close()

    def close(self):
        self.socket.close()
