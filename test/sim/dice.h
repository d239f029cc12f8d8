// SPDX-License-Identifier: GPL-3.0-or-later
//
// The chance of a world's plan: draws in the order of the calls, and nothing but the seed decides.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "test/sim/sim_postgres_habits.h"

namespace trireme::sim {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}

  Random& random() { return random_; }
  uint32_t Between(uint32_t least, uint32_t most) {
    return least + static_cast<uint32_t>(random_.Below(uint64_t{most} - least + 1));
  }
  bool Once(uint32_t in) { return random_.Below(in) == 0; }
  Duration Between(Duration least, Duration most) {
    return DurationRange{least, most}.Draw(random_);
  }
  template <typename T, size_t N>
  T Of(const T (&choices)[N]) {
    return choices[random_.Below(N)];
  }
  // Nothing, or a chance with many small values: most runs have few of a fault, some have many.
  uint32_t PerMillion(uint32_t most) {
    if (Once(2)) return 0;
    const uint64_t roof = 1 + random_.Below(most);
    return static_cast<uint32_t>(1 + random_.Below(roof));
  }

 private:
  Random random_;
};

}  // namespace trireme::sim
