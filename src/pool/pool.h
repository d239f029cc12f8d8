// SPDX-License-Identifier: GPL-3.0-or-later
//
// One pool on one core: idle servers, servers lent, waiters, and the decisions between them (ARCHITECTURE:
// checkout here, from another core, by opening, or by waiting). What the cores share of a pool is its Board.
#pragma once

#include <cstdint>

#include "pool/server.h"
#include "pool/server_user.h"

namespace trireme {

enum class AbandonReason : uint8_t {
  kClientGone,        // settle: cancel what runs, roll back, reset
  kBrokenMidMessage,  // a request was sent in part: only closing helps
  kProtocol,          // the server did not speak the protocol
};

class PoolShard {
 public:
  // Gives `waiter` a server at once (OnServer is called before this returns) or queues it.
  // `user` receives what the server says while it is lent.
  void Checkout(Waiter& waiter, ServerUser& user);
  // The waiter gives up.
  void Leave(Waiter& waiter);

  // Lent → idle, to another waiter or to another core. The server is clean (asserted). In session mode the
  // reset query runs first.
  void Return(Server& server);
  // The user is gone or the server is unusable; the pool settles or closes it.
  void Abandon(Server& server, AbandonReason reason);

  // What servers of this pool report at login, once known on this core (nullptr before).
  const ParameterSet* welcome() const;
};

}  // namespace trireme
