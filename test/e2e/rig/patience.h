// SPDX-License-Identifier: GPL-3.0-or-later
//
// Waiting in tests: for a condition, with a bound, never for a time. Everything in the rig that can
// hang takes a deadline and throws RigError when it passes; GoogleTest reports the exception as the
// failure of that test.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace trireme::e2e {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Longer than any healthy step takes with sanitizers on a busy machine; only failures wait for it.
inline constexpr seconds kPatience{20};

struct RigError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// True as soon as `condition` holds, false when `limit` has passed without it.
template <typename Condition>
bool Eventually(Condition condition, milliseconds limit = kPatience) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    if (condition()) return true;
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

// True when `condition` stayed true for the whole of `span`.
template <typename Condition>
bool Throughout(milliseconds span, Condition condition) {
  return !Eventually([&] { return !condition(); }, span);
}

}  // namespace trireme::e2e
