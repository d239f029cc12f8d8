// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/fibers.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test/sim/sim_ring.h"

namespace trireme::sim {
namespace {

struct Cores {
  Cores(uint64_t seed, uint32_t count) : kernel(seed), fibers(kernel) {
    for (uint32_t i = 0; i < count; ++i) {
      buffers.push_back(std::make_unique<Buffers>(Buffers::Options{.block_bytes = 512}));
      rings.push_back(
          std::make_unique<SimRing>(SimRing::Options{.index = i}, kernel, fibers, *buffers.back()));
      pointers.push_back(rings.back().get());
    }
    for (auto& ring : rings) ring->SetSiblings(pointers);
  }
  SimRing& ring(uint32_t index) { return *rings[index]; }

  SimKernel kernel;
  Fibers fibers;
  std::vector<std::unique_ptr<Buffers>> buffers;
  std::vector<std::unique_ptr<SimRing>> rings;
  std::vector<SimRing*> pointers;
};

TEST(Fibers, RunABodyToItsEnd) {
  Cores cores(1, 1);
  int turns = 0;
  cores.fibers.Add(cores.ring(0), [&] {
    for (; turns < 5; ++turns) cores.ring(0).SubmitAndReap(Time{});
  });
  EXPECT_EQ(turns, 0) << "nothing runs before the first step";
  EXPECT_TRUE(cores.fibers.RunUntil([&] { return cores.fibers.all_done(); }, kNever));
  EXPECT_EQ(turns, 5);
}

TEST(Fibers, ASleepEndsAtItsDeadline) {
  Cores cores(1, 1);
  SimRing& ring = cores.ring(0);
  const Time start = cores.kernel.now();
  uint32_t completed = 1;
  cores.fibers.Add(ring, [&] { completed = ring.SubmitAndReap(start + 1h); });
  cores.fibers.RunUntil([&] { return cores.fibers.all_done(); }, kNever);
  EXPECT_EQ(completed, 0u);
  EXPECT_GE(ring.now(), start + 1h);
  EXPECT_LT(ring.now(), start + 1h + 1ms);
}

// Each waits without limit for the other's wake.
TEST(Fibers, CoresWakeEachOther) {
  Cores cores(1, 2);
  constexpr uint32_t kRounds = 100;
  cores.fibers.Add(cores.ring(0), [&] {
    for (uint32_t i = 0; i < kRounds; ++i) {
      cores.ring(0).Wake(1);
      while (cores.ring(0).SubmitAndReap(kNever) == 0) {
      }
    }
  });
  cores.fibers.Add(cores.ring(1), [&] {
    for (uint32_t i = 0; i < kRounds; ++i) {
      while (cores.ring(1).SubmitAndReap(kNever) == 0) {
      }
      cores.ring(1).Wake(0);
    }
    cores.ring(1).SubmitAndReap(Time{});
  });
  EXPECT_TRUE(
      cores.fibers.RunUntil([&] { return cores.fibers.all_done(); }, cores.kernel.now() + 1min));
  EXPECT_EQ(cores.ring(0).counters().wakes_received, kRounds);
}

TEST(Fibers, SayWhenNothingIsLeftToDo) {
  Cores cores(1, 1);
  bool woken = false;
  cores.fibers.Add(cores.ring(0), [&] { woken = cores.ring(0).SubmitAndReap(kNever) == 1; });
  const Time latest = cores.kernel.now() + 1s;
  EXPECT_FALSE(cores.fibers.RunUntil([&] { return woken; }, latest)) << "nobody wakes it";
  EXPECT_EQ(cores.kernel.now(), latest);
  cores.ring(0).WakeFromOutside();
  EXPECT_TRUE(cores.fibers.RunUntil([&] { return woken; }, latest + 1s));
}

// Who goes next: the seed says so.
std::string Order(uint64_t seed, const Faults& faults) {
  Cores cores(seed, 4);
  cores.kernel.set_faults(faults);
  std::string order;
  for (uint32_t core = 0; core < 4; ++core) {
    cores.fibers.Add(cores.ring(core), [&, core] {
      for (int i = 0; i < 25; ++i) {
        order += static_cast<char>('a' + core);
        cores.ring(core).SubmitAndReap(i % 5 == 0 ? cores.ring(core).now() + 3us : Time{});
      }
    });
  }
  EXPECT_TRUE(cores.fibers.RunUntil([&] { return cores.fibers.all_done(); }, kNever));
  return order + std::to_string(cores.kernel.trace_hash());
}

TEST(Fibers, TheSeedChoosesTheOrder) {
  EXPECT_EQ(Order(1, {}), Order(1, {}));
  EXPECT_NE(Order(1, {}), Order(2, {}));
}

TEST(Fibers, PreemptAndStarveRepeatToo) {
  Faults faults;
  faults[Fault::kPreempt] = 300'000;
  faults[Fault::kStarve] = 100'000;
  for (uint64_t seed = 1; seed <= 10; ++seed) EXPECT_EQ(Order(seed, faults), Order(seed, faults));
}

}  // namespace
}  // namespace trireme::sim
