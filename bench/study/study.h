// SPDX-License-Identifier: GPL-3.0-or-later
//
// One cell of the scaling study: production shards on simulated cores, each with a clock
// (clocks.h), between clients and servers of no cost (peers.h). Virtual time only: the same plan
// gives the same numbers on any machine, however loaded.
//
//   start ─▶ clients log in ─▶ warm-up ─▶ measured ─▶ everybody leaves, nothing is left
//
// bench/README.md, "Scaling study", says what the model leaves out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "auth/seeded_secret_random.h"
#include "shard/shard.h"
#include "side/inline_crew.h"
#include "study/clocks.h"
#include "study/costs.h"
#include "study/peers.h"
#include "test/sim/census.h"

namespace trireme::bench {

struct StudyPlan {
  uint32_t cores = 1;
  uint32_t clients = 32;
  uint32_t servers = 16;  // the size of the pool
  // So many cores have `hot_share` of the clients, spread evenly; the others have the rest.
  uint32_t hot_cores = 0;  // 0 = all alike
  double hot_share = 1;
  SharingConfig sharing;
  Talk talk;
  Draw service;
  Draw think;
  Pace pace = Pace::kEach;
  // Until each client has done so many on average, and then so many altogether; neither takes
  // longer than `time_max`.
  uint64_t warmup_transactions = 20;
  uint64_t transactions = 100'000;
  Duration time_max = 20s;
  Duration peer_cost{0};  // of clients and servers on the core's CPU, for each message to them
  uint32_t buffer_bytes = 2048;  // limits.buffer_bytes; the least, for the sake of many cores
  uint64_t seed = 1;
  Costs costs;
  // Called within each turn, as if it were part of the shard: for faults made on purpose.
  std::function<void()> in_turn;
};

struct StudyResult {
  struct Core {
    Clocks::Account account;  // while measuring, as all here
    uint64_t checkouts = 0;
    uint64_t waits = 0;  // checkouts that had to queue
    uint64_t steals_asked = 0;
    uint64_t steals_received = 0;
    uint64_t grants_received = 0;  // unasked
    uint64_t submits = 0;          // system calls that begin operations
    // Of servers from other cores, warm-up included.
    Duration hand_over_p50{0};
    Duration hand_over_p99{0};
    Core& operator-=(const Core& before);
  };
  StudyPeers::Results peers;
  Duration measured{0};
  std::vector<Core> cores;
  sim::Census census;   // of all cores; zeros in a program that does not link it
  std::string failure;  // "" = all went well
};

class Study final : private Doorbell {
 public:
  explicit Study(const StudyPlan& plan);
  ~Study() override;

  StudyResult Run();

 private:
  struct Core {
    std::unique_ptr<Buffers> buffers;
    std::unique_ptr<sim::SimRing> ring;
    std::unique_ptr<Logger> log;
    std::unique_ptr<SeededSecretRandom> secrets;
    Shard* shard = nullptr;  // while it lives
  };

  void Ring(uint32_t shard_index) override { cores_[shard_index].ring->WakeFromOutside(); }
  void StartCores();
  void RunCore(uint32_t core);
  // Steps until `done`; false when that takes longer than `longest`.
  template <typename Done>
  bool RunUntil(const Done& done, Duration longest);
  std::vector<StudyResult::Core> Look() const;
  void Tell(Mail::Control control);
  bool AtRest() const;
  void End();
  void Fail(std::string why);

  const StudyPlan plan_;
  const Config config_;
  sim::SimKernel kernel_;
  Clocks clocks_;
  SeededSecretRandom secrets_;
  FileSink sink_;
  std::unique_ptr<FleetShared> shared_;
  std::unique_ptr<InlineCrew> crew_;
  std::vector<Core> cores_;
  std::vector<sim::SimRing*> rings_;
  std::unique_ptr<StudyPeers> peers_;
  std::vector<uint32_t> core_of_client_;
  size_t next_client_ = 0;
  StudyResult result_;
};

}  // namespace trireme::bench
