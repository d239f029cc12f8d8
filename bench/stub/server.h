// SPDX-License-Identifier: GPL-3.0-or-later
//
// One thread of the stub: its ring, its accept socket (SO_REUSEPORT spreads connections over the
// threads), its sessions and the timers of what is being served. Serving is waiting, not computing:
// the CPU is left to the pooler that is measured.
//
// A connection is freed when nothing is in flight on it. Owned and run by its thread; only `stop`
// comes from outside.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/socket_address.h"
#include "engine/ring.h"
#include "stub/session.h"

namespace trireme::bench {

struct ServerCounts {
  StubCounts sessions;
  uint64_t open_max = 0;     // connections at once
  uint64_t serving_max = 0;  // statements served at once
};

class StubServer {
 public:
  struct Options {
    SocketAddress address;
    StubSettings settings;
    int cpu = -1;
    uint64_t seed = 1;
  };
  StubServer(const Options& options, const std::atomic<bool>& stop);
  ~StubServer();

  // Listens; before Run, on any thread.
  Status Listen();
  // On its own thread, until stop.
  Status Run();

  const ServerCounts& counts() const { return counts_; }

 private:
  enum class Operation : uint8_t { kAccept, kReceive, kSend };
  struct Connection {
    Connection(StubSession::World world, int socket) : fd(socket), session(world) {}
    int fd;
    uint32_t in_flight = 0;
    uint32_t generation = 0;
    bool sending = false;
    bool sending_bulk = false;
    bool serving = false;
    bool closing = false;  // after what is owed was sent
    bool gone = false;     // at once
    uint64_t bulk_left = 0;
    StubSession session;
    std::string out;
    std::string next;
  };
  struct Timer {
    Time at;
    uint32_t connection;
    uint32_t generation;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  void OnCompletion(const Completion& completion);
  void OnAccept(const Completion& completion);
  void OnReceive(uint32_t index, const Completion& completion);
  void OnSent(uint32_t index, int32_t result);
  void Pump(uint32_t index);
  void Send(uint32_t index);
  void Leave(Connection& connection);
  void Settle(uint32_t index);
  void RunTimers();
  static uint64_t Tag(uint32_t index, Operation operation) {
    return uint64_t{index} << 2 | static_cast<uint64_t>(operation);
  }

  const Options options_;
  const std::atomic<bool>& stop_;
  int listener_ = -1;
  std::unique_ptr<Ring> ring_;
  Random random_;
  RowBlocks blocks_;
  ServerCounts counts_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint32_t> free_;
  uint32_t generation_next_ = 0;
  uint64_t open_ = 0;
  uint64_t serving_ = 0;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
};

}  // namespace trireme::bench
