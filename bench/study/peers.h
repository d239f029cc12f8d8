// SPDX-License-Identifier: GPL-3.0-or-later
//
// The outside of the scaling study: clients that ask one query after the other, and servers that
// answer after a time drawn by chance. Neither costs anything: they are on other machines, one
// network latency away.
//
//   client i: "SELECT i" ─▶ pooler ─▶ server: draws a service time, notes it for client i, answers
//
// In the extended protocols i is the value of the statement's parameter.
//
// so that a client knows what part of its latency was service, and what was waiting: for a server,
// for a core, for a lock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/draw.h"
#include "engine/latency.h"
#include "test/sim/peer.h"

namespace trireme::bench {

enum class Protocol : uint8_t {
  kSimple,    // Query
  kExtended,  // Parse, Bind, Describe, Execute and Sync of the empty names, in one send
  kPrepared,  // Bind, Execute and Sync of a statement that was parsed after login
};

// How a transaction is said, and how long its texts are at least.
struct Talk {
  Protocol protocol = Protocol::kSimple;
  uint32_t query_bytes = 0;
  uint32_t answer_bytes = 10;
};

// When a client asks again.
enum class Pace : uint8_t {
  kEach,      // when it has its answer and has thought
  kTogether,  // … and all others have theirs: all ask at once
};

struct PeerSettings {
  SocketAddress pooler;
  SocketAddress server;
  std::string user, database;
  Talk talk;
  Draw service;
  Draw think;
  Pace pace = Pace::kEach;
  Duration network{0};  // one way
};

class StudyPeers final : private sim::PeerAcceptor {
 public:
  StudyPeers(sim::Network& network, const PeerSettings& settings, uint64_t seed);
  ~StudyPeers() override;

  // Servers listen; then so many clients connect, `apart` after one another.
  void Start(uint32_t client_count, Duration apart);
  uint32_t logged_in() const { return logged_in_; }
  // Each client begins its first transaction within `spread`.
  void Begin(Duration spread);
  // What ends from now on counts.
  void BeginMeasuring();
  // Clients finish what they do and leave.
  void End();

  struct Results {
    uint64_t transactions = 0;
    uint64_t failed = 0;
    Latency latency;  // of a transaction, as its client sees it
    Latency wait;     // … without its service and the network
    std::vector<uint64_t> by_client;
  };
  const Results& results() const { return results_; }
  uint64_t transactions() const { return transactions_; }  // also before measuring
  const std::string& first_failure() const { return first_failure_; }

 private:
  class Client;
  class Server;
  sim::PeerHandler& OnAccept(sim::PeerSocket& socket) override;
  void OnDone(uint32_t client, Time begun);
  void AskTogether();
  void OnFailed(const std::string& why);

  sim::Network& network_;
  const PeerSettings settings_;
  Random random_;
  const size_t answer_bytes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<Duration> service_;  // of each client's last statement
  Results results_;
  uint64_t transactions_ = 0;
  uint32_t logged_in_ = 0;
  size_t done_together_ = 0;  // of this round
  Time measured_from_ = kNever;
  bool ending_ = false;
  std::string first_failure_;
};

}  // namespace trireme::bench
