// SPDX-License-Identifier: GPL-3.0-or-later
//
// A stream's life. The hot path is OnReceiveCompletion → owner → Send → Settle → StartSend →
// OnSendCompletion; all else is cold.
//
// Callbacks to the owner are always the last thing a function does: the owner may call any method,
// so nothing that was read before is true afterwards.
#include "net/stream.h"

#include <sys/socket.h>

#include <cerrno>

#include "ring/errno_table.h"

namespace trireme {

Stream::Stream(Streams& streams, StreamOwner& owner)
    : streams_(streams),
      owner_(owner),
      receive_op_(&Stream::OnReceiveCompletion, this),
      send_op_(&Stream::OnSendCompletion, this) {}

Stream::~Stream() {
  TRIREME_ASSERT(state_ == State::kIdle || state_ == State::kClosed);
  TRIREME_ASSERT(Quiet() && first_.empty());
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

// ---- receive ----

void Stream::OnReceiveCompletion(Op& op, Completion& completion) {
  Stream& stream = *static_cast<Stream*>(op.owner);
  if (completion.result <= 0) [[unlikely]] {
    stream.ReceiveStopped(completion.result);
    return;
  }
  stream.bytes_received_ += static_cast<uint32_t>(completion.result);
  if (!completion.more) [[unlikely]] {
    stream.receive_ = Receive::kOff;
    stream.SettleLater();
  }
  if (stream.state_ == State::kOpen || stream.state_ == State::kDetaching) [[likely]] {
    stream.owner_.OnReceive(std::move(completion.slice));
  }
}

void Stream::ReceiveStopped(int32_t result) {
  receive_ = Receive::kOff;
  SettleLater();
  if (result == 0) {
    ReceiveEnded(0);
  } else if (result == -ENOBUFS) {
    if (state_ == State::kOpen && !receive_paused_) {
      receive_ = Receive::kStarved;
      streams_.starved_.PushBack(*this);
    } else if (state_ == State::kClosing) {
      receive_ = Receive::kEnded;  // what arrives now is not worth waiting for
    }
  } else if (const Verdict verdict = Classify(Operation::kReceive, -result);
             verdict != Verdict::kExpected) {
    TRIREME_ASSERT(verdict == Verdict::kCloseConnection);
    ReceiveEnded(-result);
  }
}

void Stream::ReceiveEnded(int error) {
  receive_ = Receive::kEnded;
  if (end_reported_ || (state_ != State::kOpen && state_ != State::kDetaching)) return;
  end_reported_ = true;
  owner_.OnEnd(error_ != 0 ? error_ : error);
}

void Stream::ArmReceive() {
  receive_ = Receive::kArmed;
  streams_.ring_.BeginReceive(receive_op_, fd_);
}

void Stream::SettleReceive() {
  if (receive_ != Receive::kOff) return;
  // While closing, what arrives is read to be discarded, whatever the owner wished before.
  if (state_ == State::kOpen ? receive_paused_ : aborted_) return;
  ArmReceive();
}

void Stream::StopReceive() {
  if (receive_ == Receive::kArmed) {
    receive_ = Receive::kCancelling;
    streams_.ring_.Cancel(receive_op_);
  } else if (receive_ == Receive::kStarved) {
    streams_.starved_.Erase(*this);
    receive_ = Receive::kOff;
  }
}

void Stream::PauseReceive() {
  if (receive_paused_) return;
  receive_paused_ = true;
  if (state_ == State::kOpen) StopReceive();
}

void Stream::ResumeReceive() {
  if (!receive_paused_) return;
  receive_paused_ = false;
  if (state_ == State::kOpen && receive_ == Receive::kOff) SettleLater();
}

// ---- send ----

void Stream::Send(Slice slice) {
  if (state_ != State::kOpen || error_ != 0 || slice.empty()) return;
  backlog_bytes_ += slice.size();
  if (backlog_bytes_ > streams_.options_.high_mark_bytes) clogged_ = true;
  if (first_.empty()) [[likely]] {
    first_ = std::move(slice);
    SettleLater();
    return;
  }
  Enqueue(std::move(slice));
}

void Stream::SendCopy(Bytes bytes) {
  if (state_ != State::kOpen || error_ != 0 || bytes.empty()) return;
  Send(streams_.CopyToScratch(bytes));
}

// Small pieces are copied behind the piece before them where there is room: cheaper than one more
// vector, and a block goes home at once instead of waiting for a few bytes.
void Stream::Enqueue(Slice slice) {
  constexpr uint32_t kCopyBytesMax = 256;
  Slice& back = last_ == nullptr ? first_ : last_->slice;
  if (back.Extend(slice)) return;
  if (slice.size() <= kCopyBytesMax && back.Append(slice.bytes())) return;
  SendNode* node = streams_.nodes_.New();
  TRIREME_ASSERT(node != nullptr);
  node->slice = std::move(slice);
  (last_ == nullptr ? rest_ : last_->next) = node;
  last_ = node;
}

void Stream::StartSend() {
  if (send_op_.in_flight > 0 || first_.empty()) return;
  if (rest_ != nullptr) [[unlikely]] {
    StartGatheredSend();
    return;
  }
  streams_.ring_.BeginSend(send_op_, fd_, first_.bytes());
}

void Stream::StartGatheredSend() {
  batch_ = streams_.NewBatch();
  uint32_t count = 0;
  const auto add = [this, &count](const Slice& slice) {
    batch_->vectors[count++] = {.iov_base = const_cast<std::byte*>(slice.data()),
                                .iov_len = slice.size()};
  };
  add(first_);
  for (SendNode* node = rest_; node != nullptr && count < SendBatch::kSlices; node = node->next) {
    add(node->slice);
  }
  batch_->message = msghdr{};
  batch_->message.msg_iov = batch_->vectors;
  batch_->message.msg_iovlen = count;
  streams_.ring_.BeginSendVector(send_op_, fd_, batch_->message);
}

void Stream::OnSendCompletion(Op& op, Completion& completion) {
  Stream& stream = *static_cast<Stream*>(op.owner);
  if (stream.batch_ != nullptr) [[unlikely]] {
    stream.streams_.batches_.Free(stream.batch_);
    stream.batch_ = nullptr;
    if (stream.connecting_) {
      stream.Connected(-completion.result);
      return;
    }
  }
  stream.Sent(completion.result);
}

void Stream::Sent(int32_t result) {
  if (result > 0) [[likely]] {
    bytes_sent_ += static_cast<uint32_t>(result);
    ConsumeSent(static_cast<uint32_t>(result));
  } else {
    SendFailed(-result);
  }
  if (aborted_) DropQueue();
  if (!first_.empty() || state_ != State::kOpen) SettleLater();
  if (clogged_) CheckDrained();
}

void Stream::ConsumeSent(uint32_t count) {
  TRIREME_ASSERT(count <= backlog_bytes_);
  backlog_bytes_ -= count;
  while (count >= first_.size()) {
    count -= first_.size();
    if (rest_ == nullptr) {
      TRIREME_ASSERT(count == 0);
      first_ = Slice{};
      return;
    }
    SendNode* node = rest_;
    first_ = std::move(node->slice);
    rest_ = node->next;
    if (rest_ == nullptr) last_ = nullptr;
    streams_.nodes_.Free(node);
  }
  if (count > 0) first_.TrimFront(count);
}

// The peer no longer reads. What it sent before (often the reason) is still on its way to us:
// ending the read side makes the receive hand that over and then end, which is when the owner is
// told.
void Stream::SendFailed(int error) {
  const Verdict verdict = Classify(Operation::kSend, error);
  TRIREME_ASSERT(verdict != Verdict::kStopProgram);
  if (verdict == Verdict::kExpected && state_ != State::kClosing) return;  // send again
  DropQueue();
  if (error_ == 0) error_ = error == 0 ? EPIPE : error;
  if (state_ != State::kOpen && state_ != State::kDetaching) return;
  streams_.ring_.Shutdown(fd_, SHUT_RD);
  SettleLater();
}

void Stream::DropQueue() {
  backlog_bytes_ = 0;
  first_ = Slice{};
  while (rest_ != nullptr) {
    SendNode* node = rest_;
    rest_ = node->next;
    streams_.nodes_.Free(node);
  }
  last_ = nullptr;
}

void Stream::CheckDrained() {
  if (backlog_bytes_ > streams_.options_.low_mark_bytes) return;
  clogged_ = false;
  if (state_ == State::kOpen || state_ == State::kDetaching) owner_.OnDrained();
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

void Stream::SettleLater() {
  if (!settle_node_.linked()) streams_.settling_.PushBack(*this);
}

void Stream::Settle() {
  switch (state_) {
    case State::kOpen:
      StartSend();
      SettleReceive();
      // A send has failed and no receive is there to say so.
      if (error_ != 0 && Quiet() && receive_ != Receive::kStarved) ReceiveEnded(error_);
      return;
    case State::kConnecting:
      SettleConnecting();
      return;
    case State::kDetaching:
      SettleDetaching();
      return;
    case State::kClosing:
      SettleClosing();
      return;
    case State::kIdle:
    case State::kClosed:
      return;
  }
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
  if (settle_node_.linked()) streams_.settling_.Erase(*this);
  state_ = State::kClosed;
  owner_.OnClosed();
}

}  // namespace trireme
