// SPDX-License-Identifier: GPL-3.0-or-later
//
// An accept socket of one core. Running out of file descriptors pauses accepting (the connections
// wait in the backlog) and tries again after a short time, instead of spinning.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "base/timer_wheel.h"
#include "ring/ring.h"

namespace trireme {

class AcceptHandler {
 public:
  virtual void OnAccept(int fd, uint32_t listener_index) = 0;
  // Accepting paused (errno says why: EMFILE, ENFILE, ENOMEM…) or went on again (0): for the log.
  virtual void OnAcceptPaused(int error, uint32_t listener_index) = 0;

 protected:
  ~AcceptHandler() = default;
};

class Listener {
 public:
  // `fd` is a listening socket that this object owns.
  Listener(Ring& ring, TimerWheel& timers, AcceptHandler& handler, int fd, uint32_t listener_index);
  ~Listener();  // closed (asserted)

  void Start();
  // Stops accepting for good; connections that were already accepted are closed. closed() becomes
  // true when nothing is in flight and the fd is closed.
  void Close();
  bool closed() const { return state_ == State::kClosed; }
  int fd() const { return fd_; }

 private:
  static constexpr Duration kRetryAfter = 100ms;

  void Accept();
  void OnCompletion(Completion& completion);
  void OnError(int error);
  void FinishClosing();

  enum class State : uint8_t { kIdle, kAccepting, kPaused, kClosing, kClosed };
  Ring& ring_;
  TimerWheel& timers_;
  AcceptHandler& handler_;
  const uint32_t listener_index_;
  int fd_;
  State state_ = State::kIdle;
  bool reported_paused_ = false;  // until an accept succeeds
  Op accept_op_;
  Timer retry_timer_;
};

}  // namespace trireme
