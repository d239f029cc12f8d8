// SPDX-License-Identifier: GPL-3.0-or-later
//
// The decisions of a pool, on fake servers and fake mail.
#include "pool/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <set>

#include "pool/fake_fleet.h"

namespace trireme {
namespace {

using State = PooledServer::State;

FakeFleet::Options With(uint32_t cores, uint32_t size) {
  FakeFleet::Options options{.cores = cores};
  options.settings.pool.size = size;
  return options;
}

// A client of each core that has asked for a server and got one.
FakeServer& Served(FakeFleet& fleet, uint32_t core, FakeClient& client) {
  fleet.pool(core).Checkout(client, client);
  EXPECT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
  return *client.server;
}

void GiveBack(FakeFleet& fleet, uint32_t core, FakeClient& client) {
  fleet.pool(core).Return(*std::exchange(client.server, nullptr));
}

TEST(Pool, ServesFromTheIdleListBeforeCheckoutReturns) {
  FakeFleet fleet(With(1, 1));
  FakeClient client;
  FakeServer& server = Served(fleet, 0, client);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.pool(0).Checkout(client, client);
  EXPECT_EQ(client.server, &server);
  EXPECT_EQ(server.user(), &client);
}

TEST(Pool, LendsTheServerThatWasUsedLast) {
  FakeFleet fleet(With(1, 2));
  FakeClient a, b;
  FakeServer& first = Served(fleet, 0, a);
  FakeServer& second = Served(fleet, 0, b);
  ASSERT_NE(&first, &second);
  GiveBack(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  EXPECT_EQ(&Served(fleet, 0, b), &first);
}

TEST(Pool, OpensNoMoreThanItsSize) {
  FakeFleet fleet(With(2, 3));
  FakeClient clients[8];
  for (uint32_t i = 0; i < 8; ++i) fleet.pool(i % 2).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 3u);
  EXPECT_EQ(std::ranges::count_if(clients, [](auto& c) { return c.server != nullptr; }), 3);
  for (uint32_t i = 0; i < 8; ++i) {
    if (clients[i].waiting()) fleet.pool(i % 2).Leave(clients[i]);
  }
}

TEST(Pool, OpensOnlySoManyConnectionsAtOnce) {
  FakeFleet::Options options = With(1, 20);
  options.settings.storage.connecting_max = 2;
  FakeFleet fleet(options);
  FakeClient clients[6];
  for (FakeClient& client : clients) fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.core(0).InState(State::kConnecting).size(), 2u);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 6u);
}

TEST(Pool, ServesWaitersInOrderOfArrival) {
  FakeFleet fleet(With(1, 1));
  FakeClient holder, first, second;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(first, first);
  fleet.pool(0).Checkout(second, second);
  GiveBack(fleet, 0, holder);
  fleet.pool(0).Checkout(holder, holder);  // within the same turn: behind the others
  EXPECT_EQ(holder.server, nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(first.server, nullptr);
  EXPECT_EQ(second.server, nullptr);
  fleet.pool(0).Leave(second);
  fleet.pool(0).Leave(holder);
}

TEST(Pool, StealsAnIdleServerOfAnotherCore) {
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

TEST(Pool, GivesAwayItsColdestServer) {
  FakeFleet fleet(With(2, 2));
  FakeClient a, b, thief;
  const uint64_t cold = Served(fleet, 1, a).id;
  Served(fleet, 1, b);
  GiveBack(fleet, 1, a);
  GiveBack(fleet, 1, b);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(Served(fleet, 0, thief).id, cold);
}

TEST(Pool, OpensWhenTheStealIsDenied) {
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

TEST(Pool, GoesToTheNextVictimWhenDenied) {
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

TEST(Pool, KeepsAStolenServerWhoseWaiterHasLeft) {
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

TEST(Pool, AnswersAStealWhoseServerDiedOnTheWay) {
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

TEST(Pool, MakesAPromiseGoodWhenTheGrantedServerDies) {
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

TEST(Pool, AppliesTheFairnessWindow) {
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

TEST(Pool, DoesNotLetNewcomersPassAHungryCore) {
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

TEST(Pool, GrantsOneServerForOneWaiter) {
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

TEST(Pool, TakesBackHungerThatNobodyHasClaimed) {
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

TEST(Pool, NudgesAHungryCoreWhenAPlaceBecomesFree) {
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

TEST(Pool, LosesNoWakeUpWhenAServerIsParkedWhileSomebodyGetsHungry) {
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

TEST(Pool, LosesNoWakeUpWhenAPlaceIsFreedWhileSomebodyGetsHungry) {
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

TEST(Pool, LosesNoWakeUpWhenASurplusAndAStealCross) {
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

// --- connecting ----------------------------------------------------------------------------------

const PgError kRefused{.severity = "FATAL", .sqlstate = "28P01", .message = "password wrong"};
const PgError kStarting{.severity = "FATAL", .sqlstate = "57P03", .message = "starting up"};

void FailConnect(FakeFleet& fleet, const PgError& error) {
  for (FakeServer* server : fleet.core(0).InState(State::kConnecting)) {
    fleet.pool(0).OnConnectFailed(*server, error);
  }
}

TEST(Pool, TellsWaitersTheServersOwnErrorWhenNoServerIsAlive) {
  FakeFleet fleet(With(1, 1));
  FakeClient client, late;
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  FailConnect(fleet, kRefused);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(*client.refusal, kRefused);
  fleet.pool(0).Checkout(late, late);  // within the back-off: at once
  EXPECT_FALSE(late.refusal);          // but not within the call
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(late.refusal, kRefused);
  EXPECT_EQ(fleet.board->size().open(), 0u);
}

TEST(Pool, KeepsWaitersWhileTheServerIsStartingUp) {
  FakeFleet fleet(With(1, 1));
  FakeClient client;
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  FailConnect(fleet, kStarting);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_TRUE(client.waiting());
  fleet.Advance(200ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
}

TEST(Pool, KeepsWaitersWhileAnotherServerIsAlive) {
  FakeFleet fleet(With(1, 2));
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  FailConnect(fleet, kRefused);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_TRUE(client.waiting());
  GiveBack(fleet, 0, holder);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
}

TEST(Pool, DoublesItsBackOffUpToTheMaximum) {
  FakeFleet::Options options = With(1, 1);
  options.settings.storage.connect_backoff_min = 100ms;
  options.settings.storage.connect_backoff_max = 400ms;
  FakeFleet fleet(options);
  FakeClient client;
  fleet.pool(0).Checkout(client, client);
  for (const Duration backoff : {100ms, 200ms, 400ms, 400ms}) {
    fleet.core(0).Turn();
    ASSERT_EQ(fleet.core(0).InState(State::kConnecting).size(), 1u) << backoff.count();
    FailConnect(fleet, kStarting);
    for (FakeServer* server : fleet.core(0).InState(State::kClosing)) {
      fleet.pool(0).OnClosed(*server);
    }
    fleet.Advance(backoff / 2 - 1ms);  // jitter takes off at most half
    fleet.core(0).Turn();
    EXPECT_TRUE(fleet.core(0).InState(State::kConnecting).empty()) << backoff.count();
    fleet.Advance(backoff / 2 + 2ms);
  }
  fleet.pool(0).Leave(client);
}

// --- time ----------------------------------------------------------------------------------------

TEST(Pool, SaysWhyNobodyWasServedInTime) {
  FakeFleet::Options options = With(2, 1);
  options.settings.pool.wait_timeout = 3s;
  FakeFleet fleet(options);
  FakeClient holder, first, second;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(first, first);
  fleet.pool(1).Checkout(second, second);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(2999ms);
  EXPECT_FALSE(first.refusal);
  fleet.Advance(2ms);
  ASSERT_TRUE(first.refusal);
  EXPECT_EQ(first.refusal->sqlstate, "53300");
  EXPECT_EQ(first.refusal->message,
            "no server connection became free within 3 s: pool \"main/app\" has 1 of 1 servers in "
            "use, 2 clients wait");
  ASSERT_TRUE(second.refusal);
}

TEST(Pool, ClosesServersThatAreIdleTooLong) {
  FakeFleet::Options options = With(1, 2);
  options.settings.pool.idle_timeout = 10s;
  FakeFleet fleet(options);
  FakeClient a, b;
  Served(fleet, 0, a);
  Served(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  fleet.Advance(6s);
  GiveBack(fleet, 0, b);
  fleet.core(0).Turn();
  fleet.Advance(5s);
  EXPECT_EQ(fleet.core(0).closings, std::vector{CloseReason::kIdleTimeout});
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  fleet.Advance(6s);
  EXPECT_EQ(fleet.pool(0).counts().idle, 0u);
}

TEST(Pool, DoesNotLendAServerBeyondItsLifetime) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.server_lifetime = 100s;
  options.settings.pool.server_lifetime_jitter = 0s;
  FakeFleet fleet(options);
  FakeClient client;
  const uint64_t old = Served(fleet, 0, client).id;
  fleet.Advance(101s);
  EXPECT_NE(client.server, nullptr);  // nobody loses a server that is in use
  GiveBack(fleet, 0, client);
  EXPECT_EQ(fleet.core(0).closings, std::vector{CloseReason::kLifetime});
  EXPECT_NE(Served(fleet, 0, client).id, old);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.Advance(101s);
  EXPECT_EQ(fleet.core(0).closings.size(), 2u);  // idle: when its time comes
}

// --- cleaning ------------------------------------------------------------------------------------

TEST(Pool, ResetsAfterASession) {
  FakeFleet::Options options = With(1, 1);
  options.settings.mode = PoolMode::kSession;
  FakeFleet fleet(options);
  FakeClient first, second;
  FakeServer& server = Served(fleet, 0, first);
  fleet.pool(0).Checkout(second, second);
  GiveBack(fleet, 0, first);
  fleet.core(0).Turn();
  EXPECT_EQ(server.cleaning, PooledServer::Cleaning::kReset);
  EXPECT_EQ(second.server, nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(second.server, &server);
}

TEST(Pool, HoldsAServerBackWhileACancelIsOnItsWay) {
  FakeFleet fleet(With(1, 1));
  FakeClient first, second;
  FakeServer& server = Served(fleet, 0, first);
  server.Hold();
  GiveBack(fleet, 0, first);
  fleet.pool(0).Checkout(second, second);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(second.server, nullptr);
  server.Unhold();
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(second.server, nullptr);
}

TEST(Pool, SettlesTheServerOfAClientThatHasGone) {
  FakeFleet fleet(With(1, 1));
  FakeClient client;
  FakeServer& server = Served(fleet, 0, client);
  server.at_rest = PooledServer::Rest::kDirty;
  fleet.pool(0).Abandon(server, AbandonReason::kClientGone);
  EXPECT_EQ(server.cleaning, PooledServer::Cleaning::kAll);
  EXPECT_EQ(server.user(), nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(server.state(), State::kIdle);
}

// --- policies, shutdown --------------------------------------------------------------------------

TEST(Pool, DividesItsSizeWhenIsolated) {
  FakeFleet::Options options = With(2, 3);
  options.sharing.policy = Sharing::kIsolated;
  FakeFleet fleet(options);
  FakeClient clients[6];
  for (uint32_t i = 0; i < 6; ++i) fleet.pool(i % 2).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 2u);
  EXPECT_EQ(fleet.pool(1).counts().lent, 1u);
  GiveBack(fleet, 0, clients[0]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 2u);  // to its own waiter, never to the other core
  EXPECT_EQ(fleet.pool(0).counters().steals_asked + fleet.pool(1).counters().grants_received, 0u);
  for (uint32_t i = 0; i < 6; ++i) {
    if (clients[i].waiting()) fleet.pool(i % 2).Leave(clients[i]);
  }
}

TEST(Pool, SaysThatAnIsolatedCoreHasNoShare) {
  FakeFleet::Options options = With(2, 1);
  options.sharing.policy = Sharing::kIsolated;
  FakeFleet fleet(options);
  FakeClient client;
  fleet.pool(1).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(client.refusal->sqlstate, "53400");
}

TEST(Pool, PrefersTheVictimThePolicyNames) {
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

TEST(Pool, AsksForAPlaceThatAnotherPoolOfTheStorageHolds) {
  FakeFleet::Options options = With(1, 4);
  options.storage_connections_max = 1;
  FakeFleet fleet(options);
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.core(0).places_wanted, 1u);
  fleet.Advance(150ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.core(0).places_wanted, 2u);
  fleet.pool(0).Leave(client);
}

TEST(Pool, DrainsIdleServersNowAndLentOnesWhenReturned) {
  FakeFleet fleet(With(1, 2));
  FakeClient a, b, late;
  Served(fleet, 0, a);
  Served(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  fleet.pool(0).Drain();
  EXPECT_EQ(fleet.pool(0).counts().closing, 1u);
  GiveBack(fleet, 0, b);
  EXPECT_EQ(fleet.pool(0).counts().closing, 2u);
  fleet.pool(0).Checkout(late, late);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(late.refusal);
  EXPECT_EQ(late.refusal->sqlstate, "57P01");
}

// --- everything at once --------------------------------------------------------------------------

// Random clients on random cores, mail late and in any order, servers that die: the cap holds at
// every step, nobody shares a server, and once all is quiet nobody waits beside something free.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : fleet_(OptionsFor(seed)), random_(seed), clients_(24) {}

  void Run() {
    for (int step = 0; step < 3000; ++step) {
      Act();
      ASSERT_LE(fleet_.board->size().open(), kSize);
      ASSERT_LE(Servers(), kSize);
    }
    for (FakeClient& client : clients_) {  // from now on everybody behaves
      if (client.server != nullptr) GiveBack(fleet_, CoreOf(client), client);
    }
    ASSERT_TRUE(fleet_.Settle());
    fleet_.Advance(20s);
    ASSERT_TRUE(fleet_.Settle());
    for (int round = 0; round < 100; ++round) {
      for (FakeClient& client : clients_) {
        if (client.server != nullptr) GiveBack(fleet_, CoreOf(client), client);
      }
      ASSERT_TRUE(fleet_.Settle());
    }
    for (FakeClient& client : clients_) ASSERT_FALSE(client.waiting());
    for (uint32_t core = 0; core < kCores; ++core) {
      ASSERT_EQ(fleet_.board->line(core).wanted, 0u);
      ASSERT_FALSE(fleet_.board->hungry_cores().Contains(core));
    }
  }

 private:
  static constexpr uint32_t kCores = 3;
  static constexpr uint32_t kSize = 4;

  static FakeFleet::Options OptionsFor(uint64_t seed) {
    FakeFleet::Options options = With(kCores, kSize);
    options.seed = seed;
    options.settings.pool.idle_timeout = 30s;
    options.settings.pool.wait_timeout = 0s;
    options.settings.storage.connecting_max = 1;
    return options;
  }

  uint32_t CoreOf(const FakeClient& client) const {
    return static_cast<uint32_t>(&client - clients_.data()) % kCores;
  }

  size_t Servers() {
    std::set<uint64_t> ids;
    for (const auto& core : fleet_.cores) {
      for (const auto& server : core->servers) ids.insert(server->id);
    }
    for (const auto& [pair, queue] : fleet_.mail) {
      for (const PoolMail& mail : queue) {
        if (mail.kind == PoolMail::Kind::kGrant) ids.insert(mail.passport->id);
      }
    }
    return ids.size();
  }

  void Act() {
    FakeClient& client = clients_[random_.Below(clients_.size())];
    const uint32_t core = CoreOf(client);
    const auto other = static_cast<uint32_t>(random_.Below(kCores));
    switch (random_.Below(10)) {
      case 0:
      case 1:
        if (!client.waiting() && client.server == nullptr) {
          fleet_.pool(core).Checkout(client, client);
        }
        return;
      case 2:
      case 3:
        if (client.server != nullptr) GiveBack(fleet_, core, client);
        return;
      case 4:
        if (client.waiting() && random_.Below(4) == 0) fleet_.pool(core).Leave(client);
        return;
      case 5:
      case 6:
        fleet_.Deliver(core, other);
        return;
      case 7:
        fleet_.FinishAll(core);
        return;
      case 8:
        fleet_.core(core).Turn();
        return;
      case 9:
        fleet_.Advance(Duration(random_.Below(5'000'000)));
        if (random_.Below(10) == 0) Break(core);
        return;
    }
  }

  void Break(uint32_t core) {
    if (fleet_.core(core).servers.empty()) return;
    FakeServer& server =
        *fleet_.core(core).servers[random_.Below(fleet_.core(core).servers.size())];
    switch (server.state()) {
      case State::kConnecting:
        return fleet_.pool(core).OnConnectFailed(server, kStarting);
      case State::kLent:
        for (FakeClient& client : clients_) {
          if (client.server == &server) client.server = nullptr;
        }
        [[fallthrough]];
      case State::kIdle:
      case State::kLeaving:
        return fleet_.pool(core).OnBroken(server, CloseReason::kServerEnded);
      case State::kLogin:
      case State::kSettling:
      case State::kClosing:
        return;
    }
  }

  FakeFleet fleet_;
  Random random_;
  std::vector<FakeClient> clients_;
};

TEST(Pool, KeepsItsPromisesInChaos) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Chaos(seed).Run();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace trireme
