# SPDX-License-Identifier: GPL-3.0-or-later
"""Where sequences are played: one PostgreSQL, one Trireme of two shards in front of it.

  database direct         PostgreSQL itself
  database transaction    behind Trireme's databases t1 … t5: pools in transaction mode of one to five servers
  database session        behind Trireme's database session

In a transaction pool there is company: clients with settings and statements of their own, more than there are
servers, who see to it that the next transaction runs on another server than the last."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))

import instances  # noqa: E402
import messages  # noqa: E402
import play  # noqa: E402
from connection import USER, Connection  # noqa: E402

POOL_SIZES = range(1, 6)
SECONDS_MAX = 10
STORAGE_DATABASES = ("direct", "transaction", "session")

FIXTURE = """
DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
SET client_min_messages = error;
CREATE TABLE items (id int PRIMARY KEY, name text);
INSERT INTO items VALUES (1, 'one'), (2, 'two'), (3, 'three');
CREATE TABLE items_a AS TABLE items; CREATE TABLE items_b AS TABLE items; CREATE TABLE items_c AS TABLE items;
CREATE SEQUENCE numbers;
CREATE FUNCTION tell(words text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', words; RETURN words; END $$;
CREATE FUNCTION fail(words text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', words; END $$;
RESET client_min_messages;
"""

# What a client must not find on a server others have used. Settings whose source is the session or a client's startup
# packet, other than those every client brings.
VISIT = """
SELECT 'open transaction' WHERE now() <> statement_timestamp() UNION ALL
SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable UNION ALL
SELECT 'prepared statement ' || name FROM pg_prepared_statements WHERE from_sql UNION ALL
SELECT 'listens to ' || c FROM pg_listening_channels() c UNION ALL
SELECT 'advisory lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() UNION ALL
SELECT 'temporary table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' UNION ALL
SELECT 'user ' || current_user || '/' || session_user WHERE current_user <> 'app' OR session_user <> 'app' UNION ALL
SELECT 'setting ' || name || ' = ' || setting FROM pg_settings WHERE source = 'session' AND name <> ALL
  ('{application_name,DateStyle,TimeZone,IntervalStyle,client_encoding,standard_conforming_strings,extra_float_digits}')
"""

COMPANY_PARAMETERS = {"application_name": "company", "TimeZone": "Asia/Tokyo", "DateStyle": "German",
                      "client_encoding": "LATIN1"}


def configuration(postgres_port):
    def route(database, storage_database, mode, size):
        return {"database": database, "storage": "main", "storage_database": storage_database,
                "pool": {"mode": mode, "size": size, "wait_timeout": f"{SECONDS_MAX}s"}}
    return {
        "cores": 2, "auth": "trust", "storages": {"main": {"hosts": [f"127.0.0.1:{postgres_port}"]}},
        "users": {USER: {}},
        "routes": [route(f"t{size}", "transaction", "transaction", size) for size in POOL_SIZES]
        + [route("session", "session", "session", 8)],
        "timeouts": {"shutdown": "5s", "half_close": "50ms"},
    }


class Company:
    """Two that take turns in holding a server of the pool, the later one before the earlier one lets go; when the pool
    has no room for that, one that visits it."""

    def __init__(self, address, database, features):
        self.guests = [Connection(address, database, COMPANY_PARAMETERS) for _ in range(2)]
        self.features = features
        self.holder = None

    def stay(self, guest):
        if "session-parameters" in self.features:
            guest.ask("SET work_mem = '9999kB'; SET search_path = company; SET statement_timeout = '9s'")
        guest.ask("BEGIN")
        if "named-statements" in self.features:
            for name in ("s1", "s2", "s3"):
                guest.send(messages.close("S", name) + messages.parse(name, "SELECT 'of the company'", []))
            guest.send(messages.message("S"))
            guest.ask("SELECT 1")

    def move(self):
        newcomer = self.guests[1] if self.holder is self.guests[0] else self.guests[0]
        self.stay(newcomer)
        self.go()
        self.holder = newcomer

    def go(self):
        if self.holder:
            self.holder.ask("COMMIT")
            self.holder = None

    def close(self):
        for guest in self.guests:
            guest.close()


class Visitors(Company):
    def move(self):
        self.stay(self.guests[0])
        self.holder = self.guests[0]
        self.go()


class World:
    """`features` = the subjects Trireme has, of those that expected.txt may say it has not."""

    def __init__(self, binary, features):
        self.features = features
        self.postgres = instances.Postgres("max_prepared_transactions = 10\n")
        self.trireme = None
        self.binary = binary
        self.companies = {}
        try:
            self.path = f"{self.postgres.socket_folder}/.s.PGSQL.{self.postgres.port}"
            creator = self.as_superuser("postgres")
            creator.ask(f"CREATE ROLE {USER} SUPERUSER LOGIN")
            creator.ask("CREATE ROLE guest LOGIN")
            for database in STORAGE_DATABASES:
                creator.ask(f"CREATE DATABASE {database} OWNER {USER}")
            creator.close()
            self.admins = {name: self.as_superuser(name) for name in STORAGE_DATABASES}
            self.monitor = self.as_superuser("postgres")
            self.start_trireme()
        except BaseException:
            self.postgres.stop()
            raise

    def as_superuser(self, database):
        return Connection(self.path, database, {"user": "postgres"})

    def start_trireme(self):
        self.trireme = instances.Trireme(self.binary, configuration(self.postgres.port))

    def reset(self, mode):
        """The same tables for both, whatever the last sequence left."""
        for admin in (self.admins["direct"], self.admins[mode]):
            admin.ask("SET statement_timeout = '10s'; SET lock_timeout = '5s'")
            admin.ask(FIXTURE)

    def company(self, sequence):
        """For a pool that has room: a server for each client that may have one, and one or two for guests."""
        guests = min(2, sequence.pool - len(sequence.clients()))
        if len(sequence.clients()) == 1 and sequence.pool == 1:
            guests = 1
        if sequence.alone or guests < 1:
            return None
        key = (sequence.pool, guests)
        if key not in self.companies:
            kind = Company if guests == 2 else Visitors
            self.companies[key] = kind(self.trireme.port, f"t{sequence.pool}", self.features)
        return self.companies[key]

    def play_direct(self, sequence):
        return play.Direct(self.path, "direct", self.monitor).play(sequence)

    def play_through(self, sequence, direct, mode):
        company = self.company(sequence) if mode == "transaction" else None
        database = f"t{sequence.pool}" if mode == "transaction" else "session"
        player = play.Through(self.trireme.port, database, mode, self.monitor, company)
        try:
            return player.play_loosely(sequence, direct) if sequence.loose else player.play(sequence, direct)
        finally:
            if company:
                company.go()

    def left_behind(self, sequence, mode):
        """What the clients left on the servers, when all of them have gone; a list of sentences."""
        unsettled = self.settle(mode)
        if unsettled:
            return [f"a server is still {state}" for state in unsettled]
        found, visitors = set(), []
        database = f"t{sequence.pool}" if mode == "transaction" else "session"
        try:
            for _ in range(sequence.pool if mode == "transaction" else 1):
                visitors.append(Connection(self.trireme.port, database))
                visitors[-1].ask("BEGIN")
                found |= {row[0] for row in visitors[-1].ask(VISIT) if row[0] != "open transaction"}
        finally:
            for visitor in visitors:
                visitor.ask("ROLLBACK")
                visitor.close()
        return sorted(found)

    def settle(self, mode):
        """The states of the servers that do not become idle."""
        end = time.monotonic() + SECONDS_MAX
        while True:
            rows = self.monitor.ask("SELECT state FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename "
                                    f"= '{USER}' AND datname = '{mode}' AND state <> 'idle'")
            if not rows or time.monotonic() > end:
                return [row[0] for row in rows]

    def renew_servers(self):
        """After a difference: nothing of it may disturb the next sequence. What Trireme said when it did not end well."""
        for company in self.companies.values():
            company.close()
        self.companies = {}
        complaints = self.stop_trireme()
        self.start_trireme()
        return complaints

    def stop_trireme(self):
        try:
            self.trireme.stop()
        except instances.InstanceError as error:
            return [str(error)]
        return []

    def stop(self):
        """The complaints of a Trireme that did not end well."""
        try:
            for company in self.companies.values():
                company.close()
            return self.stop_trireme()
        finally:
            self.postgres.stop()
