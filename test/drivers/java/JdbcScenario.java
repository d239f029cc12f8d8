// SPDX-License-Identifier: GPL-3.0-or-later
//
// pgjdbc: prepares by name after some uses of a statement (prepareThreshold), sends batches and parts of results
// (fetch size) in the extended protocol, and speaks to large objects by function calls.

import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.ds.PGConnectionPoolDataSource;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public final class JdbcScenario {
  static final int ROUNDS = 20;  // transactions after which a client has surely met every server of the pool
  static final int CLIENTS = 12;  // three times the servers of the pool
  static final int CHECK_SECONDS_MAX = 20;

  // The frame

  interface Work {
    void run() throws Exception;
  }

  interface IndexedWork {
    void run(int index) throws Exception;
  }

  static final List<Connection> opened = Collections.synchronizedList(new ArrayList<>());
  static final ExecutorService threads = Executors.newCachedThreadPool(work -> {
    Thread thread = new Thread(work);
    thread.setDaemon(true);
    return thread;
  });

  static void check(String name, Work work) {
    String only = System.getenv().getOrDefault("DRIVERS_ONLY", "");
    if (!name.contains(only)) return;
    long begin = System.currentTimeMillis();
    String story = storyOf(work).replace("\t", " ").replace("\n", "\\n");
    long milliseconds = System.currentTimeMillis() - begin;
    System.out.println(story.isEmpty() ? "ok\t" + name + "\t" + milliseconds : "failed\t" + name + "\t" + milliseconds + "\t" + story);
    System.out.flush();
    List<Connection> left = new ArrayList<>(opened);
    opened.clear();
    for (Connection connection : left) threads.submit(() -> { connection.close(); return null; });
  }

  static String storyOf(Work work) {
    Future<?> future = threads.submit(() -> { work.run(); return null; });
    try {
      future.get(CHECK_SECONDS_MAX, TimeUnit.SECONDS);
      return "";
    } catch (TimeoutException late) {
      future.cancel(true);
      return "no end within " + CHECK_SECONDS_MAX + " s";
    } catch (ExecutionException failure) {
      Throwable cause = failure.getCause();
      int line = Arrays.stream(cause.getStackTrace())
          .filter(frame -> frame.getClassName().equals("JdbcScenario") && frame.getMethodName().matches("lambda\\$(?!storyOf|inThreads).*"))
          .mapToInt(StackTraceElement::getLineNumber).findFirst().orElse(0);
      return cause + " (line " + line + ")";
    } catch (InterruptedException interrupted) {
      return "interrupted";
    }
  }

  static void inThreads(int count, IndexedWork work) throws Exception {
    List<Callable<Void>> all = new ArrayList<>();
    for (int i = 0; i < count; ++i) {
      int index = i;
      all.add(() -> { work.run(index); return null; });
    }
    for (Future<Void> each : threads.invokeAll(all)) each.get();
  }

  static void equal(Object actual, Object expected) {
    if (!Objects.deepEquals(actual, expected)) throw new AssertionError(actual + ", not " + expected);
  }

  static SQLException fails(String sqlState, Work work) throws Exception {
    try {
      work.run();
    } catch (SQLException error) {
      if (sqlState != null) equal(error.getSQLState() + " " + error.getMessage().split("\n")[0], sqlState + " " + error.getMessage().split("\n")[0]);
      return error;
    }
    throw new AssertionError("no error");
  }

  static Connection connect(String... options) throws SQLException {
    Map<String, String> env = System.getenv();
    Properties properties = new Properties();
    properties.setProperty("user", env.get("PGUSER"));
    properties.setProperty("password", env.get("PGPASSWORD"));
    for (int i = 0; i < options.length; i += 2) properties.setProperty(options[i], options[i + 1]);
    Connection connection = DriverManager.getConnection(
        "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE"), properties);
    opened.add(connection);
    return connection;
  }

  static void run(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  static Object value(Connection connection, String sql, Object... parameters) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      return value(statement, parameters);
    }
  }

  static Object value(PreparedStatement statement, Object... parameters) throws SQLException {
    for (int i = 0; i < parameters.length; ++i) statement.setObject(i + 1, parameters[i]);
    try (ResultSet rows = statement.executeQuery()) {
      rows.next();
      return rows.getObject(1);
    }
  }

  static int backend(Connection connection) throws SQLException {
    return connection.unwrap(PGConnection.class).getBackendPID();
  }

  // The checks

  public static void main(String[] arguments) throws Exception {
    preparedStatements();
    batchesAndCursors();
    transactions();
    copy();
    cancelNoticesAndNotifications();
    largeObjects();
    errorsAndRecovery();
    pools();
    settingsAndState();
    System.out.println("done");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  static void preparedStatements() {
    check("statements_below_the_threshold_are_unnamed", () -> {
      Connection connection = connect();
      for (int i = 0; i < ROUNDS; ++i) equal(value(connection, "SELECT ?::int + " + i, i), 2 * i);
    });
    check("a_statement_is_named_at_the_threshold", () -> {
      Connection connection = connect();  // 5
      try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int * 2")) {
        for (int i = 0; i < 2 * ROUNDS; ++i) equal(value(statement, i), 2 * i);
      }
    });
    check("every_statement_is_named", () -> {
      Connection connection = connect("prepareThreshold", "-1");
      for (int i = 0; i < ROUNDS; ++i) equal(value(connection, "SELECT ?::text || '/' || ?::int", "ü", i), "ü/" + i);
    });
    check("no_statement_is_named", () -> {
      Connection connection = connect("prepareThreshold", "0");
      for (int i = 0; i < ROUNDS; ++i) equal(value(connection, "SELECT ?::int + 7", i), i + 7);
    });
    check("statements_of_two_clients_with_one_name_do_not_mix", () -> {
      Connection a = connect("prepareThreshold", "1"), b = connect("prepareThreshold", "1");
      PreparedStatement of_a = a.prepareStatement("SELECT ?::int + 1"), of_b = b.prepareStatement("SELECT ?::int * 100");
      for (int i = 0; i < ROUNDS; ++i) {
        equal(value(of_a, i), i + 1);
        equal(value(of_b, i), i * 100);
      }
    });
    check("many_clients_prepare_the_same_statement", () -> {
      Connection[] connections = new Connection[CLIENTS];
      for (int i = 0; i < CLIENTS; ++i) connections[i] = connect("prepareThreshold", "2");
      inThreads(CLIENTS, index -> {
        for (int i = 0; i < 15; ++i) equal(value(connections[index], "SELECT ?::int * 1000 + ?::int", index, i), index * 1000 + i);
      });
    });
    check("the_cache_of_statements_evicts_the_oldest", () -> {
      Connection connection = connect("prepareThreshold", "1", "preparedStatementCacheQueries", "3");
      for (int turn = 0; turn < 5; ++turn)
        for (int i = 0; i < 8; ++i) equal(value(connection, "SELECT ?::int + " + i, turn), turn + i);
    });
    check("a_failed_prepare_leaves_no_trace", () -> {
      Connection connection = connect("prepareThreshold", "1");
      for (int i = 0; i < 4; ++i) fails("42P01", () -> value(connection, "SELECT n FROM not_yet_p WHERE n = ?", 1));
      run(connection, "CREATE TABLE not_yet_p AS SELECT 1 AS n");
      for (int i = 0; i < ROUNDS; ++i) equal(value(connection, "SELECT n FROM not_yet_p WHERE n = ?", 1), 1);
    });
    check("a_changed_table_under_a_prepared_statement", () -> {
      Connection a = connect("prepareThreshold", "1"), b = connect("prepareThreshold", "0");
      run(b, "CREATE TABLE changing_p AS SELECT 1 AS n");
      for (int turn = 0; turn < 4; ++turn) {
        for (int i = 0; i < 3; ++i) equal(value(a, "SELECT * FROM changing_p WHERE n = ?", 1), 1);  // the driver retries by itself
        run(b, "ALTER TABLE changing_p ADD column_" + turn + " int");
      }
    });
    check("deallocate_all_is_noticed_by_the_driver", () -> {
      Connection connection = connect("prepareThreshold", "1");
      for (int i = 0; i < 5; ++i) {
        equal(value(connection, "SELECT ?::int + 3", i), i + 3);
        run(connection, i % 2 == 0 ? "DEALLOCATE ALL" : "DISCARD ALL");
      }
    });
    check("parameters_and_results_are_described", () -> {
      Connection connection = connect("prepareThreshold", "1");
      try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int AS n, ?::text AS t")) {
        for (int i = 0; i < ROUNDS; ++i) {
          equal(statement.getParameterMetaData().getParameterTypeName(1), "int4");
          equal(statement.getMetaData().getColumnLabel(2), "t");
        }
      }
    });
    check("types_make_the_round_trip_in_both_formats", () -> {
      Connection connection = connect("prepareThreshold", "3");
      try (PreparedStatement statement = connection.prepareStatement("SELECT ?::bool, ?::int8, ?::numeric, ?::float8, ?::text, ?::bytea, ?::int[], ?::text")) {
        for (int i = 0; i < 8; ++i) {
          Object[] sent = {true, 1L << 40, new BigDecimal("12345.678900"), 1.5, "ä€", new byte[] {0, -1}};
          for (int p = 0; p < sent.length; ++p) statement.setObject(p + 1, sent[p]);
          statement.setArray(7, connection.createArrayOf("int4", new Integer[] {1, null, 4}));
          statement.setNull(8, Types.VARCHAR);
          try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            for (int p = 0; p < sent.length; ++p) equal(rows.getObject(p + 1), sent[p]);
            Array array = rows.getArray(7);
            equal(array.getArray(), new Integer[] {1, null, 4});
            equal(rows.getString(8), null);
          }
        }
      }
    });
    check("the_simple_protocol_only", () -> {
      Connection connection = connect("preferQueryMode", "simple");
      for (int i = 0; i < ROUNDS; ++i) equal(value(connection, "SELECT ?::int", i), i);
    });
    check("a_procedure_is_called", () -> {
      Connection connection = connect("prepareThreshold", "1");
      run(connection, "CREATE FUNCTION twice(n int, OUT doubled int) LANGUAGE sql AS 'SELECT n * 2'");
      for (int i = 0; i < ROUNDS; ++i) {
        try (CallableStatement call = connection.prepareCall("{ call twice(?, ?) }")) {
          call.setInt(1, i);
          call.registerOutParameter(2, Types.INTEGER);
          call.execute();
          equal(call.getInt(2), 2 * i);
        }
      }
    });
  }

  static void batchesAndCursors() {
    for (String rewrite : new String[] {"false", "true"}) {
      check(rewrite.equals("true") ? "batches_rewritten_into_one_insert" : "batches_of_inserts", () -> {
        Connection connection = connect("prepareThreshold", "3", "reWriteBatchedInserts", rewrite);
        run(connection, "DROP TABLE IF EXISTS batch_p; CREATE TABLE batch_p (n int, t text)");
        for (int turn = 0; turn < 3; ++turn) {
          connection.setAutoCommit(turn % 2 == 0);
          try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batch_p VALUES (?, ?)")) {
            for (int i = 0; i < 1000; ++i) {
              statement.setInt(1, i);
              statement.setString(2, "row " + i);
              statement.addBatch();
            }
            equal(statement.executeBatch().length, 1000);
          }
          if (!connection.getAutoCommit()) connection.commit();
        }
        connection.setAutoCommit(true);
        equal(value(connection, "SELECT count(*) FROM batch_p WHERE t = 'row ' || n"), 3000L);
      });
    }
    check("generated_keys_of_a_batch", () -> {
      Connection connection = connect("prepareThreshold", "1");
      run(connection, "CREATE TABLE keys_p (id int GENERATED ALWAYS AS IDENTITY, t text)");
      for (int turn = 0; turn < 3; ++turn) {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO keys_p (t) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
          for (int i = 0; i < 300; ++i) {
            statement.setString(1, "row " + i);
            statement.addBatch();
          }
          statement.executeBatch();
          int keys = 0;
          for (ResultSet rows = statement.getGeneratedKeys(); rows.next(); ++keys) equal(rows.getInt("id"), turn * 300 + keys + 1);
          equal(keys, 300);
        }
      }
    });
    check("a_batch_that_fails_says_where", () -> {
      Connection connection = connect("prepareThreshold", "1");
      run(connection, "CREATE TABLE unique_p (n int PRIMARY KEY)");
      for (int turn = 0; turn < 3; ++turn) {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO unique_p VALUES (?)")) {
          for (int n : new int[] {1, 2, 1, 3}) {
            statement.setInt(1, n);
            statement.addBatch();
          }
          equal(fails("23505", statement::executeBatch) instanceof BatchUpdateException, true);
        }
        equal(value(connection, "SELECT count(*) FROM unique_p"), 0L);
      }
    });
    check("several_statements_in_one_query", () -> {
      Connection connection = connect();
      try (Statement statement = connection.createStatement()) {
        statement.execute("SELECT 1; CREATE TEMP TABLE several (n int) ON COMMIT DROP; SELECT 2");
        List<Integer> found = new ArrayList<>();
        for (boolean rows = true; rows || statement.getUpdateCount() != -1; rows = statement.getMoreResults()) {
          if (!rows) continue;
          ResultSet set = statement.getResultSet();
          set.next();
          found.add(set.getInt(1));
        }
        equal(found, List.of(1, 2));
      }
    });
    check("results_come_in_parts_of_the_fetch_size", () -> {
      Connection connection = connect("prepareThreshold", "2", "defaultRowFetchSize", "100");
      connection.setAutoCommit(false);
      for (int turn = 0; turn < 4; ++turn) {
        long sum = 0;
        try (PreparedStatement statement = connection.prepareStatement("SELECT g FROM generate_series(1, ?) g")) {
          statement.setInt(1, 1050);
          try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
              sum += rows.getInt(1);
              if (rows.getInt(1) % 500 == 0) equal(value(connection, "SELECT ?::int", turn), turn);
            }
          }
        }
        equal(sum, 1050L * 1051 / 2);
        connection.commit();
      }
    });
    check("a_result_that_is_left_early", () -> {
      Connection connection = connect("prepareThreshold", "1", "defaultRowFetchSize", "10");
      connection.setAutoCommit(false);
      for (int turn = 0; turn < 5; ++turn) {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT generate_series(1, 1000)")) {
          rows.next();
          equal(rows.getInt(1), 1);
        }
        connection.commit();
        equal(value(connection, "SELECT ?::int", turn), turn);
        connection.commit();
      }
    });
    check("large_results_and_parameters", () -> {
      Connection connection = connect();
      byte[] content = new byte[5_000_000];
      Arrays.fill(content, (byte) 'x');
      equal(Arrays.equals((byte[]) value(connection, "SELECT ?::bytea", (Object) content), content), true);
      try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")) {
        int count = 0;
        while (rows.next()) ++count;
        equal(count, 20000);
      }
    });
    check("many_clients_get_their_own_rows", () -> {
      Connection[] connections = new Connection[CLIENTS];
      for (int i = 0; i < CLIENTS; ++i) connections[i] = connect("prepareThreshold", "0");
      inThreads(CLIENTS, index -> {
        for (int turn = 0; turn < 15; ++turn)
          equal(value(connections[index], "SELECT string_agg(? || ':' || ? || ':' || g, ',') FROM generate_series(1, 3) g", "" + index, "" + turn),
              index + ":" + turn + ":1," + index + ":" + turn + ":2," + index + ":" + turn + ":3");
      });
    });
  }

  static void transactions() {
    check("commits_rollbacks_and_savepoints", () -> {
      Connection connection = connect("prepareThreshold", "2");
      run(connection, "CREATE TABLE nested_p (n int PRIMARY KEY)");
      connection.setAutoCommit(false);
      for (int turn = 0; turn < 6; ++turn) {
        int n = turn;
        value(connection, "INSERT INTO nested_p VALUES (?) RETURNING n", n);
        Savepoint before = connection.setSavepoint();
        fails("23505", () -> value(connection, "INSERT INTO nested_p VALUES (?) RETURNING n", n));
        fails("25P02", () -> value(connection, "SELECT ?::int", n));
        connection.rollback(before);
        if (turn % 2 == 0) connection.commit(); else connection.rollback();
      }
      equal(value(connection, "SELECT string_agg(n::text, ',' ORDER BY n) FROM nested_p"), "0,2,4");
      connection.commit();
    });
    check("a_savepoint_for_each_statement", () -> {
      Connection connection = connect("autosave", "always", "prepareThreshold", "1");
      connection.setAutoCommit(false);
      for (int turn = 0; turn < 5; ++turn) {
        int n = turn;
        fails("22012", () -> value(connection, "SELECT 1 / ?", 0));
        equal(value(connection, "SELECT ?::int", n), n);
        connection.commit();
      }
    });
    check("isolation_and_read_only_follow_their_client", () -> {
      Connection strict = connect(), plain = connect();
      strict.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      strict.setReadOnly(true);
      strict.setAutoCommit(false);
      for (int turn = 0; turn < ROUNDS; ++turn) {
        equal(value(strict, "SHOW transaction_isolation"), "serializable");
        equal(value(strict, "SHOW transaction_read_only"), "on");
        strict.commit();
        equal(value(plain, "SHOW transaction_isolation"), "read committed");
      }
    });
  }

  static void copy() {
    check("copy_in_and_out", () -> {
      Connection connection = connect();
      run(connection, "CREATE TABLE copied_p (n int, t text)");
      StringBuilder lines = new StringBuilder();
      for (int i = 0; i < 20000; ++i) lines.append(i).append("\tline ").append(i).append(" ä\n");
      CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
      equal(copies.copyIn("COPY copied_p FROM STDIN", new StringReader(lines.toString())), 20000L);
      StringWriter target = new StringWriter();
      equal(copies.copyOut("COPY (SELECT * FROM copied_p ORDER BY n) TO STDOUT", target), 20000L);
      equal(target.toString().equals(lines.toString()), true);
    });
    check("copy_that_fails_leaves_the_connection_usable", () -> {
      Connection connection = connect();
      run(connection, "CREATE TABLE copied_badly_p (n int)");
      CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
      for (int turn = 0; turn < 3; ++turn) {
        fails("22P02", () -> copies.copyIn("COPY copied_badly_p FROM STDIN", new StringReader("1\ntwo\n")));
        CopyIn broken = copies.copyIn("COPY copied_badly_p FROM STDIN");
        broken.writeToCopy("1\n".getBytes(StandardCharsets.UTF_8), 0, 2);
        broken.cancelCopy();
        equal(value(connection, "SELECT count(*) FROM copied_badly_p"), 0L);
      }
    });
  }

  static void cancelNoticesAndNotifications() {
    check("cancel_ends_the_query_and_nothing_else", () -> {
      Connection a = connect(), b = connect();
      for (int turn = 0; turn < 3; ++turn) {
        try (Statement statement = a.createStatement()) {
          Future<?> canceller = threads.submit(() -> { Thread.sleep(300); statement.cancel(); return null; });
          fails("57014", () -> statement.execute("SELECT pg_sleep(15)"));
          canceller.get();
        }
        equal(value(a, "SELECT 1"), 1);
        equal(value(b, "SELECT 2"), 2);
      }
    });
    check("a_query_timeout_cancels_the_query", () -> {
      Connection connection = connect();
      try (Statement statement = connection.createStatement()) {
        statement.setQueryTimeout(1);
        fails("57014", () -> statement.execute("SELECT pg_sleep(15)"));
      }
      equal(value(connection, "SELECT 1"), 1);
    });
    check("notices_reach_their_client_in_order", () -> {
      Connection[] connections = new Connection[6];
      for (int i = 0; i < 6; ++i) connections[i] = connect();
      inThreads(6, index -> {
        for (int turn = 0; turn < 5; ++turn) {
          try (Statement statement = connections[index].createStatement()) {
            statement.execute("DO $$ BEGIN RAISE NOTICE '" + index + "." + turn + "'; RAISE WARNING 'w'; END $$");
            List<String> heard = new ArrayList<>();
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) heard.add(warning.getMessage());
            equal(heard, List.of(index + "." + turn, "w"));
          }
        }
      });
    });
    check("an_idle_listener_is_woken", () -> {
      Connection listener = connect(), sender = connect();
      run(listener, "LISTEN news_p");
      for (int turn = 0; turn < 5; ++turn) {
        value(sender, "SELECT pg_notify('news_p', ?)", "item " + turn);
        PGNotification[] heard = listener.unwrap(PGConnection.class).getNotifications(3000);
        equal(heard == null ? 0 : heard.length, 1);
        equal(heard[0].getParameter(), "item " + turn);
      }
      run(listener, "UNLISTEN news_p");
    });
  }

  static void largeObjects() {
    check("large_objects_by_function_calls", () -> {
      Connection connection = connect("prepareThreshold", "1");
      connection.setAutoCommit(false);
      byte[] content = new byte[100_000];
      for (int i = 0; i < content.length; ++i) content[i] = (byte) i;
      LargeObjectManager manager = connection.unwrap(PGConnection.class).getLargeObjectAPI();
      for (int turn = 0; turn < 3; ++turn) {
        long identity = manager.createLO(LargeObjectManager.READWRITE);
        try (LargeObject large = manager.open(identity, LargeObjectManager.WRITE)) {
          large.write(content);
        }
        connection.commit();
        try (LargeObject large = manager.open(identity, LargeObjectManager.READ)) {
          large.seek64(50_000, LargeObject.SEEK_SET);
          equal(Arrays.equals(large.read(1000), Arrays.copyOfRange(content, 50_000, 51_000)), true);
          equal(large.size64(), 100_000L);
        }
        manager.delete(identity);
        connection.commit();
      }
    });
    check("large_objects_are_streamed_as_blobs", () -> {
      Connection connection = connect();
      run(connection, "CREATE TABLE blobs_p (content oid)");
      connection.setAutoCommit(false);
      try (PreparedStatement statement = connection.prepareStatement("INSERT INTO blobs_p VALUES (?)")) {
        statement.setBlob(1, new ByteArrayInputStream(new byte[300_000]), 300_000);
        statement.execute();
      }
      connection.commit();
      try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT content FROM blobs_p")) {
        rows.next();
        equal(rows.getBlob(1).getBinaryStream().readAllBytes().length, 300_000);
      }
      connection.commit();
    });
    check("a_function_call_that_fails", () -> {
      Connection connection = connect();
      connection.setAutoCommit(false);
      LargeObjectManager manager = connection.unwrap(PGConnection.class).getLargeObjectAPI();
      for (int turn = 0; turn < 3; ++turn) {
        fails("42704", () -> manager.open(4294967290L, LargeObjectManager.READ));
        connection.rollback();
        equal(value(connection, "SELECT 1"), 1);
        connection.commit();
      }
    });
  }

  static void errorsAndRecovery() {
    check("errors_carry_their_fields", () -> {
      Connection connection = connect();
      run(connection, "CREATE TABLE checked_p (n int CONSTRAINT positive CHECK (n > 0))");
      ServerErrorMessage error = ((PSQLException) fails("23514", () -> value(connection, "INSERT INTO checked_p VALUES (?) RETURNING n", -1))).getServerErrorMessage();
      equal(List.of(error.getSeverity(), error.getSchema(), error.getTable(), error.getConstraint()), List.of("ERROR", "public", "checked_p", "positive"));
      equal(((PSQLException) fails("42703", () -> run(connection, "SELECT nmae FROM checked_p"))).getServerErrorMessage().getPosition(), 8);
      equal(value(connection, "SELECT ?::int", 1), 1);
    });
    check("a_terminated_server_is_one_clients_error", () -> {
      Connection victim = connect(), other = connect();
      victim.setAutoCommit(false);
      Object doomed = value(victim, "SELECT pg_backend_pid()");
      equal(value(other, "SELECT pg_terminate_backend(?)", doomed), true);
      fails("57P01", () -> value(victim, "SELECT 1"));
      equal(victim.isClosed(), true);
      for (int i = 0; i < ROUNDS; ++i) equal(value(other, "SELECT ?::int", i), i);
    });
    check("a_connection_is_found_valid", () -> {
      Connection connection = connect("prepareThreshold", "1");
      for (int i = 0; i < ROUNDS; ++i) equal(connection.isValid(5), true);
    });
  }

  static void pools() {
    check("a_pooled_connection_is_rolled_back_on_return", () -> {
      PGConnectionPoolDataSource source = new PGConnectionPoolDataSource();
      Map<String, String> env = System.getenv();
      source.setUrl("jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE"));
      source.setUser(env.get("PGUSER"));
      source.setPassword(env.get("PGPASSWORD"));
      source.setDefaultAutoCommit(false);
      javax.sql.PooledConnection pooled = source.getPooledConnection();
      Connection watcher = connect();
      run(watcher, "CREATE TABLE returned_p (n int)");
      for (int i = 0; i < ROUNDS; ++i) {
        try (Connection lent = pooled.getConnection()) {
          run(lent, "INSERT INTO returned_p VALUES (1)");
        }
        equal(value(watcher, "SELECT count(*) FROM returned_p"), 0L);
      }
      pooled.close();
    });
    check("a_returned_connection_is_reset", () -> {
      Connection connection = connect("prepareThreshold", "1");
      for (int i = 0; i < ROUNDS; ++i) {
        equal(value(connection, "SHOW TimeZone"), java.util.TimeZone.getDefault().getID());
        run(connection, "SET TimeZone = 'Asia/Tokyo'");
        equal(value(connection, "SHOW TimeZone"), "Asia/Tokyo");
        run(connection, "RESET ALL");
      }
    });
  }

  static void settingsAndState() {
    check("a_temporary_table_is_there_later", () -> {
      Connection connection = connect();
      run(connection, "CREATE TEMP TABLE scratch_p (n int)");
      for (int i = 0; i < ROUNDS; ++i) value(connection, "INSERT INTO scratch_p VALUES (?) RETURNING n", i);
      equal(value(connection, "SELECT count(*) FROM scratch_p"), (long) ROUNDS);
      run(connection, "DROP TABLE scratch_p");
    });
    check("a_holdable_result_outlives_its_transaction", () -> {
      Connection connection = connect("defaultRowFetchSize", "10");
      connection.setAutoCommit(false);
      try (Statement statement = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY, ResultSet.HOLD_CURSORS_OVER_COMMIT);
           ResultSet rows = statement.executeQuery("SELECT generate_series(1, 100)")) {
        int count = 0;
        while (rows.next()) {
          ++count;
          if (count % 10 == 0) connection.commit();
        }
        equal(count, 100);
      }
      connection.commit();
    });
    check("settings_of_the_login_follow_their_client", () -> {
      Map<Integer, Connection> connections = new LinkedHashMap<>();
      for (int i = 0; i < 6; ++i) connections.put(i, connect("ApplicationName", "app " + i, "options", "-c work_mem=" + (i + 5) + "MB"));
      for (int turn = 0; turn < 6; ++turn)
        for (Map.Entry<Integer, Connection> each : connections.entrySet()) {
          equal(value(each.getValue(), "SHOW application_name"), "app " + each.getKey());
          equal(value(each.getValue(), "SHOW work_mem"), (each.getKey() + 5) + "MB");
        }
    });
    check("a_schema_follows_its_client", () -> {
      Connection setup = connect();
      run(setup, "CREATE SCHEMA one_p; CREATE TABLE one_p.who AS SELECT 'one' AS name; CREATE SCHEMA two_p; CREATE TABLE two_p.who AS SELECT 'two' AS name");
      Connection one = connect("currentSchema", "one_p", "prepareThreshold", "1"), two = connect("prepareThreshold", "1");
      two.setSchema("two_p");
      for (int i = 0; i < ROUNDS; ++i) {
        equal(value(one, "SELECT name FROM who"), "one");
        equal(value(two, "SELECT name FROM who"), "two");
      }
    });
  }
}
