// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/quota.h"

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

TEST(Quota, TakesAnotherCapForTheOccasion) {
  Quota quota(1);
  EXPECT_TRUE(quota.TryReserve());
  EXPECT_FALSE(quota.TryReserveUpTo(1));
  EXPECT_TRUE(quota.full());
  EXPECT_FALSE(quota.full(1));
  EXPECT_TRUE(quota.TryReserveBeyond(1));
  EXPECT_FALSE(quota.TryReserveBeyond(1));
  EXPECT_TRUE(quota.full(1));
}

TEST(QuotaTable, GivesOneQuotaPerNameToAllThreads) {
  constexpr int kNames = 3000;  // more than there are buckets
  QuotaTable table;
  std::vector<std::vector<Quota*>> seen(4);
  std::vector<std::thread> threads;
  for (auto& own : seen) {
    threads.emplace_back([&table, &own] {
      for (int i = 0; i < kNames; ++i) own.push_back(&table.FindOrCreate(std::to_string(i), 1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 1; t < seen.size(); ++t) EXPECT_EQ(seen[t], seen[0]);
  EXPECT_NE(seen[0][0], seen[0][1]);
  EXPECT_TRUE(seen[0][0]->TryReserve());
  EXPECT_FALSE(table.FindOrCreate("0", 1).TryReserve());
}

}  // namespace
}  // namespace trireme
