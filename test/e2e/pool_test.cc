// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who gets which server, when, and how many there ever are. PostgreSQL's own pg_stat_activity,
// asked past the daemon, is the witness.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "rig/fake_server.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

constexpr char kBackend[] = "SELECT pg_backend_pid()";

int ServersOf(const std::string& user) {
  return Postgres::Shared().Count("usename = '" + user + "'");
}

class Pool : public OnShards {
 protected:
  TriremeOptions With(const std::string& mode, int size, const Json& pool = Json::object()) const {
    TriremeOptions options = Options();
    options.mode = mode;
    options.size = size;
    options.pool = pool;
    return options;
  }
};
ON_1_2_4_SHARDS(Pool);

// ---- modes

TEST_P(Pool, InSessionModeAClientKeepsItsServer) {
  Trireme trireme(With("session", 4));
  Connection first(trireme.As("app"));
  Connection second(trireme.As("app"));
  const std::string backend = first.Value(kBackend);
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(second.Value(kBackend), backend);
    EXPECT_EQ(first.Value(kBackend), backend);
  }
}

TEST_P(Pool, InSessionModeTheServerPassesOnWhenItsClientLeaves) {
  Trireme trireme(With("session", 1));
  std::string backend;
  {
    Connection first(trireme.As("app"));
    backend = first.Value(kBackend);
  }
  Connection second(trireme.As("app"));
  EXPECT_EQ(second.Value(kBackend), backend);
}

TEST_P(Pool, InTransactionModeClientsOnDifferentCoresShareOneServer) {
  Trireme trireme(With("transaction", 1));
  std::vector<RawClient> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(trireme.LoggedIn());
  std::set<std::string> backends;
  for (int round = 0; round < 3; ++round) {
    for (RawClient& client : clients) backends.insert(client.Value(kBackend));
  }
  EXPECT_EQ(backends.size(), 1u);
}

TEST_P(Pool, InTransactionModeATransactionKeepsItsServer) {
  Trireme trireme(With("transaction", 2));
  Connection first(trireme.As("app"));
  Connection second(trireme.As("app"));
  ASSERT_TRUE(first.Ask("BEGIN").ok);
  const std::string backend = first.Value(kBackend);
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(second.Value(kBackend), backend);
    EXPECT_EQ(first.Value(kBackend), backend);
  }
  EXPECT_TRUE(first.Ask("COMMIT").ok);
}

TEST_P(Pool, InTransactionModeAFailedTransactionKeepsItsServerUntilRollback) {
  Trireme trireme(With("transaction", 1, {{"wait_timeout", "1s"}}));
  Connection first(trireme.As("app"));
  ASSERT_TRUE(first.Ask("BEGIN").ok);
  EXPECT_FALSE(first.Ask("SELECT 1/0").ok);
  Connection second(trireme.As("app"));
  second.Begin("SELECT 1");
  EXPECT_FALSE(second.FinishedWithin(milliseconds(200)));
  EXPECT_TRUE(first.Ask("ROLLBACK").ok);
  EXPECT_TRUE(second.Finish().ok);
}

TEST_P(Pool, InStatementModeAutocommitWorks) {
  Trireme trireme(With("statement", 1));
  Connection first(trireme.As("app"));
  Connection second(trireme.As("app"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(first.Value(kBackend), second.Value(kBackend));
}

TEST_P(Pool, InStatementModeBeginIsRefused) {
  Trireme trireme(With("statement", 1));
  Connection connection(trireme.As("app"));
  const Answer answer = connection.Ask("BEGIN");
  EXPECT_FALSE(answer.ok);
  EXPECT_NE(answer.sqlstate, "");
  Connection next(trireme.As("app"));
  EXPECT_EQ(next.Value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in tr%'"),
            "0");
}

TEST_P(Pool, AUsersModeOverridesTheRoutes) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  TriremeOptions options = With("transaction", 2);
  options.patch = {{"users", {{"app", {{"pool_mode", "session"}}}}}};
  Trireme trireme(options);
  Connection first(trireme.As("app"));
  Connection second(trireme.As("app"));
  EXPECT_NE(first.Value(kBackend), second.Value(kBackend));
}

// ---- caps

// Clients hammer from threads; the main thread samples what PostgreSQL sees.
int MostServersWhile(const Trireme& trireme, int clients, milliseconds span,
                     std::atomic<int>& failures) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      try {
        std::vector<RawClient> own;
        for (int j = i; j < clients; j += 8) own.push_back(trireme.LoggedIn());
        while (!stop) {
          for (RawClient& client : own) client.Send(Query("SELECT 1"));
          for (RawClient& client : own) {
            if (Types(client.ReadUntilReady()) != "TDCZ") ++failures;
          }
        }
      } catch (const std::exception&) {
        ++failures;
      }
    });
  }
  int most = 0;
  const auto end = Clock::now() + span;
  while (Clock::now() < end) most = std::max(most, ServersOf("app"));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return most;
}

TEST_P(Pool, PostgresNeverSeesMoreThanTheCapWhile64ClientsHammer) {
  Trireme trireme(With("transaction", 5));
  std::atomic<int> failures{0};
  EXPECT_LE(MostServersWhile(trireme, 64, seconds(3), failures), 5);
  EXPECT_EQ(failures, 0);
}

TEST_P(Pool, TheCapHoldsWhileServersComeAndGo) {
  Trireme trireme(
      With("transaction", 3, {{"server_lifetime", "50ms"}, {"server_lifetime_jitter", "20ms"}}));
  std::atomic<int> failures{0};
  // One more may be on its way out in PostgreSQL's view: it learns of a close by reading.
  EXPECT_LE(MostServersWhile(trireme, 16, seconds(2), failures), 4);
  EXPECT_EQ(failures, 0);
}

TEST_P(Pool, AStoragesCapHoldsOverItsPools) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  TriremeOptions options = With("transaction", 5);
  options.patch = {{"storages", {{"main", {{"connections_max", 2}}}}}};
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (const char* user : {"app", "app_trust", "app_scram", "app"})
    clients.push_back(trireme.LoggedIn({.user = user}));
  int most = 0;
  for (int i = 0; i < 50; ++i) {
    for (RawClient& client : clients) client.Send(Query("SELECT 1"));
    for (RawClient& client : clients) EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
    most = std::max(most, ServersOf("app") + ServersOf("app_trust") + ServersOf("app_scram"));
  }
  EXPECT_LE(most, 2);
}

TEST_P(Pool, OpensNoMoreServersThanAreNeeded) {
  Trireme trireme(With("transaction", 5));
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 20; ++i) client.Value("SELECT 1");
  EXPECT_EQ(ServersOf("app"), 1);
}

// ---- waiting

TEST_P(Pool, WaitersAreServedInTheOrderTheyCame) {
  TriremeOptions options = With("transaction", 1);
  options.patch = {{"sharing", {{"fairness_window", "0s"}}}};  // in order to the instant
  Trireme trireme(options);
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(
      holder.Ask("DROP TABLE IF EXISTS arrival; CREATE TABLE arrival (n int, at serial)").ok);
  std::vector<std::unique_ptr<Connection>> waiters;
  for (int i = 0; i < 12; ++i) waiters.push_back(std::make_unique<Connection>(trireme.As("app")));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  for (int i = 0; i < 12; ++i) {
    waiters[static_cast<size_t>(i)]->Begin("INSERT INTO arrival VALUES (" + std::to_string(i) +
                                           ")");
    ASSERT_TRUE(Eventually([&] {  // the next one comes when this one is in the queue
      return trireme.Show("POOLS").at(0).at("cl_waiting") == std::to_string(i + 1);
    }));
  }
  ASSERT_TRUE(holder.Ask("COMMIT").ok);
  for (auto& waiter : waiters) EXPECT_TRUE(waiter->Finish().ok);
  EXPECT_EQ(holder.Value("SELECT string_agg(n::text, ' ' ORDER BY at) FROM arrival"),
            "0 1 2 3 4 5 6 7 8 9 10 11");
  EXPECT_TRUE(holder.Ask("DROP TABLE arrival").ok);
}

TEST_P(Pool, AWaiterIsToldAfterTheWaitTimeout) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme(With("transaction", 1, {{"wait_timeout", "500ms"}}));
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  Connection waiter(trireme.As("app"));
  const auto start = Clock::now();
  const Answer answer = waiter.Ask("SELECT 1");
  EXPECT_EQ(answer.sqlstate.substr(0, 3), "533") << answer.text;
  EXPECT_GE(Clock::now() - start, milliseconds(450));
  EXPECT_LT(Clock::now() - start, seconds(5));
  EXPECT_TRUE(holder.Ask("COMMIT").ok);
}

TEST_P(Pool, AWaiterThatGaveUpTakesNoServer) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme(With("transaction", 1, {{"wait_timeout", "300ms"}}));
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  for (int i = 0; i < 4; ++i) {
    Connection waiter(trireme.As("app"));
    EXPECT_FALSE(waiter.Ask("SELECT 1").ok);
  }
  EXPECT_TRUE(holder.Ask("COMMIT").ok);
  Connection next(trireme.As("app"));
  EXPECT_EQ(next.Value("SELECT 1"), "1");
}

TEST_P(Pool, AllWaitersAreServedOnceTheServerIsFree) {
  Trireme trireme(With("transaction", 1));
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  std::vector<RawClient> waiters;
  for (int i = 0; i < 40; ++i) {
    waiters.push_back(trireme.LoggedIn());
    waiters.back().Send(Query("SELECT 1"));
  }
  ASSERT_TRUE(holder.Ask("COMMIT").ok);
  for (RawClient& waiter : waiters) EXPECT_EQ(Types(waiter.ReadUntilReady()), "TDCZ");
}

// ---- age

TEST_P(Pool, IdleServersAreClosedAfterTheIdleTimeout) {
  Trireme trireme(With("transaction", 3, {{"idle_timeout", "500ms"}}));
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  EXPECT_EQ(ServersOf("app"), 1);
  EXPECT_TRUE(Eventually([] { return ServersOf("app") == 0; }));
  EXPECT_EQ(client.Value("SELECT 2"), "2");
}

TEST_P(Pool, AServerInUseIsNotIdle) {
  Trireme trireme(With("session", 3, {{"idle_timeout", "300ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::string backend = client.Value(kBackend);
  EXPECT_TRUE(Throughout(milliseconds(1200),
                         [&] { return Postgres::Shared().Count("pid = " + backend) == 1; }));
  EXPECT_EQ(client.Value(kBackend), backend);
}

TEST_P(Pool, OneSessionOpensOneServer) {
  Trireme trireme(With("session", 3));
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  EXPECT_TRUE(Throughout(milliseconds(100), [] { return ServersOf("app") == 1; }))
      << Postgres::Shared().Value(
             "SELECT string_agg('last query: ' || query, '; ') FROM pg_stat_activity WHERE usename "
             "= 'app'");
}

TEST_P(Pool, AServerPastItsLifetimeIsReplacedWhenFree) {
  Trireme trireme(
      With("transaction", 1, {{"server_lifetime", "500ms"}, {"server_lifetime_jitter", "100ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::string backend = client.Value(kBackend);
  EXPECT_TRUE(Eventually([&] { return client.Value(kBackend) != backend; }));
}

TEST_P(Pool, ATransactionOutlivesItsServersLifetime) {
  Trireme trireme(
      With("transaction", 1, {{"server_lifetime", "300ms"}, {"server_lifetime_jitter", "0s"}}));
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  const std::string backend = connection.Value(kBackend);
  EXPECT_TRUE(Throughout(milliseconds(800), [&] { return connection.Value(kBackend) == backend; }));
  EXPECT_TRUE(connection.Ask("COMMIT").ok);
}

TEST_P(Pool, AnIdleClientIsSentAwayAfterItsTimeout) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  TriremeOptions options = With("transaction", 1);
  options.patch = {{"timeouts", {{"client_idle", "500ms"}}}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  const std::vector<Message> farewell = client.ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'S'), "FATAL");
}

// ---- opening servers

TEST_P(Pool, ServersAreOpenedAFewAtATime) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  std::atomic<int> logging_in{0};
  std::atomic<int> most{0};
  FakeServer server([&](FakeSession& session) {
    const int now = ++logging_in;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::sleep_for(milliseconds(100));  // for a third one to come, if it would
    --logging_in;
    session.Accept();
    session.EchoQueries();
  });
  TriremeOptions options = With("transaction", 20);
  options.server_port = server.port();
  options.patch = {{"storages", {{"main", {{"connecting_max", 2}}}}}};
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(trireme.Raw());
  for (RawClient& client : clients) {
    client.Send(StartupPacket({{"user", "app"}, {"database", "app"}}) + Query("x"));
  }
  for (RawClient& client : clients) {
    client.ReadUntilReady();
    EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
  }
  EXPECT_LE(most, 2 * GetParam());  // the bound is per core
}

TEST_P(Pool, AServerThatRefusesIsNotAskedInATightLoop) {
  FakeServer server([](FakeSession& session) {
    session.Send(ErrorResponse("FATAL", "53300", "sorry, too many clients already"));
  });
  TriremeOptions options = With("transaction", 5, {{"wait_timeout", "2s"}});
  options.server_port = server.port();
  Trireme trireme(options);
  const auto end = Clock::now() + seconds(1);
  int told = 0;
  while (Clock::now() < end) {
    EXPECT_EQ(ErrorField(FirstErrorOf(trireme.Raw()), 'C').substr(0, 2),
              AgainstPgbouncer() ? "08" : "53");
    ++told;
    std::this_thread::sleep_for(milliseconds(5));  // the pace of clients that do not give up
  }
  EXPECT_LE(server.connections(), 20 * GetParam()) << "for " << told << " clients";
}

TEST_P(Pool, AServerThatIsStartingUpIsUsedOnceItIsUp) {
  std::atomic<bool> up{false};
  FakeServer server([&](FakeSession& session) {
    if (!up) {
      session.Send(ErrorResponse("FATAL", "57P03", "the database system is starting up"));
      return;
    }
    session.Accept();
    session.EchoQueries();
  });
  TriremeOptions options = With("transaction", 5, {{"wait_timeout", "2s"}});
  options.server_port = server.port();
  options.patch = {{"storages", {{"main", {{"connect_backoff_max", "200ms"}}}}}};
  Trireme trireme(options);
  FirstErrorOf(trireme.Raw());
  up = true;
  EXPECT_TRUE(Eventually([&] {
    try {
      return trireme.LoggedIn().Value("hello") == "hello";
    } catch (const RigError&) {
      return false;
    }
  }));
}

TEST_P(Pool, AServerThatDoesNotAnswerTimesOut) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  FakeServer server([](FakeSession& session) { session.Read(); });
  TriremeOptions options = With("transaction", 5, {{"wait_timeout", "1s"}});
  options.server_port = server.port();
  options.patch = {{"storages", {{"main", {{"connect_timeout", "500ms"}}}}}};
  Trireme trireme(options);
  EXPECT_EQ(ErrorField(FirstErrorOf(trireme.Raw()), 'C').substr(0, 2), "08");
}

TEST_P(Pool, TheNextHostIsTriedWhenTheFirstRefuses) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  TriremeOptions options = With("transaction", 5);
  const Json hosts = {"127.0.0.1:" + std::to_string(FreeTcpPort()),
                      "127.0.0.1:" + std::to_string(Postgres::Shared().port())};
  options.patch = {{"storages", {{"main", {{"hosts", hosts}}}}}};
  Trireme trireme(options);
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST_P(Pool, SurvivesARestartOfPostgres) {
  TriremeOptions options = With("transaction", 4, {{"wait_timeout", "5s"}});
  options.patch = {{"storages", {{"main", {{"connect_backoff_max", "500ms"}}}}}};
  Trireme trireme(options);
  RawClient idle = trireme.LoggedIn();
  idle.Value("SELECT 1");
  Postgres::Shared().Stop(SIGQUIT);
  EXPECT_NE(ErrorField(FirstErrorOf(trireme.Raw()), 'C'), "");
  Postgres::Shared().Start();
  EXPECT_TRUE(Eventually([&] {
    try {
      return trireme.LoggedIn().Value("SELECT 3") == "3";
    } catch (const RigError&) {
      return false;
    }
  }));
}

TEST_P(Pool, AnIdleClientDoesNotNoticeARestartOfPostgres) {
  Trireme trireme(With("transaction", 4, {{"wait_timeout", "10s"}}));
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(trireme.LoggedIn());
    clients.back().Value("SELECT 1");
  }
  Postgres::Shared().Stop(SIGINT);
  Postgres::Shared().Start();
  for (RawClient& client : clients) EXPECT_EQ(client.Value("SELECT 2"), "2");
}

TEST(PoolSharing, IsolatedCoresDoNotShare) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme({.cores = 2, .size = 4, .patch = {{"sharing", {{"policy", "isolated"}}}}});
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(trireme.LoggedIn());
  for (RawClient& client : clients) EXPECT_EQ(client.Value("SELECT 1"), "1");
  for (const auto& shard : trireme.Show("SHARDS")) {
    for (const auto& [column, value] : shard) {
      if (column.find("steal") == std::string::npos) continue;
      EXPECT_EQ(value, "0") << column;
    }
  }
}

// Clients of two cores, and one server: all are served, within the cap, and it changes hands.
TEST(PoolSharing, CoresShareABookUnderALock) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme({.cores = 2, .size = 1, .patch = {{"sharing", {{"policy", "shared_mutex"}}}}});
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(trireme.LoggedIn());
  std::set<std::string> backends;
  for (int round = 0; round < 10; ++round) {
    for (RawClient& client : clients) client.Send(Query("SELECT pg_sleep(0.001)"));
    for (RawClient& client : clients) client.ReadUntilReady();
    EXPECT_EQ(ServersOf("app"), 1);
    for (RawClient& client : clients) backends.insert(client.Value(kBackend));
  }
  EXPECT_EQ(backends.size(), 1u);
  int changes = 0;
  for (const auto& shard : trireme.Show("SHARDS")) {
    for (const auto& [column, value] : shard) {
      if (column == "steals_given" || column == "grants_sent") changes += std::stoi(value);
    }
  }
  EXPECT_GT(changes, 0);
}

}  // namespace
}  // namespace trireme::e2e
