// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/fibers.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "test/sim/side_stack.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_ring.h"

namespace trireme::sim {

struct Fibers::Fiber {
  enum class State : uint8_t { kReady, kWaiting, kDone };
  Fiber(SimRing& its_ring, std::function<void()> body) : ring(its_ring), stack(std::move(body)) {}

  SimRing& ring;
  SideStack stack;
  State state = State::kReady;
  Time deadline{};       // while it waits
  Time starved_until{};  // it does not run before
  uint64_t heals_seen = 0;
};

Fibers::Fibers(SimKernel& kernel) : kernel_(kernel) {}

Fibers::~Fibers() { TRIREME_ASSERT(all_done()); }

void Fibers::Add(SimRing& ring, std::function<void()> body) {
  fibers_.push_back(std::make_unique<Fiber>(ring, std::move(body)));
  ++running_;
}

void Fibers::Resume(Fiber& fiber) {
  TRIREME_ASSERT(current_ == nullptr);
  current_ = &fiber;
  ++switches_;
  kernel_.Trace(fiber.ring.index());
  fiber.stack.Resume();
  current_ = nullptr;
  if (fiber.stack.done()) {
    fiber.state = Fiber::State::kDone;
    --running_;
  }
}

void Fibers::Suspend(Fiber& fiber) { fiber.stack.Suspend(); }

// ---- from within a fiber ----

void Fibers::Wait(SimRing& ring, Time deadline) {
  TRIREME_ASSERT(current_ != nullptr && &current_->ring == &ring);
  Fiber& fiber = *current_;
  fiber.state = deadline == Time{} ? Fiber::State::kReady : Fiber::State::kWaiting;
  fiber.deadline = deadline;
  Suspend(fiber);
}

void Fibers::Preempt(SimRing& ring) {
  // Rings are set up and taken down outside of fibers.
  if (current_ == nullptr || !kernel_.Roll(Fault::kPreempt)) return;
  TRIREME_ASSERT(&current_->ring == &ring);
  Fiber& fiber = *current_;
  fiber.state = Fiber::State::kReady;
  if (kernel_.faults().preempt_max > 0us && kernel_.random().Below(4) == 0) {
    fiber.starved_until =
        kernel_.now() + kernel_.Within(kernel_.Within(kernel_.faults().preempt_max));
    kernel_.At(fiber.starved_until, [] {});
  }
  Suspend(fiber);
}

void Fibers::PreemptCurrent() {
  if (current_ != nullptr) Preempt(current_->ring);
}

// ---- the scheduler ----

// One of those that can run now, each with the same chance; nullptr when none can.
Fibers::Fiber* Fibers::Pick() {
  const Time now = kernel_.now();
  Fiber* picked = nullptr;
  uint64_t count = 0;
  for (auto& fiber : fibers_) {
    if (std::exchange(fiber->heals_seen, kernel_.heals()) != kernel_.heals()) {
      fiber->starved_until = {};
    }
    if (fiber->state == Fiber::State::kDone || fiber->starved_until > now) continue;
    if (fiber->state == Fiber::State::kWaiting && fiber->deadline > now && !fiber->ring.Runnable())
      continue;
    if (kernel_.random().Below(++count) == 0) picked = fiber.get();
  }
  if (picked != nullptr && kernel_.Roll(Fault::kStarve)) {
    picked->starved_until = now + kernel_.Within(kernel_.faults().starve_max);
    kernel_.At(picked->starved_until, [] {});
    return Pick();
  }
  return picked;
}

bool Fibers::Step(Time latest) {
  TRIREME_ASSERT(current_ == nullptr);
  if (Fiber* fiber = Pick()) {
    Resume(*fiber);
    // A turn takes a while, and the world does not wait for it.
    kernel_.AdvanceTo(kernel_.now() + kernel_.Within(kTurnMax));
    return true;
  }
  Time next = kernel_.next_event();
  for (auto& fiber : fibers_) {
    if (fiber->state == Fiber::State::kWaiting && fiber->starved_until <= kernel_.now()) {
      next = std::min(next, fiber->deadline);
    }
  }
  if (next > latest || next == kNever) {
    if (latest != kNever) kernel_.AdvanceTo(latest);
    return false;
  }
  kernel_.AdvanceTo(next);
  return true;
}

bool Fibers::RunUntil(const std::function<bool()>& done, Time latest) {
  while (!done()) {
    if (kernel_.now() >= latest || !Step(latest)) return done();
  }
  return true;
}

}  // namespace trireme::sim
