// SPDX-License-Identifier: GPL-3.0-or-later
//
// Startup packets that have led into a pool, and what followed from each: clients of one
// application send the very same bytes each time they connect. A known packet is not parsed again,
// its client's wish is not spelled again, and what it is told is not written again. Who the client
// is has to be proved each time, and each limit is looked at.
//
//   by the packet and the configuration alone    names, route, user, account
//   by these and what servers report at login    the wish in their spelling, what the client is
//   told
//
// What must hold: the second half is used only while the pool's servers report what they did when
// it was made (`reported`); nothing is remembered that depends on anything else: an address, an
// answer that may go stale (session/tried_values.h), a connection that replicates.
//
// Only clients that were let in add to it. When the limit is reached all is forgotten, and learned
// again one login at a time. Owned by one core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "config/config.h"
#include "session/account.h"
#include "session/wishes.h"
#include "wire/parameter_set.h"

namespace trireme {

struct KnownStartup {
  uint16_t minor = 0;  // of protocol 3
  std::string database;
  std::string user;
  const RouteConfig* route = nullptr;
  const UserConfig* user_config = nullptr;
  Account* account = nullptr;
  // PoolShard::welcome() of then: sets that were published stay as they are, and where they are.
  const ParameterSet* reported = nullptr;
  WishRef wish;
  std::string told;  // AuthenticationOk to ReadyForQuery, with zeros for the cancel key
};

class KnownStartups {
 public:
  static constexpr size_t kBytesMax = size_t{1} << 20;
  static constexpr size_t kPacketBytesMax = 2048;  // of one that is remembered

  // nullptr: not known. Good until the next Note().
  const KnownStartup* Find(std::string_view packet) const;
  // Adds it, or replaces what was known. A packet that is too long is not kept.
  void Note(std::string_view packet, KnownStartup startup);

  size_t count() const { return startups_.size(); }

 private:
  using Startups = absl::flat_hash_map<std::string, KnownStartup>;  // by packet
  Startups startups_;
  size_t bytes_ = 0;
  mutable const Startups::value_type* last_ = nullptr;  // the one found last, until the next Note()
};

}  // namespace trireme
