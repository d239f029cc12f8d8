// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/route.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme {
namespace {

constexpr std::string_view kAny = "*";
constexpr std::string_view kPgbouncerConsole = "pgbouncer";

enum Rank : int { kExact, kExactDatabase, kExactUser, kAnything, kNoMatch };

// A client that names itself "*" matches by the wildcard, as everybody does.
Rank RankOf(const RouteConfig& route, std::string_view database, std::string_view user) {
  const bool any_database = route.database == kAny;
  const bool any_user = route.user == kAny;
  if (!any_database && route.database != database) return kNoMatch;
  if (!any_user && route.user != user) return kNoMatch;
  if (any_database) return any_user ? kAnything : kExactUser;
  return any_user ? kExactDatabase : kExact;
}

const UserConfig* FindEntry(const Config& config, std::string_view name) {
  const auto entry = std::lower_bound(
      config.users.begin(), config.users.end(), name,
      [](const UserConfig& user, std::string_view wanted) { return user.name < wanted; });
  return entry != config.users.end() && entry->name == name ? &*entry : nullptr;
}

}  // namespace

// Once a login, over at most a few thousand routes: a scan is enough, and needs no order.
const RouteConfig* Match(const Config& config, std::string_view database, std::string_view user) {
  const RouteConfig* best = nullptr;
  Rank best_rank = kNoMatch;
  for (const RouteConfig& route : config.routes) {
    const Rank rank = RankOf(route, database, user);
    if (rank < best_rank) {
      best = &route;
      best_rank = rank;
    }
    if (best_rank == kExact) break;
  }
  return best;
}

const UserConfig* FindUser(const Config& config, std::string_view user) {
  const UserConfig* entry = FindEntry(config, user);
  return entry != nullptr ? entry : FindEntry(config, kAny);
}

bool IsConsole(const Config& config, std::string_view database) {
  return database == config.console.database || database == kPgbouncerConsole;
}

AuthMethod EffectiveAuth(const Config& config, const UserConfig* user) {
  if (user == nullptr) return config.auth;
  const AuthMethod method = user->auth.value_or(config.auth);
  const bool stored_scram = user->secret.kind == Secret::Kind::kScram;
  return method == AuthMethod::kMd5 && stored_scram ? AuthMethod::kScramSha256 : method;
}

std::string PoolKey::ToString() const {
  // The length keeps names with "@" in them apart.
  return absl::StrCat(pool_index, ":", storage_user.size(), ":", storage_user, "@",
                      storage_database);
}

namespace {

// The route's own, else that of whoever logs in at the storage: all clients of a route with a
// storage_user share one pool, so it must not depend on which of them came first.
const Secret& StorageSecret(const Config& config, const RouteConfig& route,
                            const UserConfig& user) {
  static const Secret none;
  if (route.storage_secret.kind != Secret::Kind::kNone) return route.storage_secret;
  if (route.storage_user.empty()) return user.secret;
  const UserConfig* storage_user = FindUser(config, route.storage_user);
  return storage_user != nullptr ? storage_user->secret : none;
}

uint32_t FirstRouteTo(const Config& config, const RouteConfig& route) {
  const auto first =
      std::find_if(config.routes.begin(), config.routes.end(), [&](const RouteConfig& other) {
        return other.shared_pool == route.shared_pool && other.storage_index == route.storage_index;
      });
  return static_cast<uint32_t>(first - config.routes.begin());
}

}  // namespace

Target Resolve(const Config& config, const RouteConfig& route, const UserConfig& user,
               ClientNames names) {
  const ptrdiff_t index = &route - config.routes.data();
  TRIREME_ASSERT(index >= 0 && static_cast<size_t>(index) < config.routes.size());
  TRIREME_ASSERT(route.storage_index < config.storages.size());
  Target target{.route = &route,
                .user = &user,
                .storage = &config.storages[route.storage_index],
                .storage_user = route.storage_user,
                .storage_database = route.storage_database,
                .mode = user.pool_mode.value_or(route.pool.mode),
                .auth = EffectiveAuth(config, &user),
                .route_index = static_cast<uint32_t>(index)};
  if (target.storage_user.empty()) target.storage_user = names.user;
  if (target.storage_database.empty()) target.storage_database = names.database;
  target.storage_secret = &StorageSecret(config, route, user);
  target.servers = ServerLimits::Of(
      config, route, {.user = target.storage_user, .database = target.storage_database});
  uint32_t pool_index = target.route_index;
  if (route.shared_pool) {
    target.route_index = FirstRouteTo(config, route);
    pool_index = static_cast<uint32_t>(
        config.routes.size() + *route.shared_pool * config.storages.size() + route.storage_index);
  }
  target.key = {.pool_index = pool_index,
                .storage_user = std::string(target.storage_user),
                .storage_database = std::string(target.storage_database)};
  return target;
}

std::optional<Target> ResolveAhead(const Config& config, const RouteConfig& route) {
  static const UserConfig unknown;
  const std::string& database =
      route.storage_database.empty() ? route.database : route.storage_database;
  const std::string& user = route.storage_user.empty() ? route.user : route.storage_user;
  if (database == kAny || user == kAny) return std::nullopt;
  const UserConfig* entry = FindUser(config, user);
  return Resolve(config, route, entry != nullptr ? *entry : unknown, {database, user});
}

}  // namespace trireme
