// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/requests.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme {
namespace {

std::string Message(char type, std::string_view body = {}) {
  std::string message(1, type);
  const uint32_t length = static_cast<uint32_t>(body.size()) + 4;
  for (int shift = 24; shift >= 0; shift -= 8) {
    message += static_cast<char>(length >> shift & 0xff);
  }
  return message.append(body);
}

// Text with zero bytes inside.
template <size_t kSize>
std::string Raw(const char (&bytes)[kSize]) {
  return std::string(bytes, kSize - 1);
}

const std::string kQuery = Message('Q', Raw("select 1\0"));
const std::string kParseUnnamed = Message('P', Raw("\0select 1\0\0\0"));
const std::string kParseNamed = Message('P', Raw("s1\0select 1\0\0\0"));
const std::string kBindUnnamed = Message('B', Raw("\0\0\0\0\0\0\0\0"));
const std::string kBindPortal = Message('B', Raw("portal\0\0\0\0\0\0\0\0"));
const std::string kBindNamed = Message('B', Raw("\0s1\0\0\0\0\0\0\0"));
const std::string kDescribePortal = Message('D', Raw("P\0"));
const std::string kDescribeStatement = Message('D', Raw("S\0"));
const std::string kExecute = Message('E', Raw("\0\0\0\0\0"));
const std::string kClosePortal = Message('C', Raw("P\0"));
const std::string kSync = Message('S');
const std::string kFlush = Message('H');
const std::string kCopyData = Message('d', "1\t2\n");
const std::string kCopyDone = Message('c');
const std::string kCopyFail = Message('f', Raw("no\0"));
const std::string kFunctionCall = Message('F', Raw("\0\0\0\1\0\0\0\0\0\0"));
const std::string kTerminate = Message('X');

// Plays the relay: forwards, drops, and notes events by a letter until something stops it.
class Walk {
 public:
  enum class Server { kNone, kLent };
  explicit Walk(Server server, bool is_pinned = false)
      : lent(server == Server::kLent), pinned(is_pinned) {}

  // Feeds `bytes` in pieces of `piece` bytes; false when it stopped before the end.
  bool Feed(std::string_view bytes, size_t piece = 1000000) {
    while (!bytes.empty()) {
      const size_t size = std::min(piece, bytes.size());
      inbox += bytes.substr(0, size);
      bytes.remove_prefix(size);
      if (!Pump()) return false;
    }
    return true;
  }

  bool Pump() {
    using Event = RequestStep::Event;
    size_t contiguous = inbox.size();
    for (int rounds = 0; rounds < 100000; ++rounds) {
      const RequestStep step = requests.Next(AsBytes(std::string_view(inbox)).first(contiguous),
                                             {.replies = lent ? &replies : nullptr,
                                              .pinned = pinned,
                                              .limits = limits,
                                              .counts = counts,
                                              .statements = kept,
                                              .watch = watch,
                                              .numbers = numbers});
      (step.forward ? forwarded : dropped) += inbox.substr(0, step.size);
      inbox.erase(0, step.size);
      contiguous = inbox.size();
      switch (step.event) {
        case Event::kNone:
          if (inbox.empty()) return true;
          continue;
        case Event::kNeedMore:
          EXPECT_GT(step.need, 0u);
          if (inbox.size() < step.need) return true;
          continue;
        case Event::kSyncAlone:
          events += 'S';
          continue;
        case Event::kStatement: {
          events += 'T';
          const MessageHead head = ReadHead(AsBytes(std::string_view(inbox)).data());
          if (lent && requests.unnamed() && inbox[kHeadBytes] == '\0' && head.type != 'P' &&
              inbox[kHeadBytes + 1] == '\0') {
            requests.OnUnnamedSent();
          } else {
            requests.Drop(head.total_size());
          }
          continue;
        }
        case Event::kText:
          events += 'L';
          requests.OnTextSeen(Leaves::kSomething);
          continue;
        case Event::kFlushWithBody:
          events += 'F';
          requests.PassOver(AsBytes(std::string_view(inbox)));
          continue;
        case Event::kNamedParse:
        case Event::kStaleUnnamed:
          events += step.event == Event::kNamedParse ? 'P' : 'U';
          requests.PassOver(AsBytes(std::string_view(inbox)));
          continue;
        case Event::kNeedsServer:
          events += 'N';
          return false;
        case Event::kAskForReplies:
          events += 'O';
          return false;
        case Event::kAwaitReplies:
          events += 'o';
          return false;
        case Event::kTerminate:
          events += 'X';
          return false;
        case Event::kBroken:
          events += 'B';
          return false;
      }
    }
    ADD_FAILURE() << "does not end";
    return false;
  }

  // What the server owes, a letter each.
  std::string Owed() const {
    static constexpr char kLetters[] = "QFPBDECSc";
    std::string owed;
    for (uint32_t i = 0; i < replies.owed().count(); ++i) {
      owed += kLetters[static_cast<size_t>(replies.owed().at(i).request)];
    }
    return owed;
  }

  bool lent;
  bool pinned;
  Requests::Limits limits{
      .message_bytes_max = 1000, .expected_replies_max = 1000, .statement_bytes_max = 100};
  Statements statements{1};
  const TextRules* watch = nullptr;
  Numbers numbers = Numbers::kIgnored;
  Statements* kept = nullptr;
  Requests requests;
  Replies replies;
  RequestCounts counts;
  std::string inbox, forwarded, dropped, events;
};

using Server = Walk::Server;

TEST(Requests, ForwardsAndCountsEachMessageWhateverTheSplit) {
  const std::string stream = kQuery + kParseUnnamed + kBindPortal + kDescribeStatement +
                             kDescribePortal + kExecute + kClosePortal + kFlush + kSync +
                             kFunctionCall + kQuery + kCopyData + kCopyData + kCopyDone;
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    Walk walk(Server::kLent);
    EXPECT_TRUE(walk.Feed(stream, piece));
    EXPECT_EQ(walk.forwarded, stream) << piece;
    EXPECT_EQ(walk.Owed(), "QPBDDECSFQc") << piece;
    EXPECT_EQ(walk.dropped + walk.events + walk.inbox, "") << piece;
    EXPECT_EQ(walk.counts.parses, 1u);
    EXPECT_EQ(walk.counts.binds, 1u);
  }
}

TEST(Requests, WithoutAServer) {
  const struct {
    const std::string& message;
    const char* events;
    bool consumed;
  } cases[] = {
      {kQuery, "N", false},     {kFunctionCall, "N", false}, {kParseUnnamed, "N", false},
      {kBindNamed, "N", false}, {kBindUnnamed, "U", true},   {kDescribePortal, "N", false},
      {kExecute, "N", false},   {kClosePortal, "N", false},  {kParseNamed, "P", true},
      {kSync, "S", true},       {kFlush, "", true},          {kCopyData, "", true},
      {kCopyDone, "", true},    {kCopyFail, "", true},       {kDescribeStatement, "U", true},
      {kTerminate, "X", false},
  };
  for (const auto& each : cases) {
    for (size_t piece = 1; piece <= each.message.size(); ++piece) {
      Walk walk(Server::kNone);
      walk.Feed(each.message, piece);
      EXPECT_EQ(walk.events, each.events) << each.message[0] << " " << piece;
      EXPECT_EQ(walk.forwarded, "");
      if (each.consumed) {
        EXPECT_EQ(walk.dropped, each.message) << each.message[0] << " " << piece;
      } else {
        EXPECT_EQ(walk.dropped, "") << each.message[0] << " " << piece;
      }
    }
  }
}

TEST(Requests, ServerIsAskedForBeforeAnythingIsConsumed) {
  Walk walk(Server::kNone);
  EXPECT_FALSE(walk.Feed(kSync + kCopyData + kQuery + kQuery));
  EXPECT_EQ(walk.events, "SN");
  EXPECT_EQ(walk.inbox, kQuery + kQuery);
  walk.lent = true;
  EXPECT_TRUE(walk.Pump());
  EXPECT_EQ(walk.forwarded, kQuery + kQuery);
  EXPECT_EQ(walk.Owed(), "QQ");
}

// At the limit it asks once, and goes on when half of what is owed has come.
TEST(Requests, HoldsBackUntilHalfOfWhatIsOwedHasCome) {
  Walk walk(Walk::Server::kLent);
  walk.limits.expected_replies_max = 4;
  std::string pipeline;
  for (int i = 0; i < 8; ++i) pipeline += kQuery;
  EXPECT_FALSE(walk.Feed(pipeline));
  EXPECT_EQ(walk.events, "O");
  EXPECT_EQ(walk.Owed(), "QQQQ");
  const std::string answer = Message('C', Raw("SELECT 1\0")) + Message('Z', "I");
  walk.replies.Next(AsBytes(answer));
  EXPECT_FALSE(walk.Pump());
  EXPECT_EQ(walk.events, "Oo");
  EXPECT_EQ(walk.Owed(), "QQQ");
  walk.replies.Next(AsBytes(answer));
  EXPECT_FALSE(walk.Pump());
  EXPECT_EQ(walk.events, "OoO");
  EXPECT_EQ(walk.Owed(), "QQQQ");
  walk.replies.Next(AsBytes(answer + answer + answer + answer));
  EXPECT_TRUE(walk.Pump());
  EXPECT_EQ(walk.forwarded, pipeline);
}

// Until it is known which Syncs inside a COPY the server has read, only Syncs go on.
TEST(Requests, HoldsBackBehindTheEndOfACopy) {
  const std::string copy = kExecute + kSync + kCopyData + kCopyDone + kSync;
  for (const std::string& next : {kQuery, kFunctionCall, kParseUnnamed, kBindNamed, kDescribePortal,
                                  kExecute, kClosePortal}) {
    SCOPED_TRACE(next[0]);
    Walk walk(Walk::Server::kLent);
    EXPECT_FALSE(walk.Feed(copy + next));
    EXPECT_EQ(walk.events, "O");
    EXPECT_FALSE(walk.Pump());
    EXPECT_EQ(walk.events, "Oo");
    EXPECT_EQ(walk.forwarded, copy);
    const std::string done = Message('G', Raw("\0\0\0")) + Message('C', Raw("COPY 1\0"));
    walk.replies.Next(AsBytes(done));
    EXPECT_TRUE(walk.Pump());
    EXPECT_EQ(walk.forwarded, copy + next);
  }
}

TEST(Requests, HoldsBackWhileSyncsOfACopyAreInDoubt) {
  const std::string copy = kExecute + kSync + kCopyData + kCopyFail + kSync;
  Walk walk(Walk::Server::kLent);
  EXPECT_FALSE(walk.Feed(copy + kQuery));
  const std::string failed = Message('G', Raw("\0\0\0")) + Message('E', Raw("SERROR\0\0"));
  walk.replies.Next(AsBytes(failed));
  EXPECT_FALSE(walk.Pump());
  EXPECT_EQ(walk.events, "Oo");
  const std::string ready = Message('Z', "I");
  EXPECT_EQ(walk.replies.Next(AsBytes(ready)).event, ReplyStep::Event::kReadyInDoubt);
  walk.replies.Expect(Request::kQuery, Disposition::kSkip);
  EXPECT_FALSE(walk.Pump());
  const std::string settled = Message('I', "") + ready;
  while (!walk.replies.at_rest()) walk.replies.Next(AsBytes(settled));
  EXPECT_TRUE(walk.Pump());
  EXPECT_EQ(walk.forwarded, copy + kQuery);
}

// The server passes over them, up to a Sync that is behind them.
TEST(Requests, HoldsNothingBackThatIsPassedOver) {
  const std::string copy = kExecute + kCopyData;
  Walk walk(Walk::Server::kLent);
  EXPECT_TRUE(walk.Feed(copy));
  const std::string failed = Message('G', Raw("\0\0\0")) + Message('E', Raw("SERROR\0\0"));
  walk.replies.Next(AsBytes(failed));
  const std::string behind = kCopyData + kCopyDone + kParseUnnamed + kSync;
  EXPECT_TRUE(walk.Feed(behind));
  EXPECT_EQ(walk.events, "");
  EXPECT_EQ(walk.forwarded, copy + behind);
  EXPECT_EQ(walk.Owed(), "S");
}

TEST(Requests, RefusesANamedParseAndPassesOverTheRestUpToSync) {
  const std::string before = kParseUnnamed + kBindUnnamed + kExecute;
  const std::string refused = kParseNamed + kBindNamed + kExecute + kFlush + kQuery;
  const std::string stream = before + refused + kSync + kQuery;
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    Walk walk(Server::kLent);
    EXPECT_TRUE(walk.Feed(stream, piece));
    EXPECT_EQ(walk.events, "P") << piece;
    EXPECT_EQ(walk.forwarded, before + kSync + kQuery) << piece;
    EXPECT_EQ(walk.dropped, refused) << piece;
    EXPECT_EQ(walk.Owed(), "PBESQ") << piece;
  }
}

TEST(Requests, RefusalWithoutAServerEndsInASyncOfItsOwn) {
  Walk walk(Server::kNone);
  EXPECT_TRUE(walk.Feed(kParseNamed + kBindNamed + kExecute + kSync));
  EXPECT_EQ(walk.events, "PS");
  EXPECT_FALSE(walk.requests.passing_over());
}

TEST(Requests, NamedStatementsPassWhileTheServerIsKept) {
  const std::string stream = kParseNamed + kBindNamed + kBindUnnamed + kDescribeStatement + kSync;
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    Walk walk(Server::kLent, /*pinned=*/true);
    EXPECT_TRUE(walk.Feed(stream, piece));
    EXPECT_EQ(walk.forwarded, stream);
    EXPECT_EQ(walk.events, "");
  }
}

// All that the walk's server owes is answered.
void Answer(Walk& walk, const std::string& answers) {
  walk.replies.Next(AsBytes(answers));
  ASSERT_EQ(walk.Owed(), "");
}

const std::string kPrepared = Message('1') + Message('Z', "I");

TEST(Requests, UnnamedStatementLivesWithTheServerItWasMadeOn) {
  Walk walk(Server::kLent);
  EXPECT_FALSE(walk.Feed(kParseUnnamed + kSync + kBindUnnamed + kExecute + kSync));
  EXPECT_EQ(walk.events, "O");  // it may have been passed over
  EXPECT_FALSE(walk.Pump());
  EXPECT_EQ(walk.events, "Oo");
  Answer(walk, kPrepared);
  EXPECT_TRUE(walk.Pump());
  EXPECT_EQ(walk.events, "Oo");
  EXPECT_EQ(walk.Owed(), "BES");
  walk.requests.OnServerReturned();
  EXPECT_TRUE(walk.Feed(kBindUnnamed + kExecute + kSync));
  EXPECT_EQ(walk.events, "OoU");
  EXPECT_TRUE(walk.Feed(kParseUnnamed + kBindPortal + kSync));
  EXPECT_EQ(walk.events, "OoU");
}

TEST(Requests, AKeptUnnamedStatementIsMadeAgainWhereItIsMissing) {
  Walk walk(Server::kLent);
  walk.kept = &walk.statements;
  EXPECT_TRUE(walk.Feed(kParseUnnamed + kBindUnnamed + kSync));
  walk.requests.OnServerReturned();
  walk.lent = false;
  EXPECT_FALSE(walk.Feed(kBindUnnamed + kDescribeStatement + kExecute + kSync));
  EXPECT_EQ(walk.events, "N");
  walk.lent = true;
  EXPECT_TRUE(walk.Pump());
  EXPECT_EQ(walk.events, "NT");
  EXPECT_EQ(walk.requests.unnamed().text(), Raw("select 1\0\0\0"));
  walk.requests.OnServerReturned();
  EXPECT_TRUE(walk.Feed(Message('C', Raw("S\0")) + kBindUnnamed + kSync));
  EXPECT_EQ(walk.events, "NTU");  // closed
}

TEST(Requests, AQueryDestroysTheUnnamedStatement) {
  for (const bool kept : {false, true}) {
    Walk walk(Server::kLent);
    walk.kept = kept ? &walk.statements : nullptr;
    EXPECT_TRUE(walk.Feed(kParseUnnamed + kSync + kQuery + kBindUnnamed + kSync));
    EXPECT_EQ(walk.events, "U");
  }
}

TEST(Requests, KeptStatementsAreTheRelaysToRewrite) {
  const std::string close = Message('C', Raw("Ss1\0"));
  const std::string describe = Message('D', Raw("Ss1\0"));
  const std::string stream = kParseNamed + kBindNamed + describe + kExecute + close + kSync;
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    Walk walk(Server::kLent);
    walk.kept = &walk.statements;
    EXPECT_TRUE(walk.Feed(stream, piece));
    EXPECT_EQ(walk.events, "TTTT") << piece;
    EXPECT_EQ(walk.forwarded, kExecute + kSync) << piece;
    EXPECT_EQ(walk.Owed(), "ES") << piece;
  }
  Walk none(Server::kNone);
  none.kept = &none.statements;
  EXPECT_FALSE(none.Feed(close + kSync + kParseNamed));
  EXPECT_EQ(none.events, "TSN");  // a Close needs no server
}

TEST(Requests, AStatementLongerThanTheLimitIsNotGathered) {
  Walk walk(Server::kLent);
  walk.kept = &walk.statements;
  const std::string parse = Message('P', "s1" + Raw("\0") + std::string(200, 'x'));
  EXPECT_TRUE(walk.Feed(parse.substr(0, 8)));
  EXPECT_EQ(walk.events, "T");
}

TEST(Requests, KnowsAQueryThatIsWholeAndAlone) {
  const Requests::Limits limits{
      .message_bytes_max = 100, .expected_replies_max = 10, .statement_bytes_max = 100};
  const std::string too_long = Message('Q', std::string(101, 'x'));
  for (const auto& [bytes, whole] :
       std::vector<std::pair<std::string, bool>>{{kQuery, true},
                                                 {Message('Q', std::string(100, 'x')), true},
                                                 {"", false},
                                                 {kQuery.substr(0, 4), false},
                                                 {kQuery.substr(0, kQuery.size() - 1), false},
                                                 {kQuery + "Q", false},
                                                 {kQuery + kQuery, false},
                                                 {too_long, false},
                                                 {Raw("Q\0\0\0\3"), false},
                                                 {kSync, false},
                                                 {kTerminate, false},
                                                 {kFunctionCall, false}}) {
    EXPECT_EQ(Requests().IsWholeQuery(AsBytes(bytes), limits), whole) << bytes;
  }
}

TEST(Requests, SeesNoWholeQueryWithinAMessageOrWhatIsPassedOver) {
  const Requests::Limits limits{
      .message_bytes_max = 1000, .expected_replies_max = 10, .statement_bytes_max = 100};
  Walk within(Walk::Server::kLent);
  within.Feed(kCopyData.substr(0, kCopyData.size() - 2));
  EXPECT_FALSE(within.requests.IsWholeQuery(AsBytes(kQuery), limits));
  Requests passing_over;
  passing_over.PassOver(AsBytes(kParseNamed));
  EXPECT_FALSE(passing_over.IsWholeQuery(AsBytes(kQuery), limits));
}

TEST(Requests, KnowsAWholePipeline) {
  const std::string pipeline = kParseUnnamed + kBindUnnamed + kDescribePortal + kExecute + kSync;
  const std::string without = kParseUnnamed + kBindUnnamed + kExecute + kSync;
  const Requests::Limits limits{
      .message_bytes_max = 1000, .expected_replies_max = 10, .statement_bytes_max = 100};
  const auto is_whole = [&limits](const std::string& bytes) {
    return Requests().WholePipeline(AsBytes(std::string_view(bytes)), limits).has_value();
  };
  EXPECT_TRUE(is_whole(pipeline));
  EXPECT_TRUE(is_whole(without));
  for (size_t size = 0; size < pipeline.size(); ++size) {
    EXPECT_FALSE(is_whole(pipeline.substr(0, size))) << size;
  }
  for (const std::string& other :
       {pipeline + kSync, pipeline + "Q", kParseNamed + kBindUnnamed + kExecute + kSync,
        kParseUnnamed + kBindNamed + kExecute + kSync,
        kParseUnnamed + kBindPortal + kExecute + kSync,
        kParseUnnamed + kBindUnnamed + kDescribeStatement + kExecute + kSync,
        kParseUnnamed + kBindUnnamed + kExecute + kExecute + kSync,
        kParseUnnamed + kBindUnnamed + kSync, kParseUnnamed + kBindUnnamed + kExecute + kFlush,
        Message('P') + kBindUnnamed + kExecute + kSync,
        Message('P', Raw("\0no end")) + kBindUnnamed + kExecute + kSync,
        kParseUnnamed + Message('B', Raw("\0")) + kExecute + kSync,
        kParseUnnamed + kBindUnnamed + Message('E', Raw("p\0\0\0\0\0")) + kSync,
        kParseUnnamed + kBindUnnamed + Message('D') + kExecute + kSync, kQuery, std::string()}) {
    EXPECT_FALSE(is_whole(other)) << testing::PrintToString(other);
  }
  EXPECT_FALSE(Requests().WholePipeline(
      AsBytes(std::string_view(pipeline)),
      {.message_bytes_max = 1000, .expected_replies_max = 4, .statement_bytes_max = 100}));
}

TEST(Requests, KnowsAWholePipelineOfANamedStatement) {
  const std::string bind = Message('B', Raw("\0s1\0") + std::string(6, '\0'));
  const std::string pipeline = bind + kDescribePortal + kExecute + kSync;
  const Requests::Limits limits{
      .message_bytes_max = 4000, .expected_replies_max = 10, .statement_bytes_max = 100};
  const auto name_of = [&limits](const std::string& bytes) {
    const auto whole = Requests().WholePreparedPipeline(AsBytes(std::string_view(bytes)), limits);
    return whole ? std::string(whole->name) : std::string();
  };
  EXPECT_EQ(name_of(pipeline), "s1");
  EXPECT_EQ(name_of(bind + kExecute + kSync), "s1");
  for (size_t size = 0; size < pipeline.size(); ++size) {
    EXPECT_EQ(name_of(pipeline.substr(0, size)), "") << size;
  }
  const std::string longest(1024, 'n');
  EXPECT_EQ(name_of(Message('B', Raw("\0") + longest + Raw("\0")) + kExecute + kSync), longest);
  for (const std::string& other :
       {pipeline + kSync, pipeline + "Q", kParseNamed + pipeline, bind + kSync,
        kBindUnnamed + kExecute + kSync, kBindPortal + kExecute + kSync,
        Message('B', Raw("p\0s1\0")) + kExecute + kSync,
        Message('B', Raw("\0s1")) + kExecute + kSync, Message('B', Raw("\0")) + kExecute + kSync,
        Message('B') + kExecute + kSync,
        Message('B', Raw("\0") + longest + Raw("n\0")) + kExecute + kSync,
        bind + kDescribeStatement + kExecute + kSync, bind + kExecute + kExecute + kSync,
        bind + kExecute + kFlush, bind + Message('E', Raw("p\0\0\0\0\0")) + kSync}) {
    EXPECT_EQ(name_of(other), "") << testing::PrintToString(other);
  }
}

// Forwarded at once, it leaves what it leaves message by message.
TEST(Requests, AWholePipelineIsWhatItsMessagesAre) {
  for (const std::string& describe : {std::string(), kDescribePortal}) {
    const std::string bytes = kParseUnnamed + kBindUnnamed + describe + kExecute + kSync;
    Statements kept(0);
    Walk walked(Server::kLent);
    walked.kept = &kept;
    ASSERT_TRUE(walked.Feed(bytes));
    Walk at_once(Server::kLent);
    at_once.kept = &kept;
    const auto pipeline =
        at_once.requests.WholePipeline(AsBytes(std::string_view(bytes)), at_once.limits);
    ASSERT_TRUE(pipeline.has_value());
    EXPECT_EQ(pipeline->text, "select 1");
    at_once.requests.OnWholePipeline(*pipeline, {.replies = &at_once.replies,
                                                 .pinned = false,
                                                 .limits = at_once.limits,
                                                 .counts = at_once.counts,
                                                 .statements = &kept});
    ASSERT_EQ(at_once.replies.owed().count(), walked.replies.owed().count());
    for (uint32_t i = 0; i < walked.replies.owed().count(); ++i) {
      EXPECT_EQ(at_once.replies.owed().at(i), walked.replies.owed().at(i)) << i;
    }
    EXPECT_EQ(at_once.replies.needs_sync(), walked.replies.needs_sync());
    EXPECT_EQ(at_once.counts.parses, walked.counts.parses);
    EXPECT_EQ(at_once.counts.server_parses, walked.counts.server_parses);
    EXPECT_EQ(at_once.counts.binds, walked.counts.binds);
    EXPECT_EQ(at_once.requests.unnamed().text(), walked.requests.unnamed().text());
    // What comes next is judged alike.
    for (Walk* walk : {&walked, &at_once}) {
      walk->forwarded.clear();
      walk->Feed(kBindUnnamed);
    }
    EXPECT_EQ(at_once.forwarded, walked.forwarded);
    EXPECT_EQ(at_once.events, walked.events);
    for (Walk* walk : {&walked, &at_once}) walk->requests.ForgetUnnamed();
  }
}

TEST(Requests, ACancelledQueryIsDroppedAlone) {
  Walk walk(Server::kNone);
  EXPECT_FALSE(walk.Feed(kQuery + kQuery));
  EXPECT_EQ(walk.requests.PassOver(AsBytes(std::string_view(walk.inbox))),
            Requests::ReadyIsOwed::kNow);
  EXPECT_FALSE(walk.Pump());
  EXPECT_EQ(walk.dropped, kQuery);
  EXPECT_EQ(walk.inbox, kQuery);
  EXPECT_EQ(walk.events, "NN");
}

TEST(Requests, ACancelledPipelineIsDroppedUpToSync) {
  Walk walk(Server::kNone);
  EXPECT_FALSE(walk.Feed(kParseUnnamed + kBindUnnamed + kExecute));
  EXPECT_EQ(walk.requests.PassOver(AsBytes(std::string_view(walk.inbox))),
            Requests::ReadyIsOwed::kAtSync);
  EXPECT_TRUE(walk.Pump());
  EXPECT_FALSE(walk.Feed(kSync + kQuery));
  EXPECT_EQ(walk.events, "NSN");
}

TEST(Requests, KnowsWhetherTheServerWaitsForTheRestOfAMessage) {
  Walk lent(Server::kLent);
  lent.Feed(kQuery.substr(0, 8));
  EXPECT_TRUE(lent.requests.mid_forward());
  lent.Feed(kQuery.substr(8));
  EXPECT_FALSE(lent.requests.mid_forward());
  Walk none(Server::kNone);
  none.Feed(kCopyData.substr(0, 6));
  EXPECT_FALSE(none.requests.mid_forward());
  EXPECT_TRUE(none.requests.mid_message());
}

TEST(Requests, TheRestOfALateCopyDataFollowsItsHead) {
  Walk walk(Server::kNone);
  EXPECT_TRUE(walk.Feed(kCopyData.substr(0, 6)));
  walk.lent = true;  // another request got a server meanwhile: not in real life, but accounted for
  EXPECT_TRUE(walk.Feed(kCopyData.substr(6)));
  EXPECT_EQ(walk.forwarded, "");
  EXPECT_EQ(walk.dropped, kCopyData);
}

TEST(Requests, StopsAtTheLimitOfOwedReplies) {
  Walk walk(Server::kLent);
  walk.limits.expected_replies_max = 2;
  EXPECT_FALSE(walk.Feed(kQuery + kQuery + kQuery));
  EXPECT_EQ(walk.events, "O");
  EXPECT_EQ(walk.forwarded, kQuery + kQuery);
  EXPECT_FALSE(walk.Feed(kTerminate));
  EXPECT_EQ(walk.events, "Oo");
}

TEST(Requests, RefusesWhatIsNotTheProtocol) {
  const struct {
    std::string bytes;
    char type;
  } cases[] = {
      {Message('?'), '?'},       {Message('p', "password"), 'p'},
      {Raw("Q\0\0\0\3"), 'Q'},   {Raw("Q\xff\xff\xff\xff"), 'Q'},
      {Raw("Q\x80\0\0\0"), 'Q'}, {Raw("Q\0\0\3\xed"), 'Q'},  // a body of 1001 bytes
  };
  for (const auto& each : cases) {
    for (const Server server : {Server::kNone, Server::kLent}) {
      for (const size_t piece : {size_t{1}, size_t{3}, size_t{1000}}) {
        Walk walk(server);
        EXPECT_FALSE(walk.Feed(each.bytes, piece));
        EXPECT_EQ(walk.events, "B");
        EXPECT_EQ(walk.requests.broken_type(), each.type);
        EXPECT_EQ(walk.forwarded + walk.dropped, "");
      }
    }
  }
}

TEST(Requests, ALargeBodyStreamsThroughWithoutBeingGathered) {
  Walk walk(Server::kLent);
  walk.limits.message_bytes_max = 1 << 20;
  const std::string query = Message('Q', std::string(100000, 'x'));
  EXPECT_TRUE(walk.Feed(query.substr(0, 50000)));
  EXPECT_EQ(walk.forwarded.size(), 50000u);
  EXPECT_TRUE(walk.Feed(query.substr(50000)));
  EXPECT_EQ(walk.forwarded, query);
  EXPECT_EQ(walk.Owed(), "Q");
}

TEST(Requests, OnlyTextsThatMayLeaveSomethingAreLookedAt) {
  const TextRules rules;
  const struct {
    std::string bytes;
    const char* events;
  } cases[] = {
      {kQuery, ""},
      {Message('Q', Raw("BEGIN\0")), ""},
      {Message('Q', Raw("SET work_mem = '1MB'\0")), "L"},
      {Message('Q', Raw("SELECT set_config('a', 'b', false)\0")), "L"},
      {kParseUnnamed, ""},
      {Message('P', Raw("\0LISTEN x\0\0\0")), "L"},
      {Message('P', Raw("\0LISTEN x\0\0\0")) + kBindUnnamed + kExecute, "LL"},
      {kFunctionCall, ""},
      {Message('F', Raw("\0\0\x0b\x40\0\0\0\0\0\0")), "L"},  // pg_advisory_lock
      {Message('Q', Raw("SELECT nextval('s')\0")), ""},
  };
  for (const auto& each : cases) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}}) {
      Walk walk(Server::kLent);
      walk.watch = &rules;
      EXPECT_TRUE(walk.Feed(each.bytes, piece));
      EXPECT_EQ(walk.events, each.events) << each.bytes;
      EXPECT_EQ(walk.forwarded, each.bytes);
    }
  }
}

// Only a server knows what is wrong with it; when there is none, it ends nevertheless.
TEST(Requests, ASyncWithABodyIsPassedOverLikeAQuery) {
  const std::string broken = Message('S', "xx");
  Requests requests;
  RequestCounts counts;
  const Requests::Limits limits{
      .message_bytes_max = 1000, .expected_replies_max = 100, .statement_bytes_max = 100};
  const Requests::Context context{
      .replies = nullptr, .pinned = false, .limits = limits, .counts = counts};
  const std::string bytes = broken + kSync;
  RequestStep step = requests.Next(AsBytes(bytes), context);
  EXPECT_EQ(step.event, RequestStep::Event::kNeedsServer);
  EXPECT_EQ(requests.PassOver(AsBytes(bytes)), Requests::ReadyIsOwed::kNow);
  step = requests.Next(AsBytes(bytes), context);
  EXPECT_EQ(step.event, RequestStep::Event::kSyncAlone);  // the one behind it
  EXPECT_EQ(step.size, bytes.size());
  EXPECT_FALSE(step.forward);
  EXPECT_FALSE(requests.passing_over());
}

// An unnamed statement was made when nobody asked sequences, and is bound again when somebody does.
TEST(Requests, NumbersMatterOnceSomebodyAsksForThem) {
  const TextRules rules;
  const std::string parse = Message('P', Raw("\0SELECT nextval('s')\0\0\0"));
  Walk walk(Server::kLent);
  walk.watch = &rules;
  EXPECT_TRUE(walk.Feed(parse + kBindUnnamed + kExecute));
  EXPECT_EQ(walk.events, "");
  walk.numbers = Numbers::kMatter;
  EXPECT_TRUE(walk.Feed(kBindUnnamed + kExecute));
  EXPECT_EQ(walk.events, "L");
  EXPECT_TRUE(walk.Feed(parse));
  EXPECT_EQ(walk.events, "LL");
}

TEST(Requests, ATextTooLongToBeReadMayLeaveAnything) {
  const TextRules rules;
  Walk walk(Server::kLent);
  walk.watch = &rules;
  walk.limits.message_bytes_max = 1 << 20;
  const std::string query = Message('Q', "SELECT '" + std::string(kTextBytesMax, 'x') + "'");
  EXPECT_TRUE(walk.Feed(query, 1000));
  EXPECT_EQ(walk.events, "L");
  EXPECT_EQ(walk.forwarded, query);
}

TEST(Requests, APortalNameWithoutEndIsNotGatheredForEver) {
  Walk walk(Server::kLent);
  walk.limits.message_bytes_max = 1 << 20;
  const std::string bind = Message('B', std::string(100000, 'p'));
  for (const size_t piece : {size_t{1}, size_t{700}, bind.size()}) {
    Walk each(Server::kLent);
    each.limits = walk.limits;
    EXPECT_TRUE(each.Feed(bind, piece));
    EXPECT_EQ(each.forwarded.size(), bind.size());
  }
}

}  // namespace
}  // namespace trireme
