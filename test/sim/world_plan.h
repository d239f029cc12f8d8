// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a seed makes of a world: how many cores, which configuration, which faults how often, who
// the clients and the clusters are, how long each phase lasts. Pure: the same seed, the same plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "test/sim/faults.h"
#include "test/sim/focus.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_postgres.h"

namespace trireme::sim {

struct WorldPlan {
  struct ClientPlan {
    ClientSettings settings;
    ClientHabits habits;
  };
  struct PostgresPlan {
    PostgresSettings settings;
    PostgresHabits habits;
  };
  // How the pooler ends.
  enum class End : uint8_t {
    kAfterHealing,  // all is well, the clients have said goodbye or are about to
    kUnderLoad,     // healed, the clients go on until they are sent away
    kUnderFaults,   // SIGTERM in the middle of it
    kAtOnce,        // … and a second one
  };

  uint64_t seed = 0;
  Focus focus = Focus::kNone;
  uint32_t core_count = 2;
  Config config;
  Faults faults;
  std::vector<PostgresPlan> clusters;  // one for each storage
  std::vector<ClientPlan> clients;
  Duration faults_time{};
  Duration healthy_time{};
  // A phase also ends when the world has done so much: events of the kernel and turns of cores.
  uint64_t work_max = 0;
  // Once healed: whoever waits longer than this is neither served nor told.
  Duration patience{};
  End end = End::kAfterHealing;

  static WorldPlan Draw(uint64_t seed);
  // A few words for a progress line.
  std::string Text() const;
};

}  // namespace trireme::sim
