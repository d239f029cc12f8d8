// SPDX-License-Identifier: GPL-3.0-or-later

// pgx: prepares every statement by name and caches it, sends batches as pipelines, everything binary; and its pool.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

func sqlState(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return told.Code
	}
	return ""
}

func connect(options ...string) *pgx.Conn {
	config, err := pgx.ParseConfig(strings.Join(append([]string{"sslmode=disable"}, options...), " "))
	must(err)
	return connectWith(config)
}

func connectWith(config *pgx.ConnConfig) *pgx.Conn {
	connection, err := pgx.ConnectConfig(background, config)
	must(err)
	closeAtEnd(func() { connection.Close(background) })
	return connection
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, values ...interface{}) pgx.Row
}

func number(connection queryer, sql string, values ...interface{}) (n int) {
	must(connection.QueryRow(background, sql, values...).Scan(&n))
	return n
}

func text(connection queryer, sql string, values ...interface{}) (t string) {
	must(connection.QueryRow(background, sql, values...).Scan(&t))
	return t
}

func run(connection *pgx.Conn, sql string, values ...interface{}) {
	_, err := connection.Exec(background, sql, values...)
	must(err)
}

func failing(connection queryer, sql string, values ...interface{}) error {
	var ignored interface{}
	return connection.QueryRow(background, sql, values...).Scan(&ignored)
}

func main() {
	preparedStatements()
	batchesAndTransactions()
	copies()
	cancelsAndNotices()
	recovery()
	poolsAndState()
	fmt.Println("done")
}

func preparedStatements() {
	check("cached_statements_serve_many_transactions", func() {
		connection := connect()
		for i := 0; i < 2*rounds; i++ {
			equal(number(connection, "SELECT $1::int * 2", i), i*2)
		}
	})
	check("statements_of_two_clients_with_one_name_do_not_mix", func() {
		a, b := connect(), connect()
		for i := 0; i < rounds; i++ {
			equal(number(a, "SELECT $1::int + 1", i), i+1)
			equal(number(b, "SELECT $1::int * 100", i), i*100)
		}
	})
	check("a_statement_prepared_by_hand", func() {
		a, b := connect(), connect()
		described, err := a.Prepare(background, "mine", "SELECT $1::int + 1, $2::text")
		must(err)
		equal(fmt.Sprint(described.ParamOIDs, len(described.Fields)), "[23 25] 2")
		_, err = b.Prepare(background, "mine", "SELECT $1::int * 3")
		must(err)
		for i := 0; i < rounds; i++ {
			var n int
			var t string
			must(a.QueryRow(background, "mine", i, "ü").Scan(&n, &t))
			equal(fmt.Sprint(n, t), fmt.Sprint(i+1, "ü"))
			equal(number(b, "mine", i), i*3)
		}
		must(a.Deallocate(background, "mine"))
		fails(failing(a, "mine", 1, "x"), "42601") // no longer a name, but SQL
		equal(number(b, "mine", 5), 15)
	})
	check("the_cache_of_statements_evicts_the_oldest", func() {
		connection := connect("statement_cache_capacity=3")
		for turn := 0; turn < 5; turn++ {
			for i := 0; i < 8; i++ {
				equal(number(connection, fmt.Sprintf("SELECT $1::int + %d", i), turn), turn+i)
			}
		}
	})
	check("statements_are_only_described", func() {
		connection := connect("statement_cache_mode=describe")
		for i := 0; i < rounds; i++ {
			equal(text(connection, "SELECT $1::int || $2::text", i, "ü"), fmt.Sprint(i, "ü"))
		}
	})
	check("without_a_cache_of_statements", func() {
		connection := connect("statement_cache_capacity=0")
		for i := 0; i < rounds; i++ {
			equal(number(connection, "SELECT $1::int + 4", i), i+4)
		}
	})
	check("the_simple_protocol_only", func() {
		config, err := pgx.ParseConfig("sslmode=disable")
		must(err)
		config.PreferSimpleProtocol = true
		connection := connectWith(config)
		for i := 0; i < rounds; i++ {
			equal(text(connection, "SELECT $1::text", "it's"), "it's")
		}
	})
	check("a_failed_prepare_leaves_no_trace", func() {
		connection := connect()
		for i := 0; i < 4; i++ {
			fails(failing(connection, "SELECT n FROM not_yet_g WHERE n = $1", 1), "42P01")
		}
		run(connection, "CREATE TABLE not_yet_g AS SELECT 1 AS n")
		for i := 0; i < rounds; i++ {
			equal(number(connection, "SELECT n FROM not_yet_g WHERE n = $1", 1), 1)
		}
	})
	check("a_changed_table_under_a_prepared_statement", func() {
		a, b := connect(), connect()
		run(b, "CREATE TABLE changing_g AS SELECT 1 AS n")
		const all = "SELECT * FROM changing_g"
		equal(number(a, all), 1)
		run(b, "ALTER TABLE changing_g ADD t text DEFAULT 'new'")
		var n int
		var t string
		// PostgreSQL may tell once that the result has changed; the driver then prepares anew.
		if err := a.QueryRow(background, all).Scan(&n, &t); err != nil && sqlState(err) != "0A000" && !strings.Contains(err.Error(), "number of field") {
			panic(err)
		}
		until(func() bool { return a.QueryRow(background, all).Scan(&n, &t) == nil }, "the new column")
		equal(t, "new")
	})
	check("many_clients_get_their_own_rows", func() {
		together(clients, func(index int) {
			connection := connect()
			for turn := 0; turn < 15; turn++ {
				rows, err := connection.Query(background, "SELECT $1::int, $2::int, g FROM generate_series(1, 10) g", index, turn)
				must(err)
				count := 0
				for rows.Next() {
					var i, t, g int
					must(rows.Scan(&i, &t, &g))
					count++
					equal([]int{i, t, g}, []int{index, turn, count})
				}
				must(rows.Err())
				equal(count, 10)
			}
		})
	})
	check("types_make_the_round_trip", func() {
		connection := connect()
		when := time.Date(2026, 11, 22, 12, 34, 56, 789000, time.UTC)
		for i := 0; i < 4; i++ {
			var b bool
			var n int64
			var f float64
			var t string
			var y []byte
			var w time.Time
			var l []int32
			var missing *string
			must(connection.QueryRow(background, "SELECT $1::bool, $2::int8, $3::float8, $4::text, $5::bytea, $6::timestamptz, $7::int[], $8::text",
				true, int64(1)<<40, 1.5, "ä€", []byte{0, 255}, when, []int32{1, 2}, nil).Scan(&b, &n, &f, &t, &y, &w, &l, &missing))
			equal(fmt.Sprint(b, n, f, t, y, w.Equal(when), l, missing == nil), fmt.Sprint(true, int64(1)<<40, 1.5, "ä€", []byte{0, 255}, true, []int32{1, 2}, true))
		}
	})
	check("large_results_and_parameters", func() {
		connection := connect()
		content := strings.Repeat("ä", 2_000_000)
		equal(text(connection, "SELECT $1::text", content) == content, true)
		equal(number(connection, "SELECT sum(length(x)) FROM (SELECT repeat('x', 100) AS x FROM generate_series(1, 1000)) s"), 100000)
	})
}

func batchesAndTransactions() {
	check("a_batch_is_one_pipeline", func() {
		connection := connect()
		for turn := 0; turn < 4; turn++ {
			batch := &pgx.Batch{}
			for i := 0; i < 100; i++ {
				batch.Queue(fmt.Sprintf("SELECT $1::int + %d", i%3), i)
			}
			results := connection.SendBatch(background, batch)
			for i := 0; i < 100; i++ {
				var n int
				must(results.QueryRow().Scan(&n))
				equal(n, i+i%3)
			}
			must(results.Close())
		}
	})
	check("a_batch_that_fails_is_undone", func() {
		connection := connect()
		run(connection, "CREATE TABLE unique_g (n int PRIMARY KEY)")
		for turn := 0; turn < 4; turn++ {
			batch := &pgx.Batch{}
			for _, n := range []int{1, 2, 1, 3} {
				batch.Queue("INSERT INTO unique_g VALUES ($1)", n)
			}
			results := connection.SendBatch(background, batch)
			var err error
			for i := 0; i < 4 && err == nil; i++ {
				_, err = results.Exec()
			}
			fails(err, "23505")
			results.Close()
			equal(number(connection, "SELECT count(*) FROM unique_g"), 0)
		}
	})
	check("transactions_and_savepoints", func() {
		connection := connect()
		run(connection, "CREATE TABLE nested_g (n int PRIMARY KEY)")
		for turn := 0; turn < 6; turn++ {
			outer, err := connection.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.Serializable})
			must(err)
			_, err = outer.Exec(background, "INSERT INTO nested_g VALUES ($1)", turn)
			must(err)
			inner, err := outer.Begin(background)
			must(err)
			_, err = inner.Exec(background, "INSERT INTO nested_g VALUES ($1)", turn)
			fails(err, "23505")
			fails(failing(inner, "SELECT 1"), "25P02")
			must(inner.Rollback(background))
			equal(text(outer, "SHOW transaction_isolation"), "serializable")
			if turn%2 == 0 {
				must(outer.Commit(background))
			} else {
				must(outer.Rollback(background))
			}
		}
		equal(text(connection, "SELECT string_agg(n::text, ',' ORDER BY n) FROM nested_g"), "0,2,4")
	})
	check("large_objects_are_written_and_read", func() {
		connection := connect()
		content := strings.Repeat("large", 20000)
		transaction, err := connection.Begin(background)
		must(err)
		objects := transaction.LargeObjects()
		identity, err := objects.Create(background, 0)
		must(err)
		object, err := objects.Open(background, identity, pgx.LargeObjectModeWrite)
		must(err)
		_, err = object.Write([]byte(content))
		must(err)
		must(transaction.Commit(background))
		transaction, err = connection.Begin(background)
		must(err)
		objects = transaction.LargeObjects()
		object, err = objects.Open(background, identity, pgx.LargeObjectModeRead)
		must(err)
		_, err = object.Seek(50000, io.SeekStart)
		must(err)
		part := make([]byte, 1000)
		_, err = io.ReadFull(object, part)
		must(err)
		equal(string(part), content[50000:51000])
		must(objects.Unlink(background, identity))
		must(transaction.Commit(background))
	})
}

func copies() {
	check("copy_in_and_out", func() {
		connection := connect()
		run(connection, "CREATE TABLE copied_g (n int, t text)")
		rows := make([][]interface{}, 10000)
		var lines strings.Builder
		for i := range rows {
			rows[i] = []interface{}{i, fmt.Sprintf("line %d ä", i)}
			fmt.Fprintf(&lines, "%d\tline %d ä\n", i, i)
		}
		count, err := connection.CopyFrom(background, pgx.Identifier{"copied_g"}, []string{"n", "t"}, pgx.CopyFromRows(rows))
		must(err)
		equal(count, int64(len(rows)))
		var target strings.Builder
		_, err = connection.PgConn().CopyTo(background, &target, "COPY (SELECT * FROM copied_g ORDER BY n) TO STDOUT")
		must(err)
		equal(target.String() == lines.String(), true)
	})
	check("copy_that_fails_leaves_the_connection_usable", func() {
		connection := connect()
		run(connection, "CREATE TABLE copied_badly_g (n int)")
		for turn := 0; turn < 3; turn++ {
			_, err := connection.PgConn().CopyFrom(background, strings.NewReader("1\ntwo\n"), "COPY copied_badly_g FROM STDIN")
			fails(err, "22P02")
			broken, _ := io.Pipe()
			broken.CloseWithError(errors.New("the source broke"))
			_, err = connection.PgConn().CopyFrom(background, broken, "COPY copied_badly_g FROM STDIN")
			fails(err, "")
			equal(number(connection, "SELECT count(*) FROM copied_badly_g"), 0)
		}
	})
}

func cancelsAndNotices() {
	check("cancel_ends_the_query_and_nothing_else", func() {
		a, b := connect(), connect()
		for turn := 0; turn < 3; turn++ {
			cancelled := make(chan error, 1)
			time.AfterFunc(300*time.Millisecond, func() { cancelled <- a.PgConn().CancelRequest(background) })
			fails(failing(a, "SELECT pg_sleep(15)::text"), "57014")
			<-cancelled // PostgreSQL signals twice: until then the next query may be hit
			equal(number(a, "SELECT 1"), 1)
			equal(number(b, "SELECT 2"), 2)
		}
	})
	check("a_context_that_ends_closes_its_connection_only", func() {
		other := connect()
		for turn := 0; turn < 3; turn++ {
			a := connect()
			soon, cancel := context.WithTimeout(background, 300*time.Millisecond)
			_, err := a.Exec(soon, "SELECT pg_sleep(15)")
			cancel()
			fails(err, "")
			equal(a.IsClosed(), true)
			equal(number(other, "SELECT $1::int", turn), turn)
		}
		until(func() bool {
			return number(other, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(15)' AND state = 'active'") == 0
		}, "the end of the queries")
	})
	check("notices_reach_their_client_in_order", func() {
		together(6, func(index int) {
			config, err := pgx.ParseConfig("sslmode=disable")
			must(err)
			var heard []string
			config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { heard = append(heard, notice.Message) }
			connection := connectWith(config)
			var expected []string
			for turn := 0; turn < 5; turn++ {
				run(connection, fmt.Sprintf("DO $$ BEGIN RAISE NOTICE '%d.%d'; RAISE WARNING 'w'; END $$", index, turn))
				expected = append(expected, fmt.Sprintf("%d.%d", index, turn), "w")
			}
			equal(heard, expected)
		})
	})
	check("an_idle_listener_is_woken", func() {
		listener, sender := connect(), connect()
		run(listener, "LISTEN news_g")
		for turn := 0; turn < 5; turn++ {
			run(sender, "SELECT pg_notify('news_g', $1)", fmt.Sprint("item ", turn))
			soon, cancel := context.WithTimeout(background, 3*time.Second)
			heard, err := listener.WaitForNotification(soon)
			cancel()
			must(err)
			equal(heard.Payload, fmt.Sprint("item ", turn))
		}
		run(listener, "UNLISTEN news_g")
	})
}

func recovery() {
	check("errors_carry_their_fields", func() {
		connection := connect()
		run(connection, "CREATE TABLE checked_g (n int CONSTRAINT positive CHECK (n > 0))")
		_, err := connection.Exec(background, "INSERT INTO checked_g VALUES ($1)", -1)
		fails(err, "23514")
		var told *pgconn.PgError
		errors.As(err, &told)
		equal([]string{told.Severity, told.SchemaName, told.TableName, told.ConstraintName}, []string{"ERROR", "public", "checked_g", "positive"})
		fails(failing(connection, "SELECT nmae FROM checked_g"), "42703")
		equal(number(connection, "SELECT $1::int", 1), 1)
	})
	check("a_terminated_server_is_one_clients_error", func() {
		victim, other := connect(), connect()
		run(victim, "BEGIN")
		doomed := number(victim, "SELECT pg_backend_pid()")
		run(other, "SELECT pg_terminate_backend($1)", doomed)
		fails(failing(victim, "SELECT 1"), "57P01")
		equal(victim.IsClosed(), true)
		for i := 0; i < rounds; i++ {
			equal(number(other, "SELECT $1::int", i), i)
		}
	})
	check("a_bad_login_is_told", func() {
		_, err := pgx.Connect(background, "sslmode=disable password=wrong")
		fails(err, "28P01")
		_, err = pgx.Connect(background, "sslmode=disable dbname=no_such_database")
		fails(err, "3D000")
	})
}

func poolsAndState() {
	check("a_pool_drops_connections_with_open_transactions", func() {
		pool := newPool("pool_max_conns=3")
		run := connect()
		_, err := run.Exec(background, "CREATE TABLE returned_g (n int)")
		must(err)
		together(6, func(index int) {
			for turn := 0; turn < 5; turn++ {
				lent, err := pool.Acquire(background)
				must(err)
				if turn%2 == 0 {
					_, err = lent.Exec(background, "BEGIN")
					must(err)
				}
				if turn%2 == 0 {
					_, err = lent.Exec(background, "INSERT INTO returned_g VALUES ($1)", index)
					must(err)
				}
				equal(number(lent, "SELECT $1::int", index), index)
				lent.Release()
			}
		})
		until(func() bool { return number(run, "SELECT count(*) FROM returned_g") == 0 }, "the end of the transactions")
	})
	check("a_pool_resets_what_it_takes_back", func() {
		config, err := pgxpool.ParseConfig("sslmode=disable pool_max_conns=2")
		must(err)
		config.AfterRelease = func(connection *pgx.Conn) bool {
			_, err := connection.Exec(background, "DISCARD ALL")
			return err == nil
		}
		config.ConnConfig.PreferSimpleProtocol = true
		pool, err := pgxpool.ConnectConfig(background, config)
		must(err)
		closeAtEnd(pool.Close)
		for turn := 0; turn < rounds; turn++ {
			lent, err := pool.Acquire(background)
			must(err)
			equal(text(lent, "SHOW TimeZone"), "UTC")
			_, err = lent.Exec(background, "SET TimeZone = 'Asia/Tokyo'")
			must(err)
			lent.Release()
		}
	})
	check("settings_of_the_login_follow_their_client", func() {
		var connections []*pgx.Conn
		for i := 0; i < 6; i++ {
			connections = append(connections, connect(fmt.Sprintf("application_name=app_%d work_mem=%dMB", i, i+5)))
		}
		for turn := 0; turn < 6; turn++ {
			for i, connection := range connections {
				equal(text(connection, "SHOW application_name"), fmt.Sprintf("app_%d", i))
				equal(text(connection, "SHOW work_mem"), fmt.Sprintf("%dMB", i+5))
			}
		}
	})
	check("a_temporary_table_is_there_later", func() {
		connection := connect()
		run(connection, "CREATE TEMP TABLE scratch_g (n int)")
		for i := 0; i < rounds; i++ {
			run(connection, "INSERT INTO scratch_g VALUES ($1)", i)
		}
		equal(number(connection, "SELECT count(*) FROM scratch_g"), rounds)
		run(connection, "DROP TABLE scratch_g")
	})
}

func newPool(options string) *pgxpool.Pool {
	pool, err := pgxpool.Connect(background, "sslmode=disable "+options)
	must(err)
	closeAtEnd(pool.Close)
	return pool
}
