// SPDX-License-Identifier: GPL-3.0-or-later
//
// Timers of one core: a hierarchical wheel (4 levels of 64 slots, 1 ms ticks: about 4.6 hours;
// later expiries wait in the top level and are placed again). Schedule and Cancel are O(1) and
// never allocate; the wait timeout of the ring comes from NextExpiry(). No timer reaches the kernel
// as an operation.
//
// An expiry is rounded up to a tick, so a timer fires never before its expiry and at most one tick
// late plus the length of a turn. Callbacks may schedule, cancel and destroy any timer, their own
// included; what a callback schedules for the past waits for the next Advance(), so Advance() ends.
//
// Owned by one core; not thread-safe. All timers are cancelled before the wheel is destroyed
// (asserted).
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
  // As it was given to Schedule().
  Time expiry() const { return expiry_; }

  ListNode node;  // for TimerWheel

 private:
  friend class TimerWheel;
  const Handler handler_;
  void* const owner_;
  Time expiry_{};
  uint16_t place_ = 0;  // which slot it is in; see TimerWheel::Place
};

class TimerWheel {
 public:
  // `start` is not negative: the monotonic clock of Linux counts from boot.
  explicit TimerWheel(Time start);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // (Re)schedules; an expiry in the past fires at the next Advance(). kNever never fires.
  void Schedule(Timer& timer, Time expiry);
  // Does nothing when the timer is not scheduled.
  void Cancel(Timer& timer) {
    if (timer.scheduled()) Remove(timer);
  }
  // Fires everything due at `now`, in order of tick. `now` does not go backwards.
  void Advance(Time now) {
    if (now >= next_event_) AdvanceTo(now);
  }
  // When Advance() next has work: never later than one tick after the earliest expiry, and possibly
  // before it (a far timer moves down a level, at most three times; the earliest was cancelled).
  // kNever when idle.
  Time NextExpiry() const { return next_event_; }
  uint32_t count() const { return count_; }

 private:
  using Slot = List<Timer, &Timer::node>;
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr uint16_t kOverdue = kLevels * kSlots;  // a place_ that is no slot of the wheel

  // The next slot to be reached, and the tick it begins at.
  struct Event {
    int64_t tick;
    int level;
    int slot;
  };
  Event NextEvent() const;
  Time TimeOf(int64_t tick) const;
  void AdvanceTo(Time now);

  int64_t TickAtOrAfter(Time time) const;
  void Place(Timer& timer, int64_t tick);
  void Cascade(Event event);
  void Remove(Timer& timer);
  void Fire(Event event);
  void FireOverdue();

  const Time start_;
  int64_t tick_ = 0;          // everything at or before this tick has fired, except what is overdue
  Time next_event_ = kNever;  // nothing has to be done before
  uint32_t count_ = 0;
  uint64_t occupied_[kLevels] = {};  // bit per slot
  Slot slots_[kLevels][kSlots];
  Slot overdue_;  // scheduled for a tick that had already passed
};

}  // namespace trireme
