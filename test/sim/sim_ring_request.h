// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside of SimRing: an operation from its begin to its last completion, and a completion from when
// it has happened to when it is handled.
#pragma once

#include <vector>

#include "test/sim/sim_ring.h"

namespace trireme::sim {

struct SimRing::Request final : SocketWatcher {
  Request(SimRing& its_ring, Kind its_kind, uint64_t its_sequence)
      : ring(its_ring), kind(its_kind), sequence(its_sequence) {}
  void OnReady() override {
    if (queued) return;
    queued = true;
    ring.tasks_.push_back(sequence);
    ring.waiter_.OnRunnable(ring);
  }

  SimRing& ring;
  const Kind kind;
  const uint64_t sequence;
  Op* op = nullptr;
  int fd = -1;
  Socket* socket = nullptr;                // from submission on; referenced
  bool queued = false;                     // in tasks_
  const SocketAddress* address = nullptr;  // connect
  Bytes bytes;                             // send
  const msghdr* message = nullptr;         // send vector; then `bytes` is empty
  uint64_t bytes_hash = 0;                 // as they were at the begin
  size_t sent = 0;
  uint32_t wake_index = 0;
  bool quick = false;  // a send that need not wait
};

struct SimRing::Entry {
  uint64_t sequence = 0;  // of the request; 0 = a wake
  Op* op = nullptr;
  int32_t result = 0;
  bool more = false;
  Time visible{};
  Block* block = nullptr;  // receive
  std::vector<std::byte> received;
  Bytes bytes;  // send
  const msghdr* message = nullptr;
  uint64_t bytes_hash = 0;
  bool quiet = false;  // a quick send has succeeded: ends no wait
};

}  // namespace trireme::sim
