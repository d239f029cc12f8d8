// SPDX-License-Identifier: GPL-3.0-or-later
//
// Timers of one core: a hierarchical wheel (4 levels of 64 slots, 1 ms ticks: about 4.6 hours; later
// expiries wait in the top level and are placed again). Schedule and Cancel are O(1) and never allocate; the
// wait timeout of the ring comes from NextExpiry(). No timer reaches the kernel as an operation.
//
// A timer fires at the first Advance() at or after its expiry, never before it, and at most one tick late
// plus the length of a turn. Callbacks may schedule and cancel any timer, their own included.
#pragma once

#include <cstdint>

#include "base/intrusive_list.h"
#include "base/time.h"

namespace trireme {

class Timer {
 public:
  using Handler = void (*)(void* owner);
  Timer(Handler handler, void* owner) : handler_(handler), owner_(owner) {}

  bool scheduled() const { return node.linked(); }
  Time expiry() const { return expiry_; }

  ListNode node;  // for TimerWheel

 private:
  friend class TimerWheel;
  Handler handler_;
  void* owner_;
  Time expiry_{};
  uint16_t slot_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(Time start);
  ~TimerWheel();

  // (Re)schedules; an expiry in the past fires at the next Advance().
  void Schedule(Timer& timer, Time expiry);
  // Does nothing when the timer is not scheduled.
  void Cancel(Timer& timer);
  // Fires everything due at `now`, in order of tick.
  void Advance(Time now);
  // A lower bound of the next expiry, exact within one tick of the lowest level; kNever when idle.
  Time NextExpiry() const;
  uint32_t count() const { return count_; }

 private:
  using Slot = List<Timer, &Timer::node>;
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;

  int64_t TickOf(Time time) const;
  void Place(Timer& timer);
  void Cascade(int level);

  const Time start_;
  int64_t tick_ = 0;  // everything at or before this tick has fired
  uint32_t count_ = 0;
  uint64_t occupied_[kLevels] = {};  // bit per slot
  Slot slots_[kLevels][kSlots];
};

}  // namespace trireme
