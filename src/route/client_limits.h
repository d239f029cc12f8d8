// SPDX-License-Identifier: GPL-3.0-or-later
//
// How long a client may take for what, and who says so. The user's own entry overrides the route's
// pool, which overrides the top-level one; for idle clients the user's entry overrides the route,
// which overrides `timeouts.client_idle`. A 0 overrides, too: it switches the limit off.
//
// A plain value, resolved once for each pair of database and user; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "config/config.h"

namespace trireme {

struct TimeLimit {
  enum class Source : uint8_t { kEverybody, kRoute, kUser };  // for texts people read
  Duration after{0};                                          // 0 = none
  Source source = Source::kRoute;
};

struct ClientLimits {
  TimeLimit wait;                 // for a server
  Duration wait_notify{0};        // the client is told that it waits
  TimeLimit query;                // from the server's getting it until nothing is owed
  TimeLimit transaction;          // a block, or a single statement
  TimeLimit idle_in_transaction;  // nothing is owed, and the block is open
  TimeLimit idle;                 // between transactions
  // The shortest of the last four, 0 = there is none: nothing begins that has to be watched.
  Duration shortest{0};

  static ClientLimits Of(const Config& config, const RouteConfig& route, const UserConfig& user);
};

}  // namespace trireme
