// SPDX-License-Identifier: GPL-3.0-or-later
//
// Time: nanoseconds on the monotonic clock. Everything below `main` takes it from Ring::now(),
// which stands still within one turn; the simulator owns it in tests. Wall-clock time appears only
// in log lines and console views, computed at the edge.
#pragma once

#include <chrono>
#include <cstdint>

namespace trireme {

using Duration = std::chrono::nanoseconds;

// A monotonic instant. Time{} is "never set"; kNever lies after every other instant.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;
inline constexpr Time kNever = Time::max();

inline constexpr int64_t Microseconds(Duration d) { return d.count() / 1000; }
inline constexpr int64_t Milliseconds(Duration d) { return d.count() / 1'000'000; }

using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

}  // namespace trireme
