// SPDX-License-Identifier: GPL-3.0-or-later
//
// Simulated cores on one thread: each core's loop runs on a stack of its own and goes on inside
// SubmitAndReap() when the scheduler picks it, so production code runs unchanged and a core that
// sleeps looks asleep to the others. Which of the runnable cores goes on is the seed's choice; when
// none is runnable, time moves to the next event or deadline.
//
//   Step() ──▶ resume a core ──▶ its turn … SubmitAndReap ──▶ Wait() ──▶ back in Step()
//
// Fibers must run to their end before they are destroyed: let their bodies return.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/time.h"
#include "test/sim/sim_waiter.h"

namespace trireme::sim {

class Fibers final : public SimWaiter {
 public:
  explicit Fibers(SimKernel& kernel);
  ~Fibers() override;  // all bodies have returned (asserted)
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // `ring` is used by this body only; e.g. [&] { while (!shard.left()) shard.Turn(); }
  void Add(SimRing& ring, std::function<void()> body);
  bool all_done() const { return running_ == 0; }

  // One turn of one core, or one step of time, not beyond `latest`. False: nothing is left to do
  // until then (the time is `latest`).
  bool Step(Time latest);
  // Steps until `done`, at most until `latest`; the last value of `done`.
  bool RunUntil(const std::function<bool()>& done, Time latest);

  uint64_t switches() const { return switches_; }

  // SimWaiter
  void Wait(SimRing& ring, Time deadline) override;
  void Preempt(SimRing& ring) override;
  // The same, for the core that runs now.
  void PreemptCurrent();

 private:
  static constexpr Duration kTurnMax = 2us;
  struct Fiber;
  Fiber* Pick();
  void Resume(Fiber& fiber);
  void Suspend(Fiber& fiber);

  SimKernel& kernel_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  uint32_t running_ = 0;
  uint64_t switches_ = 0;
};

}  // namespace trireme::sim
