// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/report.h"

#include <utility>

#include "base/assert.h"

namespace trireme {
namespace {

SocketEnd EndOf(const SocketAddress& address, uint16_t unix_port) {
  if (address.is_unix() || address.family() == AF_UNSPEC) return {"unix", unix_port};
  return {address.HostText(), address.port()};
}

ClientRow::State StateOf(const Client& client) {
  switch (client.state()) {
    case Client::State::kLogin:
      return ClientRow::State::kLogin;
    case Client::State::kLinked:
    case Client::State::kConsole:
      return ClientRow::State::kActive;
    case Client::State::kWaiting:
      return ClientRow::State::kWaiting;
    case Client::State::kIdle:
    case Client::State::kClosing:
    case Client::State::kClosed:
      return ClientRow::State::kIdle;
  }
  TRIREME_UNREACHABLE();
}

ServerRow::State StateOf(const PooledServer& server) {
  switch (server.state()) {
    case PooledServer::State::kConnecting:
    case PooledServer::State::kLogin:
      return ServerRow::State::kNew;
    case PooledServer::State::kIdle:
    case PooledServer::State::kLeaving:
      return ServerRow::State::kIdle;
    case PooledServer::State::kLent:
      return ServerRow::State::kActive;
    case PooledServer::State::kSettling:
    case PooledServer::State::kClosing:
      return server.held() ? ServerRow::State::kBeingCanceled : ServerRow::State::kTested;
  }
  TRIREME_UNREACHABLE();
}

std::string ApplicationName(const ParameterSet& parameters) {
  const std::string* name = parameters.Find("application_name");
  return name != nullptr ? *name : std::string();
}

void AddClients(Clients& clients, ShardSnapshot& snapshot) {
  const std::vector<ListenerConfig>& listeners = clients.config().listeners;
  clients.ForEach([&](Client& client) {
    if (client.state() == Client::State::kClosing || client.state() == Client::State::kClosed) {
      return;
    }
    const uint16_t port = listeners[client.listener_index()].port;
    ClientRow row;
    row.id = client.id();
    row.core = clients.core();
    if (const Account* account = client.account()) {
      row.user = account->user;
      row.database = account->database;
      row.replication = account->replication;
    } else if (client.console()) {
      row.user = client.console_user();
      row.database = clients.config().console.database;
    }
    row.state = StateOf(client);
    row.peer = EndOf(client.stream().PeerAddress(), port);
    row.local = EndOf(client.stream().LocalAddress(), port);
    row.connected_at = client.connected_at();
    row.request_at = client.request_since();
    if (row.state == ClientRow::State::kWaiting) row.waiting_since = client.request_since();
    row.application_name = ApplicationName(*client.wish());
    if (client.server() != nullptr) row.server_id = client.server()->id();
    row.pinned = DescribePins(client.pins());
    snapshot.clients.push_back(std::move(row));
  });
}

void AddServers(Clients& clients, ShardSnapshot& snapshot) {
  absl::flat_hash_map<uint64_t, const Client*> lent_to;
  clients.ForEach([&](Client& client) {
    if (client.server() != nullptr) lent_to[client.server()->id()] = &client;
  });
  clients.pools().ForEachServer([&](Server& server) {
    const PoolSettings& settings = server.pool().settings();
    ServerRow row;
    row.id = server.id();
    row.core = clients.core();
    row.user = settings.storage_user;
    row.database = settings.storage_database;
    row.replication = settings.replication;
    row.state = StateOf(server);
    row.peer = EndOf(server.address(), server.address().port());
    row.local = EndOf(server.stream().LocalAddress(), 0);
    row.connected_at = server.created();
    row.request_at = server.state_since();
    row.close_needed = server.state() == PooledServer::State::kClosing;
    if (const auto found = lent_to.find(server.id()); found != lent_to.end()) {
      row.client_id = found->second->id();
      row.pinned = DescribePins(found->second->pins());
    }
    row.remote_pid = static_cast<int32_t>(server.process_id());
    row.application_name = ApplicationName(server.parameters());
    const ServerCounters counters = server.counters();
    row.times_lent = counters.times_lent;
    row.hand_overs = counters.hand_overs;
    snapshot.servers.push_back(std::move(row));
  });
}

void AddPools(Clients& clients, ShardSnapshot& snapshot) {
  absl::flat_hash_map<const PoolShard*, std::pair<uint32_t, uint32_t>> active_and_waiting;
  absl::flat_hash_map<const PoolShard*, uint32_t> pinned;
  absl::flat_hash_map<const PoolShard*, uint64_t> pins;
  for (const auto& account : clients.accounts()) pins[account->pool] += account->counters.pins;
  clients.ForEach([&](Client& client) {
    if (client.account() == nullptr) return;
    const PoolShard* const pool =
        client.server() != nullptr ? &client.server()->pool() : client.account()->pool;
    pinned[pool] += client.pins() != 0 ? 1 : 0;
    auto& [active, waiting] = active_and_waiting[pool];
    if (client.state() == Client::State::kWaiting) {
      ++waiting;
    } else if (client.state() == Client::State::kLinked || client.state() == Client::State::kIdle) {
      ++active;
    }
  });
  for (const auto& pool : clients.pools().pools()) {
    const PoolSettings& settings = pool->settings();
    const PoolShard::Counts counts = pool->counts();
    PoolRow row;
    // With database and user, the index is what tells pools apart on every core alike.
    row.pool_index = settings.pool_index;
    row.route_index = settings.route_index;
    row.database = settings.storage_database;
    row.user = settings.storage_user;
    row.storage = settings.storage.name;
    row.mode = settings.mode;
    row.size = settings.pool.size;
    row.min_size = settings.pool.min_size;
    row.reserve_size = settings.pool.reserve_size;
    row.shared_pool = settings.shared_pool;
    std::tie(row.clients_active, row.clients_waiting) = active_and_waiting[pool.get()];
    row.clients_waiting = counts.waiting;
    uint32_t being_canceled = 0;
    pool->ForEachServer([&](PooledServer& server) { being_canceled += server.held() ? 1 : 0; });
    row.servers_active = counts.lent;
    row.servers_being_canceled = being_canceled;
    row.servers_idle = counts.idle + counts.leaving;
    row.servers_tested = counts.settling;
    row.servers_login = counts.connecting + counts.login;
    if (counts.waiting > 0) row.oldest_waiting_since = clients.now() - counts.oldest_wait;
    row.steals = pool->counters().steals_granted;
    row.grants = pool->counters().grants_sent;
    row.servers_pinned = pinned[pool.get()];
    row.pins = pins[pool.get()];
    snapshot.pools.push_back(std::move(row));
  }
}

void AddStats(Clients& clients, ShardSnapshot& snapshot) {
  for (const auto& account : clients.accounts()) {
    snapshot.stats.push_back({.database = account->database,
                              .totals = TotalsOf(clients, *account),
                              .last_period = account->period.last_complete});
  }
}

void AddLists(Clients& clients, ShardSnapshot& snapshot) {
  ListsRow& row = snapshot.lists;
  clients.ForEach([&row](Client& client) {
    if (client.state() == Client::State::kLogin) {
      ++row.login_clients;
    } else {
      ++row.used_clients;
    }
  });
  clients.pools().ForEachServer([&row](Server& server) {
    if (server.state() == PooledServer::State::kIdle) {
      ++row.free_servers;
    } else {
      ++row.used_servers;
    }
  });
}

void AddMemory(Clients& clients, ShardSnapshot& snapshot) {
  Buffers& buffers = clients.streams().buffers();
  uint32_t servers = 0;
  clients.pools().ForEachServer([&servers](Server&) { ++servers; });
  snapshot.memory.push_back(
      {.name = "client", .size_bytes = sizeof(Client), .used = clients.count(), .free = 0});
  snapshot.memory.push_back(
      {.name = "server", .size_bytes = sizeof(Server), .used = servers, .free = 0});
  snapshot.memory.push_back({.name = "buffer",
                             .size_bytes = buffers.block_bytes(),
                             .used = buffers.in_use(),
                             .free = buffers.free_count()});
}

}  // namespace

StatsTotals TotalsOf(Clients& clients, const Account& account) {
  const AccountCounters& counters = account.counters;
  StatsTotals totals;
  totals.server_assignment_count = counters.assignments;
  totals.xact_count = counters.transactions;
  totals.query_count = counters.queries;
  totals.bytes_received = counters.bytes_received;
  totals.bytes_sent = counters.bytes_sent;
  totals.xact_time_us = counters.transaction_ns / 1000;
  totals.query_time_us = counters.query_ns / 1000;
  totals.wait_time_us = counters.wait_ns / 1000;
  totals.client_parse_count = counters.requests.parses;
  totals.server_parse_count = counters.requests.server_parses;
  totals.bind_count = counters.requests.binds;
  totals.client_login_count = counters.logins;
  clients.ForEach([&](Client& client) {
    if (client.account() != &account || client.state() == Client::State::kClosed) return;
    totals.bytes_received += client.stream().bytes_received();
    totals.bytes_sent += client.stream().bytes_sent();
  });
  return totals;
}

void Report(Clients& clients, const SnapshotParts& parts, ShardSnapshot& snapshot) {
  if (parts.clients) AddClients(clients, snapshot);
  if (parts.servers) AddServers(clients, snapshot);
  if (parts.pools) AddPools(clients, snapshot);
  if (parts.stats) AddStats(clients, snapshot);
  if (parts.lists) AddLists(clients, snapshot);
  if (parts.memory) AddMemory(clients, snapshot);
}

}  // namespace trireme
