// SPDX-License-Identifier: GPL-3.0-or-later
//
// How many servers there may be, of one pool and of all that share something with it. What the user
// who logs in at the storage says overrides the route; a database's own entry overrides what its
// storage says of all. A shared pool has the size that is written for it, whoever logs in.
//
// A plain value; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/config.h"

namespace trireme {

struct ServerLimits {
  uint32_t size = 0;
  uint32_t min_size = 0;
  uint32_t reserve_size = 0;
  // Of all pools together; 0 = no limit.
  uint32_t storage_max = 0;   // at the storage
  uint32_t database_max = 0;  // in this database there
  uint32_t user_max = 0;      // that log in as this user, at all storages

  struct Login {
    std::string_view user;
    std::string_view database;
  };
  static ServerLimits Of(const Config& config, const RouteConfig& route, Login login);
};

}  // namespace trireme
