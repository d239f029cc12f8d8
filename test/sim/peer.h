// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections as the simulated world outside the shards holds them: its clients and its PostgreSQL
// servers are "peers". A peer has no ring; it is told what arrives and says what to send, in
// virtual time, on the one thread everything runs on. The kernel (sim_kernel.h) implements Network
// and PeerSocket; between the peer and a shard's ring it splits, delays, clogs and breaks what
// passes, as its seed says.
//
// A PeerSocket lives until its peer calls Close() or Reset(), also after OnEnd with an error;
// neither is called from within OnAccept. No handler is called for it afterwards.
#pragma once

#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/random.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace trireme::sim {

class PeerSocket {
 public:
  virtual ~PeerSocket() = default;
  // Never blocks: what the connection cannot take yet waits here, and is lost when the connection
  // ends.
  virtual void Send(Bytes bytes) = 0;
  virtual uint64_t unsent() const = 0;
  // A peer that does not read fills the connection until the other side must wait.
  virtual void PauseReceive() = 0;
  virtual void ResumeReceive() = 0;
  // No more from us, after what was sent.
  virtual void ShutdownWrite() = 0;
  // Ends both directions after what was sent; a reset when received bytes were not read, as Linux
  // does.
  virtual void Close() = 0;
  virtual void Reset() = 0;
};

class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  // The connection this peer asked for is there (accepted ones begin there).
  virtual void OnConnect(PeerSocket&) {}
  virtual void OnReceive(PeerSocket& socket, Bytes bytes) = 0;
  // error == 0: the other side will send nothing more, we still may. Else the connection is gone or
  // never was: ECONNREFUSED, ETIMEDOUT, ECONNRESET, ENOENT. At most one call with 0, then at most
  // one with an error.
  virtual void OnEnd(PeerSocket& socket, int error) = 0;
};

class PeerAcceptor {
 public:
  virtual ~PeerAcceptor() = default;
  // Who handles the new connection; it may send at once.
  virtual PeerHandler& OnAccept(PeerSocket& socket) = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  virtual Time now() const = 0;
  // The seed's choices: all randomness of the world comes from here, in the order of events.
  virtual Random& random() = 0;
  // Calls `event` at that time; events of one time in the order they were made.
  virtual void At(Time time, std::function<void()> event) = 0;
  // The answer comes as OnConnect or OnEnd, never from within.
  virtual PeerSocket& Connect(const SocketAddress& address, PeerHandler& handler) = 0;
  virtual void Listen(const SocketAddress& address, PeerAcceptor& acceptor) = 0;
  // Later connects are refused; accepted connections live on.
  virtual void StopListening(const SocketAddress& address) = 0;
};

}  // namespace trireme::sim
