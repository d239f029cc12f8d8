// SPDX-License-Identifier: GPL-3.0-or-later
//
// Many worlds, each in a process of its own: a failed assert, a report of a sanitizer, a broken
// promise and a run that does not end are all the same to the swarm, a bad seed, and it goes on.
// A bad seed is run again with its story told.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "test/sim/world.h"

namespace trireme::sim {

struct SeedResult {
  uint64_t seed = 0;
  bool good = false;
  uint64_t trace_hash = 0;
  WorldCounts counts;
  std::string what;    // of a bad one: the promise broken, in one line
  std::string output;  // of a bad one: everything it said, the story last when one was told
};

struct SeedOptions {
  enum class Telling : uint8_t { kNone, kWhenBad, kAlways };
  Telling telling = Telling::kNone;
  std::chrono::seconds time_max{120};  // of the processor
  std::string mutation;                // "" = none
};

// In a child process.
SeedResult RunSeed(uint64_t seed, const SeedOptions& options);

class Swarm {
 public:
  struct Options {
    uint64_t first_seed = 1;
    uint64_t seeds = 100;
    uint64_t seeds_least = 0;       // however long they take
    std::chrono::seconds time{60};  // no new seed afterwards
    uint32_t at_once = 1;           // processes
    uint32_t repeat_every = 0;      // each so-manieth seed runs twice, and must repeat itself
    std::string mutation;
    uint32_t bad_max = 1;   // the swarm ends at so many bad seeds
    bool progress = false;  // a line on standard error now and then
  };
  struct Result {
    uint64_t seeds_run = 0;
    uint64_t repeated = 0;
    WorldCounts counts;
    std::vector<SeedResult> bad;  // the lowest seed first, and that one with its story
  };
  static Result Run(const Options& options);
};

// A bug of src/base/marks.h, planted in each world until one is bad.
struct MutationResult {
  std::string name;
  bool found = false;
  uint64_t seeds = 0;  // until it was found, that one included; or all that were run
  std::string what;    // the promise that was broken
  std::string Text() const;
};
// `options` but for the mutation; needs a build with marks.
MutationResult FindMutation(std::string_view name, Swarm::Options options);

// "name  count" lines.
std::string Text(const WorldCounts& counts);

}  // namespace trireme::sim
