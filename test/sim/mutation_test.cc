// SPDX-License-Identifier: GPL-3.0-or-later
//
// Proves the simulator: a bug planted by src/base/marks.h is found within the budget of seeds,
// counted from seed 1. One that is not is a gap in the worlds or in the oracles: when it needs two
// rare things at once, a focused world is missing (focus.h).
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/marks.h"
#include "test/sim/focus.h"
#include "test/sim/swarm.h"

namespace trireme::sim {
namespace {

// Two of each kind of focused worlds.
constexpr uint64_t kSeedsMax = 2 * kSeedsPerRound;

TEST(Mutations, AreFoundWithinTheirBudget) {
  const auto start = std::chrono::steady_clock::now();
  std::printf("%-26s seeds  found by\n", "planted bug");
  std::string missed;
  for (const std::string_view name : kMutationNames) {
    if (name == kMutationNames[0]) continue;  // kNone
    const MutationResult result = FindMutation(
        name,
        {.first_seed = 1, .seeds = kSeedsMax, .time = std::chrono::minutes(10), .at_once = 2});
    std::printf("%s\n", result.Text().c_str());
    std::fflush(stdout);
    if (!result.found) missed += " " + result.name;
  }
  const auto took = std::chrono::steady_clock::now() - start;
  std::printf("%lld s\n", static_cast<long long>(
                              std::chrono::duration_cast<std::chrono::seconds>(took).count()));
  EXPECT_EQ(missed, "") << "not found in " << kSeedsMax << " seeds each";
}

}  // namespace
}  // namespace trireme::sim
