// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>
#include <vector>

#include "side/inline_crew.h"
#include "side/thread_crew.h"

namespace trireme {
namespace {

// One bell a shard; a test's thread waits for it as a shard would.
class Bells final : public Doorbell {
 public:
  void Ring(uint32_t shard_index) override {
    rings[shard_index].fetch_add(1, std::memory_order_release);
    rings[shard_index].notify_all();
  }
  std::atomic<uint32_t> rings[4] = {};
};

struct Sum : Job {
  Sum() : Job(Work, Done) {}
  static void Work(Job& job) {
    auto& sum = static_cast<Sum&>(job);
    sum.worked_on = std::this_thread::get_id();
    sum.answer = sum.a + sum.b;
  }
  static void Done(Job& job) {
    auto& sum = static_cast<Sum&>(job);
    ++sum.done_count;
    sum.finished = sum.state;
    sum.done_on = std::this_thread::get_id();
  }
  int a = 0, b = 0, answer = 0;
  int done_count = 0;
  State finished = State::kIdle;
  std::thread::id worked_on, done_on;
};

// Drains until `count` jobs came back, sleeping on the doorbell in between.
uint32_t DrainUntil(Crew& crew, Bells& bells, uint32_t shard_index, uint32_t count) {
  uint32_t drained = 0;
  while (drained < count) {
    const uint32_t heard = bells.rings[shard_index].load(std::memory_order_acquire);
    const uint32_t got = crew.Drain(shard_index);
    drained += got;
    if (got == 0) bells.rings[shard_index].wait(heard, std::memory_order_acquire);
  }
  return drained;
}

TEST(ThreadCrew, WorksElsewhereAndIsDoneOnTheShard) {
  Bells bells;
  ThreadCrew crew({.threads = 1}, &bells);
  Sum sum;
  sum.a = 2;
  sum.b = 3;
  ASSERT_TRUE(crew.Submit(0, sum));
  EXPECT_EQ(crew.outstanding(0), 1u);
  EXPECT_EQ(DrainUntil(crew, bells, 0, 1), 1u);
  EXPECT_EQ(sum.answer, 5);
  EXPECT_EQ(sum.finished, Job::State::kWorked);
  EXPECT_EQ(sum.done_on, std::this_thread::get_id());
  EXPECT_NE(sum.worked_on, std::this_thread::get_id());
  EXPECT_EQ(crew.outstanding(0), 0u);
  EXPECT_EQ(crew.Drain(0), 0u);
}

TEST(ThreadCrew, AShardMayHaveOnlySoManyJobsOut) {
  Bells bells;
  ThreadCrew crew({.threads = 1, .jobs_max = 2}, &bells);
  Sum sums[3];
  ASSERT_TRUE(crew.Submit(0, sums[0]));
  ASSERT_TRUE(crew.Submit(0, sums[1]));
  EXPECT_FALSE(crew.Submit(0, sums[2]));
  EXPECT_EQ(sums[2].state, Job::State::kIdle);
  DrainUntil(crew, bells, 0, 2);
  EXPECT_TRUE(crew.Submit(0, sums[2]));
  DrainUntil(crew, bells, 0, 1);
}

// Holds its side thread until the test lets it go.
struct Gate : Job {
  Gate() : Job(Work, [](Job&) {}) {}
  static void Work(Job& job) {
    auto& gate = static_cast<Gate&>(job);
    gate.entered.release();
    gate.open.acquire();
  }
  std::binary_semaphore entered{0};
  std::binary_semaphore open{0};
};

TEST(ThreadCrew, ALongJobDoesNotHoldThoseBehindIt) {
  Bells bells;
  ThreadCrew crew({.threads = 2}, &bells);
  Gate gate;
  ASSERT_TRUE(crew.Submit(0, gate));
  gate.entered.acquire();
  Sum sums[20];
  for (Sum& sum : sums) ASSERT_TRUE(crew.Submit(0, sum));
  EXPECT_EQ(DrainUntil(crew, bells, 0, 20), 20u);
  gate.open.release();
  DrainUntil(crew, bells, 0, 1);
}

TEST(ThreadCrew, StopFinishesWhatRunsAndCancelsTheRest) {
  Bells bells;
  ThreadCrew crew({.threads = 1}, &bells);
  Gate gate;
  Sum waiting[3];
  Sum late;
  ASSERT_TRUE(crew.Submit(0, gate));
  gate.entered.acquire();
  for (Sum& sum : waiting) {
    sum.a = 1;
    ASSERT_TRUE(crew.Submit(0, sum));
  }
  gate.open.release();
  crew.Stop();
  ASSERT_TRUE(crew.Submit(0, late));
  DrainUntil(crew, bells, 0, 5);
  EXPECT_EQ(gate.state, Job::State::kWorked);
  for (const Sum& sum : waiting) {
    EXPECT_EQ(sum.done_count, 1);
    EXPECT_EQ(sum.answer, sum.finished == Job::State::kWorked ? 1 : 0);
  }
  EXPECT_EQ(late.finished, Job::State::kCancelled);
  EXPECT_EQ(crew.outstanding(0), 0u);
}

TEST(ThreadCrew, StopRingsEveryShardSoThatNoneSleepsOnItsJobs) {
  Bells bells;
  ThreadCrew crew({.threads = 1, .shards = 3}, &bells);
  crew.Stop();
  crew.Stop();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bells.rings[i].load(), 1u);
}

// Three shards as threads, each with jobs that submit themselves again from `done`.
TEST(ThreadCrew, ShardsAndSideThreadsLoseNothing) {
  constexpr uint32_t kShards = 3;
  static constexpr int kRounds = 500;
  struct Again : Job {
    Again() : Job([](Job& job) { ++static_cast<Again&>(job).worked; }, Done) {}
    static void Done(Job& job) {
      auto& again = static_cast<Again&>(job);
      if (++again.rounds < kRounds) {
        ASSERT_TRUE(again.crew->Submit(again.shard_index, again));
      }
    }
    Crew* crew = nullptr;
    uint32_t shard_index = 0;
    int worked = 0;
    int rounds = 0;
  };
  Bells bells;
  ThreadCrew crew({.threads = 2, .shards = kShards, .jobs_max = 8}, &bells);
  std::vector<std::thread> shards;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    shards.emplace_back([&crew, &bells, shard] {
      Again jobs[8];
      for (Again& job : jobs) {
        job.crew = &crew;
        job.shard_index = shard;
        ASSERT_TRUE(crew.Submit(shard, job));
      }
      DrainUntil(crew, bells, shard, 8 * kRounds);
      for (const Again& job : jobs) EXPECT_EQ(job.worked, kRounds);
      EXPECT_EQ(crew.outstanding(shard), 0u);
    });
  }
  for (std::thread& shard : shards) shard.join();
}

TEST(InlineCrew, RunsInOrderOnTheDrainingThread) {
  Bells bells;
  InlineCrew crew({.shards = 2}, &bells);
  Sum first, second;
  first.a = 1;
  second.a = 2;
  ASSERT_TRUE(crew.Submit(1, first));
  ASSERT_TRUE(crew.Submit(1, second));
  EXPECT_EQ(bells.rings[1].load(), 2u);
  EXPECT_EQ(first.answer, 0);
  EXPECT_EQ(crew.Drain(0), 0u);
  EXPECT_EQ(crew.outstanding(1), 2u);
  EXPECT_EQ(crew.Drain(1), 2u);
  EXPECT_EQ(first.answer, 1);
  EXPECT_EQ(second.answer, 2);
  EXPECT_EQ(first.worked_on, std::this_thread::get_id());
  EXPECT_EQ(second.finished, Job::State::kWorked);
}

TEST(InlineCrew, WhatDoneSubmitsWaitsForTheNextDrain) {
  struct Again : Job {
    Again() : Job([](Job&) {}, Done) {}
    static void Done(Job& job) {
      auto& again = static_cast<Again&>(job);
      if (++again.rounds < 3) {
        ASSERT_TRUE(again.crew->Submit(0, again));
      }
    }
    Crew* crew = nullptr;
    int rounds = 0;
  };
  Bells bells;
  InlineCrew crew({}, &bells);
  Again job;
  job.crew = &crew;
  ASSERT_TRUE(crew.Submit(0, job));
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(job.rounds, 1);
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(crew.Drain(0), 0u);
}

TEST(InlineCrew, RefusesBeyondItsLimitAndCancelsWhenStopped) {
  Bells bells;
  InlineCrew crew({.jobs_max = 1}, &bells);
  Sum first, second;
  first.a = 1;
  ASSERT_TRUE(crew.Submit(0, first));
  EXPECT_FALSE(crew.Submit(0, second));
  crew.Stop();
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(first.finished, Job::State::kCancelled);
  EXPECT_EQ(first.answer, 0);
}

}  // namespace
}  // namespace trireme
