// SPDX-License-Identifier: GPL-3.0-or-later
//
// PeerSocket over a simulated socket: what peer.h promises, told from events only.
#pragma once

#include <vector>

#include "test/sim/sim_kernel.h"

namespace trireme::sim {

class SimPeerSocket final : public PeerSocket, private SocketWatcher {
 public:
  // Owned by the kernel until it is closed and everything was sent; takes its own reference.
  static SimPeerSocket& Make(SimKernel& kernel, Socket& socket);
  SimPeerSocket(SimKernel& kernel, Socket& socket);
  ~SimPeerSocket() override;
  void set_handler(PeerHandler& handler);

  void Send(Bytes bytes) override;
  uint64_t unsent() const override { return unsent_.size() - sent_; }
  void PauseReceive() override { receive_paused_ = true; }
  void ResumeReceive() override;
  void ShutdownWrite() override;
  void Close() override;
  void Reset() override;

 private:
  enum class State : uint8_t { kConnecting, kOpen, kGone, kClosing };

  void OnReady() override;
  void LookLater();
  bool Connected();
  void Flush();
  void Receive();
  void End(int error);
  void DestroyLater();

  SimKernel& kernel_;
  Socket& socket_;
  PeerHandler* handler_ = nullptr;
  State state_;
  bool receive_paused_ = false;
  bool end_told_ = false;
  bool shut_ = false;
  bool looking_ = false;
  std::vector<std::byte> unsent_;
  size_t sent_ = 0;
};

class SimPeerListener final : private SocketWatcher {
 public:
  // Takes over the reference.
  SimPeerListener(SimKernel& kernel, Socket& listener, PeerAcceptor& acceptor);
  ~SimPeerListener();

 private:
  void OnReady() override;

  SimKernel& kernel_;
  Socket& listener_;
  PeerAcceptor& acceptor_;
};

}  // namespace trireme::sim
