// SPDX-License-Identifier: GPL-3.0-or-later
//
// A BEGIN that waits for the next statement: what the client is told, and what the server hears.
#include "session/client_world_test.h"
#include "session/traces.h"

namespace trireme {
namespace {

using namespace script;

const std::string kBegun = Done("BEGIN", 'T');
const std::string kSync = Message('S');
const std::string kParseBindExecuteSync = Message('P', std::string("\0x\0\0\0", 5)) +
                                          Message('B', std::string(8, '\0')) +
                                          Message('E', std::string(5, '\0')) + kSync;

class BeginTest : public ClientTest {
 protected:
  void SetUp() override {
    config_.routes[0].pool.prepared_statements_max = 0;
    config_.routes[0].pool.deferred_begin = true;
  }
  // The client asks and is answered; the server hears nothing.
  void Alone(Peer& client, const std::string& asked, const std::string& answered) {
    client.Send(asked);
    client.Expects(answered);
    backend_->ExpectsSilence();
    EXPECT_EQ(world_->pool_counts().lent, 0u);
  }
  // The server hears a BEGIN ahead of it, and answers both.
  void Joined(Peer& client, const std::string& asked, const std::string& answered) {
    client.Send(asked);
    backend_->Expects(Query("BEGIN") + asked);
    backend_->Send(kBegun + answered);
    client.Expects(answered);
  }
  void Turn(Peer& client, const std::string& asked, const std::string& answered) {
    client.Send(asked);
    backend_->Expects(asked);
    backend_->Send(answered);
    client.Expects(answered);
  }
};

TEST_F(BeginTest, WaitsForTheNextStatement) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("begin;"), kBegun);
  Joined(client, Query("SELECT 1"), Done("SELECT 1", 'T'));
  Turn(client, Query("SELECT 2"), Done("SELECT 1", 'T'));
  Turn(client, Query("COMMIT"), Done("COMMIT"));
  EXPECT_TRUE(UntilIdle());
  Turn(client, Query("SELECT 3"), Done("SELECT 1"));
}

TEST_F(BeginTest, IsNeverSentWhenNothingIsAskedBeforeTheEnd) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("START TRANSACTION"), Done("START TRANSACTION", 'T'));
  Alone(client, Query("COMMIT"), Done("COMMIT"));
  Alone(client, Query("BEGIN"), kBegun);
  Alone(client, Query("ABORT"), Done("ROLLBACK"));
  client.Send(Query("COMMIT"));  // without a BEGIN it is the server's
  backend_->Expects(Query("COMMIT"));
}

TEST_F(BeginTest, PassesAsItIsWhenItSaysMore) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("BEGIN ISOLATION LEVEL SERIALIZABLE"), kBegun);
  Turn(client, Query("COMMIT"), Done("COMMIT"));
  Turn(client, Query("BEGIN; SELECT 1"), Complete("BEGIN") + Done("SELECT 1", 'T'));
}

TEST_F(BeginTest, PassesAsItIsWhereTheConfigurationDoesNotDeferIt) {
  config_.routes[0].pool.deferred_begin = false;
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("BEGIN"), kBegun);
}

TEST_F(BeginTest, PassesAsItIsInSessionMode) {
  config_.routes[0].pool.mode = PoolMode::kSession;
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("BEGIN"), kBegun);
}

TEST_F(BeginTest, IsJoinedWithAPipelineThatFollowsAtOnce) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("BEGIN") + Query("SELECT 1") + Query("COMMIT"));
  backend_->Expects(Query("BEGIN") + Query("SELECT 1") + Query("COMMIT"));
  backend_->Send(kBegun + Done("SELECT 1", 'T') + Done("COMMIT"));
  client.Expects(kBegun + Done("SELECT 1", 'T') + Done("COMMIT"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(BeginTest, IsJoinedWithTheExtendedProtocol) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("BEGIN"), kBegun);
  Alone(client, kSync, Ready('T'));
  Joined(client, kParseBindExecuteSync, Message('1') + Message('2') + Done("X", 'T'));
}

TEST_F(BeginTest, GoesBehindTheParametersOfTheClient) {
  Start();
  Peer client = LogInFirst({{"application_name", "shop"}});
  Alone(client, Query("BEGIN"), kBegun);
  client.Send(Query("SELECT 1"));
  backend_->Expects(Query("SET \"application_name\" TO 'shop';") + Query("BEGIN") +
                    Query("SELECT 1"));
  backend_->Send(Complete("SET") + Reported("application_name", "shop") + Ready() + kBegun +
                 Done("SELECT 1", 'T'));
  client.Expects(Done("SELECT 1", 'T'));
}

TEST_F(BeginTest, ASecondOneIsTheServersToWarnOf) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("BEGIN"), kBegun);
  Joined(client, Query("BEGIN"), Done("BEGIN", 'T'));
}

TEST_F(BeginTest, FailsWithTheStatementItWasJoinedWith) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("BEGIN"), kBegun);
  Joined(client, Query("SELECT 1/0"), Failed("22012") + Ready('E'));
  Turn(client, Query("COMMIT"), Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());
}

// What follows is in a transaction: whether a SET stays is not known before its end.
TEST_F(BeginTest, ASettingJoinedWithItIsNotAlone) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("BEGIN"), kBegun);
  Joined(client, Query("SET work_mem = '1MB'"), Done("SET", 'T'));
  Turn(client, Query("ROLLBACK"), Done("ROLLBACK"));
  backend_->Expects(Query(Question({.parameters = {"work_mem"}})));
}

TEST_F(BeginTest, IsForgottenWithItsClient) {
  Start();
  Peer client = LogInFirst(), other = LogIn();
  Alone(client, Query("BEGIN"), kBegun);
  client.Close();
  Turn(other, Query("SELECT 1"), Done("SELECT 1"));
}

TEST_F(BeginTest, TheTransactionOfAStatementThatWasCancelledInTheQueueHasFailed) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Alone(second, Query("BEGIN"), kBegun);
  Ask(first, Query("a"));
  second.Send(Query("b"));
  world_->Until([&] { return world_->pool_counts().waiting == 1; });
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  EXPECT_EQ(second.ReadError().sqlstate, sqlstate::kQueryCanceled);
  second.Expects(Ready('E'));
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  EXPECT_TRUE(UntilIdle());
  second.Send(Query("c"));
  backend_->Expects(Query("BEGIN") + Query(kFailingStatement) + Query("c"));
  backend_->Send(kBegun + Failed(kFailingSqlstate) + Ready('E') + Failed("25P02") + Ready('E'));
  second.Expects(Failed("25P02") + Ready('E'));
  Turn(second, Query("ROLLBACK"), Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(BeginTest, ATransactionThatFailedBeforeItBeganIsRolledBackWithoutAServer) {
  Start();
  Peer client = LogInFirst();
  Alone(client, Query("BEGIN"), kBegun);
  client.Send(Message('P', std::string("s\0x\0\0\0", 6)) + kSync);  // named: refused
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready('E'));
  Alone(client, Query("COMMIT"), Done("ROLLBACK"));
  Turn(client, Query("SELECT 1"), Done("SELECT 1"));
}

TEST_F(BeginTest, APauseBehindItIsAPauseInATransaction) {
  config_.routes[0].pool.idle_in_transaction_timeout = 50ms;
  Start();
  Peer client = LogInFirst();
  client.Send(Query("BEGIN"));
  client.Expects(kBegun);
  EXPECT_EQ(client.ReadError().sqlstate, "25P03");
  client.ExpectsEnd();
}

}  // namespace
}  // namespace trireme
