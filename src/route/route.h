// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which pool should serve this client? A client names a database and a user; the configuration
// answers with a route, the user's entry, and a target: the storage, the identity there, the
// effective settings, and the key of the pool. Pure functions over one Config; no I/O, any thread.
//
// A Target points into the Config it came from and lives no longer than it. A PoolKey owns its
// text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/config.h"
#include "route/server_limits.h"

namespace trireme {

// The most specific route for the pair, nullptr when there is none:
//   exact database and user  ▸  exact database, any user  ▸  any database, exact user  ▸  any, any
const RouteConfig* Match(const Config& config, std::string_view database, std::string_view user);

// The user's own entry, else the entry "*", else nullptr: nobody by that name may log in (the
// session still goes through an exchange that does not say so). Needs the order of InLookupOrder().
const UserConfig* FindUser(const Config& config, std::string_view user);

// "trireme" (configurable) and "pgbouncer" lead to the console, before any route.
bool IsConsole(const Config& config, std::string_view database);

// How the client must prove who it is. An md5 method with a SCRAM verifier stored becomes SCRAM, as
// in PostgreSQL. nullptr = unknown user: the global method, to be played as a mock exchange.
AuthMethod EffectiveAuth(const Config& config, const UserConfig* user);

// What tells pools apart. Equal keys share one pool on every core; the index stands for the storage
// and the settings: that of the route, or, beyond all routes, that of a shared pool at a storage.
struct PoolKey {
  uint32_t pool_index = 0;
  std::string storage_user;
  std::string storage_database;

  friend bool operator==(const PoolKey&, const PoolKey&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const PoolKey& key) {
    return H::combine(std::move(state), key.pool_index, key.storage_user, key.storage_database);
  }

  // "0:3:app@main" (index, length of the user, user, database): for logs and traces; distinct for
  // distinct keys, the same in every process that runs the same configuration.
  std::string ToString() const;
};

// Everything a session needs to ask for a server. `route`, `user` and `storage` are never null.
struct Target {
  const RouteConfig* route = nullptr;
  const UserConfig* user = nullptr;
  const StorageConfig* storage = nullptr;
  std::string_view storage_user;      // the route's, else the client's
  std::string_view storage_database;  // the route's, else the client's
  // What logs in at the storage: the route's secret, else that of the user who logs in there. A
  // SCRAM verifier cannot log in by itself: it means "pass the client's keys through". kNone = only
  // trust can succeed.
  const Secret* storage_secret = nullptr;
  PoolMode mode = PoolMode::kTransaction;  // the user's, else the route's
  AuthMethod auth = AuthMethod::kReject;
  ServerLimits servers;
  uint32_t route_index = 0;  // of `route`; of a shared pool, the first route that leads there
  PoolKey key;
};

// The pool for a known user under a route. `database` and `user_name` are the client's words (the
// user entry may be "*"); they must outlive the Target.
struct ClientNames {
  std::string_view database;
  std::string_view user;
};
Target Resolve(const Config& config, const RouteConfig& route, const UserConfig& user,
               ClientNames names);

// The same before any client has come, where the route says it all. It points into the route, too.
std::optional<Target> ResolveAhead(const Config& config, const RouteConfig& route);

}  // namespace trireme
