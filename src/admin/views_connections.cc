// SPDX-License-Identifier: GPL-3.0-or-later
//
// Views of what is connected: CLIENTS, SERVERS, POOLS, DATABASES, USERS.
#include <chrono>
#include <cstdio>
#include <map>

#include "admin/views.h"
#include "base/assert.h"

namespace trireme {
namespace {

// PgBouncer shows addresses of its objects. We show the id of the connection, which says as much
// and reveals nothing; `link` shows the `ptr` of the other side.
std::string Pointer(char kind, uint64_t id) {
  if (id == 0) return "";
  char text[24];
  std::snprintf(text, sizeof text, "%c0x%llx", kind, static_cast<unsigned long long>(id));
  return text;
}

// The column is an int4; the low bits tell connections apart for practical purposes.
int64_t ShortId(uint64_t id) { return static_cast<int64_t>(id & 0x7fffffff); }

struct Wait {
  int64_t seconds = 0;
  int64_t microseconds = 0;  // of the second that has begun
};

Wait WaitOf(const FleetFacts& facts, Time since) {
  if (since == Time{} || since > facts.now) return {};
  const int64_t whole = Microseconds(facts.now - since);
  return {whole / 1'000'000, whole % 1'000'000};
}

std::string_view StateName(ClientRow::State state) {
  using enum ClientRow::State;
  switch (state) {
    case kLogin:
      return "login";
    case kActive:
      return "active";
    case kIdle:
      return "idle";
    case kWaiting:
      return "waiting";
    case kActiveCancel:
      return "active_cancel_req";
    case kWaitingCancel:
      return "waiting_cancel_req";
  }
  TRIREME_UNREACHABLE();
}

std::string_view StateName(ServerRow::State state) {
  using enum ServerRow::State;
  switch (state) {
    case kNew:
      return "new";
    case kActive:
      return "active";
    case kIdle:
      return "idle";
    case kTested:
      return "tested";
    case kActiveCancel:
      return "active_cancel";
    case kBeingCanceled:
      return "being_canceled";
  }
  TRIREME_UNREACHABLE();
}

std::string OrUnknown(const std::string& name, const char* unknown) {
  return name.empty() ? unknown : name;
}

int64_t ServersOf(const PoolRow& pool) {
  return int64_t{pool.servers_active} + pool.servers_active_cancel + pool.servers_being_canceled +
         pool.servers_idle + pool.servers_tested + pool.servers_login;
}

int64_t ClientsOf(const PoolRow& pool) {
  return int64_t{pool.clients_active} + pool.clients_waiting + pool.clients_active_cancel +
         pool.clients_waiting_cancel;
}

// Hosts of a list are tried in order, which PgBouncer calls "disable"; NULL when there is no list.
Cell LoadBalanceHosts(const FleetFacts& facts, uint32_t route_index) {
  if (facts.config == nullptr || route_index >= facts.config->routes.size()) return {};
  const RouteConfig& route = facts.config->routes[route_index];
  if (facts.config->storages[route.storage_index].hosts.size() < 2) return {};
  return "disable";
}

// "a,b" and the port of the first, as PgBouncer shows a host list.
std::string HostList(const StorageConfig& storage) {
  std::string text;
  for (const HostConfig& host : storage.hosts) {
    if (!text.empty()) text += ',';
    text += host.host;
  }
  return text;
}

// The cap that is nearest to the database: its own, else that of its storage. 0 = none.
int64_t ConnectionsMax(const StorageConfig& storage, const std::string& database) {
  uint32_t most = storage.database_connections_max;
  for (const StorageDatabaseConfig& entry : storage.databases) {
    if (entry.name == database) most = entry.connections_max;
  }
  return most != 0 ? most : storage.connections_max;
}

// Routes that share a pool show what all of them have.
bool SamePool(const Config& config, size_t one, size_t other) {
  if (one == other) return true;
  const RouteConfig& a = config.routes[one];
  const RouteConfig& b = config.routes[other];
  return a.shared_pool.has_value() && a.shared_pool == b.shared_pool &&
         a.storage_index == b.storage_index;
}

std::string OrNothing(const std::optional<uint32_t>& number) {
  return number ? std::to_string(*number) : std::string();
}

// Connections by the user entry that governs them: their own name's, else "*".
class NameCounts {
 public:
  template <typename ConnectionRow>
  NameCounts(const std::vector<ConnectionRow>& rows, const std::vector<UserConfig>& users) {
    for (const UserConfig& user : users) counts_.emplace(user.name, 0);
    for (const ConnectionRow& row : rows) {
      auto entry = counts_.find(row.user);
      if (entry == counts_.end() && !row.user.empty()) entry = counts_.find("*");
      if (entry != counts_.end()) ++entry->second;
    }
  }

  int64_t Of(std::string_view user) const {
    const auto entry = counts_.find(user);
    return entry == counts_.end() ? 0 : entry->second;
  }

 private:
  std::map<std::string_view, int64_t> counts_;
};

}  // namespace

std::string_view ModeName(PoolMode mode) {
  switch (mode) {
    case PoolMode::kSession:
      return "session";
    case PoolMode::kTransaction:
      return "transaction";
    case PoolMode::kStatement:
      return "statement";
  }
  TRIREME_UNREACHABLE();
}

std::string WallClockText(const FleetFacts& facts, Time at) {
  if (at == Time{}) return "";
  using std::chrono::floor;
  using Seconds = std::chrono::sys_time<std::chrono::seconds>;
  const std::chrono::microseconds wall{facts.now_wall_us - Microseconds(facts.now - at)};
  const Seconds second{floor<std::chrono::seconds>(wall)};
  const auto day = floor<std::chrono::days>(second);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{second - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d UTC", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

std::vector<Row> ClientRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  rows.reserve(fleet.clients.size());
  for (const ClientRow& client : fleet.clients) {
    const Wait wait = WaitOf(fleet.facts, client.waiting_since);
    rows.push_back({"C",
                    OrUnknown(client.user, "(nouser)"),
                    OrUnknown(client.database, "(nodb)"),
                    std::string(ToString(client.replication)),
                    std::string(StateName(client.state)),
                    client.peer.address,
                    int64_t{client.peer.port},
                    client.local.address,
                    int64_t{client.local.port},
                    WallClockText(fleet.facts, client.connected_at),
                    WallClockText(fleet.facts, client.request_at),
                    wait.seconds,
                    wait.microseconds,
                    int64_t{client.close_needed},
                    Pointer('C', client.id),
                    Pointer('S', client.server_id),
                    int64_t{client.remote_pid},
                    client.tls,
                    client.application_name,
                    int64_t{client.prepared_statements},
                    ShortId(client.id),
                    int64_t{client.core},
                    client.pinned});
  }
  return rows;
}

std::vector<Row> ServerRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  rows.reserve(fleet.servers.size());
  for (const ServerRow& server : fleet.servers) {
    rows.push_back({"S",
                    OrUnknown(server.user, "(nouser)"),
                    OrUnknown(server.database, "(nodb)"),
                    std::string(ToString(server.replication)),
                    std::string(StateName(server.state)),
                    server.peer.address,
                    int64_t{server.peer.port},
                    server.local.address,
                    int64_t{server.local.port},
                    WallClockText(fleet.facts, server.connected_at),
                    WallClockText(fleet.facts, server.request_at),
                    int64_t{0},  // servers do not wait
                    int64_t{0},
                    int64_t{server.close_needed},
                    Pointer('S', server.id),
                    Pointer('C', server.client_id),
                    int64_t{server.remote_pid},
                    server.tls,
                    server.application_name,
                    int64_t{server.prepared_statements},
                    ShortId(server.id),
                    int64_t{server.core},
                    Number(server.times_lent),
                    Number(server.hand_overs),
                    server.pinned});
  }
  return rows;
}

std::vector<Row> PoolRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  rows.reserve(fleet.pools.size());
  for (const PoolRow& pool : fleet.pools) {
    const Wait wait = WaitOf(fleet.facts, pool.oldest_waiting_since);
    rows.push_back({pool.database,
                    pool.user,
                    int64_t{pool.clients_active},
                    int64_t{pool.clients_waiting},
                    int64_t{pool.clients_active_cancel},
                    int64_t{pool.clients_waiting_cancel},
                    int64_t{pool.servers_active},
                    int64_t{pool.servers_active_cancel},
                    int64_t{pool.servers_being_canceled},
                    int64_t{pool.servers_idle},
                    int64_t{0},  // sv_used: idle servers are not checked before use
                    int64_t{pool.servers_tested},
                    int64_t{pool.servers_login},
                    wait.seconds,
                    wait.microseconds,
                    std::string(ModeName(pool.mode)),
                    LoadBalanceHosts(fleet.facts, pool.route_index),
                    pool.storage,
                    int64_t{pool.size},
                    Number(pool.steals),
                    Number(pool.grants),
                    int64_t{pool.servers_pinned},
                    Number(pool.pins),
                    int64_t{pool.min_size},
                    int64_t{pool.reserve_size},
                    pool.shared_pool});
  }
  return rows;
}

std::vector<Row> DatabaseRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  if (fleet.facts.config == nullptr) return rows;
  const Config& config = *fleet.facts.config;
  struct Connections {
    int64_t servers = 0;
    int64_t clients = 0;
  };
  std::vector<Connections> connections(config.routes.size());
  for (const PoolRow& pool : fleet.pools) {
    if (pool.route_index >= connections.size()) continue;
    for (size_t index = 0; index < connections.size(); ++index) {
      if (!SamePool(config, index, pool.route_index)) continue;
      connections[index].servers += ServersOf(pool);
      connections[index].clients += ClientsOf(pool);
    }
  }
  for (size_t index = 0; index < config.routes.size(); ++index) {
    const RouteConfig& route = config.routes[index];
    const StorageConfig& storage = config.storages[route.storage_index];
    const bool own_name = route.storage_database.empty();
    rows.push_back(
        {route.database,
         HostList(storage),
         int64_t{storage.hosts.empty() ? uint16_t{0} : storage.hosts.front().port},
         own_name ? route.database : route.storage_database,
         route.storage_user.empty() ? Cell{} : Cell{route.storage_user},
         int64_t{route.pool.size},
         int64_t{route.pool.min_size},
         int64_t{route.pool.reserve_size},
         std::chrono::duration_cast<std::chrono::seconds>(route.pool.server_lifetime).count(),
         std::string(ModeName(route.pool.mode)),
         LoadBalanceHosts(fleet.facts, static_cast<uint32_t>(index)),
         ConnectionsMax(storage, own_name ? route.database : route.storage_database),
         connections[index].servers,
         int64_t{route.clients_max != 0 ? route.clients_max : config.limits.database_clients_max},
         connections[index].clients,
         int64_t{0},  // paused
         int64_t{0},  // disabled
         storage.name,
         route.user,
         route.shared_pool ? config.shared_pools[*route.shared_pool].name : std::string()});
  }
  return rows;
}

std::vector<Row> UserRows(const FleetSnapshot& fleet) {
  std::vector<Row> rows;
  if (fleet.facts.config == nullptr) return rows;
  const std::vector<UserConfig>& users = fleet.facts.config->users;
  const LimitsConfig& limits = fleet.facts.config->limits;
  const NameCounts clients(fleet.clients, users);
  const NameCounts servers(fleet.servers, users);
  for (const UserConfig& user : users) {
    rows.push_back(
        {user.name, OrNothing(user.pool_size), OrNothing(user.reserve_size),
         std::string(user.pool_mode ? ModeName(*user.pool_mode) : ""),
         int64_t{user.connections_max.value_or(limits.user_connections_max)}, servers.Of(user.name),
         int64_t{user.clients_max.value_or(limits.user_clients_max)}, clients.Of(user.name)});
  }
  return rows;
}

}  // namespace trireme
