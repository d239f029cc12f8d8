# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of our own, where pgbench cannot do it: thousands of idle ones, and a load that is connected before it
counts and comes to rest after, so that what a pooler did meanwhile was for exactly the transactions counted."""

import base64
import hashlib
import hmac
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


class Scram:
    """A password, as PostgreSQL stores it, and the client's side of SCRAM-SHA-256. The salted password is computed
    once, so that logins are not held up by the client."""

    def __init__(self, password, salt=b"sixteen bytes ok", iterations=4096):
        self.salt, self.iterations = base64.b64encode(salt), iterations
        salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
        self.client_key = hmac.digest(salted, b"Client Key", "sha256")
        self.stored_key = hashlib.sha256(self.client_key).digest()
        server_key = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
        self.verifier = (f"SCRAM-SHA-256${iterations}:{self.salt.decode()}"
                         f"${base64.b64encode(self.stored_key).decode()}:{server_key}")

    def first(self):
        body = b"n,,n=,r=clientnonce"
        return message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(body)) + body)

    def final(self, challenge):
        """The answer to what the server has said, which names its salt and iterations."""
        nonce, salt, iterations = (field.split(b"=", 1)[1] for field in challenge.split(b","))
        if (salt, int(iterations)) != (self.salt, self.iterations):
            raise SystemExit(f"SCRAM with another salt than expected: {challenge!r}")
        bare = b"c=biws,r=" + nonce
        signed = b"n=,r=clientnonce," + challenge + b"," + bare
        signature = hmac.digest(self.stored_key, signed, "sha256")
        proof = bytes(left ^ right for left, right in zip(self.client_key, signature))
        return message(b"p", bare + b",p=" + base64.b64encode(proof))


class Client:
    def __init__(self, port, scram=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        if scram is None:
            self.ask(STARTUP)
            return
        self.authentication(STARTUP)
        challenge = self.authentication(scram.first())
        self.ask(scram.final(challenge))

    def authentication(self, request):
        """Sends it, and reads one Authentication message: what is behind its code."""
        self.socket.settimeout(30)
        self.socket.sendall(request)
        answer = self.socket.recv(65536)
        if answer[:1] != b"R" or len(answer) != 1 + struct.unpack("!I", answer[1:5])[0]:
            raise SystemExit(f"a login was answered otherwise than expected: {answer!r}")
        return answer[9:]

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
