// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/prepared_set.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

using Presence = PreparedSet::Presence;

constexpr StatementId kA{1, 1}, kB{2, 2}, kC{3, 3};
constexpr Replies::Outcome kAnswered{.notes = {.server = true}, .answered = true};
constexpr Replies::Outcome kDropped{.notes = {.server = true}, .answered = false};
constexpr Replies::Outcome kOfTheClient{.notes = {.client = true}, .answered = false};

void Settle(PreparedSet& set, std::vector<Replies::Outcome> outcomes) { set.OnOutcomes(outcomes); }

TEST(PreparedSet, AStatementIsPendingUntilItsParseIsAnswered) {
  PreparedSet set;
  EXPECT_EQ(set.Use(kA), Presence::kAbsent);
  set.Add(kA);
  EXPECT_EQ(set.Use(kA), Presence::kPending);
  EXPECT_FALSE(set.settled());
  Settle(set, {kOfTheClient, kAnswered});
  EXPECT_EQ(set.Use(kA), Presence::kPresent);
  EXPECT_TRUE(set.settled());
}

TEST(PreparedSet, AFailedParseLeavesNoTrace) {
  PreparedSet set;
  set.Add(kA);
  Settle(set, {kDropped});
  EXPECT_EQ(set.Use(kA), Presence::kAbsent);
  EXPECT_EQ(set.count(), 0u);
}

TEST(PreparedSet, AClosedOneComesBackWhenTheCloseWasPassedOver) {
  PreparedSet set;
  set.Add(kA);
  Settle(set, {kAnswered});
  set.Remove(kA);
  EXPECT_EQ(set.Use(kA), Presence::kAbsent);
  Settle(set, {kDropped});
  EXPECT_EQ(set.Use(kA), Presence::kPresent);
}

TEST(PreparedSet, ACloseAndAParseOfTheSameAreUndoneBackwards) {
  PreparedSet set;
  set.Add(kA);
  Settle(set, {kAnswered});
  set.Remove(kA);
  set.Add(kA);
  Settle(set, {kDropped, kDropped});
  EXPECT_EQ(set.Use(kA), Presence::kPresent);
  set.Remove(kA);
  set.Add(kA);
  Settle(set, {kAnswered, kDropped});
  EXPECT_EQ(set.Use(kA), Presence::kAbsent);
}

TEST(PreparedSet, TheLeastRecentlyUsedIsTheSurplus) {
  PreparedSet set;
  EXPECT_EQ(set.Surplus(1), std::nullopt);
  for (const StatementId id : {kA, kB, kC}) set.Add(id);
  Settle(set, {kAnswered, kAnswered, kAnswered});
  set.Use(kA);
  EXPECT_EQ(set.Surplus(4), std::nullopt);
  EXPECT_EQ(set.Surplus(3), kB);
  set.Remove(kB);
  EXPECT_EQ(set.Surplus(2), kC);
}

TEST(PreparedSet, DiscardKeepsOnlyWhatIsOnItsWay) {
  PreparedSet set;
  set.Add(kA);
  Settle(set, {kAnswered});
  set.Add(kB);
  set.OnDiscarded();
  EXPECT_EQ(set.Use(kA), Presence::kAbsent);
  EXPECT_EQ(set.Use(kB), Presence::kPending);
  Settle(set, {kAnswered});
  EXPECT_EQ(set.Use(kB), Presence::kPresent);
}

TEST(PreparedSet, ASuspectIsTrustedAgainWhenItWasMadeAnew) {
  PreparedSet set;
  set.Add(kA);
  Settle(set, {kAnswered});
  set.SuspectAll();
  EXPECT_EQ(set.Use(kA), Presence::kSuspect);
  set.Remove(kA);
  set.Add(kA);
  Settle(set, {kAnswered, kAnswered});
  EXPECT_EQ(set.Use(kA), Presence::kPresent);
}

}  // namespace
}  // namespace trireme
