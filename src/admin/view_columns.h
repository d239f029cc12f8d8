// SPDX-License-Identifier: GPL-3.0-or-later
//
// The columns of every view. PgBouncer's first, exactly; ours behind them. New columns go to the
// end.
#pragma once

#include <array>

#include "admin/table.h"

namespace trireme::columns {

using enum ColumnType;

inline constexpr auto kClients = std::to_array<Column>({
    {"type", kText},
    {"user", kText},
    {"database", kText},
    {"replication", kText},
    {"state", kText},
    {"addr", kText},
    {"port", kInt4},
    {"local_addr", kText},
    {"local_port", kInt4},
    {"connect_time", kText},
    {"request_time", kText},
    {"wait", kInt4},
    {"wait_us", kInt4},
    {"close_needed", kInt4},
    {"ptr", kText},
    {"link", kText},
    {"remote_pid", kInt4},
    {"tls", kText},
    {"application_name", kText},
    {"prepared_statements", kInt4},
    {"id", kInt4},
    {"core", kInt4},
    {"pinned", kText},
});

inline constexpr auto kServers = std::to_array<Column>({
    {"type", kText},
    {"user", kText},
    {"database", kText},
    {"replication", kText},
    {"state", kText},
    {"addr", kText},
    {"port", kInt4},
    {"local_addr", kText},
    {"local_port", kInt4},
    {"connect_time", kText},
    {"request_time", kText},
    {"wait", kInt4},
    {"wait_us", kInt4},
    {"close_needed", kInt4},
    {"ptr", kText},
    {"link", kText},
    {"remote_pid", kInt4},
    {"tls", kText},
    {"application_name", kText},
    {"prepared_statements", kInt4},
    {"id", kInt4},
    {"core", kInt4},
    {"times_lent", kInt8},
    {"hand_overs", kInt8},
    {"pinned", kText},
});

inline constexpr auto kPools = std::to_array<Column>({
    {"database", kText},
    {"user", kText},
    {"cl_active", kInt4},
    {"cl_waiting", kInt4},
    {"cl_active_cancel_req", kInt4},
    {"cl_waiting_cancel_req", kInt4},
    {"sv_active", kInt4},
    {"sv_active_cancel", kInt4},
    {"sv_being_canceled", kInt4},
    {"sv_idle", kInt4},
    {"sv_used", kInt4},
    {"sv_tested", kInt4},
    {"sv_login", kInt4},
    {"maxwait", kInt4},
    {"maxwait_us", kInt4},
    {"pool_mode", kText},
    {"load_balance_hosts", kText},
    {"storage", kText},
    {"pool_size", kInt4},
    {"steals", kInt8},
    {"grants", kInt8},
    {"sv_pinned", kInt4},
    {"pins", kInt8},
    {"min_pool_size", kInt4},
    {"reserve_pool_size", kInt4},
    {"shared_pool", kText},
});

inline constexpr auto kDatabases = std::to_array<Column>({
    {"name", kText},
    {"host", kText},
    {"port", kInt4},
    {"database", kText},
    {"force_user", kText},
    {"pool_size", kInt4},
    {"min_pool_size", kInt4},
    {"reserve_pool_size", kInt4},
    {"server_lifetime", kInt4},
    {"pool_mode", kText},
    {"load_balance_hosts", kText},
    {"max_connections", kInt4},
    {"current_connections", kInt4},
    {"max_client_connections", kInt4},
    {"current_client_connections", kInt4},
    {"paused", kInt4},
    {"disabled", kInt4},
    {"storage", kText},
    {"route_user", kText},
    {"shared_pool", kText},
});

inline constexpr auto kUsers = std::to_array<Column>({
    {"name", kText},
    {"pool_size", kText},
    {"reserve_pool_size", kText},
    {"pool_mode", kText},
    {"max_user_connections", kInt4},
    {"current_connections", kInt4},
    {"max_user_client_connections", kInt4},
    {"current_client_connections", kInt4},
});

inline constexpr auto kStats = std::to_array<Column>({
    {"database", kText},
    {"total_server_assignment_count", kNumeric},
    {"total_xact_count", kNumeric},
    {"total_query_count", kNumeric},
    {"total_received", kNumeric},
    {"total_sent", kNumeric},
    {"total_xact_time", kNumeric},
    {"total_query_time", kNumeric},
    {"total_wait_time", kNumeric},
    {"total_client_parse_count", kNumeric},
    {"total_server_parse_count", kNumeric},
    {"total_bind_count", kNumeric},
    {"total_client_login_count", kNumeric},
    {"avg_server_assignment_count", kNumeric},
    {"avg_xact_count", kNumeric},
    {"avg_query_count", kNumeric},
    {"avg_recv", kNumeric},
    {"avg_sent", kNumeric},
    {"avg_xact_time", kNumeric},
    {"avg_query_time", kNumeric},
    {"avg_wait_time", kNumeric},
    {"avg_client_parse_count", kNumeric},
    {"avg_server_parse_count", kNumeric},
    {"avg_bind_count", kNumeric},
    {"avg_client_login_count", kNumeric},
});

inline constexpr auto kStatsTotals = std::to_array<Column>({
    {"database", kText},
    {"server_assignment_count", kNumeric},
    {"xact_count", kNumeric},
    {"query_count", kNumeric},
    {"bytes_received", kNumeric},
    {"bytes_sent", kNumeric},
    {"xact_time", kNumeric},
    {"query_time", kNumeric},
    {"wait_time", kNumeric},
    {"client_parse_count", kNumeric},
    {"server_parse_count", kNumeric},
    {"bind_count", kNumeric},
    {"client_login_count", kNumeric},
});

inline constexpr auto kStatsAverages = std::to_array<Column>({
    {"database", kText},
    {"server_assignment_count", kNumeric},
    {"xact_count", kNumeric},
    {"query_count", kNumeric},
    {"bytes_received", kNumeric},
    {"bytes_sent", kNumeric},
    {"xact_time", kNumeric},
    {"query_time", kNumeric},
    {"wait_time", kNumeric},
    {"avg_client_parse_count", kNumeric},
    {"avg_server_parse_count", kNumeric},
    {"avg_bind_count", kNumeric},
    {"avg_client_login_count", kNumeric},
});

inline constexpr auto kTotals = std::to_array<Column>({
    {"name", kText},
    {"value", kNumeric},
});

inline constexpr auto kLists = std::to_array<Column>({
    {"list", kText},
    {"items", kInt4},
});

inline constexpr auto kSettings = std::to_array<Column>({
    {"key", kText},
    {"value", kText},
    {"default", kText},
    {"changeable", kText},
});

inline constexpr auto kMemory = std::to_array<Column>({
    {"name", kText},
    {"size", kInt4},
    {"used", kInt4},
    {"free", kInt4},
    {"memtotal", kInt4},
});

inline constexpr auto kState = std::to_array<Column>({
    {"key", kText},
    {"value", kText},
});

inline constexpr auto kVersion = std::to_array<Column>({
    {"version", kText},
});

inline constexpr auto kShards = std::to_array<Column>({
    {"core", kInt4},
    {"cpu", kInt4},
    {"clients", kInt4},
    {"waiting", kInt4},
    {"servers", kInt4},
    {"servers_idle", kInt4},
    {"steals_asked", kInt8},
    {"steals_received", kInt8},
    {"steals_given", kInt8},
    {"steals_denied", kInt8},
    {"grants_sent", kInt8},
    {"grants_received", kInt8},
    {"mails_sent", kInt8},
    {"mails_received", kInt8},
    {"wake_ups_sent", kInt8},
    {"wake_ups_received", kInt8},
    {"turns", kInt8},
    {"sleeps", kInt8},
    {"receives", kInt8},
    {"sends", kInt8},
    {"accepts", kInt8},
    {"clients_placed", kInt8},
    {"buffers_in_use", kInt4},
    {"buffers_total", kInt4},
    {"busy_us", kInt8},
    {"hand_over_p50_us", kInt8},
    {"hand_over_p99_us", kInt8},
});

inline constexpr auto kPeers = std::to_array<Column>({
    {"peer_id", kInt4},
    {"host", kText},
    {"port", kInt4},
    {"pool_size", kInt4},
});

inline constexpr auto kPeerPools = std::to_array<Column>({
    {"peer_id", kInt4},
    {"cl_active_cancel_req", kInt4},
    {"cl_waiting_cancel_req", kInt4},
    {"sv_active_cancel", kInt4},
    {"sv_login", kInt4},
});

inline constexpr auto kDnsHosts = std::to_array<Column>({
    {"hostname", kText},
    {"ttl", kInt8},
    {"addrs", kText},
});

inline constexpr auto kDnsZones = std::to_array<Column>({
    {"zonename", kText},
    {"serial", kInt8},
    {"count", kInt4},
});

}  // namespace trireme::columns
