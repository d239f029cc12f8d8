// SPDX-License-Identifier: GPL-3.0-or-later
//
// Simulated cores with a clock each. Whatever a core does costs it time of its own; the next thing
// it does begins then, and what others see of it happens at that time. A core that sleeps uses
// none. Who is furthest behind goes on: the order of everything follows from the costs alone.
//
//   work ─▶ clock += cost          others' events ─▶ … ─▶ kernel.now() == clock ─▶ a send leaves
//            └─ before anything another core or a peer could see: wait until the world is there ─┘
//
// A lock is served in the order of arrival. Who comes while it is held waits; longer than
// `lock_spin`, asleep, which costs it two system calls, but nobody else: the lock is never free
// while somebody waits. Its line and `lock_lines` - 1 of what it guards move to each new holder.
//
// The boards of a pool (sharing.policy steal): a core whose queue changed in a turn writes its
// line, which another has read: one transfer. Who serves a waiter looks at the lines of hungry
// cores, Board::kLooksMost of them at most, in turns: `line_scan` for each that has changed since
// it was last looked at, `kLineHit` for the others.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/marks.h"
#include "base/shared_work.h"
#include "study/costs.h"
#include "test/sim/side_stack.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_ring.h"
#include "test/sim/sim_waiter.h"

namespace trireme::bench {

enum class BoardCosts : uint8_t { kNone, kShared };

class Clocks final : public sim::SimWaiter {
 public:
  Clocks(sim::SimKernel& kernel, const Costs& costs) : kernel_(kernel), costs_(costs) {}
  ~Clocks() override;  // all bodies have returned (asserted)

  // `ring` is used by this body only. Cores are numbered in the order they are added.
  void Add(sim::SimRing& ring, std::function<void()> body);
  void set_board_costs(BoardCosts boards) { boards_ = boards; }
  // What the clients and servers of a core's sends cost that core: when they share its CPU.
  void set_peer_cost(Duration cost) { peer_cost_ = cost; }
  bool all_done() const { return running_ == 0; }

  // The next thing that happens, not after `latest`. False: nothing until then (it is `latest`).
  bool Step(Time latest);

  struct Account {
    Duration busy{0};
    uint64_t turns = 0;  // of the loop
    uint64_t system_calls = 0;
    uint64_t sleeps = 0;
    uint64_t sends = 0;
    uint64_t receives = 0;
    uint64_t wakes = 0;
    uint64_t mails = 0;  // sent
    uint64_t locks = 0;
    uint64_t lock_waits = 0;
    Duration lock_waited{0};
    Account& operator-=(const Account& before);
  };
  const Account& account(uint32_t core) const { return cores_[core]->account; }

  // SimWaiter
  void Wait(sim::SimRing& ring, Time deadline) override;
  void Preempt(sim::SimRing&) override {}
  void OnWork(sim::SimRing& ring, Work work) override;
  void OnReaped(sim::SimRing& ring) override;
  void OnRunnable(sim::SimRing& ring) override;

  // What the marks of the program say; of the core that runs now, if one does.
  void OnSharedWork(SharedWork work, const void* what);
  void OnQueue(QueueEvent event);

 private:
  static constexpr Duration kLineHit = 2ns;
  enum class State : uint8_t { kReady, kAsleep, kDone };
  struct Core {
    Core(uint32_t core_index, sim::SimRing& its_ring, std::function<void()> body)
        : index(core_index), ring(its_ring), stack(std::move(body)) {}
    const uint32_t index;
    sim::SimRing& ring;
    sim::SideStack stack;
    State state = State::kReady;
    Time clock{};
    Time due = kNever;        // in ready_ with this time
    bool in_call = false;     // the turn's system call is paid
    bool line_dirty = false;  // the queue has changed in this turn
    Time line_changed{};      // … and when it did last
    bool hungry = false;      // it has waiters
    int64_t waiters = 0;
    std::vector<Time> looked_at;  // at the others' lines
    size_t look_from = 0;
    Account account;
  };
  struct Lock {
    Time free_at{};
    const Core* holder = nullptr;
  };

  void Charge(Core& core, Duration cost);
  void PayForCall(Core& core);
  void Sync(Core& core);
  void GiveWay(Core& core);
  void MakeDue(Core& core, Time due);
  void Resume(Core& core);
  void TakeLock(Core& core, Lock& lock);
  void LookAtBoards(Core& core);

  sim::SimKernel& kernel_;
  const Costs costs_;
  BoardCosts boards_ = BoardCosts::kNone;
  Duration peer_cost_{0};
  std::vector<std::unique_ptr<Core>> cores_;
  std::set<std::pair<Time, uint32_t>> ready_;
  std::map<const void*, Lock> locks_;  // never iterated: addresses decide nothing
  Core* current_ = nullptr;
  uint32_t running_ = 0;
};

}  // namespace trireme::bench
