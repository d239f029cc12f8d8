// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/peer_socket.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/assert.h"

namespace trireme::sim {

SimPeerSocket& SimPeerSocket::Make(SimKernel& kernel, Socket& socket) {
  const auto added =
      kernel.peers_.emplace(socket.id(), std::make_unique<SimPeerSocket>(kernel, socket));
  return *added.first->second;
}

SimPeerSocket::SimPeerSocket(SimKernel& kernel, Socket& socket)
    : kernel_(kernel),
      socket_(socket),
      state_(socket.state() == Socket::State::kConnected ? State::kOpen : State::kConnecting) {
  socket_.Reference();
  socket_.Watch(*this);
}

SimPeerSocket::~SimPeerSocket() {
  socket_.Unwatch(*this);
  socket_.Unreference();
}

void SimPeerSocket::set_handler(PeerHandler& handler) {
  handler_ = &handler;
  LookLater();
}

// As if the socket had said so.
void SimPeerSocket::LookLater() {
  if (looking_) return;
  looking_ = true;
  kernel_.At(kernel_.now(), [&kernel = kernel_, id = socket_.id()] {
    const auto found = kernel.peers_.find(id);
    if (found == kernel.peers_.end()) return;
    found->second->looking_ = false;
    found->second->OnReady();
  });
}

void SimPeerSocket::OnReady() {
  if (state_ == State::kGone) return;
  if (state_ == State::kConnecting && !Connected()) return;
  if (state_ == State::kOpen) Receive();
  // What arrives at a closed socket is answered with a reset, whatever it had still to send.
  if (state_ == State::kClosing && socket_.readable_bytes() > 0) return DestroyLater();
  if (state_ == State::kOpen || state_ == State::kClosing) Flush();
}

// False: not yet, or never; a peer that has left meanwhile is closed by its callback.
bool SimPeerSocket::Connected() {
  const int32_t result = socket_.connect_result();
  if (result == -EAGAIN) return false;
  if (result < 0) {
    End(-result);
    return false;
  }
  state_ = State::kOpen;
  handler_->OnConnect(*this);
  return true;
}

void SimPeerSocket::Receive() {
  std::byte bytes[16384];
  while (state_ == State::kOpen && !receive_paused_) {
    const int32_t result = socket_.Receive(bytes);
    if (result == -EAGAIN || (result == 0 && end_told_)) return;
    if (result <= 0) {
      End(-result);
      return;
    }
    handler_->OnReceive(*this, Bytes(bytes).first(static_cast<size_t>(result)));
  }
}

void SimPeerSocket::End(int error) {
  end_told_ = true;
  if (error != 0) state_ = State::kGone;
  handler_->OnEnd(*this, error);
}

void SimPeerSocket::Send(Bytes bytes) {
  if (state_ == State::kGone) return;
  TRIREME_ASSERT(state_ != State::kClosing && !shut_);
  unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
  if (state_ == State::kOpen) LookLater();
}

void SimPeerSocket::Flush() {
  while (unsent() > 0) {
    const int32_t result = socket_.Send(Bytes(unsent_).subspan(sent_));
    if (result == -EAGAIN) return;
    if (result < 0) {
      unsent_.clear();
      sent_ = 0;
      if (state_ == State::kClosing) {
        DestroyLater();
      } else {
        End(-result);
      }
      return;
    }
    sent_ += static_cast<size_t>(result);
  }
  unsent_.clear();
  sent_ = 0;
  if (state_ == State::kClosing) {
    DestroyLater();
  } else if (shut_) {
    socket_.Shutdown(SHUT_WR);
  }
}

void SimPeerSocket::ResumeReceive() {
  receive_paused_ = false;
  LookLater();
}

void SimPeerSocket::ShutdownWrite() {
  if (shut_) return;
  shut_ = true;
  LookLater();
}

void SimPeerSocket::Close() {
  TRIREME_ASSERT(handler_ != nullptr);
  const bool flushes = state_ == State::kOpen && socket_.readable_bytes() == 0 && unsent() > 0;
  state_ = State::kClosing;
  handler_ = nullptr;
  if (flushes) {
    LookLater();
  } else {
    DestroyLater();
  }
}

void SimPeerSocket::Reset() {
  TRIREME_ASSERT(handler_ != nullptr);
  if (state_ == State::kOpen) socket_.Abort();
  handler_ = nullptr;
  DestroyLater();
}

// This may be a callback of this very socket.
void SimPeerSocket::DestroyLater() {
  state_ = State::kGone;
  kernel_.At(kernel_.now(), [&kernel = kernel_, id = socket_.id()] { kernel.peers_.erase(id); });
}

SimPeerListener::SimPeerListener(SimKernel& kernel, Socket& listener, PeerAcceptor& acceptor)
    : kernel_(kernel), listener_(listener), acceptor_(acceptor) {
  listener_.Watch(*this);
}

SimPeerListener::~SimPeerListener() {
  listener_.Unwatch(*this);
  listener_.Unreference();
}

void SimPeerListener::OnReady() {
  while (Socket* socket = listener_.Accept()) {
    SimPeerSocket& peer = SimPeerSocket::Make(kernel_, *socket);
    socket->Unreference();  // the backlog's
    peer.set_handler(acceptor_.OnAccept(peer));
  }
}

}  // namespace trireme::sim
