// SPDX-License-Identifier: GPL-3.0-or-later
//
// The hot path of a stream: OnReceiveCompletion → owner → Send → (end of turn) Flush → Settle →
// StartSend → OnSendCompletion. How a stream comes and goes is in stream_life.cc.
//
// Callbacks to the owner are always the last thing a function does: the owner may call any method,
// so nothing that was read before is true afterwards.
#include "net/stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/marks.h"
#include "ring/errno_table.h"

namespace trireme {
namespace {

// To copy so much is cheaper than one more vector of a send.
constexpr uint32_t kCopyBytesMax = 256;

}  // namespace

void Stream::SettleLater() {
  if (settles_) return;
  settles_ = true;
  next_settling_ = nullptr;
  *streams_.settling_end_ = this;
  streams_.settling_end_ = &next_settling_;
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
    if (!TRIREME_MUTATION(kReceiveNotRearmed)) stream.SettleLater();
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
      TRIREME_COVER(kReceiveStarved);
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

void Stream::Send(Slice&& slice) {
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

void Stream::SendBehind(Bytes front, Slice&& rest) {
  if (state_ != State::kOpen || error_ != 0 || rest.size() > kCopyBytesMax) [[unlikely]] {
    SendCopy(front);
    Send(std::move(rest));
    return;
  }
  Send(streams_.CopyToScratch(front, rest.bytes()));
  rest.Clear();
}

// Small pieces are copied behind the piece before them where there is room: cheaper than one more
// vector, and a block goes home at once instead of waiting for a few bytes. A peer that is behind
// already (a send is in flight) may wait long, so there anything up to a quarter of a block is
// copied: what a slow reader pins is a few blocks, not one for each answer. And when blocks are
// scarce, it pins none.
void Stream::Enqueue(Slice&& slice) {
  const bool behind = send_op_.in_flight > 0;
  Buffers& buffers = streams_.buffers();
  const uint32_t copy_bytes_max = behind ? buffers.block_bytes() / 4 : kCopyBytesMax;
  Slice& back = last_ == nullptr ? first_ : last_->slice;
  if (back.Extend(slice)) return;
  if (slice.size() <= copy_bytes_max && back.Append(slice.bytes())) return;
  if (behind && buffers.scarce()) [[unlikely]] {
    TRIREME_COVER(kBacklogMovedToHeap);
    slice = buffers.MoveToHeap(std::move(slice));
  }
  SendNode* node = streams_.nodes_.New();
  TRIREME_ASSERT(node != nullptr);
  node->slice = std::move(slice);
  (last_ == nullptr ? rest_ : last_->next) = node;
  last_ = node;
}

void Stream::StartSend() {
  if (send_op_.in_flight > 0 || first_.empty()) return;
  if (streams_.scarce_) [[unlikely]]
    MoveQueueToHeap();
  if (rest_ != nullptr) [[unlikely]] {
    StartGatheredSend();
    return;
  }
  // Nobody waits for it to leave, and it leaves at once.
  quick_ = state_ == State::kOpen && !behind_ && !clogged_ && !streams_.scarce_;
  if (quick_) [[likely]] {
    streams_.ring_.BeginQuickSend(send_op_, fd_, first_.bytes());
  } else {
    streams_.ring_.BeginSend(send_op_, fd_, first_.bytes());
  }
  if (TRIREME_MUTATION(kRecycledBeforeSent)) first_ = streams_.buffers().Copy(first_.bytes());
}

// The send that begins may take as long as its peer likes.
void Stream::MoveQueueToHeap() {
  Buffers& buffers = streams_.buffers();
  first_ = buffers.MoveToHeap(std::move(first_));
  for (SendNode* node = rest_; node != nullptr; node = node->next) {
    node->slice = buffers.MoveToHeap(std::move(node->slice));
  }
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

inline void Stream::ConsumeSent(uint32_t count) {
  TRIREME_ASSERT(count <= backlog_bytes_);
  backlog_bytes_ -= count;
  if (count == first_.size() && rest_ == nullptr) [[likely]] {
    first_.Clear();
    return;
  }
  ConsumeQueue(count);
}

inline void Stream::Sent(int32_t result) {
  if (result > 0) [[likely]] {
    bytes_sent_ += static_cast<uint32_t>(result);
    ConsumeSent(static_cast<uint32_t>(result));
  } else {
    SendFailed(-result);
  }
  if (aborted_) DropQueue();
  behind_ = !first_.empty();
  if (behind_ || state_ != State::kOpen) SettleLater();
  if (clogged_) CheckDrained();
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

void Stream::ConsumeQueue(uint32_t count) {
  while (count >= first_.size()) {
    count -= first_.size();
    if (rest_ == nullptr) {
      TRIREME_ASSERT(count == 0);
      first_.Clear();
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

void Stream::CheckDrained() {
  if (backlog_bytes_ > streams_.options_.low_mark_bytes) return;
  clogged_ = false;
  if (state_ == State::kOpen || state_ == State::kDetaching) owner_.OnDrained();
}

// ---- end of turn ----

inline void Stream::Settle() {
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

void Streams::Flush() {
  if (!lingering_.empty()) [[unlikely]]
    EndLingering();
  if (!starved_.empty()) [[unlikely]]
    ArmStarved();
  scarce_ = buffers().scarce();
  hasten_ = false;
  // Callbacks may settle more streams: those too, but not without end. What is left makes
  // NextDeadline() say "at once".
  for (int round = 0; round < 4 && settling_first_ != nullptr; ++round) {
    Stream* stream = std::exchange(settling_first_, nullptr);
    settling_end_ = &settling_first_;
    while (stream != nullptr) {
      // The stream's owner may put it on the list again, or free it.
      Stream* next = stream->next_settling_;
      stream->settles_ = false;
      stream->Settle();
      stream = next;
    }
  }
  if (scratch_ != nullptr) DropScratch();
}

}  // namespace trireme
