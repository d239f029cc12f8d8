# SPDX-License-Identifier: GPL-3.0-or-later
"""psycopg 3: the extended protocol with named and unnamed statements, pipelines, binary results and COPY; its synchronous
and its asynchronous side, and its pool."""

import asyncio
import datetime
import decimal
import threading
import uuid

from scenario import CLIENTS, ROUNDS, absent, check, equal, in_threads, raises, run, until

try:
    import psycopg
    import psycopg.rows
    import psycopg.types.json
    import psycopg_pool
    from psycopg import errors
except ImportError as error:
    absent(str(error))


def connect(**more):
    return psycopg.connect("", **more)


def auto(**more):
    return connect(autocommit=True, **more)


def value(connection, sql, *values, **more):
    return connection.execute(sql, values or None, **more).fetchone()[0]


async def connect_async(**more):
    return await psycopg.AsyncConnection.connect("", autocommit=True, **more)


async def value_async(connection, sql, *values, **more):
    return (await (await connection.execute(sql, values or None, **more)).fetchone())[0]


# Prepared statements


@check
def unnamed_statements_with_parameters():
    connection = auto(prepare_threshold=None)
    for number in range(ROUNDS):
        equal(connection.execute("SELECT %s::int + 1, %s::text, %s::bytea", (number, "ü", b"\0\1")).fetchone(),
              (number + 1, "ü", b"\0\1"))


@check
def a_statement_prepared_by_use_serves_many_transactions():
    connection = auto(prepare_threshold=2)
    for number in range(2 * ROUNDS):
        equal(value(connection, "SELECT %s::int * 2", number), number * 2)


@check
def statements_of_two_clients_with_one_name_do_not_mix():
    a, b = auto(prepare_threshold=0), auto(prepare_threshold=0)
    for number in range(ROUNDS):
        equal(value(a, "SELECT %s::int + 1", number), number + 1)
        equal(value(b, "SELECT %s::int * 100", number), number * 100)


@check
def many_clients_prepare_the_same_statement():
    connections = [auto(prepare_threshold=0) for _ in range(CLIENTS)]

    def work(index):
        for number in range(15):
            equal(value(connections[index], "SELECT %s::text || '/' || %s::int", f"client {index}", number),
                  f"client {index}/{number}")

    in_threads(CLIENTS, work)


@check
def prepared_statements_over_the_cap_are_deallocated():
    connection = auto(prepare_threshold=0)
    connection.prepared_max = 3
    for turn in range(4):
        for number in range(8):
            equal(value(connection, f"SELECT %s::int + {number}", turn), turn + number)


@check
def prepared_statements_survive_a_rollback():
    connection = connect(prepare_threshold=0)
    for number in range(ROUNDS):
        equal(value(connection, "SELECT %s::int + 5", number), number + 5)
        if number % 3 == 2:
            raises(errors.DivisionByZero, lambda: value(connection, "SELECT 1 / %s::int", 0), "22012")
        connection.rollback() if number % 3 else connection.commit()


@check
def deallocate_all_is_survived():
    connection = auto(prepare_threshold=0)
    for number in range(6):
        equal(value(connection, "SELECT %s::int + 6", number), number + 6)
        connection.execute("DEALLOCATE ALL", prepare=False)
        connection._prepared.clear()  # as the driver does when it deallocates all by itself
        connection._prepared._to_flush.clear() if hasattr(connection._prepared, "_to_flush") else None


@check
def a_failed_prepare_leaves_no_trace():
    connection = auto(prepare_threshold=0)
    for _ in range(4):
        raises(errors.UndefinedTable, lambda: connection.execute("SELECT * FROM not_yet WHERE n = %s", (1,)), "42P01")
    connection.execute("CREATE TABLE not_yet (n int)", prepare=False)
    for _ in range(ROUNDS):
        equal(connection.execute("SELECT * FROM not_yet WHERE n = %s", (1,)).fetchall(), [])


@check
def a_changed_table_under_a_prepared_statement():
    a, b = auto(prepare_threshold=0), auto(prepare_threshold=None)
    b.execute("CREATE TABLE changing (n int)")
    b.execute("INSERT INTO changing VALUES (1)")
    equal(a.execute("SELECT * FROM changing WHERE n = %s", (1,)).fetchall(), [(1,)])
    b.execute("ALTER TABLE changing ADD t text DEFAULT 'new'")
    try:
        found = a.execute("SELECT * FROM changing WHERE n = %s", (1,)).fetchall()
    except errors.FeatureNotSupported:  # PostgreSQL's "cached plan must not change result type", unless it was re-prepared
        found = [(1, "new")]
    equal(found, [(1, "new")])
    equal(value(a, "SELECT %s::int", 4), 4)


# Pipelines


@check
def a_pipeline_answers_in_order():
    connection = connect(prepare_threshold=0)
    for turn in range(5):
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int, %s::text", (number, "x" * number)) for number in range(100)]
        for number, cursor in enumerate(cursors):
            equal(cursor.fetchone(), (number, "x" * number))
        connection.commit() if turn % 2 else connection.rollback()


@check
def pipelines_of_many_clients():
    connections = [auto(prepare_threshold=3) for _ in range(CLIENTS)]

    def work(index):
        for turn in range(4):
            with connections[index].pipeline():
                cursors = [connections[index].execute("SELECT %s::int, %s::int, %s::int", (index, turn, n)) for n in range(40)]
            equal([cursor.fetchone() for cursor in cursors], [(index, turn, n) for n in range(40)])

    in_threads(CLIENTS, work)


@check
def an_error_in_a_pipeline_aborts_the_rest_of_it():
    connection = auto(prepare_threshold=0)
    connection.execute("CREATE TABLE piped (n int PRIMARY KEY)")
    for _ in range(4):
        try:
            with connection.pipeline():
                for number in (1, 1, 2):
                    connection.execute("INSERT INTO piped VALUES (%s)", (number,))
            raise AssertionError("no error")
        except (errors.UniqueViolation, errors.PipelineAborted):
            pass
        equal(connection.execute("SELECT count(*) FROM piped").fetchone(), (0,))


@check
def syncs_inside_a_pipeline_part_it():
    connection = auto(prepare_threshold=0)
    connection.execute("CREATE TABLE parts (n int PRIMARY KEY)")
    with connection.pipeline() as pipeline:
        connection.execute("INSERT INTO parts VALUES (%s)", (1,))
        pipeline.sync()
        try:
            connection.execute("INSERT INTO parts VALUES (%s)", (1,))
            pipeline.sync()
            raise AssertionError("no UniqueViolation")
        except errors.UniqueViolation:
            pass
        connection.execute("INSERT INTO parts VALUES (%s)", (2,))
        pipeline.sync()
    equal(connection.execute("SELECT n FROM parts ORDER BY n").fetchall(), [(1,), (2,)])


@check
def transactions_inside_a_pipeline():
    connection = auto(prepare_threshold=0)
    connection.execute("CREATE TABLE piped_blocks (n int)")
    with connection.pipeline():
        with connection.transaction():
            connection.execute("INSERT INTO piped_blocks VALUES (%s)", (1,))
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO piped_blocks VALUES (%s)", (2,))
        cursor = connection.execute("SELECT n FROM piped_blocks")
        equal(cursor.fetchall(), [(1,)])


@check
def executemany_returns_all_results():
    connection = auto()
    connection.execute("CREATE TABLE many (n int, t text)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO many VALUES (%s, %s) RETURNING n", [(n, f"row {n}") for n in range(500)], returning=True)
        got = [cursor.fetchone()[0]]
        while cursor.nextset():
            got.append(cursor.fetchone()[0])
    equal(got, list(range(500)))
    equal(value(connection, "SELECT count(*) FROM many WHERE t = 'row ' || n"), 500)


# Transactions, cursors, types


@check
def nested_transaction_blocks():
    connection = connect()
    with connection.transaction():
        connection.execute("CREATE TABLE nested (n int PRIMARY KEY)")
        connection.execute("INSERT INTO nested VALUES (1)")
        for _ in range(5):
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO nested VALUES (2)")
                    connection.execute("INSERT INTO nested VALUES (1)")
            except errors.UniqueViolation:
                pass
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO nested VALUES (3)")
    equal(connection.execute("SELECT n FROM nested").fetchall(), [(1,)])


@check
def transaction_characteristics():
    connection = connect()
    connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    for _ in range(5):
        equal(value(connection, "SHOW transaction_isolation"), "repeatable read")
        raises(errors.ReadOnlySqlTransaction, lambda: connection.execute("CREATE TABLE never_3 (n int)"))
        connection.rollback()


@check
def serialization_failures_can_be_retried():
    with auto() as setup:
        setup.execute("CREATE TABLE counter (n int)")
        setup.execute("INSERT INTO counter VALUES (0)")

    def work(_index):
        connection = connect()
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        done = 0
        while done < 4:
            try:
                with connection.transaction():
                    count = value(connection, "SELECT n FROM counter")
                    connection.execute("UPDATE counter SET n = %s", (count + 1,))
                done += 1
            except (errors.SerializationFailure, errors.DeadlockDetected):
                pass
        connection.close()

    in_threads(6, work)
    equal(value(auto(), "SELECT n FROM counter"), 24)


@check
def two_phase_commit():
    connection = connect()
    connection.execute("CREATE TABLE two_phase_3 (n int)")
    connection.commit()
    for number, end in ((1, connection.tpc_commit), (2, connection.tpc_rollback)):
        connection.tpc_begin(connection.xid(3, uuid.uuid4().hex, "branch"))
        connection.execute("INSERT INTO two_phase_3 VALUES (%s)", (number,))
        connection.tpc_prepare()
        end()
    equal(connection.execute("SELECT n FROM two_phase_3").fetchall(), [(1,)])


@check
def server_side_cursors_fetch_in_steps():
    connection = connect()
    for number in range(3):
        with connection.cursor(f"walker_{number}", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT g FROM generate_series(1, %s) g", (1050,))
            equal(sum(row[0] for row in cursor), 1050 * 1051 // 2)
            cursor.scroll(9, mode="absolute")
            equal(cursor.fetchone(), (10,))
        connection.commit()


@check
def results_are_streamed_row_by_row():
    connection = auto()
    with connection.cursor() as cursor:
        equal(sum(row[0] for row in cursor.stream("SELECT g FROM generate_series(1, %s) g", (5000,))), 5000 * 5001 // 2)
        for row in cursor.stream("SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) g"):
            if row[0] == 10:
                break
    equal(value(connection, "SELECT %s::int", 1), 1)


@check
def large_results_and_parameters():
    connection = auto()
    equal(len(connection.execute("SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g").fetchall()), 20000)
    content = bytes(range(256)) * 20000
    equal(value(connection, "SELECT %b::bytea", content, binary=True) == content, True)


@check
def types_make_the_round_trip_in_both_formats():
    connection = auto()
    values = (True, 2**40, decimal.Decimal("12345.678900"), 1.5, "ä€", b"\0\xff", datetime.date(2026, 11, 22),
              datetime.datetime(2026, 11, 22, 12, 34, 56, 789, tzinfo=datetime.timezone.utc), datetime.timedelta(days=3, seconds=7),
              uuid.UUID(int=7), [1, 2, None, 4])
    for binary in (False, True):
        for _ in range(4):
            cursor = connection.execute("SELECT " + ", ".join(["%s"] * len(values)), values, binary=binary, prepare=True)
            for sent, got in zip(values, cursor.fetchone()):
                equal(got, sent)
    equal(value(connection, "SELECT %s", psycopg.types.json.Jsonb({"a": [1, None]})), {"a": [1, None]})


# COPY


@check
def copy_in_and_out_as_text_and_binary():
    connection = connect()
    connection.execute("CREATE TABLE copied_3 (n int, t text)")
    rows = [(n, f"line {n}\t\\ ä") for n in range(5000)]
    for form in ("TEXT", "BINARY"):
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY copied_3 FROM STDIN (FORMAT {form})") as copy:
                copy.set_types(["int4", "text"])
                for row in rows:
                    copy.write_row(row)
            connection.commit()
            with cursor.copy(f"COPY (SELECT * FROM copied_3 ORDER BY n) TO STDOUT (FORMAT {form})") as copy:
                copy.set_types(["int4", "text"])
                equal(list(copy.rows()) == rows, True)
        connection.execute("TRUNCATE copied_3")
        connection.commit()


@check
def copy_that_fails_leaves_the_connection_usable():
    connection = auto()
    connection.execute("CREATE TABLE copied_badly_3 (n int)")
    for _ in range(3):
        with connection.cursor() as cursor:
            raises(errors.InvalidTextRepresentation, lambda: _copy(cursor, ["1\n", "2\n", "three\n"]), "22P02")
        with connection.cursor() as cursor:
            raises(errors.QueryCanceled, lambda: _copy(cursor, (str(1 // number) + "\n" for number in (1, 0))), "57014")
        equal(value(connection, "SELECT count(*) FROM copied_badly_3"), 0)


def _copy(cursor, lines):
    with cursor.copy("COPY copied_badly_3 FROM STDIN") as copy:
        for line in lines:
            copy.write(line)


@check
def copy_out_that_is_broken_off():
    connection = auto()
    for _ in range(3):
        with connection.cursor() as cursor:
            try:
                with cursor.copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT") as copy:
                    for number, _row in enumerate(copy):
                        if number == 5:
                            raise KeyError("enough")
            except KeyError:
                pass
        equal(value(connection, "SELECT 1"), 1)


# Cancel, notices, notifications


@check
def cancel_ends_the_query_and_nothing_else():
    a, b = auto(), auto()
    for _ in range(3):
        sleeper = threading.Timer(0.3, a.cancel)
        sleeper.start()
        raises(errors.QueryCanceled, lambda: a.execute("SELECT pg_sleep(%s)", (15,)), "57014")
        sleeper.join()
        equal((value(a, "SELECT 1"), value(b, "SELECT 2")), (1, 2))


@check
def notices_reach_their_client_in_order():
    connections, heard = [auto() for _ in range(6)], [[] for _ in range(6)]
    for connection, own in zip(connections, heard):
        connection.add_notice_handler(lambda diag, own=own: own.append((diag.severity, diag.message_primary, diag.message_hint)))

    def work(index):
        for turn in range(5):
            connections[index].execute(f"DO $$ BEGIN RAISE NOTICE '{index}.{turn}' USING HINT = 'h'; RAISE WARNING 'w'; END $$")

    in_threads(6, work)
    for index in range(6):
        equal(heard[index], [said for turn in range(5) for said in (("NOTICE", f"{index}.{turn}", "h"), ("WARNING", "w", None))])


@check
def a_listener_hears_of_what_others_commit():
    listener, sender, heard = auto(), connect(), []
    listener.add_notify_handler(heard.append)
    listener.execute("LISTEN news_3")
    for turn in range(5):
        sender.execute("SELECT pg_notify('news_3', %s)", (f"item {turn}",))
        sender.rollback() if turn == 2 else sender.commit()
        listener.execute("SELECT 1")
    until(lambda: listener.execute("SELECT 1") and len(heard) >= 4, "four notifications", seconds=3)
    equal([n.payload for n in heard], ["item 0", "item 1", "item 3", "item 4"])
    listener.execute("UNLISTEN *")


@check
async def an_idle_listener_is_woken():
    listener, sender = await connect_async(), await connect_async()
    await listener.execute("LISTEN wake_3")

    async def first():
        async for notification in listener.notifies():
            return notification.payload

    for turn in range(3):
        waiting = asyncio.create_task(first())
        await asyncio.sleep(0)
        await sender.execute("SELECT pg_notify('wake_3', %s)", (str(turn),))
        equal(await asyncio.wait_for(waiting, 5), str(turn))
    await listener.execute("UNLISTEN wake_3")


# Large objects: functions in SQL


@check
def large_objects_are_written_and_read():
    connection = connect(prepare_threshold=0)
    content = bytes(range(256)) * 1000
    with connection.transaction():
        identity = value(connection, "SELECT lo_from_bytea(0, %s)", content)
    with connection.transaction():
        handle = value(connection, "SELECT lo_open(%s, %s)", identity, 0x60000)
        equal(value(connection, "SELECT lo_lseek(%s, 1000, 0)", handle), 1000)
        equal(value(connection, "SELECT loread(%s, 5000)", handle), content[1000:6000])
        equal(value(connection, "SELECT lowrite(%s, %s)", handle, b"written"), 7)
        equal(value(connection, "SELECT lo_close(%s)", handle), 0)
    with connection.transaction():
        equal(value(connection, "SELECT lo_get(%s, 6000, 7)", identity), b"written")
        equal(value(connection, "SELECT lo_unlink(%s)", identity), 1)


# Errors and recovery


@check
def errors_carry_their_fields():
    connection = auto()
    connection.execute("CREATE TABLE checked_3 (n int CONSTRAINT positive CHECK (n > 0))")
    diag = raises(errors.CheckViolation, lambda: connection.execute("INSERT INTO checked_3 VALUES (%s)", (-1,)), "23514").diag
    equal((diag.severity, diag.schema_name, diag.table_name, diag.constraint_name), ("ERROR", "public", "checked_3", "positive"))
    raises(errors.SyntaxError, lambda: connection.execute("SELEC %s", (1,)), "42601")
    equal(value(connection, "SELECT %s::int", 1), 1)


@check
def a_terminated_server_is_one_clients_error():
    victim, other = connect(), auto()
    doomed = value(victim, "SELECT pg_backend_pid()")
    equal(value(other, "SELECT pg_terminate_backend(%s)", doomed), True)
    raises(psycopg.OperationalError, lambda: victim.execute("SELECT 1"))
    equal(victim.closed, True)
    for _ in range(ROUNDS):
        equal(value(other, "SELECT 1"), 1)
    equal(value(auto(), "SELECT 1"), 1)


@check
def a_statement_timeout_is_an_error_like_any_other():
    connection = connect()
    for _ in range(3):
        connection.execute("SET LOCAL statement_timeout = 100")
        raises(errors.QueryCanceled, lambda: connection.execute("SELECT pg_sleep(15)"), "57014")
        connection.rollback()
    equal(value(connection, "SHOW statement_timeout"), "0")


# Asynchronous clients, pools


@check
async def many_asynchronous_clients():
    connections = [await connect_async(prepare_threshold=2) for _ in range(CLIENTS)]

    async def work(index):
        for number in range(15):
            equal(await value_async(connections[index], "SELECT %s::int * 1000 + %s::int", index, number), index * 1000 + number)

    await asyncio.gather(*map(work, range(CLIENTS)))


@check
async def asynchronous_pipelines():
    connections = [await connect_async(prepare_threshold=0) for _ in range(6)]

    async def work(index):
        async with connections[index].pipeline():
            cursors = [await connections[index].execute("SELECT %s::int, %s::int", (index, n)) for n in range(50)]
        equal([await cursor.fetchone() for cursor in cursors], [(index, n) for n in range(50)])

    for _ in range(3):
        await asyncio.gather(*map(work, range(6)))


@check
async def a_task_that_is_cancelled_cancels_its_query():
    connection, other = await connect_async(), await connect_async()
    for _ in range(2):
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(15)"))
        await asyncio.sleep(0.3)
        connection.cancel()
        try:
            await task
            raise AssertionError("no QueryCanceled")
        except errors.QueryCanceled:
            pass
        equal(await value_async(connection, "SELECT %s::int", 3), 3)
        equal(await value_async(other, "SELECT %s::int", 4), 4)


@check
def a_pool_hands_out_clean_connections():
    def reset(connection):
        connection.execute("RESET ALL")
        connection.commit()

    with psycopg_pool.ConnectionPool("", min_size=2, max_size=4, reset=reset) as pool:
        def work(index):
            for turn in range(6):
                with pool.connection() as connection:
                    equal(value(connection, "SHOW TimeZone"), "UTC")
                    connection.execute("SET TimeZone = 'Asia/Tokyo'")
                    equal(value(connection, "SELECT %s::int", index), index)
                    if turn % 3 == 0:
                        raises(errors.DivisionByZero, lambda: connection.execute("SELECT 1/0"))
                        connection.rollback()

        in_threads(8, work)


@check
def a_pool_replaces_broken_connections():
    with psycopg_pool.ConnectionPool("", min_size=1, max_size=2) as pool:
        for _ in range(3):
            try:
                with pool.connection() as connection:
                    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            except psycopg.OperationalError:
                pass
            with pool.connection() as connection:
                equal(value(connection, "SELECT 1"), 1)


# Settings and state


@check
def reported_settings_follow_their_client():
    zones = ["Asia/Tokyo", "America/New_York", "Europe/Berlin", "UTC"]
    connections = [auto(application_name=f"app {index}", prepare_threshold=None) for index in range(8)]
    for index, connection in enumerate(connections):
        connection.execute(f"SET TimeZone = '{zones[index % 4]}'")
    for _ in range(6):
        for index, connection in enumerate(connections):
            equal(connection.execute("SELECT current_setting('TimeZone'), current_setting('application_name')").fetchone(),
                  (zones[index % 4], f"app {index}"))
            equal(connection.info.parameter_status("TimeZone"), zones[index % 4])


@check
def unreported_settings_follow_their_client():
    a, b = auto(), auto()
    a.execute("SET lock_timeout = 12345")
    a.execute("SELECT set_config('app.tenant', %s, false)", ("a",))
    b.execute("SELECT set_config('app.tenant', %s, false)", ("b",))
    for _ in range(ROUNDS):
        equal(a.execute("SELECT current_setting('lock_timeout'), current_setting('app.tenant', true)").fetchone(), ("12345ms", "a"))
        equal(b.execute("SELECT current_setting('lock_timeout'), current_setting('app.tenant', true)").fetchone(), ("0", "b"))


@check
def startup_options_are_honoured():
    plain, wished = auto(), auto(options="-c geqo_threshold=13 -c app.wish=yes")
    for _ in range(ROUNDS):
        equal(wished.execute("SELECT current_setting('geqo_threshold'), current_setting('app.wish')").fetchone(), ("13", "yes"))
        equal(plain.execute("SELECT current_setting('geqo_threshold'), current_setting('app.wish', true)").fetchone()[0], "12")


@check
def a_temporary_table_is_there_later():
    connection = auto()
    connection.execute("CREATE TEMP TABLE scratch_3 (n int)")
    for number in range(ROUNDS):
        connection.execute("INSERT INTO scratch_3 VALUES (%s)", (number,))
    equal(value(connection, "SELECT count(*) FROM scratch_3"), ROUNDS)
    connection.execute("DROP TABLE scratch_3")


@check
def an_advisory_lock_is_its_clients():
    a, b = auto(), auto()
    a.execute("SELECT pg_advisory_lock(%s)", (3001,))
    for _ in range(ROUNDS):
        equal(value(b, "SELECT pg_try_advisory_lock(%s)", 3001), False)
    equal(value(a, "SELECT pg_advisory_unlock(%s)", 3001), True)


@check
def a_cursor_with_hold_is_there_later():
    connection = connect()
    with connection.cursor("held_3", withhold=True) as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 200) g")
        connection.commit()
        for number in range(1, 51):
            equal(cursor.fetchone(), (number,))
            connection.commit()
    connection.commit()


run()
