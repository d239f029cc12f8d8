// SPDX-License-Identifier: GPL-3.0-or-later
//
// Runs simulated worlds from the command line; tools/sim builds and calls it.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/marks.h"
#include "test/sim/swarm.h"

namespace trireme::sim {
namespace {

constexpr char kHelp[] =
    "usage: sim [--seeds N] [--from S] [--minutes M] [--jobs J] [--repeat-every K]\n"
    "       sim --seed S [--story]\n"
    "\n"
    "Runs simulated worlds, one for each seed, until N seeds have run, M minutes are over, or one\n"
    "is bad: then it prints what was broken, the story of that world, and exits with 1.\n"
    "\n"
    "  --seeds N         how many (1000000)\n"
    "  --from S          the first seed (1)\n"
    "  --minutes M       no new seed after so many minutes (10)\n"
    "  --jobs J          worlds at once, each in its own process (2)\n"
    "  --bad N           go on until N seeds are bad (1); the story is that of the first\n"
    "  --repeat-every K  each K-th seed runs twice, and must repeat itself (10; 0 = none)\n"
    "  --seed S          this one only: prints its plan, its counts and the hash of its trace,\n"
    "                    which is the same in every run of the same program\n"
    "  --story           with --seed: tells the story also when all is well\n"
    "  --mutation NAME   with a bug planted (src/base/marks.h)\n"
    "  --mutations       plants each in turn, and prints how many seeds it took to find it\n";

struct Arguments {
  Swarm::Options swarm{.seeds = 1'000'000,
                       .time = std::chrono::minutes(10),
                       .at_once = 2,
                       .repeat_every = 10,
                       .progress = true};
  std::optional<uint64_t> seed;
  bool story = false;
  bool mutations = false;
};

std::optional<Arguments> Parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--story") {
      arguments.story = true;
      continue;
    }
    if (word == "--mutations") {
      arguments.mutations = true;
      continue;
    }
    if (i + 1 == count) {
      std::fprintf(stderr, "sim: %s is unknown or lacks its value; see --help\n", words[i]);
      return std::nullopt;
    }
    const std::string_view text = words[++i];
    if (word == "--mutation") {
      arguments.swarm.mutation = text;
      continue;
    }
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      std::fprintf(stderr, "sim: %s wants a number, not \"%s\"\n", words[i - 1], words[i]);
      return std::nullopt;
    }
    if (word == "--seeds") {
      arguments.swarm.seeds = number;
    } else if (word == "--from") {
      arguments.swarm.first_seed = number;
    } else if (word == "--minutes") {
      arguments.swarm.time = std::chrono::minutes(number);
    } else if (word == "--jobs" && number > 0 && number < 1000) {
      arguments.swarm.at_once = static_cast<uint32_t>(number);
    } else if (word == "--repeat-every") {
      arguments.swarm.repeat_every = static_cast<uint32_t>(number);
    } else if (word == "--bad" && number > 0) {
      arguments.swarm.bad_max = static_cast<uint32_t>(number);
    } else if (word == "--seed") {
      arguments.seed = number;
    } else {
      std::fprintf(stderr, "sim: unknown option %s; see --help\n", words[i - 1]);
      return std::nullopt;
    }
  }
  return arguments;
}

void PrintBad(const SeedResult& bad) {
  std::printf("%s\nBAD SEED %llu: %s\nreplay: tools/sim --seed %llu --story\n", bad.output.c_str(),
              static_cast<unsigned long long>(bad.seed), bad.what.c_str(),
              static_cast<unsigned long long>(bad.seed));
}

int RunOne(const Arguments& arguments) {
  using enum SeedOptions::Telling;
  const SeedResult result = RunSeed(
      *arguments.seed,
      {.telling = arguments.story ? kAlways : kWhenBad, .mutation = arguments.swarm.mutation});
  if (!result.good) {
    PrintBad(result);
    return 1;
  }
  std::printf("%s\n%strace hash %016llx\n", WorldPlan::Draw(result.seed).Text().c_str(),
              Text(result.counts).c_str(), static_cast<unsigned long long>(result.trace_hash));
  return 0;
}

// How many seeds until each planted bug is found; the budget is --seeds, at most 500.
int RunMutations(const Arguments& arguments) {
  if (!kMarksBuilt) {
    std::fprintf(stderr, "sim: this build has no planted bugs; use tools/sim, or -Dmarks=true\n");
    return 2;
  }
  int missed = 0;
  for (const std::string_view name : kMutationNames) {
    if (name == kMutationNames[0]) continue;
    Swarm::Options options = arguments.swarm;
    options.seeds = std::min<uint64_t>(options.seeds, 500);
    options.progress = false;
    const MutationResult result = FindMutation(name, options);
    missed += result.found ? 0 : 1;
    std::printf("%s\n", result.Text().c_str());
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
}

int RunMany(const Arguments& arguments) {
  const Swarm::Result result = Swarm::Run(arguments.swarm);
  std::printf("%llu seeds from %llu, %llu of them twice\n%s",
              static_cast<unsigned long long>(result.seeds_run),
              static_cast<unsigned long long>(arguments.swarm.first_seed),
              static_cast<unsigned long long>(result.repeated), Text(result.counts).c_str());
  if (result.bad.empty()) return 0;
  PrintBad(result.bad.front());
  for (size_t i = 1; i < result.bad.size(); ++i) {
    std::printf("also bad: seed %llu: %s\n", static_cast<unsigned long long>(result.bad[i].seed),
                result.bad[i].what.c_str());
  }
  return 1;
}

}  // namespace
}  // namespace trireme::sim

int main(int count, char** words) {
  using namespace trireme::sim;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--help") != 0) continue;
    std::fputs(kHelp, stdout);
    return 0;
  }
  const auto arguments = Parse(count, words);
  if (!arguments) return 2;
  if (arguments->mutations) return RunMutations(*arguments);
  return arguments->seed ? RunOne(*arguments) : RunMany(*arguments);
}
