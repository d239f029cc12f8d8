// SPDX-License-Identifier: GPL-3.0-or-later
//
// What passes between clients and servers: who owes whom a reply, what goes ahead of a request,
// what is refused, and when a server is free.
#include "session/client_world_test.h"
#include "session/report.h"

namespace trireme {
namespace {

using namespace script;

class RelayTest : public ClientTest {
 protected:
  void SetUp() override { config_.routes[0].pool.prepared_statements_max = 0; }
};

const std::string kParse = Message('P', std::string("\0x\0\0\0", 5));
const std::string kNamedParse = Message('P', std::string("s\0x\0\0\0", 6));
const std::string kBind = Message('B', std::string(8, '\0'));
const std::string kExecute = Message('E', std::string(5, '\0'));
const std::string kSync = Message('S');
const std::string kCopyDone = Message('c');

TEST_F(RelayTest, ReturnsTheServerOnlyWhenNothingIsOwed) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("a") + Query("b"));
  second.Send(Query("c"));
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  backend_->ExpectsSilence();
  backend_->Send(Done("B"));
  first.Expects(Done("B"));
  backend_->Expects(Query("c"));
  backend_->Send(Done("C"));
  second.Expects(Done("C"));
  const StatsTotals totals = TotalsOf(*world_->clients, *world_->clients->accounts()[0]);
  EXPECT_EQ(totals.query_count, 3u);
  EXPECT_EQ(totals.xact_count, 3u);
  EXPECT_EQ(totals.server_assignment_count, 2u);
}

TEST_F(RelayTest, KeepsTheServerInATransactionAndBeforeASync) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  second.Send(Query("c"));
  backend_->Expects(Query("c"));
  Peer& holder = second;
  first.Send(Query("d"));
  backend_->Send(Done("BEGIN", 'T'));
  holder.Expects(Done("BEGIN", 'T'));
  backend_->ExpectsSilence();
  Ask(holder, Query("commit"));
  backend_->Send(Done("COMMIT"));
  backend_->Expects(Query("d"));
  backend_->Send(Done("D"));
  first.Expects(Done("D"));
  Ask(first, kParse + kBind + Message('H'));
  second.Send(Query("e"));
  backend_->Send(Message('1') + Message('2'));
  first.Expects(Message('1') + Message('2'));
  backend_->ExpectsSilence();
  Ask(first, kSync);
  backend_->Send(Ready());
  backend_->Expects(Query("e"));
}

// What came before the refused message in the pipeline must not be committed by the Sync behind it.
TEST_F(RelayTest, ARefusedMessageFailsThePipelineOnTheServerToo) {
  Start();
  Peer client = LogInFirst();
  client.Send(kParse + kBind + kExecute + kNamedParse + kBind + kExecute + kSync);
  backend_->Expects(kParse + kBind + kExecute);
  const std::string stand_in = backend_->ReadMessage();
  EXPECT_EQ(stand_in[0], 'E');
  EXPECT_NE(stand_in, kExecute);
  backend_->Expects(kSync);
  const std::string answer = Message('1') + Message('2') + Message('C', std::string("X\0", 2));
  backend_->Send(answer + Failed("34000") + Ready());
  client.Expects(answer);
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(RelayTest, RefusalsInOnePipelineKeepTheirOwnWords) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("a") + kNamedParse + kSync + kBind + kSync);
  backend_->Expects(Query("a"));
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->Send(Done("A") + Failed("34000") + Ready() + Failed("34000") + Ready());
  client.Expects(Done("A"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready());
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kInvalidSqlStatementName);
  client.Expects(Ready());
}

TEST_F(RelayTest, SetsParametersInFrontOfTheFirstMessage) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "GMT"}});
  client.Send(Query("a"));
  const std::string set = Query("SET \"TimeZone\" TO 'GMT';");
  backend_->Expects(set + Query("a"));
  const std::string status = Reported("TimeZone", "GMT");
  backend_->Send(Complete("SET") + status + Ready() + Done("A"));
  client.Expects(Done("A"));
  Ask(client, Query("b"));  // nothing to set any more
  backend_->Send(Done("B"));
  client.Expects(Done("B"));
  Peer other = LogIn();
  other.Send(Query("c"));
  backend_->Expects(Query("SET \"TimeZone\" TO 'UTC';") + Query("c"));
}

TEST_F(RelayTest, ARefusedParameterEndsTheClientAndNotTheServer) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "GMT"}});
  client.Send(Query("a"));
  const std::string set = Query("SET \"TimeZone\" TO 'GMT';");
  backend_->Expects(set + Query("a"));
  backend_->Send(Failed("22023"));
  const PgError error = client.ReadError();
  EXPECT_EQ(error.sqlstate, "22023");
  EXPECT_EQ(error.severity, severity::kFatal);
  client.ExpectsEnd();
  Accept().Close();  // the cancel of the query behind it
  backend_->Send(Ready() + Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(RelayTest, ACancelWaitsUntilTheParametersAreSet) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "GMT"}});
  client.Send(Query("a"));
  backend_->Expects(Query("SET \"TimeZone\" TO 'GMT';") + Query("a"));
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  backend_->Send(Complete("SET") + Reported("TimeZone", "GMT") + Ready());
  Peer to_server = Accept();
  to_server.Expects(CancelPacket());
  to_server.Close();
  backend_->Send(Failed("57014") + Ready());
  client.Expects(Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(RelayTest, ACancelThatComesTooLateHitsNobody) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "GMT"}});
  client.Send(Query("a"));
  backend_->Expects(Query("SET \"TimeZone\" TO 'GMT';") + Query("a"));
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  backend_->Send(Complete("SET") + Reported("TimeZone", "GMT") + Ready() + Done("A"));
  client.Expects(Done("A"));
  Ask(client, Query("b"));
  backend_->Send(Done("B"));
  client.Expects(Done("B"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(RelayTest, SetsUnreportedParametersAgainAfterTheResetQuery) {
  config_.routes[0].pool.mode = PoolMode::kSession;
  config_.routes[0].pool.reset_query = "DISCARD ALL";
  Start();
  const std::string set = Query("SET \"extra_float_digits\" TO '2';");
  Peer first = Connect();
  first.Send(AppStartup({{"extra_float_digits", "2"}}));
  backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
  first.ReadUntil('Z');  // only asked for its welcome, the server needs no reset
  for (int i = 0; i < 2; ++i) {
    Peer client = LogIn({{"extra_float_digits", "2"}});
    client.Send(Query("a"));
    backend_->Expects(set + Query("a"));
    backend_->Send(Done("SET") + Done("A"));
    client.Expects(Done("A"));
    client.Close();
    backend_->Expects(Query("DISCARD ALL"));
    backend_->Send(Done("DISCARD ALL"));
  }
}

TEST_F(RelayTest, AsksForRepliesOnceForEachHalfOfTheLimit) {
  config_.limits.expected_replies_max = 4;
  Start();
  Peer client = LogInFirst();
  const std::string flush = Message('H'), parsed = Message('1');
  std::string pipeline;
  for (int i = 0; i < 8; ++i) pipeline += kParse;
  client.Send(pipeline + kSync);
  backend_->Expects(kParse + kParse + kParse + kParse + flush);
  backend_->Send(parsed);
  client.Expects(parsed);
  backend_->ExpectsSilence();  // more than half of them are still owed
  backend_->Send(parsed);
  client.Expects(parsed);
  backend_->Expects(kParse + kParse + flush);
  backend_->Send(parsed + parsed + parsed + parsed);
  backend_->Expects(kParse + kParse + kSync);
  backend_->Send(parsed + parsed + Ready());
  client.Expects(parsed + parsed + parsed + parsed + parsed + parsed + Ready());
  EXPECT_TRUE(UntilIdle());
}

// More bytes than there are receive buffers for, piece by piece, from a client that must wait.
class ScarceBuffersTest : public ClientTest {
 public:
  static constexpr int kRequests = 24;
  ScarceBuffersTest() {
    config_.limits.buffers_max = 16;
    config_.limits.expected_replies_max = 1;
  }
  static std::string Request(int i) { return Query(std::to_string(i) + std::string(2000, 'q')); }
  void SendRequests(Peer& client) {
    for (int i = 0; i < kRequests; ++i) {
      client.Send(Request(i));
      for (int turn = 0; turn < 3; ++turn) world_->Turn();
    }
    EXPECT_FALSE(world_->buffers.scarce());
    EXPECT_GT(world_->buffers.heap_blocks(), 0u);
  }
  // One after the other; all but the last ask for the reply that holds the next one back.
  void ServeRequests(Peer& client) {
    for (int i = 0; i < kRequests; ++i) {
      backend_->Expects(Request(i));
      if (i + 1 < kRequests) backend_->Expects(Message('H'));
      backend_->Send(Done("A"));
      client.Expects(Done("A"));
    }
    EXPECT_TRUE(UntilIdle());
  }
};

TEST_F(ScarceBuffersTest, AClientThatWaitsForAServerLeavesThemToOthers) {
  Start();
  Peer holder = LogInFirst(), waiter = LogIn();
  Ask(holder, Query("begin"));
  SendRequests(waiter);
  backend_->Send(Done("BEGIN", 'T'));
  holder.Expects(Done("BEGIN", 'T'));
  Ask(holder, Query("commit"));
  backend_->Send(Done("COMMIT"));
  holder.Expects(Done("COMMIT"));
  ServeRequests(waiter);
}

TEST_F(ScarceBuffersTest, AClientThatIsHeldBackLeavesThemToOthers) {
  Start();
  Peer client = LogInFirst();
  SendRequests(client);
  Peer other = LogIn();
  ServeRequests(client);
}

TEST_F(RelayTest, LateCopyDataIsNobodysRequest) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("copy"));
  const std::string copy_in = Message('G', std::string("\0\0\0", 3));
  backend_->Send(copy_in);
  first.Expects(copy_in);
  Ask(first, Message('d', "row"));
  backend_->Send(Failed("22P02") + Ready());
  first.Expects(Failed("22P02") + Ready());
  EXPECT_TRUE(UntilIdle());
  first.Send(Message('d', "row") + Message('c'));
  Ask(second, Query("b"));
  backend_->Send(Done("B"));
  second.Expects(Done("B"));
  Ask(first, Query("c"));
}

// PostgreSQL ignores a Sync inside a COPY, and answers it behind one that has failed: which it was
// only shows in what it answers before something that is sent later.
TEST_F(RelayTest, ASyncInsideACopyThatFailsIsAnsweredOrNot) {
  Start();
  Peer client = LogInFirst();
  const std::string data = Message('d', "row");
  const std::string copy = kParse + kBind + kExecute + kSync + data + kCopyDone + kSync;
  const std::string begun = Message('1') + Message('2') + Message('G', Raw("\0\0\0"));
  for (const std::string& answered : {std::string(), Ready()}) {
    client.Send(copy + Query("next"));
    backend_->Expects(copy + Message('H'));
    backend_->Send(begun + Failed("22P02") + Ready() + answered);
    client.Expects(begun + Failed("22P02") + Ready());
    backend_->Expects(Query(""));
    client.Expects(answered);
    backend_->Send(Message('I') + Ready());
    backend_->Expects(Query("next"));
    backend_->Send(Done("SELECT 1"));
    client.Expects(Done("SELECT 1"));
    EXPECT_TRUE(UntilIdle());
  }
}

TEST_F(RelayTest, WhatMayBeAnsweredOrNotEndsTheClient) {
  Start();
  Peer client = LogInFirst();
  const std::string copy = kParse + kBind + kExecute + kSync;
  const std::string failed =
      Message('1') + Message('2') + Message('G', Raw("\0\0\0")) + Failed("22P02");
  Ask(client, copy);
  backend_->Send(failed);
  client.Expects(failed);
  client.Send(kParse + kSync);
  backend_->Expects(kParse + kSync);
  backend_->Send(Ready());
  const PgError error = client.ReadError();
  EXPECT_EQ(error.severity, severity::kFatal);
  EXPECT_EQ(error.sqlstate, sqlstate::kProtocolViolation);
  EXPECT_EQ(error.message, "cannot tell which requests the server will answer");
  client.ExpectsEnd();
}

TEST_F(RelayTest, StatementModeAllowsNoTransactionBlocks) {
  config_.routes[0].pool.mode = PoolMode::kStatement;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Complete("BEGIN"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.ExpectsEnd();
  backend_->Expects(Query("ROLLBACK"));
}

// Both sides talk at once, and each ends its own direction.
TEST_F(RelayTest, CopyBothPassesBothWaysUntilBothAreDone) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("START_REPLICATION"));
  const std::string copy_both = Message('W', Raw("\0\0\0"));
  backend_->Send(copy_both + Message('d', "wal 1"));
  first.Expects(copy_both + Message('d', "wal 1"));
  Ask(first, Message('d', "status 1"));
  backend_->Send(Message('d', "wal 2"));
  first.Expects(Message('d', "wal 2"));
  Ask(first, Message('d', "status 2") + kCopyDone);
  second.Send(Query("b"));
  backend_->Send(Message('d', "wal 3"));  // the other direction is still open
  first.Expects(Message('d', "wal 3"));
  backend_->ExpectsSilence();
  backend_->Send(kCopyDone + Complete("COPY 0"));
  first.Expects(kCopyDone + Complete("COPY 0"));
  backend_->ExpectsSilence();
  backend_->Send(Done("START_REPLICATION"));
  first.Expects(Done("START_REPLICATION"));
  backend_->Expects(Query("b"));
  backend_->Send(Done("B"));
  second.Expects(Done("B"));
}

TEST_F(RelayTest, CopyBothMayBeEndedByTheServerFirst) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("START_REPLICATION"));
  const std::string begin = Message('W', Raw("\0\0\0")) + Message('d', "wal 1") + kCopyDone;
  backend_->Send(begin);
  first.Expects(begin);
  second.Send(Query("b"));
  Ask(first, Message('d', "status 1"));
  backend_->ExpectsSilence();
  Ask(first, kCopyDone);
  backend_->Send(Done("START_REPLICATION"));
  first.Expects(Done("START_REPLICATION"));
  backend_->Expects(Query("b"));
  backend_->Send(Done("B"));
  second.Expects(Done("B"));
}

TEST_F(RelayTest, CopyBothOfAClientThatHasGoneIsEnded) {
  config_.timeouts.half_close = 1ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("START_REPLICATION"));
  backend_->Send(Message('W', Raw("\0\0\0")) + Message('d', "wal 1"));
  client.Expects(Message('W', Raw("\0\0\0")) + Message('d', "wal 1"));
  client.Close();
  EXPECT_EQ(backend_->ReadMessage()[0], 'f');
  Accept().Close();  // its cancel
  backend_->Send(Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
}

}  // namespace
}  // namespace trireme
