// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the program under test takes from the machine while a simulated core runs it: heap blocks,
// locks, bytes copied. Simulated kernel, clients and servers do the same all the time, so each
// thread knows whose code it runs:
//
//   core's body ─▶ Inside: Shard::Turn() ─▶ Outside: SimRing, clocks, peers ─▶ Inside: a handler
//
// Counted is what happens inside, and only in a program that links census.cc, which stands in for
// malloc, memcpy, pthread_mutex_lock and their like. In all others the counts stay 0: ask linked().
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace trireme::sim {

struct Census {
  // Copied at once: a payload, not a name or a head.
  static constexpr size_t kLargeBytes = 1024;

  uint64_t allocations = 0;  // malloc and its like, operator new, growing by realloc
  uint64_t locks = 0;        // taken or tried: mutexes, read-write locks, spin locks
  uint64_t copies = 0;       // memcpy, memmove
  uint64_t copied_bytes = 0;
  uint64_t large_copies = 0;

  Census operator-(const Census& before) const {
    return {.allocations = allocations - before.allocations,
            .locks = locks - before.locks,
            .copies = copies - before.copies,
            .copied_bytes = copied_bytes - before.copied_bytes,
            .large_copies = large_copies - before.large_copies};
  }

  static bool linked();  // in census.cc: who asks links it

  class Inside;
  class Outside;
};

inline constinit thread_local Census census;  // so far
inline constinit thread_local bool census_counts = false;

class Census::Inside {
 public:
  Inside() : before_(std::exchange(census_counts, true)) {}
  ~Inside() { census_counts = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  const bool before_;
};

class Census::Outside {
 public:
  Outside() : before_(std::exchange(census_counts, false)) {}
  ~Outside() { census_counts = before_; }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  const bool before_;
};

}  // namespace trireme::sim
