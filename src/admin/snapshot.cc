// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/snapshot.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <tuple>
#include <utility>

namespace trireme {
namespace {

template <typename T>
void MoveAll(std::vector<T>& source, std::vector<T>& target) {
  std::move(source.begin(), source.end(), std::back_inserter(target));
}

void AddPool(PoolRow& sum, const PoolRow& share) {
  static constexpr std::array kCounts = std::to_array<uint32_t PoolRow::*>({
      &PoolRow::clients_active,
      &PoolRow::clients_waiting,
      &PoolRow::clients_active_cancel,
      &PoolRow::clients_waiting_cancel,
      &PoolRow::servers_active,
      &PoolRow::servers_active_cancel,
      &PoolRow::servers_being_canceled,
      &PoolRow::servers_idle,
      &PoolRow::servers_tested,
      &PoolRow::servers_login,
      &PoolRow::servers_pinned,
  });
  for (const auto count : kCounts) sum.*count += share.*count;
  sum.steals += share.steals;
  sum.grants += share.grants;
  sum.pins += share.pins;
  if (share.oldest_waiting_since == Time{}) return;
  if (sum.oldest_waiting_since == Time{} || share.oldest_waiting_since < sum.oldest_waiting_since) {
    sum.oldest_waiting_since = share.oldest_waiting_since;
  }
}

// Sorts by `key` and adds up neighbours that share it.
template <typename T, typename Key, typename Add>
void SumByKey(std::vector<T>& rows, Key key, Add add) {
  std::stable_sort(rows.begin(), rows.end(),
                   [&key](const T& one, const T& other) { return key(one) < key(other); });
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (kept > 0 && key(rows[kept - 1]) == key(rows[i])) {
      add(rows[kept - 1], rows[i]);
    } else {
      if (kept != i) rows[kept] = std::move(rows[i]);
      ++kept;
    }
  }
  rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(kept), rows.end());
}

void AddLists(ListsRow& sum, const ListsRow& share) {
  sum.free_clients += share.free_clients;
  sum.used_clients += share.used_clients;
  sum.login_clients += share.login_clients;
  sum.free_servers += share.free_servers;
  sum.used_servers += share.used_servers;
}

}  // namespace

FleetSnapshot MergeSnapshots(std::vector<ShardSnapshot> shards, FleetFacts facts) {
  FleetSnapshot fleet;
  fleet.facts = std::move(facts);
  for (ShardSnapshot& shard : shards) {
    MoveAll(shard.clients, fleet.clients);
    MoveAll(shard.servers, fleet.servers);
    MoveAll(shard.pools, fleet.pools);
    MoveAll(shard.stats, fleet.stats);
    MoveAll(shard.shards, fleet.shards);
    MoveAll(shard.memory, fleet.memory);
    AddLists(fleet.lists, shard.lists);
  }
  SumByKey(
      fleet.pools,
      [](const PoolRow& row) { return std::tie(row.database, row.user, row.pool_index); }, AddPool);
  SumByKey(
      fleet.stats, [](const StatsRow& row) -> const std::string& { return row.database; },
      [](StatsRow& sum, const StatsRow& share) {
        sum.totals = sum.totals + share.totals;
        sum.last_period = sum.last_period + share.last_period;
      });
  SumByKey(
      fleet.memory, [](const MemoryRow& row) { return std::tie(row.name, row.size_bytes); },
      [](MemoryRow& sum, const MemoryRow& share) {
        sum.used += share.used;
        sum.free += share.free;
      });
  std::stable_sort(
      fleet.shards.begin(), fleet.shards.end(),
      [](const ShardRow& one, const ShardRow& other) { return one.core < other.core; });
  return fleet;
}

}  // namespace trireme
