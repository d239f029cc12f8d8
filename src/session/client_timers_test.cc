// SPDX-License-Identifier: GPL-3.0-or-later
//
// Clients that take too long, between an application and a PostgreSQL that the test plays.
#include "session/client_world_test.h"

namespace trireme {
namespace {

using namespace script;

class ClientTimers : public ClientTest {
 protected:
  PoolConfig& pool() { return config_.routes[0].pool; }
  // What PostgreSQL gets when a query is cancelled, and does.
  void Cancelled(const std::string& status = Ready()) {
    Peer cancel = Accept();
    EXPECT_EQ(cancel.Read(16).size(), 16u);
    cancel.Close();
    backend_->Send(Failed("57014") + status);
  }
  void Begin(Peer& client) {
    Ask(client, Query("begin"));
    backend_->Send(Done("BEGIN", 'T'));
    client.Expects(Done("BEGIN", 'T'));
  }
};

TEST_F(ClientTimers, CancelAQueryThatTakesTooLongAndSayWhy) {
  pool().query_timeout = 20ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  Cancelled();
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "ERROR");
  EXPECT_EQ(error.sqlstate, "57014");
  EXPECT_EQ(error.message, "canceling statement due to query timeout");
  client.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
  Ask(client, Query("b"));
  backend_->Send(Done("B"));
  client.Expects(Done("B"));
}

TEST_F(ClientTimers, KeepRowsThatCameBeforeTheCancel) {
  pool().query_timeout = 20ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  const std::string rows = Message('D', "one") + Message('D', "two");
  backend_->Send(rows);
  client.Expects(rows);
  Cancelled();
  EXPECT_EQ(client.ReadError().message, "canceling statement due to query timeout");
  client.Expects(Ready());
}

TEST_F(ClientTimers, PassOnAnotherErrorThatCameFirst) {
  pool().query_timeout = 20ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  Peer cancel = Accept();
  cancel.Close();
  backend_->Send(Failed("22012") + Ready());
  client.Expects(Failed("22012") + Ready());
}

TEST_F(ClientTimers, EndAClientWhoseCancelledQueryGoesOn) {
  pool().query_timeout = 20ms;
  config_.timeouts.cancel = 20ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "FATAL");
  EXPECT_EQ(error.sqlstate, "57014");
  client.ExpectsEnd();
}

TEST_F(ClientTimers, LeaveAPipelineAloneThatAdvances) {
  pool().query_timeout = 60ms;
  Start();
  Peer client = LogInFirst();
  std::string asked, answered;
  for (int i = 0; i < 8; ++i) asked += Query("a");
  Ask(client, asked);
  for (int i = 0; i < 8; ++i) {  // longer than the timeout, all together
    const Time at = world_->ring->now() + 20ms;
    ASSERT_TRUE(world_->Until([&] { return world_->ring->now() >= at; }));
    backend_->Send(Done("A"));
    answered += Done("A");
  }
  client.Expects(answered);
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTimers, EndAClientThatIsIdleInATransaction) {
  pool().idle_in_transaction_timeout = 20ms;
  Start();
  Peer client = LogInFirst();
  Begin(client);
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "FATAL");
  EXPECT_EQ(error.sqlstate, "25P03");
  client.ExpectsEnd();
  backend_->Expects(Query("ROLLBACK"));
  backend_->Send(Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());  // the server is as good as new
}

TEST_F(ClientTimers, LeaveTheLastWordToTheServer) {
  pool().idle_in_transaction_timeout = 30ms;
  Start();
  Peer client = LogInFirst();
  Begin(client);
  const std::string words = Failed("57P01", severity::kFatal);
  backend_->Send(words);  // and its end is late
  client.Expects(words);
  client.ExpectsEnd();
}

TEST_F(ClientTimers, DoNotCountAQueryAsIdleness) {
  pool().idle_in_transaction_timeout = 30ms;
  Start();
  Peer client = LogInFirst();
  Begin(client);
  Ask(client, Query("a"));
  const Time at = world_->ring->now() + 60ms;
  ASSERT_TRUE(world_->Until([&] { return world_->ring->now() >= at; }));
  backend_->Send(Done("A", 'T'));
  client.Expects(Done("A", 'T'));
}

TEST_F(ClientTimers, EndATransactionThatTakesTooLongWhateverItDoes) {
  pool().transaction_timeout = 30ms;
  Start();
  Peer client = LogInFirst();
  Begin(client);
  Ask(client, Query("a"));
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "FATAL");
  EXPECT_EQ(error.sqlstate, "25P04");
  client.ExpectsEnd();
  Cancelled(Ready('E'));
  backend_->Expects(Query("ROLLBACK"));
  backend_->Send(Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTimers, PutNoWordsIntoTheMiddleOfAMessage) {
  pool().transaction_timeout = 30ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  const std::string half = Message('D', "0123456789").substr(0, 9);
  backend_->Send(half);
  client.Expects(half);
  client.ExpectsEnd();
}

TEST_F(ClientTimers, EndAnIdleClient) {
  config_.timeouts.client_idle = 20ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  backend_->Send(Done("A"));
  client.Expects(Done("A"));
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "FATAL");
  EXPECT_EQ(error.sqlstate, "57P05");
  client.ExpectsEnd();
}

TEST_F(ClientTimers, TheUsersLimitCountsInsteadOfTheRoutes) {
  pool().idle_in_transaction_timeout = 10ms;
  config_.users[0].idle_in_transaction_timeout = 0s;
  config_.users[0].query_timeout = 20ms;
  Start();
  Peer client = LogInFirst();
  Begin(client);
  const Time at = world_->ring->now() + 40ms;
  ASSERT_TRUE(world_->Until([&] { return world_->ring->now() >= at; }));
  Ask(client, Query("a"));
  Cancelled(Ready('E'));
  EXPECT_NE(client.ReadError().detail.find("the user's query_timeout"), std::string::npos);
  client.Expects(Ready('E'));
}

TEST_F(ClientTimers, TellAClientThatItWaits) {
  pool().wait_notify = 20ms;
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("a"));
  second.Send(Query("b"));
  const std::string message = second.ReadMessage();
  ASSERT_EQ(message[0], 'N');
  const PgError notice = ParseErrorBody(AsBytes(message).subspan(kHeadBytes));
  EXPECT_EQ(notice.severity, "NOTICE");
  EXPECT_EQ(
      notice.message,
      "waiting for a server connection: pool \"main/app\" has 1 of 1 servers in use, 1 client "
      "waits");
  EXPECT_EQ(notice.detail, "It waits for at most 120 s (wait_timeout).");
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  backend_->Expects(Query("b"));
  backend_->Send(Done("B"));
  second.Expects(Done("B"));
}

TEST_F(ClientTimers, AUserWithLessPatienceIsRefusedFirst) {
  config_.users.push_back({.name = "hasty", .auth = AuthMethod::kTrust, .wait_timeout = 20ms});
  config_.routes[0].user = "*";
  config_.routes[0].storage_user = "app";
  Start();
  Peer first = LogInFirst(), patient = LogIn();
  Ask(first, Query("a"));
  patient.Send(Query("b"));
  ASSERT_TRUE(world_->Until([&] { return world_->pool_counts().waiting == 1; }));
  Peer hasty = Connect();
  hasty.Send(Written([&](auto& w) {
    const std::vector<ParameterView> parameters = {{"user", "hasty"}, {"database", "main"}};
    w.StartupMessage(kProtocol30, parameters);
  }));
  hasty.ReadUntil('Z');
  hasty.Send(Query("c"));
  EXPECT_EQ(hasty.ReadError().sqlstate, "53300");
  EXPECT_EQ(world_->pool_counts().waiting, 1u);
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  backend_->Expects(Query("b"));
  backend_->Send(Done("B"));
  patient.Expects(Done("B"));
}

TEST_F(ClientTimers, EndALoginThatTakesTooLong) {
  config_.timeouts.client_login = 20ms;
  Start();
  Peer client = Connect();
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, "FATAL");
  EXPECT_EQ(error.sqlstate, "57014");
  client.ExpectsEnd();
}

TEST_F(ClientTimers, SetNoTimerWithoutLimits) {
  pool().wait_notify = 0s;
  Start();
  Peer client = LogInFirst();
  const uint32_t before = world_->timers.count();
  for (int i = 0; i < 3; ++i) {
    Ask(client, Query("a"));
    EXPECT_EQ(world_->timers.count(), before);
    backend_->Send(Done("A"));
    client.Expects(Done("A"));
    ASSERT_TRUE(UntilIdle());
  }
}

}  // namespace
}  // namespace trireme
