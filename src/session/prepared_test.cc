// SPDX-License-Identifier: GPL-3.0-or-later
//
// Prepared statements of clients that change servers: what the server is asked, what the client is
// told, byte by byte.
#include "absl/strings/str_cat.h"
#include "session/client_world_test.h"

namespace trireme {
namespace {

using namespace script;

const std::string kZero(1, '\0');
const std::string kText = "select $1" + kZero + std::string(2, '\0');
const std::string kOther = "select 2" + kZero + std::string(2, '\0');
const std::string kBindRest(6, '\0');
const std::string kExecute = Message('E', std::string(5, '\0'));
const std::string kSync = Message('S');
const std::string kParsed = Message('1'), kBound = Message('2'), kClosed = Message('3');
const std::string kRow = Complete("SELECT 1");

std::string Parse(const std::string& name, const std::string& text = kText) {
  return Message('P', name + kZero + text);
}
std::string Bind(const std::string& name, const std::string& portal = "") {
  return Message('B', portal + kZero + name + kZero + kBindRest);
}
std::string Describe(const std::string& name) { return Message('D', "S" + name + kZero); }
std::string Close(const std::string& name) { return Message('C', "S" + name + kZero); }
std::string Use(const std::string& name) { return Bind(name) + kExecute + kSync; }
std::string Error(std::string_view sqlstate, const std::string& text,
                  std::string_view routine = "x") {
  std::string body;
  for (const auto& [field, value] :
       std::initializer_list<std::pair<char, std::string>>{{'S', "ERROR"},
                                                           {'V', "ERROR"},
                                                           {'C', std::string(sqlstate)},
                                                           {'M', text},
                                                           {'R', std::string(routine)}}) {
    body += field + value + kZero;
  }
  return Message('E', body + kZero);
}

class PreparedTest : public ClientTest {
 protected:
  void SetUp() override { config_.routes[0].pool.prepared_statements_max = 2; }

  // What the server calls it.
  std::string Name(const std::string& text = kText) {
    Statements statements(0);
    const StatementId id = statements.IdOf(statements.Intern(text), {});
    return std::string(StatementName(id).view());
  }
  // The client asks for one thing, the server hears another, answers, and the client hears that.
  void Turn(Peer& client, const std::string& asked, const std::string& heard,
            const std::string& answered, const std::string& told) {
    client.Send(asked);
    backend_->Expects(heard);
    backend_->Send(answered);
    client.Expects(told);
  }
  void Prepare(Peer& client, const std::string& name, const std::string& text = kText) {
    Turn(client, Parse(name, text) + kSync, Parse(Name(text), text) + kSync, kParsed + Ready(),
         kParsed + Ready());
  }
};

TEST_F(PreparedTest, AStatementIsPreparedOnceAServer) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Prepare(first, "s1");
  Turn(first, Use("s1"), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
  // Another client's statement of the same text is the same statement.
  Turn(second, Parse("mine") + Describe("mine") + kSync, Describe(Name()) + kSync,
       Message('t', std::string(2, '\0')) + Message('n') + Ready(),
       kParsed + Message('t', std::string(2, '\0')) + Message('n') + Ready());
  Turn(second, Use("mine"), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, AParseAloneIsAnsweredWithoutTheServer) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  Prepare(client, "s1");
  second.Send(Parse("s1"));
  second.Expects(kParsed);  // even before a Sync
  second.Send(kSync);
  second.Expects(Ready());
  backend_->ExpectsSilence();
}

// Whole, in pieces, short and long: the server hears the same.
TEST_F(PreparedTest, APipelineIsTheSameHoweverItArrives) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  for (const size_t bytes : {size_t{0}, size_t{200}, size_t{300}, size_t{5000}}) {
    const std::string value(bytes, 'v');
    const auto use = [&value](const std::string& name) {
      return Message('B', kZero + name + kZero + value) + Message('D', "P" + kZero) + kExecute +
             kSync;
    };
    const std::string answer = kBound + Message('n') + kRow + Ready();
    Turn(client, use("s1"), use(Name()), answer, answer);
    client.Send(use("s1").substr(0, 7));
    backend_->ExpectsSilence();
    Turn(client, use("s1").substr(7), use(Name()), answer, answer);
    Turn(client, use("s1") + use("s1"), use(Name()) + use(Name()), answer + answer,
         answer + answer);
  }
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, ALackingStatementGoesAheadOfTheBind) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  backend_->Close();  // another server follows
  client.Send(Use("s1"));
  backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
  backend_->Expects(Parse(Name()) + Use(Name()));
  backend_->Send(kParsed + kBound + kRow + Ready());
  client.Expects(kBound + kRow + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, OurAnswersStandAtTheirPlace) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  Prepare(client, "s1");
  second.Send(Query("a") + Parse("t") + Bind("t") + kExecute + Close("t") + Bind("") + kSync);
  backend_->Expects(Query("a") + Bind(Name()) + kExecute);
  backend_->ReadMessage();  // in place of the Bind that has no statement
  backend_->Expects(kSync);
  backend_->Send(Done("A"));
  second.Expects(Done("A") + kParsed);
  backend_->Send(kBound);
  second.Expects(kBound);
  backend_->Send(kRow);
  second.Expects(kRow + kClosed);
  backend_->Send(Failed("34000") + Ready());
  EXPECT_EQ(second.ReadError().sqlstate, "26000");
  second.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, CloseNeverReachesTheServer) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  EXPECT_TRUE(UntilIdle());
  client.Send(Close("s1") + Close("unknown") + kSync);
  client.Expects(kClosed + kClosed + Ready());
  client.Send(Bind("s1") + kSync);
  EXPECT_EQ(backend_->ReadMessage()[0], 'E');
  backend_->Expects(kSync);
  backend_->Send(Failed("34000") + Ready());
  const PgError error = client.ReadError();
  EXPECT_EQ(error.sqlstate, "26000");
  EXPECT_EQ(error.message, "prepared statement \"s1\" does not exist");
  client.Expects(Ready());
  Turn(client, Parse("s1") + Bind("s1") + kSync, Bind(Name()) + kSync, kBound + Ready(),
       kParsed + kBound + Ready());
}

TEST_F(PreparedTest, ANameIsPreparedOnlyOnce) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  client.Send(Parse("s1", kOther) + Bind("s1") + kSync);
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->Send(Failed("34000") + Ready());
  const PgError error = client.ReadError();
  EXPECT_EQ(error.sqlstate, "42P05");
  EXPECT_EQ(error.message, "prepared statement \"s1\" already exists");
  client.Expects(Ready());
  Turn(client, Use("s1"), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
}

TEST_F(PreparedTest, AFailedParseLeavesNoTrace) {
  Start();
  Peer client = LogInFirst();
  const std::string failed = Error("42601", "syntax error");
  for (int i = 0; i < 2; ++i) {
    Turn(client, Parse("s1") + Bind("s1") + kSync, Parse(Name()) + Bind(Name()) + kSync,
         failed + Ready(), failed + Ready());
  }
  Turn(client, Parse("s1", kOther) + kSync, Parse(Name(kOther), kOther) + kSync, kParsed + Ready(),
       kParsed + Ready());
}

TEST_F(PreparedTest, ASkippedParseLeavesNoTrace) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("begin"));
  backend_->Expects(Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  const std::string failed = Error("34000", "portal \"x\" does not exist");
  Turn(client, kExecute + Parse("s1") + kSync, kExecute + Parse(Name()) + kSync,
       failed + Ready('E'), failed + Ready('E'));
  Turn(client, Query("rollback"), Query("rollback"), Done("ROLLBACK"), Done("ROLLBACK"));
  Turn(client, Parse("s1") + kSync, Parse(Name()) + kSync, kParsed + Ready(), kParsed + Ready());
}

TEST_F(PreparedTest, WhatTheServerPassesOverIsNotAnswered) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  Prepare(client, "s1");
  const std::string failed = Error("34000", "portal \"x\" does not exist");
  second.Send(kExecute + Message('H'));
  backend_->Expects(kExecute + Message('H'));
  backend_->Send(failed);
  second.Expects(failed);
  second.Send(Parse("s1") + Bind("s1") + Close("s1"));
  backend_->ExpectsSilence();
  Turn(second, kSync, kSync, Ready(), Ready());
  Turn(second, Parse("s1") + Bind("s1") + kSync, Bind(Name()) + kSync, kBound + Ready(),
       kParsed + kBound + Ready());
}

TEST_F(PreparedTest, TheLeastRecentlyUsedIsClosed) {
  Start();
  Peer client = LogInFirst();
  const std::string third = "select 3" + kZero + std::string(2, '\0');
  Prepare(client, "s1");
  Prepare(client, "s2", kOther);
  Turn(client, Use("s1"), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
  Turn(client, Parse("s3", third) + kSync, Close(Name(kOther)) + Parse(Name(third), third) + kSync,
       kClosed + kParsed + Ready(), kParsed + Ready());
  Turn(client, Use("s2"), Close(Name()) + Parse(Name(kOther), kOther) + Use(Name(kOther)),
       kClosed + kParsed + kBound + kRow + Ready(), kBound + kRow + Ready());
}

TEST_F(PreparedTest, InAFailedTransactionTheServerJudges) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  Prepare(client, "s1");
  second.Send(Query("begin; fail"));
  backend_->Expects(Query("begin; fail"));
  backend_->Send(Failed("XX000") + Ready('E'));
  second.Expects(Failed("XX000") + Ready('E'));
  const std::string aborted = Error("25P02", "current transaction is aborted");
  Turn(second, Parse("t") + kSync, Close(Name()) + Parse(Name()) + kSync,
       kClosed + aborted + Ready('E'), aborted + Ready('E'));
}

TEST_F(PreparedTest, DiscardAndDeallocateAllForgetAll) {
  Start();
  Peer client = LogInFirst();
  for (const std::string text : {"DISCARD ALL", "DISCARD ALL; SELECT 1"}) {
    Prepare(client, "s1");
    Turn(client, Query(text), Query(text), Done("DISCARD ALL"), Done("DISCARD ALL"));
  }
  Prepare(client, "s1");
}

// Other clients use it.
TEST_F(PreparedTest, DeallocatedBySqlAStatementStaysOnTheServer) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  client.Send(Query("DEALLOCATE prepare \"s1\";"));
  client.Expects(Done("DEALLOCATE"));
  client.Send(Parse("s1"));
  client.Expects(kParsed);
  client.Send(kSync);
  client.Expects(Ready());
  client.Send(Query("deallocate all"));
  client.Expects(Done("DEALLOCATE ALL"));
  client.Send(Parse("s1"));
  client.Expects(kParsed);
  client.Send(kSync);
  client.Expects(Ready());
  backend_->ExpectsSilence();
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, DeallocatedBehindAPipelineWithoutSyncItIsAnsweredInItsTurn) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  client.Send(Describe("s1") + Query("DEALLOCATE s1"));
  backend_->Expects(Describe(Name()) + kSync);
  const std::string described = Message('t', std::string(2, '\0')) + Message('n');
  backend_->Send(described + Ready());
  client.Expects(described + Done("DEALLOCATE"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, DeallocatingWhatIsNotTheClientsIsTheServersToJudge) {
  Start();
  Peer client = LogInFirst();
  Turn(client, Query("DEALLOCATE none"), Query("DEALLOCATE none"),
       Error("26000", "prepared statement \"none\" does not exist") + Ready(),
       Error("26000", "prepared statement \"none\" does not exist") + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, AnErrorCallsTheStatementAsTheClientDoes) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  Turn(client, Query("begin"), Query("begin"), Done("BEGIN", 'T'), Done("BEGIN", 'T'));
  const auto missing = [](const std::string& name) {
    return Error("26000", absl::StrCat("prepared statement \"", name, "\" does not exist"));
  };
  Turn(client, Bind("s1") + kSync, Bind(Name()) + kSync, missing(Name()) + Ready('E'),
       missing("s1") + Ready('E'));
  const auto wrong = [](const std::string& name) {
    return Error("08P01",
                 absl::StrCat("bind message supplies 2 parameters, but prepared statement \"", name,
                              "\" requires 1"));
  };
  Turn(client, Query("rollback"), Query("rollback"), Done("ROLLBACK"), Done("ROLLBACK"));
  Turn(client, Bind("s1") + kSync, Close(Name()) + Parse(Name()) + Bind(Name()) + kSync,
       kClosed + kParsed + wrong(Name()) + Ready(), wrong("s1") + Ready());
}

TEST_F(PreparedTest, AStatementThatTheServerLostIsMadeAgain) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  const std::string missing =
      Error("26000", absl::StrCat("prepared statement \"", Name(), "\" does not exist"));
  client.Send(Use("s1"));
  backend_->Expects(Use(Name()));
  backend_->Send(missing + Ready());
  backend_->Expects(Close(Name()) + Parse(Name()) + Use(Name()));
  backend_->Send(kClosed + kParsed + kBound + kRow + Ready());
  client.Expects(kBound + kRow + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, AStatementOutOfDateIsMadeAgainOnce) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  const std::string stale =
      Error("0A000", "cached plan must not change result type", "RevalidateCachedQuery");
  client.Send(Bind("s1") + kExecute + Message('H'));  // a Sync has not come yet
  backend_->Expects(Bind(Name()) + kExecute + Message('H'));
  backend_->Send(stale);
  backend_->Expects(kSync + Close(Name()) + Parse(Name()) + Bind(Name()) + kExecute + Message('H'));
  backend_->Send(Ready() + kClosed + kParsed + stale);
  client.Expects(stale);
  Turn(client, kSync, kSync, Ready(), Ready());
  EXPECT_TRUE(UntilIdle());
}

// As PostgreSQL tells a client of its own: it has seen the columns that the statement had.
TEST_F(PreparedTest, AStatementOutOfDateThatWasUsedIsTheClientsToMakeAgain) {
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  Turn(client, Use("s1"), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
  const std::string stale =
      Error("0A000", "cached plan must not change result type", "RevalidateCachedQuery");
  Turn(client, Use("s1"), Use(Name()), stale + Ready(), stale + Ready());
  Turn(client, Parse("s2") + Use("s2"), Close(Name()) + Parse(Name()) + Use(Name()),
       kClosed + kParsed + kBound + kRow + Ready(), kParsed + kBound + kRow + Ready());
}

// PostgreSQL may keep the answer to our Parse until the query behind it has run.
TEST_F(PreparedTest, ACancelDoesNotWaitForTheAnswerToOurParse) {
  Start();
  Peer other = LogInFirst();
  Peer client = LogIn({{"TimeZone", "GMT"}});
  const std::string set = Query("SET \"TimeZone\" TO 'GMT';");
  client.Send(Parse("") + kSync);
  backend_->Expects(set + Parse("") + kSync);
  backend_->Send(Complete("SET") + Reported("TimeZone", "GMT") + Ready() + kParsed + Ready());
  client.Expects(kParsed + Ready());
  const std::string back = Query("SET \"TimeZone\" TO 'UTC';");
  other.Send(Query("a"));
  backend_->Expects(back + Query("a"));
  backend_->Send(Complete("SET") + Reported("TimeZone", "UTC") + Ready() + Done("A"));
  other.Expects(Done("A"));
  client.Send(Use(""));
  backend_->Expects(set + Parse("") + Use(""));
  backend_->Send(Complete("SET") + Reported("TimeZone", "GMT") + Ready());
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  Peer to_server = Accept();
  to_server.Expects(CancelPacket());
  to_server.Close();
  backend_->Send(kParsed + kBound + Error("57014", "canceling") + Ready());
  client.Expects(kBound + Error("57014", "canceling") + Ready());
}

TEST_F(PreparedTest, TheUnnamedStatementFollowsTheClient) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  Turn(client, Parse("") + kSync, Parse("") + kSync, kParsed + Ready(), kParsed + Ready());
  Turn(second, Parse("", kOther) + kSync, Parse("", kOther) + kSync, kParsed + Ready(),
       kParsed + Ready());
  Turn(client, Use(""), Parse("") + Use(""), kParsed + kBound + kRow + Ready(),
       kBound + kRow + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PreparedTest, AClientThatLeavesMidwayLeavesTheBooksRight) {
  Start();
  Peer client = LogInFirst(), second = LogIn();
  client.Send(Parse("s1") + Bind("s1"));
  backend_->Expects(Parse(Name()) + Bind(Name()));
  client.Close();
  Accept().Close();  // the cancel
  backend_->Expects(Message('H'));
  backend_->Send(kParsed + kBound);
  for (const char type : {'P', 'B', 'E', 'S'}) {  // the pipeline is rolled back
    EXPECT_EQ(backend_->ReadMessage()[0], type);
  }
  backend_->Send(kParsed + kBound + Complete("ROLLBACK") + Ready());
  EXPECT_TRUE(UntilIdle());
  Turn(second, Parse("t") + Bind("t") + kSync, Bind(Name()) + kSync, kBound + Ready(),
       kParsed + kBound + Ready());
}

TEST_F(PreparedTest, AStatementLongerThanTheBacklogIsGathered) {
  config_.limits.backlog_bytes_max = 4096;
  Start();
  Peer client = LogInFirst();
  const std::string text =
      "select '" + std::string(50000, 'x') + "'" + kZero + std::string(2, '\0');
  for (const std::string name : {"", "s1"}) {
    const std::string on_server = name.empty() ? "" : Name(text);
    Turn(client, Parse(name, text) + kSync, Parse(on_server, text) + kSync, kParsed + Ready(),
         kParsed + Ready());
  }
}

TEST_F(PreparedTest, TooManyAreRefused) {
  config_.limits.client_statements_max = 1;
  Start();
  Peer client = LogInFirst();
  Prepare(client, "s1");
  client.Send(Parse("s2", kOther) + kSync);
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->Send(Failed("34000") + Ready());
  EXPECT_EQ(client.ReadError().sqlstate, "53400");
  client.Expects(Ready());
}

// --- pool.plan_cache ---

class PlanCacheTest : public PreparedTest {
 protected:
  void SetUp() override {
    PreparedTest::SetUp();
    config_.routes[0].pool.plan_cache = true;
    Start();
  }
};

TEST_F(PlanCacheTest, AnUnnamedStatementWithParametersIsPreparedOnceAServer) {
  Peer first = LogInFirst(), second = LogIn();
  Turn(first, Parse("") + Use(""), Parse(Name()) + Use(Name()), kParsed + kBound + kRow + Ready(),
       kParsed + kBound + kRow + Ready());
  for (int round = 0; round < 3; ++round) {
    Turn(second, Parse("") + Use(""), Use(Name()), kBound + kRow + Ready(),
         kParsed + kBound + kRow + Ready());
  }
  // The text of the moment is what the empty name means, and Close ends it.
  Turn(first, Use(""), Use(Name()), kBound + kRow + Ready(), kBound + kRow + Ready());
  first.Send(Close("") + kSync);
  first.Expects(kClosed + Ready());
  first.Send(Use(""));
  EXPECT_EQ(first.ReadError().message, "unnamed prepared statement does not exist");
  first.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(PlanCacheTest, OneWithoutParametersTakesItsPlace) {
  Peer client = LogInFirst();
  Turn(client, Parse("") + Use(""), Parse(Name()) + Use(Name()), kParsed + kBound + kRow + Ready(),
       kParsed + kBound + kRow + Ready());
  Turn(client, Parse("", kOther) + Use(""), Parse("", kOther) + Use(""),
       kParsed + kBound + kRow + Ready(), kParsed + kBound + kRow + Ready());
  Turn(client, Parse("") + Use(""), Use(Name()), kBound + kRow + Ready(),
       kParsed + kBound + kRow + Ready());
  // A simple query ends the unnamed statement.
  Turn(client, Query("a"), Query("a"), Done("A"), Done("A"));
  client.Send(Use(""));
  EXPECT_EQ(client.ReadError().sqlstate, "26000");
  client.Expects(Ready());
}

TEST_F(PlanCacheTest, OneThatFailedDoesNotExist) {
  Peer client = LogInFirst();
  Turn(client, Parse("") + kSync, Parse(Name()) + kSync, Failed("42601") + Ready(),
       Failed("42601") + Ready());
  client.Send(Use(""));
  EXPECT_EQ(backend_->ReadMessage()[0], 'E');
  backend_->Expects(kSync);
  backend_->Send(Failed("34000") + Ready());
  EXPECT_EQ(client.ReadError().message, "unnamed prepared statement does not exist");
  client.Expects(Ready());
}

}  // namespace
}  // namespace trireme
