// SPDX-License-Identifier: GPL-3.0-or-later
//
// The crew of the simulator: no threads. A submitted job rings the doorbell at once; the next
// Drain() runs its work and hands it back, in the order of submission.
#pragma once

#include <cstdint>
#include <memory>

#include "side/crew.h"

namespace trireme {

class InlineCrew final : public Crew {
 public:
  struct Options {
    uint32_t shards = 1;
    uint32_t jobs_max = 1024;  // out at once, for each shard
  };

  // The doorbell outlives the crew.
  InlineCrew(Options options, Doorbell* doorbell)
      : options_(options), doorbell_(doorbell), queues_(new Queue[options.shards]) {}

  // Jobs not yet started come back as cancelled from now on.
  void Stop() { stopped_ = true; }

  [[nodiscard]] bool Submit(uint32_t shard_index, Job& job) override {
    TRIREME_ASSERT(shard_index < options_.shards && job.state != Job::State::kSubmitted);
    if (queues_[shard_index].count() == options_.jobs_max) return false;
    job.state = Job::State::kSubmitted;
    queues_[shard_index].PushBack(job);
    doorbell_->Ring(shard_index);
    return true;
  }

  uint32_t Drain(uint32_t shard_index) override {
    TRIREME_ASSERT(shard_index < options_.shards);
    Queue& queue = queues_[shard_index];
    const auto count = static_cast<uint32_t>(queue.count());
    for (uint32_t i = 0; i < count; ++i) {
      Job& job = *queue.PopFront();
      if (!stopped_) job.work(job);
      Finish(job, stopped_ ? Job::State::kCancelled : Job::State::kWorked);
    }
    return count;
  }

  uint32_t outstanding(uint32_t shard_index) const override {
    return static_cast<uint32_t>(queues_[shard_index].count());
  }

 private:
  using Queue = List<Job, &Job::node>;

  const Options options_;
  Doorbell* const doorbell_;
  bool stopped_ = false;
  const std::unique_ptr<Queue[]> queues_;
};

}  // namespace trireme
