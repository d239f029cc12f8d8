// SPDX-License-Identifier: GPL-3.0-or-later
//
// What will happen, in order: by time, and within one time in the order it was made. Nothing else
// decides what comes first.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/time.h"

namespace trireme::sim {

class EventQueue {
 public:
  void Add(Time time, std::function<void()> act);
  bool empty() const { return heap_.empty(); }
  Time next_time() const { return heap_.empty() ? kNever : heap_.front().time; }
  struct Event {
    Time time;
    uint64_t sequence;
    std::function<void()> act;
  };
  Event Take();  // not empty

 private:
  std::vector<Event> heap_;
  uint64_t next_sequence_ = 0;
};

}  // namespace trireme::sim
