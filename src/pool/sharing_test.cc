// SPDX-License-Identifier: GPL-3.0-or-later
//
// Servers between cores: stealing, granting, fairness, and no lost wake-up, on fake servers and
// fake mail.
#include <gtest/gtest.h>

#include <bit>
#include <functional>

#include "pool/fake_fleet_steps.h"

namespace trireme {
namespace {

using State = PooledServer::State;

TEST(Sharing, StealsAnIdleServerOfAnotherCore) {
  FakeFleet fleet(With(2, 4));
  FakeClient there, here;
  const uint64_t id = Served(fleet, 1, there).id;
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(Served(fleet, 0, here).id, id);
  EXPECT_EQ(fleet.board->size().open(), 1u);  // nothing was opened, though there was room
  EXPECT_EQ(fleet.pool(0).counters().steals_granted, 1u);
  EXPECT_EQ(fleet.pool(1).counters().steals_given, 1u);
}

TEST(Sharing, TellsHowLongAHandOverTook) {
  FakeFleet fleet({.cores = 2});
  FakeClient client, other;
  fleet.pool(0).Checkout(client, client);
  fleet.Settle();
  fleet.pool(0).Return(*client.server);
  fleet.Settle();
  fleet.pool(1).Checkout(other, other);
  fleet.core(1).Turn();  // asks
  fleet.now += 7us;
  fleet.core(0).Turn();
  fleet.now += 3us;
  fleet.Settle();
  ASSERT_NE(other.server, nullptr);
  EXPECT_EQ(fleet.core(0).hand_overs.count(), 0u);
  EXPECT_EQ(fleet.core(1).hand_overs.count(), 1u);
  EXPECT_EQ(fleet.core(1).hand_overs.max(), 10us);
}

TEST(Sharing, GivesAwayItsColdestServer) {
  FakeFleet fleet(With(2, 2));
  FakeClient a, b, thief;
  const uint64_t cold = Served(fleet, 1, a).id;
  Served(fleet, 1, b);
  GiveBack(fleet, 1, a);
  GiveBack(fleet, 1, b);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(Served(fleet, 0, thief).id, cold);
}

TEST(Sharing, OpensWhenTheStealIsDenied) {
  FakeFleet fleet(With(2, 4));
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();  // asks
  fleet.pool(1).Checkout(there, there);
  ASSERT_NE(there.server, nullptr);  // the victim needs it itself
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counters().steals_denied, 1u);
  EXPECT_NE(here.server, nullptr);
  EXPECT_EQ(fleet.board->size().open(), 2u);
}

TEST(Sharing, GoesToTheNextVictimWhenDenied) {
  FakeFleet fleet(With(3, 2));
  FakeClient one, two, here;
  Served(fleet, 1, one);
  Served(fleet, 2, two);
  GiveBack(fleet, 1, one);
  GiveBack(fleet, 2, two);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();
  const uint32_t victim = fleet.mail[{0, 1}].empty() ? 2 : 1;
  FakeClient& owner = victim == 1 ? one : two;
  fleet.pool(victim).Checkout(owner, owner);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
  EXPECT_EQ(fleet.board->size().open(), 2u);
}

TEST(Sharing, KeepsAStolenServerWhoseWaiterHasLeft) {
  FakeFleet fleet(With(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();
  fleet.pool(0).Leave(here);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  EXPECT_EQ(fleet.board->line(0).wanted, 0u);
}

TEST(Sharing, AnswersAStealWhoseServerDiedOnTheWay) {
  FakeFleet fleet(With(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();
  fleet.Deliver(0, 1);
  fleet.core(1).Turn();
  ASSERT_EQ(fleet.core(1).InState(State::kLeaving).size(), 1u);
  fleet.pool(1).OnBroken(*fleet.core(1).InState(State::kLeaving)[0], CloseReason::kServerEnded);
  ASSERT_TRUE(fleet.Settle());  // denied, closed, nudged, opened anew
  EXPECT_NE(here.server, nullptr);
}

TEST(Sharing, MakesAPromiseGoodWhenTheGrantedServerDies) {
  FakeFleet fleet(With(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();  // hungry: no idle server, no place
  GiveBack(fleet, 1, there);
  fleet.core(1).Turn();  // claims, begins to hand over
  EXPECT_EQ(fleet.board->line(0).wanted, 0u);
  fleet.pool(1).OnBroken(*fleet.core(1).InState(State::kLeaving)[0], CloseReason::kServerEnded);
  EXPECT_EQ(fleet.board->line(0).wanted, 1u);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
  EXPECT_EQ(fleet.board->line(0).wanted, 0u);
}

TEST(Sharing, AppliesTheFairnessWindow) {
  struct Case {
    Duration head_start;  // of the other core's waiter over ours
    bool ours;            // the returned server stays
  };
  for (const Case& c : {Case{-5ms, true}, Case{0ms, true}, Case{1ms, true}, Case{1ms + 1ns, false},
                        Case{50ms, false}}) {
    FakeFleet fleet(With(2, 1));
    fleet.Advance(1s);
    FakeClient holder, ours, theirs;
    Served(fleet, 0, holder);
    const auto wait = [&](uint32_t core, FakeClient& client) {
      fleet.pool(core).Checkout(client, client);
      fleet.core(core).Turn();
    };
    if (c.head_start < 0ms) {
      wait(0, ours);
      fleet.Advance(-c.head_start);
      wait(1, theirs);
    } else {
      wait(1, theirs);
      fleet.Advance(c.head_start);
      wait(0, ours);
    }
    GiveBack(fleet, 0, holder);
    ASSERT_TRUE(fleet.Settle());
    EXPECT_EQ(ours.server != nullptr, c.ours) << c.head_start.count() << " ns";
    EXPECT_EQ(theirs.server != nullptr, !c.ours) << c.head_start.count() << " ns";
    if (ours.waiting()) fleet.pool(0).Leave(ours);
    if (theirs.waiting()) fleet.pool(1).Leave(theirs);
  }
}

TEST(Sharing, DoesNotLetNewcomersPassAHungryCore) {
  FakeFleet fleet(With(2, 1));
  FakeClient greedy, theirs;
  Served(fleet, 0, greedy);
  fleet.pool(1).Checkout(theirs, theirs);
  fleet.core(1).Turn();
  fleet.Advance(10ms);
  GiveBack(fleet, 0, greedy);
  fleet.pool(0).Checkout(greedy, greedy);  // same turn: the idle list has a server
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(theirs.server, nullptr);
  EXPECT_EQ(greedy.server, nullptr);
  fleet.pool(0).Leave(greedy);
}

TEST(Sharing, GrantsOneServerForOneWaiter) {
  FakeFleet fleet(With(3, 2));
  FakeClient one, two, here;
  Served(fleet, 1, one);
  Served(fleet, 2, two);
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();
  GiveBack(fleet, 1, one);
  GiveBack(fleet, 2, two);
  fleet.core(1).Turn();
  fleet.core(2).Turn();
  EXPECT_EQ(
      fleet.core(1).InState(State::kLeaving).size() + fleet.core(2).InState(State::kLeaving).size(),
      1u);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
}

TEST(Sharing, TakesBackHungerThatNobodyHasClaimed) {
  FakeFleet fleet(With(2, 1));
  FakeClient holder, here;
  Served(fleet, 1, holder);
  fleet.pool(0).Checkout(here, here);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.board->line(0).wanted, 1u);
  EXPECT_TRUE(fleet.board->hungry_cores().Contains(0));
  fleet.pool(0).Leave(here);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.board->line(0).wanted, 0u);
  EXPECT_FALSE(fleet.board->hungry_cores().Contains(0));
}

TEST(Sharing, NudgesAHungryCoreWhenAPlaceBecomesFree) {
  FakeFleet fleet(With(2, 1));
  FakeClient holder, here;
  Served(fleet, 1, holder);
  fleet.pool(0).Checkout(here, here);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(1).Abandon(*holder.server, AbandonReason::kBrokenMidMessage);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
  EXPECT_GE(fleet.pool(0).counters().nudges_received, 1u);
}

// --- the lost wake-up ----------------------------------------------------------------------------

// Every order of the steps of two cores: one becomes hungry, the other frees what it needs. What
// happens after that is only what mail and changes cause.
void ForEveryInterleaving(const std::function<void(uint32_t schedule)>& run) {
  constexpr int kSteps = 4;
  for (uint32_t schedule = 0; schedule < 1u << (2 * kSteps); ++schedule) {
    if (std::popcount(schedule) == kSteps) run(schedule);
  }
}

// Runs the steps of one core: 0 = `first`, then the parts of a turn, as on two threads.
struct Stepper {
  FakeFleet& fleet;
  uint32_t core;
  std::function<void()> first;
  int step = 0;
  bool look = false;

  void Next() {
    switch (step++) {
      case 0:
        return first();
      case 1:
        fleet.core(core).changed = false;
        return fleet.pool(core).RunGrants();
      case 2:
        look = fleet.pool(core).Publish();
        return;
      case 3:
        if (look) fleet.pool(core).LookAgain();
        return;
    }
  }
};

TEST(Sharing, LosesNoWakeUpWhenAServerIsParkedWhileSomebodyGetsHungry) {
  ForEveryInterleaving([](uint32_t schedule) {
    FakeFleet fleet(With(2, 1));
    FakeClient holder, hungry;
    Served(fleet, 1, holder);
    Stepper a{fleet, 0, [&] { fleet.pool(0).Checkout(hungry, hungry); }};
    Stepper b{fleet, 1, [&] { GiveBack(fleet, 1, holder); }};
    for (int i = 0; i < 8; ++i) ((schedule >> i & 1) != 0 ? a : b).Next();
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE(hungry.server, nullptr) << schedule;
    ASSERT_EQ(fleet.board->line(0).wanted, 0u) << schedule;
  });
}

TEST(Sharing, LosesNoWakeUpWhenAPlaceIsFreedWhileSomebodyGetsHungry) {
  ForEveryInterleaving([](uint32_t schedule) {
    FakeFleet fleet(With(2, 1));
    FakeClient holder, hungry;
    FakeServer& server = Served(fleet, 1, holder);
    fleet.pool(1).Abandon(server, AbandonReason::kProtocol);
    Stepper a{fleet, 0, [&] { fleet.pool(0).Checkout(hungry, hungry); }};
    Stepper b{fleet, 1, [&] { fleet.pool(1).OnClosed(server); }};
    for (int i = 0; i < 8; ++i) ((schedule >> i & 1) != 0 ? a : b).Next();
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE(hungry.server, nullptr) << schedule;
  });
}

TEST(Sharing, LosesNoWakeUpWhenASurplusAndAStealCross) {
  ForEveryInterleaving([](uint32_t schedule) {
    FakeFleet fleet(With(3, 1));
    FakeClient holder, first, second;
    Served(fleet, 2, holder);
    GiveBack(fleet, 2, holder);
    ASSERT_TRUE(fleet.Settle());
    Stepper a{fleet, 0, [&] { fleet.pool(0).Checkout(first, first); }};
    Stepper b{fleet, 1, [&] { fleet.pool(1).Checkout(second, second); }};
    for (int i = 0; i < 8; ++i) ((schedule >> i & 1) != 0 ? a : b).Next();
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE(first.server != nullptr, second.server != nullptr) << schedule;
    const uint32_t winner = first.server != nullptr ? 0 : 1;
    GiveBack(fleet, winner, winner == 0 ? first : second);
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE((winner == 0 ? second : first).server, nullptr) << schedule;
  });
}

TEST(Sharing, PrefersTheVictimThePolicyNames) {
  struct Case {
    VictimChoice choice;
    uint32_t victim;
  };
  for (const Case& c : {Case{VictimChoice::kMostIdle, 3}, Case{VictimChoice::kNearest, 1}}) {
    FakeFleet::Options options = With(4, 8);
    options.sharing.victim = c.choice;
    FakeFleet fleet(options);
    FakeClient a, b, d, here;
    Served(fleet, 1, a);
    Served(fleet, 3, b);
    Served(fleet, 3, d);
    GiveBack(fleet, 1, a);
    GiveBack(fleet, 3, b);
    GiveBack(fleet, 3, d);
    ASSERT_TRUE(fleet.Settle());
    fleet.pool(0).Checkout(here, here);
    fleet.core(0).Turn();
    EXPECT_EQ((fleet.mail[{0, c.victim}].size()), 1u);
    ASSERT_TRUE(fleet.Settle());
  }
}

}  // namespace
}  // namespace trireme
