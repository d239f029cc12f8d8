// SPDX-License-Identifier: GPL-3.0-or-later
//
// Carries one CancelRequest to PostgreSQL: connects to the very address the server is connected to,
// sends process id and secret, and waits until PostgreSQL closes the connection, which it does when
// the signal is sent. Until then the server is held back (Server::held): the signal must not hit
// the next client's query.
//
// Owned by Pools; ends itself. Bounded by timeouts.cancel; in an immediate shutdown by a second, in
// which a server that is there at all hears of it: else the query of a client that is cut off would
// run on with nobody to read its rows.
#pragma once

#include "base/intrusive_list.h"
#include "base/timer_wheel.h"
#include "net/stream.h"
#include "pool/passport.h"

namespace trireme {

class CancelConnection;
class Pools;
class Server;

// Who asked for a cancel and wants to know when it has been delivered (or given up). Same core.
class CancelObserver {
 public:
  virtual void OnCancelEnd() = 0;

 protected:
  CancelObserver() = default;
  virtual ~CancelObserver();  // forgets the connection: nothing is told any more

 private:
  friend class CancelConnection;
  CancelConnection* connection_ = nullptr;
};

class CancelConnection final : private StreamOwner {
 public:
  CancelConnection(Pools& pools, Server& server, CancelObserver* observer);
  ~CancelConnection();

  void Begin();
  // Immediate shutdown: it may take no longer than kLastWait from now.
  void Hurry();
  bool closed() const { return stream_.state() == Stream::State::kClosed; }

  ListNode node;  // Pools

 private:
  friend class CancelObserver;
  friend class Pools;
  static constexpr Duration kLastWait = 1s;

  void OnReceive(Slice&& slice) override;
  void OnEnd(int error) override;
  void OnDrained() override {}
  void OnConnected(int error) override;
  void OnDetached(int fd) override;
  void OnClosed() override;
  void Finish();

  Pools& pools_;
  Server* server_;  // nullptr when it is gone
  CancelObserver* observer_;
  const BackendKey key_;
  const SocketAddress address_;
  Stream stream_;
  Timer timer_;
};

}  // namespace trireme
