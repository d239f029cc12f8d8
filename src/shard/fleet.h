// SPDX-License-Identifier: GPL-3.0-or-later
//
// The shards on their threads, from start to rest. Owned by the main thread, which alone calls it;
// the shards hear from it by mail.
//
//   Start ─▶ serving ─▶ Drain ─▶ (clients leave) ─▶ AtRest ─▶ Stop
//                          └─▶ EndNow (deadline, second signal) ─▶ AtRest ─▶ Stop
//
// At rest: no core has a client, a server, or an operation for one, and no mail is on its way: two
// looks, between which nothing was sent, found every core idle and every letter taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/log_writer.h"
#include "config/config.h"
#include "shard/shard.h"
#include "side/thread_crew.h"

namespace trireme {

// Makes rings for cores; main has the one that knows io_uring.
class RingFactory {
 public:
  virtual ~RingFactory() = default;
  // On the thread of the core, which alone uses the ring. It lives until Destroy.
  virtual Result<Ring*> Start(uint32_t core) = 0;
  virtual void Destroy(uint32_t core) = 0;  // the same thread
  // Any thread.
  virtual void WakeFromOutside(uint32_t core) = 0;
};

class Fleet final : private Doorbell {
 public:
  struct Options {
    std::vector<int32_t> cpus;  // one for each core; -1 = not pinned
    std::string version;
    uint64_t seed;
  };
  Fleet(const Config& config, Options options, RingFactory& rings, LogWriter& log_writer,
        LogStyle log_style);
  ~Fleet();  // stopped (asserted)

  // All cores serve, or the first error, and everything is stopped again.
  Status Start();
  void Drain() { Tell(Mail::Control::kDrain); }
  void EndNow() { Tell(Mail::Control::kEndNow); }
  // Looks; never waits.
  bool AtRest();
  // Joins the threads; the fleet is at rest.
  void Stop();
  // What was left when the threads ended: all zero.
  Shard::Resources resources() const { return resources_; }
  uint32_t core_count() const { return static_cast<uint32_t>(options_.cpus.size()); }

 private:
  void Ring(uint32_t shard_index) override { rings_.WakeFromOutside(shard_index); }
  void Tell(Mail::Control control);
  void Run(uint32_t core);
  Status RunCore(uint32_t core);

  struct Census {
    bool rest = false;
    uint64_t sent = 0;
    uint64_t received = 0;
    friend bool operator==(const Census&, const Census&) = default;
  };
  Census Count() const;

  const Config& config_;
  const Options options_;
  RingFactory& rings_;
  LogWriter& log_writer_;
  const LogStyle log_style_;
  std::unique_ptr<FleetShared> shared_;
  std::unique_ptr<ThreadCrew> crew_;
  std::vector<std::thread> threads_;
  std::atomic<uint32_t> listening_{0};  // cores that serve or have failed
  std::vector<Status> statuses_;        // written before `listening_` counts the core
  std::vector<Shard::Resources> left_;  // written before the thread ends
  Shard::Resources resources_{};
  Census last_census_;
};

}  // namespace trireme
