// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/listener.h"

#include "base/assert.h"
#include "ring/errno_table.h"

namespace trireme {

Listener::Listener(Ring& ring, TimerWheel& timers, AcceptHandler& handler, int fd,
                   uint32_t listener_index)
    : ring_(ring),
      timers_(timers),
      handler_(handler),
      listener_index_(listener_index),
      fd_(fd),
      accept_op_(
          [](Op& op, Completion& completion) {
            static_cast<Listener*>(op.owner)->OnCompletion(completion);
          },
          this),
      retry_timer_([](void* owner) { static_cast<Listener*>(owner)->Accept(); }, this) {}

Listener::~Listener() { TRIREME_ASSERT(closed() && accept_op_.in_flight == 0); }

void Listener::Start() {
  TRIREME_ASSERT(state_ == State::kIdle);
  Accept();
}

void Listener::Accept() {
  state_ = State::kAccepting;
  ring_.BeginAccept(accept_op_, fd_);
}

void Listener::Close() {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  timers_.Cancel(retry_timer_);
  state_ = State::kClosing;
  if (accept_op_.in_flight > 0) {
    ring_.Cancel(accept_op_);
  } else {
    FinishClosing();
  }
}

void Listener::FinishClosing() {
  ring_.Close(fd_);
  fd_ = -1;
  state_ = State::kClosed;
}

void Listener::OnCompletion(Completion& completion) {
  const int32_t result = completion.result;
  if (state_ == State::kClosing) {
    if (result >= 0) ring_.Close(result);
    if (!completion.more) FinishClosing();
    return;
  }
  TRIREME_ASSERT(state_ == State::kAccepting);
  if (result < 0) {
    OnError(-result);
    return;
  }
  if (!completion.more) Accept();
  if (reported_paused_) {
    reported_paused_ = false;
    handler_.OnAcceptPaused(0, listener_index_);
  }
  handler_.OnAccept(result, listener_index_);
}

// Errors end a multishot accept.
void Listener::OnError(int error) {
  const Verdict verdict = Classify(Operation::kAccept, error);
  TRIREME_ASSERT(verdict != Verdict::kStopProgram);
  // Of one connection, or none: go on.
  if (verdict == Verdict::kCloseConnection || error == EINTR || error == EAGAIN) {
    Accept();
    return;
  }
  state_ = State::kPaused;
  timers_.Schedule(retry_timer_, ring_.now() + kRetryAfter);
  if (reported_paused_) return;
  reported_paused_ = true;
  handler_.OnAcceptPaused(error, listener_index_);
}

}  // namespace trireme
