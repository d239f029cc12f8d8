// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the pool tells those who use it. A client is a Waiter from Checkout until it is served or
// leaves, and a ServerUser while a server is lent to it.
#pragma once

#include "base/intrusive_list.h"
#include "base/time.h"
#include "net/inbox.h"
#include "wire/errors.h"

namespace trireme {

class PoolShard;
class Server;
class ServerUser;

// Someone who waits for a server, first come first served. Embedded in the client.
class Waiter {
 public:
  // A server is lent to this waiter; called from PoolShard's grants of the turn or from Checkout.
  virtual void OnServer(Server& server) = 0;
  // There will be none: the wait timed out, the server's login failed, or the pool is closing.
  // `error` is what PostgreSQL or the pool says, ready for the client.
  virtual void OnRefused(const PgError& error) = 0;

  bool waiting() const { return node.linked(); }

  ListNode node;               // PoolShard's queue
  Time since{};                // arrival: fairness is judged by it
  Time deadline = kNever;      // it is refused then
  ServerUser* user = nullptr;  // set by Checkout: who gets the server

 protected:
  ~Waiter() = default;
};

// Someone a server is lent to.
class ServerUser {
 public:
  virtual void OnServerReceive(Slice&& slice) = 0;
  // The connection has ended while lent (0 = orderly, else an errno). The server is gone for the
  // user when this returns; the pool closes it.
  virtual void OnServerEnd(int error) = 0;
  virtual void OnServerDrained() = 0;

 protected:
  ~ServerUser() = default;
};

}  // namespace trireme
