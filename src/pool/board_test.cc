// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/board.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace trireme {
namespace {

TEST(Quota, StopsAtItsCap) {
  Quota quota(2);
  EXPECT_TRUE(quota.TryReserve());
  EXPECT_TRUE(quota.TryReserve());
  EXPECT_FALSE(quota.TryReserve());
  quota.Release();
  EXPECT_TRUE(quota.TryReserve());
  EXPECT_EQ(quota.open(), 2u);
}

TEST(Quota, ZeroMeansNoLimit) {
  Quota quota(0);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(quota.TryReserve());
  EXPECT_FALSE(quota.full());
}

TEST(Quota, IsNeverExceededByThreads) {
  constexpr uint32_t kCap = 3;
  Quota quota(kCap);
  std::atomic<uint32_t> inside{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        if (!quota.TryReserve()) continue;
        if (inside.fetch_add(1) + 1 > kCap) exceeded = true;
        inside.fetch_sub(1);
        quota.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(quota.open(), 0u);
}

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
  Board& small = *directory.FindOrCreate(
      "small", {.size = 1, .storage = "main", .storage_connections_max = 2});
  Board& large = *directory.FindOrCreate(
      "large", {.size = 9, .storage = "main", .storage_connections_max = 2});
  using Reservation = Board::Reservation;
  EXPECT_EQ(small.TryReserve(), Reservation::kTaken);
  EXPECT_EQ(small.TryReserve(), Reservation::kPoolFull);
  EXPECT_EQ(large.TryReserve(), Reservation::kTaken);
  EXPECT_EQ(large.TryReserve(), Reservation::kStorageFull);
  EXPECT_EQ(large.size().open(), 1u);
  EXPECT_EQ(large.storage_quota()->open(), 2u);
  small.Release();
  EXPECT_EQ(large.TryReserve(), Reservation::kTaken);
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
  EXPECT_EQ(board.Hungriest(0).core, 4u);
  hungry(0, 1, 10);  // ourselves
  hungry(1, 1, 30);
  hungry(2, 1, 20);
  hungry(3, 0, 5);  // promised already
  EXPECT_EQ(board.Hungriest(0).core, 2u);
  EXPECT_EQ(board.Hungriest(0).oldest, Time(20ns));
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
              std::to_string(key), {.size = 1, .storage = "s", .storage_connections_max = 5}));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int t = 1; t < 4; ++t) ASSERT_EQ(seen[t], seen[0]);
    EXPECT_EQ(directory.count(), static_cast<uint32_t>(kKeys));
    EXPECT_EQ(seen[0][0]->storage_quota(), seen[0][1]->storage_quota());
    EXPECT_EQ(directory.FindOrCreate("one too many", {}), nullptr);
  }
}

}  // namespace
}  // namespace trireme
