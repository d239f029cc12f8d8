// SPDX-License-Identifier: GPL-3.0-or-later
//
// What must hold in every world, whatever its faults (ARCHITECTURE §7):
//
//   from every reply        cross-talk, order, bytes, session state: the clients themselves tell us
//   from every statement    a server runs one client's transaction at a time, and comes to the next
//                           client as clean as a new one
//   after every step        no cap is exceeded, by the boards' own count nor by PostgreSQL's
//   now and then            nobody waits while a server is idle, longer than mail takes
//   from within a pool      first come, first served (only with the marks of src/base/marks.h)
//   at rest                 every slot, buffer, operation, place and descriptor is home
//
// The first broken promise ends the world: what follows from it says nothing. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/marks.h"
#include "shard/shard.h"
#include "test/sim/sim_backend.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_postgres.h"
#include "test/sim/sim_verdict.h"
#include "test/sim/world_plan.h"

namespace trireme::sim {

class Oracles final : public Verdict, public BackendObserver {
 public:
  // The first violation, in one line; does not return.
  using OnBroken = std::function<void(const std::string& what)>;
  Oracles(const WorldPlan& plan, SimKernel& kernel, OnBroken on_broken);

  // Who is looked at; outlive the oracles.
  void Watch(std::string name, const SimPostgres& postgres);
  void Watch(const Directory& directory) { directory_ = &directory; }

  // --- Verdict ---
  void OnViolation(const Violation& violation) override;

  // --- BackendObserver ---
  void OnLogin(const SimBackend& backend) override;
  void OnQuery(const SimBackend& backend, std::string_view tag) override;
  void OnTransaction(const SimBackend& backend, TransactionStatus status) override;
  void OnCancel(const Cancel& cancel) override;
  void OnEnd(const SimBackend& backend) override;

  // After every step of the world.
  void CheckCaps();
  // The same, until the pooler drains.
  void CheckNobodyWaitsInVain();
  // A waiter of one core's pool.
  void OnQueue(QueueEvent event, const void* pool, const void* waiter);
  // Everything has ended and everybody has gone.
  void CheckRest(uint32_t core, const Shard::Resources& left);
  void CheckNothingLeft();
  void Broken(std::string_view promise, const std::string& what);

  uint64_t hand_overs() const { return hand_overs_; }  // to another client than before

 private:
  struct Stay {          // of a client on a server
    std::string client;  // the last one, "c17"; "" = nobody yet
    bool in_transaction = false;
    std::string owner;  // of the transaction, once it has run a tagged statement in it
  };
  static constexpr Duration kLagMax = 3s;
  struct Cluster {
    std::string name;
    const SimPostgres* postgres;
    Time over_since = kNever;  // more connections than its cap
  };
  // What a core has shown of a pool, at each look since then.
  struct Shown {
    Time waiting_since = kNever;
    Time idle_since = kNever;
  };
  void CheckBoard(Board& board, Duration longest);
  Duration LongestWaitInVain() const;
  // Of all pools whose servers log in like this.
  uint64_t PoolCap(size_t cluster_index, const SimBackend& backend) const;

  const WorldPlan& plan_;
  SimKernel& kernel_;
  const OnBroken on_broken_;
  const Directory* directory_ = nullptr;
  std::vector<Cluster> clusters_;
  std::map<const SimBackend*, Stay> stays_;                 // never iterated
  std::map<const Board*, std::vector<Shown>> shown_;        // never iterated
  std::map<const void*, std::vector<const void*>> queues_;  // never iterated
  Time next_look_{};
  uint64_t heals_seen_ = 0;
  uint64_t hand_overs_ = 0;
};

}  // namespace trireme::sim
