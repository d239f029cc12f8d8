// SPDX-License-Identifier: GPL-3.0-or-later
#include "side/thread_crew.h"

#include <signal.h>

#include <bit>

#include "base/assert.h"
#include "base/futex.h"

namespace trireme {

ThreadCrew::ThreadCrew(Options options, Doorbell* doorbell)
    : options_(options), doorbell_(doorbell) {
  TRIREME_ASSERT(options.threads > 0 && std::has_single_bit(options.jobs_max));
  for (uint32_t i = 0; i < options.shards; ++i) {
    desks_.push_back(std::make_unique<Desk>(options.jobs_max));
  }
  // Signals belong to the thread that waits for them; a new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (uint32_t i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadCrew::~ThreadCrew() {
  Stop();
  for (const auto& desk : desks_) TRIREME_ASSERT(desk->outstanding == 0);
}

void ThreadCrew::Stop() {
  if (stopped_.load(std::memory_order_relaxed)) return;  // only this thread writes it
  stopping_.store(true, std::memory_order_release);
  submissions_.fetch_add(1, std::memory_order_acq_rel);
  FutexWakeAll(submissions_);
  for (std::thread& thread : threads_) thread.join();
  stopped_.store(true, std::memory_order_release);  // partner: the acquire in Drain
  for (uint32_t i = 0; i < options_.shards; ++i) doorbell_->Ring(i);
}

bool ThreadCrew::Submit(uint32_t shard_index, Job& job) {
  TRIREME_ASSERT(shard_index < options_.shards && job.state != Job::State::kSubmitted);
  Desk& desk = *desks_[shard_index];
  if (desk.outstanding == options_.jobs_max) return false;
  job.state = Job::State::kSubmitted;
  const bool pushed = desk.requests.TryPush(&job);
  TRIREME_ASSERT(pushed);  // no more jobs are out than a queue has cells
  ++desk.outstanding;
  submissions_.fetch_add(1, std::memory_order_acq_rel);  // partner: the acquire in Run
  FutexWakeOne(submissions_);
  return true;
}

uint32_t ThreadCrew::Drain(uint32_t shard_index) {
  TRIREME_ASSERT(shard_index < options_.shards);
  Desk& desk = *desks_[shard_index];
  if (desk.outstanding == 0) return 0;
  // Before the queues: once it is set, no side thread touches them and the requests are ours to
  // take.
  const bool stopped = stopped_.load(std::memory_order_acquire);
  const uint32_t limit = desk.outstanding;
  uint32_t count = 0;
  for (Job* job = nullptr; count < limit && desk.answers.TryPop(&job); ++count) {
    --desk.outstanding;
    Finish(*job, Job::State::kWorked);
  }
  for (Job* job = nullptr; stopped && count < limit && desk.requests.TryPop(&job); ++count) {
    --desk.outstanding;
    Finish(*job, Job::State::kCancelled);
  }
  return count;
}

uint32_t ThreadCrew::outstanding(uint32_t shard_index) const {
  return desks_[shard_index]->outstanding;
}

// No submission is slept through: one that our look missed has changed the count since we read it,
// and then FutexWait returns at once.
void ThreadCrew::Run() {
  while (true) {
    const uint32_t seen = submissions_.load(std::memory_order_acquire);  // partner: Submit, Stop
    if (stopping_.load(std::memory_order_acquire)) return;
    const Task task = Take();
    if (task.job == nullptr) {
      FutexWait(submissions_, seen);
      continue;
    }
    task.job->work(*task.job);
    {
      const std::lock_guard lock(side_mutex_);
      const bool pushed = desks_[task.shard_index]->answers.TryPush(task.job);
      TRIREME_ASSERT(pushed);  // no more jobs are out than a queue has cells
    }
    doorbell_->Ring(task.shard_index);  // the job may be gone by now
  }
}

ThreadCrew::Task ThreadCrew::Take() {
  const std::lock_guard lock(side_mutex_);
  for (uint32_t i = 0; i < options_.shards; ++i) {
    const uint32_t shard_index = (next_desk_ + i) % options_.shards;
    Job* job = nullptr;
    if (!desks_[shard_index]->requests.TryPop(&job)) continue;
    next_desk_ = shard_index + 1;
    return {.job = job, .shard_index = shard_index};
  }
  return {};
}

}  // namespace trireme
