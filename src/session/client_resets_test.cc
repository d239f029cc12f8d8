// SPDX-License-Identifier: GPL-3.0-or-later
//
// RESET and DISCARD ALL of clients whose startup packets asked for parameters.
#include "session/client_world_test.h"
#include "session/traces.h"

namespace trireme {
namespace {

using namespace script;

const std::string kSync = Message('S');
const std::string kSetName = Query("SET \"application_name\" TO 'me';");

std::string ParseUnnamed(const std::string& text) {
  return Message('P', std::string(1, '\0') + text + std::string(3, '\0'));
}
const std::string kBindExecute =
    Message('B', std::string(8, '\0')) + Message('E', std::string(5, '\0'));
const std::string kParsedAndBound = Message('1') + Message('2');

class ResetsTest : public ClientTest {
 protected:
  // A client with a server that has its name.
  Peer Begin(PoolMode mode) {
    config_.routes[0].pool.mode = mode;
    Start();
    Peer client = LogInFirst({{"application_name", "me"}});
    client.Send(Query("SELECT 1"));
    backend_->Expects(kSetName + Query("SELECT 1"));
    backend_->Send(Done("SET") + Done("SELECT 1"));
    client.Expects(Done("SELECT 1"));
    return client;
  }
  void Turn(Peer& client, const std::string& asked, const std::string& answered) {
    client.Send(asked);
    backend_->Expects(asked);
    backend_->Send(answered);
    client.Expects(answered);
  }
};

TEST_F(ResetsTest, InSessionModeAreFollowedByWhatTheStartupPacketSaid) {
  Peer client = Begin(PoolMode::kSession);
  for (const char* text : {"RESET application_name", "RESET ALL", "DISCARD ALL"}) {
    client.Send(Query(text) + Query("SELECT 2"));
    backend_->Expects(Query(text));
    backend_->ExpectsSilence();  // what the client asks next is behind our SET
    backend_->Send(Reported("application_name", "") + Done("RESET"));
    client.Expects(Complete("RESET"));
    backend_->Expects(kSetName);
    client.ExpectsSilence();
    backend_->Send(Reported("application_name", "me") + Done("SET"));
    client.Expects(Ready());
    backend_->Expects(Query("SELECT 2"));
    backend_->Send(Done("SELECT 1"));
    client.Expects(Done("SELECT 1"));
  }
}

TEST_F(ResetsTest, ThatFailChangeNothing) {
  Peer client = Begin(PoolMode::kSession);
  Turn(client, Query("BEGIN"), Done("BEGIN", 'T'));
  client.Send(Query("DISCARD ALL"));
  backend_->Expects(Query("DISCARD ALL"));
  backend_->Send(Failed("25001") + Ready('E'));
  client.Expects(Failed("25001") + Ready('E'));
  backend_->ExpectsSilence();
  Turn(client, Query("RESET ALL"), Failed("25P02") + Ready('E'));  // known to fail
  Turn(client, Query("ROLLBACK"), Done("ROLLBACK"));
}

TEST_F(ResetsTest, OfOtherParametersPass) {
  Peer client = Begin(PoolMode::kSession);
  Turn(client, Query("RESET work_mem"), Done("RESET"));
  Turn(client, Query("SET application_name = 'x'"), Done("SET"));
  backend_->ExpectsSilence();
}

TEST_F(ResetsTest, InTheExtendedProtocolAreFollowedBehindTheSync) {
  Peer client = Begin(PoolMode::kSession);
  const std::string pipeline = ParseUnnamed("RESET ALL") + kBindExecute + kSync;
  client.Send(pipeline + Query("SELECT 2"));
  backend_->Expects(pipeline);
  backend_->ExpectsSilence();
  backend_->Send(kParsedAndBound + Complete("RESET") + Reported("application_name", "") + Ready());
  client.Expects(kParsedAndBound + Complete("RESET"));
  backend_->Expects(kSetName);
  backend_->Send(Done("SET"));
  client.Expects(Ready());
  backend_->Expects(Query("SELECT 2"));
  backend_->Send(Done("SELECT 1"));
  client.Expects(Done("SELECT 1"));
}

TEST_F(ResetsTest, ThatAreOnlyPreparedChangeNothing) {
  Peer client = Begin(PoolMode::kSession);
  Turn(client, ParseUnnamed("RESET ALL") + kSync, Message('1') + Ready());
  Turn(client, Query("SELECT 2"), Done("SELECT 1"));
}

TEST_F(ResetsTest, WaitForWhatWasAskedBefore) {
  Peer client = Begin(PoolMode::kSession);
  client.Send(Query("SELECT 2") + Query("RESET ALL"));
  backend_->Expects(Query("SELECT 2"));
  backend_->ExpectsSilence();
  backend_->Send(Done("SELECT 1"));
  client.Expects(Done("SELECT 1"));
  backend_->Expects(Query("RESET ALL"));
  backend_->Send(Done("RESET"));
  client.Expects(Complete("RESET"));
  backend_->Expects(kSetName);
  backend_->Send(Done("SET"));
  client.Expects(Ready());
}

// The server goes to whoever waits, but not between our SET and what it was for.
TEST_F(ResetsTest, AreServedThoughOthersWait) {
  Peer client = Begin(PoolMode::kTransaction);
  Peer other = LogIn({{"application_name", "you"}});
  const std::string set_other = Query("SET \"application_name\" TO 'you';");
  other.Send(Query("SELECT 2"));
  backend_->Expects(set_other + Query("SELECT 2"));
  client.Send(Query("RESET ALL"));
  ASSERT_TRUE(world_->Until([&] { return world_->pool_counts().waiting == 1; }));
  backend_->Send(Done("SET") + Done("SELECT 1"));
  backend_->Expects(kSetName);
  other.Send(Query("SELECT 3"));
  ASSERT_TRUE(world_->Until([&] { return world_->pool_counts().waiting == 1; }));
  backend_->Send(Done("SET"));
  backend_->Expects(Query("RESET ALL"));
  backend_->Send(Done("RESET"));
  client.Expects(Done("RESET"));
  backend_->Expects(set_other + Query("SELECT 3"));
  backend_->Send(Done("SET") + Done("SELECT 1"));
  other.Expects(Done("SELECT 1") + Done("SELECT 1"));
}

TEST_F(ResetsTest, InATransactionAreFollowedInsideIt) {
  Peer client = Begin(PoolMode::kTransaction);
  Turn(client, Query("BEGIN"), Done("BEGIN", 'T'));
  client.Send(Query("RESET application_name"));
  backend_->Expects(Query("RESET application_name"));
  backend_->Send(Done("RESET", 'T'));
  client.Expects(Complete("RESET"));
  backend_->Expects(kSetName);
  backend_->Send(Done("SET", 'T'));
  client.Expects(Ready('T'));
  Turn(client, Query("COMMIT"), Done("COMMIT"));
  const std::string question = Question({.pins = 0, .all_parameters = true, .parameters = {}});
  backend_->Expects(Query(question));
}

TEST_F(ResetsTest, AloneInTransactionModeCostNothing) {
  Peer client = Begin(PoolMode::kTransaction);
  Turn(client, Query("SET application_name = 'x'"), Done("SET"));
  Turn(client, Query("DISCARD ALL"), Done("DISCARD ALL"));
  EXPECT_TRUE(UntilIdle());
  backend_->ExpectsSilence();
  client.Send(Query("SELECT 2"));  // the next server is brought it
  backend_->Expects(kSetName + Query("SELECT 2"));
  backend_->Send(Done("SET") + Done("SELECT 1"));
  client.Expects(Done("SELECT 1"));
}

TEST_F(ResetsTest, OfAServerThatDiesEndTheClientWithAnError) {
  Peer client = Begin(PoolMode::kSession);
  client.Send(Query("RESET ALL"));
  backend_->Expects(Query("RESET ALL"));
  backend_->Send(Done("RESET"));
  client.Expects(Complete("RESET"));
  backend_->Expects(kSetName);
  backend_->Close();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kConnectionFailure);
  client.ExpectsEnd();
}

}  // namespace
}  // namespace trireme
