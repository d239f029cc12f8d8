// SPDX-License-Identifier: GPL-3.0-or-later
//
// A tick is written in base 64, one digit a level:
//
//     tick   = | level 3 | level 2 | level 1 | level 0 |      (24 bits; above them: the top level
//     wraps)
//
// A timer sits in the level of the highest digit in which its tick differs from the current one, in
// the slot of that digit. Hence every timer of a level is due before every timer of the level
// above, and all slots lie ahead of the current digit: the next event is the first occupied slot of
// the lowest occupied level. When the current tick reaches a slot of a higher level, its timers are
// placed again (a cascade) and land lower. Advance() jumps from event to event, so a long sleep
// costs nothing.
#include "base/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace trireme {

namespace {

constexpr int64_t kTick = std::chrono::nanoseconds(1ms).count();

}  // namespace

TimerWheel::TimerWheel(Time start) : start_(start) {
  TRIREME_ASSERT(start.time_since_epoch().count() >= 0);  // so that kNever - start cannot overflow
}

TimerWheel::~TimerWheel() { TRIREME_ASSERT(count_ == 0); }

void TimerWheel::Schedule(Timer& timer, Time expiry) {
  Cancel(timer);
  timer.expiry_ = expiry;
  ++count_;
  const int64_t tick = TickAtOrAfter(expiry);
  if (tick <= tick_) {
    timer.place_ = kOverdue;
    overdue_.PushBack(timer);
    next_event_ = TimeOf(tick_);
    return;
  }
  next_event_ = std::min(next_event_, TimeOf(tick));
  Place(timer, tick);
}

void TimerWheel::Remove(Timer& timer) {
  if (--count_ == 0) next_event_ = kNever;
  if (timer.place_ == kOverdue) return overdue_.Erase(timer);
  const int level = timer.place_ >> kSlotBits;
  const int index = timer.place_ & (kSlots - 1);
  Slot& slot = slots_[level][index];
  slot.Erase(timer);
  if (slot.empty()) occupied_[level] &= ~(uint64_t{1} << index);
}

void TimerWheel::AdvanceTo(Time now) {
  TRIREME_ASSERT(now >= start_);
  const int64_t target = (now - start_).count() / kTick;
  TRIREME_ASSERT(target >= tick_);
  FireOverdue();
  for (Event event = NextEvent(); event.tick <= target; event = NextEvent()) {
    tick_ = event.tick;
    if (event.level == 0) {
      Fire(event);
    } else {
      Cascade(event);
    }
  }
  tick_ = target;
  next_event_ = TimeOf(overdue_.empty() ? NextEvent().tick : tick_);
}

// The last tick of all time begins before kNever, but a rounded-up one may lie beyond it.
Time TimerWheel::TimeOf(int64_t tick) const {
  if (tick > (kNever - start_).count() / kTick) return kNever;
  return start_ + Duration(tick * kTick);
}

// The first occupied slot of the lowest occupied level; tick INT64_MAX when there is none.
TimerWheel::Event TimerWheel::NextEvent() const {
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const int64_t current = tick_ >> (level * kSlotBits);
    const int digit = static_cast<int>(current & (kSlots - 1));
    const int ahead = std::countr_zero(std::rotr(occupied_[level], digit));
    return {.tick = (current + ahead) << (level * kSlotBits),
            .level = level,
            .slot = (digit + ahead) & (kSlots - 1)};
  }
  return {.tick = INT64_MAX, .level = 0, .slot = 0};
}

int64_t TimerWheel::TickAtOrAfter(Time time) const {
  if (time <= start_) return 0;
  const int64_t elapsed = (time - start_).count();
  return elapsed / kTick + (elapsed % kTick != 0 ? 1 : 0);
}

// `tick` is the current one only within a cascade, whose timers fire in this same Advance().
void TimerWheel::Place(Timer& timer, int64_t tick) {
  TRIREME_ASSERT(tick >= tick_);
  const uint64_t difference = static_cast<uint64_t>(tick ^ tick_);
  const int highest = 63 - std::countl_zero(difference | 1);
  const int level = std::min(highest / kSlotBits, kLevels - 1);
  int64_t digits = tick >> (level * kSlotBits);
  if (level == kLevels - 1) {  // too far for the wheel: as far as it reaches, then placed again
    digits = std::min(digits, (tick_ >> (level * kSlotBits)) + kSlots - 1);
  }
  const int index = static_cast<int>(digits & (kSlots - 1));
  timer.place_ = static_cast<uint16_t>(level << kSlotBits | index);
  slots_[level][index].PushBack(timer);
  occupied_[level] |= uint64_t{1} << index;
}

void TimerWheel::Cascade(Event event) {
  Slot& slot = slots_[event.level][event.slot];
  occupied_[event.level] &= ~(uint64_t{1} << event.slot);
  while (Timer* timer = slot.PopFront()) Place(*timer, TickAtOrAfter(timer->expiry_));
}

// Nothing joins the slot meanwhile: a tick that is not in the future becomes overdue.
void TimerWheel::Fire(Event event) {
  Slot& slot = slots_[0][event.slot];
  while (!slot.empty()) {
    Timer& timer = *slot.front();
    Cancel(timer);
    timer.handler_(timer.owner_);  // may destroy the timer
  }
}

// Only as many as there were: a callback may make another timer overdue.
void TimerWheel::FireOverdue() {
  for (size_t left = overdue_.count(); left > 0 && !overdue_.empty(); --left) {
    Timer& timer = *overdue_.front();
    Cancel(timer);
    timer.handler_(timer.owner_);  // may destroy the timer
  }
}

}  // namespace trireme
