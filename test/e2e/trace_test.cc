// SPDX-License-Identifier: GPL-3.0-or-later
//
// Leave no trace: a client may vanish in any state, by Terminate, FIN or RST. The server it held is
// cleaned or dropped, its query ends in PostgreSQL too, and the next client on a pool of one sees
// nothing of it.
#include <gtest/gtest.h>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

enum class Exit { kTerminate, kFin, kReset };

void Leave(RawClient& client, Exit how) {
  switch (how) {
    case Exit::kTerminate:
      client.socket().TrySend(Terminate());
      client.socket().Close();
      return;
    case Exit::kFin:
      client.socket().Close();
      return;
    case Exit::kReset:
      client.socket().Reset();
      return;
  }
}

struct State {
  const char* name;
  void (*enter)(RawClient& client);
};

void Login(RawClient& client) { client.Login(); }
std::string Startup() { return StartupPacket({{"user", "app"}, {"database", "app"}}); }

const State kStates[] = {
    {"Connected", [](RawClient&) {}},
    {"InTheStartupPacket", [](RawClient& client) { client.Send(Startup().substr(0, 11)); }},
    {"StartupSent", [](RawClient& client) { client.Send(Startup()); }},
    {"AfterSslRequest", [](RawClient& client) { client.Send(SslRequest()); }},
    {"Idle", [](RawClient& client) { Login(client); }},
    {"IdleAfterAQuery",
     [](RawClient& client) {
       Login(client);
       client.Value("SELECT 1");
     }},
    {"InAMessageHeader",
     [](RawClient& client) {
       Login(client);
       client.Send(Query("SELECT 1").substr(0, 3));
     }},
    {"InAMessageBody",
     [](RawClient& client) {
       Login(client);
       client.Send(Query("SELECT 1").substr(0, 9));
     }},
    {"InALargeMessage",
     [](RawClient& client) {
       Login(client);
       client.Send(Query("SELECT '" + std::string(1 << 20, 'x') + "'").substr(0, 700000));
     }},
    {"InAQuery",
     [](RawClient& client) {
       Login(client);
       client.Send(Query("SELECT pg_sleep(60)"));
       Eventually([] { return Postgres::Shared().Count("query LIKE '%pg_sleep(60)%'") == 1; });
     }},
    {"InALargeResult",
     [](RawClient& client) {
       Login(client);
       client.Send(Query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"));
       client.Read();
     }},
    {"InATransaction",
     [](RawClient& client) {
       Login(client);
       client.Ask("BEGIN");
       client.Ask("CREATE TABLE trace_left (n int)");
     }},
    {"InAFailedTransaction",
     [](RawClient& client) {
       Login(client);
       client.Ask("BEGIN");
       client.Ask("SELECT 1/0");
     }},
    {"InAQueryInATransaction",
     [](RawClient& client) {
       Login(client);
       client.Ask("BEGIN");
       client.Send(Query("SELECT pg_sleep(60)"));
       Eventually([] { return Postgres::Shared().Count("query LIKE '%pg_sleep(60)%'") == 1; });
     }},
    {"AfterParseWithoutSync",
     [](RawClient& client) {
       Login(client);
       client.Send(Parse("", "SELECT 1") + Flush());
       client.Read();
     }},
    {"InTheMiddleOfABind",
     [](RawClient& client) {
       Login(client);
       client.Send(Parse("", "SELECT $1::text") + Bind("", "", {"value"}).substr(0, 10));
     }},
    {"WithASuspendedPortal",
     [](RawClient& client) {
       Login(client);
       client.Send(Parse("", "SELECT generate_series(1,9)") + Bind("", "") + Execute("", 2) +
                   Flush());
       client.ReadUntil('s');
     }},
    {"AfterAnExtendedErrorWithoutSync",
     [](RawClient& client) {
       Login(client);
       client.Send(Parse("", "SELEC") + Flush());
       client.Read();
     }},
    {"WithAPipelineOfQueriesUnread",
     [](RawClient& client) {
       Login(client);
       std::string bytes;
       for (int i = 0; i < 200; ++i) bytes += Query("SELECT repeat('x', 10000)");
       client.Send(bytes);
     }},
    {"InCopyIn",
     [](RawClient& client) {
       Login(client);
       client.Ask("CREATE TABLE IF NOT EXISTS trace_copy (n int)");
       client.Send(Query("COPY trace_copy FROM STDIN"));
       client.Read();
       client.Send(CopyData("1\n"));
     }},
    {"InTheMiddleOfCopyData",
     [](RawClient& client) {
       Login(client);
       client.Ask("CREATE TABLE IF NOT EXISTS trace_copy (n int)");
       client.Send(Query("COPY trace_copy FROM STDIN"));
       client.Read();
       client.Send(CopyData("123456789\n").substr(0, 8));
     }},
    {"InCopyOut",
     [](RawClient& client) {
       Login(client);
       client.Send(
           Query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"));
       client.Read();
     }},
};

struct Departure {
  State state;
  Exit exit;
};
std::vector<Departure> Departures() {
  std::vector<Departure> all;
  for (const State& state : kStates) {
    for (const Exit exit : {Exit::kTerminate, Exit::kFin, Exit::kReset})
      all.push_back({state, exit});
  }
  return all;
}
std::string DepartureName(const ::testing::TestParamInfo<Departure>& instance) {
  constexpr const char* kExits[] = {"Terminate", "Fin", "Reset"};
  return instance.param.state.name + std::string("By") +
         kExits[static_cast<int>(instance.param.exit)];
}

class ClientLeaves : public ::testing::TestWithParam<Departure> {};
INSTANTIATE_TEST_SUITE_P(Trace, ClientLeaves, ::testing::ValuesIn(Departures()), DepartureName);

TEST_P(ClientLeaves, AndTheNextOneFindsACleanServer) {
  Trireme trireme({.size = 1, .pool = {{"reset_timeout", "3s"}}});
  {
    RawClient client = trireme.Raw();
    GetParam().state.enter(client);
    Leave(client, GetParam().exit);
  }
  RawClient next = trireme.LoggedIn();
  EXPECT_EQ(Types(next.Ask("SELECT 'clean'")), "TDCZ");
  EXPECT_EQ(next.Value("SELECT to_regclass('trace_left') IS NULL"), "t");
  EXPECT_EQ(next.Value("SELECT count(*) FROM pg_cursors"), "0");
  EXPECT_EQ(next.Ask("SELECT 1").back().body, "I");
  EXPECT_TRUE(Eventually([] { return Postgres::Shared().Count("usename = 'app'") <= 1; }));
  next.Ask("DROP TABLE IF EXISTS trace_copy");
}

class ClientVanishes : public ::testing::TestWithParam<State> {};
INSTANTIATE_TEST_SUITE_P(Trace, ClientVanishes, ::testing::ValuesIn(kStates),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(ClientVanishes, AndItsWorkEndsInPostgresToo) {
  SKIP_AGAINST_PGBOUNCER("leaves it running");
  Trireme trireme({.size = 1, .pool = {{"reset_timeout", "3s"}}});
  {
    RawClient client = trireme.Raw();
    GetParam().enter(client);
    Leave(client, Exit::kReset);
  }
  EXPECT_TRUE(Eventually(
      [] { return Postgres::Shared().Count("usename = 'app' AND state <> 'idle'") == 0; }));
}

// ---- with other things around it

class Trace : public OnShards {};
ON_1_2_4_SHARDS(Trace);

TEST_P(Trace, AWaitingClientThatLeavesGivesUpItsPlace) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  {
    std::vector<RawClient> leaving;
    for (int i = 0; i < 12; ++i) {
      leaving.push_back(trireme.LoggedIn());
      leaving.back().Send(Query("INSERT INTO nowhere VALUES (1)"));
    }
    for (size_t i = 0; i < leaving.size(); ++i) Leave(leaving[i], static_cast<Exit>(i % 3));
  }
  EXPECT_TRUE(Eventually([&] { return trireme.Show("POOLS").at(0).at("cl_waiting") == "0"; }));
  ASSERT_TRUE(holder.Ask("COMMIT").ok);
  EXPECT_EQ(holder.Value("SELECT 1"), "1");
}

TEST_P(Trace, ManyClientsLeavingAtOnceLeaveNothing) {
  TriremeOptions options = Options();
  options.size = 4;
  options.pool = {{"reset_timeout", "3s"}};
  Trireme trireme(options);
  for (int round = 0; round < 5; ++round) {
    std::vector<RawClient> clients;
    for (int i = 0; i < 32; ++i) {
      clients.push_back(trireme.LoggedIn());
      clients.back().Send(
          Query(i % 2 == 0 ? "BEGIN; SELECT pg_sleep(30)" : "SELECT repeat('x', 300000)"));
    }
    for (size_t i = 0; i < clients.size(); ++i) Leave(clients[i], static_cast<Exit>(i % 3));
  }
  RawClient next = trireme.LoggedIn();
  EXPECT_EQ(next.Value("SELECT 'served'"), "served");
  EXPECT_TRUE(Eventually([] { return Postgres::Shared().Count("usename = 'app'") <= 4; }));
}

struct Residue {
  const char* name;
  const char* leave;
  const char* look;
  const char* clean;
};
class SessionResidue : public ::testing::TestWithParam<Residue> {};
INSTANTIATE_TEST_SUITE_P(
    Trace, SessionResidue,
    ::testing::Values(
        Residue{"TemporaryTable", "CREATE TEMP TABLE mine (n int)",
                "SELECT to_regclass('pg_temp.mine') IS NULL", "t"},
        Residue{"Setting", "SET work_mem = '123MB'", "SELECT current_setting('work_mem') = '123MB'",
                "f"},
        Residue{"ReportedSetting", "SET TimeZone = 'Asia/Tokyo'",
                "SELECT current_setting('TimeZone') = 'Asia/Tokyo'", "f"},
        Residue{"SearchPath", "SET search_path = pg_catalog",
                "SELECT current_setting('search_path') = 'pg_catalog'", "f"},
        Residue{"AdvisoryLock", "SELECT pg_advisory_lock(7)",
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0"},
        Residue{"PreparedStatement", "PREPARE mine AS SELECT 1",
                "SELECT count(*) FROM pg_prepared_statements", "0"},
        Residue{"Listening", "LISTEN mine", "SELECT count(*) FROM pg_listening_channels()", "0"},
        Residue{"CursorWithHold", "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT",
                "SELECT count(*) FROM pg_cursors", "0"},
        Residue{"OpenTransaction", "BEGIN; CREATE TABLE mine (n int)",
                "SELECT to_regclass('mine') IS NULL", "t"}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(SessionResidue, IsGoneForTheNextClientOfASessionPool) {
  for (const Exit exit : {Exit::kTerminate, Exit::kReset}) {
    Trireme trireme({.mode = "session", .size = 1});
    RawClient client = trireme.LoggedIn();
    client.Ask(GetParam().leave);
    Leave(client, exit);
    EXPECT_EQ(trireme.LoggedIn().Value(GetParam().look), GetParam().clean);
  }
}

TEST(TraceReset, AResetQueryThatFailsDropsTheServerNotTheNextClient) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  Trireme trireme({.mode = "session", .size = 1, .pool = {{"reset_query", "SELECT 1/0"}}});
  std::string backend;
  {
    RawClient client = trireme.LoggedIn();
    backend = client.Value("SELECT pg_backend_pid()");
  }
  EXPECT_NE(trireme.LoggedIn().Value("SELECT pg_backend_pid()"), backend);
}

TEST(TraceReset, AResetThatDoesNotSettleInTimeDropsTheServer) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  Trireme trireme({.mode = "session",
                   .size = 1,
                   .pool = {{"reset_query", "SELECT pg_sleep(60)"}, {"reset_timeout", "300ms"}}});
  std::string backend;
  {
    RawClient client = trireme.LoggedIn();
    backend = client.Value("SELECT pg_backend_pid()");
  }
  EXPECT_NE(trireme.LoggedIn().Value("SELECT pg_backend_pid()"), backend);
}

}  // namespace
}  // namespace trireme::e2e
