// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a core counts for each database, under PgBouncer's names. Plain integers of one core, summed
// when somebody asks. Totals only grow. Averages are those of the last complete stats period: each
// core rolls its own at the same multiples of the period, so that the sums over cores are of one
// window.
#pragma once

#include <array>
#include <cstdint>

namespace trireme {

struct StatsTotals {
  uint64_t server_assignment_count = 0;  // times a server was lent to a client
  uint64_t xact_count = 0;
  uint64_t query_count = 0;
  uint64_t bytes_received = 0;  // from clients
  uint64_t bytes_sent = 0;      // to clients
  uint64_t xact_time_us = 0;
  uint64_t query_time_us = 0;
  uint64_t wait_time_us = 0;  // clients waiting for a server
  uint64_t client_parse_count = 0;
  uint64_t server_parse_count = 0;
  uint64_t bind_count = 0;
  uint64_t client_login_count = 0;

  bool operator==(const StatsTotals&) const = default;
};

// The columns of all STATS views, in their order.
inline constexpr std::array kStatsFields = std::to_array<uint64_t StatsTotals::*>({
    &StatsTotals::server_assignment_count,
    &StatsTotals::xact_count,
    &StatsTotals::query_count,
    &StatsTotals::bytes_received,
    &StatsTotals::bytes_sent,
    &StatsTotals::xact_time_us,
    &StatsTotals::query_time_us,
    &StatsTotals::wait_time_us,
    &StatsTotals::client_parse_count,
    &StatsTotals::server_parse_count,
    &StatsTotals::bind_count,
    &StatsTotals::client_login_count,
});
static_assert(sizeof(StatsTotals) == kStatsFields.size() * sizeof(uint64_t));

inline StatsTotals operator+(StatsTotals one, const StatsTotals& other) {
  for (const auto field : kStatsFields) one.*field += other.*field;
  return one;
}

inline StatsTotals operator-(StatsTotals one, const StatsTotals& other) {
  for (const auto field : kStatsFields) one.*field -= other.*field;
  return one;
}

// Kept beside the totals of each database on each core; its owner calls Roll at every multiple of
// the stats period.
struct StatsPeriod {
  StatsTotals at_start;       // totals when the running period began
  StatsTotals last_complete;  // what the last complete period counted

  void Roll(const StatsTotals& now) {
    last_complete = now - at_start;
    at_start = now;
  }
};

}  // namespace trireme
