# SPDX-License-Identifier: GPL-3.0-or-later
"""psycopg2: libpq's synchronous interface and the simple protocol; sessions, large objects and COPY as Python sees them."""

import io
import select
import threading
import uuid

from scenario import CLIENTS, ROUNDS, absent, check, equal, in_threads, raises, run, until

try:
    import psycopg2
    import psycopg2.errors
    import psycopg2.extensions
    import psycopg2.extras
    import psycopg2.pool
except ImportError as error:
    absent(str(error))


def connect(**more):
    return psycopg2.connect("", **more)


def auto(**more):
    connection = connect(**more)
    connection.autocommit = True
    return connection


def ask(connection, sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else None


def value(connection, sql, *values):
    return ask(connection, sql, *values)[0][0]


def backend(connection):
    return value(connection, "SELECT pg_backend_pid()")


# Transactions


@check
def commits_and_rolls_back():
    a, b = connect(), auto()
    ask(a, "CREATE TABLE kept (n int)")
    a.commit()
    ask(a, "INSERT INTO kept VALUES (1)")
    equal(value(b, "SELECT count(*) FROM kept"), 0)
    a.rollback()
    ask(a, "INSERT INTO kept VALUES (2)")
    a.commit()
    equal(ask(b, "SELECT n FROM kept"), [(2,)])


@check
def a_transaction_stays_on_one_server():
    connection = connect()
    for _ in range(ROUNDS):
        first = backend(connection)
        ask(connection, "CREATE TEMP TABLE mine (n int) ON COMMIT DROP")
        ask(connection, "INSERT INTO mine VALUES (1)")
        equal(value(connection, "SELECT count(*) FROM mine"), 1)
        equal(backend(connection), first)
        connection.commit()


@check
def savepoints_recover_from_errors():
    connection = connect()
    ask(connection, "CREATE TEMP TABLE unique_numbers (n int PRIMARY KEY) ON COMMIT DROP")
    ask(connection, "INSERT INTO unique_numbers VALUES (1)")
    for _ in range(5):
        ask(connection, "SAVEPOINT before")
        raises(psycopg2.errors.UniqueViolation, lambda: ask(connection, "INSERT INTO unique_numbers VALUES (1)"), "23505", "pgcode")
        raises(psycopg2.errors.InFailedSqlTransaction, lambda: ask(connection, "SELECT 1"), "25P02", "pgcode")
        ask(connection, "ROLLBACK TO SAVEPOINT before")
    equal(value(connection, "SELECT count(*) FROM unique_numbers"), 1)
    connection.commit()


@check
def isolation_levels_and_read_only():
    connection = connect()
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    for _ in range(5):
        equal(value(connection, "SHOW transaction_isolation"), "serializable")
        equal(value(connection, "SHOW transaction_deferrable"), "on")
        raises(psycopg2.errors.ReadOnlySqlTransaction, lambda: ask(connection, "CREATE TABLE never (n int)"))
        connection.rollback()
    other = auto()
    for _ in range(ROUNDS):
        equal(value(other, "SHOW transaction_isolation"), "read committed")


@check
def two_phase_commit():
    a, b = connect(), auto()
    ask(b, "CREATE TABLE two_phase (n int)")
    for number, end in ((1, "tpc_commit"), (2, "tpc_rollback")):
        a.tpc_begin(a.xid(1, uuid.uuid4().hex, "branch"))
        ask(a, "INSERT INTO two_phase VALUES (%s)", number)
        a.tpc_prepare()
        getattr(a, end)()
    equal(ask(b, "SELECT n FROM two_phase"), [(1,)])


@check
def many_clients_get_their_own_rows():
    connections = [auto() for _ in range(CLIENTS)]

    def work(index):
        for turn in range(15):
            text = f"{index}:{turn}"
            equal(ask(connections[index], "SELECT %s, g FROM generate_series(1, 20) g", text),
                  [(text, g) for g in range(1, 21)])

    in_threads(CLIENTS, work)


@check
def transfers_between_accounts_keep_the_sum():
    with auto() as setup:
        ask(setup, "CREATE TABLE accounts (id int PRIMARY KEY, amount int)")
        ask(setup, "INSERT INTO accounts SELECT g, 100 FROM generate_series(0, 5) g")

    def work(index):
        connection = connect()
        for turn in range(8):
            first, second = sorted(((index + turn) % 6, (index + turn + 1) % 6))
            ask(connection, "SELECT amount FROM accounts WHERE id IN (%s, %s) ORDER BY id FOR UPDATE", first, second)
            ask(connection, "UPDATE accounts SET amount = amount - 1 WHERE id = %s", first)
            ask(connection, "UPDATE accounts SET amount = amount + 1 WHERE id = %s", second)
            connection.rollback() if turn % 3 == 2 else connection.commit()
        connection.close()

    in_threads(8, work)
    equal(value(auto(), "SELECT sum(amount) FROM accounts"), 600)


# Batches, results, cursors


@check
def batches_of_statements():
    connection = connect()
    ask(connection, "CREATE TABLE batch (n int, t text)")
    with connection.cursor() as cursor:
        psycopg2.extras.execute_batch(cursor, "INSERT INTO batch VALUES (%s, %s)", [(n, f"row {n}") for n in range(1000)], page_size=100)
        psycopg2.extras.execute_values(cursor, "INSERT INTO batch VALUES %s", [(n, f"row {n}") for n in range(1000, 2000)])
    connection.commit()
    equal(ask(connection, "SELECT count(*), min(n), max(n) FROM batch WHERE t = 'row ' || n"), [(2000, 0, 1999)])


@check
def several_statements_in_one_query():
    connection = auto()
    ask(connection, "CREATE TABLE several (n int); INSERT INTO several VALUES (1); INSERT INTO several VALUES (2)")
    raises(psycopg2.errors.DivisionByZero, lambda: ask(connection, "INSERT INTO several VALUES (3); SELECT 1/0; SELECT 2"))
    equal(ask(connection, "SELECT 1; SELECT sum(n) FROM several"), [(3,)])


@check
def large_results_and_parameters():
    connection = auto()
    rows = ask(connection, "SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")
    equal((len(rows), rows[-1]), (20000, (20000, "x" * 100)))
    text = "ä" * 3_000_000
    equal(value(connection, "SELECT md5(%s) = md5(repeat('ä', 3000000))", text), True)
    equal(value(connection, "SELECT repeat('y', 5000000)"), "y" * 5_000_000)


@check
def server_side_cursors_fetch_in_steps():
    connection = connect()
    with connection.cursor("walker") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT g FROM generate_series(1, 1050) g")
        equal(sum(row[0] for row in cursor), 1050 * 1051 // 2)
    with connection.cursor("scroller", scrollable=True) as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 10) g")
        cursor.scroll(5)
        equal(cursor.fetchone(), (6,))
        cursor.scroll(-3)
        equal(cursor.fetchone(), (4,))
    connection.commit()


@check
def types_make_the_round_trip():
    connection = auto()
    psycopg2.extras.register_uuid()
    identity = uuid.uuid4()
    psycopg2.extras.register_default_jsonb(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, %s::jsonb, %s, %s, %s, NULL", ([1, 2, None], psycopg2.extras.Json({"a": [1, "ü"]}), b"\0\xff\\", identity, 1.1))
        row = cursor.fetchone()
    equal(row[0], [1, 2, None])
    equal((row[1], bytes(row[2]), row[3], float(row[4]), row[5]), ({"a": [1, "ü"]}, b"\0\xff\\", identity, 1.1, None))


# COPY


@check
def copy_in_and_out():
    connection = connect()
    ask(connection, "CREATE TABLE copied (n int, t text)")
    lines = "".join(f"{n}\tline {n} \\\\ ä\n" for n in range(20000))
    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO(lines), "copied")
        equal(cursor.rowcount, 20000)
        connection.commit()
        target = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM copied ORDER BY n) TO STDOUT", target)
    equal(target.getvalue() == lines, True)
    connection.commit()


@check
def copy_that_fails_leaves_the_connection_usable():
    connection = auto()
    ask(connection, "CREATE TABLE copied_badly (n int)")
    for _ in range(3):
        with connection.cursor() as cursor:
            error = raises(psycopg2.errors.InvalidTextRepresentation,
                           lambda: cursor.copy_expert("COPY copied_badly FROM STDIN", io.StringIO("1\n2\nthree\n")))
            equal("line 3" in error.diag.context, True)
        with connection.cursor() as cursor:
            raises(psycopg2.errors.QueryCanceled, lambda: cursor.copy_expert("COPY copied_badly FROM STDIN", _Breaking()), "57014", "pgcode")
    equal(value(connection, "SELECT count(*) FROM copied_badly"), 0)


class _Breaking:
    """A source that ends by an exception in the middle, which libpq tells with CopyFail."""

    def __init__(self):
        self.reads = 0

    def read(self, _size):
        self.reads += 1
        if self.reads > 3:
            raise ValueError("the source broke")
        return "1\n2\n"


# Cancel, notices, notifications


@check
def cancel_ends_the_query_and_nothing_else():
    a, b = auto(), auto()
    for _ in range(3):
        sleeper = threading.Timer(0.3, a.cancel)
        sleeper.start()
        raises(psycopg2.errors.QueryCanceled, lambda: ask(a, "SELECT pg_sleep(15)"), "57014", "pgcode")
        sleeper.join()
        equal(value(a, "SELECT 1"), 1)
        equal(value(b, "SELECT 2"), 2)


@check
def cancel_inside_a_transaction_aborts_only_it():
    a = connect()
    ask(a, "SELECT 1")
    sleeper = threading.Timer(0.3, a.cancel)
    sleeper.start()
    raises(psycopg2.errors.QueryCanceled, lambda: ask(a, "SELECT pg_sleep(15)"))
    sleeper.join()
    raises(psycopg2.errors.InFailedSqlTransaction, lambda: ask(a, "SELECT 1"))
    a.rollback()
    equal(value(a, "SELECT 1"), 1)
    a.commit()


@check
def notices_reach_their_client_in_order():
    connections = [auto() for _ in range(6)]

    def work(index):
        for turn in range(5):
            ask(connections[index], f"DO $$ BEGIN RAISE NOTICE 'one {index}.{turn}'; RAISE WARNING 'two {index}.{turn}'; END $$")

    in_threads(6, work)
    for index, connection in enumerate(connections):
        expected = [line for turn in range(5) for line in (f"NOTICE:  one {index}.{turn}\n", f"WARNING:  two {index}.{turn}\n")]
        equal([notice for notice in connection.notices if "one" in notice or "two" in notice], expected)


def _notified(connection, channel, payload):
    def arrived():
        select.select([connection], [], [], 0.05)
        connection.poll()
        return any((n.channel, n.payload) == (channel, payload) for n in connection.notifies)
    until(arrived, f"the notification {payload}", seconds=3)


@check
def a_listener_hears_of_what_others_commit():
    listener, sender = auto(), connect()
    ask(listener, "LISTEN news_2")
    for turn in range(5):
        ask(sender, "SELECT pg_notify('news_2', %s)", f"item {turn}")
        sender.commit()
        _notified(listener, "news_2", f"item {turn}")
        equal(value(listener, "SELECT 1"), 1)
    ask(listener, "UNLISTEN news_2")


@check
def a_listener_does_not_hear_of_what_is_rolled_back():
    listener, sender = auto(), connect()
    ask(listener, "LISTEN quiet_2")
    ask(sender, "NOTIFY quiet_2, 'never'")
    sender.rollback()
    ask(sender, "NOTIFY quiet_2, 'after'")
    sender.commit()
    _notified(listener, "quiet_2", "after")
    equal([n.payload for n in listener.notifies], ["after"])


@check
def one_who_does_not_listen_hears_nothing():
    listener, others = auto(), [auto() for _ in range(6)]
    ask(listener, "LISTEN private_2")
    for turn in range(ROUNDS):
        for other in others:
            ask(other, "SELECT 1")
        ask(others[0], "NOTIFY private_2")
    for other in others:
        other.poll()
        equal(other.notifies, [])


# Large objects


@check
def large_objects_are_written_and_read():
    connection = connect()
    content = bytes(range(256)) * 4000
    large = connection.lobject(0, "wb")
    identity = large.oid
    large.write(content)
    large.close()
    connection.commit()
    large = connection.lobject(identity, "rwb")
    equal(large.read(1000), content[:1000])
    large.seek(500_000)
    equal((large.tell(), large.read(10)), (500_000, content[500_000:500_010]))
    large.truncate(600_000)
    equal(large.seek(0, 2), 600_000)
    large.close()
    large.unlink() if not large.closed else connection.lobject(identity, "n").unlink()
    connection.commit()
    raises(psycopg2.OperationalError, lambda: connection.lobject(identity, "rb"))
    connection.rollback()


# Errors and recovery


@check
def errors_carry_their_fields():
    connection = auto()
    ask(connection, "CREATE TABLE checked (n int CONSTRAINT positive CHECK (n > 0))")
    diag = raises(psycopg2.errors.CheckViolation, lambda: ask(connection, "INSERT INTO checked VALUES (-1)"), "23514", "pgcode").diag
    equal((diag.severity, diag.schema_name, diag.table_name, diag.constraint_name), ("ERROR", "public", "checked", "positive"))
    diag = raises(psycopg2.errors.UndefinedColumn, lambda: ask(connection, "SELECT nmae FROM checked")).diag
    equal((diag.statement_position, diag.sqlstate), ("8", "42703"))
    equal(value(connection, "SELECT 1"), 1)


@check
def a_terminated_server_is_one_clients_error():
    victim, other = connect(), auto()
    doomed = backend(victim)
    equal(value(other, "SELECT pg_terminate_backend(%s)", doomed), True)
    raises(psycopg2.OperationalError, lambda: ask(victim, "SELECT 1"))
    until(lambda: victim.closed, "the end of the connection")
    for _ in range(ROUNDS):
        equal(value(other, "SELECT 1"), 1)
    equal(value(auto(), "SELECT 1"), 1)


@check
def clients_that_vanish_in_a_transaction_leave_nothing():
    with auto() as setup:
        ask(setup, "CREATE TABLE vanished (n int)")
    for number in range(6):
        connection = connect()
        ask(connection, "INSERT INTO vanished VALUES (%s)", number)
        connection.close()
    watcher = auto()
    until(lambda: value(watcher, "SELECT count(*) FROM pg_locks WHERE relation = 'vanished'::regclass AND mode = 'RowExclusiveLock'") == 0,
          "the end of the locks")
    equal(value(watcher, "SELECT count(*) FROM vanished"), 0)


# What pools do


@check
def a_connection_pool_returns_connections_clean():
    pool = psycopg2.pool.ThreadedConnectionPool(1, 3, "")
    for turn in range(ROUNDS):
        connection = pool.getconn()
        equal(ask(connection, "SELECT current_setting('TimeZone'), current_setting('work_mem')"), [("UTC", "4MB")])
        ask(connection, "SET TimeZone = 'Asia/Tokyo'")
        if turn % 2:
            connection.commit()
        pool.putconn(connection)  # rolls back what is open
        connection = pool.getconn()
        connection.reset()  # ABORT; RESET ALL; SET SESSION AUTHORIZATION DEFAULT
        pool.putconn(connection)
    pool.closeall()


@check
def discard_all_leaves_a_fresh_session():
    a, b = auto(), auto(application_name="steady")
    for turn in range(ROUNDS):
        ask(a, "SET TimeZone = 'Asia/Tokyo'")
        ask(a, "DISCARD ALL")
        equal(value(a, "SHOW TimeZone"), "UTC")
        equal(value(b, "SHOW application_name"), "steady")


# Session settings


@check
def reported_settings_follow_their_client():
    zones = ["Asia/Tokyo", "America/New_York", "Europe/Berlin", "UTC"]
    connections = [auto(application_name=f"app {index}") for index in range(8)]
    for index, connection in enumerate(connections):
        ask(connection, "SET TimeZone = %s", zones[index % 4])
        ask(connection, "SET DateStyle = 'German'" if index % 2 else "SET DateStyle = 'ISO, DMY'")
    for _ in range(6):
        for index, connection in enumerate(connections):
            equal(ask(connection, "SELECT current_setting('TimeZone'), current_setting('application_name'), DATE '2026-11-22'::text")[0],
                  (zones[index % 4], f"app {index}", "22.11.2026" if index % 2 else "2026-11-22"))
            equal(connection.get_parameter_status("TimeZone"), zones[index % 4])


@check
def client_encoding_follows_its_client():
    latin, unicode = auto(), auto()
    latin.set_client_encoding("LATIN1")
    for _ in range(ROUNDS):
        equal(value(latin, "SELECT 'ä' || chr(252)"), "äü")
        equal(value(unicode, "SELECT '€' || chr(252)"), "€ü")
    equal((latin.encoding, unicode.encoding), ("LATIN1", "UTF8"))


@check
def startup_options_are_honoured():
    plain, wished = auto(), auto(options="-c search_path=wished,public -c work_mem=5MB -c statement_timeout=54321")
    for _ in range(ROUNDS):
        equal(ask(wished, "SELECT current_setting('search_path'), current_setting('work_mem'), current_setting('statement_timeout')"),
              [("wished,public", "5MB", "54321ms")])
        equal(value(plain, "SHOW search_path"), '"$user", public')


@check
def a_bad_startup_option_fails_the_login():
    error = raises(psycopg2.OperationalError, lambda: connect(options="-c no_such_setting=1"))
    equal("no_such_setting" in str(error), True)


@check
def unreported_settings_follow_their_client():
    a, b = auto(), auto()
    ask(a, "SET work_mem = '7MB'")
    ask(a, "SET search_path = public, \"Mixed Case\"")
    ask(a, "SELECT set_config('app.tenant', 'a', false)")
    ask(b, "SET work_mem = '9MB'")
    for _ in range(ROUNDS):
        equal(ask(a, "SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('app.tenant', true)"),
              [("7MB", 'public, "Mixed Case"', "a")])
        equal(value(b, "SHOW work_mem"), "9MB")


@check
def set_local_ends_with_the_transaction():
    connection = connect()
    for _ in range(ROUNDS):
        ask(connection, "SET LOCAL maintenance_work_mem = '6MB'")
        equal(value(connection, "SHOW maintenance_work_mem"), "6MB")
        connection.commit()
        equal(value(connection, "SHOW maintenance_work_mem"), "64MB")
        connection.commit()


@check
def a_setting_that_is_rolled_back_is_as_before():
    connection = connect()
    ask(connection, "SET app.state = 'first'")
    connection.commit()
    ask(connection, "SET app.state = 'second'")
    connection.rollback()
    for _ in range(ROUNDS):
        equal(value(connection, "SELECT current_setting('app.state', true)"), "first")
        connection.commit()


# State of a session


@check
def a_statement_of_prepare_is_there_later():
    a, b = auto(), auto()
    ask(a, "PREPARE plan_2 AS SELECT $1::int + 1")
    ask(b, "PREPARE plan_2 AS SELECT $1::int * 100")
    for number in range(ROUNDS):
        equal(value(a, "EXECUTE plan_2(%s)", number), number + 1)
        equal(value(b, "EXECUTE plan_2(%s)", number), number * 100)
    ask(a, "DEALLOCATE plan_2")
    raises(psycopg2.errors.InvalidSqlStatementName, lambda: ask(a, "EXECUTE plan_2(1)"), "26000", "pgcode")
    equal(value(b, "EXECUTE plan_2(7)"), 700)


@check
def a_temporary_table_is_there_later():
    a, b = auto(), auto()
    ask(a, "CREATE TEMP TABLE scratch_2 (n int)")
    for number in range(ROUNDS):
        ask(a, "INSERT INTO scratch_2 VALUES (%s)", number)
        raises(psycopg2.errors.UndefinedTable, lambda: ask(b, "SELECT * FROM scratch_2"))
    equal(value(a, "SELECT count(*) FROM scratch_2"), ROUNDS)
    ask(a, "DROP TABLE scratch_2")


@check
def an_advisory_lock_is_its_clients():
    a, b = auto(), auto()
    ask(a, "SELECT pg_advisory_lock(2001)")
    for _ in range(ROUNDS):
        equal(value(b, "SELECT pg_try_advisory_lock(2001)"), False)
        equal(value(a, "SELECT pg_try_advisory_lock(2001)"), True)
        equal(value(a, "SELECT pg_advisory_unlock(2001)"), True)
    equal(value(a, "SELECT pg_advisory_unlock(2001)"), True)
    equal(value(b, "SELECT pg_try_advisory_lock(2001)"), True)
    equal(value(b, "SELECT pg_advisory_unlock(2001)"), True)


@check
def a_cursor_with_hold_is_there_later():
    connection = connect()
    with connection.cursor("held_2", withhold=True) as cursor:
        cursor.itersize = 10
        cursor.execute("SELECT g FROM generate_series(1, 200) g")
        connection.commit()
        for number in range(1, 101):
            equal(cursor.fetchone(), (number,))
            connection.commit()
    connection.commit()


@check
def currval_belongs_to_its_client():
    a, b = auto(), auto()
    ask(a, "CREATE SEQUENCE numbers_2")
    for turn in range(1, ROUNDS):
        equal(value(a, "SELECT nextval('numbers_2')"), 2 * turn - 1)
        equal(value(b, "SELECT nextval('numbers_2')"), 2 * turn)
        equal(value(a, "SELECT currval('numbers_2')"), 2 * turn - 1)


@check
def an_asynchronous_connection():
    connection = psycopg2.connect("", async_=True)
    psycopg2.extras.wait_select(connection)
    cursor = connection.cursor()
    for number in range(ROUNDS):
        cursor.execute("SELECT %s", (number,))
        psycopg2.extras.wait_select(connection)
        equal(cursor.fetchall(), [(number,)])


@check
def a_role_follows_its_client():
    a, b = auto(), auto()
    ask(a, "SET ROLE app_reader")
    for _ in range(ROUNDS):
        equal(value(a, "SELECT current_user"), "app_reader")
        equal(value(b, "SELECT current_user"), "app")
    ask(a, "RESET ROLE")
    equal(value(a, "SELECT current_user"), "app")


run()
