// SPDX-License-Identifier: GPL-3.0-or-later
//
// Proves the simulator: a bug planted by src/base/marks.h is found within the budget of seeds,
// counted from seed 1. One that is not is a gap in the worlds or in the oracles. Those that need
// more seeds than a suite has time for are left to `tools/sim --mutations`.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>

#include "base/marks.h"
#include "test/sim/swarm.h"

namespace trireme::sim {
namespace {

constexpr uint64_t kSeedsMax = 60;
// These need two rare things at once.
constexpr std::string_view kRare[] = {"kSkipLookAgain", "kDropGrantWithoutWaiter", "kNoRollback",
                                      "kForgetUnclaim", "kLingerForEver"};

TEST(Mutations, AreFoundWithinTheirBudget) {
  std::printf("%-26s seeds  found by\n", "planted bug");
  std::string missed;
  for (const std::string_view name : kMutationNames) {
    if (name == kMutationNames[0]) continue;  // kNone
    if (std::ranges::find(kRare, name) != std::end(kRare)) continue;
    const MutationResult result = FindMutation(
        name,
        {.first_seed = 1, .seeds = kSeedsMax, .time = std::chrono::minutes(10), .at_once = 2});
    std::printf("%s\n", result.Text().c_str());
    std::fflush(stdout);
    if (!result.found) missed += " " + result.name;
  }
  EXPECT_EQ(missed, "") << "not found in " << kSeedsMax << " seeds each";
}

}  // namespace
}  // namespace trireme::sim
