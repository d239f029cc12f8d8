// SPDX-License-Identifier: GPL-3.0-or-later
//
// A pool that its cores share through a book under a lock: claims, the line, promises that break,
// on fake servers and fake mail; and the book by itself under real threads.
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/random_pause.h"
#include "pool/fake_fleet_steps.h"

namespace trireme {
namespace {

using State = PooledServer::State;

FakeFleet::Options ByBook(uint32_t cores, uint32_t size) {
  FakeFleet::Options options = With(cores, size);
  options.sharing.policy = Sharing::kSharedMutex;
  return options;
}

void Wait(FakeFleet& fleet, uint32_t core, FakeClient& client) {
  fleet.pool(core).Checkout(client, client);
  fleet.core(core).Turn();
}

TEST(SharedMutex, ServesAtOnceFromItsOwnCoreHottestFirst) {
  FakeFleet fleet(ByBook(2, 4));
  FakeClient a, b, again;
  Served(fleet, 0, a);
  const uint64_t hot = Served(fleet, 0, b).id;
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  GiveBack(fleet, 0, b);
  fleet.pool(0).Checkout(again, again);  // the same turn
  ASSERT_NE(again.server, nullptr);
  EXPECT_EQ(again.server->id, hot);
  EXPECT_EQ(fleet.mails_waiting(), 0u);
}

TEST(SharedMutex, ClaimsAnIdleServerOfAnotherCore) {
  FakeFleet fleet(ByBook(2, 4));
  FakeClient there, here;
  const uint64_t id = Served(fleet, 1, there).id;
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(Served(fleet, 0, here).id, id);
  EXPECT_EQ(fleet.board->size().open(), 1u);  // nothing was opened, though there was room
  EXPECT_EQ(fleet.pool(1).counters().steals_given, 1u);
}

TEST(SharedMutex, AClaimIsGoodWhateverTheOtherCoreWants) {
  FakeFleet fleet(ByBook(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);    // claimed now, though the mail is still on its way
  fleet.pool(1).Checkout(there, there);  // who comes later, though the server is here
  EXPECT_EQ(there.server, nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
  EXPECT_EQ(fleet.pool(0).counters().steals_denied, 0u);
  GiveBack(fleet, 0, here);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(there.server, nullptr);
}

TEST(SharedMutex, AClaimedServerIsNeitherEvictedNorClosedForBeingIdle) {
  FakeFleet::Options options = ByBook(2, 1);
  options.settings.pool.idle_timeout = 1s;
  FakeFleet fleet(options);
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  fleet.pool(0).Checkout(here, here);
  EXPECT_FALSE(fleet.pool(1).Evict());
  fleet.Advance(2s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
  EXPECT_TRUE(fleet.core(1).closings.empty());
}

TEST(SharedMutex, ClosesWhatIsIdleForTooLongDownToItsLeast) {
  FakeFleet::Options options = ByBook(2, 4);
  options.settings.pool.idle_timeout = 10s;
  options.settings.pool.min_size = 1;
  FakeFleet fleet(options);
  FakeClient clients[3], late;
  for (FakeClient& client : clients) Served(fleet, 1, client);
  for (FakeClient& client : clients) GiveBack(fleet, 1, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(11s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
  Served(fleet, 0, late);  // the one that is left
  EXPECT_EQ(fleet.board->size().open(), 1u);
}

TEST(SharedMutex, LetsTheNextWaitOnlyForServersThatAreTaken) {
  FakeFleet fleet(ByBook(3, 2));
  FakeClient clients[4];
  for (uint32_t i = 0; i < 4; ++i) fleet.pool(i % 3).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  uint32_t served = 0;
  for (FakeClient& client : clients) served += client.server != nullptr;
  EXPECT_EQ(served, 2u);
  EXPECT_EQ(fleet.board->size().open(), 2u);
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 4; ++i) {
      if (clients[i].server != nullptr) GiveBack(fleet, i % 3, clients[i]);
    }
    ASSERT_TRUE(fleet.Settle());
  }
  for (FakeClient& client : clients) EXPECT_FALSE(client.waiting());
}

TEST(SharedMutex, ServesStrictlyInOrderOverAllCoresWithoutAWindow) {
  FakeFleet::Options options = ByBook(3, 1);
  options.sharing.fairness_window = 0s;
  FakeFleet fleet(options);
  FakeClient holder, clients[9];
  Served(fleet, 0, holder);
  constexpr uint32_t kOrder[9] = {1, 0, 0, 2, 1, 0, 2, 2, 1};
  for (uint32_t i = 0; i < 9; ++i) {
    Wait(fleet, kOrder[i], clients[i]);
    fleet.Advance(1us);
  }
  uint32_t core = 0;
  FakeClient* last = &holder;
  for (uint32_t i = 0; i < 9; ++i) {
    GiveBack(fleet, core, *last);
    ASSERT_TRUE(fleet.Settle());
    ASSERT_NE(clients[i].server, nullptr) << i;
    core = kOrder[i];
    last = &clients[i];
  }
}

TEST(SharedMutex, AppliesTheFairnessWindow) {
  struct Case {
    Duration head_start;  // of the other core's waiter over ours
    bool ours;            // the returned server stays
  };
  for (const Case& c : {Case{0ms, true}, Case{1ms, true}, Case{1ms + 1ns, false}}) {
    FakeFleet fleet(ByBook(2, 1));
    FakeClient holder, ours, theirs;
    Served(fleet, 0, holder);
    Wait(fleet, 1, theirs);
    fleet.Advance(c.head_start);
    Wait(fleet, 0, ours);
    GiveBack(fleet, 0, holder);
    ASSERT_TRUE(fleet.Settle());
    EXPECT_EQ(ours.server != nullptr, c.ours) << c.head_start.count() << " ns";
    EXPECT_EQ(theirs.server != nullptr, !c.ours) << c.head_start.count() << " ns";
    if (ours.waiting()) fleet.pool(0).Leave(ours);
    if (theirs.waiting()) fleet.pool(1).Leave(theirs);
  }
}

TEST(SharedMutex, DoesNotLetNewcomersPassTheLine) {
  FakeFleet fleet(ByBook(2, 1));
  FakeClient greedy, theirs;
  Served(fleet, 0, greedy);
  Wait(fleet, 1, theirs);
  fleet.Advance(10ms);
  GiveBack(fleet, 0, greedy);
  fleet.pool(0).Checkout(greedy, greedy);  // same turn: a server is idle here
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(theirs.server, nullptr);
  EXPECT_EQ(greedy.server, nullptr);
  fleet.pool(0).Leave(greedy);
}

TEST(SharedMutex, WhoLeavesTheLineIsPassedOver) {
  FakeFleet fleet(ByBook(2, 1));
  FakeClient holder, first, second, third;
  Served(fleet, 0, holder);
  Wait(fleet, 1, first);
  Wait(fleet, 1, second);
  Wait(fleet, 0, third);
  fleet.pool(1).Leave(first);
  fleet.Advance(10ms);
  GiveBack(fleet, 0, holder);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(third.server, nullptr);  // within the window, on this core
  GiveBack(fleet, 0, third);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(second.server, nullptr);
}

// Its server is on its way: the next of its core does not get it for that, but whose turn it is.
TEST(SharedMutex, AServerWhoseWaiterHasLeftGoesToWhoeverIsNext) {
  FakeFleet::Options options = ByBook(3, 1);
  options.sharing.fairness_window = 0s;
  FakeFleet fleet(options);
  FakeClient there, leaver, next, last;
  Served(fleet, 2, there);
  GiveBack(fleet, 2, there);
  ASSERT_TRUE(fleet.Settle());
  Wait(fleet, 0, leaver);  // has claimed it
  Wait(fleet, 1, next);
  fleet.Advance(1ms);
  Wait(fleet, 0, last);
  fleet.pool(0).Leave(leaver);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(next.server, nullptr);
  GiveBack(fleet, 1, next);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(last.server, nullptr);
}

TEST(SharedMutex, ParksAClaimedServerThatNobodyWantsAnyMore) {
  FakeFleet fleet(ByBook(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  GiveBack(fleet, 1, there);
  ASSERT_TRUE(fleet.Settle());
  Wait(fleet, 0, here);
  fleet.pool(0).Leave(here);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  Served(fleet, 1, there);
}

// --- promises that break -------------------------------------------------------------------------

TEST(SharedMutex, WhoseClaimedServerDiesKeepsItsPlaceInTheLine) {
  for (const bool on_the_way : {false, true}) {
    FakeFleet::Options options = ByBook(3, 2);
    options.sharing.fairness_window = 0s;
    options.settings.storage.connecting_max = 1;
    FakeFleet fleet(options);
    FakeClient there, busy, first, second;
    Served(fleet, 1, there);
    Served(fleet, 2, busy);
    GiveBack(fleet, 1, there);
    ASSERT_TRUE(fleet.Settle());
    Wait(fleet, 0, first);  // has claimed it
    fleet.Advance(1us);
    Wait(fleet, 2, second);
    if (on_the_way) {
      fleet.Deliver(0, 1);
      fleet.core(1).Turn();
      ASSERT_EQ(fleet.core(1).InState(State::kLeaving).size(), 1u);
    }
    FakeServer& doomed = *fleet.core(1).servers[0];
    fleet.pool(1).OnBroken(doomed, CloseReason::kServerEnded);
    while (fleet.Deliver(0, 1)) {
    }
    fleet.core(1).Turn();
    while (fleet.Deliver(1, 0)) {
    }
    fleet.core(0).Turn();
    EXPECT_EQ(fleet.pool(0).counters().steals_denied, 1u);
    GiveBack(fleet, 2, busy);  // younger, and on this core; but the window is 0
    fleet.core(2).Turn();
    fleet.FinishAll(2);
    while (fleet.Deliver(2, 0)) {
    }
    fleet.core(0).Turn();
    EXPECT_NE(first.server, nullptr);
    EXPECT_EQ(second.server, nullptr);
    ASSERT_TRUE(fleet.Settle());  // a place is free now
    EXPECT_NE(second.server, nullptr);
  }
}

TEST(SharedMutex, MakesAPromiseGoodWhenTheGrantedServerDies) {
  FakeFleet fleet(ByBook(2, 1));
  FakeClient there, here;
  Served(fleet, 1, there);
  Wait(fleet, 0, here);
  GiveBack(fleet, 1, there);
  fleet.core(1).Turn();
  fleet.pool(1).OnBroken(*fleet.core(1).InState(State::kLeaving).at(0), CloseReason::kServerEnded);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(here.server, nullptr);
}

TEST(SharedMutex, ChecksWhatWasSilentForLongWhoeverGetsIt) {
  for (const uint32_t asker : {0u, 1u}) {
    for (const bool alive : {true, false}) {
      FakeFleet::Options options = ByBook(2, 1);
      options.settings.pool.check_query = "SELECT 1";
      options.settings.pool.check_delay = 30s;
      FakeFleet fleet(options);
      FakeClient there, here;
      Served(fleet, 0, there);
      GiveBack(fleet, 0, there);
      ASSERT_TRUE(fleet.Settle());
      fleet.Advance(31s);
      fleet.pool(asker).Checkout(here, here);
      EXPECT_EQ(here.server, nullptr);
      for (int i = 0; i < 5; ++i) {
        fleet.DeliverAll();
        for (uint32_t core : {0u, 1u}) {
          for (FakeServer* leaving : fleet.core(core).InState(State::kLeaving)) {
            fleet.LeaveNow(core, *leaving);
          }
          fleet.core(core).Turn();
        }
      }
      const auto checked = fleet.core(asker).InState(State::kSettling);
      ASSERT_EQ(checked.size(), 1u);
      EXPECT_EQ(checked[0]->cleaning, PooledServer::Cleaning::kCheck);
      if (!alive) fleet.pool(asker).OnBroken(*checked[0], CloseReason::kCheckFailed);
      ASSERT_TRUE(fleet.Settle());
      EXPECT_NE(here.server, nullptr) << asker << alive;
      EXPECT_EQ(fleet.board->size().open(), 1u);
    }
  }
}

TEST(SharedMutex, ReplacesServersThatAreTooOld) {
  FakeFleet::Options options = ByBook(2, 2);
  options.settings.pool.server_lifetime = 10s;
  options.settings.pool.server_lifetime_jitter = 0s;
  FakeFleet fleet(options);
  FakeClient a, b, here, there;
  const uint64_t old = Served(fleet, 0, a).id;
  Served(fleet, 0, b);
  GiveBack(fleet, 0, a);
  GiveBack(fleet, 0, b);
  ASSERT_TRUE(fleet.Settle());
  fleet.now += 10s;  // before any timer
  fleet.pool(0).Checkout(here, here);
  fleet.pool(1).Checkout(there, there);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_NE(here.server, nullptr);
  ASSERT_NE(there.server, nullptr);
  EXPECT_NE(here.server->id, old);
  EXPECT_EQ(fleet.board->size().open(), 2u);
}

TEST(SharedMutex, RefusesWhoWaitsForTooLong) {
  FakeFleet::Options options = ByBook(2, 1);
  options.settings.pool.wait_timeout = 1s;
  FakeFleet fleet(options);
  FakeClient holder, late;
  Served(fleet, 0, holder);
  Wait(fleet, 1, late);
  fleet.Advance(1100ms);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(late.refusal);
  EXPECT_EQ(late.refusal->sqlstate, "53300");
  GiveBack(fleet, 0, holder);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
}

TEST(SharedMutex, GivesNothingToACoreThatDrains) {
  FakeFleet fleet(ByBook(2, 2));
  FakeClient holder, waits, comes;
  Served(fleet, 0, holder);
  fleet.pool(1).Drain();
  fleet.pool(1).Checkout(comes, comes);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(comes.refusal);
  EXPECT_EQ(comes.refusal->sqlstate, "57P01");
  GiveBack(fleet, 0, holder);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
}

TEST(SharedMutex, ServesOnOneCore) {
  FakeFleet fleet(ByBook(1, 1));
  FakeClient first, second;
  Served(fleet, 0, first);
  Wait(fleet, 0, second);
  GiveBack(fleet, 0, first);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(second.server, nullptr);
}

TEST(SharedMutex, ClaimsFromTheCoreThePolicyNames) {
  struct Case {
    VictimChoice choice;
    uint32_t victim;
  };
  for (const Case& c : {Case{VictimChoice::kMostIdle, 2}, Case{VictimChoice::kNearest, 1}}) {
    FakeFleet::Options options = ByBook(4, 8);
    options.sharing.victim = c.choice;
    FakeFleet fleet(options);
    FakeClient a, b, d, here;
    Served(fleet, 1, a);
    Served(fleet, 2, b);
    Served(fleet, 2, d);
    GiveBack(fleet, 1, a);
    GiveBack(fleet, 2, b);
    GiveBack(fleet, 2, d);
    ASSERT_TRUE(fleet.Settle());
    fleet.pool(0).Checkout(here, here);
    EXPECT_EQ((fleet.mail[{0, c.victim}].size()), 1u);
    ASSERT_TRUE(fleet.Settle());
  }
}

// --- the lost wake-up ----------------------------------------------------------------------------

// The steps of a core: 0 = `first`, then the parts of a turn, as on two threads.
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

void InEveryOrder(const std::function<void(uint32_t schedule)>& run) {
  for (uint32_t schedule = 0; schedule < 1u << 8; ++schedule) {
    if (std::popcount(schedule) == 4) run(schedule);
  }
}

TEST(SharedMutex, LosesNoWakeUpWhenAServerComesBackWhileSomebodyBeginsToWait) {
  InEveryOrder([](uint32_t schedule) {
    FakeFleet fleet(ByBook(2, 1));
    FakeClient holder, hungry;
    Served(fleet, 1, holder);
    Stepper a{fleet, 0, [&] { fleet.pool(0).Checkout(hungry, hungry); }};
    Stepper b{fleet, 1, [&] { GiveBack(fleet, 1, holder); }};
    for (int i = 0; i < 8; ++i) ((schedule >> i & 1) != 0 ? a : b).Next();
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE(hungry.server, nullptr) << schedule;
  });
}

TEST(SharedMutex, LosesNoWakeUpWhenAPlaceIsFreedWhileSomebodyBeginsToWait) {
  InEveryOrder([](uint32_t schedule) {
    FakeFleet fleet(ByBook(2, 1));
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

TEST(SharedMutex, LosesNoWakeUpWhenAnIdleServerDiesWhileItIsClaimed) {
  InEveryOrder([](uint32_t schedule) {
    FakeFleet fleet(ByBook(2, 1));
    FakeClient holder, hungry;
    FakeServer& server = Served(fleet, 1, holder);
    GiveBack(fleet, 1, holder);
    ASSERT_TRUE(fleet.Settle());
    Stepper a{fleet, 0, [&] { fleet.pool(0).Checkout(hungry, hungry); }};
    Stepper b{fleet, 1, [&] { fleet.pool(1).OnBroken(server, CloseReason::kServerEnded); }};
    for (int i = 0; i < 8; ++i) ((schedule >> i & 1) != 0 ? a : b).Next();
    ASSERT_TRUE(fleet.Settle()) << schedule;
    ASSERT_NE(hungry.server, nullptr) << schedule;
  });
}

// --- real threads --------------------------------------------------------------------------------

// Every thread takes, claims and parks servers, and joins and leaves the line, from which the
// others take it: no server is had twice, no place is lost.
class BookThread {
 public:
  static constexpr uint32_t kCores = 4;
  static constexpr uint32_t kServers = 3;
  struct World {
    Book book{kCores};
    std::atomic<uint32_t> held{0}, exceeded{0}, claims[kCores] = {};
  };

  BookThread(World& world, uint32_t core) : world_(world), core_(core), random_(core + 1) {}

  void Live() {
    for (int i = 0; i < 4000; ++i) {
      Trade();
      // What others have claimed here changes hands at once, and they park it for us.
      if (const uint32_t due = world_.claims[core_].exchange(0); due > 0) {
        OpenBook open(world_.book, core_);
        world_.exceeded += open.Answer(due) != due;
        open.Park(due);
      }
      StandInLine();
      RandomPause(random_);
    }
    if (has_server_) Trade();
    while (place_ != nullptr) StandInLine();
  }

 private:
  void Trade() {
    OpenBook open(world_.book, core_);
    if (has_server_) {
      world_.held.fetch_sub(1);
      has_server_ = false;
      open.Park(1);
    } else if (open.Take()) {
      world_.exceeded += world_.held.fetch_add(1) + 1 > kServers;
      has_server_ = true;
    } else if (open.anybody_idle()) {
      ++world_.claims[open.Claim(VictimChoice::kRandom, random_)];
    }
  }

  void StandInLine() {
    OpenBook open(world_.book, core_);
    if (place_ == nullptr) {
      place_ = &page_.Add(client_, core_, Time{});
      return open.Join(*place_);
    }
    if (Book::Place* next = open.Next(0s); next != nullptr && random_.Below(2) == 0) {
      open.TakeOut(*next);
      return open.Promise(next->core);
    }
    if (open.coming() > 0 && random_.Below(2) == 0) open.Unpromise(core_, 1);
    if (place_->in_line.linked()) {
      if (random_.Below(2) == 0) return;
      open.TakeOut(*place_);
    } else if (random_.Below(4) == 0) {
      return open.Rejoin(*place_);
    }
    page_.Free(*std::exchange(place_, nullptr));
  }

  World& world_;
  const uint32_t core_;
  Random random_;
  BookPage page_{world_.book};
  FakeClient client_;
  Book::Place* place_ = nullptr;
  bool has_server_ = false;
};

TEST(BookThreads, EachServerAndEachPlaceIsCountedOnce) {
  BookThread::World world;
  OpenBook(world.book, 0).Park(BookThread::kServers);
  std::vector<std::thread> threads;
  for (uint32_t core = 0; core < BookThread::kCores; ++core) {
    threads.emplace_back([&world, core] { BookThread(world, core).Live(); });
  }
  for (std::thread& thread : threads) thread.join();
  uint32_t idle = 0;
  for (uint32_t core = 0; core < BookThread::kCores; ++core) {
    OpenBook open(world.book, core);
    const uint32_t due = world.claims[core];
    EXPECT_EQ(open.Answer(due), due);
    EXPECT_EQ(open.waiting(), 0u);
    idle += open.idle() + due;
  }
  EXPECT_EQ(idle, BookThread::kServers);
  EXPECT_EQ(world.exceeded, 0u);
}

}  // namespace
}  // namespace trireme
