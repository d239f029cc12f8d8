// SPDX-License-Identifier: GPL-3.0-or-later
//
// One core: its ring, its accept sockets, its clients, its share of the servers, and the loop that
// drives them. Everything in here belongs to one thread; other cores are reached by mail only.
//
// A turn:
//
//   mail ─▶ side answers ─▶ timers ─▶ pools decide ─▶ closed things are freed ─▶ sends and mail go
//   out
//     ▲                                                                               │
//     └──── completions (clients and servers talk) ◀── sleep until there is work ◀────┘
//
// The simulator runs the same object over a simulated ring; only the fleet knows threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/timer_wheel.h"
#include "config/config.h"
#include "net/listener.h"
#include "net/stream.h"
#include "pool/pools.h"
#include "session/clients.h"
#include "shard/mailer.h"
#include "side/crew.h"

namespace trireme {

// What the cores of one fleet share; it outlives them.
struct FleetShared {
  struct Secrets {
    uint32_t cancel;  // scrambles process ids
    uint64_t ids;     // … and connection ids
  };
  FleetShared(const Config& config, uint32_t core_count, const SaltSecret& salts,
              const Secrets& secrets);

  const Config& config;
  PostOffice office;
  Directory directory;
  ClientCounts clients;
  const SaltSecret salts;
  const CancelIds cancel_ids;
  const uint64_t id_secret;

  // One core as the others and the main thread may see it.
  struct alignas(kCacheLine) View {
    std::atomic<uint32_t> clients{0};  // placed there: whoever places adds, the core itself removes
    // While draining: nothing left here, and how much mail it has sent and taken (relaxed: the main
    // thread looks until two looks agree).
    std::atomic<bool> at_rest{false};
    std::atomic<uint64_t> mail_sent{0};
    std::atomic<uint64_t> mail_received{0};
  };
  const std::unique_ptr<View[]> views;
  std::string version;
};

struct ShardContext {
  FleetShared& shared;
  Ring& ring;
  Crew& crew;
  Logger& log;
  SecretRandom& secrets;
  uint64_t seed;     // of decisions by chance
  int32_t cpu = -1;  // pinned to it; -1 = not pinned
};

class Shard final : private AcceptHandler, private ConsoleHost {
 public:
  explicit Shard(const ShardContext& context);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Opens this core's accept sockets (TCP on every core; a Unix socket on the core it falls to).
  Status Listen();
  // One turn; sleeps at most until `latest`.
  void Turn(Time latest = kNever);
  // The main thread has said that all cores are at rest.
  bool left() const { return left_; }

  Clients& clients() { return clients_; }
  Pools& pools() { return pools_; }
  // Nothing of clients, servers or listeners is left.
  bool at_rest() const;
  // For the log at the end: what should be 0.
  struct Resources {
    uint32_t clients, servers, buffers_in_use, ops_in_flight, streams;
  };
  Resources resources() const;

 private:
  // AcceptHandler
  void OnAccept(int fd, uint32_t listener_index) override;
  void OnAcceptPaused(int error, uint32_t listener_index) override;
  // ConsoleHost
  void Gather(SnapshotParts parts, Handle requester) override;
  std::string_view version() const override { return context_.shared.version; }

  void OnMail(const Mail& mail);
  void OnControl(Mail::Control control);
  uint32_t ChooseCore(uint32_t listener_index);
  ShardSnapshot MakeSnapshot(const SnapshotParts& parts);
  ShardRow MakeRow();
  void OnReport(uint64_t ticket, std::unique_ptr<ShardSnapshot> snapshot);
  void MakeOwnReports();
  void PublishView();
  Time NextDeadline(Time latest);

  struct Gathering {
    uint64_t ticket;
    Handle requester;
    std::vector<ShardSnapshot> reports;
  };

  const ShardContext context_;
  const Config& config_;
  const uint32_t core_;
  TimerWheel timers_;
  Random random_;
  Streams streams_;
  Mailer mailer_;
  ScramKeyCache keys_;
  Pools pools_;
  Clients clients_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Gathering> gatherings_;
  std::vector<Mail::Gather> own_reports_;  // our part of gatherings, due at the next turn
  uint64_t next_ticket_ = 1;
  uint32_t next_core_ = 0;  // where the search for the least loaded core begins
  uint64_t accepts_ = 0;
  uint64_t placed_elsewhere_ = 0;
  uint64_t sleeps_ = 0;
  Time busy_since_{};
  bool draining_ = false;
  bool left_ = false;
};

}  // namespace trireme
