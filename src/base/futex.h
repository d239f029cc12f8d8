// SPDX-License-Identifier: GPL-3.0-or-later
//
// Sleep and wake-up of the few threads that are not shards. A shard may wake, which is at most one
// system call and never blocks; it never sleeps here.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace trireme {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

// Returns when woken, when `word` no longer holds `expected`, or for no reason: the caller looks
// again.
inline void FutexWait(const std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
inline void FutexWakeOne(const std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}
inline void FutexWakeAll(const std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// One thread sleeps, any thread wakes it, and a wake-up costs a system call only while it sleeps:
//
//   sleeper: Announce(); look once more for work; work found ? Cancel() : Sleep();
//   others:  publish work; Wake();
//
// Both sides exchange the same word. Whichever comes second in its order reads what the first
// wrote: either Wake() sees the sleeper, or the sleeper's look sees the work.
class SleepFlag {
 public:
  void Announce() { state_.exchange(kAsleep, std::memory_order_acq_rel); }  // partner: Wake
  void Cancel() { state_.exchange(kAwake, std::memory_order_acq_rel); }
  void Sleep() {
    while (state_.load(std::memory_order_acquire) == kAsleep) FutexWait(state_, kAsleep);
  }
  void Wake() {  // partner: Announce, and the load in Sleep
    if (state_.exchange(kAwake, std::memory_order_acq_rel) == kAsleep) FutexWakeOne(state_);
  }

 private:
  static constexpr uint32_t kAwake = 0;
  static constexpr uint32_t kAsleep = 1;
  std::atomic<uint32_t> state_{kAwake};
};

}  // namespace trireme
