// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the console shows, as plain values: each core fills a ShardSnapshot with its own part
// between two turns and mails it to the core that asked; MergeSnapshots makes one FleetSnapshot of
// them. Only the parts that a view needs are filled. Numbers are what is, at the moment of filling;
// instants are monotonic and become wall-clock text when they are shown.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "admin/stats.h"
#include "base/time.h"
#include "config/config.h"
#include "wire/startup.h"

namespace trireme {

// What a view needs of every core.
struct SnapshotParts {
  bool clients = false;
  bool servers = false;
  bool pools = false;
  bool stats = false;
  bool shards = false;
  bool lists = false;
  bool memory = false;

  bool any() const { return clients || servers || pools || stats || shards || lists || memory; }
  bool operator==(const SnapshotParts&) const = default;
};

inline constexpr uint32_t kNoIndex = std::numeric_limits<uint32_t>::max();

// An end of a socket. Unix sockets: address "unix", port that of the listener.
struct SocketEnd {
  std::string address;
  uint16_t port = 0;
};

struct ClientRow {
  enum class State : uint8_t {
    kLogin,          // not yet authenticated
    kActive,         // has a server
    kIdle,           // has none and wants none
    kWaiting,        // wants one
    kActiveCancel,   // a cancel request on its way to a server
    kWaitingCancel,  // a cancel request that waits for a place
  };
  uint64_t id = 0;  // reveals nothing about any key
  uint32_t core = 0;
  std::string user;      // as the client named it; "" = not known yet
  std::string database;  // as the client named it
  Replication replication = Replication::kNone;
  State state = State::kLogin;
  SocketEnd peer;
  SocketEnd local;
  Time connected_at{};
  Time request_at{};     // when its last request began
  Time waiting_since{};  // Time{} = does not wait
  bool close_needed = false;
  uint64_t server_id = 0;  // of its server; 0 = none
  int32_t remote_pid = 0;  // process at the other end of a Unix socket
  std::string tls;         // "" = plaintext
  std::string application_name;
  uint32_t prepared_statements = 0;
  std::string pinned;  // why it keeps its server; "" = it does not
};

struct ServerRow {
  enum class State : uint8_t {
    kNew,            // connecting or logging in
    kActive,         // lent to a client
    kIdle,           // can be lent
    kTested,         // settles or runs the reset query
    kActiveCancel,   // a connection that carries a cancel request
    kBeingCanceled,  // waits until cancel requests for it have ended
  };
  uint64_t id = 0;
  uint32_t core = 0;
  std::string user;      // at the storage
  std::string database;  // at the storage
  Replication replication = Replication::kNone;
  State state = State::kNew;
  SocketEnd peer;
  SocketEnd local;
  Time connected_at{};
  Time request_at{};  // when it was lent last
  bool close_needed = false;
  uint64_t client_id = 0;  // of the client it is lent to; 0 = none
  int32_t remote_pid = 0;  // of the backend
  std::string tls;
  std::string application_name;
  uint32_t prepared_statements = 0;
  uint64_t times_lent = 0;
  uint64_t hand_overs = 0;  // changes of core
  std::string pinned;       // why its client keeps it; "" = it does not
};

// One core's share of one pool; rows with one pool_index are one pool. Replication connections
// count with the pool they would have had.
struct PoolRow {
  uint32_t pool_index = kNoIndex;   // of its board; kNoIndex = the console
  uint32_t route_index = kNoIndex;  // into Config::routes
  std::string database;
  std::string user;
  std::string storage;
  PoolMode mode = PoolMode::kTransaction;
  uint32_t size = 0;  // its cap over all cores
  uint32_t min_size = 0;
  uint32_t reserve_size = 0;
  std::string shared_pool;  // its name, when routes share it
  // Clients by what they do. PgBouncer counts idle clients of a pool as active.
  uint32_t clients_active = 0;
  uint32_t clients_waiting = 0;
  uint32_t clients_active_cancel = 0;
  uint32_t clients_waiting_cancel = 0;
  // Servers by what they do.
  uint32_t servers_active = 0;
  uint32_t servers_active_cancel = 0;
  uint32_t servers_being_canceled = 0;
  uint32_t servers_idle = 0;
  uint32_t servers_tested = 0;
  uint32_t servers_login = 0;
  Time oldest_waiting_since{};  // Time{} = nobody waits
  uint64_t steals = 0;          // servers taken from other cores
  uint64_t grants = 0;          // servers given to waiters of other cores
  uint32_t servers_pinned = 0;  // of those active: kept for what is in their session
  uint64_t pins = 0;            // times a client began to keep its server
};

struct StatsRow {
  std::string database;
  StatsTotals totals;
  StatsTotals last_period;  // StatsPeriod::last_complete
};

// One core: the architecture made visible. Counters since the start.
struct ShardRow {
  uint32_t core = 0;
  int32_t cpu = -1;  // -1 = not pinned
  uint32_t clients = 0;
  uint32_t waiting = 0;
  uint32_t servers = 0;
  uint32_t servers_idle = 0;
  uint64_t steals_asked = 0;     // Steal sent
  uint64_t steals_received = 0;  // … and answered with a server
  uint64_t steals_given = 0;     // Steal of another core answered with a server
  uint64_t steals_denied = 0;    // … answered with Deny
  uint64_t grants_sent = 0;      // servers freed here for a waiter of another core
  uint64_t grants_received = 0;
  uint64_t mails_sent = 0;
  uint64_t mails_received = 0;
  uint64_t wake_ups_sent = 0;  // bells rung for sleeping cores
  uint64_t wake_ups_received = 0;
  uint64_t turns = 0;
  uint64_t sleeps = 0;
  uint64_t receives = 0;
  uint64_t sends = 0;
  uint64_t accepts = 0;
  uint64_t clients_placed = 0;  // accepted here, served by another core
  uint32_t buffers_in_use = 0;
  uint32_t buffers_total = 0;
  uint64_t busy_us = 0;  // CPU time of the core's thread
  // Servers from other cores: from asking, or from the offer, until they are here.
  uint64_t hand_over_p50_us = 0;
  uint64_t hand_over_p99_us = 0;
};

// One core's share of SHOW LISTS.
struct ListsRow {
  uint32_t free_clients = 0;  // slots made and not in use
  uint32_t used_clients = 0;
  uint32_t login_clients = 0;
  uint32_t free_servers = 0;
  uint32_t used_servers = 0;
};

// Memory of one kind of object on one core.
struct MemoryRow {
  std::string name;
  uint64_t size_bytes = 0;  // of one object
  uint64_t used = 0;
  uint64_t free = 0;
};

struct ShardSnapshot {
  std::vector<ClientRow> clients;
  std::vector<ServerRow> servers;
  std::vector<PoolRow> pools;
  std::vector<StatsRow> stats;
  std::vector<ShardRow> shards;  // one, its own
  ListsRow lists;
  std::vector<MemoryRow> memory;
};

struct SettingRow {
  std::string key;
  std::string value;
  std::string default_value;
  bool changeable = false;  // without a restart
};

// What the asking core knows itself. `config` outlives the snapshot.
struct FleetFacts {
  const Config* config = nullptr;
  std::string version;               // "0.1.0"
  std::vector<SettingRow> settings;  // for SHOW CONFIG
  Time now{};
  int64_t now_wall_us = 0;      // microseconds since 1970, UTC, at `now`
  Duration stats_period = 60s;  // length of the windows in StatsRow::last_period
};

// All cores together: clients, servers and shards in the order given, pools summed by pool_index
// and stats by database, both sorted by name.
struct FleetSnapshot {
  FleetFacts facts;
  std::vector<ClientRow> clients;
  std::vector<ServerRow> servers;
  std::vector<PoolRow> pools;
  std::vector<StatsRow> stats;
  std::vector<ShardRow> shards;
  ListsRow lists;
  std::vector<MemoryRow> memory;
};

FleetSnapshot MergeSnapshots(std::vector<ShardSnapshot> shards, FleetFacts facts);

}  // namespace trireme
