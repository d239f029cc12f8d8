// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/clocks.h"

#include <algorithm>

#include "base/assert.h"
#include "pool/board.h"

namespace trireme::bench {

Clocks::~Clocks() { TRIREME_ASSERT(all_done()); }

Clocks::Account& Clocks::Account::operator-=(const Account& before) {
  busy -= before.busy;
  turns -= before.turns;
  system_calls -= before.system_calls;
  sleeps -= before.sleeps;
  sends -= before.sends;
  receives -= before.receives;
  wakes -= before.wakes;
  mails -= before.mails;
  locks -= before.locks;
  lock_waits -= before.lock_waits;
  lock_waited -= before.lock_waited;
  return *this;
}

void Clocks::Add(sim::SimRing& ring, std::function<void()> body) {
  const auto index = static_cast<uint32_t>(cores_.size());
  TRIREME_ASSERT(ring.index() == index);
  cores_.push_back(std::make_unique<Core>(index, ring, std::move(body)));
  cores_.back()->clock = kernel_.now();
  MakeDue(*cores_.back(), kernel_.now());
  ++running_;
}

// ---- the order of things ----

void Clocks::MakeDue(Core& core, Time due) {
  if (core.due != kNever) ready_.erase({core.due, core.index});
  core.due = due;
  if (due != kNever) ready_.emplace(due, core.index);
}

bool Clocks::Step(Time latest) {
  TRIREME_ASSERT(current_ == nullptr);
  const Time core_due = ready_.empty() ? kNever : ready_.begin()->first;
  const Time event_due = kernel_.next_event();
  if (std::min(core_due, event_due) > latest || std::min(core_due, event_due) == kNever) {
    if (latest != kNever) kernel_.AdvanceTo(latest);
    return false;
  }
  if (event_due <= core_due) {
    kernel_.RunNext();
    return true;
  }
  kernel_.AdvanceTo(core_due);
  Resume(*cores_[ready_.begin()->second]);
  return true;
}

void Clocks::Resume(Core& core) {
  MakeDue(core, kNever);
  if (core.state == State::kAsleep) core.clock = kernel_.now();  // its deadline has come
  core.state = State::kReady;
  current_ = &core;
  core.stack.Resume();
  current_ = nullptr;
  if (!core.stack.done()) return;
  core.state = State::kDone;
  MakeDue(core, kNever);
  --running_;
}

void Clocks::Charge(Core& core, Duration cost) {
  core.clock += cost;
  core.account.busy += cost;
}

// Until the world has come to this core's time. Events that come first and concern nobody who runs
// before then need no switch of stacks.
void Clocks::Sync(Core& core) {
  TRIREME_ASSERT(&core == current_);
  while (true) {
    const Time others = ready_.empty() ? kNever : ready_.begin()->first;
    const Time event = kernel_.next_event();
    if (others < std::min(event, core.clock)) break;
    if (event > core.clock) {
      kernel_.AdvanceTo(core.clock);
      return;
    }
    kernel_.RunNext();
  }
  GiveWay(core);
}

// The same, by way of Step(): a core that is alone would never come back to it.
void Clocks::GiveWay(Core& core) {
  MakeDue(core, core.clock);
  core.stack.Suspend();
  TRIREME_ASSERT(kernel_.now() == core.clock);
}

// ---- what a core does ----

// One for all that a turn has for the kernel, the wait included: as one io_uring_enter does it.
void Clocks::PayForCall(Core& core) {
  if (core.in_call) return;
  core.in_call = true;
  ++core.account.system_calls;
  Charge(core, costs_.system_call);
}

void Clocks::Wait(sim::SimRing& ring, Time deadline) {
  Core& core = *cores_[ring.index()];
  ++core.account.turns;
  Charge(core, costs_.turn);
  if (deadline == Time{}) return GiveWay(core);
  PayForCall(core);
  GiveWay(core);
  if (ring.Runnable() || deadline <= kernel_.now()) return;
  ++core.account.sleeps;
  core.state = State::kAsleep;
  MakeDue(core, deadline);
  core.stack.Suspend();
  Charge(core, costs_.sleep);
}

void Clocks::OnRunnable(sim::SimRing& ring) {
  Core& core = *cores_[ring.index()];
  if (core.state != State::kAsleep) return;
  core.state = State::kReady;
  core.clock = kernel_.now() + costs_.sleep_latency;
  MakeDue(core, core.clock);
}

void Clocks::OnWork(sim::SimRing& ring, Work work) {
  Core& core = *cores_[ring.index()];
  if (&core != current_) return;  // set up and taken down from outside
  switch (work) {
    case Work::kSubmit:
      if (core.line_dirty) {
        core.line_dirty = false;
        Charge(core, costs_.line_transfer);
      }
      return PayForCall(core);
    case Work::kBegin:
      return Charge(core, costs_.begin);
    case Work::kCancel:
      return Charge(core, costs_.cancel);
    case Work::kSend:
      ++core.account.sends;
      Charge(core, costs_.send);
      Sync(core);
      core.clock += peer_cost_;  // not its own work
      return;
    case Work::kWake:
      ++core.account.wakes;
      Charge(core, costs_.wake);
      return Sync(core);
    case Work::kReceive:
      ++core.account.receives;
      PayForCall(core);
      return Charge(core, costs_.receive);
    case Work::kCompletion:
      return Charge(core, costs_.completion);
    case Work::kClose:
      Charge(core, costs_.close);
      return Sync(core);
  }
}

void Clocks::OnReaped(sim::SimRing& ring) {
  Core& core = *cores_[ring.index()];
  core.in_call = false;
  Sync(core);
}

// ---- what cores share ----

void Clocks::OnSharedWork(SharedWork work, const void* what) {
  if (current_ == nullptr) return;
  Core& core = *current_;
  switch (work) {
    case SharedWork::kMailSent:
      ++core.account.mails;
      return Charge(core, costs_.mail + costs_.line_transfer);
    case SharedWork::kMailTaken:
      return Charge(core, costs_.mail + costs_.line_transfer);
    case SharedWork::kLock:
      return TakeLock(core, locks_[what]);
  }
}

void Clocks::TakeLock(Core& core, Lock& lock) {
  Sync(core);
  ++core.account.locks;
  const Duration wait = std::max(Duration(0), lock.free_at - core.clock);
  if (wait > Duration(0)) {
    ++core.account.lock_waits;
    core.account.lock_waited += wait;
    core.account.busy += std::min(wait, costs_.lock_spin);
    core.clock += wait;
  }
  if (lock.holder != &core && lock.holder != nullptr) {
    Charge(core, costs_.line_transfer * static_cast<int64_t>(costs_.lock_lines));
  }
  Charge(core, costs_.lock_hold);
  lock.holder = &core;
  lock.free_at = core.clock;
  // Only its own time: while it wakes up, whoever spins has the lock. Kind to the mutex.
  if (wait > costs_.lock_spin) Charge(core, costs_.lock_sleep * 2);
  Sync(core);
}

void Clocks::OnQueue(QueueEvent event) {
  if (current_ == nullptr || boards_ == BoardCosts::kNone) return;
  Core& core = *current_;
  core.waiters += event == QueueEvent::kWaits ? 1 : -1;
  core.hungry = core.waiters > 0;
  core.line_dirty = true;
  core.line_changed = core.clock;
  if (event == QueueEvent::kServed) LookAtBoards(core);
}

void Clocks::LookAtBoards(Core& core) {
  Duration cost{0};
  core.looked_at.resize(cores_.size(), Time{Duration(-1)});
  uint32_t looks = 0;
  for (size_t i = 0; i < cores_.size() && looks < Board::kLooksMost; ++i) {
    const size_t at = (core.look_from + i) % cores_.size();
    const Core& other = *cores_[at];
    if (&other == &core || !other.hungry) continue;
    cost += other.line_changed > core.looked_at[at] ? costs_.line_scan : kLineHit;
    core.looked_at[at] = core.clock;
    if (++looks == Board::kLooksMost) core.look_from = at + 1;
  }
  Charge(core, cost);
}

}  // namespace trireme::bench
