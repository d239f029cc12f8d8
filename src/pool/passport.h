// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server between two cores: everything about it but the objects of the core it leaves. Made when
// nothing is in flight for it any more, mailed by pointer, freed by the receiver (with delete; hand
// overs are rare). Whoever holds it owns the connection and its place under the caps: a passport
// that cannot be delivered must be given to Pools::Discard.
#pragma once

#include <cstdint>
#include <string>

#include "base/socket_address.h"
#include "base/time.h"
#include "pool/prepared_set.h"
#include "wire/parameter_set.h"

namespace trireme {

// What identifies a running backend to PostgreSQL's cancel protocol. Never logged.
struct BackendKey {
  uint32_t process_id = 0;
  std::string secret;  // 4 bytes in protocol 3.0, up to 256 in 3.2
};

struct ServerCounters {
  uint64_t times_lent = 0;
  uint64_t hand_overs = 0;  // changes of core
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
};

struct ServerPassport {
  int fd = -1;
  uint64_t id = 0;
  Time created{};
  Time retire_at = kNever;
  Time heard_at{};
  bool used = false;
  BackendKey key;
  SocketAddress address;
  ParameterSet parameters;
  ParameterSet baseline;
  ServerCounters counters;
  PreparedSet prepared;
};

}  // namespace trireme
