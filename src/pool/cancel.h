// SPDX-License-Identifier: GPL-3.0-or-later
//
// Carries one CancelRequest to PostgreSQL: connects to the very address the server is connected to,
// sends process id and secret, and waits until PostgreSQL closes the connection, which it does when
// the signal is sent. Until then the server is held back (Server::held): the signal must not hit
// the next client's query.
//
// Only so many at once go to a storage (storage.cancels_max), since each costs PostgreSQL a
// process; the others wait in line. One whose query has ended meanwhile is dropped, unsent.
//
// Owned by Pools; ends itself. Bounded by timeouts.cancel, the time in line included; in an
// immediate shutdown by a second, in which a server that is there at all hears of it: else the
// query of a client that is cut off would run on with nobody to read its rows.
#pragma once

#include "base/intrusive_list.h"
#include "base/timer_wheel.h"
#include "net/stream.h"
#include "pool/passport.h"

namespace trireme {

class CancelConnection;
class CancelLine;
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
  CancelConnection(Pools& pools, CancelLine& line, Server& server, CancelObserver* observer);
  ~CancelConnection();

  // Goes, or stands in line.
  void Begin();
  // Immediate shutdown: it may take no longer than kLastWait from now.
  void Hurry();

  ListNode node;       // Pools
  ListNode line_node;  // CancelLine: waits

 private:
  friend class CancelLine;
  friend class CancelObserver;
  friend class Pools;
  static constexpr Duration kLastWait = 1s;

  void OnReceive(Slice&& slice) override;
  void OnEnd(int error) override;
  void OnDrained() override {}
  void OnConnected(int error) override;
  void OnDetached(int fd) override;
  void OnClosed() override;
  bool waits() const { return line_node.linked(); }
  // Its query has ended.
  bool pointless() const;
  void Go();
  void Finish();

  Pools& pools_;
  CancelLine& line_;
  Server* server_;  // nullptr when it is gone
  CancelObserver* observer_;
  const BackendKey key_;
  const SocketAddress address_;
  Stream stream_;
  Timer timer_;
};

// The cancels of one core to one storage: those that are on their way, and those that wait.
class CancelLine {
 public:
  explicit CancelLine(uint32_t most) : most_(most) {}

  void Join(CancelConnection& cancel);
  // It was on its way, and is closed.
  void OnClosed();
  void Leave(CancelConnection& cancel) { waiting_.Erase(cancel); }
  // What waits here for a server on which nothing runs any more is dropped.
  void Drop(const Server& server);

 private:
  const uint32_t most_;
  uint32_t under_way_ = 0;
  List<CancelConnection, &CancelConnection::line_node> waiting_;  // oldest first
};

}  // namespace trireme
