// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection to PostgreSQL, from connect to close. It is owned by exactly one core at any time and lent to at
// most one client.
//
//   kConnecting ─▶ kLogin ─▶ kIdle ◀──────────── kSettling ◀─┐ Abandon (client gone), reset query
//        │            │        │  ▲ Return           │       │
//        │            │        ▼  │                  ▼       │
//        │            │      kLent ──────────────────┼───────┘
//        │            │        │  kIdle ─▶ kLeaving ─┼─▶ (passport mailed to another core)
//        └────────────┴────────┴───────▶ kClosing ◀──┘
//
// What must hold: kLent ⇔ user() is set; kIdle ⇒ replies().clean() and the inbox is empty; a server that is not
// provably clean is never lent again: it is settled or closed.
#pragma once

#include <cstdint>
#include <string>

#include "net/inbox.h"
#include "net/stream.h"
#include "pool/server_user.h"
#include "wire/parameter_set.h"
#include "wire/replies.h"

namespace trireme {

// What identifies a running backend to PostgreSQL's cancel protocol.
struct BackendKey {
  uint32_t process_id = 0;
  std::string secret;  // 4 bytes in protocol 3.0, up to 256 in 3.2
};

class Server : private StreamOwner {
 public:
  enum class State : uint8_t { kConnecting, kLogin, kIdle, kLent, kSettling, kLeaving, kClosing };

  // --- for the user it is lent to ---
  Stream& stream();              // send requests here; push to replies() first
  Replies& replies();            // what it owes
  Inbox& inbox();                // received bytes the user has not consumed yet
  ParameterSet& parameters();    // session parameters as this backend has them now
  const ParameterSet& baseline() const;  // … as they were after login
  const BackendKey& key() const;
  const SocketAddress& address() const;  // the very host that runs the query: cancels go there
  uint32_t process_id() const { return key().process_id; }
  uint64_t id() const;           // for log lines; says nothing about the key
  State state() const;
  ServerUser* user() const;
  PoolShard& pool() const;
};

}  // namespace trireme
