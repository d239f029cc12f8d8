// SPDX-License-Identifier: GPL-3.0-or-later
//
// When a server is asked what a client has left on it, what comes of its answer, and what happens
// to a server that has not answered.
#include "session/client_world_test.h"
#include "session/report.h"
#include "session/traces.h"

namespace trireme {
namespace {

using namespace script;

const std::string kSync = Message('S');

std::string Row(const std::vector<std::optional<std::string_view>>& values) {
  return Written([&](auto& w) { w.DataRow(values); });
}
std::string Asked(const Doubt& doubt) { return Query(Question(doubt)); }
std::string ParseUnnamed(const std::string& text) {
  return Message('P', std::string(1, '\0') + text + std::string(3, '\0'));
}
const std::string kBindExecuteSync =
    Message('B', std::string(8, '\0')) + Message('E', std::string(5, '\0')) + kSync;
const std::string kExecuted = Message('1') + Message('2');

class TracesTest : public ClientTest {
 protected:
  // The client asks, the server hears just that, answers, and the client hears just that.
  void Turn(Peer& client, const std::string& asked, const std::string& answered) {
    client.Send(asked);
    backend_->Expects(asked);
    backend_->Send(answered);
    client.Expects(answered);
  }
  std::string Pinned() {
    ShardSnapshot snapshot;
    Report(*world_->clients, {.clients = true}, snapshot);
    for (const ClientRow& client : snapshot.clients) {
      if (!client.pinned.empty()) return client.pinned;
    }
    return "";
  }
};

TEST_F(TracesTest, ALoneSettingGoesAheadOnTheNextServer) {
  Start();
  Peer client = LogInFirst(), other = LogIn();
  Turn(client, Query("SET work_mem = '1MB'"), Done("SET"));
  EXPECT_TRUE(UntilIdle());
  other.Send(Query("SELECT 1"));
  backend_->Expects(Query("RESET \"work_mem\";") + Query("SELECT 1"));
  backend_->Send(Done("RESET") + Done("SELECT 1"));
  other.Expects(Done("SELECT 1"));
  client.Send(Query("SELECT 2"));
  backend_->Expects(Query("SET \"work_mem\" TO '1MB';") + Query("SELECT 2"));
  backend_->Send(Done("SET") + Done("SELECT 1"));
  client.Expects(Done("SELECT 1"));
}

TEST_F(TracesTest, ALoneSettingThatFailedChangesNothing) {
  Start();
  Peer client = LogInFirst(), other = LogIn();
  Turn(client, Query("SET work_mem = 'x'"), Failed("22023") + Ready());
  EXPECT_TRUE(UntilIdle());
  Turn(other, Query("SELECT 1"), Done("SELECT 1"));
}

TEST_F(TracesTest, ATransactionThatSetsIsFollowedByAQuestion) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("BEGIN"), Done("BEGIN", 'T'));
  Turn(client, Query("SET work_mem = '1MB'"), Done("SET", 'T'));
  Turn(client, Query("COMMIT"), Done("COMMIT"));
  backend_->Expects(Asked({.parameters = {"work_mem"}}));
  client.Send(Query("SELECT 1"));  // does not wait for the answer
  backend_->Expects(Query("SELECT 1"));
  backend_->Send(Row({"2MB"}) + Done("SELECT 1") + Done("SELECT 1"));
  client.Expects(Done("SELECT 1"));
  EXPECT_TRUE(UntilIdle());
  Peer other = LogIn();
  other.Send(Query("SELECT 3"));
  backend_->Expects(Query("RESET \"work_mem\";") + Query("SELECT 3"));
  backend_->Send(Done("RESET") + Done("SELECT 1"));
  other.Expects(Done("SELECT 1"));
}

TEST_F(TracesTest, WhatTheServerHasKeepsItUntilItHasGone) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("LISTEN news"), Done("LISTEN"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  backend_->Send(Row({"t"}) + Done("SELECT 1"));
  EXPECT_TRUE(world_->Until([&] { return Pinned() == "LISTEN"; }));
  Turn(client, Query("SELECT 1"), Done("SELECT 1"));
  backend_->ExpectsSilence();  // no doubt about that
  EXPECT_EQ(Pinned(), "LISTEN");
  Turn(client, ParseUnnamed("UNLISTEN news") + kBindExecuteSync, kExecuted + Done("UNLISTEN"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  backend_->Send(Row({"f"}) + Done("SELECT 1"));
  EXPECT_TRUE(UntilIdle());
  EXPECT_EQ(Pinned(), "");
}

TEST_F(TracesTest, ANotificationThatComesWithAnAnswerOfOursIsTheClients) {
  const std::string news = Message('A', std::string("pid_news\0hear\0", 14));
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("LISTEN news"), Done("LISTEN"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  const std::string answer = Row({"t"}) + Done("SELECT 1");
  backend_->Send(answer.substr(0, answer.size() - Ready().size()) + news + Ready());
  client.Expects(news);
  EXPECT_TRUE(world_->Until([&] { return Pinned() == "LISTEN"; }));
}

TEST_F(TracesTest, NextvalKeepsItsServerOnceAnybodyHasReadASequence) {
  Start();
  Peer reader = LogInFirst(), other = LogIn();
  Turn(other, Query("SELECT nextval('s')"), Done("SELECT 1"));
  EXPECT_TRUE(UntilIdle());
  EXPECT_EQ(Pinned(), "");
  reader.Send(Query("SELECT lastval()"));
  backend_->Expects(Query("DISCARD SEQUENCES") + Query("SELECT lastval()"));
  backend_->Send(Done("DISCARD SEQUENCES") + Failed("55000") + Ready());
  reader.Expects(Failed("55000") + Ready());
  EXPECT_NE(Pinned(), "");
  Turn(reader, Query("DISCARD SEQUENCES"), Done("DISCARD SEQUENCES"));
  EXPECT_TRUE(UntilIdle());
  EXPECT_EQ(Pinned(), "");
  const std::pair<std::string, std::string> turns[] = {
      {Query("SELECT nextval('s')"), Done("SELECT 1")},
      {Query("BEGIN; INSERT INTO t VALUES (nextval('s')); COMMIT"),
       Complete("BEGIN") + Complete("INSERT 0 1") + Done("COMMIT")},
      {ParseUnnamed("SELECT setval('s', 3)") + kBindExecuteSync, kExecuted + Done("SELECT 1")},
      {Query("INSERT INTO t (a) VALUES (1)"), Done("INSERT 0 1")},
      {ParseUnnamed("INSERT INTO t (a) VALUES (1)") + kBindExecuteSync,
       kExecuted + Done("INSERT 0 1")},
  };
  for (const auto& [asked, answered] : turns) {
    Turn(other, asked, answered);
    EXPECT_NE(Pinned(), "") << asked;
    Turn(other, Query("DISCARD SEQUENCES"), Done("DISCARD SEQUENCES"));
    EXPECT_TRUE(UntilIdle());
  }
}

// The question about it is on its way when the next statement needs to know.
TEST_F(TracesTest, WhatMayBeThereCountsAsThere) {
  const std::pair<std::string, std::string> turns[] = {{"LISTEN news", "UNLISTEN news"},
                                                       {"PREPARE a AS SELECT 1", "DEALLOCATE a"}};
  const Pins pins[] = {pin::kListen, pin::kPrepared};
  Start();
  Peer client = LogInFirst();
  for (size_t i = 0; i < 2; ++i) {
    Turn(client, Query(turns[i].first), Done("DONE"));
    backend_->Expects(Asked({.pins = pins[i]}));
    client.Send(Query(turns[i].second));
    backend_->Expects(Query(turns[i].second));
    backend_->Send(Row({"t"}) + Done("SELECT 1") + Done("DONE"));
    client.Expects(Done("DONE"));
    backend_->Expects(Asked({.pins = pins[i]}));
    backend_->Send(Row({"f"}) + Done("SELECT 1"));
    EXPECT_TRUE(UntilIdle());
  }
}

TEST_F(TracesTest, WithoutAnAnswerTheServerIsKeptAndAskedAgain) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("LISTEN news"), Done("LISTEN"));
  for (int i = 0; i < 3; ++i) {
    backend_->Expects(Asked({.pins = pin::kListen}));
    backend_->Send(Failed("57014") + Ready());
  }
  EXPECT_TRUE(world_->Until([&] { return Pinned() == "unknown"; }));
  backend_->ExpectsSilence();
  Turn(client, Query("SELECT 1"), Done("SELECT 1"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  backend_->Send(Row({"f"}) + Done("SELECT 1"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(TracesTest, AServerThatHasNotAnsweredIsToldToForgetEverything) {
  Start();  // its reset query is empty
  Peer client = LogInFirst();
  Turn(client, Query("LISTEN news"), Done("LISTEN"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  client.Close();
  backend_->Send(Row({"t"}) + Done("SELECT 1"));
  backend_->Expects(Query("DISCARD ALL"));
  backend_->Send(Done("DISCARD ALL"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(TracesTest, WhatNoResetUndoesClosesTheServer) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("LOAD 'x'"), Done("LOAD"));
  EXPECT_TRUE(world_->Until([&] { return Pinned() == "LOAD"; }));
  client.Close();
  backend_->Expects(Message('X'));
  backend_->ExpectsEnd();
}

TEST_F(TracesTest, ACancelDoesNotHitTheQuestion) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("LISTEN news"), Done("LISTEN"));
  backend_->Expects(Asked({.pins = pin::kListen}));
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  backend_->Send(Row({"f"}) + Done("SELECT 1"));
  EXPECT_TRUE(UntilIdle());
}

// --- session mode: is there anything to reset? ---------------------------------------------------

class DirtTest : public TracesTest {
 protected:
  void SetUp() override {
    PoolConfig& pool = config_.routes[0].pool;
    pool.mode = PoolMode::kSession;
    pool.reset = ResetPolicy::kWhenDirty;
    pool.reset_query = "DISCARD ALL";
  }
};

TEST_F(DirtTest, AClientThatLeavesNothingNeedsNoReset) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("SELECT 1"), Done("SELECT 1"));
  Turn(client, Query("BEGIN"), Done("BEGIN", 'T'));
  Turn(client, Query("SET LOCAL work_mem = '1MB'"), Done("SET", 'T'));
  Turn(client, Query("COMMIT"), Done("COMMIT"));
  Turn(client, ParseUnnamed("INSERT INTO t VALUES (1)") + kBindExecuteSync,
       kExecuted + Done("INSERT 0 1"));
  client.Close();
  EXPECT_TRUE(UntilIdle());
  backend_->ExpectsSilence();
  Peer other = LogIn();
  other.Send(Query("SELECT lastval()"));
  backend_->Expects(Query("DISCARD SEQUENCES") + Query("SELECT lastval()"));
  backend_->Send(Done("DISCARD SEQUENCES") + Failed("55000") + Ready());
  other.Expects(Failed("55000") + Ready());
  other.Close();  // what reads them leaves something
  backend_->Expects(Query("DISCARD ALL"));
  backend_->Send(Done("DISCARD ALL"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(DirtTest, AServerIsResetAfterAClientThatMayHaveLeftSomething) {
  const std::string fastpath = Message('F', std::string("\0\0\x0b\x40\0\0\0\0\0\0", 10));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Query("SET work_mem = '1MB'"), Done("SET")},
      {Query("SELECT 1; LISTEN news"), Complete("SELECT 1") + Done("LISTEN")},
      {Query("DO 'BEGIN END'"), Done("DO")},
      {Query("SELECT '" + std::string(kTextBytesMax, 'x') + "'"), Done("SELECT 1")},
      {ParseUnnamed("CREATE TEMP TABLE t (a int)") + kBindExecuteSync,
       kExecuted + Done("CREATE TABLE")},
      {Message('P', std::string("s\0SELECT 1\0\0\0", 13)) + kSync, Message('1') + Ready()},
      {fastpath, Ready()},  // pg_advisory_lock
  };
  Start();
  for (const auto& [asked, answered] : cases) {
    Peer client = backend_ == nullptr ? LogInFirst() : LogIn();
    client.Send(asked);
    backend_->Expects(asked);
    backend_->Send(answered);
    client.Expects(answered);
    Turn(client, Query("SET work_mem = '2MB'"), Done("SET"));
    client.Close();
    backend_->Expects(Query("DISCARD ALL"));
    backend_->Send(Done("DISCARD ALL"));
    EXPECT_TRUE(UntilIdle());
  }
}

TEST_F(DirtTest, NobodyLooksWhereEachClientIsFollowedByAReset) {
  config_.routes[0].pool.reset = ResetPolicy::kSession;
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("SELECT 1"), Done("SELECT 1"));
  client.Close();
  backend_->Expects(Query("DISCARD ALL"));
  backend_->Send(Done("DISCARD ALL"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(TracesTest, RefusedAtItsPlace) {
  config_.routes[0].pool.on_session_state = OnSessionState::kReject;
  Start();
  Peer client = LogInFirst();
  const std::string stand_in = Message('E', "refused by the pooler" + std::string(5, '\0'));
  client.Send(Query("LISTEN news"));
  backend_->Expects(stand_in + kSync);
  backend_->Send(Failed("34000") + Ready());
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
}

}  // namespace
}  // namespace trireme
