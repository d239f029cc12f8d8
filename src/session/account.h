// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the clients of one core that name the same database and user have in common: their words,
// their pool, and their counters. Clients point here, so that an idle one stores neither names nor
// statistics.
//
// Owned by Clients; lives as long as the core. Bounded by limits.pools_max.
#pragma once

#include <cstdint>
#include <string>

#include "admin/stats.h"
#include "config/config.h"
#include "route/client_limits.h"
#include "session/requests.h"
#include "sql/lexer.h"
#include "wire/parameter_set.h"
#include "wire/startup.h"

namespace trireme {

class PoolShard;
class Quota;

struct AccountCounters {
  uint64_t logins = 0;
  uint64_t transactions = 0;
  uint64_t queries = 0;         // ReadyForQuery seen by clients
  uint64_t assignments = 0;     // servers lent
  uint64_t bytes_received = 0;  // from clients
  uint64_t bytes_sent = 0;      // to clients
  uint64_t transaction_ns = 0;
  uint64_t query_ns = 0;
  uint64_t wait_ns = 0;
  uint64_t pins = 0;  // times a client began to keep its server, for each reason
  RequestCounts requests;
};

// Hashes of a wish, and of what a server has, and had at its login, that fulfil it. What one client
// has found out spares the next one the comparison.
struct FulfilledWish {
  uint64_t wish = 0;
  uint64_t has = 0;  // 0 = none known
  uint64_t baseline = 0;
  bool operator==(const FulfilledWish&) const = default;
};

// How texts are read by those with this wish, before servers that report this.
struct WishTextRules {
  uint64_t wish = 0;
  const ParameterSet* reported = nullptr;  // nullptr = none known
  TextRules rules;
};

struct Account {
  std::string database;  // as clients name them
  std::string user;
  PoolMode mode = PoolMode::kTransaction;
  // Replicating clients are an account of their own. It has no pool: each of them has one, with a
  // server that it keeps to the end.
  Replication replication = Replication::kNone;
  PoolShard* pool = nullptr;
  uint32_t route_index = 0;
  uint32_t user_index = 0;
  uint32_t clients = 0;  // logged in on this core
  ClientLimits limits;
  Quota* user_clients = nullptr;  // its clients_max, shared by all cores; nullptr = no limit
  Quota* database_clients = nullptr;
  FulfilledWish fulfilled;   // the last one
  WishTextRules text_rules;  // … of the last wish
  AccountCounters counters;
  StatsPeriod period;
};

}  // namespace trireme
