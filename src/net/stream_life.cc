// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a stream comes and goes: adopting, connecting, closing, leaving for another core. As in
// stream.cc, callbacks to the owner are always the last thing a function does.
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "net/stream.h"
#include "ring/errno_table.h"

namespace trireme {

Stream::Stream(Streams& streams, StreamOwner& owner)
    : streams_(streams),
      owner_(owner),
      receive_op_(&Stream::OnReceiveCompletion, this),
      send_op_(&Stream::OnSendCompletion, this) {}

Stream::~Stream() {
  TRIREME_ASSERT(state_ == State::kIdle || state_ == State::kClosed);
  TRIREME_ASSERT(Quiet() && first_.empty() && !settles_);
}

// ---- open ----

void Stream::Adopt(int fd) {
  TRIREME_ASSERT(state_ == State::kIdle && fd >= 0 && Quiet());
  fd_ = fd;
  ++streams_.open_count_;
  state_ = State::kOpen;
  receive_ = Receive::kOff;
  end_reported_ = false;
  error_ = 0;
  SettleReceive();
}

void Stream::Connect(const SocketAddress& address) {
  TRIREME_ASSERT(state_ == State::kIdle && Quiet());
  state_ = State::kConnecting;
  receive_ = Receive::kOff;
  end_reported_ = false;
  error_ = 0;
  const Result<int> fd = streams_.ring_.Open(address.family());
  if (!fd.ok()) {
    error_ = errno;
    SettleLater();
    return;
  }
  fd_ = *fd;
  ++streams_.open_count_;
  if (!address.is_unix()) streams_.ring_.SetOptions(fd_, streams_.options_.socket);
  batch_ = streams_.NewBatch();
  batch_->address = address;
  connecting_ = true;
  streams_.ring_.BeginConnect(send_op_, fd_, batch_->address);
}

void Stream::Connected(int error) {
  connecting_ = false;
  if (state_ == State::kClosing) {
    SettleLater();
    return;
  }
  TRIREME_ASSERT(state_ == State::kConnecting);
  if (error != 0) {
    TRIREME_ASSERT(Classify(Operation::kConnect, error) != Verdict::kStopProgram);
    error_ = error;
    SettleConnecting();
    return;
  }
  state_ = State::kOpen;
  SettleReceive();
  owner_.OnConnected(0);
}

// The connect has failed, or could not even begin.
void Stream::SettleConnecting() {
  if (!Quiet()) return;
  const int error = error_;
  TRIREME_ASSERT(error != 0);
  if (fd_ >= 0) {
    streams_.ring_.Close(fd_);
    fd_ = -1;
    --streams_.open_count_;
  }
  error_ = 0;
  state_ = State::kIdle;
  owner_.OnConnected(error);
}

SocketAddress Stream::PeerAddress() const {
  return fd_ < 0 ? SocketAddress{} : streams_.ring_.PeerAddress(fd_);
}

SocketAddress Stream::LocalAddress() const {
  return fd_ < 0 ? SocketAddress{} : streams_.ring_.LocalAddress(fd_);
}

// ---- leave ----

void Stream::Close() {
  if (state_ == State::kConnecting) {
    Abort();
    return;
  }
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  BeginClosing();
  if (!first_.empty()) streams_.StartLingering(*this);
}

void Stream::EndSending() {
  TRIREME_ASSERT(state_ == State::kOpen);
  shut_down_ = true;
  if (send_op_.in_flight == 0) DropQueue();
  streams_.ring_.Shutdown(fd_, SHUT_WR);
}

void Stream::Abort() {
  if (state_ == State::kClosed) return;
  if (state_ != State::kClosing) BeginClosing();
  aborted_ = true;
  // What the kernel reads from stays until the send has ended, which the shutdown makes soon.
  if (send_op_.in_flight == 0) DropQueue();
  SettleLater();
}

void Stream::BeginClosing() {
  if (receive_ == Receive::kStarved) StopReceive();
  state_ = State::kClosing;
  clogged_ = false;
  aborted_ = false;
  shut_down_ = false;
  SettleLater();
}

void Stream::Detach() {
  TRIREME_ASSERT(state_ == State::kOpen && backlog_bytes_ == 0);
  state_ = State::kDetaching;
  StopReceive();
  SettleLater();
}

void Stream::SettleDetaching() {
  if (!Quiet()) return;
  const int fd = std::exchange(fd_, -1);
  --streams_.open_count_;
  state_ = State::kIdle;
  owner_.OnDetached(fd);
}

void Stream::SettleClosing() {
  if (fd_ >= 0 && !connecting_) SettleReceive();
  if (send_op_.in_flight > 0 && quick_) streams_.hasten_ = true;
  if (!aborted_ && !first_.empty()) {
    StartSend();
    return;
  }
  if (!shut_down_) {
    shut_down_ = true;
    if (wait_node_.linked()) streams_.StopLingering(*this);
    if (connecting_) {
      streams_.ring_.Cancel(send_op_);
    } else if (!Quiet()) {
      streams_.ring_.Shutdown(fd_, SHUT_RDWR);
    }
  }
  if (Quiet()) FinishClosing();
}

void Stream::FinishClosing() {
  DropQueue();
  if (fd_ >= 0) {
    streams_.ring_.Close(fd_);
    fd_ = -1;
    --streams_.open_count_;
  }
  state_ = State::kClosed;
  owner_.OnClosed();
}

// ---- the queue, when the peer is gone ----

// The peer no longer reads. What it sent before (often the reason) is still on its way to us:
// ending the read side makes the receive hand that over and then end, which is when the owner is
// told.
void Stream::SendFailed(int error) {
  const Verdict verdict = Classify(Operation::kSend, error);
  TRIREME_ASSERT(verdict != Verdict::kStopProgram);
  if (verdict == Verdict::kExpected && state_ != State::kClosing) return;  // send again
  DropQueue();
  if (state_ == State::kOpen && shut_down_) return;  // by ourselves
  if (error_ == 0) error_ = error == 0 ? EPIPE : error;
  if (state_ != State::kOpen && state_ != State::kDetaching) return;
  streams_.ring_.Shutdown(fd_, SHUT_RD);
  SettleLater();
}

void Stream::DropQueue() {
  backlog_bytes_ = 0;
  first_.Clear();
  while (rest_ != nullptr) {
    SendNode* node = rest_;
    rest_ = node->next;
    streams_.nodes_.Free(node);
  }
  last_ = nullptr;
}

}  // namespace trireme
