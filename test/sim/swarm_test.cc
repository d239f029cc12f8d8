// SPDX-License-Identifier: GPL-3.0-or-later
//
// So many seeds in any case, and more as long as the suite has time; the first bad one fails with
// its story, and `tools/sim --seed S --story` replays it. Each fault and each marked branch must
// have been exercised. TRIREME_SIM_FROM and TRIREME_SIM_SECONDS choose other seeds.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "test/sim/swarm.h"

namespace trireme::sim {
namespace {

// Enough for everything that must be exercised.
constexpr uint64_t kSeedsLeast = 200;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Of a name that begins so and was never counted.
std::string NeverExercised(const WorldCounts& counts, std::string_view prefix) {
  std::string names;
  for (const auto& [name, count] : counts) {
    if (!name.starts_with(prefix) || count > 0) continue;
    names += " " + name.substr(prefix.size());
  }
  return names;
}

TEST(Swarm, BreaksNoPromise) {
  const Swarm::Options options{
      .first_seed = FromEnvironment("TRIREME_SIM_FROM", 1),
      .seeds = 300,
      .seeds_least = kSeedsLeast,
      .time = std::chrono::seconds(FromEnvironment("TRIREME_SIM_SECONDS", 120)),
      .at_once = 2,
      .repeat_every = 10};
  const Swarm::Result result = Swarm::Run(options);
  std::printf("%llu seeds from %llu, %llu of them twice\n%s",
              static_cast<unsigned long long>(result.seeds_run),
              static_cast<unsigned long long>(options.first_seed),
              static_cast<unsigned long long>(result.repeated), Text(result.counts).c_str());
  ASSERT_TRUE(result.bad.empty()) << result.bad.front().output << "\nseed "
                                  << result.bad.front().seed << ": " << result.bad.front().what;
  EXPECT_GT(result.repeated, 0u);
  EXPECT_EQ(NeverExercised(result.counts, "fault: "), "");
  EXPECT_EQ(NeverExercised(result.counts, "mark: "), "");
  for (const char* name : {"transactions", "steals granted", "steals denied", "grants received",
                           "cancels hit", "copies", "restarts", "refusals", "questions failed"}) {
    EXPECT_GT(result.counts.at(name), 0u) << name;
  }
}

}  // namespace
}  // namespace trireme::sim
