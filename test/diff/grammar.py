# SPDX-License-Identifier: GPL-3.0-or-later
"""Random sequences from a grammar of protocol steps. The same seed and features make the same sequence.

Most of it makes sense, so that there is state to lose: statements that were prepared are bound, transactions end,
COPY data follows a COPY. A part of it does not, since errors are where a pipeline is counted wrongly. Nothing depends on
time, on chance within PostgreSQL, or on how fast a client reads."""

import random

from sequence import Octets, Sequence, Word, make_step

BATCHES_MAX = 8
STEPS_IN_BATCH_MAX = 9

PLAIN = [
    "SELECT 1", "SELECT 'two' AS two, NULL, 3.5", "SELECT * FROM {items} ORDER BY id", "VALUES (1), (2), (3)",
    "SELECT generate_series(1, 7)", "SELECT repeat('x', 20000)", "SELECT i, repeat('y', i) FROM generate_series(1, 300) i",
    "INSERT INTO {items} VALUES (10, 'ten') ON CONFLICT DO NOTHING", "UPDATE {items} SET name = name || '.' WHERE id = 1",
    "DELETE FROM {items} WHERE id > 5", "SELECT count(*) FROM {items}", "SELECT tell('a notice')", "SHOW transaction_isolation",
    "SELECT WHERE false", "EXPLAIN (COSTS off) SELECT * FROM {items}", "NOTIFY nobody", "SELECT current_user",
    "LOCK TABLE {items} IN ACCESS SHARE MODE", "SELECT pg_advisory_xact_lock({number})", "DO $$BEGIN NULL; END$$",
    "CREATE TABLE IF NOT EXISTS made_{client} (a int)", "DROP TABLE IF EXISTS made_{client}",
]
FAILING = [
    "SELECT 1/0", "SELEC 1", "SELECT no_such_column", "SELECT * FROM no_such_table", "INSERT INTO {items} VALUES ('x')",
    "SELECT fail('words')", "SELECT 10 / (3 - i) FROM generate_series(1, 5) i", "SELECT 'unterminated", "ROLLBACK TO nowhere",
]
TRANSACTION = [
    "BEGIN", "BEGIN", "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a",
    "START TRANSACTION READ ONLY", "COMMIT AND CHAIN", "SET LOCAL work_mem = '3MB'", "SHOW work_mem",
]
SEVERAL = [
    "SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 2", "BEGIN; SELECT 1", "SELECT 1; COMMIT", "BEGIN; SELECT 1; COMMIT",
    ";", "", "-- words", "SELECT 1;;", "INSERT INTO {items} VALUES (20, 'x') ON CONFLICT DO NOTHING; SELECT 1/0",
    "SAVEPOINT a; SELECT 1/0",
]
REPORTED = [
    "SET application_name = 'app {number}'", "SHOW application_name", "SET DateStyle = 'German'", "SELECT date '2020-02-01'",
    "SET TimeZone = 'Asia/Tokyo'", "SELECT timestamptz '2020-02-01 00:00Z'", "SET application_name = 'it''s'",
    "SET LOCAL application_name = 'local'", "SET IntervalStyle = 'iso_8601'", "SHOW IntervalStyle", "SHOW DateStyle", "SHOW TimeZone",
]
SETTINGS = [
    "SET work_mem = '{number}kB'", "SHOW work_mem", "SET search_path = public, pg_catalog", "SHOW search_path", "RESET work_mem",
    "SET statement_timeout = '{number}s'", "SHOW statement_timeout", "RESET ALL", "SELECT set_config('work_mem', '{number}kB', false)",
    "RESET application_name", "SET my.own = '{number}'", "SELECT current_setting('my.own', true)", "DISCARD ALL",
    "SET ROLE guest", "RESET ROLE", "SELECT current_setting('work_mem')",
]
PINNING = [
    "CREATE TEMP TABLE mine (a int)", "INSERT INTO mine VALUES (1)", "SELECT * FROM mine", "DROP TABLE mine", "LISTEN own_{client}",
    "NOTIFY own_{client}, 'words'", "UNLISTEN *", "SELECT pg_advisory_lock({number})", "SELECT pg_advisory_unlock({number})",
    "SELECT pg_advisory_unlock_all()", "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 9)", "FETCH 2 FROM c", "CLOSE c",
    "CLOSE ALL", "DISCARD TEMP", "CREATE TEMP TABLE brief (a int) ON COMMIT DROP", "SELECT * FROM brief",
]
PREPARING = ["DEALLOCATE s1", "DEALLOCATE ALL", "DISCARD PLANS"]
PREPARING_IN_SQL = ["PREPARE s1 AS SELECT 'from SQL'", "EXECUTE s1", "PREPARE s4 (int) AS SELECT $1 + 1", "EXECUTE s4 (1)", "DEALLOCATE s4"]
WITH_ARGUMENTS = [  # text, types, what to bind
    ("SELECT $1::int + 1", ["int4"], ["41"]), ("SELECT $1::text, $2::text", ["text", "text"], ["a", None]),
    ("SELECT $1", ["int8"], ["5"]), ("SELECT * FROM {items} WHERE id = $1", [], ["2"]),
    ("INSERT INTO {items} VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING *", [], ["30", "thirty"]),
    ("SELECT generate_series(1, $1)", ["int4"], ["6"]), ("SELECT 1 / $1", ["int4"], ["0"]),
]


class Speaker:
    """One client: what it has prepared and bound, as far as it can know."""

    def __init__(self, chance, client, features):
        self.chance, self.client, self.features = chance, client, features
        self.steps = []
        self.arguments = {}  # of each statement
        self.unnamed_here = False  # Parse without a name since the last Sync

    def add(self, verb, *arguments):
        self.steps.append(make_step(self.client, Word(verb), list(arguments)))

    def sql(self):
        kinds = [(PLAIN, 8), (FAILING, 2), (TRANSACTION, 5), (REPORTED, 2)]
        if "session-parameters" in self.features:
            kinds.append((SETTINGS, 3))
        if "pins" in self.features:
            kinds.append((PINNING, 3))
        if "named-statements" in self.features:
            kinds.append((PREPARING, 1))
            if "pins" in self.features:
                kinds.append((PREPARING_IN_SQL, 1))
        pick = self.chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        return self.filled(self.chance.choice(pick))

    def filled(self, text):
        return text.replace("{items}", f"items_{self.client}").replace("{client}", self.client).replace(
            "{number}", str(100 + 100 * (ord(self.client) - ord("a")) + self.chance.randrange(64, 70)))

    def name(self, names):
        return self.chance.choice(names)

    def statement(self):
        if "named-statements" in self.features and self.chance.random() < 0.6:
            return self.name([Word("s1"), Word("s2"), Word("s3")])
        return Word("-")

    def portal(self):
        return self.name([Word("-"), Word("-"), Word("-"), Word("p1"), Word("p2")])

    def parse(self):
        statement = self.statement()
        if self.chance.random() < 0.5:
            text, types, arguments = self.chance.choice(WITH_ARGUMENTS)
            self.add("parse", statement, self.filled(text), *map(Word, types))
        else:
            arguments = []
            self.add("parse", statement, self.sql())
        self.arguments[statement] = arguments
        self.unnamed_here |= statement == "-"
        return statement

    def known_statement(self):
        """The unnamed one can be bound later where statements follow their client."""
        known = [name for name in self.arguments if name != "-" or self.unnamed_here or "named-statements" in self.features]
        if not known or self.chance.random() < 0.3:
            return self.parse()
        return self.name(known)

    def bind(self):
        statement = self.known_statement()
        arguments = list(self.arguments.get(statement, []))
        if self.chance.random() < 0.05:
            arguments.append("too many")
        portal = self.portal()
        formats = [Word("out=1")] if self.chance.random() < 0.2 else []
        self.add("bind", portal, statement, *formats, *(Word("null") if a is None else a for a in arguments))
        return portal

    def copy_in(self):
        """Its end is behind it in the same batch, whether there is a COPY or not."""
        table = self.chance.choice(["{items}", "{items}", "{items}", "no_such_table"])
        text = self.filled(f"COPY {table} FROM STDIN")
        simple = self.chance.random() < 0.5
        if simple:
            self.add("query", text)
            self.unnamed_here = False
        else:
            self.add("parse", Word("-"), text)
            self.add("bind", Word("-"), Word("-"))
            self.add("execute", Word("-"))
            self.arguments[Word("-")] = []
        for _ in range(self.chance.randrange(4)):
            number = self.chance.randrange(100, 10000)
            self.add("copydata", self.chance.choice([f"{number}\tline\n"] * 9 + ["not a number\tline\n"]))
        if not simple and self.chance.random() < 0.3:
            self.add(self.chance.choice(["sync", "flush"]))
        self.add(*self.chance.choice([("copydone",), ("copydone",), ("copyfail", "no more")]))
        if not simple:
            self.sync()

    def sync(self):
        self.add("sync")
        self.unnamed_here = False

    def query(self):
        text = self.filled(self.chance.choice(SEVERAL)) if self.chance.random() < 0.2 else self.sql()
        self.add("query", text)
        self.unnamed_here = False

    def function_call(self):
        self.add("function", Word("177"), Octets(b"\0\0\0\2"), Octets(b"\0\0\0\3"))

    def step(self):
        portal_verbs = ["describe", "execute", "execute", "execute", "close"]
        roll = self.chance.random()
        if roll < 0.20:
            self.parse()
        elif roll < 0.50:
            portal = self.bind()
            if self.chance.random() < 0.4:
                self.add("describe", Word("portal"), portal)
            if self.chance.random() < 0.8:
                self.add("execute", portal, Word(self.chance.choice(["0", "0", "0", "2"])))
        elif roll < 0.66:
            verb = self.chance.choice(portal_verbs)
            if verb == "execute":
                self.add(verb, self.portal(), Word(self.chance.choice(["0", "1", "3"])))
            else:
                self.add(verb, Word("portal"), self.portal())
        elif roll < 0.72:
            if "named-statements" in self.features or self.unnamed_here:
                self.add("describe", Word("statement"), self.known_statement())
        elif roll < 0.77:
            statement = self.statement()
            self.add("close", Word("statement"), statement)
            self.arguments.pop(statement, None)
        elif roll < 0.82:
            self.query()
        elif roll < 0.85:
            self.copy_in()
        elif roll < 0.87:
            self.function_call()
        elif roll < 0.93:
            self.add("flush")
        elif roll < 0.95:
            self.add(*self.chance.choice([("copydata", "out of place"), ("copydone",), ("copyfail", "out of place")]))
        else:
            self.sync()

    def batch(self):
        """Steps, and what makes the server answer."""
        roll = self.chance.random()
        if roll < 0.35:
            for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
                self.query()
        elif roll < 0.42:
            self.copy_in()
        else:
            for _ in range(self.chance.randrange(1, STEPS_IN_BATCH_MAX)):
                self.step()
            if self.chance.random() < 0.15:
                self.add("flush")
                self.add("wait")
            self.sync()
        self.add("wait")

    def farewell(self):
        """Mostly in order; else wherever the conversation stands."""
        if self.chance.random() < 0.7:
            self.add("query", "ROLLBACK")
            self.add("wait")


def random_sequence(seed, features, clients=1, pool=3):
    """Clients have tables and names of their own, so each conversation is the same with and without the others."""
    chance = random.Random(seed)
    speakers = [Speaker(chance, chr(ord("a") + i), features) for i in range(clients)]
    waiting = {speaker.client: chance.randrange(2, BATCHES_MAX) for speaker in speakers}
    steps = []
    while any(waiting.values()):
        speaker = chance.choice([s for s in speakers if waiting[s.client]])
        speaker.batch()
        waiting[speaker.client] -= 1
        if not waiting[speaker.client]:
            speaker.farewell()
        steps += speaker.steps
        speaker.steps = []
    return Sequence(f"seed-{seed}", steps, title=f"Seed {seed}.", pool=pool, loose=clients > 1, alone=False)


def of_seed(seed, features):
    """Two thirds with one client and company; else two or three clients on one or two servers. One in five comes in
    pieces."""
    chance = random.Random(seed * 7919)
    if chance.random() < 0.66:
        sequence = random_sequence(seed, features, 1, chance.choice([1, 3, 3]))
    else:
        sequence = random_sequence(seed, features, chance.choice([2, 3]), chance.choice([1, 2]))
    sequence.pieces = chance.choice([0, 0, 0, 0, chance.choice([1, 3, 7])])
    return sequence
