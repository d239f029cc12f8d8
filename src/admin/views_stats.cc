// SPDX-License-Identifier: GPL-3.0-or-later
//
// Views of what was counted: STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS. Averages as PgBouncer
// takes them: counts, bytes and waiting time per second of the last stats period; transaction and
// query time per transaction and query in it.
#include <algorithm>

#include "admin/views.h"

namespace trireme {
namespace {

StatsTotals Averages(const FleetFacts& facts, const StatsTotals& period) {
  const auto period_us =
      static_cast<uint64_t>(std::max<int64_t>(Microseconds(facts.stats_period), 1));
  const auto per_second = [period_us](uint64_t count) {  // in two parts: no overflow
    return count / period_us * 1'000'000 + count % period_us * 1'000'000 / period_us;
  };
  StatsTotals averages;
  for (const auto field : kStatsFields) averages.*field = per_second(period.*field);
  averages.xact_time_us = period.xact_count > 0 ? period.xact_time_us / period.xact_count : 0;
  averages.query_time_us = period.query_count > 0 ? period.query_time_us / period.query_count : 0;
  return averages;
}

void AppendAll(Row& row, const StatsTotals& totals) {
  for (const auto field : kStatsFields) row.push_back(Number(totals.*field));
}

}  // namespace

std::vector<Row> StatsRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const StatsRow& stats : fleet.stats) {
    Row& row = rows.emplace_back(Row{stats.database});
    AppendAll(row, stats.totals);
    AppendAll(row, Averages(fleet.facts, stats.last_period));
  }
  return rows;
}

std::vector<Row> StatsTotalsRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const StatsRow& stats : fleet.stats) {
    AppendAll(rows.emplace_back(Row{stats.database}), stats.totals);
  }
  return rows;
}

std::vector<Row> StatsAveragesRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  for (const StatsRow& stats : fleet.stats) {
    AppendAll(rows.emplace_back(Row{stats.database}), Averages(fleet.facts, stats.last_period));
  }
  return rows;
}

std::vector<Row> TotalsRows(const FleetSnapshot& fleet) {
  static constexpr std::array<std::string_view, kStatsFields.size()> kNames = {
      "server_assignment_count",
      "xact_count",
      "query_count",
      "client_bytes",
      "server_bytes",
      "xact_time",
      "query_time",
      "wait_time",
      "ps_client_parse_count",
      "ps_server_parse_count",
      "ps_bind_count",
      "client_login_count"};
  StatsTotals totals;
  StatsTotals period;
  for (const StatsRow& stats : fleet.stats) {
    totals = totals + stats.totals;
    period = period + stats.last_period;
  }
  const StatsTotals averages = Averages(fleet.facts, period);
  std::vector<Row> rows;
  for (size_t i = 0; i < kNames.size(); ++i) {
    rows.push_back({"total_" + std::string(kNames[i]), Number(totals.*kStatsFields[i])});
  }
  for (size_t i = 0; i < kNames.size(); ++i) {
    rows.push_back({"avg_" + std::string(kNames[i]), Number(averages.*kStatsFields[i])});
  }
  return rows;
}

}  // namespace trireme
