// SPDX-License-Identifier: GPL-3.0-or-later
//
// What happens while a simulated core sleeps. SubmitAndReap() of a SimRing never blocks the one
// thread there is: it asks its waiter, which lets the world go on and returns when the ring has
// something to do. InlineWaiter drives the kernel itself (one core at a time, tests of one or two
// rings); Fibers (fibers.h) switches to other cores, which find this one asleep.
#pragma once

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
