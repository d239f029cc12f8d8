// SPDX-License-Identifier: GPL-3.0-or-later
//
// What one pool needs of the configuration, copied once when the pool is made on a core: a Target
// lives no longer than its Config, a pool outlives reloads.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pool/board.h"
#include "route/route.h"
#include "wire/startup.h"

namespace trireme {

// A replication connection as its client asks for it: the server is told the same.
struct ReplicationRequest {
  Replication kind = Replication::kPhysical;
  std::vector<std::pair<std::string, std::string>> startup_parameters;  // `options` included
};

struct PoolSettings {
  std::string key;           // of the board: PoolKey::ToString()
  std::string name;          // "database/user" at the storage, for texts people read
  uint32_t pool_index = 0;   // of PoolKey
  uint32_t route_index = 0;  // into Config::routes; of a shared pool, the first that leads there
  PoolMode mode = PoolMode::kTransaction;
  PoolConfig pool;          // with the sizes that hold for storage_user
  ServerLimits limits;      // the caps it shares with others
  std::string shared_pool;  // its name, when routes share it
  StorageConfig storage;
  std::string storage_user;
  // The route that names storage_user, for texts people read; "" = clients log in as themselves.
  std::string shared_by_route;
  std::string storage_database;
  Secret secret;
  std::vector<std::pair<std::string, std::string>> startup_parameters;
  Replication replication = Replication::kNone;  // not kNone: the pool of one client alone

  static PoolSettings From(const Config& config, const Target& target);
  // Of a pool for one replication connection.
  static PoolSettings From(const Config& config, const Target& target,
                           const ReplicationRequest& request);
  // Of its board.
  BoardLimits Caps() const;
};

}  // namespace trireme
