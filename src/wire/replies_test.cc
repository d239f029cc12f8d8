// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/replies.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/replies_feed_test.h"

namespace trireme {
namespace {

using enum Request;

const std::string kRows = Message('T', "xx") + Message('D', std::string(100, 'r')) +
                          Message('D', "") + Message('C', std::string("SELECT 2", 9));

TEST(Replies, PassesASimpleQueryWholeAndIsReadyAtItsEnd) {
  const std::string bytes = kRows + Ready();
  const Outcome outcome = FeedAllWays([](Replies& r) { ExpectAll(r, {kQuery}); }, bytes);
  EXPECT_EQ(outcome.forwarded, bytes);
  EXPECT_EQ(outcome.events, "R");
}

TEST(Replies, IsNotReadyWhileASecondReplyIsOwed) {
  Replies replies;
  ExpectAll(replies, {kQuery, kQuery});
  EXPECT_EQ(Feed(replies, kRows + Ready(), 1000).events, "");
  EXPECT_FALSE(replies.clean());
  EXPECT_EQ(Feed(replies, kRows + Ready(), 1000).events, "R");
  EXPECT_TRUE(replies.clean());
}

TEST(Replies, KnowsATransactionIsOpen) {
  Replies replies;
  ExpectAll(replies, {kQuery});
  Feed(replies, Message('C', "BEGIN") + Ready('T'), 1000);
  EXPECT_TRUE(replies.at_rest());
  EXPECT_FALSE(replies.clean());
  EXPECT_EQ(replies.status(), TransactionStatus::kInTransaction);
}

TEST(Replies, PopsEachExtendedRequestByItsOwnAnswer) {
  const std::string bytes = Message('1') + Message('2') + Message('t', "0") + Message('T', "x") +
                            Message('D', "row") + Message('s') + Message('3') + Ready();
  const Outcome outcome = FeedAllWays(
      [](Replies& r) {
        ExpectAll(r, {kParse, kBind, kDescribe, kExecute, kClose, kSync});
      },
      bytes);
  EXPECT_EQ(outcome.forwarded, bytes);
  EXPECT_EQ(outcome.events, "R");
}

TEST(Replies, DropsWhatTheServerPassesOverAfterAnError) {
  Replies replies;
  ExpectAll(replies, {kParse, kBind, kExecute, kSync, kParse, kSync});
  EXPECT_EQ(Feed(replies, Message('E', "SERROR") + Ready(), 1000).events, "");
  EXPECT_EQ(replies.owed().count(), 2u);
  EXPECT_EQ(Feed(replies, Message('1') + Ready(), 1000).events, "R");
}

TEST(Replies, IgnoresRequestsAfterAnErrorUntilTheSyncThatComesLater) {
  Replies replies;
  ExpectAll(replies, {kParse});
  Feed(replies, Message('E', "SERROR"), 1000);
  EXPECT_TRUE(replies.skipping());
  ExpectAll(replies, {kBind, kExecute, kQuery});
  EXPECT_TRUE(replies.owed().empty());
  EXPECT_FALSE(replies.clean());
  ExpectAll(replies, {kSync});
  EXPECT_EQ(Feed(replies, Ready(), 1000).events, "R");
  EXPECT_TRUE(replies.clean());
}

TEST(Replies, IsNotCleanBetweenAFlushAndTheSync) {
  Replies replies;
  ExpectAll(replies, {kParse, kBind, kExecute});
  EXPECT_EQ(Feed(replies, Message('1') + Message('2') + Message('C', "x"), 1000).events, "");
  EXPECT_TRUE(replies.at_rest());
  EXPECT_TRUE(replies.needs_sync());
  EXPECT_FALSE(replies.clean());
}

TEST(Replies, SwallowsWhatAnswersInjectedRequests) {
  const std::string set =
      Message('C', "SET") + Message('S', std::string("TimeZone\0UTC\0", 13)) + Ready();
  const std::string bytes = set + kRows + Ready();
  const Outcome outcome = FeedAllWays(
      [](Replies& r) {
        r.Expect(kQuery, Disposition::kSkip);
        r.Expect(kQuery, Disposition::kForward);
      },
      bytes);
  EXPECT_EQ(outcome.forwarded, kRows + Ready());
  EXPECT_EQ(outcome.events, "PR");
}

TEST(Replies, TellsAnErrorToAnInjectedRequestApart) {
  Replies replies;
  replies.Expect(kQuery, Disposition::kSkip);
  replies.Expect(kQuery, Disposition::kForward);
  const Outcome outcome =
      Feed(replies, Message('E', "SERROR") + Ready() + Message('I') + Ready(), 1000);
  EXPECT_EQ(outcome.events, "ER");
  EXPECT_EQ(outcome.forwarded, Message('I') + Ready());
}

TEST(Replies, ShowsTheRowsOfAQuestionOfOursAndSwallowsTheRest) {
  const std::string answer = Message('C', "SET") +
                             Message('S', std::string("TimeZone\0UTC\0", 13)) + Message('T', "xx") +
                             Message('D', "one") + Message('N', "SNOTICE") +
                             Message('D', "another row") + Message('C', "SELECT 2") + Ready();
  const Outcome outcome = FeedAllWays(
      [](Replies& r) {
        r.Expect(kQuery, Disposition::kForward);
        r.Expect(kQuery, Disposition::kAsk);
        r.Expect(kQuery, Disposition::kSkip);
        r.Expect(kQuery, Disposition::kForward);
      },
      kRows + Ready() + answer + kRows + Ready() + kRows + Ready());
  EXPECT_EQ(outcome.forwarded, kRows + Ready() + kRows + Ready());
  EXPECT_EQ(outcome.rows, "[one][another row]");
  EXPECT_EQ(outcome.events, "PDDR");
}

TEST(Replies, ANotificationIsTheClientsWhateverIsAnswered) {
  const std::string news = Message('A', std::string("pid_news\0hear\0", 14));
  for (const Disposition ours : {Disposition::kAsk, Disposition::kSkip}) {
    const Outcome outcome = FeedAllWays(
        [ours](Replies& r) {
          r.Expect(kQuery, Disposition::kForward);
          r.Expect(kQuery, ours);
          r.Expect(kQuery, Disposition::kForward);
        },
        kRows + Ready() + news + Message('T', "xx") + Message('C', "SELECT 0") + news + Ready() +
            kRows + Ready() + news);
    EXPECT_EQ(outcome.forwarded, kRows + Ready() + news + news + kRows + Ready() + news);
  }
}

TEST(Replies, ShowsTheRowsOfAnExtendedQuestionOfOurs) {
  const std::string bytes = Message('1') + Message('2') + Message('D', "ours") + Message('C', "S") +
                            Message('D', "theirs") + Message('C', "S") + Ready();
  const Outcome outcome = FeedAllWays(
      [](Replies& r) {
        for (Request request : {kParse, kBind, kExecute}) r.Expect(request, Disposition::kAsk);
        ExpectAll(r, {kExecute, kSync});
      },
      bytes);
  EXPECT_EQ(outcome.forwarded, Message('D', "theirs") + Message('C', "S") + Ready());
  EXPECT_EQ(outcome.rows, "[ours]");
  EXPECT_EQ(outcome.events, "DR");
}

TEST(Replies, AnErrorToAQuestionOfOursIsOurs) {
  for (const Request request : {kQuery, kParse, kExecute}) {
    Replies replies;
    replies.Expect(request, Disposition::kAsk);
    const Outcome outcome = Feed(replies, Message('E', "SERROR"), 1000);
    EXPECT_EQ(outcome.events, "E");
    EXPECT_EQ(outcome.forwarded, "");
  }
}

TEST(Replies, PassesARowOfOursUnreadThatIsTooLong) {
  const std::string most(Replies::kRowBytesMax, 'r');
  for (const size_t chunk : {size_t{1} << 20, size_t{5000}}) {
    Replies replies;
    replies.Expect(kQuery, Disposition::kAsk);
    const Outcome outcome =
        Feed(replies, Message('D', most) + Message('D', most + "r") + Message('D', "x") + Ready(),
             chunk);
    EXPECT_EQ(outcome.rows, '[' + most + "][][x]");
    EXPECT_EQ(outcome.events, "DDDR");
    EXPECT_EQ(outcome.forwarded, "");
  }
}

TEST(Replies, AsksForAFakeAnswerAtItsExactPlace) {
  Replies replies;
  replies.Expect(kParse, Disposition::kFake);
  ExpectAll(replies, {kBind, kExecute});
  replies.Expect(kClose, Disposition::kFake);
  ExpectAll(replies, {kSync});
  EXPECT_EQ(Feed(replies, "", 1).events, "F");
  EXPECT_EQ(Feed(replies, Message('2') + Message('C', "x"), 1000).events, "F");
  EXPECT_EQ(Feed(replies, Ready(), 1000).events, "R");
}

TEST(Replies, DropsFakeAnswersThatAnErrorPassesOver) {
  Replies replies;
  ExpectAll(replies, {kBind});
  replies.Expect(kParse, Disposition::kFake);
  ExpectAll(replies, {kSync});
  EXPECT_EQ(Feed(replies, Message('E', "S") + Ready(), 1000).events, "SR");
}

TEST(Replies, PassesAsynchronousMessagesAnyTime) {
  Replies replies;
  const std::string bytes = Message('N', "notice") + Message('A', "notification") +
                            Message('S', std::string("a\0b\0", 4)) + Message('E', "SFATAL");
  const Outcome outcome = Feed(replies, bytes, 1000);
  EXPECT_EQ(outcome.forwarded, bytes);
  EXPECT_EQ(outcome.events, "P");
  EXPECT_TRUE(replies.error_forwarded());
}

TEST(Replies, RefusesWhatIsNotTheProtocol) {
  const std::string cases[] = {Message('D', "row nobody asked for"), Ready(), Message('?'),
                               std::string("Z\0\0\0\1I", 6)};
  for (const std::string& bytes : cases) {
    Replies replies;
    EXPECT_EQ(Feed(replies, bytes, 1000).events, "B") << bytes;
  }
}

TEST(Replies, CountsQueriesAndTransactions) {
  Replies replies;
  ExpectAll(replies, {kQuery, kQuery, kQuery});
  Feed(replies, Message('C') + Ready('T') + Message('C') + Ready('T') + Message('C') + Ready('I'),
       1000);
  const Replies::Counts counts = replies.TakeCounts();
  EXPECT_EQ(counts.queries, 3u);
  EXPECT_EQ(counts.transactions, 1u);
  EXPECT_EQ(replies.TakeCounts().queries, 0u);
}

TEST(Replies, IsCleanAfterAQueryThatStoodForTheSync) {
  Replies replies;
  ExpectAll(replies, {kParse, kBind, kExecute, kQuery});
  Feed(replies, Message('1') + Message('2') + Message('C') + Message('C') + Ready(), 1000);
  EXPECT_TRUE(replies.clean());
}

TEST(Replies, StillNeedsTheSyncWhenTheQueryIsPassedOver) {
  Replies replies;
  ExpectAll(replies, {kParse, kQuery});
  Feed(replies, Message('E', "no"), 1000);
  EXPECT_TRUE(replies.at_rest());
  EXPECT_FALSE(replies.clean());
  replies.Expect(kSync, Disposition::kForward);
  Feed(replies, Ready(), 1000);
  EXPECT_TRUE(replies.clean());
}

TEST(Replies, SaysWhichInjectedRequestFailed) {
  Replies replies;
  replies.Expect(kDescribe, Disposition::kSkip);
  const ReplyStep step = replies.Next(AsBytes(Message('E', "no")));
  EXPECT_EQ(step.event, ReplyStep::Event::kInjectedError);
  EXPECT_EQ(step.failed, kDescribe);
}

// It passes over everything up to the Sync.
TEST(Replies, RefusesAnswersOfAServerThatOwesNoneAfterAnError) {
  for (const char type : {'G', 'W', 'C', 'D', '1', 'H'}) {
    SCOPED_TRACE(type);
    const auto prepare = [](Replies& replies) { ExpectAll(replies, {kExecute}); };
    const std::string copied = Message(type) + Message('C', std::string("COPY 1", 7));
    const Outcome outcome = FeedAllWays(prepare, Message('E', "S") + copied);
    EXPECT_EQ(outcome.forwarded, Message('E', "S"));
    EXPECT_EQ(outcome.events, "B");
  }
}

TEST(Replies, RefusesAReadyForQueryOfAnotherSize) {
  for (const std::string_view body : {"", "Ixyz"}) {
    Replies replies;
    ExpectAll(replies, {kQuery, kQuery});
    const std::string bytes = Message('C', "SELECT 1") + Message('Z', body) + Ready();
    EXPECT_EQ(Feed(replies, bytes, 1000).events, "B") << body;
    EXPECT_FALSE(replies.clean()) << body;
  }
}

// The shortcut takes an answer exactly when it is whole and plain, and leaves what Next() would
// leave.
TEST(Replies, TakesAWholeAnswerAtOnceOrLeavesItToNext) {
  const std::string row = Message('T', "columns") + Message('D', "values");
  const std::string done = Message('C', "SELECT 1");
  const std::string values = Message('D', "values");
  const std::string parsed = Message('1'), bound = Message('2');
  struct Case {
    std::vector<Request> owed;
    std::string bytes;
    bool taken;
  };
  const std::vector<Case> cases = {
      {{kQuery}, row + done + Ready(), true},
      {{kQuery}, row + done + row + done + Ready('T'), true},
      {{kQuery}, done + Ready('E'), true},
      {{kQuery}, Message('I') + Ready(), true},
      {{kQuery}, Message('N', "notice") + Message('A', "channel") + done + Ready(), true},
      {{kQuery}, Message('H', "text") + Message('d', "1") + Message('c') + done + Ready(), true},
      {{kQuery}, Message('E', "error") + Ready(), false},
      {{kQuery}, Message('S', std::string("TimeZone\0UTC\0", 13)) + done + Ready(), false},
      {{kQuery}, Message('G', "in"), false},
      {{kQuery}, row + done, false},
      {{kQuery}, row + done + Ready() + Message('N', "late"), false},
      {{kQuery}, row + done + Ready('?'), false},
      {{kQuery}, Message('D', "a body that ends as" + Ready()), false},
      {{kQuery}, "Z", false},
      {{kQuery}, "", false},
      {{kQuery, kQuery}, done + Ready() + done + Ready(), false},
      {{kSync}, Ready(), false},
      {{}, Message('N', "notice"), false},
      {{kParse, kBind, kDescribe, kExecute, kSync},
       parsed + bound + row + row + done + Ready(),
       false},
      {{kParse, kBind, kDescribe, kExecute, kSync}, parsed + bound + row + done + Ready('T'), true},
      {{kParse, kBind, kExecute, kSync}, parsed + bound + values + values + done + Ready(), true},
      {{kBind, kExecute, kSync}, bound + done + Ready('E'), true},
      {{kBind, kExecute, kSync}, bound + Message('I') + Ready(), true},
      {{kBind, kExecute, kSync}, bound + values + Message('s') + Ready(), true},
      {{kParse, kDescribe, kSync}, parsed + Message('t', "12") + Message('n') + Ready(), true},
      {{kBind, kExecute, kBind, kExecute, kSync},
       bound + done + bound + values + done + Ready(),
       true},
      {{kClose, kSync}, Message('3') + Ready(), true},
      {{kParse, kSync, kBind, kSync}, parsed + Ready() + bound + Ready(), false},
      {{kParse, kSync, kQuery}, parsed + Ready() + done + Ready(), false},
      {{kBind, kExecute}, bound + done, false},
      {{kBind, kExecute, kSync}, bound + done, false},
      {{kBind, kExecute, kSync}, bound + done + Ready() + Message('N', "late"), false},
      {{kBind, kExecute, kSync}, bound + Message('N', "notice") + done + Ready(), false},
      {{kBind, kExecute, kSync}, bound + Message('E', "error") + Ready(), false},
      {{kBind, kExecute, kSync}, bound + Ready(), false},
      {{kBind, kExecute, kSync}, bound + Message('G', "in") + Ready(), false},
      {{kBind, kExecute, kSync}, bound + Message('H', "out") + done + Ready(), false},
      {{kBind, kExecute, kSync}, done + bound + Ready(), false},
      {{kBind, kExecute, kSync},
       bound + Message('C', std::string("DISCARD ALL\0", 12)) + Ready(),
       false},
      {{kBind, kExecute, kSync}, bound + values + Ready('?'), false},
      {{kBind, kExecute, kCopyEnd, kSync}, bound + done + Ready(), false},
  };
  for (const Case& c : cases) {
    Replies shortcut;
    Replies walked;
    for (const Request request : c.owed) {
      shortcut.Expect(request, Disposition::kForward);
      walked.Expect(request, Disposition::kForward);
    }
    EXPECT_EQ(shortcut.TakeWholeAnswer(AsBytes(c.bytes)), c.taken) << c.bytes;
    const Outcome outcome = Feed(walked, c.bytes, 1000);
    if (c.taken) {
      EXPECT_EQ(outcome.forwarded, c.bytes);
      EXPECT_EQ(outcome.events, "R");
    } else {
      const Outcome after = Feed(shortcut, c.bytes, 1000);
      EXPECT_EQ(after.forwarded, outcome.forwarded);
      EXPECT_EQ(after.events, outcome.events);
    }
    EXPECT_EQ(shortcut.status(), walked.status()) << c.bytes;
    EXPECT_EQ(shortcut.clean(), walked.clean()) << c.bytes;
    EXPECT_EQ(shortcut.owed().count(), walked.owed().count()) << c.bytes;
    EXPECT_EQ(shortcut.error_forwarded(), walked.error_forwarded()) << c.bytes;
    const Replies::Counts ours = shortcut.TakeCounts();
    const Replies::Counts theirs = walked.TakeCounts();
    EXPECT_EQ(ours.queries, theirs.queries) << c.bytes;
    EXPECT_EQ(ours.transactions, theirs.transactions) << c.bytes;
  }
}

TEST(Replies, TakesNoAnswerThatIsOursOrBeginsInAMessage) {
  const std::string answer = Message('C', "SET") + Ready();
  Replies injected;
  injected.Expect(kQuery, Disposition::kSkip);
  EXPECT_FALSE(injected.TakeWholeAnswer(AsBytes(answer)));
  Replies mid_message;
  mid_message.Expect(kQuery, Disposition::kForward);
  mid_message.Next(AsBytes(Message('D', "0123456789")).first(8));
  EXPECT_FALSE(mid_message.TakeWholeAnswer(AsBytes(answer)));
}

TEST(ExpectedReplies, GrowsAndKeepsOrder) {
  ExpectedReplies owed;
  for (int i = 0; i < 10; ++i) owed.Push({kQuery, Disposition::kForward});
  for (int i = 0; i < 9; ++i) owed.Pop();
  for (int i = 0; i < 100; ++i) {
    owed.Push({i % 2 == 0 ? kParse : kSync, Disposition::kSkip});
  }
  EXPECT_EQ(owed.front().request, kQuery);
  owed.Pop();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(owed.front().request, i % 2 == 0 ? kParse : kSync);
    EXPECT_EQ(owed.front().disposition, Disposition::kSkip);
    owed.Pop();
  }
  EXPECT_TRUE(owed.empty());
}

TEST(ExpectedReplies, AllocatesNothingForAFewRequests) {
  ExpectedReplies owed;
  for (int i = 0; i < 16; ++i) owed.Push({kQuery, Disposition::kForward});
  EXPECT_EQ(owed.heap_bytes(), 0u);
}

TEST(ExpectedReplies, KeepsWhatPipelinesOfUsualDepthNeed) {
  ExpectedReplies owed;
  for (int i = 0; i < 256; ++i) owed.Push({kQuery, Disposition::kForward});
  while (!owed.empty()) owed.Pop();
  EXPECT_EQ(owed.heap_bytes(), 256u);
}

TEST(Replies, IsNotCleanAfterAnErrorOutOfTurn) {
  Replies replies;
  replies.Expect(kQuery, Disposition::kForward);
  Feed(replies, Message('C', "SELECT") + Ready(), 100);
  EXPECT_TRUE(replies.clean());
  Feed(replies, Message('E', "SFATAL"), 100);
  EXPECT_FALSE(replies.clean()) << "who was told sees the end, not the next client";
}

// What became of requests with notes, a letter each: a answered, d dropped.
std::string NewsOf(Replies& replies) {
  std::string text;
  const Replies::News news = replies.TakeNews();
  for (const Replies::Outcome& outcome : news.outcomes) {
    text += outcome.answered ? 'a' : 'd';
    text += outcome.notes.server ? 's' : 'c';
  }
  return text + (news.discarded ? " discarded" : "") + (news.unnamed_lost ? " lost" : "");
}

TEST(Replies, TellsWhatBecameOfRequestsWithNotes) {
  constexpr Notes kServer{.server = true}, kClient{.client = true};
  const auto prepare = [&](Replies& replies) {
    replies.Expect(kParse, Disposition::kForward, kServer);
    replies.Expect(kParse, Disposition::kFake, kClient);
    replies.Expect(kBind, Disposition::kForward);
    replies.Expect(kParse, Disposition::kForward);
    replies.Expect(kClose, Disposition::kFake, kClient);
    replies.Expect(kParse, Disposition::kSkip, kServer);
    replies.Expect(kSync, Disposition::kForward);
    replies.Expect(kClose, Disposition::kSkip, kServer);
  };
  const std::string answers = Message('1') + Message('E', std::string(1, '\0')) + Ready() +
                              Message('3') + Message('N', "x");
  for (size_t chunk = 1; chunk <= answers.size(); ++chunk) {
    Replies replies;
    prepare(replies);
    EXPECT_FALSE(replies.has_news());
    Feed(replies, answers, chunk);
    EXPECT_TRUE(replies.has_news());
    EXPECT_EQ(NewsOf(replies), "asacdcdsas lost") << chunk;
    EXPECT_FALSE(replies.has_news());
  }
}

TEST(Replies, OfALaterUnnamedStatementNothingIsKnownYet) {
  Replies replies;
  ExpectAll(replies, {kParse, kSync, kParse, kSync});
  const std::string failed = Message('E', std::string(1, '\0'));
  Feed(replies, failed + Ready(), 100);
  EXPECT_FALSE(replies.TakeNews().unnamed_lost);
  Feed(replies, failed + Ready(), 100);
  EXPECT_TRUE(replies.TakeNews().unnamed_lost);
}

TEST(Replies, SeesThatAllStatementsAreGone) {
  for (const auto& [tag, discards] :
       std::vector<std::pair<std::string, bool>>{{"DISCARD ALL", true},
                                                 {"DEALLOCATE ALL", true},
                                                 {"DISCARD ONE", false},
                                                 {"SELECT 12345", false}}) {
    const std::string answer = Message('C', tag + std::string(1, '\0')) + Ready();
    for (size_t chunk = 1; chunk <= answer.size(); ++chunk) {
      Replies replies;
      replies.Expect(kQuery, Disposition::kForward);
      if (!replies.TakeWholeAnswer(AsBytes(answer).first(chunk))) Feed(replies, answer, chunk);
      EXPECT_EQ(replies.TakeNews().discarded, discards) << tag << " " << chunk;
    }
  }
}

TEST(Replies, TheErrorOfAParsePutAheadOfABindIsTheClients) {
  const auto prepare = [](Replies& replies) {
    replies.Expect(kParse, Disposition::kSkip, {.server = true});
    replies.Expect(kBind, Disposition::kForward);
    replies.Expect(kSync, Disposition::kForward);
  };
  const std::string answers = Message('E', std::string(1, '\0')) + Ready();
  const Outcome outcome = FeedAllWays(prepare, answers);
  EXPECT_EQ(outcome.forwarded, answers);
  EXPECT_EQ(outcome.events, "R");
}

TEST(Replies, ShowsTheErrorOfABind) {
  const auto prepare = [](Replies& replies) { ExpectAll(replies, {kBind, kExecute, kSync}); };
  const std::string answers = Message('E', std::string(1, '\0')) + Ready();
  const Outcome outcome = FeedAllWays(prepare, answers);
  EXPECT_EQ(outcome.forwarded, answers);
  EXPECT_EQ(outcome.events, "SR");
}

const std::string kCanceled =
    Message('E', std::string("SERROR\0C57014\0Mcanceling statement\0", 35) + '\0');

TEST(Replies, HoldsTheErrorOfACancelByItself) {
  const auto prepare = [](Replies& replies) {
    ExpectAll(replies, {kQuery});
    replies.HoldError();
  };
  EXPECT_EQ(FeedAllWays(prepare, kRows + kCanceled + Ready()).events, "HR");
  Replies replies;
  prepare(replies);
  const std::string answer = kRows + kCanceled + Ready();
  const ReplyStep rows = replies.Next(AsBytes(answer));
  EXPECT_EQ(rows.size, kRows.size());
  EXPECT_EQ(rows.event, Event::kNone);
  const ReplyStep held = replies.Next(AsBytes(answer).subspan(rows.size));
  EXPECT_EQ(held.event, Event::kHeldError);
  EXPECT_EQ(held.size, kCanceled.size());
  EXPECT_EQ(held.message.size(), kCanceled.size() - 5);
}

TEST(Replies, HoldsNoErrorButThatOfACancelAndOnlyOnce) {
  const std::string other =
      Message('E', std::string("SERROR\0C22012\0Mdivision by zero\0", 32) + '\0');
  const auto hold = [](Replies& replies) {
    ExpectAll(replies, {kQuery, kQuery});
    replies.HoldError();
  };
  EXPECT_EQ(FeedAllWays(hold, other + Ready() + kCanceled + Ready()).events, "R");
  EXPECT_EQ(FeedAllWays(hold, kCanceled + Ready() + kCanceled + Ready()).events, "HR");
}

TEST(Replies, HoldsNoErrorOfTheNextClient) {
  Replies replies;
  ExpectAll(replies, {kQuery});
  replies.HoldError();
  EXPECT_EQ(Feed(replies, kRows + Ready(), 1000).events, "R");
  ExpectAll(replies, {kQuery});
  EXPECT_EQ(Feed(replies, kCanceled + Ready(), 1000).events, "R");
  ExpectAll(replies, {kQuery});
  replies.HoldError();
  EXPECT_TRUE(replies.TakeWholeAnswer(AsBytes(kRows + Ready())));
  ExpectAll(replies, {kQuery});
  EXPECT_EQ(Feed(replies, kCanceled + Ready(), 1000).events, "R");
}

TEST(Replies, SwallowsTheSyncBehindAnError) {
  Replies replies;
  ExpectAll(replies, {kBind, kSync});
  Feed(replies, Message('E', std::string(1, '\0')), 100);
  EXPECT_TRUE(replies.SwallowSync());
  EXPECT_EQ(Feed(replies, Ready(), 100).forwarded, "");
  Replies alone;
  ExpectAll(alone, {kBind});
  Feed(alone, Message('E', std::string(1, '\0')), 100);
  EXPECT_FALSE(alone.SwallowSync());
  EXPECT_TRUE(alone.skipping());
}

TEST(ExpectedReplies, GivesTheMemoryOfADeepPipelineBackOnceNothingIsOwed) {
  ExpectedReplies owed;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 65536; ++i) owed.Push({kQuery, Disposition::kForward});
    EXPECT_EQ(owed.heap_bytes(), 65536u);
    while (owed.count() > 1) owed.Pop();
    EXPECT_EQ(owed.heap_bytes(), 65536u);
    owed.Pop();
    EXPECT_EQ(owed.heap_bytes(), 0u);
  }
  for (int i = 0; i < 1000; ++i) owed.Push({kQuery, Disposition::kForward});
  owed.Clear();
  EXPECT_EQ(owed.heap_bytes(), 0u);
}

TEST(ExpectedReplies, TakesTheLastOneBackAfterItHasShrunk) {
  ExpectedReplies owed;
  for (int i = 0; i < 1000; ++i) owed.Push({kQuery, Disposition::kForward});
  while (!owed.empty()) owed.Pop();
  owed.PushFront({kExecute, Disposition::kForward});
  owed.Push({kSync, Disposition::kSkip});
  EXPECT_EQ(owed.count(), 2u);
  EXPECT_EQ(owed.at(0).request, kExecute);
  EXPECT_EQ(owed.at(1).request, kSync);
}

}  // namespace
}  // namespace trireme
