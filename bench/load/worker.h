// SPDX-License-Identifier: GPL-3.0-or-later
//
// One thread of the load: its ring, its clients, its timers. A client is a state machine of one
// connection, driven by completions:
//
//   kClosed ─▶ kConnecting ─▶ kLogin ─▶ kResting ◀─▶ kRunning ◀─▶ kSleeping
//      ▲                                   │
//      └──────────────── kClosing ◀────────┘  (from any state; until nothing is in flight)
//
// Closed loop: a resting client runs again after its think time. Open loop: it waits for an
// arrival, and a run's latency counts from the instant it should have begun, however late a client
// was free: no coordinated omission.
//
// Everything here belongs to the worker's thread, except LoadPhase (atomics) and Interval (a
// mutex).
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "auth/server_auth.h"
#include "engine/ring.h"
#include "engine/scanner.h"
#include "load/options.h"
#include "load/results.h"

namespace trireme::bench {

// How far all threads together are. Instants are nanoseconds of the monotonic clock, 0 = not known.
struct LoadPhase {
  std::atomic<uint32_t> connected{0};  // workers whose clients are (or have given up)
  std::atomic<uint64_t> clients{0};    // of these: that are connected
  std::set<uint16_t> chosen;           // local ports; empty = all. Written before `start`
  std::atomic<int64_t> start{0};       // written once by the main thread when all are
  std::atomic<bool> stop{false};       // by a signal: end early, in order
};

class Worker {
 public:
  Worker(const LoadOptions& options, uint32_t index, LoadPhase& phase);
  ~Worker();

  // On its own thread; returns at the end of the drain, with every connection closed.
  Status Run();

  LoadResults& results() { return results_; }
  Interval& interval() { return interval_; }

 private:
  enum class State : uint8_t {
    kClosed,
    kConnecting,
    kLogin,
    kResting,
    kRunning,
    kSleeping,  // within a run
    kClosing,
  };
  enum class Operation : uint8_t { kConnect, kReceive, kSend };
  enum class AfterClose : uint8_t { kConnect, kBackOff, kStay };

  struct Client {
    int fd = -1;
    State state = State::kClosed;
    AfterClose after_close = AfterClose::kConnect;
    char status = 'I';  // of the last ReadyForQuery
    bool works = true;  // false: once, then silent
    bool slow = false;
    bool failed = false;        // this run
    bool lost_is_told = false;  // FATAL came: the end that follows is no second error
    bool rolling_back = false;
    bool copying = false;
    bool receiving = false;
    bool was_ready = false;
    uint32_t number = 0;
    uint32_t route = 0;
    uint32_t in_flight = 0;
    bool sending = false;
    uint32_t timer = 0;  // the one that counts; others are stale
    uint32_t script = 0;
    uint32_t step = 0;
    uint32_t replies_left = 0;
    uint64_t known_statements = 0;  // bits
    uint64_t copy_left = 0;
    uint64_t done = 0;  // while measuring
    Time begun{};       // of the run, as intended, or of the connection
    Duration backoff{0};
    Scanner scanner;
    std::string out;   // what is being sent
    std::string next;  // what will be
    std::unique_ptr<ServerAuthenticator> authenticator;
    std::unique_ptr<std::byte[]> slow_buffer;
  };
  struct Timer {
    Time at;
    uint32_t client;
    uint32_t id;
    bool read;  // a slow client may read again
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  // worker.cc: phases, timers, arrivals.
  void MakeClients();
  void TurnOnce(Time deadline);
  Time NextDeadline() const;
  void RunTimers();
  void RunArrivals();
  bool Measuring(Time at) const { return at >= measure_from_ && at < measure_until_; }
  bool MayStart() const { return started_ && now() < measure_until_; }
  Status SetUp();
  void ConnectAll();
  void AwaitStart();
  void ObeyChoice();
  void Measure();
  void Drain();
  void Publish();
  void CountUnfinished();
  void CloseAll();
  Time now() const { return ring_->now(); }
  void SetTimer(Client& client, Duration after);
  void OnTimer(Client& client);

  // client.cc: one connection.
  void OnCompletion(const Completion& completion);
  void OnReceive(Client& client, const Completion& completion);
  void OnSent(Client& client, int32_t result);
  bool OnMessage(Client& client, char type, Bytes body);
  bool OnLoginMessage(Client& client, char type, Bytes body);
  void BeginConnect(Client& client);
  void OnConnected(Client& client, int32_t result);
  void BeginReceive(Client& client);
  void Authenticate(Client& client, ServerAuthenticator::Step step);
  void BeginRun(Client& client, Time intended);
  void BeginStep(Client& client);
  void OnReady(Client& client);
  void OnError(Client& client, Bytes body);
  void FinishRun(Client& client);
  void Rest(Client& client);
  void Send(Client& client);
  void SendNext(Client& client);
  void SendCopy(Client& client);
  void Lose(Client& client, const std::string& why);
  void BeginClose(Client& client, AfterClose after);
  void FinishClose(Client& client);
  // The last act on a client that may have begun to close.
  void Settle(Client& client) {
    if (client.state == State::kClosing && client.in_flight == 0) FinishClose(client);
  }
  const std::string& CopyBlock(uint32_t row_bytes);
  void CountError(const std::string& what) { ++results_.errors[what]; }
  uint32_t PickScript();
  uint32_t IndexOf(const Client& client) const {
    return static_cast<uint32_t>(&client - clients_.data());
  }
  uint64_t Tag(const Client& client, Operation operation) const {
    return uint64_t{IndexOf(client)} << 2 | static_cast<uint64_t>(operation);
  }

  const LoadOptions& options_;
  const uint32_t index_;
  LoadPhase& phase_;
  std::unique_ptr<Ring> ring_;
  Random random_;
  std::vector<Client> clients_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::optional<Arrivals> arrivals_;
  Time next_arrival_ = kNever;
  std::deque<Time> waiting_;      // arrivals without a client
  std::deque<uint32_t> resting_;  // clients without an arrival
  double weights_ = 0;
  bool started_ = false;
  bool measuring_ = false;  // Measure() runs: what ends now is counted
  bool ending_ = false;     // lost connections are not opened again
  Time measure_from_ = kNever;
  Time measure_until_ = kNever;
  uint32_t connect_next_ = 0;
  uint32_t connecting_ = 0;
  uint32_t running_ = 0;
  uint32_t open_ = 0;
  uint32_t ready_ = 0;                           // clients that have rested once
  std::map<uint32_t, std::string> copy_blocks_;  // by row size: whole CopyData messages
  std::unique_ptr<SecretRandom> secret_random_;
  std::unique_ptr<ScramKeyCache> keys_;
  std::unique_ptr<SaltSecret> salts_;
  LoadResults results_;
  LoadTotals totals_;
  Interval interval_;
  Latency interval_latency_;
  uint64_t interval_transactions_ = 0;
  uint64_t interval_failed_ = 0;
  Time publish_at_{};
};

}  // namespace trireme::bench
