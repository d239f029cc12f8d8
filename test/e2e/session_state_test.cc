// SPDX-License-Identifier: GPL-3.0-or-later
//
// What statements leave in a session, in transaction mode, against a real PostgreSQL: parameters
// follow their client, what cannot move keeps the server, and nobody meets what others have left.
#include <gtest/gtest.h>

#include "rig/patience.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

class SessionState : public OnShards {
 protected:
  // Two servers, of which each transaction of `client` may get the other one.
  TriremeOptions Two() {
    TriremeOptions options = Options();
    options.size = 2;
    return options;
  }
};
ON_1_2_4_SHARDS(SessionState);

std::string SqlstateOf(const std::vector<Message>& answer) {
  const Message* error = FindType(answer, 'E');
  return error != nullptr ? ErrorField(*error, 'C') : "no error: " + Types(answer);
}

std::string PidOf(RawClient& client) { return client.Value("SELECT pg_backend_pid()"); }

// `client` runs its next transaction on another server than before.
class Elsewhere {
 public:
  Elsewhere(Trireme& trireme, RawClient& client) : other_(trireme.LoggedIn()) {
    const std::string before = PidOf(client);
    other_.Ask("BEGIN");
    if (PidOf(other_) != before) {  // that one is taken: the client has to have this one
      RawClient third = trireme.LoggedIn();
      third.Ask("BEGIN");
      other_.Ask("ROLLBACK");
      other_.Ask("BEGIN");
      third.Ask("ROLLBACK");
    }
  }

 private:
  RawClient other_;
};

TEST_P(SessionState, SettingsThatAreNotReportedFollowTheirClient) {
  Trireme trireme(Two());
  RawClient client = trireme.LoggedIn();
  client.Ask("SET work_mem = '7MB'");
  client.Ask("SET search_path TO \"My Schema\", public");
  client.Ask("SELECT set_config('app.user', 'it''s me', false)");
  Elsewhere elsewhere(trireme, client);
  EXPECT_EQ(client.Value("SHOW work_mem"), "7MB");
  EXPECT_EQ(client.Value("SHOW search_path"), "\"My Schema\", public");
  EXPECT_EQ(client.Value("SELECT current_setting('app.user')"), "it's me");
}

TEST_P(SessionState, NobodyMeetsTheSettingsOfOthers) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  const std::string before = other.Value("SHOW work_mem");
  client.Ask("SET work_mem = '7MB'");
  client.Ask("SET ROLE app");
  EXPECT_EQ(other.Value("SHOW work_mem"), before);
  EXPECT_EQ(other.Value("SHOW role"), "none");
  EXPECT_EQ(client.Value("SHOW work_mem"), "7MB");
  EXPECT_EQ(client.Value("SHOW role"), "app");
}

TEST_P(SessionState, SettingsAreUndoneAsTheTransactionIs) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Ask("SET work_mem = '5MB'");
  for (const char* text :
       {"BEGIN; SET work_mem = '6MB'; ROLLBACK", "SET LOCAL work_mem = '6MB'",
        "BEGIN; SET LOCAL work_mem = '6MB'; COMMIT", "SET work_mem = '6MB'; SELECT 1/0",
        "BEGIN; SAVEPOINT a; SET work_mem = '6MB'; ROLLBACK TO a; COMMIT"}) {
    client.Ask(text);
    other.Ask("SELECT 1");
    EXPECT_EQ(client.Value("SHOW work_mem"), "5MB") << text;
  }
  client.Ask("BEGIN");
  client.Ask("SET work_mem = '8MB'");
  client.Ask("SAVEPOINT a");
  client.Ask("SET work_mem = '9MB'");
  client.Ask("ROLLBACK TO a");
  client.Ask("COMMIT");
  other.Ask("SELECT 1");
  EXPECT_EQ(client.Value("SHOW work_mem"), "8MB");
  client.Ask("RESET work_mem");
  EXPECT_EQ(client.Value("SHOW work_mem"), other.Value("SHOW work_mem"));
}

TEST_P(SessionState, SettingsByTheExtendedProtocolFollow) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Exchange(Parse("", "SET work_mem = '5MB'") + Bind("", "") + Execute("") + Sync());
  other.Ask("SELECT 1");
  EXPECT_EQ(client.Value("SHOW work_mem"), "5MB");
  client.Exchange(Parse("s", "SET work_mem = '6MB'") + Sync());
  EXPECT_EQ(client.Value("SHOW work_mem"), "5MB");
  client.Exchange(Bind("", "s") + Execute("") + Sync());
  other.Ask("SELECT 1");
  EXPECT_EQ(client.Value("SHOW work_mem"), "6MB");
}

TEST_P(SessionState, ResetGoesBackToWhatTheClientAskedForAtLogin) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client =
      trireme.LoggedIn({.more = {{"options", "-c work_mem=3MB -c TimeZone=Asia/Tokyo"}}});
  RawClient other = trireme.LoggedIn();
  for (const char* text :
       {"RESET ALL", "DISCARD ALL", "BEGIN; RESET ALL; COMMIT", "RESET work_mem; RESET TimeZone"}) {
    client.Ask("SET work_mem = '9MB'; SET TimeZone = 'UTC'");
    client.Ask(text);
    other.Ask("SELECT 1");
    EXPECT_EQ(client.Value("SHOW work_mem"), "3MB") << text;
    EXPECT_EQ(client.Value("SHOW TimeZone"), "Asia/Tokyo") << text;
  }
}

struct Keeping {
  const char* name;
  const char* make;
  const char* use;
  const char* undo;
};

// The server is kept while there is such state, and given back when it has gone.
TEST_P(SessionState, WhatCannotMoveKeepsItsServer) {
  const Keeping cases[] = {
      {"temporary objects", "CREATE TEMP TABLE mine (a int)", "SELECT count(*) FROM mine",
       "DROP TABLE mine"},
      {"temporary objects", "CREATE TEMP VIEW seen AS SELECT 1 AS a", "SELECT a FROM seen",
       "DISCARD TEMP"},
      {"advisory lock", "SELECT pg_advisory_lock(4711)",
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
       "SELECT pg_advisory_unlock(4711)"},
      {"cursor WITH HOLD", "DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 9)",
       "FETCH 1 FROM held", "CLOSE held"},
      {"LISTEN", "LISTEN news", "SELECT pg_listening_channels()", "UNLISTEN news"},
      {"PREPARE", "PREPARE mine AS SELECT 5", "EXECUTE mine", "DEALLOCATE mine"},
      {"temporary objects, LISTEN", "LISTEN news; CREATE TEMP TABLE mine (a int)",
       "SELECT count(*) FROM mine", "DISCARD ALL"},
  };
  Trireme trireme(Two());
  const auto pinned = [&trireme](const std::string& pid) {
    for (const auto& row : trireme.Show("SERVERS")) {
      if (row.at("remote_pid") == pid) return row.at("pinned");
    }
    return std::string("no such server");
  };
  for (const Keeping& each : cases) {
    RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
    client.Ask(each.make);
    const std::string pid = PidOf(client);
    other.Ask("BEGIN");
    EXPECT_NE(PidOf(other), pid) << each.make;
    other.Ask("COMMIT");
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(SqlstateOf(client.Ask(each.use)), "no error: TDCZ") << each.use;
      EXPECT_EQ(PidOf(client), pid) << each.use;
    }
    EXPECT_EQ(pinned(pid), each.name);
    EXPECT_EQ(SqlstateOf(client.Ask(each.undo)).substr(0, 8), "no error") << each.undo;
    EXPECT_TRUE(Eventually([&] { return pinned(pid).empty(); })) << each.undo;
  }
}

TEST_P(SessionState, WhatWasRolledBackKeepsNothing) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  for (const char* text :
       {"BEGIN; CREATE TEMP TABLE mine (a int); ROLLBACK", "BEGIN; LISTEN x; ROLLBACK",
        "BEGIN; CREATE TEMP TABLE mine (a int) ON COMMIT DROP; COMMIT", "LISTEN x; SELECT 1/0",
        "SELECT pg_advisory_xact_lock(1)", "DO $$ BEGIN PERFORM 1; END $$"}) {
    client.Ask(text);
    EXPECT_EQ(other.Value("SELECT 'served'"), "served") << text;
  }
}

TEST_P(SessionState, NobodyMeetsWhatAClientThatVanishedHasLeft) {
  TriremeOptions options = Options();
  options.size = 1;
  options.pool = {{"reset_query", ""}};
  Trireme trireme(options);
  for (const char* text : {"CREATE TEMP TABLE mine (a int)", "LISTEN x", "SET work_mem = '9MB'",
                           "SELECT pg_advisory_lock(4712)", "PREPARE mine AS SELECT 1"}) {
    RawClient client = trireme.LoggedIn();
    client.Ask(text);
    client.socket().Close();
    RawClient next = trireme.LoggedIn();
    EXPECT_EQ(next.Value("SELECT count(*) FROM pg_class WHERE relname = 'mine'"), "0") << text;
    EXPECT_EQ(next.Value("SELECT count(*) FROM pg_listening_channels()"), "0") << text;
    EXPECT_NE(next.Value("SHOW work_mem"), "9MB") << text;
    EXPECT_EQ(next.Value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0") << text;
    EXPECT_EQ(next.Value("SELECT count(*) FROM pg_prepared_statements WHERE from_sql"), "0");
  }
}

TEST_P(SessionState, CurrvalNeverTellsWhatOthersHaveDone) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  other.Ask("DROP SEQUENCE IF EXISTS numbers; CREATE SEQUENCE numbers");
  EXPECT_EQ(other.Value("SELECT nextval('numbers')"), "1");
  EXPECT_EQ(SqlstateOf(client.Ask("SELECT lastval()")), "55000");
  EXPECT_EQ(client.Value("SELECT nextval('numbers')"), "2");
  EXPECT_EQ(client.Value("SELECT currval('numbers')"), "2");
  client.Ask("DISCARD SEQUENCES");
  EXPECT_EQ(other.Value("SELECT nextval('numbers')"), "3");
}

// Whoever reads first in the pool has told all others to keep what they advance.
TEST_P(SessionState, EachClientReadsBackWhatItHasAdvanced) {
  Trireme trireme(Two());
  const std::string text = "SELECT nextval('own_numbers')";
  RawClient early = trireme.LoggedIn(), first = trireme.LoggedIn();
  early.Ask(
      "DROP TABLE IF EXISTS numbered; DROP SEQUENCE IF EXISTS own_numbers;"
      "CREATE SEQUENCE own_numbers;"
      "CREATE TABLE numbered (n int DEFAULT nextval('own_numbers'), x text)");
  early.Exchange(Parse("s", text) + Sync());
  EXPECT_EQ(SqlstateOf(first.Ask("SELECT lastval()")), "55000");
  first.socket().Close();
  const auto reads_back = [](RawClient& client) {
    const std::string last = client.Value("SELECT last_value FROM own_numbers");
    const std::vector<Message> answer = client.Ask("SELECT currval('own_numbers')");
    const Message* row = FindType(answer, 'D');
    EXPECT_EQ(row != nullptr ? DataRowValues(*row).at(0) : SqlstateOf(answer), last);
    client.socket().Close();
  };
  {
    SCOPED_TRACE("prepared before");
    early.Exchange(Bind("", "s") + Execute("") + Sync());
    reads_back(early);
  }
  const std::string run = Bind("", "") + Execute("") + Sync();
  const std::vector<std::string> ways[] = {
      {Query(text)},
      {Query("SELECT 1; " + text)},
      {Query("BEGIN"), Query("SELECT setval('own_numbers', 100)"), Query("COMMIT")},
      {Parse("", text) + run},
      {Parse("", text) + Sync(), run},
      {Parse("s", text) + Bind("", "s") + Execute("") + Sync()},
      {Parse("s", text) + Sync(), Bind("", "s") + Execute("") + Sync()},
      {Parse("s", text) + Sync(), Query("EXECUTE s")},
      {Query("PREPARE s AS " + text), Query("EXECUTE s")},
      {Query("DO $$ BEGIN PERFORM nextval('own_numbers'); END $$")},
      {Query("INSERT INTO numbered (x) VALUES ('a')")},
      {Parse("", "INSERT INTO numbered (x) VALUES ('b')") + run},
      {Parse("s", "INSERT INTO numbered (x) VALUES ('c')") + Sync(),
       Bind("", "s") + Execute("") + Sync()},
      {Query("WITH made AS (INSERT INTO numbered (x) VALUES ('d') RETURNING n) TABLE made")},
  };
  for (const std::vector<std::string>& way : ways) {
    SCOPED_TRACE(way.front());
    RawClient client = trireme.LoggedIn();
    for (const std::string& step : way) EXPECT_EQ(FindType(client.Exchange(step), 'E'), nullptr);
    reads_back(client);
  }
}

TEST_P(SessionState, SessionAuthorizationKeepsItsServer) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  const LoginRequest superuser{.user = "postgres", .more = {}};
  RawClient client = trireme.LoggedIn(superuser), other = trireme.LoggedIn(superuser);
  client.Ask("SET SESSION AUTHORIZATION pg_monitor");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.Value("SELECT session_user"), "pg_monitor");
  }
  client.Ask("SET work_mem = '5MB'");  // what else is set leaves it alone
  EXPECT_EQ(client.Value("SELECT session_user"), "pg_monitor");
  client.Ask("RESET SESSION AUTHORIZATION");
  EXPECT_EQ(other.Value("SELECT session_user"), "postgres");
  client.Ask("SET SESSION AUTHORIZATION pg_monitor");
  client.socket().Close();
  EXPECT_EQ(other.Value("SELECT session_user"), "postgres");
}

TEST_P(SessionState, ARouteMayRefuseWhatCannotMove) {
  TriremeOptions options = Options();
  options.size = 1;
  options.pool = {{"on_session_state", "reject"}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  for (const char* text : {"LISTEN x", "CREATE TEMP TABLE mine (a int)", "PREPARE p AS SELECT 1",
                           "SELECT pg_advisory_lock(1)", "SELECT 1; LISTEN x"}) {
    EXPECT_EQ(SqlstateOf(client.Ask(text)), "0A000") << text;
    EXPECT_EQ(SqlstateOf(client.Exchange(Parse("", text) + Bind("", "") + Execute("") + Sync())),
              "0A000")
        << text;
    EXPECT_EQ(SqlstateOf(client.Exchange(Parse("s", text) + Sync())), "0A000") << text;
  }
  EXPECT_EQ(client.Value("SELECT 1"), "1");
  // Refused within a transaction, it has failed.
  client.Ask("BEGIN");
  EXPECT_EQ(SqlstateOf(client.Ask("LISTEN x")), "0A000");
  EXPECT_EQ(SqlstateOf(client.Ask("SELECT 1")), "25P02");
  client.Ask("ROLLBACK");
  client.Ask("SET work_mem = '5MB'");
  EXPECT_EQ(client.Value("SHOW work_mem"), "5MB");
}

TEST_P(SessionState, ARouteMayLetItThrough) {
  TriremeOptions options = Options();
  options.size = 1;
  options.pool = {{"on_session_state", "allow"}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Ask("CREATE TEMP TABLE mine (a int)");
  EXPECT_EQ(other.Value("SELECT count(*) FROM mine"), "0");
}

TEST_P(SessionState, AListenerIsWokenWhileItIsIdle) {
  Trireme trireme(Two());
  RawClient listener = trireme.LoggedIn(), other = trireme.LoggedIn();
  listener.Ask("LISTEN news");
  other.Ask("NOTIFY news, 'hear'");
  EXPECT_EQ(listener.Read().type, 'A');
}

TEST_P(SessionState, StatementsOfTheProtocolAreDeallocatedBySql) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Exchange(Parse("s", "SELECT 1") + Sync());
  other.Exchange(Parse("o", "SELECT 1") + Sync());
  EXPECT_EQ(Types(client.Ask("DEALLOCATE s")), "CZ");
  EXPECT_EQ(SqlstateOf(client.Exchange(Bind("", "s") + Execute("") + Sync())), "26000");
  EXPECT_EQ(SqlstateOf(client.Ask("DEALLOCATE s")), "26000");
  client.Exchange(Parse("s", "SELECT 2") + Sync());
  for (const char* outcome : {"12CZ", "E26000"}) {  // by the extended protocol
    const std::string asked = Parse("", "DEALLOCATE s") + Bind("", "") + Execute("") + Sync();
    const std::vector<Message> answer = client.Exchange(asked);
    if (outcome[0] == 'E') {
      EXPECT_EQ(SqlstateOf(answer), outcome + 1);
    } else {
      EXPECT_EQ(Types(answer), outcome);
    }
  }
  EXPECT_EQ(SqlstateOf(client.Exchange(Bind("", "s") + Execute("") + Sync())), "26000");
  EXPECT_EQ(Types(other.Exchange(Bind("", "o") + Execute("") + Sync())), "2DCZ");
  EXPECT_EQ(Types(client.Ask("DEALLOCATE ALL")), "CZ");
  EXPECT_EQ(Types(other.Exchange(Bind("", "o") + Execute("") + Sync())), "2DCZ");
}

}  // namespace
}  // namespace trireme::e2e
