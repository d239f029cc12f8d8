// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every limit on time and number, as an application meets it: the SQLSTATE, the words, and that the
// server behind survives. PostgreSQL's own pg_stat_activity, asked past the daemon, is the witness.
#include <gtest/gtest.h>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

constexpr char kBackend[] = "SELECT pg_backend_pid()";

int ServersOf(const std::string& user) {
  return Postgres::Shared().Count("usename = '" + user + "'");
}
int ServersIn(const std::string& database) {
  return Postgres::Shared().Count("datname = '" + database + "' AND usename LIKE 'app%'");
}
int Running(const std::string& query) {
  return Postgres::Shared().Count("state = 'active' AND query = '" + query + "'");
}

class Limits : public OnShards {
 protected:
  void SetUp() override { SKIP_AGAINST_PGBOUNCER("no codes of its own, and no cancel"); }

  TriremeOptions With(int size, const Json& pool = Json::object(),
                      const Json& patch = Json::object()) const {
    TriremeOptions options = Options();
    options.size = size;
    options.pool = pool;
    options.patch = patch;
    return options;
  }
};
ON_1_2_4_SHARDS(Limits);

std::string FieldOf(const std::vector<Message>& messages, char type, char field) {
  for (const Message& message : messages) {
    if (message.type == type) return ErrorField(message, field);
  }
  return "";
}

// ---- time

TEST_P(Limits, AQueryIsCancelledAndTheConnectionGoesOn) {
  Trireme trireme(With(1, {{"query_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::string backend = client.Value(kBackend);
  const std::vector<Message> answer = client.Ask("SELECT pg_sleep(30)");
  EXPECT_EQ(FieldOf(answer, 'E', 'S'), "ERROR");
  EXPECT_EQ(FieldOf(answer, 'E', 'C'), "57014");
  EXPECT_EQ(FieldOf(answer, 'E', 'M'), "canceling statement due to query timeout");
  EXPECT_NE(FieldOf(answer, 'E', 'D').find("query_timeout"), std::string::npos);
  EXPECT_EQ(client.Value(kBackend), backend);
}

TEST_P(Limits, AQueryOfTheExtendedProtocolIsCancelledWithinItsTransaction) {
  Trireme trireme(With(1, {{"query_timeout", "300ms"}}));
  Connection client(trireme.As("app"));
  ASSERT_TRUE(client.Ask("BEGIN").ok);
  EXPECT_EQ(client.AskExtended("SELECT pg_sleep($1::float8)", {"30"}).sqlstate, "57014");
  EXPECT_EQ(client.Ask("SELECT 1").sqlstate, "25P02");
  EXPECT_TRUE(client.Ask("ROLLBACK").ok);
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST_P(Limits, ShortQueriesGoOnForLongerThanTheQueryTimeout) {
  Trireme trireme(With(1, {{"query_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const auto end = Clock::now() + milliseconds(900);
  while (Clock::now() < end) EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST_P(Limits, AClientThatStallsItsCopyIsEndedAfterTheCancel) {
  Trireme trireme(With(1, {{"query_timeout", "200ms"}}, {{"timeouts", {{"cancel", "200ms"}}}}));
  RawClient client = trireme.LoggedIn();
  client.Ask("CREATE TEMP TABLE stalled (n int)");
  client.Send(Query("COPY stalled FROM STDIN"));
  client.ReadUntil('G');
  const std::vector<Message> farewell = client.ReadUntilClosed();
  EXPECT_EQ(FieldOf(farewell, 'E', 'S'), "FATAL");
  EXPECT_EQ(FieldOf(farewell, 'E', 'C'), "57014");
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 2"), "2");
}

TEST_P(Limits, AClientIdleInATransactionIsEndedAndItsServerRolledBack) {
  Trireme trireme(With(1, {{"idle_in_transaction_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::string backend = client.Value(kBackend);
  client.Ask("BEGIN");
  const std::vector<Message> farewell = client.ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'S'), "FATAL");
  EXPECT_EQ(ErrorField(farewell[0], 'C'), "25P03");
  EXPECT_NE(ErrorField(farewell[0], 'D').find("idle_in_transaction_timeout"), std::string::npos);
  EXPECT_NE(ErrorField(farewell[0], 'H'), "");
  EXPECT_EQ(trireme.LoggedIn().Value(kBackend), backend);
  EXPECT_EQ(Postgres::Shared().Count("state LIKE 'idle in tr%'"), 0);
}

TEST_P(Limits, ATransactionIsEndedEvenWhileItWorks) {
  Trireme trireme(With(1, {{"transaction_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::string backend = client.Value(kBackend);
  client.Ask("BEGIN");
  client.Send(Query("SELECT pg_sleep(31)"));
  const std::vector<Message> farewell = client.ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'S'), "FATAL");
  EXPECT_EQ(ErrorField(farewell[0], 'C'), "25P04");
  EXPECT_EQ(trireme.LoggedIn().Value(kBackend), backend);
  EXPECT_EQ(Running("SELECT pg_sleep(31)"), 0);
}

TEST_P(Limits, ManyShortTransactionsAreNotOneLongOne) {
  Trireme trireme(With(1, {{"transaction_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const auto end = Clock::now() + milliseconds(900);
  while (Clock::now() < end) {
    client.Ask("BEGIN");
    EXPECT_EQ(client.Value("SELECT 1"), "1");
    client.Ask("COMMIT");
  }
}

TEST_P(Limits, AnIdleClientIsEndedInSessionModeToo) {
  TriremeOptions options = With(1, Json::object(), {{"timeouts", {{"client_idle", "300ms"}}}});
  options.mode = "session";
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  const std::vector<Message> farewell = client.ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'C'), "57P05");
}

TEST_P(Limits, AClientThatDoesNotLogInIsEnded) {
  Trireme trireme(With(1, Json::object(), {{"timeouts", {{"client_login", "300ms"}}}}));
  const std::vector<Message> farewell = trireme.Raw().ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'S'), "FATAL");
  EXPECT_EQ(ErrorField(farewell[0], 'C'), "57014");
}

TEST_P(Limits, AUsersTimeoutsOverrideTheRoutes) {
  Trireme trireme(
      With(2, {{"query_timeout", "200ms"}, {"idle_in_transaction_timeout", "200ms"}},
           {{"users",
             {{"app_trust", {{"query_timeout", 0}, {"idle_in_transaction_timeout", "30s"}}}}}}));
  RawClient exempt = trireme.LoggedIn({.user = "app_trust"});
  exempt.Ask("BEGIN");
  EXPECT_EQ(Types(exempt.Ask("SELECT pg_sleep(0.6)")), "TDCZ");
  RawClient bound = trireme.LoggedIn();
  EXPECT_EQ(FieldOf(bound.Ask("SELECT pg_sleep(30)"), 'E', 'C'), "57014");
  exempt.Ask("COMMIT");
}

// ---- waiting

TEST_P(Limits, AWaitingClientIsToldSo) {
  Trireme trireme(With(1, {{"wait_notify", "200ms"}}));
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  RawClient waiter = trireme.LoggedIn();
  waiter.Send(Query("SELECT 1"));
  const Message notice = waiter.Read();
  ASSERT_EQ(notice.type, 'N');
  EXPECT_EQ(ErrorField(notice, 'S'), "NOTICE");
  EXPECT_NE(ErrorField(notice, 'M').find("1 of 1 servers in use, 1 client waits"),
            std::string::npos)
      << ErrorField(notice, 'M');
  holder.Ask("COMMIT");
  EXPECT_EQ(Types(waiter.ReadUntilReady()), "TDCZ");
}

TEST_P(Limits, AUsersPatienceOverridesTheRoutes) {
  Trireme trireme(With(
      1, {{"wait_timeout", "60s"}},
      {{"users", {{"app_trust", {{"wait_timeout", "200ms"}}}}},
       {"routes", {{{"storage", "main"}, {"storage_user", "app"}, {"pool", {{"size", 1}}}}}}}));
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  RawClient patient = trireme.LoggedIn();
  patient.Send(Query("SELECT 1"));
  RawClient hasty = trireme.LoggedIn({.user = "app_trust"});
  hasty.Send(Query("SELECT 1"));
  EXPECT_EQ(FieldOf(hasty.ReadUntilClosed(), 'E', 'C'), "53300");
  holder.Ask("COMMIT");
  EXPECT_EQ(Types(patient.ReadUntilReady()), "TDCZ");
}

// ---- servers

TEST_P(Limits, WarmServersAreThereBeforeTheFirstClientAndStay) {
  Trireme trireme(
      With(5, Json::object(),
           {{"routes",
             {{{"database", "app"},
               {"user", "app"},
               {"storage", "main"},
               {"pool", {{"size", 5}, {"min_size", 3}, {"idle_timeout", "100ms"}}}}}}}));
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 3; }));
  std::vector<std::unique_ptr<Connection>> rush;
  for (int i = 0; i < 5; ++i) rush.push_back(std::make_unique<Connection>(trireme.As("app")));
  for (auto& each : rush) each->Begin("SELECT pg_sleep(0.3)");
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 5; }));
  for (auto& each : rush) EXPECT_TRUE(each->Finish().ok);
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 3; }));
  EXPECT_TRUE(Throughout(milliseconds(500), [] { return ServersOf("app") == 3; }));
}

TEST_P(Limits, AWarmServerThatDiesIsReplaced) {
  Trireme trireme(With(4, {{"min_size", 2}}));
  RawClient client = trireme.LoggedIn();
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 2; }));
  const std::string old = Postgres::Shared().Value(
      "SELECT string_agg(pid::text, ',' ORDER BY pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE usename = 'app'");
  EXPECT_TRUE(Eventually([&] {
    return Postgres::Shared().Count("usename = 'app' AND pid NOT IN (" + old + ")") == 2;
  }));
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST_P(Limits, TheReserveHelpsWhoHasWaitedAndGoesAgain) {
  Trireme trireme(With(1, {{"reserve_size", 1}, {"reserve_timeout", "300ms"}}));
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  Connection second(trireme.As("app"));
  Connection third(trireme.As("app"));
  second.Begin("SELECT pg_sleep(0.5)");
  EXPECT_FALSE(second.FinishedWithin(milliseconds(100)));
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 2; }));
  third.Begin("SELECT 1");
  EXPECT_TRUE(second.Finish().ok);
  EXPECT_TRUE(third.Finish().ok);
  EXPECT_LE(ServersOf("app"), 2);
  holder.Ask("COMMIT");
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 1; }));
}

TEST_P(Limits, ADatabasesCapHoldsOverItsUsersAndIdleServersMakeRoom) {
  Trireme trireme(
      With(5, Json::object(), {{"storages", {{"main", {{"database_connections_max", 2}}}}}}));
  std::vector<RawClient> clients;
  for (const char* user : {"app", "app_trust", "app_scram"}) {
    clients.push_back(trireme.LoggedIn({.user = user}));
  }
  int most = 0;
  for (int i = 0; i < 20; ++i) {
    for (RawClient& client : clients) client.Send(Query("SELECT 1"));
    for (RawClient& client : clients) EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
    most = std::max(most, ServersIn("app"));
  }
  EXPECT_LE(most, 2);
}

TEST_P(Limits, ADatabasesOwnEntryOverridesItsStorage) {
  Trireme trireme(With(5, Json::object(),
                       {{"storages",
                         {{"main",
                           {{"database_connections_max", 1},
                            {"databases", {{"app", {{"connections_max", 2}}}}}}}}}}));
  RawClient one = trireme.LoggedIn();
  RawClient other = trireme.LoggedIn();
  one.Ask("BEGIN");
  other.Ask("BEGIN");
  EXPECT_EQ(ServersIn("app"), 2);
  one.Ask("COMMIT");
  other.Ask("COMMIT");
}

TEST_P(Limits, AUsersCapHoldsOverDatabases) {
  Trireme trireme(
      With(5, {{"wait_timeout", "400ms"}}, {{"users", {{"app_trust", {{"connections_max", 1}}}}}}));
  RawClient here = trireme.LoggedIn({.user = "app_trust"});
  RawClient there = trireme.LoggedIn({.user = "app_trust", .database = "postgres"});
  for (int i = 0; i < 3; ++i) {  // the idle server of one database makes room for the other
    EXPECT_EQ(here.Value("SELECT current_database()"), "app");
    EXPECT_EQ(there.Value("SELECT current_database()"), "postgres");
    EXPECT_LE(ServersOf("app_trust"), 1);
  }
  here.Ask("BEGIN");
  there.Send(Query("SELECT 1"));
  const std::vector<Message> farewell = there.ReadUntilClosed();
  EXPECT_EQ(FieldOf(farewell, 'E', 'C'), "53300");
  EXPECT_EQ(FieldOf(farewell, 'E', 'D'),
            "User \"app_trust\" has all 1 of its connections_max in use, over all pools.");
  here.Ask("COMMIT");
}

TEST_P(Limits, RoutesOfASharedPoolUseTheSameServersWhereTheyCan) {
  Trireme trireme(
      With(5, Json::object(),
           {{"shared_pools", {{"web", {{"size", 1}}}}},
            {"routes",
             {{{"database", "app"}, {"storage", "main"}, {"shared_pool", "web"}},
              {{"database", "alias"},
               {"storage", "main"},
               {"storage_database", "app"},
               {"shared_pool", "web"}},
              {{"database", "postgres"}, {"storage", "main"}, {"shared_pool", "web"}}}}}));
  RawClient one = trireme.LoggedIn();
  RawClient same = trireme.LoggedIn({.database = "alias"});
  const std::string backend = one.Value(kBackend);
  EXPECT_EQ(same.Value(kBackend), backend);
  RawClient other = trireme.LoggedIn({.database = "postgres"});
  EXPECT_EQ(other.Value("SELECT current_database()"), "postgres");
  EXPECT_EQ(ServersOf("app"), 1);  // one size for all
  EXPECT_NE(one.Value(kBackend), backend);
  EXPECT_EQ(trireme.Show("POOLS").at(0).at("shared_pool"), "web");
}

TEST_P(Limits, AUsersPoolSizeOverridesTheRoutes) {
  Trireme trireme(
      With(5, {{"wait_timeout", "300ms"}}, {{"users", {{"app_trust", {{"pool_size", 1}}}}}}));
  RawClient one = trireme.LoggedIn({.user = "app_trust"});
  one.Ask("BEGIN");
  RawClient other = trireme.LoggedIn({.user = "app_trust"});
  other.Send(Query("SELECT 1"));
  EXPECT_EQ(FieldOf(other.ReadUntilClosed(), 'E', 'C'), "53300");
  one.Ask("COMMIT");
}

// ---- clients

TEST_P(Limits, ClientsAreCountedByUserAndByDatabase) {
  Trireme trireme(With(5, Json::object(),
                       {{"limits", {{"user_clients_max", 2}, {"database_clients_max", 3}}},
                        {"users", {{"app_trust", {{"clients_max", 0}}}}}}));
  std::vector<RawClient> clients;
  clients.push_back(trireme.LoggedIn());
  clients.push_back(trireme.LoggedIn());
  const Message by_user = FirstErrorOf(trireme.Raw());
  EXPECT_EQ(ErrorField(by_user, 'C'), "53300");
  EXPECT_EQ(ErrorField(by_user, 'D'), "User \"app\" has 2 of at most 2 client connections.");
  clients.push_back(trireme.LoggedIn({.user = "app_trust"}));
  const Message by_database = FirstErrorOf(trireme.Raw(), {.user = "app_trust"});
  EXPECT_EQ(ErrorField(by_database, 'D'),
            "Database \"app\" has 3 of at most 3 client connections.");
  clients.clear();
  EXPECT_TRUE(Eventually([&] {
    try {
      return trireme.LoggedIn().Value("SELECT 1") == "1";
    } catch (const RigError&) {
      return false;
    }
  }));
}

// ---- the console

TEST_P(Limits, TheConsoleShowsThem) {
  Trireme trireme(
      With(5, {{"min_size", 1}, {"reserve_size", 2}},
           {{"storages", {{"main", {{"database_connections_max", 7}}}}},
            {"users", {{"app", {{"pool_size", 4}, {"connections_max", 8}, {"clients_max", 9}}}}}}));
  RawClient client = trireme.LoggedIn();
  const auto pool = trireme.Show("POOLS").at(0);
  EXPECT_EQ(pool.at("pool_size"), "4");
  EXPECT_EQ(pool.at("min_pool_size"), "1");
  EXPECT_EQ(pool.at("reserve_pool_size"), "2");
  const auto database = trireme.Show("DATABASES").at(0);
  EXPECT_EQ(database.at("pool_size"), "5");
  EXPECT_EQ(database.at("min_pool_size"), "1");
  EXPECT_EQ(database.at("reserve_pool_size"), "2");
  EXPECT_EQ(database.at("max_connections"), "7");
  for (const auto& user : trireme.Show("USERS")) {
    if (user.at("name") != "app") continue;
    EXPECT_EQ(user.at("pool_size"), "4");
    EXPECT_EQ(user.at("max_user_connections"), "8");
    EXPECT_EQ(user.at("max_user_client_connections"), "9");
  }
}

}  // namespace
}  // namespace trireme::e2e
