# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of our own, where pgbench cannot do it: thousands of idle ones, and a load that is connected before it
counts and comes to rest after, so that what a pooler did meanwhile was for exactly the transactions counted."""

import random
import select
import socket
import struct
import time

AT_REST = b"Z\0\0\0\x05I"  # ReadyForQuery, idle


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


STARTUP = message(b"", struct.pack("!I", 196608) + b"user\0postgres\0database\0postgres\0\0")


def simple(account):
    """What pgbench -S sends."""
    return message(b"Q", b"SELECT abalance FROM pgbench_accounts WHERE aid = %d;\0" % account)


def extended(account):
    """What pgbench -S -M extended sends: libpq's PQsendQueryParams."""
    value = b"%d" % account
    return b"".join([
        message(b"P", b"\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0"),
        message(b"B", b"\0\0\0\0\0\1" + struct.pack("!I", len(value)) + value + b"\0\1\0\0"),
        message(b"D", b"P\0"), message(b"E", b"\0\0\0\0\0"), message(b"S", b"")])


def prepare(name):
    """What pgbench -S -M prepared sends once."""
    return b"".join([message(b"P", name + b"\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0"), message(b"S", b"")])


def prepared(account):
    """… and then for each transaction: libpq's PQsendQueryPrepared."""
    value = b"%d" % account
    return b"".join([
        message(b"B", b"\0P_0\0\0\0\0\1" + struct.pack("!I", len(value)) + value + b"\0\1\0\0"),
        message(b"D", b"P\0"), message(b"E", b"\0\0\0\0\0"), message(b"S", b"")])


REQUESTS = {"simple": simple, "extended": extended, "prepared": prepared}


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.ask(STARTUP)

    def ask(self, request):
        self.socket.settimeout(30)
        self.socket.sendall(request)
        while not self.read():
            pass

    def read(self):
        """True when the answer is complete."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise SystemExit(f"a client was sent away: {self.answer!r}")
        self.answer += chunk
        if not self.answer.endswith(AT_REST):
            return False
        if b"SFATAL\0" in self.answer or b"SERROR\0" in self.answer:
            raise SystemExit(f"a client got an error: {self.answer!r}")
        self.answer = b""
        return True

    def leave(self, request):
        """Asks once, and says goodbye; the other end has closed when this returns."""
        self.ask(request)
        self.socket.sendall(message(b"X", b""))
        while self.socket.recv(65536):
            pass
        self.close()

    def close(self):
        self.socket.close()


class Load:
    """`clients` connections that send pgbench's SELECT, each as soon as it has its answer."""

    def __init__(self, port, clients, protocol, accounts):
        self.request = REQUESTS[protocol]
        self.accounts = accounts
        self.chance = random.Random(1)
        self.clients = {}
        for _ in range(clients):
            client = Client(port)
            if protocol == "prepared":
                client.ask(prepare(b"P_0"))
            self.clients[client.socket.fileno()] = client

    def run(self, seconds):
        """Runs so long, lets every client finish, and returns the number of transactions."""
        count = 0
        end = time.monotonic() + seconds
        with select.epoll() as poll:
            for fd, client in self.clients.items():
                poll.register(fd, select.EPOLLIN)
                client.socket.sendall(self.request(self.chance.randint(1, self.accounts)))
            owed = len(self.clients)
            while owed > 0:
                events = poll.poll(30)
                if not events:
                    raise SystemExit("no answer within 30 s")
                for fd, _ in events:
                    client = self.clients[fd]
                    if not client.read():
                        continue
                    count += 1
                    if time.monotonic() < end:
                        client.socket.sendall(self.request(self.chance.randint(1, self.accounts)))
                    else:
                        owed -= 1
        return count

    def close(self):
        for client in self.clients.values():
            client.close()
