// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/server_limits.h"

#include <algorithm>

#include "route/route.h"

namespace trireme {

ServerLimits ServerLimits::Of(const Config& config, const RouteConfig& route, Login login) {
  const PoolConfig& pool = route.pool;
  const StorageConfig& storage = config.storages[route.storage_index];
  ServerLimits limits{.size = pool.size,
                      .min_size = pool.min_size,
                      .reserve_size = pool.reserve_size,
                      .storage_max = storage.connections_max,
                      .database_max = storage.database_connections_max,
                      .user_max = config.limits.user_connections_max};
  const auto database = std::lower_bound(
      storage.databases.begin(), storage.databases.end(), login.database,
      [](const StorageDatabaseConfig& entry, std::string_view name) { return entry.name < name; });
  if (database != storage.databases.end() && database->name == login.database) {
    limits.database_max = database->connections_max;
  }
  const UserConfig* user = FindUser(config, login.user);
  if (user == nullptr) return limits;
  limits.user_max = user->connections_max.value_or(limits.user_max);
  if (route.shared_pool) return limits;
  limits.size = user->pool_size.value_or(limits.size);
  limits.reserve_size = user->reserve_size.value_or(limits.reserve_size);
  limits.min_size = std::min(limits.min_size, limits.size);
  return limits;
}

}  // namespace trireme
