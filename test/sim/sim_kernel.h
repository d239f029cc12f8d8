// SPDX-License-Identifier: GPL-3.0-or-later
//
// The simulated kernel: virtual time, one source of chance, sockets, and the faults. The same seed
// gives the same run: nothing here depends on pointers, hash maps or the wall clock, and
// trace_hash() covers every event, every byte sent and every completion, so two runs can be
// compared.
//
//   peers (sim_postgres, sim_client) ── PeerSocket ──┐
//                                                    ├── Socket ── events ── SimKernel
//   shards ── SimRing ── Descriptors (fd) ───────────┘
//
// One thread. Time moves only in RunNext() and AdvanceTo(); nothing here calls back from within a
// call, everything is told in an event.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ring/ring.h"
#include "test/sim/descriptors.h"
#include "test/sim/events.h"
#include "test/sim/faults.h"
#include "test/sim/peer.h"
#include "test/sim/socket.h"

namespace trireme::sim {

class SimPeerSocket;
class SimPeerListener;

class SimKernel final : public Network {
 public:
  explicit SimKernel(uint64_t seed);
  ~SimKernel() override;
  SimKernel(const SimKernel&) = delete;
  SimKernel& operator=(const SimKernel&) = delete;

  // ---- Network ----
  Time now() const override { return now_; }
  Random& random() override { return random_; }
  void At(Time time, std::function<void()> event) override;
  PeerSocket& Connect(const SocketAddress& address, PeerHandler& handler) override;
  void Listen(const SocketAddress& address, PeerAcceptor& acceptor) override;
  void StopListening(const SocketAddress& address) override;

  // ---- time ----
  Time next_event() const { return events_.next_time(); }  // kNever: none
  void RunNext();                                          // there is one
  void AdvanceTo(Time time);  // runs what is due until then; never back

  // Which listener of a REUSEPORT group gets the next connection: an index below the count given.
  // Chance, when nobody says.
  void set_spread(std::function<size_t(size_t)> spread) { spread_ = std::move(spread); }

  // ---- faults ----
  const Faults& faults() const { return faults_; }
  void set_faults(const Faults& faults) { faults_ = faults; }
  // No fault from now on, and what was clogged moves again. Capacities and latencies stay.
  void Heal();
  uint64_t heals() const { return heals_; }
  bool Roll(Fault fault);  // true: do it; counted
  FaultCounts& fault_counts() { return fault_counts_; }
  Duration Latency();
  Duration Within(Duration longest) { return Duration(1 + random_.Below(longest.count())); }

  // ---- trace ----
  uint64_t seed() const { return seed_; }
  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t events_run() const { return events_run_; }
  void Trace(uint64_t value);  // part of what must repeat
  // One line for each thing worth telling; none is made up when nobody listens.
  using Story = std::function<void(Time, std::string_view)>;
  void set_story(Story story) { story_ = std::move(story); }
  bool has_story() const { return story_ != nullptr; }
  void Tell(std::string_view line) {
    if (story_) story_(now_, line);
  }
  // The program under test did what it must never do (a closed fd used, bytes changed under a
  // send): says what, with the seed, after `on_violation`, and aborts.
  [[noreturn]] void Violation(std::string_view what);
  std::function<void(std::string_view what)> on_violation;

  // ---- sockets, for rings ----
  Descriptors& descriptors() { return descriptors_; }
  Socket& NewSocket(int family);
  Socket* Find(uint64_t id);
  // The listening socket (the reference is the caller's), or an error that names the address.
  Result<Socket*> Bind(const SocketAddress& address, const ListenOptions& options);
  // Connections that nobody has released yet; 0 at rest.
  size_t open_sockets() const { return sockets_.size(); }

 private:
  friend class Socket;
  friend class SimPeerSocket;
  friend class SimPeerListener;

  // Of a Socket's life.
  void Release(Socket& socket);
  void Unbind(Socket& listener);
  Socket* ListenerFor(const SocketAddress& address);
  bool file_exists(const SocketAddress& address) const;
  SocketAddress Unnamed(const SocketAddress& towards);
  void Join(Socket& client, Socket& listener);
  uint32_t NewCapacity();

  const uint64_t seed_;
  Random random_;
  Time now_;
  EventQueue events_;
  uint64_t events_run_ = 0;
  uint64_t trace_hash_ = 0;
  Story story_;
  Faults faults_;
  FaultCounts fault_counts_;
  uint64_t heals_ = 0;

  uint64_t next_id_ = 1;
  std::map<uint64_t, std::unique_ptr<Socket>> sockets_;
  std::map<std::string, std::vector<uint64_t>> listeners_;  // by address text; a REUSEPORT group
  std::set<std::string> socket_files_;                      // outlive their listeners
  uint16_t next_port_ = 20000;
  std::function<size_t(size_t)> spread_;
  Descriptors descriptors_;
  std::map<uint64_t, std::unique_ptr<SimPeerSocket>> peers_;  // by socket id
  std::map<uint64_t, std::unique_ptr<SimPeerListener>> acceptors_;
};

}  // namespace trireme::sim
