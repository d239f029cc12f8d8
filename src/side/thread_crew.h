// SPDX-License-Identifier: GPL-3.0-or-later
//
// The crew with real threads. Owned by main: made before the shards, stopped while the shards (or
// main on their behalf) can still drain, destroyed after all jobs are home.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/spsc.h"
#include "side/crew.h"

namespace trireme {

class ThreadCrew final : public Crew {
 public:
  struct Options {
    uint32_t threads = 2;
    uint32_t shards = 1;
    uint32_t jobs_max = 1024;  // out at once, for each shard; a power of two
  };

  // Starts the threads, with all signals blocked. The doorbell outlives Stop().
  ThreadCrew(Options options, Doorbell* doorbell);
  // Stops; asserts that every job is home.
  ~ThreadCrew() override;

  // The thread that made the crew. Waits for the jobs that run now (a name lookup may take as long
  // as the resolver's own timeout); those not started come back as cancelled with the shard's next
  // Drain(), as does whatever is submitted later. Rings every doorbell. Again: does nothing.
  void Stop();

  [[nodiscard]] bool Submit(uint32_t shard_index, Job& job) override;
  uint32_t Drain(uint32_t shard_index) override;
  uint32_t outstanding(uint32_t shard_index) const override;

 private:
  // What one shard shares with the side threads.
  struct Desk {
    explicit Desk(uint32_t jobs_max) : requests(jobs_max), answers(jobs_max) {}
    SpscQueue<Job*> requests;  // shard → whichever side thread holds the mutex
    SpscQueue<Job*> answers;   // whichever side thread holds the mutex → shard
    alignas(kCacheLine) uint32_t outstanding = 0;  // the shard's own
  };
  struct Task {
    Job* job = nullptr;
    uint32_t shard_index = 0;
  };

  void Run();
  Task Take();

  const Options options_;
  Doorbell* const doorbell_;
  std::vector<std::unique_ptr<Desk>> desks_;
  std::vector<std::thread> threads_;

  // Counts submissions: a side thread that found nothing sleeps until it changes.
  alignas(kCacheLine) std::atomic<uint32_t> submissions_{0};
  std::atomic<bool> stopping_{false};  // release in Stop, acquire in Run
  std::atomic<bool> stopped_{false};   // release after the joins, acquire in Drain

  std::mutex side_mutex_;   // side threads only: their end of the queues, and the next line
  uint32_t next_desk_ = 0;  // so that no shard starves another
};

}  // namespace trireme
