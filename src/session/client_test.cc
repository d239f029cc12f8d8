// SPDX-License-Identifier: GPL-3.0-or-later
//
// How clients come, end, cancel, and are ended.
#include "session/client.h"

#include "session/client_world_test.h"

namespace trireme {
namespace {

using namespace script;

const std::string kTerminate = Message('X');

TEST_F(ClientTest, AnswersWhatWasAskedBeforeTerminate) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("a") + kTerminate + Query("never"));
  backend_->Expects(Query("a"));
  backend_->Send(Done("A"));
  client.Expects(Done("A"));
  client.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, AnswersAHalfClosedSlowReaderWhole) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  client.SendNoMore();
  const std::string row = Message('D', std::string(300000, 'x'));
  const std::string answer = row + row + row + Done("SELECT 3");
  std::string left = answer;
  for (int i = 0; i < 50;
       ++i) {  // nobody reads: more and more waits here, then in the server's socket
    backend_->TrySend(left);
    world_->Turn();
  }
  EXPECT_GT(left.size(), 0u);
  std::string got;
  world_->Until([&] {
    backend_->TrySend(left);
    got += client.TryRead(answer.size() - got.size());
    return got.size() == answer.size();
  });
  EXPECT_TRUE(got == answer);
  client.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, CancelsTheQueryOfAClientThatHasGone) {
  config_.timeouts.half_close = 1ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  client.Close();
  Peer cancel = Accept();
  EXPECT_EQ(cancel.Read(16).size(), 16u);
  cancel.Close();
  backend_->Send(Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, RollsBackForAClientThatHasGone) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  client.Close();
  backend_->Expects(Query("ROLLBACK"));
  backend_->Send(Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, ClosesTheServerThatWaitsForTheRestOfAMessage) {
  config_.timeouts.half_close = 1ms;
  config_.routes[0].pool.mode = PoolMode::kSession;  // elsewhere texts are read first
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a long one").substr(0, 9));
  client.Close();
  backend_->ExpectsEnd();
}

TEST_F(ClientTest, HearsTheServersLastWordsOnce) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  const std::string words = Failed("25P03", severity::kFatal);
  backend_->Send(words);
  backend_->Close();
  client.Expects(words);
  client.ExpectsEnd();
}

TEST_F(ClientTest, IsToldWhenTheServerEndsWithoutAWord) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  backend_->Close();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kConnectionFailure);
  client.ExpectsEnd();
}

// A client that has got the first bytes of a row: no words fit behind them.
class MidRowTest : public ClientTest {
 protected:
  Peer Begin() {
    Start();
    Peer client = LogInFirst();
    Ask(client, Query("a"));
    const std::string half = Message('D', "0123456789").substr(0, 9);
    backend_->Send(half);
    client.Expects(half);
    return client;
  }
};

TEST_F(MidRowTest, TheEndOfTheServerIsToldWithoutAWord) {
  Peer client = Begin();
  backend_->Close();
  client.ExpectsEnd();
}

TEST_F(MidRowTest, AShutdownIsToldWithoutAWord) {
  Peer client = Begin();
  world_->clients->EndAll();
  client.ExpectsEnd();
}

TEST_F(MidRowTest, TheClientsOwnMistakeIsToldWithoutAWord) {
  Peer client = Begin();
  client.Send(Message('\x01', "no message of the protocol"));
  client.ExpectsEnd();
}

// A server can answer before it has read all that it was sent.
TEST_F(ClientTest, KeepsAServerThatIsBehindWithReading) {
  config_.limits.backlog_bytes_max = 4096;
  Start();
  Peer client = LogInFirst();
  const std::string query = Query(std::string(3000, 'q'));
  const auto linked = [&] {
    const Server* server = nullptr;
    world_->clients->ForEach([&](const Client& one) { server = one.server(); });
    return server;
  };
  const auto behind = [&] { return linked() != nullptr && linked()->stream().clogged(); };
  size_t asked = 0;
  while (++asked < 10000) {
    client.Send(query);
    ASSERT_TRUE(world_->Until([&] { return linked() != nullptr; }));
    world_->Turn();  // what the kernel does not take now has to wait
    if (behind()) break;
    backend_->Send(Done("A"));
    client.Expects(Done("A"));
  }
  ASSERT_TRUE(behind());
  backend_->Send(Done("LAST"));
  client.Expects(Done("LAST"));
  EXPECT_TRUE(behind());
  client.Send(Query("next"));
  for (size_t i = 0; i < asked; ++i) backend_->Expects(query);
  backend_->Expects(Query("next"));
  backend_->Send(Done("NEXT"));
  client.Expects(Done("NEXT"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, CancelsARequestThatWaitsForAServer) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("a"));
  second.Send(Query("b"));
  world_->Until([&] { return world_->pool_counts().waiting == 1; });
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  EXPECT_EQ(second.ReadError().sqlstate, sqlstate::kQueryCanceled);
  second.Expects(Ready());
  EXPECT_EQ(world_->pool_counts().waiting, 0u);
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  Ask(second, Query("c"));
}

// As PostgreSQL does it: the unnamed statement of before is gone when the next one is begun.
TEST_F(ClientTest, ForgetsTheUnnamedStatementWhoseSuccessorIsCancelled) {
  Start();
  const auto parse = [](const std::string& text) {
    return Message('P', std::string(1, '\0') + text + std::string(3, '\0')) + Message('S');
  };
  Peer first = LogInFirst(), second = LogIn();
  Ask(second, parse("old"));
  backend_->Send(Message('1') + Ready());
  second.Expects(Message('1') + Ready());
  Ask(first, Query("a"));
  second.Send(parse("new"));
  world_->Until([&] { return world_->pool_counts().waiting == 1; });
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  EXPECT_EQ(second.ReadError().sqlstate, sqlstate::kQueryCanceled);
  second.Expects(Ready());
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  second.Send(Message('B', std::string(8, '\0')) + Message('E', std::string(5, '\0')) +
              Message('S'));
  EXPECT_EQ(second.ReadError().sqlstate, sqlstate::kInvalidSqlStatementName);
  second.Expects(Ready());
  backend_->ExpectsSilence();
}

TEST_F(ClientTest, CancelsARequestThatRuns) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  Peer to_server = Accept();
  to_server.Expects(CancelPacket());
  backend_->Send(Failed("57014") + Ready());
  client.Expects(Failed("57014") + Ready());
  EXPECT_EQ(world_->pool_counts().idle, 0u);  // the signal could still hit somebody else
  to_server.Close();
  cancel.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, TakesAPasswordThatCameWithTheStartupPacket) {
  config_.users[0].auth = AuthMethod::kPassword;
  Start();
  Peer client = Connect();
  client.Send(AppStartup() + Written([](auto& w) { w.PasswordMessage("hunter2"); }));
  Peer backend = postgres_->AcceptLogin();
  EXPECT_EQ(client.ReadMessage(), Written([](auto& w) { w.AuthenticationCleartextPassword(); }));
  EXPECT_EQ(client.ReadMessage(), Written([](auto& w) { w.AuthenticationOk(); }));
  client.ReadUntil('Z');
}

TEST_F(ClientTest, NewClientsOfADrainingCoreAreTurnedAway) {
  Start();
  Peer client = LogInFirst();
  world_->clients->Drain();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
  Peer late = Connect();
  late.ExpectsEnd();
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, DrainingWaitsForTheTransaction) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  world_->clients->Drain();
  Ask(client, Query("commit"));
  backend_->Send(Done("COMMIT"));
  client.Expects(Done("COMMIT"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
}

TEST_F(ClientTest, PlacesUnderTheLimitComeBack) {
  config_.limits.clients_max = 1;
  Start();
  Peer client = LogInFirst();
  Peer refused = Connect();
  refused.Send(AppStartup());
  EXPECT_EQ(refused.ReadError().sqlstate, sqlstate::kTooManyConnections);
  refused.ExpectsEnd();
  client.Close();
  EXPECT_TRUE(UntilNoClients());
  Peer next = LogIn();
  Ask(next, Query("a"));
}

}  // namespace
}  // namespace trireme
