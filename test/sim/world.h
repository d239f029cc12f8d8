// SPDX-License-Identifier: GPL-3.0-or-later
//
// One simulated world, from its plan to its rest: production shards on simulated cores, clients on
// one side, PostgreSQL on the other, one kernel in between, one thread, one seed.
//
//   faults ─▶ heal ─▶ everybody is served ─▶ drain ─▶ at rest ─▶ nothing is left
//      └─────────────── some seeds end the pooler here ──▶┘
//
// Everything above ring is what the daemon runs: the shards, their mail, boards and directory. The
// fleet's part (start, drain, rest, leave) is played by the world, because a Fleet has threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/seeded_secret_random.h"
#include "shard/shard.h"
#include "side/inline_crew.h"
#include "test/sim/fibers.h"
#include "test/sim/oracles.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_postgres.h"
#include "test/sim/sim_ring.h"
#include "test/sim/story.h"
#include "test/sim/world_plan.h"

namespace trireme::sim {

// How often each thing happened, by name; the same names in every world, and they add up.
using WorldCounts = std::map<std::string, uint64_t>;

class World final : private Doorbell {
 public:
  // A broken promise is told to `on_broken`, which does not return. `story` may be nullptr.
  World(const WorldPlan& plan, Oracles::OnBroken on_broken, Story* story);
  ~World() override;

  void Run();
  uint64_t trace_hash() const { return kernel_.trace_hash(); }
  // After Run().
  WorldCounts Counts() const;

 private:
  struct Core {
    std::unique_ptr<Buffers> buffers;
    std::unique_ptr<SimRing> ring;
    std::unique_ptr<StorySink> sink;
    std::unique_ptr<Logger> log;
    std::unique_ptr<SeededSecretRandom> secrets;
    Shard* shard = nullptr;  // while it lives
    Status listening;
    Shard::Resources left{};
    PoolShard::Counters pools;
    Ring::Counters ring_counters;
    uint64_t mails = 0;
  };
  struct Census {
    bool rest = false;
    uint64_t sent = 0;
    uint64_t received = 0;
    friend bool operator==(const Census&, const Census&) = default;
  };

  void Ring(uint32_t shard_index) override { cores_[shard_index].ring->WakeFromOutside(); }
  void StartCores();
  void RunCore(uint32_t core);
  void StartPeers();
  // Steps, checked, until `done`; false when `latest` comes first.
  bool RunUntil(const std::function<bool()>& done, Time latest);
  void RunFor(Duration time);
  // The same, but no more work than a phase may have.
  void RunPhase(Duration time);
  void Heal();
  void CheckLiveness();
  void SendContentHome(Time since);
  void Tell(Mail::Control control);
  Census Count() const;
  uint64_t work() const { return kernel_.events_run() + fibers_.switches(); }
  bool AtRest();
  void Listen();  // to the marks
  void End();
  std::string WhoIsLeft() const;
  std::string WhatShardsHold() const;

  const WorldPlan& plan_;
  Story* const story_;
  SimKernel kernel_;
  Oracles oracles_;
  Fibers fibers_;
  SeededSecretRandom secrets_;
  std::unique_ptr<FleetShared> shared_;
  std::unique_ptr<InlineCrew> crew_;
  std::vector<Core> cores_;
  std::vector<SimRing*> rings_;
  std::vector<std::unique_ptr<SimPostgres>> clusters_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  Census last_census_;
  uint32_t listening_ = 0;
  bool draining_ = false;
};

}  // namespace trireme::sim
