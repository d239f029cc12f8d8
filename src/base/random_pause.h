// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests of what threads share: a pause of random length, none, a short spin, a yield or some
// microseconds of sleep, so that threads meet at ever new places.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "base/random.h"

namespace trireme {

inline void RandomPause(Random& random) {
  const uint64_t kind = random.Below(64);
  if (kind == 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(random.Below(50)));
  } else if (kind < 12) {
    std::this_thread::yield();
  } else {
    for (uint64_t spin = random.Below(150); spin > 0; --spin) {
      std::atomic_signal_fence(std::memory_order_seq_cst);  // the loop stays
    }
  }
}

}  // namespace trireme
