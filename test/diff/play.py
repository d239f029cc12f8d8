# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a sequence: first to PostgreSQL directly, then through Trireme.

Direct, `wait` reads until the server has nothing more to say, which PostgreSQL itself tells: the backend has taken all
that was sent and waits for its client (or for a lock, or sleeps). How many messages each client had by then is noted.
Through Trireme, `wait` reads until as many have come. So no step sleeps, and what comes too early or too late, doubled
or not at all, is a difference. At the end every client says goodbye and reads until the server has closed."""

import dataclasses
import select
import time

import connection
import messages
from sequence import WAITS, Step, make_step

SECONDS_MAX = 10
LOOK_AFTER_SECONDS = 0.003  # of silence, before PostgreSQL is asked whether more is to come
LAST_WORDS_SECONDS = 0.5

BLOCKED = "wait_event_type = 'Lock' OR wait_event = 'PgSleep'"


@dataclasses.dataclass
class Transcript:
    """What each client was told; for each step that waits, how many messages that client had, and how many backends
    were blocked, whether that client had as many ReadyForQuery as it had asked for, and whether all clients were idle
    between transactions."""
    messages: dict
    counts: dict = dataclasses.field(default_factory=dict)
    blocked: dict = dataclasses.field(default_factory=dict)
    answered: dict = dataclasses.field(default_factory=dict)
    at_rest: dict = dataclasses.field(default_factory=dict)
    heard_out: dict = dataclasses.field(default_factory=dict)  # client: messages to compare, of those that are cut short


def steps_with_ends(sequence):
    """The steps, and the goodbye of every client that does not leave by itself."""
    steps = list(sequence.steps)
    for client in sequence.clients():
        verbs = [step.verb for step in steps if step.client == client]
        if "disconnect" not in verbs:
            steps += [Step(client, "wait", []), make_step(client, "terminate", []), Step(client, "wait", ["closed"])]
    return steps


def parameters_of(step):
    return dict(argument.split("=", 1) for argument in step.arguments)


def idle(received):
    """Between transactions, with nothing owed."""
    said = [item for item in received if item[0] not in "ASN"]
    return not said or said[-1] == ("Z", b"I")


class Player:
    """What both ways of playing share: connections and the steps that are not about reading."""

    def __init__(self, address, database):
        self.address, self.database = address, database
        self.clients = {}

    def arrive(self, sequence):
        for client in sequence.clients():
            if not any(step.client == client and step.verb == "login" for step in sequence.steps):
                self.clients[client] = connection.Connection(self.address, self.database)

    def act(self, step):
        if step.verb == "login":
            self.clients[step.client] = connection.Connection(self.address, self.database, parameters_of(step))
        elif step.verb == "cancel":
            self.clients[step.client].cancel()
        elif step.verb == "disconnect":
            self.clients[step.client].close()
        else:
            self.clients[step.client].send(step.data)

    @staticmethod
    def fall_silent(client):
        if not client.closed:
            client.received.append(messages.SILENT)

    def leave(self):
        for client in self.clients.values():
            client.close()

    def heard(self):
        return {name: client.received for name, client in self.clients.items()}


class Direct(Player):
    """`monitor` is a connection of our own to the same PostgreSQL."""

    def __init__(self, address, database, monitor):
        super().__init__(address, database)
        self.monitor = monitor

    def quiet(self, client):
        """Its backend sleeps or waits for a lock, whatever it has not read yet; or it has read all and waits for more."""
        if not client.key():
            return False
        backend = f"SELECT 1 FROM pg_stat_activity WHERE pid = {client.process_id()}"
        if self.monitor.ask(f"{backend} AND ({BLOCKED})"):
            return True
        if client.unread_by_peer() > 0:
            return False
        gone_or_reading = f"NOT EXISTS ({backend}) OR EXISTS ({backend} AND wait_event = 'ClientRead')"
        return bool(self.monitor.ask(f"SELECT 1 WHERE {gone_or_reading}"))

    def wait_until_quiet(self, client, asked):
        """`asked` = how many ReadyForQuery the client can hope for at most; with so many, nothing is owed."""
        end = time.monotonic() + SECONDS_MAX
        while not client.closed and time.monotonic() < end:
            if sum(kind == "Z" for kind, _ in client.received) >= asked and client.received[-1][0] == "Z":
                return
            if select.select([client], [], [], LOOK_AFTER_SECONDS)[0]:
                client.receive()
            elif self.quiet(client):
                while client.receive():
                    pass
                return
        self.fall_silent(client)

    def blocked(self):
        return int(self.monitor.ask(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.database}' AND ({BLOCKED})")[0][0])

    def wait(self, step, seen, asked):
        client = self.clients[step.client]
        if step.arguments:
            wanted = WAITS[step.arguments[0]]
            if not client.read_until(lambda: any(kind == wanted for kind, _ in client.received[seen:]), SECONDS_MAX):
                self.fall_silent(client)
        else:
            self.wait_until_quiet(client, asked)

    @staticmethod
    def readies_due(step):
        if step.verb in ("many", "large", "raw", "message"):
            return 1000  # who knows
        return step.verb in ("sync", "query", "function", "login", "cancel")

    def note_the_end(self, name, transcript):
        """PostgreSQL complains of a goodbye in the middle of a COPY; nobody reads that."""
        received = self.clients[name].received
        if received and received[-1][0] == "G":
            transcript.heard_out[name] = len(received)

    def play(self, sequence):
        transcript = Transcript(self.heard())
        self.arrive(sequence)
        seen, asked, open_ended = {}, {}, set()
        try:
            for number, step in enumerate(steps_with_ends(sequence)):
                name = step.client
                if step.verb != "wait":
                    if step.verb == "terminate":
                        self.note_the_end(name, transcript)
                    self.act(step)
                    asked[name] = asked.get(name, 1) + self.readies_due(step)
                    (open_ended.discard if self.readies_due(step) else open_ended.add)(name)
                    continue
                self.wait(step, seen.get(name, 0), asked.get(name, 1))
                client = self.clients[name]
                seen[name] = transcript.counts[number] = len(client.received)
                answered = sum(kind == "Z" for kind, _ in client.received) >= asked.get(name, 1)
                transcript.blocked[number] = 0 if answered or client.closed else self.blocked()
                transcript.answered[number] = answered
                transcript.at_rest[number] = not open_ended and all(idle(c.received) for c in self.clients.values())
            transcript.messages = self.heard()
            return transcript
        finally:
            self.leave()


class Through(Player):
    """`monitor` is a connection of our own to PostgreSQL; `company` are the other clients of the pool, or None."""

    def __init__(self, address, database, storage_database, monitor, company):
        super().__init__(address, database)
        self.storage_database, self.monitor, self.company = storage_database, monitor, company

    def cut_up(self, sequence):
        for client in self.clients.values():
            client.piece = sequence.pieces or client.piece

    @staticmethod
    def complete(client, number, direct):
        return client.closed or len(client.received) >= direct.counts[number]

    def wait_for(self, name, number, direct):
        """False when less has come than should. Who has as many ReadyForQuery as it should, and then hears nothing, need not be waited for."""
        client = self.clients[name]
        if direct.answered[number]:
            ready = sum(kind == "Z" for kind, _ in direct.messages[name][:direct.counts[number]])
            client.read_until(lambda: self.complete(client, number, direct) or
                              sum(kind == "Z" for kind, _ in client.received) >= ready, SECONDS_MAX)
            seconds = LAST_WORDS_SECONDS
        else:
            seconds = SECONDS_MAX
        if client.read_until(lambda: self.complete(client, number, direct), seconds):
            return True
        self.fall_silent(client)
        return False

    def wait_for_blocked(self, count):
        end = time.monotonic() + SECONDS_MAX
        while time.monotonic() < end:
            rows = self.monitor.ask(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.storage_database}' "
                                    f"AND ({BLOCKED})")
            if int(rows[0][0]) >= count:
                return True
        return False

    def play(self, sequence, direct):
        """Step by step; a client that gets less than it should ends the play."""
        try:
            self.arrive(sequence)
            self.cut_up(sequence)
            for number, step in enumerate(steps_with_ends(sequence)):
                if step.verb != "wait":
                    self.act(step)
                    continue
                if not self.wait_for(step.client, number, direct):
                    break
                if direct.blocked[number] and not self.wait_for_blocked(direct.blocked[number]):
                    break
                if self.company and direct.at_rest[number]:
                    self.company.move()
            return Transcript(self.heard())
        finally:
            self.leave()

    def play_loosely(self, sequence, direct):
        """Clients do not wait for each other: who is owed something is passed over until it has come. For clients that
        have nothing to do with each other, when there are fewer servers than clients."""
        left = {name: [] for name in sequence.clients()}
        for number, step in enumerate(steps_with_ends(sequence)):
            left[step.client].append((number, step))
        try:
            self.arrive(sequence)
            self.cut_up(sequence)
            end = time.monotonic() + SECONDS_MAX
            while any(left.values()) and time.monotonic() < end:
                moved = False
                for name, steps in left.items():
                    while steps and self.advance(name, steps[0], direct):
                        waited = steps.pop(0)[1].verb == "wait"
                        moved, end = True, time.monotonic() + SECONDS_MAX
                        if waited:
                            break
                if not moved:
                    open_clients = [c for c in self.clients.values() if c.fileno() >= 0 and not c.closed]
                    for client in select.select(open_clients, [], [], 0.5)[0]:
                        client.receive()
            for name, steps in left.items():
                if steps:
                    self.fall_silent(self.clients[name])
            return Transcript(self.heard())
        finally:
            self.leave()

    def advance(self, name, numbered, direct):
        number, step = numbered
        client = self.clients.get(name)
        if step.verb != "wait":
            self.act(step)
            return True
        while client.fileno() >= 0 and client.receive():
            pass
        return client.closed or len(client.received) >= direct.counts[number]
