// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/board.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace trireme {
namespace {

using Kind = SharedCap::Kind;
using Outcome = Board::Reservation::Outcome;
using Purpose = Board::Purpose;

SharedCap Cap(Kind kind, const std::string& key, uint32_t cap) { return {kind, key, key, cap}; }

TEST(CoreSet, FindsMembersAcrossWords) {
  CoreSet set;
  for (const uint32_t core : {3u, 64u, 300u, 511u}) set.Add(core);
  std::vector<uint32_t> members;
  for (uint32_t core = set.Next(0, kCoresMax); core < kCoresMax;
       core = set.Next(core + 1, kCoresMax)) {
    members.push_back(core);
  }
  EXPECT_EQ(members, (std::vector<uint32_t>{3, 64, 300, 511}));
  set.Remove(64);
  EXPECT_FALSE(set.Contains(64));
  EXPECT_EQ(set.Next(4, kCoresMax), 300u);
  EXPECT_EQ(set.Next(4, 256), 256u);
}

TEST(CoreSet, DoesNotCountTheAskingCore) {
  CoreSet set;
  set.Add(70);
  EXPECT_FALSE(set.AnyBut(70, 128));
  EXPECT_TRUE(set.AnyBut(6, 128));
}

TEST(Board, ReservesUnderAllCapsOrNone) {
  Directory directory(2, 8);
  const SharedCap storage = Cap(Kind::kStorage, "main", 2);
  Board& small = *directory.FindOrCreate("small", {.size = 1, .shared = {storage}});
  Board& large = *directory.FindOrCreate("large", {.size = 9, .shared = {storage}});
  EXPECT_EQ(small.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(small.TryReserve(Purpose::kWaiter).outcome, Outcome::kPoolFull);
  EXPECT_EQ(large.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  const Board::Reservation refused = large.TryReserve(Purpose::kWaiter);
  EXPECT_EQ(refused.outcome, Outcome::kSharedFull);
  ASSERT_NE(refused.full, nullptr);
  EXPECT_EQ(refused.full->cap.kind, Kind::kStorage);
  EXPECT_EQ(large.size().open(), 1u);
  EXPECT_EQ(large.shared()[0].quota->open(), 2u);
  small.Release();
  EXPECT_EQ(large.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
}

TEST(Board, NamesTheCapThatIsFull) {
  Directory directory(1, 8);
  const SharedCap user = Cap(Kind::kUser, "user app", 1);
  const SharedCap database = Cap(Kind::kDatabase, "database shop", 1);
  Board& app = *directory.FindOrCreate("app@shop", {.size = 9, .shared = {user, database}});
  Board& bob = *directory.FindOrCreate("bob@shop", {.size = 9, .shared = {database}});
  Board& elsewhere = *directory.FindOrCreate("app@other", {.size = 9, .shared = {user}});
  ASSERT_EQ(app.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(bob.TryReserve(Purpose::kWaiter).full->cap.name, "database shop");
  EXPECT_EQ(elsewhere.TryReserve(Purpose::kWaiter).full->cap.name, "user app");
  EXPECT_TRUE(bob.shares_with(app));
  EXPECT_FALSE(bob.shares_with(elsewhere));
  app.Release();
  EXPECT_EQ(bob.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(elsewhere.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
}

TEST(Board, HasMorePlacesForWhoHasWaitedLongAndFewerForNobody) {
  Directory directory(1, 8);
  Board& board = *directory.FindOrCreate("p", {.size = 2, .min_size = 1, .reserve_size = 1});
  EXPECT_EQ(board.TryReserve(Purpose::kWarm).outcome, Outcome::kTaken);
  EXPECT_EQ(board.TryReserve(Purpose::kWarm).outcome, Outcome::kPoolFull);
  EXPECT_EQ(board.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(board.TryReserve(Purpose::kWaiter).outcome, Outcome::kPoolFull);
  EXPECT_EQ(board.TryReserve(Purpose::kLongWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(board.TryReserve(Purpose::kLongWaiter).outcome, Outcome::kPoolFull);
}

TEST(Board, TheReserveOfASharedPoolIsForAllItsPoolsTogether) {
  Directory directory(1, 8);
  const BoardLimits limits{
      .size = 2, .reserve_size = 1, .shared = {Cap(Kind::kPool, "pool web", 2)}};
  Board& one = *directory.FindOrCreate("one", limits);
  Board& other = *directory.FindOrCreate("other", limits);
  EXPECT_EQ(one.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(other.TryReserve(Purpose::kWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(other.TryReserve(Purpose::kWaiter).outcome, Outcome::kSharedFull);
  EXPECT_EQ(other.TryReserve(Purpose::kLongWaiter).outcome, Outcome::kTaken);
  EXPECT_EQ(one.TryReserve(Purpose::kLongWaiter).outcome, Outcome::kSharedFull);
  one.AddAlive();
  other.AddAlive();
  EXPECT_FALSE(one.in_reserve());
  EXPECT_FALSE(other.RemoveAliveOfReserve());
  other.AddAlive();
  EXPECT_TRUE(one.in_reserve());
  EXPECT_TRUE(one.RemoveAliveOfReserve());  // whose server goes does not matter
  EXPECT_FALSE(other.RemoveAliveOfReserve());
  EXPECT_EQ(other.alive(), 2u);
}

TEST(Board, SparesServersDownToALeastNumberExactly) {
  Directory directory(1, 8);
  Board& board = *directory.FindOrCreate("p", {.size = 5, .min_size = 2});
  for (int i = 0; i < 3; ++i) board.AddAlive();
  EXPECT_TRUE(board.RemoveAliveAboveLeast());
  EXPECT_FALSE(board.RemoveAliveAboveLeast());
  EXPECT_EQ(board.alive(), 2u);
}

TEST(Board, SparesTheReserveDownToItsSizeExactly) {
  Directory directory(1, 8);
  Board& board = *directory.FindOrCreate("p", {.size = 2, .min_size = 1, .reserve_size = 2});
  for (int i = 0; i < 3; ++i) board.AddAlive();
  EXPECT_TRUE(board.RemoveAliveOfReserve());
  EXPECT_FALSE(board.RemoveAliveOfReserve());
  EXPECT_EQ(board.alive(), 2u);
}

TEST(Board, SparesNoServerOfTheReserveThatIsKeptWarm) {
  Directory directory(1, 8);
  Board& board = *directory.FindOrCreate(
      "p",
      {.size = 1, .min_size = 1, .reserve_size = 1, .shared = {Cap(Kind::kPool, "pool web", 1)}});
  Board& other = *directory.FindOrCreate(
      "other", {.size = 1, .reserve_size = 1, .shared = {Cap(Kind::kPool, "pool web", 1)}});
  board.AddAlive();
  other.AddAlive();
  EXPECT_FALSE(board.RemoveAliveOfReserve());
  EXPECT_TRUE(other.RemoveAliveOfReserve());
}

TEST(Board, GivesOneClaimPerWaiter) {
  Directory directory(2, 8);
  Board& board = *directory.FindOrCreate("p", {});
  board.line(1).wanted = 2;
  EXPECT_TRUE(board.Claim(1));
  EXPECT_TRUE(board.Claim(1));
  EXPECT_FALSE(board.Claim(1));
  board.Unclaim(1);
  EXPECT_TRUE(board.Claim(1));
}

TEST(Board, NamesTheCoreWithTheOldestUnpromisedWaiter) {
  Directory directory(4, 8);
  Board& board = *directory.FindOrCreate("p", {});
  const auto hungry = [&](uint32_t core, uint32_t wanted, int64_t oldest) {
    board.line(core).wanted = wanted;
    board.line(core).oldest_ns = oldest;
    board.hungry_cores().Add(core);
  };
  EXPECT_EQ(board.Hungriest(0, 0).core, 4u);
  hungry(0, 1, 10);  // ourselves
  hungry(1, 1, 30);
  hungry(2, 1, 20);
  hungry(3, 0, 5);  // promised already
  for (uint32_t from = 0; from <= 4; ++from) {
    EXPECT_EQ(board.Hungriest(0, from).core, 2u);
    EXPECT_EQ(board.Hungriest(0, from).oldest, Time(20ns));
  }
}

TEST(Board, ComparesAFewOfManyHungryCoresAndAllOfThemInTurns) {
  constexpr uint32_t kCores = 64;
  Directory directory(kCores, 8);
  Board& board = *directory.FindOrCreate("p", {});
  for (uint32_t core = 0; core < kCores; ++core) {
    board.line(core).wanted = 1;
    board.line(core).oldest_ns = 100 + core;
    board.hungry_cores().Add(core);
  }
  board.line(50).oldest_ns = 1;
  uint32_t from = 0;
  uint32_t looks = 0;
  for (uint32_t core = kCores; core != 50; ++looks) {
    const Board::Hunger hunger = board.Hungriest(3, from);
    ASSERT_NE(hunger.core, 3u);
    core = hunger.core;
    from = hunger.next;
  }
  EXPECT_EQ(looks, 7u);  // 50 is the 50th of the others, eight at a time
  // All the others are promised already, but one: it is found at once, wherever it is.
  for (uint32_t core = 0; core < kCores; ++core) board.line(core).wanted = core == 20 ? 1 : 0;
  for (uint32_t start : {0u, 20u, 21u, kCores}) EXPECT_EQ(board.Hungriest(3, start).core, 20u);
}

TEST(Board, KeepsTheLatestWelcomeAndFindsOldOnesAgain) {
  Directory directory(1, 8);
  Board& board = *directory.FindOrCreate("p", {});
  EXPECT_EQ(board.welcome(), nullptr);
  ParameterSet old_version;
  old_version.Set("server_version", "15.1");
  ParameterSet new_version;
  new_version.Set("server_version", "16.2");
  board.PublishWelcome(old_version);
  const ParameterSet* first = board.welcome();
  board.PublishWelcome(new_version);
  EXPECT_EQ(*board.welcome(), new_version);
  EXPECT_EQ(*first, old_version);
  board.PublishWelcome(old_version);
  EXPECT_EQ(board.welcome(), first);
}

// The directory is just large enough, so that a core which makes the board another is making must
// not count twice.
TEST(Directory, GivesOneBoardPerKeyToAllThreads) {
  constexpr int kKeys = 50;
  for (int round = 0; round < 20; ++round) {
    Directory directory(4, kKeys);
    std::vector<std::vector<Board*>> seen(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int key = 0; key < kKeys; ++key) {
          seen[t].push_back(directory.FindOrCreate(
              std::to_string(key), {.size = 1, .shared = {Cap(Kind::kStorage, "s", 5)}}));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int t = 1; t < 4; ++t) ASSERT_EQ(seen[t], seen[0]);
    EXPECT_EQ(directory.count(), static_cast<uint32_t>(kKeys));
    EXPECT_EQ(seen[0][0]->shared()[0].quota, seen[0][1]->shared()[0].quota);
    EXPECT_EQ(directory.FindOrCreate("one too many", {}), nullptr);
  }
}

}  // namespace
}  // namespace trireme
