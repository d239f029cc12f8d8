// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme-study: one cell of the scaling study on the command line; its result is one JSON value in
// the shape of trireme-load's, so that the lab reports both alike. bench/lab runs whole studies.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/marks.h"
#include "config/names.h"
#include "engine/flags.h"
#include "study/report.h"
#include "study/study.h"

namespace trireme::bench {
namespace {

constexpr char kUsage[] =
    "trireme-study: production shards on simulated cores, in virtual time, with the costs of\n"
    "operations as parameters; bench/README.md explains the model and its numbers.\n"
    "\n"
    "usage: trireme-study --costs FILE [--name VALUE]...\n"
    "\n"
    "Times may be drawn: 1ms, exp:1ms, uniform:1ms,9ms, lognormal:5ms,0.7 (median, sigma),\n"
    "bimodal:1ms,50ms,0.05. The same arguments give the same numbers.\n"
    "\n";

struct Options {
  uint64_t cores = 2;
  uint64_t clients = 64;
  uint64_t servers = 32;
  uint64_t hot_cores = 0;
  std::string policy = "steal";
  std::string victim = "most_idle";
  std::string costs;
  std::string json;
  StudyPlan plan;
};

Flags MakeFlags(Options& o) {
  Flags flags(kUsage);
  flags.AddText("costs", "JSON file of what operations cost; bench/study/costs.json", o.costs);
  flags.AddCount("cores", "(2)", o.cores, 1, kCoresMax);
  flags.AddCount("clients", "over all cores (64)", o.clients, 1, 1'000'000);
  flags.AddCount("servers", "size of the pool, over all cores (32)", o.servers, 1, 1'000'000);
  flags.AddCount("hot-cores", "cores that have --hot-share of the clients (0: all alike)",
                 o.hot_cores, 0, kCoresMax);
  flags.AddNumber("hot-share", "(1)", o.plan.hot_share, 0, 1);
  flags.AddText("policy", "sharing.policy (steal)", o.policy);
  flags.AddText("victim", "sharing.victim (most_idle)", o.victim);
  flags.AddDuration("fairness-window", "sharing.fairness_window (1ms)",
                    o.plan.sharing.fairness_window);
  flags.AddDraw("service", "how long a statement takes at its server (0)", o.plan.service);
  flags.AddDraw("think", "how long a client waits before its next statement (0)", o.plan.think);
  flags.AddCount("warmup", "transactions of each client, on average, before measuring (20)",
                 o.plan.warmup_transactions, 0, 1'000'000);
  flags.AddCount("transactions", "to measure, of all clients together (100000)",
                 o.plan.transactions, 1, 1'000'000'000);
  flags.AddDuration("time", "of virtual time at most, for warm-up and measuring each (20s)",
                    o.plan.time_max);
  flags.AddDuration("peer-cost",
                    "CPU of clients and servers for each message to them, when they share the "
                    "cores' CPUs (0)",
                    o.plan.peer_cost);
  flags.AddCount("seed", "of everything drawn (1)", o.plan.seed, 0, UINT32_MAX);
  flags.AddText("json", "write the result to this file (standard output)", o.json);
  return flags;
}

template <typename Enum>
Result<Enum> EnumOf(std::string_view flag, std::string_view text) {
  std::string known;
  for (const auto& [value, name] : EnumNames<Enum>()) {
    if (name == text) return value;
    absl::StrAppend(&known, known.empty() ? "" : ", ", ToAbsl(name));
  }
  return InvalidArgument(
      absl::StrCat("--", ToAbsl(flag), ": \"", ToAbsl(text), "\" is none of ", known));
}

Result<StudyPlan> PlanOf(const Options& o) {
  StudyPlan plan = o.plan;
  plan.cores = static_cast<uint32_t>(o.cores);
  plan.clients = static_cast<uint32_t>(o.clients);
  plan.servers = static_cast<uint32_t>(o.servers);
  plan.hot_cores = static_cast<uint32_t>(o.hot_cores);
  if (o.costs.empty()) return InvalidArgument("--costs is missing; see --help");
  const Result<Costs> costs = ReadCosts(o.costs);
  if (!costs.ok()) return costs.status();
  plan.costs = *costs;
  const Result<Sharing> policy = EnumOf<Sharing>("policy", o.policy);
  if (!policy.ok()) return policy.status();
  plan.sharing.policy = *policy;
  const Result<VictimChoice> victim = EnumOf<VictimChoice>("victim", o.victim);
  if (!victim.ok()) return victim.status();
  plan.sharing.victim = *victim;
  if (!kMarksBuilt) {
    return Unavailable(
        "this build has no marks, so mail and boards would cost nothing; "
        "build with -Dmarks=true (tools/build sim)");
  }
  if (plan.sharing.policy == Sharing::kIsolated && plan.servers < plan.cores) {
    return InvalidArgument("isolated: each core needs a server of its own; raise --servers");
  }
  return plan;
}

int Fail(std::string_view why) {
  std::fprintf(stderr, "trireme-study: %.*s\n", static_cast<int>(why.size()), why.data());
  return 2;
}

int Main(int argc, char** argv) {
  Options options;
  Flags flags = MakeFlags(options);
  const Status parsed = flags.Parse(argc, argv);
  if (!parsed.ok()) return Fail(FromAbsl(parsed.message()));
  if (flags.help_asked()) {
    std::fputs(flags.Help().c_str(), stdout);
    return 0;
  }
  const Result<StudyPlan> plan = PlanOf(options);
  if (!plan.ok()) return Fail(FromAbsl(plan.status().message()));
  const StudyResult result = Study(*plan).Run();
  const std::string text = StudyJson(*plan, result);
  if (options.json.empty()) {
    std::printf("%s\n", text.c_str());
  } else {
    std::ofstream(options.json) << text << "\n";
  }
  if (result.failure.empty()) return 0;
  std::fprintf(stderr, "trireme-study: %s\n", result.failure.c_str());
  return 1;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
