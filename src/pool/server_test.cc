// SPDX-License-Identifier: GPL-3.0-or-later
//
// Servers that are logged in: lent, cleaned, cancelled, handed over, closed.
#include "pool/server.h"

#include "pool/server_world_test.h"

namespace trireme {
namespace {

using namespace script;

TEST(Server, PassesRepliesToItsUser) {
  Lent lent;
  lent.Ask("SELECT 1");
  lent.backend.Send(Done("SELECT 1"));
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.received == Done("SELECT 1"); }));
  EXPECT_EQ(lent.client.server->replies().Next(AsBytes(lent.client.received)).event,
            ReplyStep::Event::kReady);
  lent.pool().Return(*lent.client.server);
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, ReadsForItselfWhatItsUserLeftUnread) {
  Lent lent;
  Server& server = *lent.client.server;
  lent.backend.Send(Reported("TimeZone", "Asia/Tokyo"));
  ASSERT_TRUE(lent.world.Until([&] { return !lent.client.received.empty(); }));
  server.inbox().Push(lent.world.core().buffers.Copy(AsBytes(lent.client.received)));
  lent.pool().Return(server);
  ASSERT_TRUE(lent.UntilIdle());
  EXPECT_EQ(*server.parameters().Find("TimeZone"), "Asia/Tokyo");
}

TEST(Server, IsGoneForItsUserWhenPostgresCloses) {
  Lent lent;
  lent.backend.Close();
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.ended; }));
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, AcceptsAChangedParameterWhileIdle) {
  Lent lent;
  Server& server = *lent.client.server;
  lent.pool().Return(server);
  const std::string message = Reported("TimeZone", "Europe/Berlin");
  lent.backend.Send(message.substr(0, 7));  // in two parts: not lent between them
  ASSERT_TRUE(lent.world.Until([&] { return lent.pool().counts().settling == 1; }));
  lent.backend.Send(message.substr(7));
  ASSERT_TRUE(lent.UntilIdle());
  EXPECT_EQ(*server.parameters().Find("TimeZone"), "Europe/Berlin");
  EXPECT_EQ(*server.baseline().Find("TimeZone"), "Europe/Berlin");
}

TEST(Server, IsClosedWhenItSpeaksWhileIdle) {
  for (const std::string& bytes :
       {Done("SELECT 1"), Failed("57P01"), Raw("garbage that is long")}) {
    Lent lent;
    lent.pool().Return(*lent.client.server);
    lent.backend.Send(bytes);
    EXPECT_TRUE(lent.backend.ExpectsEnd());
    lent.backend.Close();
    EXPECT_TRUE(lent.UntilGone());
  }
}

TEST(Server, KeepsItsPlaceUntilPostgresHasEnded) {
  Lent lent;
  lent.pool().Return(*lent.client.server);
  lent.world.core().pools->Drain();
  ASSERT_TRUE(lent.backend.Expects(Written([](auto& w) { w.Terminate(); })));
  for (int i = 0; i < 20; ++i) lent.world.core().Turn();
  EXPECT_EQ(lent.pool().board().size().open(), 1u);
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

// PostgreSQL is busy and has not taken all that it was sent, when half a message is all there is.
TEST(Server, KeepsItsPlaceWhereTheEndCutsOffWhatItWasSent) {
  Lent lent;
  lent.client.server->stream().SendCopy(AsBytes(std::string(16 << 20, 'x')));
  for (int i = 0; i < 5; ++i) lent.world.core().Turn();
  ASSERT_GT(lent.client.server->stream().backlog_bytes(), 0u);
  lent.pool().Abandon(*std::exchange(lent.client.server, nullptr),
                      AbandonReason::kBrokenMidMessage);
  for (int i = 0; i < 20; ++i) lent.world.core().Turn();
  EXPECT_EQ(lent.pool().board().size().open(), 1u);
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, CancelsRollsBackAndResetsForAClientThatHasGone) {
  Lent lent;
  lent.Ask("BEGIN; SELECT pg_sleep(1000)");
  lent.Abandon();
  Peer cancel = lent.postgres.Accept();
  ASSERT_TRUE(cancel.Expects(CancelPacket()));
  lent.backend.Send(Failed("57014") + Ready('E'));
  for (int i = 0; i < 20; ++i) lent.world.core().Turn();  // the cancel is still on its way
  EXPECT_EQ(lent.pool().counts().settling, 1u);
  cancel.Close();
  ASSERT_TRUE(lent.backend.Expects(Query("ROLLBACK")));
  lent.backend.Send(Done("ROLLBACK"));
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, EndsTheCopyOfAClientThatHasGone) {
  Lent lent;
  lent.Ask("COPY t FROM STDIN");
  lent.backend.Send(Raw("G\0\0\0\x07\0\0\0"));
  ASSERT_TRUE(lent.world.Until([&] { return !lent.client.received.empty(); }));
  lent.client.server->replies().Next(AsBytes(lent.client.received));
  ASSERT_TRUE(lent.client.server->replies().in_copy());
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Raw("f\0\0\0\x18the client has gone\0")));
  lent.postgres.Accept().Close();
  lent.backend.Send(Failed("57014") + Ready());
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

const std::string kSync = Written([](auto& w) { w.Sync(); });
const std::string kCopyIn = Raw("G\0\0\0\x07\0\0\0");

// The client's own Sync was sent inside the COPY: whether PostgreSQL has read it there shows in
// what comes before the answer to the empty query.
TEST(Server, FindsOutWhichSyncsTheCopyOfAClientThatHasGoneHasRead) {
  for (const std::string& answered : {std::string(), Ready()}) {
    Lent lent;
    Replies& replies = lent.client.server->replies();
    replies.Expect(Request::kExecute, Disposition::kForward);
    replies.Expect(Request::kSync, Disposition::kForward);
    lent.backend.Send(kCopyIn);
    ASSERT_TRUE(lent.world.Until([&] { return !lent.client.received.empty(); }));
    replies.Next(AsBytes(lent.client.received));
    lent.Abandon();
    ASSERT_TRUE(lent.backend.Expects(Raw("f\0\0\0\x18the client has gone\0") + kSync));
    lent.postgres.Accept().Close();
    lent.backend.Send(Failed("57014") + Ready() + answered);
    ASSERT_TRUE(lent.backend.Expects(Query("")));
    lent.backend.Send(Message('I') + Ready());
    ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
    lent.backend.Send(Done("DISCARD ALL"));
    EXPECT_TRUE(lent.UntilIdle());
  }
}

// … and without the end of the COPY.
TEST(Server, EndsThePassingOverBehindACopyThatHasFailed) {
  for (const std::string& answered : {std::string(), Ready()}) {
    Lent lent;
    Replies& replies = lent.client.server->replies();
    replies.Expect(Request::kExecute, Disposition::kForward);
    replies.Expect(Request::kSync, Disposition::kForward);
    lent.Abandon();
    lent.postgres.Accept().Close();
    lent.backend.Send(kCopyIn + Failed("57014"));
    ASSERT_TRUE(lent.backend.Expects(kSync));
    lent.backend.Send(Ready() + answered);
    ASSERT_TRUE(lent.backend.Expects(Query("")));
    lent.backend.Send(Message('I') + Ready());
    ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
    lent.backend.Send(Done("DISCARD ALL"));
    EXPECT_TRUE(lent.UntilIdle());
  }
}

const std::string kFlush = Raw("H\0\0\0\x04");
const std::string kUndoPipeline = Raw("P\0\0\0\x10\0ROLLBACK\0\0\0") +
                                  Raw("B\0\0\0\x0c\0\0\0\0\0\0\0\0") +
                                  Raw("E\0\0\0\x09\0\0\0\0\0") + kSync;

// A Sync alone would commit what PostgreSQL undoes when a client vanishes.
TEST(Server, UndoesThePipelineThatAGoneClientDidNotEnd) {
  Lent lent;
  lent.client.server->replies().Expect(Request::kParse, Disposition::kForward);
  const std::string parse = Raw("P\0\0\0\x08\0\0\0\0");
  lent.client.server->stream().SendCopy(AsBytes(parse));
  ASSERT_TRUE(lent.backend.Expects(parse));
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(kFlush));
  lent.postgres.Accept().Close();
  lent.backend.Send(Written([](auto& w) { w.ParseComplete(); }));
  ASSERT_TRUE(lent.backend.Expects(kUndoPipeline));
  lent.backend.Send(Written([](auto& w) {
                      w.ParseComplete();
                      w.BindComplete();
                      w.CommandComplete("ROLLBACK");
                    }) +
                    Ready());
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, UndoesAPipelineThatHasFailed) {
  Lent lent;
  lent.client.server->replies().Expect(Request::kParse, Disposition::kForward);
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(kFlush));
  lent.postgres.Accept().Close();
  lent.backend.Send(Failed("42601"));
  ASSERT_TRUE(lent.backend.Expects(kUndoPipeline));  // passed over, but for the Sync
  lent.backend.Send(Ready());
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

// A cancel that comes late may hit what we say ourselves.
TEST(Server, SettlesWhenUndoingAPipelineFails) {
  Lent lent;
  lent.client.server->replies().Expect(Request::kParse, Disposition::kForward);
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(kFlush));
  lent.postgres.Accept().Close();
  lent.backend.Send(Written([](auto& w) { w.ParseComplete(); }));
  ASSERT_TRUE(lent.backend.Expects(kUndoPipeline));
  lent.backend.Send(Failed("57014") + Ready('E'));
  ASSERT_TRUE(lent.backend.Expects(Query("ROLLBACK")));
  lent.backend.Send(Done("ROLLBACK"));
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

// The report comes alone, so that its buffer is free as soon as it has been read.
TEST(Server, HearsWhatItsResetChanges) {
  Lent lent;
  Server& server = *lent.client.server;
  server.parameters().Set("TimeZone", "Asia/Tokyo");
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Written([](auto& w) { w.ParameterStatus({"TimeZone", "UTC"}); }));
  ASSERT_TRUE(lent.world.Until([&] { return *server.parameters().Find("TimeZone") == "UTC"; }));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, IsClosedWhenItsResetFails) {
  Lent lent;
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Failed("42501") + Ready());
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, IsClosedWhenItDoesNotSettleInTime) {
  ServerWorld world;
  world.config.routes[0].pool.reset_timeout = 50ms;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  Peer backend = Lent::Connect(world, postgres, client);
  world.core().pool().Abandon(*client.server, AbandonReason::kClientGone);
  ASSERT_TRUE(backend.Expects(Query("DISCARD ALL")));
  EXPECT_TRUE(backend.ExpectsEnd());
  backend.Close();
  EXPECT_TRUE(world.Until([&] { return world.core().pool().board().size().open() == 0; }));
}

// --- what is reset, and when ---------------------------------------------------------------------

TEST(Server, IsResetAfterEachClientOfSessionModeOnly) {
  for (const PoolMode mode : {PoolMode::kSession, PoolMode::kTransaction, PoolMode::kStatement}) {
    Lent lent;
    lent.pool().Return(*std::exchange(lent.client.server, nullptr), mode);
    EXPECT_EQ(lent.pool().counts().idle, mode == PoolMode::kSession ? 0u : 1u);
    if (mode != PoolMode::kSession) continue;
    ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
    lent.backend.Send(Done("DISCARD ALL"));
    EXPECT_TRUE(lent.UntilIdle());
  }
}

TEST(Server, IsResetAfterEachTransactionWhereTheConfigurationSaysAlways) {
  Lent lent(1, [](PoolConfig& pool) {
    pool.reset = ResetPolicy::kAlways;
    pool.reset_query = "CLOSE ALL; RESET ALL";
  });
  lent.client.server->parameters().Set("work_mem", "1MB");
  Server& server = *lent.client.server;
  lent.GiveBack();
  ASSERT_TRUE(lent.backend.Expects(Query("CLOSE ALL; RESET ALL")));
  lent.backend.Send(Complete("CLOSE CURSOR ALL") + Done("RESET"));
  EXPECT_TRUE(lent.UntilIdle());
  EXPECT_EQ(server.parameters().Find("work_mem"), nullptr);
}

TEST(Server, IsResetOnlyWhenItsClientMayHaveLeftSomethingWhereTheConfigurationSaysSo) {
  Lent lent(1, [](PoolConfig& pool) { pool.reset = ResetPolicy::kWhenDirty; });
  lent.pool().Return(*std::exchange(lent.client.server, nullptr), PoolMode::kSession);
  EXPECT_EQ(lent.pool().counts().idle, 1u);
  lent.pool().Checkout(lent.client, lent.client);
  lent.client.server->MarkDirty();
  lent.pool().Return(*std::exchange(lent.client.server, nullptr), PoolMode::kSession);
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
  lent.pool().Checkout(lent.client, lent.client);  // clean again
  lent.pool().Return(*std::exchange(lent.client.server, nullptr), PoolMode::kSession);
  EXPECT_EQ(lent.pool().counts().idle, 1u);
}

TEST(Server, IsOnlyRolledBackForAClientThatHasGoneAndLeftNothing) {
  Lent lent(1, [](PoolConfig& pool) { pool.reset = ResetPolicy::kWhenDirty; });
  lent.Ask("BEGIN", Done("BEGIN", 'T'));
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Query("ROLLBACK")));
  lent.backend.Send(Done("ROLLBACK"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, ForgetsEverythingForAClientThatHasGoneInDoubt) {
  Lent lent(1, [](PoolConfig& pool) {
    pool.reset = ResetPolicy::kWhenDirty;
    pool.reset_query = "";
  });
  lent.client.server->MarkTraces();
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, IsClosedAndNotCancelledWhereTheConfigurationSaysSo) {
  Lent lent(1, [](PoolConfig& pool) { pool.cancel_on_disconnect = false; });
  lent.Ask("SELECT pg_sleep(1000)");
  lent.Abandon();
  EXPECT_EQ(lent.world.core().pools->resources().cancels, 0u);
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, IsClosedAndNotRolledBackWhereTheConfigurationSaysSo) {
  Lent lent(1, [](PoolConfig& pool) { pool.rollback_on_disconnect = false; });
  lent.Ask("BEGIN", Done("BEGIN", 'T'));
  lent.Abandon();
  EXPECT_TRUE(lent.backend.Expects(Written([](auto& w) { w.Terminate(); })));
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, IsCancelledAndThenClosedWhereOnlyTheRollbackIsOff) {
  Lent lent(1, [](PoolConfig& pool) { pool.rollback_on_disconnect = false; });
  lent.Ask("SELECT pg_sleep(1000)");
  lent.Abandon();
  lent.postgres.Accept().Close();
  lent.backend.Send(Failed("57014") + Ready());  // it was in no transaction
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

// --- checked before it is lent -------------------------------------------------------------------

const std::string kEmptyAnswer = Written([](auto& w) { w.EmptyQueryResponse(); }) + Ready();

void CheckEachTime(PoolConfig& pool) {
  pool.check_query = ";";
  pool.check_delay = 0s;
}

TEST(Server, IsCheckedBeforeItIsLentWhenNobodyHasHeardOfItForLong) {
  Lent lent(1, CheckEachTime);
  lent.GiveBack();
  lent.world.core().Turn();
  lent.pool().Checkout(lent.client, lent.client);
  EXPECT_EQ(lent.client.server, nullptr);
  ASSERT_TRUE(lent.backend.Expects(Query(";")));
  EXPECT_EQ(lent.client.server, nullptr);
  EXPECT_EQ(lent.pool().board().size().open(), 1u);  // no other one is opened meanwhile
  lent.backend.Send(kEmptyAnswer);
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.server != nullptr; }));
  lent.GiveBack();
}

TEST(Server, IsNotCheckedWhenItWasInUseLately) {
  Lent lent(1, [](PoolConfig& pool) { pool.check_query = ";"; });
  lent.GiveBack();
  lent.world.core().Turn();
  lent.pool().Checkout(lent.client, lent.client);
  EXPECT_NE(lent.client.server, nullptr);
  lent.GiveBack();
}

TEST(Server, IsReplacedWhenItsCheckFails) {
  Lent lent(1, CheckEachTime);
  lent.GiveBack();
  lent.world.core().Turn();
  lent.pool().Checkout(lent.client, lent.client);
  ASSERT_TRUE(lent.backend.Expects(Query(";")));
  lent.backend.Send(Failed("57P01") + Ready());
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  Peer fresh = lent.postgres.AcceptLogin();
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.server != nullptr; }));
  EXPECT_FALSE(lent.client.refusal);
  lent.GiveBack();
}

TEST(Server, IsReplacedWhenItDoesNotAnswerItsCheck) {
  Lent lent(1, [](PoolConfig& pool) {
    CheckEachTime(pool);
    pool.reset_timeout = 50ms;
  });
  lent.GiveBack();
  lent.world.core().Turn();
  lent.pool().Checkout(lent.client, lent.client);
  ASSERT_TRUE(lent.backend.Expects(Query(";")));
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  Peer fresh = lent.postgres.AcceptLogin();
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.server != nullptr; }));
  lent.GiveBack();
}

TEST(Server, IsCheckedByTheCoreItHasMovedTo) {
  Lent lent(2, CheckEachTime);
  lent.GiveBack();
  ASSERT_TRUE(lent.UntilIdle());
  PoolClient other;
  PoolShard& there = lent.world.core(1).pool();
  there.Checkout(other, other);
  ASSERT_TRUE(lent.backend.Expects(Query(";")));
  EXPECT_EQ(there.counts().settling, 1u);
  lent.backend.Send(kEmptyAnswer);
  ASSERT_TRUE(lent.world.Until([&] { return other.server != nullptr; }));
  there.Return(*other.server);
}

TEST(Server, TellsWhoAskedThatACancelIsDelivered) {
  class Observer final : public CancelObserver {
   public:
    void OnCancelEnd() override { ended = true; }
    bool ended = false;
  };
  Lent lent;
  Observer observer;
  lent.client.server->Cancel(&observer);
  Peer cancel = lent.postgres.Accept();
  ASSERT_TRUE(cancel.Expects(CancelPacket()));
  EXPECT_FALSE(observer.ended);
  lent.pool().Return(*std::exchange(lent.client.server, nullptr));
  EXPECT_EQ(lent.pool().counts().settling, 1u);  // held back
  cancel.Close();
  EXPECT_TRUE(lent.UntilIdle());
  EXPECT_TRUE(observer.ended);
}

// Two servers of one storage, that takes one cancel at a time.
class CancelLineTest : public ::testing::Test {
 protected:
  void Start() {
    world_.config.storages[0].cancels_max = 1;
    for (PoolClient& client : clients_) {
      backends_.push_back(Lent::Connect(world_, postgres_, client));
      client.server->replies().Expect(Request::kQuery, Disposition::kForward);
      client.server->stream().SendCopy(AsBytes(Query("a")));
      ASSERT_TRUE(backends_.back().Expects(Query("a")));
    }
    for (PoolClient& client : clients_) client.server->Cancel(nullptr);
  }
  void TearDown() override {
    for (Peer& backend : backends_) backend.Close();
    EXPECT_TRUE(world_.Until([&] { return pool().board().size().open() == 0; }));
  }
  PoolShard& pool() { return world_.core().pool(); }
  bool UntilNoCancelIsLeft() {
    return world_.Until([&] { return world_.core().pools->resources().cancels == 0; });
  }

  ServerWorld world_;
  PoolClient clients_[2];
  Postgres postgres_{world_, world_.sockets.path()};
  std::vector<Peer> backends_;
};

TEST_F(CancelLineTest, OneGoesWhenTheOtherIsThrough) {
  Start();
  Peer first = postgres_.Accept();
  ASSERT_TRUE(first.Expects(CancelPacket()));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_FALSE(postgres_.SomebodyWaits());
  first.Close();
  Peer second = postgres_.Accept();
  ASSERT_TRUE(second.Expects(CancelPacket()));
  second.Close();
  EXPECT_TRUE(UntilNoCancelIsLeft());
}

TEST_F(CancelLineTest, IsLeftWhenTheQueryIsOver) {
  Start();
  Peer first = postgres_.Accept();
  ASSERT_TRUE(first.Expects(CancelPacket()));
  PoolClient& client = clients_[1];
  backends_[1].Send(Done("B"));
  ASSERT_TRUE(world_.Until([&] { return client.received == Done("B"); }));
  client.server->replies().Next(AsBytes(client.received));
  pool().Return(*std::exchange(client.server, nullptr));
  EXPECT_TRUE(world_.Until([&] { return pool().counts().idle == 1; }));
  first.Close();
  EXPECT_TRUE(UntilNoCancelIsLeft());
  EXPECT_FALSE(postgres_.SomebodyWaits());
}

TEST_F(CancelLineTest, IsLeftWhenTimeIsUp) {
  world_.config.timeouts.cancel = 50ms;
  Start();
  Peer first = postgres_.Accept();
  EXPECT_TRUE(UntilNoCancelIsLeft());
  EXPECT_FALSE(postgres_.SomebodyWaits());
}

TEST(Server, DoesNotHoldUpTheEndForACancelThatNobodyTakes) {
  Lent lent;
  lent.world.config.timeouts.cancel = 1h;
  lent.client.server->Cancel(nullptr);
  Peer before = lent.postgres.Accept();
  lent.Ask("SELECT pg_sleep(1000)");
  lent.world.core().pools->Stop();
  lent.Abandon();  // cancelled, too, though all ends
  Peer after = lent.postgres.Accept();
  ASSERT_TRUE(after.Expects(CancelPacket()));
  EXPECT_TRUE(lent.world.Until([&] { return lent.world.core().pools->resources().cancels == 0; }));
}

TEST(Server, MovesToAnotherCoreAndWorksThere) {
  Lent lent(2);
  const uint64_t id = lent.client.server->id();
  lent.pool().Return(*std::exchange(lent.client.server, nullptr));
  ASSERT_TRUE(lent.UntilIdle());
  PoolClient other;
  PoolShard& there = lent.world.core(1).pool();
  there.Checkout(other, other);
  ASSERT_TRUE(lent.world.Until([&] { return other.server != nullptr; }));
  EXPECT_EQ(other.server->id(), id);
  EXPECT_EQ(other.server->key().secret, kSecret);
  EXPECT_EQ(*other.server->baseline().Find("server_version"), "15.4");
  EXPECT_EQ(other.server->counters().hand_overs, 1u);
  EXPECT_EQ(there.board().size().open(), 1u);
  other.server->replies().Expect(Request::kQuery, Disposition::kForward);
  other.server->stream().SendCopy(AsBytes(Query("SELECT 2")));
  ASSERT_TRUE(lent.backend.Expects(Query("SELECT 2")));
  lent.backend.Send(Done("SELECT 1"));
  ASSERT_TRUE(lent.world.Until([&] { return other.received == Done("SELECT 1"); }));
  other.server->replies().Next(AsBytes(other.received));
  there.Return(*other.server);
}

}  // namespace
}  // namespace trireme
