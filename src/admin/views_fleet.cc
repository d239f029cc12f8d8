// SPDX-License-Identifier: GPL-3.0-or-later
//
// Views of the process: SHARDS, LISTS, MEM, CONFIG, STATE, VERSION.
#include "admin/views.h"

namespace trireme {

std::vector<Row> ShardRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const ShardRow& shard : fleet.shards) {
    rows.push_back({int64_t{shard.core},           int64_t{shard.cpu},
                    int64_t{shard.clients},        int64_t{shard.waiting},
                    int64_t{shard.servers},        int64_t{shard.servers_idle},
                    Number(shard.steals_asked),    Number(shard.steals_received),
                    Number(shard.steals_given),    Number(shard.steals_denied),
                    Number(shard.grants_sent),     Number(shard.grants_received),
                    Number(shard.mails_sent),      Number(shard.mails_received),
                    Number(shard.wake_ups_sent),   Number(shard.wake_ups_received),
                    Number(shard.turns),           Number(shard.sleeps),
                    Number(shard.receives),        Number(shard.sends),
                    Number(shard.accepts),         Number(shard.clients_placed),
                    int64_t{shard.buffers_in_use}, int64_t{shard.buffers_total},
                    Number(shard.busy_us),         Number(shard.hand_over_p50_us),
                    Number(shard.hand_over_p99_us)});
  }
  return rows;
}

std::vector<Row> ListsRows(const FleetSnapshot& fleet) {
  const Config* config = fleet.facts.config;
  const auto count = [](size_t items) { return Number(items); };
  return {{"databases", count(config != nullptr ? config->routes.size() : 0)},
          {"users", count(config != nullptr ? config->users.size() : 0)},
          {"peers", count(0)},
          {"pools", count(fleet.pools.size())},
          {"peer_pools", count(0)},
          {"free_clients", count(fleet.lists.free_clients)},
          {"used_clients", count(fleet.lists.used_clients)},
          {"login_clients", count(fleet.lists.login_clients)},
          {"free_servers", count(fleet.lists.free_servers)},
          {"used_servers", count(fleet.lists.used_servers)},
          {"dns_names", count(0)},
          {"dns_zones", count(0)},
          {"dns_queries", count(0)},
          {"dns_pending", count(0)}};
}

std::vector<Row> MemoryRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const MemoryRow& kind : fleet.memory) {
    rows.push_back({kind.name, Number(kind.size_bytes), Number(kind.used), Number(kind.free),
                    Number((kind.used + kind.free) * kind.size_bytes)});
  }
  return rows;
}

std::vector<Row> SettingRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const SettingRow& setting : fleet.facts.settings) {
    rows.push_back(
        {setting.key, setting.value, setting.default_value, setting.changeable ? "yes" : "no"});
  }
  return rows;
}

// A fleet that answers is active; it cannot be paused or suspended.
std::vector<Row> StateRows(const FleetSnapshot&) {
  return {{"active", "yes"}, {"paused", "no"}, {"suspended", "no"}};
}

std::vector<Row> VersionRows(const FleetSnapshot& fleet) {
  return {{"Trireme " + fleet.facts.version}};
}

}  // namespace trireme
