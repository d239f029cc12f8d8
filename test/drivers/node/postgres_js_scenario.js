// SPDX-License-Identifier: GPL-3.0-or-later
//
// postgres.js: a driver that prepares by name, pipelines whatever is asked at the same time, and has its own pool.
'use strict';

const { CLIENTS, ROUNDS, assert, check, closeAtEnd, driver, fails, run, sleep, times, until } = require('./scenario.js');
const postgres = driver('postgres');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');

function pool(more = {}) {
  const sql = postgres({ max: 1, onnotice: () => {}, connect_timeout: 15, ...more });
  closeAtEnd(() => sql.end({ timeout: 0 }));
  return sql;
}

const value = async (query) => Object.values((await query)[0])[0];

// Prepared statements

check('statements_are_prepared_once_and_serve_many_transactions', async () => {
  const sql = pool();
  for (let i = 0; i < 2 * ROUNDS; ++i) assert.equal(await value(sql`SELECT ${i}::int * 2 AS n`), i * 2);
});

check('without_prepared_statements', async () => {
  const sql = pool({ prepare: false });
  for (let i = 0; i < ROUNDS; ++i) assert.deepEqual([...await sql`SELECT ${i}::int AS n, ${'ü'}::text AS t`], [{ n: i, t: 'ü' }]);
});

check('statements_of_two_clients_do_not_mix', async () => {
  const [a, b] = [pool(), pool()];
  for (let i = 0; i < ROUNDS; ++i) {
    assert.equal(await value(a`SELECT ${i}::int + 1 AS n`), i + 1);
    assert.equal(await value(b`SELECT ${i}::int * 100 AS n`), i * 100);
  }
});

check('a_statement_is_described', async () => {
  const sql = pool();
  for (let i = 0; i < ROUNDS; ++i) {
    const described = await sql`SELECT ${1}::int AS n, ${'a'}::text AS t`.describe();
    assert.deepEqual([described.types, described.columns.map((column) => [column.name, column.type])], [[23, 25], [['n', 23], ['t', 25]]]);
  }
});

check('a_failed_prepare_leaves_no_trace', async () => {
  const sql = pool();
  for (let i = 0; i < 4; ++i) await fails(sql`SELECT n FROM not_yet_j WHERE n = ${1}`, '42P01');
  await sql`CREATE TABLE not_yet_j AS SELECT 1 AS n`;
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await value(sql`SELECT n FROM not_yet_j WHERE n = ${1}`), 1);
});

check('a_changed_table_under_a_prepared_statement', async () => {
  const [a, b] = [pool(), pool()];
  await b.unsafe('CREATE TABLE changing_j (n int); INSERT INTO changing_j VALUES (1)');
  assert.deepEqual([...await a`SELECT * FROM changing_j WHERE n = ${1}`], [{ n: 1 }]);
  await b`ALTER TABLE changing_j ADD t text DEFAULT 'new'`;
  const found = await a`SELECT * FROM changing_j WHERE n = ${1}`.then((rows) => [...rows], (error) => error.code);
  // The driver prepares again by itself; PostgreSQL may tell it to with 0A000.
  if (found !== '0A000') assert.deepEqual(found, [{ n: 1, t: 'new' }]);
  assert.deepEqual([...await a`SELECT * FROM changing_j WHERE n = ${1}`], [{ n: 1, t: 'new' }]);
});

check('types_make_the_round_trip', async () => {
  const sql = pool();
  const when = new Date('2026-11-22T12:34:56.789Z');
  for (let i = 0; i < 4; ++i) {
    const [row] = await sql`SELECT ${true}::bool AS b, ${when}::timestamptz AS d, ${sql.json({ a: [1, null] })}::jsonb AS j,
      ${[1, 2]}::int[] AS l, ${Buffer.from([0, 255])}::bytea AS y, ${null}::text AS z`;
    assert.deepEqual(row, { b: true, d: when, j: { a: [1, null] }, l: [1, 2], y: Buffer.from([0, 255]), z: null });
  }
});

// Pipelines, batches, cursors

check('what_is_asked_at_once_is_pipelined', async () => {
  const sql = pool();
  for (let turn = 0; turn < 3; ++turn) {
    const answers = await times(200, (i) => value(i % 2 ? sql`SELECT ${i}::int AS n` : sql`SELECT ${i}::int + ${turn}::int - ${turn}::int AS n`));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => i));
  }
});

check('an_error_in_a_pipeline_is_its_querys_alone', async () => {
  const sql = pool();
  for (let turn = 0; turn < 5; ++turn) {
    const answers = await Promise.allSettled([1, 0, 2, 0, 4].map((divisor) => value(sql`SELECT 8 / ${divisor}::int AS n`)));
    assert.deepEqual(answers.map((answer) => answer.value ?? answer.reason.code), [8, '22012', 4, '22012', 2]);
  }
});

check('many_clients_get_their_own_rows', async () => {
  const sql = pool({ max: CLIENTS });
  const answers = await times(300, async (i) => [...await sql`SELECT ${i}::int AS i, g FROM generate_series(1, 5) g`]);
  answers.forEach((rows, i) => assert.deepEqual(rows, [1, 2, 3, 4, 5].map((g) => ({ i, g }))));
});

check('many_rows_are_inserted_by_one_helper', async () => {
  const sql = pool();
  await sql`CREATE TABLE batch_j (n int, t text)`;
  for (let turn = 0; turn < 3; ++turn) {
    await sql`INSERT INTO batch_j ${sql(Array.from({ length: 1000 }, (_, i) => ({ n: i, t: `row ${i}` })))}`;
  }
  assert.equal(await value(sql`SELECT count(*)::int AS n FROM batch_j WHERE t = 'row ' || n`), 3000);
});

check('cursors_fetch_in_steps', async () => {
  const sql = pool();
  for (let turn = 0; turn < 3; ++turn) {
    let sum = 0;
    for await (const rows of sql`SELECT g FROM generate_series(1, ${1050}::int) g`.cursor(100)) sum += rows.reduce((total, row) => total + row.g, 0);
    assert.equal(sum, (1050 * 1051) / 2);
    for await (const rows of sql`SELECT g FROM generate_series(1, 1000) g`.cursor(10)) if (rows[0].g > 20) break;
    assert.equal(await value(sql`SELECT ${turn}::int AS n`), turn);
  }
});

check('large_results_and_parameters', async () => {
  const sql = pool();
  assert.equal((await sql`SELECT g, repeat('x', 100) AS x FROM generate_series(1, 20000) g`).length, 20000);
  const content = Buffer.alloc(3_000_000, 'abc');
  assert.ok(content.equals(await value(sql`SELECT ${content}::bytea AS b`)));
});

check('several_statements_in_one_query', async () => {
  const sql = pool();
  const results = await sql`SELECT 1 AS a; SELECT 2 AS b`.simple();
  assert.deepEqual(results.map((rows) => [...rows]), [[{ a: 1 }], [{ b: 2 }]]);
});

// Transactions

check('transactions_and_savepoints', async () => {
  const sql = pool({ max: 3 });
  await sql`CREATE TABLE nested_j (n int PRIMARY KEY)`;
  for (let turn = 0; turn < 5; ++turn) {
    await sql.begin('isolation level repeatable read', async (inside) => {
      await inside`INSERT INTO nested_j VALUES (${turn})`;
      await fails(inside.savepoint((deeper) => deeper`INSERT INTO nested_j VALUES (${turn})`), '23505');
      assert.equal(await value(inside`SHOW transaction_isolation`), 'repeatable read');
    });
    await fails(sql.begin(async (inside) => { await inside`INSERT INTO nested_j VALUES (${100 + turn})`; await inside`SELECT 1 / ${0}::int`; }), '22012');
  }
  assert.deepEqual((await sql`SELECT n FROM nested_j ORDER BY n`).map((row) => row.n), [0, 1, 2, 3, 4]);
});

check('transactions_of_many_clients', async () => {
  const sql = pool({ max: CLIENTS });
  await sql`CREATE TABLE counted_j AS SELECT 0 AS n`;
  await times(40, () => sql.begin(async (inside) => {
    await inside`SELECT n FROM counted_j FOR UPDATE`;
    await inside`UPDATE counted_j SET n = n + 1`;
  }));
  assert.equal(await value(sql`SELECT n FROM counted_j`), 40);
});

check('a_reserved_connection', async () => {
  const sql = pool({ max: 2 });
  const reserved = await sql.reserve();
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await value(reserved`SELECT ${i}::int AS n`), i);
  reserved.release();
});

// COPY

check('copy_in_and_out', async () => {
  const sql = pool();
  await sql`CREATE TABLE copied_j (n int, t text)`;
  const lines = Array.from({ length: 10000 }, (_, i) => `${i}\tline ${i} ä\n`);
  await pipeline(Readable.from(lines), await sql`COPY copied_j FROM STDIN`.writable());
  const chunks = [];
  for await (const chunk of await sql`COPY (SELECT * FROM copied_j ORDER BY n) TO STDOUT`.readable()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString() === lines.join(''), true);
});

check('copy_that_fails_leaves_the_connection_usable', async () => {
  const sql = pool();
  await sql`CREATE TABLE copied_badly_j (n int)`;
  for (let turn = 0; turn < 3; ++turn) {
    const into = await sql`COPY copied_badly_j FROM STDIN`.writable();
    const told = new Promise((resolve) => into.on('error', resolve).on('close', resolve));
    into.end('1\ntwo\n');
    await Promise.race([told, sleep(300)]);
    assert.equal(await value(sql`SELECT count(*)::int AS n FROM copied_badly_j`), 0);
  }
});

// Cancel, notices, notifications

check('cancel_ends_the_query_and_nothing_else', async () => {
  const [a, b] = [pool(), pool()];
  await a`SELECT 1`; // a query that is cancelled before its connection is there never ends, with any server
  for (let turn = 0; turn < 3; ++turn) {
    const query = a`SELECT pg_sleep(15)`;
    const cancelled = sleep(300).then(() => query.cancel());
    await fails(query, '57014');
    await cancelled; // PostgreSQL signals twice: until then the next query may be hit
    assert.deepEqual([await value(a`SELECT 1 AS n`), await value(b`SELECT 2 AS n`)], [1, 2]);
  }
});

check('notices_reach_their_client_in_order', async () => {
  const heard = [[], [], [], []];
  const clients = heard.map((own) => pool({ onnotice: (notice) => own.push(notice.message) }));
  await times(4, async (index) => {
    for (let turn = 0; turn < 5; ++turn) await clients[index].unsafe(`DO $$ BEGIN RAISE NOTICE '${index}.${turn}'; RAISE WARNING 'w'; END $$`);
  });
  heard.forEach((own, index) => assert.deepEqual(own, [0, 1, 2, 3, 4].flatMap((turn) => [`${index}.${turn}`, 'w'])));
});

check('an_idle_listener_is_woken', async () => {
  const [listener, sender, heard] = [pool(), pool(), []];
  const { unlisten } = await listener.listen('news_j', (payload) => heard.push(payload));
  for (let turn = 0; turn < 5; ++turn) {
    await sender.notify('news_j', `item ${turn}`);
    await until(() => heard.length === turn + 1, `notification ${turn}`);
  }
  assert.equal(heard.at(-1), 'item 4');
  await unlisten();
});

// Large objects: the driver has streams for them

check('large_objects_are_written_and_read', async () => {
  const sql = pool({ max: 2 });
  const content = Buffer.alloc(100000, 'large');
  const identity = await value(sql`SELECT lo_from_bytea(0, ${content}) AS oid`);
  const large = await sql.largeObject(identity);
  await large.seek(5000);
  const [{ data }] = await large.read(1000);
  assert.ok(data.equals(content.subarray(5000, 6000)));
  await large.close();
  assert.equal(await value(sql`SELECT lo_unlink(${identity}) AS n`), 1);
});

// Errors and recovery

check('errors_carry_their_fields', async () => {
  const sql = pool();
  await sql`CREATE TABLE checked_j (n int CONSTRAINT positive CHECK (n > 0))`;
  const error = await fails(sql`INSERT INTO checked_j VALUES (${-1})`, '23514');
  assert.deepEqual([error.severity, error.schema_name, error.table_name, error.constraint_name], ['ERROR', 'public', 'checked_j', 'positive']);
  assert.equal((await fails(sql`SELECT nmae FROM checked_j`, '42703')).position, '8');
  assert.equal(await value(sql`SELECT ${1}::int AS n`), 1);
});

check('a_terminated_server_is_one_clients_error', async () => {
  const [victim, other] = [pool(), pool()];
  await fails(victim`SELECT pg_terminate_backend(pg_backend_pid())`);
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await value(other`SELECT ${i}::int AS n`), i);
  await until(() => victim`SELECT 7 AS n`.then(() => true, () => false), 'a new connection');
});

// Settings and state

check('settings_of_the_login_follow_their_client', async () => {
  const clients = await times(6, (index) => pool({ connection: { application_name: `app ${index}`, TimeZone: index % 2 ? 'Asia/Tokyo' : 'UTC', work_mem: `${index + 5}MB` } }));
  for (let turn = 0; turn < 6; ++turn) {
    for (let index = 0; index < 6; ++index) {
      assert.deepEqual([...await clients[index]`SELECT current_setting('TimeZone') AS z, current_setting('application_name') AS a, current_setting('work_mem') AS w`],
        [{ z: index % 2 ? 'Asia/Tokyo' : 'UTC', a: `app ${index}`, w: `${index + 5}MB` }]);
    }
  }
});

check('a_temporary_table_is_there_later', async () => {
  const sql = pool();
  await sql`CREATE TEMP TABLE scratch_j (n int)`;
  for (let i = 0; i < ROUNDS; ++i) await sql`INSERT INTO scratch_j VALUES (${i})`;
  assert.equal(await value(sql`SELECT count(*)::int AS n FROM scratch_j`), ROUNDS);
  await sql`DROP TABLE scratch_j`;
});

check('an_advisory_lock_is_its_clients', async () => {
  const [a, b] = [pool(), pool()];
  await a`SELECT pg_advisory_lock(${5001})`;
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await value(b`SELECT pg_try_advisory_lock(${5001}) AS l`), false);
  assert.equal(await value(a`SELECT pg_advisory_unlock(${5001}) AS l`), true);
});

check('idle_connections_end_and_come_back', async () => {
  const sql = pool({ idle_timeout: 0.1 });
  for (let turn = 0; turn < 3; ++turn) {
    assert.equal(await value(sql`SELECT ${turn}::int AS n`), turn);
    await sleep(200);
  }
});

run();
