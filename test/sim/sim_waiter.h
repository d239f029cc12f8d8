// SPDX-License-Identifier: GPL-3.0-or-later
//
// What happens while a simulated core sleeps. SubmitAndReap() of a SimRing never blocks the one
// thread there is: it asks its waiter, which lets the world go on and returns when the ring has
// something to do. InlineWaiter drives the kernel itself (one core at a time, tests of one or two
// rings); Fibers (fibers.h) switches to other cores, which find this one asleep.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace trireme::sim {

class SimKernel;
class SimRing;

class SimWaiter {
 public:
  virtual ~SimWaiter() = default;
  // In every SubmitAndReap, after what was begun was submitted. Time{}: others may run, a little
  // time may pass. Else returns when ring.Runnable(), or at `deadline`.
  virtual void Wait(SimRing& ring, Time deadline) = 0;
  // In the middle of a turn: others may run.
  virtual void Preempt(SimRing& ring) = 0;

  // What follows is for a waiter that gives each core a clock of its own (bench/study); nothing
  // else listens.
  enum class Work : uint8_t {
    kSubmit,      // one system call for all that was begun
    kBegin,       // accept, connect or receive begun
    kCancel,      // operations cancelled
    kSend,        // before the bytes leave
    kWake,        // before the other ring is woken
    kReceive,     // bytes were taken from a socket
    kCompletion,  // before its handler is called
    kClose,       // shutdown or close
  };
  virtual void OnWork(SimRing&, Work) {}
  // The handlers have run; what follows is the rest of the turn.
  virtual void OnReaped(SimRing&) {}
  // ring.Runnable() may have become true.
  virtual void OnRunnable(SimRing&) {}
};

class InlineWaiter final : public SimWaiter {
 public:
  explicit InlineWaiter(SimKernel& kernel) : kernel_(kernel) {}
  void Wait(SimRing& ring, Time deadline) override;
  void Preempt(SimRing&) override {}

 private:
  SimKernel& kernel_;
};

}  // namespace trireme::sim
