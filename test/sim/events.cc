// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/events.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace trireme::sim {
namespace {

// For a heap whose front is the earliest.
bool Later(const EventQueue::Event& a, const EventQueue::Event& b) {
  return a.time != b.time ? a.time > b.time : a.sequence > b.sequence;
}

}  // namespace

void EventQueue::Add(Time time, std::function<void()> act) {
  heap_.push_back({time, next_sequence_++, std::move(act)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

EventQueue::Event EventQueue::Take() {
  TRIREME_ASSERT(!heap_.empty());
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  return event;
}

}  // namespace trireme::sim
