// SPDX-License-Identifier: GPL-3.0-or-later
//
// node-postgres (the package pg): unnamed and named statements, its pipelines, cursors, COPY streams and pool.
'use strict';

const { CLIENTS, ROUNDS, assert, check, closeAtEnd, driver, fails, run, sleep, times, until } = require('./scenario.js');
const pg = driver('pg');
const copyStreams = driver('pg-copy-streams');
const Cursor = driver('pg-cursor');
const { Readable, Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');

async function connect(more = {}) {
  const client = new pg.Client(more);
  client.on('error', () => {}); // a connection that is lost is told to its queries, too
  await client.connect();
  closeAtEnd(() => client.end());
  return client;
}

function newPool(more) {
  const pool = new pg.Pool(more);
  pool.on('error', () => {});
  closeAtEnd(() => pool.end());
  return pool;
}

const rows = async (client, text, values) => (await client.query(text, values)).rows;
const value = async (client, text, values) => Object.values((await rows(client, text, values))[0])[0];
const named = async (client, name, text, values) => Object.values((await client.query({ name, text, values })).rows[0])[0];

// Prepared statements

check('unnamed_statements_with_parameters', async () => {
  const client = await connect();
  for (let i = 0; i < ROUNDS; ++i) {
    const { rows: [row], fields } = await client.query('SELECT $1::int + 1 AS n, $2::text AS t, $3::bytea AS b', [i, 'ü', Buffer.from([0, 255])]);
    assert.deepEqual(row, { n: i + 1, t: 'ü', b: Buffer.from([0, 255]) });
    assert.deepEqual(fields.map((field) => field.dataTypeID), [23, 25, 17]);
  }
});

check('a_named_statement_serves_many_transactions', async () => {
  const client = await connect();
  for (let i = 0; i < 2 * ROUNDS; ++i) assert.equal(await named(client, 'twice', 'SELECT $1::int * 2', [i]), i * 2);
});

check('statements_of_two_clients_with_one_name_do_not_mix', async () => {
  const [a, b] = [await connect(), await connect()];
  for (let i = 0; i < ROUNDS; ++i) {
    assert.equal(await named(a, 'same', 'SELECT $1::int + 1', [i]), i + 1);
    assert.equal(await named(b, 'same', 'SELECT $1::int * 100', [i]), i * 100);
  }
});

check('many_clients_prepare_the_same_statement', async () => {
  const clients = await times(CLIENTS, () => connect());
  await times(CLIENTS, async (index) => {
    for (let i = 0; i < 15; ++i) assert.equal(await named(clients[index], 'shared', "SELECT $1::text || '/' || $2::int", [`c${index}`, i]), `c${index}/${i}`);
  });
});

check('a_failed_prepare_leaves_no_trace', async () => {
  const client = await connect();
  for (let i = 0; i < 4; ++i) await fails(named(client, 'late', 'SELECT n FROM not_yet_n WHERE n = $1', [1]), '42P01');
  await client.query('CREATE TABLE not_yet_n AS SELECT 1 AS n');
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await named(client, 'late', 'SELECT n FROM not_yet_n WHERE n = $1', [1]), 1);
});

check('a_bad_parameter_of_a_named_statement', async () => {
  const client = await connect();
  for (let i = 0; i < ROUNDS; ++i) {
    await fails(named(client, 'strict', 'SELECT $1::int', ['no number']), '22P02');
    assert.equal(await named(client, 'strict', 'SELECT $1::int', [i]), i);
  }
});

check('binary_results', async () => {
  const client = await connect({ binary: true });
  for (let i = 0; i < 5; ++i) assert.deepEqual(await rows(client, 'SELECT $1::int AS n, true AS t, 2::int2 AS s', [i]), [{ n: i, t: true, s: 2 }]);
});

// Pipelines, batches, cursors

check('queries_in_a_pipeline_answer_in_order', async () => {
  const client = await connect({ pipeline: true });
  for (let turn = 0; turn < 3; ++turn) {
    const answers = await times(100, (i) => value(client, 'SELECT $1::int', [i]));
    assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => i));
  }
});

check('named_statements_in_a_pipeline', async () => {
  const clients = await times(6, () => connect({ pipeline: true }));
  await times(6, async (index) => {
    const answers = await times(60, (i) => named(clients[index], `plan_${i % 3}`, `SELECT $1::int + ${i % 3} * 1000`, [index * 10000 + i]));
    assert.deepEqual(answers, Array.from({ length: 60 }, (_, i) => index * 10000 + i + (i % 3) * 1000));
  });
});

check('an_error_in_a_pipeline_is_its_querys_alone', async () => {
  const client = await connect({ pipeline: true });
  for (let turn = 0; turn < 5; ++turn) {
    const answers = await Promise.allSettled([1, 0, 2, 0, 4].map((divisor) => value(client, 'SELECT 8 / $1::int', [divisor])));
    assert.deepEqual(answers.map((answer) => answer.value ?? answer.reason.code), [8, '22012', 4, '22012', 2]);
  }
});

check('queued_queries_of_one_client', async () => {
  const client = await connect();
  assert.deepEqual(await times(100, (i) => value(client, 'SELECT $1::int', [i])), Array.from({ length: 100 }, (_, i) => i));
});

check('several_statements_in_one_query', async () => {
  const client = await connect();
  const results = await client.query('SELECT 1 AS a; CREATE TEMP TABLE several (n int) ON COMMIT DROP; SELECT 2 AS b');
  assert.deepEqual(results.map((result) => result.command), ['SELECT', 'CREATE', 'SELECT']);
  await fails(client.query('SELECT 1; SELECT 1/0; SELECT 2'), '22012');
  assert.equal(await value(client, 'SELECT 3'), 3);
});

check('a_cursor_fetches_in_steps', async () => {
  const client = await connect();
  for (let turn = 0; turn < 3; ++turn) {
    await client.query('BEGIN');
    const cursor = client.query(new Cursor('SELECT g FROM generate_series(1, $1::int) g', [1050]));
    let sum = 0;
    for (let some; (some = await cursor.read(100)).length > 0;) sum += some.reduce((total, row) => total + row.g, 0);
    assert.equal(sum, (1050 * 1051) / 2);
    await client.query('COMMIT');
  }
});

check('a_cursor_outside_a_transaction_keeps_its_server', async () => {
  const client = await connect();
  for (let turn = 0; turn < 3; ++turn) {
    const cursor = client.query(new Cursor('SELECT g FROM generate_series(1, 1000) g'));
    assert.equal((await cursor.read(10)).at(-1).g, 10);
    assert.equal((await cursor.read(10)).at(-1).g, 20);
    await cursor.close(); // before its end
    assert.equal(await value(client, 'SELECT $1::int', [turn]), turn);
  }
});

check('large_results_and_parameters', async () => {
  const client = await connect();
  assert.equal((await rows(client, "SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")).length, 20000);
  const content = Buffer.alloc(5_000_000, 'abc');
  assert.ok(content.equals(await value(client, 'SELECT $1::bytea', [content])));
});

// Transactions

check('transactions_and_savepoints', async () => {
  const client = await connect();
  await client.query('CREATE TABLE nested_n (n int PRIMARY KEY)');
  for (let turn = 0; turn < 5; ++turn) {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('INSERT INTO nested_n VALUES ($1)', [turn]);
    await client.query('SAVEPOINT before');
    await fails(client.query('INSERT INTO nested_n VALUES ($1)', [turn]), '23505');
    await fails(client.query('SELECT 1'), '25P02');
    await client.query('ROLLBACK TO before');
    await client.query(turn % 2 ? 'COMMIT' : 'ROLLBACK');
  }
  assert.deepEqual((await rows(client, 'SELECT n FROM nested_n ORDER BY n')).map((row) => row.n), [1, 3]);
});

check('many_clients_get_their_own_rows', async () => {
  const clients = await times(CLIENTS, () => connect());
  await times(CLIENTS, async (index) => {
    for (let turn = 0; turn < 15; ++turn) {
      const found = await rows(clients[index], 'SELECT $1::int AS c, $2::int AS t, g FROM generate_series(1, 10) g', [index, turn]);
      assert.deepEqual(found, Array.from({ length: 10 }, (_, i) => ({ c: index, t: turn, g: i + 1 })));
    }
  });
});

// COPY

check('copy_in_and_out', async () => {
  const client = await connect();
  await client.query('CREATE TABLE copied_n (n int, t text)');
  const lines = Array.from({ length: 20000 }, (_, i) => `${i}\tline ${i} ä\n`);
  const into = client.query(copyStreams.from('COPY copied_n FROM STDIN'));
  await pipeline(Readable.from(lines), into);
  assert.equal(into.rowCount, 20000);
  const chunks = [];
  await pipeline(client.query(copyStreams.to('COPY (SELECT * FROM copied_n ORDER BY n) TO STDOUT')),
    new Writable({ write(chunk, _encoding, done) { chunks.push(chunk); done(); } }));
  assert.equal(Buffer.concat(chunks).toString() === lines.join(''), true);
});

check('copy_that_fails_leaves_the_connection_usable', async () => {
  const client = await connect();
  await client.query('CREATE TABLE copied_badly_n (n int)');
  for (let turn = 0; turn < 3; ++turn) {
    await fails(pipeline(Readable.from(['1\n', 'two\n']), client.query(copyStreams.from('COPY copied_badly_n FROM STDIN'))), '22P02');
    const broken = client.query(copyStreams.from('COPY copied_badly_n FROM STDIN'));
    const told = new Promise((resolve) => broken.on('error', resolve));
    broken.write('1\n');
    broken.destroy(new Error('the source broke'));
    await told;
    assert.equal(await value(client, 'SELECT count(*)::int FROM copied_badly_n'), 0);
  }
});

// Cancel, notices, notifications

check('cancel_ends_the_query_and_nothing_else', async () => {
  const [a, b] = [await connect(), await connect()];
  for (let turn = 0; turn < 3; ++turn) {
    const query = new pg.Query('SELECT pg_sleep(15)');
    const ended = new Promise((resolve, reject) => query.on('error', reject).on('end', resolve));
    a.query(query);
    await sleep(200);
    const canceller = new pg.Client();
    const cancelled = new Promise((resolve) => canceller.connection.on('end', resolve));
    canceller.cancel(a, query);
    await fails(ended, '57014');
    await cancelled; // PostgreSQL signals twice: until then the next query may be hit
    assert.deepEqual([await value(a, 'SELECT 1 AS n'), await value(b, 'SELECT 2 AS n')], [1, 2]);
  }
});

check('cancel_by_function', async () => {
  const [a, b] = [await connect(), await connect()];
  await a.query('BEGIN');
  const pid = await value(a, 'SELECT pg_backend_pid()');
  const sleeping = fails(a.query('SELECT pg_sleep(15)'), '57014');
  await until(() => value(b, 'SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND query LIKE $2 UNION ALL SELECT false LIMIT 1', [pid, '%pg_sleep(15)']), 'the query to run');
  await sleeping;
  await a.query('ROLLBACK');
  assert.equal(await value(a, 'SELECT 1'), 1);
});

check('notices_reach_their_client_in_order', async () => {
  const clients = await times(6, () => connect());
  const heard = clients.map((client) => { const own = []; client.on('notice', (n) => own.push(`${n.severity} ${n.message}`)); return own; });
  await times(6, async (index) => {
    for (let turn = 0; turn < 5; ++turn) await clients[index].query(`DO $$ BEGIN RAISE NOTICE '${index}.${turn}'; RAISE WARNING 'w'; END $$`);
  });
  heard.forEach((own, index) => assert.deepEqual(own, [0, 1, 2, 3, 4].flatMap((turn) => [`NOTICE ${index}.${turn}`, 'WARNING w'])));
});

check('an_idle_listener_is_woken', async () => {
  const [listener, sender, heard] = [await connect(), await connect(), []];
  listener.on('notification', (message) => heard.push([message.channel, message.payload]));
  await listener.query('LISTEN news_n');
  for (let turn = 0; turn < 5; ++turn) {
    await sender.query("SELECT pg_notify('news_n', $1)", [`item ${turn}`]);
    await until(() => heard.length === turn + 1, `notification ${turn}`);
    assert.equal(await value(listener, 'SELECT $1::int', [turn]), turn);
  }
  assert.deepEqual(heard.at(-1), ['news_n', 'item 4']);
  await listener.query('UNLISTEN news_n');
});

// Large objects: functions in SQL

check('large_objects_are_written_and_read', async () => {
  const client = await connect();
  const content = Buffer.alloc(100000, 'large');
  const identity = await value(client, 'SELECT lo_from_bytea(0, $1)', [content]);
  await client.query('BEGIN');
  const handle = await value(client, 'SELECT lo_open($1, 262144)', [identity]);
  assert.equal(await value(client, 'SELECT lo_lseek($1, 5000, 0)', [handle]), 5000);
  assert.ok((await value(client, 'SELECT loread($1, 1000)', [handle])).equals(content.subarray(5000, 6000)));
  await client.query('COMMIT');
  assert.equal(await value(client, 'SELECT lo_unlink($1)', [identity]), 1);
});

// Errors and recovery

check('errors_carry_their_fields', async () => {
  const client = await connect();
  await client.query('CREATE TABLE checked_n (n int CONSTRAINT positive CHECK (n > 0))');
  const error = await fails(client.query('INSERT INTO checked_n VALUES ($1)', [-1]), '23514');
  assert.deepEqual([error.severity, error.schema, error.table, error.constraint], ['ERROR', 'public', 'checked_n', 'positive']);
  assert.equal((await fails(client.query('SELECT nmae FROM checked_n'), '42703')).position, '8');
  assert.equal(await value(client, 'SELECT $1::int', [1]), 1);
});

check('a_terminated_server_is_one_clients_error', async () => {
  const [victim, other] = [await connect(), await connect()];
  await victim.query('BEGIN');
  const doomed = await value(victim, 'SELECT pg_backend_pid()');
  const ended = new Promise((resolve) => victim.on('end', resolve));
  const error = new Promise((resolve) => victim.on('error', resolve));
  assert.equal(await value(other, 'SELECT pg_terminate_backend($1)', [doomed]), true);
  assert.equal((await error).code, '57P01');
  await ended;
  for (let i = 0; i < ROUNDS; ++i) assert.equal(await value(other, 'SELECT $1::int', [i]), i);
});

check('a_bad_login_is_told', async () => {
  await fails(connect({ password: 'wrong' }), '28P01');
  await fails(connect({ database: 'no_such_database' }), '3D000');
});

// Its pool

check('more_users_than_connections', async () => {
  const pool = newPool({ max: 3 });
  await times(CLIENTS, async (index) => {
    for (let turn = 0; turn < 6; ++turn) {
      const client = await pool.connect();
      await client.query('BEGIN');
      assert.equal(await value(client, 'SELECT $1::int', [index * 10 + turn]), index * 10 + turn);
      await client.query(turn % 2 ? 'COMMIT' : 'ROLLBACK');
      client.release();
    }
  });
  assert.equal(pool.totalCount <= 3, true);
});

check('a_returned_connection_is_reset', async () => {
  const pool = newPool({ max: 2 });
  for (let turn = 0; turn < ROUNDS; ++turn) {
    const client = await pool.connect();
    assert.equal(await value(client, 'SHOW TimeZone'), 'UTC');
    await client.query("SET TimeZone = 'Asia/Tokyo'");
    assert.equal(await value(client, 'SHOW TimeZone'), 'Asia/Tokyo');
    await client.query('DISCARD ALL');
    client.release();
  }
});

check('a_pool_replaces_broken_connections', async () => {
  const pool = newPool({ max: 1 });
  for (let turn = 0; turn < 3; ++turn) {
    await fails(pool.query('SELECT pg_terminate_backend(pg_backend_pid())'), '57P01');
    await until(() => pool.query('SELECT 1').then(() => true, () => false), 'a new connection');
  }
});

// Settings and state

check('reported_settings_follow_their_client', async () => {
  const zones = ['Asia/Tokyo', 'America/New_York', 'UTC'];
  const clients = await times(6, (index) => connect({ application_name: `app ${index}` }));
  for (let index = 0; index < 6; ++index) await clients[index].query(`SET TimeZone = '${zones[index % 3]}'`);
  for (let turn = 0; turn < 6; ++turn) {
    for (let index = 0; index < 6; ++index) {
      assert.deepEqual(await rows(clients[index], "SELECT current_setting('TimeZone') AS z, current_setting('application_name') AS a"),
        [{ z: zones[index % 3], a: `app ${index}` }]);
    }
  }
});

check('timeouts_of_the_login_follow_their_client', async () => {
  const [limited, plain] = [await connect({ statement_timeout: 54321, idle_in_transaction_session_timeout: 65432 }), await connect()];
  for (let i = 0; i < ROUNDS; ++i) {
    assert.equal(await value(limited, 'SHOW statement_timeout'), '54321ms');
    assert.equal(await value(limited, 'SHOW idle_in_transaction_session_timeout'), '65432ms');
    assert.equal(await value(plain, 'SHOW statement_timeout'), '0');
  }
});

check('a_temporary_table_is_there_later', async () => {
  const client = await connect();
  await client.query('CREATE TEMP TABLE scratch_n (n int)');
  for (let i = 0; i < ROUNDS; ++i) await client.query('INSERT INTO scratch_n VALUES ($1)', [i]);
  assert.equal(await value(client, 'SELECT count(*)::int FROM scratch_n'), ROUNDS);
  await client.query('DROP TABLE scratch_n');
});

check('unreported_settings_follow_their_client', async () => {
  const [a, b] = [await connect(), await connect()];
  await a.query("SET app.tenant = 'a'");
  await b.query("SELECT set_config('app.tenant', $1, false)", ['b']);
  for (let i = 0; i < ROUNDS; ++i) {
    assert.equal(await value(a, "SELECT current_setting('app.tenant', true)"), 'a');
    assert.equal(await value(b, "SELECT current_setting('app.tenant', true)"), 'b');
  }
});

run();
