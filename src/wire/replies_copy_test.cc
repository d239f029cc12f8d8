// SPDX-License-Identifier: GPL-3.0-or-later
//
// COPY FROM STDIN: which requests its end, or its failing, leaves to be answered.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "wire/replies.h"
#include "wire/replies_feed_test.h"

namespace trireme {
namespace {

using enum Request;

// COPY FROM STDIN: the rules are in "COPY Operations" of the protocol chapter.
struct CopyCase {
  const char* name;
  std::vector<Request> requests;
  std::string replies;
  uint32_t owed_after;
};

TEST(RepliesCopy, AccountsForCopy) {
  const std::string in = Message('G', std::string("\0\0\0", 3));
  const std::string done = Message('C', "COPY 1");
  const std::string error = Message('E', "SERROR");
  const CopyCase cases[] = {
      {"simple", {kQuery, kCopyEnd}, in + done + Ready(), 0},
      {"extended, Sync only after the end", {kExecute, kCopyEnd, kSync}, in + done + Ready(), 0},
      {"Sync inside COPY is ignored by the server",
       {kExecute, kSync, kCopyEnd, kSync},
       in + done + Ready(),
       0},
      {"fails before the end was sent", {kExecute, kSync}, in + error, 0},
      {"simple, fails before the end", {kQuery}, in + error + Ready(), 0},
      {"simple, fails after the end was sent", {kQuery, kCopyEnd}, in + error + Ready(), 0},
      {"the statement failed before it could copy", {kQuery, kCopyEnd}, error + Ready(), 0},
      {"it was no COPY at all", {kExecute, kCopyEnd, kSync}, done + Ready(), 0},
      {"a query behind it is still owed", {kQuery, kCopyEnd, kQuery}, in + done + Ready(), 1},
  };
  for (const CopyCase& test : cases) {
    SCOPED_TRACE(test.name);
    Replies replies;
    for (Request request : test.requests) replies.Expect(request, Disposition::kForward);
    const Outcome outcome = Feed(replies, test.replies, 1000);
    EXPECT_EQ(outcome.forwarded, test.replies);
    EXPECT_EQ(replies.owed().count(), test.owed_after);
    EXPECT_FALSE(replies.in_copy());
  }
}

TEST(RepliesCopy, IgnoresALateEndOfCopy) {
  Replies replies;
  replies.Expect(kCopyEnd, Disposition::kForward);
  EXPECT_TRUE(replies.owed().empty());
}

// A CopyDone outside of COPY is passed over by the server; here it stands between two answers of
// ours.
TEST(RepliesCopy, AnEndOfCopyThatEndsNoneHoldsNoFakeAnswerUp) {
  Replies replies;
  replies.Expect(kParse, Disposition::kFake);
  replies.Expect(kCopyEnd, Disposition::kForward);
  replies.Expect(kParse, Disposition::kFake);
  ExpectAll(replies, {kBind, kSync});
  EXPECT_EQ(Feed(replies, "", 1).events, "FF");
  const std::string answer = Message('2') + Ready();
  const Outcome outcome = Feed(replies, answer, 1000);
  EXPECT_EQ(outcome.forwarded, answer);
  EXPECT_EQ(outcome.events, "R");
}

TEST(RepliesCopy, AnErrorBehindAnEndOfCopyThatEndsNoneIsTheClients) {
  const std::string answer = Message('E', "S") + Ready();
  const auto prepare = [](Replies& replies) {
    replies.Expect(kClose, Disposition::kFake);
    replies.Expect(kCopyEnd, Disposition::kForward);
    replies.Expect(kClose, Disposition::kFake);
    ExpectAll(replies, {kExecute, kSync});
  };
  const Outcome outcome = FeedAllWays(prepare, answer);
  EXPECT_EQ(outcome.forwarded, answer);
  EXPECT_EQ(outcome.events, "FFR");
}

// An extended COPY that fails at its data may have read the Syncs that were sent inside of it, or
// not. The first ReadyForQuery behind the error is for one of them, or for the Sync at the end.
struct DoubtCase {
  const char* name;
  std::vector<Request> requests;
  std::string replies;
  std::string_view events;
  std::string ours;  // the end of the replies: the answer to the empty Query that settles it
};

TEST(RepliesCopy, ASyncInsideACopyThatFailsMayBeAnswered) {
  const std::string failed = Message('G', std::string("\0\0\0", 3)) + Message('E', "SERROR");
  const std::string ours = Message('I') + Ready();
  const DoubtCase cases[] = {
      {"read by the COPY", {kExecute, kSync, kCopyEnd, kSync}, failed + Ready(), "IR", ours},
      {"read behind it",
       {kExecute, kSync, kCopyEnd, kSync},
       failed + Ready() + Ready(),
       "IR",
       ours},
      {"one of two read",
       {kExecute, kSync, kSync, kCopyEnd, kSync},
       failed + Ready() + Ready(),
       "IR",
       ours},
      {"all of two read behind it",
       {kExecute, kSync, kSync, kCopyEnd, kSync},
       failed + Ready() + Ready() + Ready(),
       "IR",
       ours},
      {"before the end was sent", {kExecute, kSync}, failed + Ready(), "R", ""},
      {"before the end was sent, one of two",
       {kExecute, kSync, kSync},
       failed + Ready(),
       "IR",
       ours},
      {"behind the end there is no doubt",
       {kExecute, kCopyEnd, kSync, kSync},
       failed + Ready() + Ready(),
       "R",
       ""},
  };
  for (const DoubtCase& test : cases) {
    SCOPED_TRACE(test.name);
    const auto prepare = [&test](Replies& replies) {
      for (Request request : test.requests) replies.Expect(request, Disposition::kForward);
    };
    const Outcome outcome = FeedAllWays(prepare, test.replies + test.ours);
    EXPECT_EQ(outcome.forwarded, test.replies);
    EXPECT_EQ(outcome.events, test.events);
  }
}

TEST(RepliesCopy, ADoubtEndsWithTheEmptyQuery) {
  Replies replies;
  ExpectAll(replies, {kExecute, kSync, kCopyEnd, kSync});
  EXPECT_TRUE(replies.doubt_will_end());
  Feed(replies, Message('G', std::string("\0\0\0", 3)) + Message('E', "S"), 1000);
  EXPECT_EQ(replies.syncs_in_doubt(), 1u);
  EXPECT_TRUE(replies.doubt_will_end());
  EXPECT_EQ(Feed(replies, Ready(), 1000).events, "I");
  EXPECT_FALSE(replies.at_rest());
  EXPECT_TRUE(replies.doubt_will_end());
  const Outcome outcome = Feed(replies, Message('I') + Ready(), 1000);
  EXPECT_EQ(outcome.events, "R");
  EXPECT_EQ(outcome.forwarded, "");
  EXPECT_EQ(replies.syncs_in_doubt(), 0u);
  EXPECT_FALSE(replies.doubt_will_end());
  EXPECT_TRUE(replies.clean());
  EXPECT_EQ(replies.counts().transactions, 1u);
}

// The end of the data and its Sync come after the error.
TEST(RepliesCopy, ADoubtWaitsForTheSyncBehindIt) {
  for (const bool answered : {false, true}) {
    Replies replies;
    ExpectAll(replies, {kExecute, kSync});
    Feed(replies, Message('G', std::string("\0\0\0", 3)) + Message('E', "S"), 1000);
    EXPECT_TRUE(replies.skipping());
    EXPECT_FALSE(replies.doubt_will_end());
    EXPECT_FALSE(replies.clean());
    ExpectAll(replies, {kCopyEnd, kSync});
    EXPECT_FALSE(replies.lost_count());
    EXPECT_TRUE(replies.doubt_will_end());
    EXPECT_EQ(Feed(replies, Ready(), 1000).events, "I");
    const std::string late = answered ? Ready() : "";
    const Outcome outcome = Feed(replies, late + Message('I') + Ready(), 1000);
    EXPECT_EQ(outcome.events, "R");
    EXPECT_EQ(outcome.forwarded, late);
    EXPECT_TRUE(replies.clean());
  }
}

TEST(RepliesCopy, ARequestThatMayOrMayNotBeAnsweredIsTheEnd) {
  const std::string failed = Message('G', std::string("\0\0\0", 3)) + Message('E', "S");
  Replies later;  // inside the COPY, behind its error
  ExpectAll(later, {kExecute, kSync});
  EXPECT_EQ(Feed(later, failed, 1000).events, "");
  later.Expect(kParse, Disposition::kForward);
  EXPECT_TRUE(later.lost_count());
  EXPECT_EQ(Feed(later, Ready(), 1000).events, "B");

  Replies before;  // the error may be its
  ExpectAll(before, {kExecute, kSync, kParse, kSync});
  EXPECT_EQ(Feed(before, failed, 1000).events, "");
  EXPECT_TRUE(before.lost_count());
  EXPECT_EQ(Feed(before, Ready(), 1000).events, "B");

  Replies ours;  // behind which ReadyForQuery?
  ExpectAll(ours, {kExecute, kSync, kCopyEnd, kSync});
  ours.Expect(kParse, Disposition::kFake);
  EXPECT_EQ(Feed(ours, failed, 1000).events, "");
  EXPECT_TRUE(ours.lost_count());
  EXPECT_EQ(Feed(ours, Ready(), 1000).events, "B");
}

// Requests behind the Sync are told apart by their answers.
TEST(RepliesCopy, WhatFollowsTheSyncIsCountedRight) {
  const std::string failed = Message('G', std::string("\0\0\0", 3)) + Message('E', "S");
  const std::string answer = Message('C', "x") + Ready();
  for (const std::string& syncs : {Ready(), Ready() + Ready()}) {
    const auto prepare = [](Replies& replies) {
      ExpectAll(replies, {kExecute, kSync, kCopyEnd, kSync, kQuery});
    };
    const Outcome outcome = FeedAllWays(prepare, failed + syncs + answer);
    EXPECT_EQ(outcome.forwarded, failed + syncs + answer);
    EXPECT_EQ(outcome.events, "R");
  }
}

TEST(RepliesCopy, AnEndOfCopyIsOwedUntilItIsReached) {
  Replies replies;
  ExpectAll(replies, {kExecute, kCopyEnd, kSync});
  EXPECT_TRUE(replies.doubt_will_end());
  Feed(replies, Message('G', std::string("\0\0\0", 3)) + Message('C', "COPY 1"), 1000);
  EXPECT_FALSE(replies.doubt_will_end());

  Replies none;  // the statement was none
  ExpectAll(none, {kExecute, kCopyEnd, kSync});
  Feed(none, Message('C', "x"), 1000);
  EXPECT_FALSE(none.doubt_will_end());

  Replies passed;  // over, with what the error was in
  ExpectAll(passed, {kParse, kExecute, kCopyEnd, kSync});
  Feed(passed, Message('E', "S"), 1000);
  EXPECT_FALSE(passed.doubt_will_end());
}

}  // namespace
}  // namespace trireme
