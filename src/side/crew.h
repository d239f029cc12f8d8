// SPDX-License-Identifier: GPL-3.0-or-later
//
// The few threads for work that blocks: name lookup, PAM, LDAP, key derivation. A shard submits a
// Job; a side thread runs `work`; the shard's doorbell rings; the shard's next Drain() runs `done`.
//
//   shard ── Submit ──▶ requests (SPSC) ──▶ side thread: work(job)
//   shard ◀── Drain: done(job) ◀── answers (SPSC) ◀──┘   └──▶ doorbell.Ring(shard)
//
// Shards never lock and never wait here. The side threads share one end of every queue under a
// mutex of their own, so that one job that takes long does not hold those behind it while a thread
// is free.
//
// A job belongs to its owner, who keeps it alive and untouched from Submit() until `done`; `done`
// runs exactly once for each Submit() that returned true, also at shutdown.
#pragma once

#include <cstdint>

#include "base/intrusive_list.h"

namespace trireme {

struct Job {
  using Function = void (*)(Job& job);

  enum class State : uint8_t {
    kIdle,       // with its owner
    kSubmitted,  // with the crew
    kWorked,     // in `done`: `work` has run
    kCancelled,  // in `done`: the crew stopped first; `work` has not run
  };

  Job(Function work_function, Function done_function) : work(work_function), done(done_function) {}

  const Function work;  // on a side thread: reads and writes only what the job owns
  const Function done;  // on the shard that submitted; may submit again or destroy the job
  State state = State::kIdle;
  ListNode node;  // for the crew
};

// How a crew tells a shard to drain; implemented by the shard's wake-up.
class Doorbell {
 public:
  virtual ~Doorbell() = default;
  // Any thread.
  virtual void Ring(uint32_t shard_index) = 0;
};

class Crew {
 public:
  virtual ~Crew() = default;

  // The shard's own thread. False when `jobs_max` jobs of this shard are out: answer with an error
  // or try again after the next Drain().
  [[nodiscard]] virtual bool Submit(uint32_t shard_index, Job& job) = 0;

  // The shard's own thread, each turn: runs `done` for what has finished, and returns how many. Not
  // re-entrant; what `done` submits waits for a later Drain().
  virtual uint32_t Drain(uint32_t shard_index) = 0;

  // The shard's own thread: jobs submitted whose `done` has not run.
  virtual uint32_t outstanding(uint32_t shard_index) const = 0;

 protected:
  // Hands a job back to its owner.
  static void Finish(Job& job, Job::State state) {
    job.state = state;
    job.done(job);
  }
};

}  // namespace trireme
