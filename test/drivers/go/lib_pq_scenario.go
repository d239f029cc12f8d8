// SPDX-License-Identifier: GPL-3.0-or-later

// lib/pq under database/sql: statements with parameters are prepared and executed in two steps, by no name or by numbers
// for names; database/sql's pool resets connections as it lends them anew.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"
)

func sqlState(err error) string {
	var told *pq.Error
	if errors.As(err, &told) {
		return string(told.Code)
	}
	return ""
}

func open(options ...string) *sql.DB {
	database, err := sql.Open("postgres", strings.Join(append([]string{"sslmode=disable"}, options...), " "))
	must(err)
	closeAtEnd(func() { database.Close() })
	return database
}

func connect(options ...string) *sql.Conn {
	connection, err := open(options...).Conn(background)
	must(err)
	return connection
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, values ...interface{}) *sql.Row
	ExecContext(ctx context.Context, query string, values ...interface{}) (sql.Result, error)
}

func number(connection queryer, query string, values ...interface{}) (n int) {
	must(connection.QueryRowContext(background, query, values...).Scan(&n))
	return n
}

func text(connection queryer, query string, values ...interface{}) (t string) {
	must(connection.QueryRowContext(background, query, values...).Scan(&t))
	return t
}

func run(connection queryer, query string, values ...interface{}) {
	_, err := connection.ExecContext(background, query, values...)
	must(err)
}

func failing(connection queryer, query string, values ...interface{}) error {
	var ignored interface{}
	return connection.QueryRowContext(background, query, values...).Scan(&ignored)
}

func main() {
	statements()
	transactionsAndCopies()
	cancelsAndNotices()
	recoveryAndState()
	fmt.Println("done")
}

func statements() {
	check("unnamed_statements_in_two_steps", func() {
		connection := connect()
		for i := 0; i < 2*rounds; i++ {
			equal(text(connection, "SELECT $1::int || $2::text", i, "ü"), fmt.Sprint(i, "ü"))
		}
	})
	check("unnamed_statements_in_one_step", func() {
		connection := connect("binary_parameters=yes")
		for i := 0; i < rounds; i++ {
			equal(number(connection, "SELECT $1::int + 1", fmt.Sprint(i)), i+1)
		}
	})
	check("a_prepared_statement_serves_many_transactions", func() {
		connection := connect()
		statement, err := connection.PrepareContext(background, "SELECT $1::int * 2")
		must(err)
		for i := 0; i < 2*rounds; i++ {
			var n int
			must(statement.QueryRow(i).Scan(&n))
			equal(n, i*2)
		}
		must(statement.Close())
	})
	check("statements_of_two_clients_with_one_name_do_not_mix", func() {
		a, err := connect().PrepareContext(background, "SELECT $1::int + 1")
		must(err)
		b, err := connect().PrepareContext(background, "SELECT $1::int * 100")
		must(err)
		for i := 0; i < rounds; i++ {
			var n int
			must(a.QueryRow(i).Scan(&n))
			equal(n, i+1)
			must(b.QueryRow(i).Scan(&n))
			equal(n, i*100)
		}
	})
	check("a_statement_of_the_pool_is_prepared_where_it_runs", func() {
		database := open()
		database.SetMaxOpenConns(4)
		statement, err := database.Prepare("SELECT $1::int + 3")
		must(err)
		together(clients, func(index int) {
			for i := 0; i < 10; i++ {
				var n int
				must(statement.QueryRow(index*100 + i).Scan(&n))
				equal(n, index*100+i+3)
			}
		})
	})
	check("a_failed_prepare_leaves_no_trace", func() {
		connection := connect()
		for i := 0; i < 4; i++ {
			_, err := connection.PrepareContext(background, "SELECT n FROM not_yet_l WHERE n = $1")
			fails(err, "42P01")
			fails(failing(connection, "SELECT n FROM not_yet_l WHERE n = $1", 1), "42P01")
		}
		run(connection, "CREATE TABLE not_yet_l AS SELECT 1 AS n")
		for i := 0; i < rounds; i++ {
			equal(number(connection, "SELECT n FROM not_yet_l WHERE n = $1", 1), 1)
		}
	})
	check("many_clients_get_their_own_rows", func() {
		together(clients, func(index int) {
			connection := connect()
			for turn := 0; turn < 15; turn++ {
				rows, err := connection.QueryContext(background, fmt.Sprintf("SELECT %d, %d, g FROM generate_series(1, 10) g", index, turn))
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
	check("several_results_of_one_query", func() {
		rows, err := connect().QueryContext(background, "SELECT 1; SELECT 2")
		must(err)
		var found []int
		for more := true; more; more = rows.NextResultSet() {
			for rows.Next() {
				var n int
				must(rows.Scan(&n))
				found = append(found, n)
			}
		}
		must(rows.Err())
		equal(found, []int{1, 2})
	})
	check("large_results_and_parameters", func() {
		connection := connect()
		content := strings.Repeat("ä", 2_000_000)
		equal(text(connection, "SELECT $1::text", content) == content, true)
		equal(len(text(connection, "SELECT repeat('y', 5000000)")), 5_000_000)
	})
	check("types_make_the_round_trip", func() {
		connection := connect()
		for i := 0; i < 4; i++ {
			var b bool
			var f float64
			var y []byte
			var w time.Time
			var l pq.Int64Array
			var missing sql.NullString
			when := time.Date(2026, 11, 22, 12, 34, 56, 789000, time.UTC)
			must(connection.QueryRowContext(background, "SELECT $1::bool, $2::float8, $3::bytea, $4::timestamptz, $5::int[], $6::text",
				true, 1.5, []byte{0, 255}, when, pq.Array([]int64{1, 2}), nil).Scan(&b, &f, &y, &w, &l, &missing))
			equal(fmt.Sprint(b, f, y, w.Equal(when), l, missing.Valid), fmt.Sprint(true, 1.5, []byte{0, 255}, true, pq.Int64Array{1, 2}, false))
		}
	})
}

func transactionsAndCopies() {
	check("transactions_and_savepoints", func() {
		connection := connect()
		run(connection, "CREATE TABLE nested_l (n int PRIMARY KEY)")
		for turn := 0; turn < 6; turn++ {
			transaction, err := connection.BeginTx(background, &sql.TxOptions{Isolation: sql.LevelSerializable})
			must(err)
			run(transaction, "INSERT INTO nested_l VALUES ($1)", turn)
			run(transaction, "SAVEPOINT before")
			_, err = transaction.Exec("INSERT INTO nested_l VALUES ($1)", turn)
			fails(err, "23505")
			fails(failing(transaction, "SELECT 1"), "25P02")
			run(transaction, "ROLLBACK TO before")
			equal(text(transaction, "SHOW transaction_isolation"), "serializable")
			if turn%2 == 0 {
				must(transaction.Commit())
			} else {
				must(transaction.Rollback())
			}
		}
		equal(text(connection, "SELECT string_agg(n::text, ',' ORDER BY n) FROM nested_l"), "0,2,4")
	})
	check("a_commit_that_fails_is_told", func() {
		connection := connect()
		run(connection, "CREATE TABLE deferred_l (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
		for turn := 0; turn < 4; turn++ {
			transaction, err := connection.BeginTx(background, nil)
			must(err)
			run(transaction, "INSERT INTO deferred_l VALUES (1), (1)")
			fails(transaction.Commit(), "23505")
			equal(number(connection, "SELECT count(*) FROM deferred_l"), 0)
		}
	})
	check("copy_in", func() {
		connection := connect()
		run(connection, "CREATE TABLE copied_l (n int, t text)")
		for _, good := range []bool{true, false, true} {
			transaction, err := connection.BeginTx(background, nil)
			must(err)
			statement, err := transaction.Prepare(pq.CopyIn("copied_l", "n", "t"))
			must(err)
			for i := 0; i < 5000; i++ {
				_, err = statement.Exec(i, fmt.Sprintf("line %d\tä", i))
				must(err)
			}
			if !good {
				statement.Exec("no number", "x")
			}
			_, err = statement.Exec()
			if good {
				must(err)
				must(statement.Close())
				must(transaction.Commit())
			} else {
				fails(err, "22P02")
				statement.Close()
				must(transaction.Rollback())
			}
		}
		equal(number(connection, "SELECT count(*) FROM copied_l WHERE t = 'line ' || n || chr(9) || 'ä'"), 10000)
	})
	check("large_objects_are_written_and_read", func() {
		connection := connect()
		content := []byte(strings.Repeat("large", 20000))
		identity := number(connection, "SELECT lo_from_bytea(0, $1)", content)
		transaction, err := connection.BeginTx(background, nil)
		must(err)
		handle := number(transaction, "SELECT lo_open($1, 262144)", identity)
		equal(number(transaction, "SELECT lo_lseek($1, 50000, 0)", handle), 50000)
		var part []byte
		must(transaction.QueryRow("SELECT loread($1, 1000)", handle).Scan(&part))
		equal(string(part), string(content[50000:51000]))
		must(transaction.Commit())
		equal(number(connection, "SELECT lo_unlink($1)", identity), 1)
	})
}

func cancelsAndNotices() {
	check("a_context_that_ends_cancels_the_query", func() {
		database, other := open(), connect()
		for turn := 0; turn < 3; turn++ {
			soon, cancel := context.WithTimeout(background, 300*time.Millisecond)
			_, err := database.ExecContext(soon, "SELECT pg_sleep(15)")
			cancel()
			fails(err, "57014")
			equal(number(other, "SELECT $1::int", turn), turn)
			equal(number(database, "SELECT $1::int", turn), turn)
		}
	})
	check("notices_reach_their_client_in_order", func() {
		together(6, func(index int) {
			var heard, expected []string
			base, err := pq.NewConnector("sslmode=disable")
			must(err)
			database := sql.OpenDB(pq.ConnectorWithNoticeHandler(base, func(notice *pq.Error) { heard = append(heard, notice.Message) }))
			closeAtEnd(func() { database.Close() })
			database.SetMaxOpenConns(1)
			for turn := 0; turn < 5; turn++ {
				run(database, fmt.Sprintf("DO $$ BEGIN RAISE NOTICE '%d.%d'; RAISE WARNING 'w'; END $$", index, turn))
				expected = append(expected, fmt.Sprintf("%d.%d", index, turn), "w")
			}
			equal(heard, expected)
		})
	})
	check("an_idle_listener_is_woken", func() {
		listener := pq.NewListener("sslmode=disable", 100*time.Millisecond, time.Second, nil)
		closeAtEnd(func() { listener.Close() })
		must(listener.Listen("news_l"))
		sender := connect()
		for turn := 0; turn < 5; turn++ {
			run(sender, "SELECT pg_notify('news_l', $1)", fmt.Sprint("item ", turn))
			select {
			case heard := <-listener.Notify:
				equal(heard.Extra, fmt.Sprint("item ", turn))
			case <-time.After(3 * time.Second):
				panic(errors.New("no notification"))
			}
			must(listener.Ping())
		}
		must(listener.UnlistenAll())
	})
}

func recoveryAndState() {
	check("errors_carry_their_fields", func() {
		connection := connect()
		run(connection, "CREATE TABLE checked_l (n int CONSTRAINT positive CHECK (n > 0))")
		_, err := connection.ExecContext(background, "INSERT INTO checked_l VALUES ($1)", -1)
		fails(err, "23514")
		var told *pq.Error
		errors.As(err, &told)
		equal([]string{told.Severity, told.Schema, told.Table, told.Constraint}, []string{"ERROR", "public", "checked_l", "positive"})
		equal(number(connection, "SELECT $1::int", 1), 1)
	})
	check("a_terminated_server_is_replaced_by_the_pool", func() {
		database, other := open(), connect()
		database.SetMaxOpenConns(1)
		for turn := 0; turn < 3; turn++ {
			transaction, err := database.Begin()
			must(err)
			doomed := number(transaction, "SELECT pg_backend_pid()")
			run(other, "SELECT pg_terminate_backend($1)", doomed)
			fails(failing(transaction, "SELECT 1"), "") // database/sql hides which
			transaction.Rollback()
			until(func() bool { return database.Ping() == nil }, "a new connection")
			equal(number(database, "SELECT $1::int", turn), turn)
		}
	})
	check("more_users_than_connections", func() {
		database := open()
		database.SetMaxOpenConns(3)
		together(clients, func(index int) {
			for turn := 0; turn < 6; turn++ {
				transaction, err := database.Begin()
				must(err)
				equal(number(transaction, "SELECT $1::int", index*10+turn), index*10+turn)
				must(transaction.Commit())
			}
		})
	})
	check("settings_of_the_login_follow_their_client", func() {
		var connections []*sql.Conn
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
	check("a_session_lock_is_its_clients", func() {
		a, b := connect(), connect()
		run(a, "SELECT pg_advisory_lock(6001)")
		for i := 0; i < rounds; i++ {
			equal(text(b, "SELECT pg_try_advisory_lock(6001)"), "false")
		}
		equal(text(a, "SELECT pg_advisory_unlock(6001)"), "true")
	})
	check("a_temporary_table_is_there_later", func() {
		connection := connect()
		run(connection, "CREATE TEMP TABLE scratch_l (n int)")
		for i := 0; i < rounds; i++ {
			run(connection, fmt.Sprintf("INSERT INTO scratch_l VALUES (%d)", i))
		}
		equal(number(connection, "SELECT count(*) FROM scratch_l"), rounds)
		run(connection, "DROP TABLE scratch_l")
	})
}
