// SPDX-License-Identifier: GPL-3.0-or-later
//
// Why a server was closed: for the log and the counters.
#pragma once

#include <cstdint>

namespace trireme {

enum class CloseReason : uint8_t {
  kIdleTimeout,
  kLifetime,
  kConnectFailed,
  kServerEnded,  // it closed the connection, or the connection broke
  kDirty,        // it spoke when it had nothing to say
  kNotSettled,   // cancel, rollback or reset failed or took too long
  kCheckFailed,  // … or the check query
  kBrokenMidMessage,
  kMidQuery,        // its client has gone, and cancel_on_disconnect is off
  kMidTransaction,  // … and rollback_on_disconnect is off
  kProtocol,
  kTraces,  // a client has left what no reset undoes
  kReplicationOver,
  kEvicted,  // another pool needs the place
  kShutdown,
};
const char* ToString(CloseReason reason);

}  // namespace trireme
