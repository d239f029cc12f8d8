# SPDX-License-Identifier: GPL-3.0-or-later
"""The other clients of the pool: while a scenario runs they keep every server busy with short transactions, so that the
scenario's clients meet another server each time, and they report what they should never have seen.

They speak the protocol by themselves, in one thread, and log in as `neighbour`, whom Trireme trusts. Each has settings of
its own that PostgreSQL reports, and none of any other kind: whatever else is set, prepared, locked, listened to or
temporary on a server that was lent to them was left there by somebody.
"""

import asyncio
import collections
import struct
import threading

NEIGHBOURS = 5
STAY_SECONDS = 0.008
INSPECT_EVERY = 8  # transactions
ROUNDS_AFTER = 3 * INSPECT_EVERY  # after the scenario's end, so that each server is inspected

INSPECTION = {
    "a setting": "SELECT name || '=' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN"
                 " ('application_name', 'TimeZone', 'client_encoding', 'DateStyle', 'IntervalStyle',"
                 " 'standard_conforming_strings', 'extra_float_digits', 'transaction_isolation',"
                 " 'transaction_read_only', 'transaction_deferrable')",
    "a role": "SELECT current_user WHERE current_user <> session_user",
    "a temporary table": "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'",
    "a channel listened to": "SELECT * FROM pg_listening_channels()",
    "an advisory lock": "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "a cursor": "SELECT name FROM pg_cursors",
    "a statement of PREPARE": "SELECT name FROM pg_prepared_statements WHERE from_sql",
}


class Neighbours:
    """Runs them in a thread between start() and stop()."""

    def __init__(self, port, database):
        self.port, self.database = port, database
        self.stopping = threading.Event()
        self.rounds_left = None
        self.wrong = collections.defaultdict(list)  # promise -> what broke it
        self.transactions = 0
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    async def _all(self):
        await asyncio.gather(*(self._guarded(number) for number in range(NEIGHBOURS)))

    async def _guarded(self, number):
        try:
            await self._live(number)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.wrong["neighbours_are_served"].append(f"neighbour {number}: {error!r}")

    async def _live(self, number):
        name, zone = f"neighbour-{number}", f"Etc/GMT+{number + 1}"
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        await client.login(user="neighbour", database=self.database, application_name=name, TimeZone=zone)
        rounds_after = ROUNDS_AFTER
        turn = 0
        while rounds_after:
            rounds_after -= self.stopping.is_set()
            turn += 1
            marker = f"{name}:{turn}"
            rows = await self._ask(client, f"SELECT '{marker}', current_setting('application_name'),"
                                   f" current_setting('TimeZone'), pg_sleep({STAY_SECONDS})")
            if rows is None:
                continue
            if [row[0] for row in rows] != [marker]:
                self.wrong["neighbours_get_their_own_answers"].append(f"{marker}: {rows}")
            elif rows[0][1:3] != [name, zone]:
                self.wrong["neighbours_keep_their_settings"].append(f"{marker}: {rows[0]}")
            if turn % INSPECT_EVERY == 0:
                await self._inspect(client, number)
            self.transactions += 1
        client.writer.close()

    async def _ask(self, client, sql):
        rows, errors = await asyncio.wait_for(client.query("BEGIN;" + sql + ";COMMIT"), 60)
        if errors:
            self.wrong["neighbours_are_served"].append("; ".join(errors))
            if client.state != b"I":
                await client.query("ROLLBACK")
            return None
        return rows

    async def _inspect(self, client, number):
        union = " UNION ALL ".join(f"SELECT '{what}', (found.*)::text FROM ({sql}) found"
                                   for what, sql in INSPECTION.items())
        for what, found in await self._ask(client, union) or ():
            self.wrong["neighbours_meet_nothing_of_others"].append(f"neighbour {number} met {what}: {found}")


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer, self.state = reader, writer, b""

    async def login(self, **parameters):
        body = struct.pack("!i", 196608)
        for name, value in parameters.items():
            body += name.encode() + b"\0" + value.encode() + b"\0"
        body += b"\0"
        self.writer.write(struct.pack("!i", len(body) + 4) + body)
        _, errors = await self._answer()
        if errors:
            raise EOFError("; ".join(errors))

    async def query(self, sql):
        body = sql.encode() + b"\0"
        self.writer.write(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return await self._answer()

    async def _answer(self):
        """Rows as lists of text, and errors, up to ReadyForQuery."""
        rows, errors = [], []
        while True:
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
            kind = head[:1]
            if kind == b"D":
                rows.append(self._row(body))
            elif kind == b"E":
                fields = dict((part[:1], part[1:].decode()) for part in body.split(b"\0") if part)
                errors.append(f"{fields[b'S']} {fields[b'C']} {fields[b'M']}")
            elif kind == b"Z":
                self.state = body
                return rows, errors

    @staticmethod
    def _row(body):
        values, at = [], 2
        for _ in range(struct.unpack("!h", body[:2])[0]):
            length = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            values.append(None if length < 0 else body[at:at + length].decode())
            at += max(length, 0)
        return values
