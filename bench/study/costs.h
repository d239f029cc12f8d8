// SPDX-License-Identifier: GPL-3.0-or-later
//
// What things cost a core of the scaling study, in nanoseconds: the parameters of its model. A JSON
// file has them, each with a word on where it comes from:
//
//   {"send": {"ns": 2500, "how": "study-costs: median of …"}, …}
//
// Every one must be there, and nothing else: a study with half a model would look like one.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace trireme::bench {

struct Costs {
  // A core alone.
  Duration turn{0};         // the loop itself, our own instructions
  Duration completion{0};   // our own instructions for each completion
  Duration system_call{0};  // one io_uring_enter, without what it does
  Duration send{0};         // the kernel's work for a small message
  Duration receive{0};
  Duration begin{0};          // an accept, connect or receive armed
  Duration cancel{0};         // … cancelled
  Duration close{0};          // shutdown or close
  Duration sleep{0};          // CPU of going to sleep and of coming back
  Duration sleep_latency{0};  // from the event that ends a sleep until the core runs
  // Cores together.
  Duration wake{0};           // the sender's part of a wake-up
  Duration line_transfer{0};  // a cache line that another core has changed
  Duration line_scan{0};      // … when many are read one after the other, and overlap
  Duration mail{0};           // our own instructions for a letter, at each end
  // sharing.policy shared_mutex.
  Duration lock_hold{0};    // instructions under the lock
  uint64_t lock_lines = 0;  // cache lines that move with it
  Duration lock_spin{0};    // tries for so long before it sleeps
  Duration lock_sleep{0};   // the sleeper's system call, and the waker's, each
  // The world.
  Duration network{0};  // one way, to clients and to servers
};

// Errors name the file and the key.
Result<Costs> ReadCosts(const std::string& path);

}  // namespace trireme::bench
