// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/snapshot.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(MergeSnapshots, SumsThePoolsOfAllCores) {
  std::vector<ShardSnapshot> shards(3);
  shards[0].pools = {{.pool_index = 1,
                      .database = "shop",
                      .user = "app",
                      .size = 20,
                      .clients_active = 2,
                      .clients_waiting = 1,
                      .servers_idle = 1,
                      .oldest_waiting_since = Time{8s},
                      .steals = 5}};
  shards[1].pools = {{.pool_index = 0, .database = "shop", .user = "admin", .size = 5},
                     {.pool_index = 1,
                      .database = "shop",
                      .user = "app",
                      .size = 20,
                      .clients_active = 3,
                      .clients_waiting = 4,
                      .servers_active = 3,
                      .oldest_waiting_since = Time{7s},
                      .grants = 2}};
  shards[2].pools = {{.pool_index = 1, .database = "shop", .user = "app", .size = 20}};
  const FleetSnapshot fleet = MergeSnapshots(std::move(shards), {});
  ASSERT_EQ(fleet.pools.size(), 2u);
  EXPECT_EQ(fleet.pools[0].user, "admin");
  const PoolRow& pool = fleet.pools[1];
  EXPECT_EQ(pool.size, 20u);
  EXPECT_EQ(pool.clients_active, 5u);
  EXPECT_EQ(pool.clients_waiting, 5u);
  EXPECT_EQ(pool.servers_idle, 1u);
  EXPECT_EQ(pool.servers_active, 3u);
  EXPECT_EQ(pool.oldest_waiting_since, Time{7s});
  EXPECT_EQ(pool.steals, 5u);
  EXPECT_EQ(pool.grants, 2u);
}

TEST(MergeSnapshots, KeepsPoolsOfOneNameApart) {
  std::vector<ShardSnapshot> shards(1);
  shards[0].pools = {{.pool_index = 0, .database = "d", .user = "u", .clients_active = 1},
                     {.pool_index = 7, .database = "d", .user = "u", .clients_active = 2}};
  EXPECT_EQ(MergeSnapshots(std::move(shards), {}).pools.size(), 2u);
}

TEST(MergeSnapshots, SumsStatsByDatabaseListsAndMemory) {
  std::vector<ShardSnapshot> shards(2);
  shards[0].stats = {{.database = "b", .totals = {.query_count = 1}},
                     {.database = "a", .totals = {.xact_count = 2}}};
  shards[1].stats = {
      {.database = "b", .totals = {.query_count = 10}, .last_period = {.bytes_sent = 3}}};
  shards[0].lists = {.used_clients = 2, .login_clients = 1};
  shards[1].lists = {.free_clients = 4, .used_clients = 3};
  shards[0].memory = {{.name = "client", .size_bytes = 512, .used = 2, .free = 1}};
  shards[1].memory = {{.name = "client", .size_bytes = 512, .used = 3, .free = 4}};
  shards[0].shards = {{.core = 1}};
  shards[1].shards = {{.core = 0}};
  const FleetSnapshot fleet = MergeSnapshots(std::move(shards), {});
  ASSERT_EQ(fleet.stats.size(), 2u);
  EXPECT_EQ(fleet.stats[0].database, "a");
  EXPECT_EQ(fleet.stats[1].totals.query_count, 11u);
  EXPECT_EQ(fleet.stats[1].last_period.bytes_sent, 3u);
  EXPECT_EQ(fleet.lists.used_clients, 5u);
  EXPECT_EQ(fleet.lists.free_clients, 4u);
  EXPECT_EQ(fleet.lists.login_clients, 1u);
  ASSERT_EQ(fleet.memory.size(), 1u);
  EXPECT_EQ(fleet.memory[0].used, 5u);
  EXPECT_EQ(fleet.memory[0].free, 5u);
  ASSERT_EQ(fleet.shards.size(), 2u);
  EXPECT_EQ(fleet.shards[0].core, 0u);
}

TEST(MergeSnapshots, MakesAnEmptyFleetOfNothing) {
  const FleetSnapshot fleet = MergeSnapshots({}, {});
  EXPECT_TRUE(fleet.pools.empty());
  EXPECT_TRUE(fleet.stats.empty());
}

TEST(StatsPeriod, KeepsTheLastCompletePeriodOnly) {
  StatsPeriod period;
  StatsTotals totals{.query_count = 10};
  period.Roll(totals);
  EXPECT_EQ(period.last_complete.query_count, 10u);
  totals.query_count = 25;
  EXPECT_EQ(period.last_complete.query_count, 10u);
  period.Roll(totals);
  EXPECT_EQ(period.last_complete.query_count, 15u);
  period.Roll(totals);
  EXPECT_EQ(period.last_complete, StatsTotals{});
}

}  // namespace
}  // namespace trireme
