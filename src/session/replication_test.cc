// SPDX-License-Identifier: GPL-3.0-or-later
//
// Replication connections: whose server it is, what it is told, and how both end.
#include <string>
#include <vector>

#include "session/client_world_test.h"

namespace trireme {
namespace {

using namespace script;

const std::string kTerminate = Message('X');
const std::string kCopyBoth = Message('W', Raw("\0\0\0"));
const std::string kCopyDone = Message('c');
const std::string kStart = Query("START_REPLICATION 0/0");

class ReplicationTest : public ClientTest {
 public:
  // Logs in with a server of its own, which becomes backend_.
  Peer LogInToReplicate(std::vector<ParameterView> more = {{"replication", "true"}}) {
    Peer client = Connect();
    client.Send(AppStartup(more));
    backend_ = std::make_unique<Peer>(Accept());
    backend_->Expects(AppStartup(more));
    backend_->Send(LoginAnswer());
    welcome_ = client.ReadUntil('Z');
    return client;
  }
  Peer Streaming() {
    Peer client = LogInToReplicate();
    Ask(client, kStart);
    backend_->Send(kCopyBoth + Message('d', "wal 1"));
    client.Expects(kCopyBoth + Message('d', "wal 1"));
    return client;
  }
  // The server hears of the end, and nothing of it is left.
  void ExpectServerEnds() {
    backend_->Expects(kTerminate);
    backend_.reset();
    EXPECT_TRUE(UntilNoPools());
  }
  bool UntilNoPools() {
    return world_->Until([&] { return world_->pools->pools().empty(); });
  }
};

TEST_F(ReplicationTest, TellsTheServerWhatTheClientSaidAndTheClientWhatTheServerSays) {
  Start();
  Peer client = LogInToReplicate(
      {{"replication", "true"}, {"options", "-c datestyle=ISO"}, {"application_name", "standby1"}});
  EXPECT_NE(welcome_.find(Reported("TimeZone", "UTC")), std::string::npos);
  backend_->ExpectsSilence();  // no SET
  Ask(client, Query("IDENTIFY_SYSTEM"));
  backend_->Send(Done("IDENTIFY_SYSTEM"));
  client.Expects(Done("IDENTIFY_SYSTEM"));
}

TEST_F(ReplicationTest, SaysDatabaseForLogicalReplication) {
  config_.routes[0].startup_parameters = {{"work_mem", "1MB"}};
  Start();
  Peer client = Connect();
  client.Send(AppStartup({{"replication", "database"}, {"datestyle", "ISO"}}));
  backend_ = std::make_unique<Peer>(Accept());
  backend_->Expects(
      AppStartup({{"replication", "database"}, {"work_mem", "1MB"}, {"datestyle", "ISO"}}));
  backend_->Send(LoginAnswer());
  client.ReadUntil('Z');
}

TEST_F(ReplicationTest, DropsIgnoredStartupParameters) {
  config_.ignore_startup_parameters = {"extra_float_digits"};
  Start();
  Peer client = Connect();
  client.Send(AppStartup({{"replication", "on"}, {"extra_float_digits", "3"}}));
  backend_ = std::make_unique<Peer>(Accept());
  backend_->Expects(AppStartup({{"replication", "true"}}));
  backend_->Send(LoginAnswer());
  client.ReadUntil('Z');
}

TEST_F(ReplicationTest, KeepsItsServerToTheEnd) {
  Start();
  Peer client = LogInToReplicate();
  Ask(client, Query("IDENTIFY_SYSTEM"));
  backend_->Send(Done("IDENTIFY_SYSTEM"));
  client.Expects(Done("IDENTIFY_SYSTEM"));
  backend_->ExpectsSilence();
  Ask(client, Query("SHOW wal_level"));  // the same server
  backend_->Send(Done("SHOW"));
  client.Expects(Done("SHOW"));
  client.Send(kTerminate);
  client.ExpectsEnd();
  ExpectServerEnds();
}

TEST_F(ReplicationTest, SharesItsServerWithNobody) {
  Start();
  Peer ordinary = LogInFirst();  // a pool of one server
  const std::unique_ptr<Peer> shared = std::move(backend_);
  Peer first = LogInToReplicate();
  const std::unique_ptr<Peer> own = std::move(backend_);
  Peer second = LogInToReplicate();
  ordinary.Send(Query("a"));
  shared->Expects(Query("a"));
  shared->Send(Done("A"));
  ordinary.Expects(Done("A"));
  first.Send(kTerminate);
  own->Expects(kTerminate);
  backend_->ExpectsSilence();
  shared->ExpectsSilence();
}

TEST_F(ReplicationTest, PassesAServersRefusalAtLogin) {
  Start();
  Peer client = Connect();
  client.Send(AppStartup({{"replication", "true"}}));
  Peer backend = Accept();
  backend.Expects(AppStartup({{"replication", "true"}}));
  backend.Send(Failed(sqlstate::kInsufficientPrivilege, severity::kFatal));
  backend.Close();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kInsufficientPrivilege);
  client.ExpectsEnd();
  EXPECT_TRUE(UntilNoPools());
}

TEST_F(ReplicationTest, IsRefusedWhereTheRouteSaysSo) {
  config_.routes[0].replication = ReplicationPolicy::kRefuse;
  Start();
  Peer client = Connect();
  client.Send(AppStartup({{"replication", "true"}}));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kInvalidAuthorizationSpecification);
  client.ExpectsEnd();
  EXPECT_TRUE(world_->pools->pools().empty());
}

TEST_F(ReplicationTest, HasNothingToDoOnTheConsole) {
  config_.console.admin_users = {"app"};
  Start();
  Peer client = Connect();
  client.Send(Written([](auto& w) {
    const std::vector<ParameterView> parameters = {
        {"user", "app"}, {"database", "trireme"}, {"replication", "database"}};
    w.StartupMessage(kProtocol30, parameters);
  }));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.ExpectsEnd();
}

TEST_F(ReplicationTest, AClientThatLeavesWhileItWaitsLeavesNoServer) {
  Start();
  Peer client = Connect();
  client.Send(AppStartup({{"replication", "true"}}));
  Peer backend = Accept();
  backend.Expects(AppStartup({{"replication", "true"}}));
  client.Close();
  EXPECT_TRUE(UntilNoClients());
  backend.Send(LoginAnswer());
  backend.Expects(kTerminate);
  backend.Close();
  EXPECT_TRUE(UntilNoPools());
}

// PgBouncer closes all idle servers for it.
TEST_F(ReplicationTest, TakesOnePlaceUnderTheCapOfTheStorage) {
  config_.storages[0].connections_max = 2;
  config_.routes[0].pool.size = 2;
  Start();
  Peer one = LogInFirst();
  Ask(one, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  one.Expects(Done("BEGIN", 'T'));
  const std::unique_ptr<Peer> busy = std::move(backend_);
  Peer two = LogIn();
  two.Send(Query("a"));
  Peer idle = postgres_->AcceptLogin();
  idle.Expects(Query("a"));
  idle.Send(Done("A"));
  two.Expects(Done("A"));

  Peer client = Connect();
  client.Send(AppStartup({{"replication", "true"}}));
  idle.Expects(kTerminate);
  idle.Close();
  backend_ = std::make_unique<Peer>(Accept());
  backend_->Expects(AppStartup({{"replication", "true"}}));
  backend_->Send(LoginAnswer());
  client.ReadUntil('Z');
  busy->ExpectsSilence();
}

TEST_F(ReplicationTest, IsNotHeldToTheLimitsOfQueries) {
  config_.routes[0].pool.query_timeout = 1ms;
  config_.routes[0].pool.transaction_timeout = 1ms;
  config_.timeouts.client_idle = 1ms;
  Start();
  Peer client = Streaming();
  for (int i = 0; i < 20; ++i) world_->Turn();
  backend_->Send(Message('d', "wal 2"));
  client.Expects(Message('d', "wal 2"));
}

// --- the stream ---

TEST_F(ReplicationTest, StreamsBothWaysUntilBothAreDone) {
  Start();
  Peer client = Streaming();
  Ask(client, Message('d', "status 1"));
  backend_->Send(Message('d', "wal 2"));
  client.Expects(Message('d', "wal 2"));
  Ask(client, kCopyDone);
  const std::string rest = Message('d', "wal 3") + kCopyDone + Message('T', Raw("\0\0")) +
                           Message('D', Raw("\0\0")) + Complete("SELECT") + Done("START_STREAMING");
  backend_->Send(rest);
  client.Expects(rest);
  Ask(client, Query("TIMELINE_HISTORY 2"));
  backend_->Send(Done("TIMELINE_HISTORY"));
  client.Expects(Done("TIMELINE_HISTORY"));
  client.Send(kTerminate);
  ExpectServerEnds();
}

// The server gives up a client of which it hears nothing (wal_sender_timeout).
TEST_F(ReplicationTest, PassesWhatASlowReaderSays) {
  config_.limits.backlog_bytes_max = 8192;
  Start();
  Peer client = Streaming();
  std::string wal;
  for (int i = 0; i < 64; ++i) wal += Message('d', std::string(16384, 'w'));
  std::string left = wal;
  for (int i = 0; i < 200; ++i) {
    backend_->TrySend(left);
    world_->Turn();
  }
  ASSERT_GT(left.size(), 0u);  // both sockets are full
  Ask(client, Message('d', "status 1"));
  Ask(client, Message('d', "status 2"));
  std::string got;
  world_->Until([&] {
    backend_->TrySend(left);
    got += client.TryRead(wal.size() - got.size());
    return got.size() == wal.size();
  });
  EXPECT_TRUE(got == wal);
}

TEST_F(ReplicationTest, EndsTheStreamOfAClientThatHasGone) {
  Start();
  Peer client = Streaming();
  client.Close();  // timeouts.half_close is 10 s
  ExpectServerEnds();
}

TEST_F(ReplicationTest, SendsWhatAClientSaidLast) {
  Start();
  Peer client = Streaming();
  client.Send(Message('d', "status 1") + kTerminate);
  backend_->Expects(Message('d', "status 1"));
  ExpectServerEnds();
  client.ExpectsEnd();
}

TEST_F(ReplicationTest, AnswersAClientThatHasEndedItsDirection) {
  Start();
  Peer client = Streaming();
  Ask(client, kCopyDone);
  client.SendNoMore();
  backend_->ExpectsSilence();
  const std::string rest = kCopyDone + Complete("COPY 0") + Done("START_STREAMING");
  backend_->Send(rest);
  client.Expects(rest);
  client.ExpectsEnd();
  ExpectServerEnds();
}

TEST_F(ReplicationTest, CancelsTheCommandOfAClientThatHasGone) {
  config_.timeouts.half_close = 1ms;
  Start();
  Peer client = LogInToReplicate();
  Ask(client, Query("CREATE_REPLICATION_SLOT s LOGICAL test_decoding"));
  client.Close();
  Peer cancel = Accept();
  cancel.Expects(CancelPacket());
  cancel.Close();
  ExpectServerEnds();
}

// A standby goes by the CommandComplete: another word would be an error to it.
TEST_F(ReplicationTest, AddsNothingToTheEndOfAServer) {
  Start();
  Peer client = Streaming();
  backend_->Send(Complete("COPY 0"));
  backend_.reset();
  client.Expects(Complete("COPY 0"));
  client.ExpectsEnd();
  EXPECT_TRUE(UntilNoPools());
}

TEST_F(ReplicationTest, EndsAtOnceWhenThePoolerShutsDown) {
  Start();
  Peer client = Streaming();
  world_->clients->Drain();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
  ExpectServerEnds();
}

// It has an end that is worth waiting for.
TEST_F(ReplicationTest, FinishesABaseBackupWhenThePoolerShutsDown) {
  Start();
  Peer client = LogInToReplicate();
  Ask(client, Query("BASE_BACKUP"));
  const std::string begin = Message('T', Raw("\0\0")) + Complete("SELECT") +
                            Message('H', Raw("\0\0\0")) + Message('d', "tar");
  backend_->Send(begin);
  client.Expects(begin);
  world_->clients->Drain();
  const std::string rest = Message('d', "tar") + kCopyDone + Message('T', Raw("\0\0")) +
                           Complete("SELECT") + Done("BASE_BACKUP");
  backend_->Send(rest);
  client.Expects(rest);
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  ExpectServerEnds();
}

TEST_F(ReplicationTest, CancelsAsItsClientAsks) {
  Start();
  Peer client = LogInToReplicate();
  Ask(client, Query("SELECT pg_sleep(60)"));
  Peer asker = Connect();
  asker.Send(CancelRequest());
  Peer cancel = Accept();
  cancel.Expects(CancelPacket());
  cancel.Close();
  asker.ExpectsEnd();
  backend_->Send(Failed(sqlstate::kQueryCanceled) + Ready());
  client.Expects(Failed(sqlstate::kQueryCanceled) + Ready());
}

}  // namespace
}  // namespace trireme
