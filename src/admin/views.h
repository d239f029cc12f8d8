// SPDX-License-Identifier: GPL-3.0-or-later
//
// The SHOW views: one table of names, columns, what each needs of the cores, and the pure function
// that makes its rows. Names, order and types of the columns are PgBouncer's (1.25); what Trireme
// adds stands behind them, so that tools which read by position go on working.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "admin/snapshot.h"
#include "admin/table.h"

namespace trireme {

struct View {
  std::string_view name;  // lower case
  std::span<const Column> columns;
  SnapshotParts parts;
  std::vector<Row> (*rows)(const FleetSnapshot&);
};

// All views in the order of SHOW HELP.
std::span<const View> Views();

// By name in any case; nullptr = there is none.
const View* FindView(std::string_view name);

// Rows by subject; used by the table, and by tests one by one.
std::vector<Row> ClientRows(const FleetSnapshot& fleet);
std::vector<Row> ServerRows(const FleetSnapshot& fleet);
std::vector<Row> PoolRows(const FleetSnapshot& fleet);
std::vector<Row> DatabaseRows(const FleetSnapshot& fleet);
std::vector<Row> UserRows(const FleetSnapshot& fleet);
std::vector<Row> StatsRows(const FleetSnapshot& fleet);
std::vector<Row> StatsTotalsRows(const FleetSnapshot& fleet);
std::vector<Row> StatsAveragesRows(const FleetSnapshot& fleet);
std::vector<Row> TotalsRows(const FleetSnapshot& fleet);
std::vector<Row> ListsRows(const FleetSnapshot& fleet);
std::vector<Row> ShardRows(const FleetSnapshot& fleet);
std::vector<Row> MemoryRows(const FleetSnapshot& fleet);
std::vector<Row> SettingRows(const FleetSnapshot& fleet);
std::vector<Row> StateRows(const FleetSnapshot& fleet);
std::vector<Row> VersionRows(const FleetSnapshot& fleet);

// PgBouncer's words.
std::string_view ModeName(PoolMode mode);

// "2024-02-29 12:34:56 UTC" for a monotonic instant, by the wall clock of the snapshot; "" for
// Time{}.
std::string WallClockText(const FleetFacts& facts, Time at);

}  // namespace trireme
