# SPDX-License-Identifier: GPL-3.0-or-later
"""asyncpg: a driver without libpq that prepares everything by name, speaks binary only, and resets what its pool takes
back."""

import asyncio
import datetime
import decimal
import io
import uuid

from scenario import CLIENTS, ROUNDS, absent, check, equal, run

try:
    import asyncpg
except ImportError as error:
    absent(str(error))


async def connect(**more):
    return await asyncpg.connect(timeout=10, command_timeout=18, **more)


async def connected(count, **more):
    return [await connect(**more) for _ in range(count)]


async def fails(kind, awaitable, sqlstate=None):
    try:
        await awaitable
    except kind as error:
        if sqlstate:
            equal(error.sqlstate, sqlstate)
        return error
    raise AssertionError(f"no {kind.__name__}")


async def until(condition, what, seconds=3):
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.01)


# Prepared statements


@check
async def queries_without_parameters():
    connection = await connect()
    for number in range(ROUNDS):
        equal(await connection.execute(f"SELECT {number}"), "SELECT 1")


@check
async def cached_statements_serve_many_transactions():
    connection = await connect()
    for number in range(2 * ROUNDS):
        equal(await connection.fetchval("SELECT $1::int * 2", number), number * 2)


@check
async def statements_of_two_clients_with_one_name_do_not_mix():
    a, b = await connected(2)
    for number in range(ROUNDS):
        equal(await a.fetchval("SELECT $1::int + 1", number), number + 1)
        equal(await b.fetchval("SELECT $1::int * 100", number), number * 100)


@check
async def a_statement_prepared_by_hand_serves_many_transactions():
    connection = await connect()
    statement = await connection.prepare("SELECT $1::int AS number, $2::text AS name")
    equal([(a.name, a.type.name) for a in statement.get_attributes()], [("number", "int4"), ("name", "text")])
    equal([p.name for p in statement.get_parameters()], ["int4", "text"])
    for number in range(ROUNDS):
        equal(tuple(await statement.fetchrow(number, "ü")), (number, "ü"))
        async with connection.transaction():
            equal(await statement.fetchval(number, "in a block"), number)


@check
async def the_cache_of_statements_evicts_the_oldest():
    connection = await connect(statement_cache_size=3)
    for turn in range(4):
        for number in range(8):
            equal(await connection.fetchval(f"SELECT $1::int + {number}", turn), turn + number)


@check
async def without_a_cache_of_statements():
    connections = await connected(4, statement_cache_size=0)

    async def work(index):
        for number in range(ROUNDS):
            equal(await connections[index].fetchval("SELECT $1::int + $2::int", index * 1000, number), index * 1000 + number)

    await asyncio.gather(*map(work, range(4)))


@check
async def a_failed_prepare_leaves_no_trace():
    connection = await connect()
    for _ in range(4):
        await fails(asyncpg.UndefinedTableError, connection.fetch("SELECT * FROM not_yet_a WHERE n = $1", 1), "42P01")
    await connection.execute("CREATE TABLE not_yet_a (n int)")
    for _ in range(ROUNDS):
        equal(await connection.fetch("SELECT * FROM not_yet_a WHERE n = $1", 1), [])


@check
async def a_changed_table_is_met_by_preparing_again():
    a, b = await connected(2)
    await b.execute("CREATE TABLE changing_a (n int); INSERT INTO changing_a VALUES (1)")
    for turn in range(4):
        equal(dict((await a.fetch("SELECT * FROM changing_a"))[0])["n"], 1)
        await b.execute(f"ALTER TABLE changing_a ADD column_{turn} text DEFAULT 'new'")
    equal(len(await a.fetchrow("SELECT * FROM changing_a")), 5)


@check
async def new_types_are_looked_up():
    connection = await connect()
    await connection.execute("CREATE TYPE pair AS (a int, b text); CREATE TYPE mood AS ENUM ('good', 'bad')")
    for _ in range(5):
        row = await connection.fetchrow("SELECT (1, 'x')::pair AS p, 'good'::mood AS m, ARRAY['bad']::mood[] AS ms")
        equal((tuple(row["p"]), row["m"], row["ms"]), ((1, "x"), "good", ["bad"]))


# Batches


@check
async def executemany_sends_a_batch():
    connection = await connect()
    await connection.execute("CREATE TABLE batch_a (n int PRIMARY KEY, t text)")
    await connection.executemany("INSERT INTO batch_a VALUES ($1, $2)", [(n, "x" * (n % 100)) for n in range(3000)])
    equal(await connection.fetchval("SELECT count(*) FROM batch_a WHERE length(t) = n % 100"), 3000)
    await fails(asyncpg.UniqueViolationError, connection.executemany("INSERT INTO batch_a VALUES ($1, 'y')", [(n,) for n in (5000, 5001, 7, 5002)]))
    equal(await connection.fetchval("SELECT count(*) FROM batch_a"), 3000)


@check
async def many_clients_get_their_own_rows():
    connections = await connected(CLIENTS)

    async def work(index):
        for turn in range(12):
            rows = await connections[index].fetch("SELECT $1::int, $2::int, g FROM generate_series(1, 10) g", index, turn)
            equal([tuple(row) for row in rows], [(index, turn, g) for g in range(1, 11)])

    await asyncio.gather(*map(work, range(CLIENTS)))


# Transactions and cursors


@check
async def transactions_and_savepoints():
    connection = await connect()
    await connection.execute("CREATE TABLE nested_a (n int PRIMARY KEY)")
    for turn in range(5):
        async with connection.transaction():
            await connection.execute("INSERT INTO nested_a VALUES ($1)", turn)
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO nested_a VALUES ($1)", 100 + turn)
                    await connection.execute("INSERT INTO nested_a VALUES ($1)", turn)
            except asyncpg.UniqueViolationError:
                pass
        transaction = connection.transaction(isolation="serializable", readonly=False)
        await transaction.start()
        await connection.execute("INSERT INTO nested_a VALUES ($1)", 200 + turn)
        await transaction.rollback()
    equal([row[0] for row in await connection.fetch("SELECT n FROM nested_a ORDER BY n")], list(range(5)))


@check
async def an_error_aborts_the_transaction():
    connection = await connect()
    for _ in range(4):
        transaction = connection.transaction()
        await transaction.start()
        await fails(asyncpg.DivisionByZeroError, connection.fetchval("SELECT 1 / $1::int", 0), "22012")
        await fails(asyncpg.InFailedSQLTransactionError, connection.fetchval("SELECT 1"), "25P02")
        await transaction.rollback()
        equal(await connection.fetchval("SELECT $1::int", 1), 1)


@check
async def cursors_fetch_in_steps():
    connection = await connect()
    for _ in range(3):
        async with connection.transaction():
            numbers = [row[0] async for row in connection.cursor("SELECT g FROM generate_series(1, $1::int) g", 1050, prefetch=100)]
            equal(numbers, list(range(1, 1051)))
            cursor = await connection.cursor("SELECT g FROM generate_series(1, 100) g")
            await cursor.forward(10)
            equal((await cursor.fetchrow())[0], 11)


@check
async def types_make_the_round_trip():
    connection = await connect()
    values = (True, 2**40, decimal.Decimal("12345.678900"), 1.5, "ä€", b"\0\xff", datetime.date(2026, 11, 22),
              datetime.datetime(2026, 11, 22, 12, 34, 56, 789, tzinfo=datetime.timezone.utc), datetime.timedelta(days=3, seconds=7),
              uuid.UUID(int=7), [1, None, 4], ["a", None])
    types = "bool int8 numeric float8 text bytea date timestamptz interval uuid int[] text[]".split()
    sql = "SELECT " + ", ".join(f"${number}::{name}" for number, name in enumerate(types, 1))
    for _ in range(4):
        equal(tuple(await connection.fetchrow(sql, *values)), values)


@check
async def large_results_and_parameters():
    connection = await connect()
    equal(len(await connection.fetch("SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")), 20000)
    content = bytes(range(256)) * 20000
    equal(await connection.fetchval("SELECT $1::bytea", content) == content, True)


# COPY


@check
async def copy_in_and_out():
    connection = await connect()
    await connection.execute("CREATE TABLE copied_a (n int, t text)")
    rows = [(n, f"line {n}\t\\ ä") for n in range(5000)]
    equal(await connection.copy_records_to_table("copied_a", records=rows), "COPY 5000")
    target = io.BytesIO()
    equal(await connection.copy_from_query("SELECT t FROM copied_a WHERE n < $1 ORDER BY n", 2, output=target, format="csv"), "COPY 2")
    equal(target.getvalue().decode(), "line 0\t\\ ä\nline 1\t\\ ä\n")
    equal([tuple(row) for row in await connection.fetch("SELECT * FROM copied_a ORDER BY n")] == rows, True)


@check
async def copy_that_fails_leaves_the_connection_usable():
    connection = await connect()
    await connection.execute("CREATE TABLE copied_badly_a (n int)")

    async def breaking():
        yield b"1\n"
        raise KeyError("the source broke")

    for _ in range(3):
        await fails(asyncpg.InvalidTextRepresentationError,
                    connection.copy_to_table("copied_badly_a", source=io.BytesIO(b"1\n2\nthree\n")), "22P02")
        await fails(KeyError, connection.copy_to_table("copied_badly_a", source=breaking()))
        equal(await connection.fetchval("SELECT count(*) FROM copied_badly_a"), 0)


# Cancel, notices, notifications


@check
async def a_timeout_cancels_the_query_and_nothing_else():
    a, b = await connected(2)
    for _ in range(3):
        await fails(asyncio.TimeoutError, a.execute("SELECT pg_sleep(15)", timeout=0.3))
        equal(await b.fetchval("SELECT $1::int", 2), 2)
        equal(await a.fetchval("SELECT $1::int", 1), 1)


@check
async def a_task_that_is_cancelled_cancels_its_query():
    connection = await connect()
    for _ in range(3):
        task = asyncio.create_task(connection.fetch("SELECT pg_sleep(15)"))
        await asyncio.sleep(0.2)
        task.cancel()
        await fails(asyncio.CancelledError, task)
        equal(await connection.fetchval("SELECT $1::int", 1), 1)


@check
async def notices_reach_their_client_in_order():
    connections, heard = await connected(6), [[] for _ in range(6)]
    for connection, own in zip(connections, heard):
        connection.add_log_listener(lambda _connection, message, own=own: own.append((message.severity, message.message)))

    async def work(index):
        for turn in range(5):
            await connections[index].execute(f"DO $$ BEGIN RAISE NOTICE '{index}.{turn}'; RAISE WARNING 'w'; END $$")

    await asyncio.gather(*map(work, range(6)))
    await until(lambda: all(len(own) == 10 for own in heard), "all notices")
    for index in range(6):
        equal(heard[index], [said for turn in range(5) for said in (("NOTICE", f"{index}.{turn}"), ("WARNING", "w"))])


@check
async def an_idle_listener_is_woken():
    listener, sender, heard = *await connected(2), []
    await listener.add_listener("news_a", lambda _connection, _pid, channel, payload: heard.append((channel, payload)))
    for turn in range(5):
        await sender.execute("SELECT pg_notify('news_a', $1)", f"item {turn}")
        await until(lambda: len(heard) == turn + 1, f"notification {turn}")
        equal(await listener.fetchval("SELECT $1::int", turn), turn)
    equal(heard, [("news_a", f"item {turn}") for turn in range(5)])


# Large objects: functions in SQL


@check
async def large_objects_are_written_and_read():
    connection, content = await connect(), bytes(range(256)) * 1000
    identity = await connection.fetchval("SELECT lo_from_bytea(0, $1)", content)
    async with connection.transaction():
        handle = await connection.fetchval("SELECT lo_open($1, 262144)", identity)
        equal(await connection.fetchval("SELECT lo_lseek64($1, 1000, 0)", handle), 1000)
        equal(await connection.fetchval("SELECT loread($1, 5000)", handle), content[1000:6000])
    equal(await connection.fetchval("SELECT lo_unlink($1)", identity), 1)


# Errors and recovery


@check
async def errors_carry_their_fields():
    connection = await connect()
    await connection.execute("CREATE TABLE checked_a (n int CONSTRAINT positive CHECK (n > 0))")
    error = await fails(asyncpg.CheckViolationError, connection.execute("INSERT INTO checked_a VALUES ($1)", -1), "23514")
    equal((error.severity, error.schema_name, error.table_name, error.constraint_name), ("ERROR", "public", "checked_a", "positive"))
    error = await fails(asyncpg.UndefinedColumnError, connection.fetch("SELECT nmae FROM checked_a"))
    equal(error.position, "8")
    equal(await connection.fetchval("SELECT $1::int", 1), 1)


@check
async def a_terminated_server_is_one_clients_error():
    victim, other = await connected(2)
    transaction = victim.transaction()
    await transaction.start()
    doomed = await victim.fetchval("SELECT pg_backend_pid()")
    equal(await other.fetchval("SELECT pg_terminate_backend($1)", doomed), True)
    await until(victim.is_closed, "the end of the connection")
    for number in range(ROUNDS):
        equal(await other.fetchval("SELECT $1::int", number), number)


# Pools


@check
async def a_pool_resets_what_it_takes_back():
    pool = await asyncpg.create_pool(min_size=2, max_size=3, timeout=10, command_timeout=15)

    async def work(index):
        for turn in range(6):
            async with pool.acquire() as connection:
                equal(await connection.fetchrow("SELECT current_setting('TimeZone'), current_setting('work_mem')"), ("UTC", "4MB"))
                await connection.execute("SET TimeZone = 'Asia/Tokyo'; SET work_mem = '5MB'; LISTEN pooled_a")
                await connection.execute("SELECT pg_advisory_lock_shared(4001)")
                equal(await connection.fetchval("SELECT $1::int", index * 10 + turn), index * 10 + turn)

    await asyncio.gather(*map(work, range(6)))
    await pool.close()
    watcher = await connect()
    equal(await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4001"), 0)


@check
async def a_pool_replaces_broken_connections():
    pool = await asyncpg.create_pool(min_size=1, max_size=2, timeout=10, command_timeout=15)
    for _ in range(3):
        async with pool.acquire() as connection:
            await fails(asyncpg.PostgresError, connection.execute("SELECT pg_terminate_backend(pg_backend_pid())"))
        equal(await pool.fetchval("SELECT $1::int", 1), 1)
    await pool.close()


# Settings and state


@check
async def settings_of_the_login_follow_their_client():
    connections = [await connect(server_settings={"application_name": f"app {index}", "work_mem": f"{index + 5}MB"}) for index in range(6)]
    for _ in range(6):
        for index, connection in enumerate(connections):
            equal(tuple(await connection.fetchrow("SELECT current_setting('application_name'), current_setting('work_mem')")),
                  (f"app {index}", f"{index + 5}MB"))


@check
async def reported_settings_follow_their_client():
    zones = ["Asia/Tokyo", "America/New_York", "UTC"]
    connections = await connected(6)
    for index, connection in enumerate(connections):
        await connection.execute(f"SET TimeZone = '{zones[index % 3]}'")
    for _ in range(6):
        for index, connection in enumerate(connections):
            equal(await connection.fetchval("SELECT current_setting('TimeZone')"), zones[index % 3])
            equal(connection.get_settings().TimeZone, zones[index % 3])


@check
async def unreported_settings_follow_their_client():
    a, b = await connected(2)
    await a.execute("SET app.tenant = 'a'")
    await b.execute("SET app.tenant = 'b'")
    for _ in range(ROUNDS):
        equal(await a.fetchval("SELECT current_setting('app.tenant', true)"), "a")
        equal(await b.fetchval("SELECT current_setting('app.tenant', true)"), "b")


@check
async def a_temporary_table_is_there_later():
    connection = await connect()
    await connection.execute("CREATE TEMP TABLE scratch_a (n int)")
    for number in range(ROUNDS):
        await connection.execute("INSERT INTO scratch_a VALUES ($1)", number)
    equal(await connection.fetchval("SELECT count(*) FROM scratch_a"), ROUNDS)
    await connection.execute("DROP TABLE scratch_a")


@check
async def reset_leaves_a_fresh_session():
    connection = await connect()
    for turn in range(5):
        await connection.execute(f"SET TimeZone = 'Asia/Tokyo'; SET app.turn = '{turn}'")
        await connection.reset()
        equal(await connection.fetchval("SELECT current_setting('TimeZone')"), "UTC")
        equal(await connection.fetchval("SELECT current_setting('app.turn', true)") or "", "")


run()
