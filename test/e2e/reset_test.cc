// SPDX-License-Identifier: GPL-3.0-or-later
//
// What is asked of a server besides what clients ask, against a real PostgreSQL: the reset query
// after a client, the check query before one, the connect query before the first, the BEGIN that a
// client was told before the server was.
#include <gtest/gtest.h>

#include "rig/patience.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

constexpr const char* kKeepStatements =
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; "
    "SELECT pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES";

std::string PidOf(RawClient& client) { return client.Value("SELECT pg_backend_pid()"); }

std::string SqlstateOf(const std::vector<Message>& answer) {
  const Message* error = FindType(answer, 'E');
  return error != nullptr ? ErrorField(*error, 'C') : "no error: " + Types(answer);
}

// Of the ReadyForQuery at the end.
std::string StatusOf(const std::vector<Message>& answer) { return answer.back().body; }

std::string TagOf(const std::vector<Message>& answer) {
  const Message* complete = FindType(answer, 'C');
  return complete != nullptr ? complete->body.substr(0, complete->body.find('\0')) : "";
}

// What the only backend of user app did last.
std::string LastQuery() {
  return Postgres::Shared().Value(
      "SELECT coalesce(min(query), '') FROM pg_stat_activity WHERE usename = 'app'");
}

class Reset : public OnShards {
 protected:
  TriremeOptions One(const std::string& mode, const Json& pool) const {
    return {.cores = GetParam(), .mode = mode, .size = 1, .pool = pool};
  }
  void TearDown() override { Postgres::Shared().EndAllOthers(); }
};
ON_1_2_4_SHARDS(Reset);

TEST_P(Reset, NobodyOfSessionModeMeetsWhatOthersHaveLeft) {
  for (const char* policy : {"session", "when_dirty", "always"}) {
    Trireme trireme(One("session", {{"reset", policy}}));
    std::string pid;
    {
      RawClient client = trireme.LoggedIn();
      pid = PidOf(client);
      client.Ask("SET work_mem = '7MB'");
      client.Ask("LISTEN news");
      client.Ask("SELECT pg_advisory_lock(1)");
      client.Exchange(Parse("mine", "SELECT 1") + Sync());
      client.Ask("CREATE TEMP TABLE mine (a int)");
    }
    RawClient other = trireme.LoggedIn();
    EXPECT_EQ(PidOf(other), pid) << policy;
    EXPECT_EQ(other.Value("SHOW work_mem"), "4MB") << policy;
    EXPECT_EQ(other.Value("SELECT count(*) FROM pg_listening_channels()"), "0") << policy;
    EXPECT_EQ(other.Value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    EXPECT_EQ(other.Value("SELECT count(*) FROM pg_prepared_statements"), "0") << policy;
    EXPECT_EQ(SqlstateOf(other.Ask("SELECT * FROM mine")), "42P01") << policy;
  }
}

TEST_P(Reset, EachOfThoseIsEnough) {
  Trireme trireme(One("session", {{"reset", "when_dirty"}}));
  const std::pair<std::string, std::string> cases[] = {
      {Query("SET work_mem = '7MB'"), "SELECT current_setting('work_mem') <> '4MB'"},
      {Query("SELECT set_config('work_mem', '7MB', false)"),
       "SELECT current_setting('work_mem') <> '4MB'"},
      {Query("DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$"),
       "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'"},
      {Query("SELECT pg_advisory_lock(1)"),
       "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'"},
      {Parse("", "LISTEN news") + Bind("", "") + Execute("") + Sync(),
       "SELECT count(*) > 0 FROM pg_listening_channels()"},
      {Parse("mine", "SELECT 1") + Sync(), "SELECT count(*) > 0 FROM pg_prepared_statements"},
      {Query("PREPARE mine AS SELECT 1"), "SELECT count(*) > 0 FROM pg_prepared_statements"},
      {Query("CREATE TEMP TABLE mine (a int)"), "SELECT to_regclass('mine') IS NOT NULL"},
      {Query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT"),
       "SELECT count(*) > 0 FROM pg_cursors"},
  };
  for (const auto& [asked, left] : cases) {
    trireme.LoggedIn().Exchange(asked);
    EXPECT_EQ(trireme.LoggedIn().Value(left), "f") << left;
  }
}

TEST_P(Reset, AClientOfSessionModeThatLeavesNothingNeedsNone) {
  Trireme trireme(One("session", {{"reset", "when_dirty"}}));
  {
    RawClient client = trireme.LoggedIn();
    client.Ask("CREATE TABLE counted (n serial)");
    client.Ask("INSERT INTO counted DEFAULT VALUES");
    client.Exchange(Parse("", "SELECT 'the last'") + Bind("", "") + Execute("") + Sync());
  }
  EXPECT_TRUE(Eventually([&] {
    const auto servers = trireme.Show("SERVERS");
    return servers.size() == 1 && servers[0].at("state") == "idle";
  }));
  EXPECT_EQ(LastQuery(), "SELECT 'the last'");
  RawClient other = trireme.LoggedIn();
  EXPECT_EQ(SqlstateOf(other.Ask("SELECT lastval()")), "55000");
  other.Ask("DROP TABLE counted");
}

TEST_P(Reset, RunsAfterEachTransactionWhereItIsWanted) {
  Trireme trireme(One("transaction", {{"reset", "always"}}));
  RawClient client = trireme.LoggedIn();
  client.Exchange(Parse("mine", "SELECT 1") + Sync());
  client.Ask("SET work_mem = '7MB'");
  EXPECT_TRUE(Eventually([] { return LastQuery() == "DISCARD ALL"; }));
  EXPECT_EQ(client.Value("SHOW work_mem"), "7MB");  // the client's own, nevertheless
  EXPECT_EQ(Types(client.Exchange(Bind("", "mine") + Execute("") + Sync())), "2DCZ");
  EXPECT_TRUE(Eventually([] { return LastQuery() == "DISCARD ALL"; }));
}

TEST_P(Reset, MayKeepThePreparedStatements) {
  Trireme trireme(One("transaction", {{"reset", "always"}, {"reset_query", kKeepStatements}}));
  RawClient client = trireme.LoggedIn();
  client.Exchange(Parse("mine", "SELECT 1") + Bind("", "mine") + Execute("") + Sync());
  client.Exchange(Bind("", "mine") + Execute("") + Sync());
  client.Ask("SET work_mem = '7MB'");
  RawClient other = trireme.LoggedIn();
  EXPECT_EQ(other.Value("SELECT count(*) FROM pg_prepared_statements"), "1");
  EXPECT_EQ(other.Value("SHOW work_mem"), "4MB");
  EXPECT_EQ(client.Value("SHOW work_mem"), "7MB");
}

TEST_P(Reset, AClientThatHasGoneInItsTransactionIsOnlyRolledBack) {
  Trireme trireme(One("transaction", {{"reset", "when_dirty"}}));
  {
    RawClient client = trireme.LoggedIn();
    client.Ask("BEGIN");
    client.Ask("CREATE TABLE gone (n int)");
  }
  EXPECT_TRUE(Eventually([] { return LastQuery() == "ROLLBACK"; }));
  RawClient other = trireme.LoggedIn();
  EXPECT_EQ(SqlstateOf(other.Ask("SELECT * FROM gone")), "42P01");
}

TEST_P(Reset, WithoutARollbackTheServerIsReplaced) {
  Trireme trireme(One("transaction", {{"rollback_on_disconnect", false}}));
  std::string pid;
  {
    RawClient client = trireme.LoggedIn();
    client.Ask("BEGIN");
    client.Ask("CREATE TABLE gone (n int)");
    pid = PidOf(client);
  }
  RawClient other = trireme.LoggedIn();
  EXPECT_NE(PidOf(other), pid);
  EXPECT_EQ(SqlstateOf(other.Ask("SELECT * FROM gone")), "42P01");
}

TEST_P(Reset, WithoutACancelTheServerIsReplacedAndTheQueryEndsByItself) {
  Trireme trireme(One("transaction", {{"cancel_on_disconnect", false}}));
  std::string pid;
  {
    RawClient client = trireme.LoggedIn();
    pid = PidOf(client);
    client.Send(Query("CREATE TABLE not_cancelled AS SELECT 1 AS n FROM pg_sleep(2)"));
    ASSERT_TRUE(Eventually([] {
      return Postgres::Shared().Count("state = 'active' AND query LIKE 'CREATE%pg_sleep(2)'") == 1;
    }));
    client.socket().Reset();
  }
  RawClient other = trireme.LoggedIn();
  EXPECT_NE(PidOf(other), pid);
  EXPECT_TRUE(Eventually([&] { return Postgres::Shared().Count("pid = " + pid) == 0; }));
  EXPECT_EQ(Types(other.Ask("DROP TABLE not_cancelled")), "CZ");
}

// --- check and connect ---------------------------------------------------------------------------

// A table of user app, and what is in it.
class Tally {
 public:
  explicit Tally(Trireme& trireme) : client_(trireme.LoggedIn()) {
    client_.Ask("CREATE TABLE tally (at timestamptz DEFAULT clock_timestamp())");
  }
  ~Tally() { client_.Ask("DROP TABLE tally"); }
  int count() { return std::stoi(client_.Value("SELECT count(*) FROM tally")); }

 private:
  RawClient client_;
};

constexpr const char* kCount = "INSERT INTO tally DEFAULT VALUES";

TEST_P(Reset, AServerIsCheckedBeforeItIsLentOnlyWhenItWasIdleForLong) {
  Trireme plain(One("transaction", Json::object()));
  Tally tally(plain);
  {
    Trireme trireme(One("transaction", {{"check_query", kCount}, {"check_delay", "1h"}}));
    RawClient client = trireme.LoggedIn();
    for (int i = 0; i < 5; ++i) client.Value("SELECT 1");
    EXPECT_EQ(tally.count(), 0);
  }
  Trireme trireme(One("transaction", {{"check_query", kCount}, {"check_delay", "0"}}));
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.Value("SELECT 1"), "1");
  EXPECT_GE(tally.count(), 4);
  EXPECT_LE(tally.count(), 5);
}

TEST_P(Reset, AServerWhoseCheckFailsIsReplaced) {
  Trireme plain(One("transaction", Json::object()));
  Tally tally(plain);
  RawClient sick = plain.LoggedIn();
  Trireme trireme(One("transaction", {{"check_query", "SELECT 1 / (1 - count(*)) FROM tally"},
                                      {"check_delay", "0"}}));
  RawClient client = trireme.LoggedIn();
  const std::string pid = PidOf(client);
  EXPECT_EQ(PidOf(client), pid);
  sick.Ask(kCount);
  EXPECT_NE(PidOf(client), pid);
}

TEST_P(Reset, TheConnectQueryRunsOnceBeforeTheFirstClient) {
  Trireme plain(One("transaction", Json::object()));
  Tally tally(plain);
  const std::string query = std::string("SET TimeZone = 'Asia/Tokyo'; ") + kCount;
  Trireme trireme(One("transaction", {{"connect_query", query}}));
  RawClient client = trireme.LoggedIn();
  EXPECT_EQ(client.parameters().at("TimeZone"), "Asia/Tokyo");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Value("SHOW TimeZone"), "Asia/Tokyo");
  EXPECT_EQ(tally.count(), 1);
  client.Ask("SET TimeZone = 'UTC'");
  EXPECT_EQ(trireme.LoggedIn().Value("SHOW TimeZone"), "Asia/Tokyo");
}

TEST_P(Reset, AConnectQueryThatFailsIsAFailedConnection) {
  Trireme trireme(One("transaction", {{"connect_query", "SELECT no_such_thing()"}}));
  const Message error = FirstErrorOf(trireme.Raw());
  EXPECT_EQ(ErrorField(error, 'C'), "42883");
  EXPECT_NE(ErrorField(error, 'M').find("connect_query"), std::string::npos);
  EXPECT_TRUE(Eventually([] { return Postgres::Shared().Count("usename = 'app'") == 0; }));
}

// --- deferred BEGIN ------------------------------------------------------------------------------

class Begin : public OnShards {
 protected:
  TriremeOptions One() const {
    return {
        .cores = GetParam(), .mode = "transaction", .size = 1, .pool = {{"deferred_begin", true}}};
  }
};
ON_1_2_4_SHARDS(Begin);

TEST_P(Begin, NeedsNoServerUntilSomethingIsAsked) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn(), holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  holder.Ask("SELECT 1");  // has the only server
  const std::vector<Message> begun = client.Ask("BEGIN");
  EXPECT_EQ(TagOf(begun), "BEGIN");
  EXPECT_EQ(StatusOf(begun), "T");
  const std::vector<Message> ended = client.Ask("COMMIT");
  EXPECT_EQ(TagOf(ended), "COMMIT");
  EXPECT_EQ(StatusOf(ended), "I");
  EXPECT_EQ(TagOf(client.Ask("START TRANSACTION")), "START TRANSACTION");
  client.Send(Query("SELECT 2"));
  holder.Ask("COMMIT");
  EXPECT_EQ(StatusOf(client.ReadUntilReady()), "T");
  EXPECT_EQ(TagOf(client.Ask("ROLLBACK")), "ROLLBACK");
}

TEST_P(Begin, IsATransaction) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Ask("CREATE TABLE begun (n int)");
  client.Ask("BEGIN");
  EXPECT_EQ(StatusOf(client.Ask("INSERT INTO begun VALUES (1)")), "T");
  client.Ask("ROLLBACK");
  EXPECT_EQ(other.Value("SELECT count(*) FROM begun"), "0");
  client.Ask("BEGIN");
  client.Ask("INSERT INTO begun VALUES (1)");
  client.Ask("COMMIT");
  EXPECT_EQ(other.Value("SELECT count(*) FROM begun"), "1");
  client.Send(Query("BEGIN") + Query("INSERT INTO begun VALUES (2)") + Query("ROLLBACK"));
  EXPECT_EQ(StatusOf(client.ReadUntilReady()), "T");
  EXPECT_EQ(StatusOf(client.ReadUntilReady()), "T");
  EXPECT_EQ(StatusOf(client.ReadUntilReady()), "I");
  EXPECT_EQ(other.Value("SELECT count(*) FROM begun"), "1");
  other.Ask("DROP TABLE begun");
}

TEST_P(Begin, FailsAsItsStatementFails) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn();
  client.Ask("BEGIN");
  const std::vector<Message> failed = client.Ask("SELECT 1/0");
  EXPECT_EQ(SqlstateOf(failed), "22012");
  EXPECT_EQ(StatusOf(failed), "E");
  EXPECT_EQ(SqlstateOf(client.Ask("SELECT 1")), "25P02");
  EXPECT_EQ(TagOf(client.Ask("COMMIT")), "ROLLBACK");
  EXPECT_EQ(client.Value("SELECT 2"), "2");
}

TEST_P(Begin, IsFollowedByTheExtendedProtocolToo) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Exchange(Parse("mine", "SELECT 1") + Sync());
  other.Ask("SELECT 1");
  client.Ask("BEGIN");
  EXPECT_EQ(StatusOf(client.Exchange(Sync())), "T");
  const std::vector<Message> answer = client.Exchange(Bind("", "mine") + Execute("") + Sync());
  EXPECT_EQ(Types(answer), "2DCZ");
  EXPECT_EQ(StatusOf(answer), "T");
  client.Exchange(Parse("", "COMMIT") + Bind("", "") + Execute("") + Sync());
  EXPECT_EQ(other.Value("SELECT 1"), "1");
}

TEST_P(Begin, UndoesTheSettingsOfATransactionThatIsRolledBack) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  client.Ask("BEGIN");
  client.Ask("SET work_mem = '7MB'");
  client.Ask("ROLLBACK");
  other.Ask("SELECT 1");
  EXPECT_EQ(client.Value("SHOW work_mem"), "4MB");
  client.Ask("BEGIN");
  client.Ask("SET work_mem = '7MB'");
  client.Ask("COMMIT");
  other.Ask("SELECT 1");
  EXPECT_EQ(client.Value("SHOW work_mem"), "7MB");
}

TEST_P(Begin, KeepsTheModesOfOneThatHasSome) {
  Trireme trireme(One());
  RawClient client = trireme.LoggedIn();
  client.Ask("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
  EXPECT_EQ(client.Value("SHOW transaction_isolation"), "serializable");
  EXPECT_EQ(client.Value("SHOW transaction_read_only"), "on");
  client.Ask("COMMIT");
}

TEST_P(Begin, HasFailedWhenItsStatementWasCancelledInTheQueue) {
  Trireme trireme(One());
  RawClient holder = trireme.LoggedIn(), client = trireme.LoggedIn();
  holder.Ask("BEGIN");
  holder.Ask("SELECT 1");
  client.Ask("BEGIN");
  client.Send(Query("SELECT 2"));
  ASSERT_TRUE(Eventually([&] {
    for (const auto& row : trireme.Show("POOLS")) {
      if (row.at("cl_waiting") == "1") return true;
    }
    return false;
  }));
  RawClient canceller = trireme.Raw();
  canceller.Send(CancelRequest(client.backend_pid(), client.cancel_key()));
  canceller.ReadUntilClosed();
  const std::vector<Message> cancelled = client.ReadUntilReady();
  EXPECT_EQ(SqlstateOf(cancelled), "57014");
  EXPECT_EQ(StatusOf(cancelled), "E");
  holder.Ask("COMMIT");
  const std::vector<Message> refused = client.Ask("SELECT 3");
  EXPECT_EQ(SqlstateOf(refused), "25P02");
  EXPECT_EQ(StatusOf(refused), "E");
  EXPECT_EQ(StatusOf(client.Ask("ROLLBACK")), "I");
  EXPECT_EQ(client.Value("SELECT 4"), "4");
}

}  // namespace
}  // namespace trireme::e2e
