// SPDX-License-Identifier: GPL-3.0-or-later
//
// The outside of the scaling study: clients that ask one simple query after the other, and servers
// that answer after a time drawn by chance. Neither costs anything: they are on other machines, one
// network latency away.
//
//   client i: "SELECT i" ─▶ pooler ─▶ server: draws a service time, notes it for client i, answers
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

struct PeerSettings {
  SocketAddress pooler;
  SocketAddress server;
  std::string user, database;
  Draw service;
  Draw think;
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
  void OnFailed(const std::string& why);

  sim::Network& network_;
  const PeerSettings settings_;
  Random random_;
  std::string answer_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<Duration> service_;  // of each client's last statement
  Results results_;
  uint64_t transactions_ = 0;
  uint32_t logged_in_ = 0;
  Time measured_from_ = kNever;
  bool ending_ = false;
  std::string first_failure_;
};

}  // namespace trireme::bench
