// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/views.h"

#include <array>

#include "admin/view_columns.h"
#include "wire/command.h"

namespace trireme {
namespace {

// Things PgBouncer has and Trireme does not: asked for by tools, truthfully empty.
std::vector<Row> NoRows(const FleetSnapshot&) { return {}; }

constexpr SnapshotParts kPools{.pools = true};
constexpr SnapshotParts kStats{.stats = true};

constexpr auto kViews = std::to_array<View>({
    {"clients", columns::kClients, {.clients = true}, ClientRows},
    {"config", columns::kSettings, {}, SettingRows},
    {"databases", columns::kDatabases, kPools, DatabaseRows},
    {"dns_hosts", columns::kDnsHosts, {}, NoRows},
    {"dns_zones", columns::kDnsZones, {}, NoRows},
    {"lists", columns::kLists, {.pools = true, .lists = true}, ListsRows},
    {"mem", columns::kMemory, {.memory = true}, MemoryRows},
    {"peer_pools", columns::kPeerPools, {}, NoRows},
    {"peers", columns::kPeers, {}, NoRows},
    {"pools", columns::kPools, kPools, PoolRows},
    {"servers", columns::kServers, {.servers = true}, ServerRows},
    {"shards", columns::kShards, {.shards = true}, ShardRows},
    {"state", columns::kState, {}, StateRows},
    {"stats", columns::kStats, kStats, StatsRows},
    {"stats_averages", columns::kStatsAverages, kStats, StatsAveragesRows},
    {"stats_totals", columns::kStatsTotals, kStats, StatsTotalsRows},
    {"totals", columns::kTotals, kStats, TotalsRows},
    {"users", columns::kUsers, {.clients = true, .servers = true}, UserRows},
    {"version", columns::kVersion, {}, VersionRows},
});

}  // namespace

std::span<const View> Views() { return kViews; }

const View* FindView(std::string_view name) {
  for (const View& view : kViews) {
    if (EqualsIgnoreCase(view.name, name)) return &view;
  }
  return nullptr;
}

}  // namespace trireme
