// SPDX-License-Identifier: GPL-3.0-or-later
//
// A Ring over the simulated kernel, as io_uring with DEFER_TASKRUN behaves: an operation is tried
// when it is submitted; one that must wait is tried again, within a later SubmitAndReap, once its
// socket says so. What completes is queued and handled at the end of that turn. The conformance
// suite in test/ring holds it to what the real kernel does.
//
// Beyond that it watches the program: bytes under a send must not change until it completes, an op
// must outlive what it has in flight, a closed fd must not be used. A breach is a
// SimKernel::Violation. What it does itself does not count as the program's (census.h).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ring/ring.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_waiter.h"

namespace trireme::sim {

class SimRing final : public Ring {
 public:
  struct Options {
    uint32_t index = 0;
    uint32_t submission_entries = 1024;  // a full queue is submitted early
    uint32_t published_min = 32;
    uint32_t published_max = 256;
  };
  SimRing(const Options& options, SimKernel& kernel, SimWaiter& waiter, Buffers& buffers);
  ~SimRing() override;  // nothing is in flight (asserted)

  // All rings of the fleet by index; outlives them.
  void SetSiblings(std::span<SimRing* const> rings) { siblings_ = rings; }
  // What the main thread does: ends the sleep as Wake() does.
  void WakeFromOutside();
  // A sleeping core would go on now.
  bool Runnable() const;
  SimKernel& kernel() { return kernel_; }

  // ---- Ring ----
  Duration cpu_time() const override { return Duration(1000 * counters_.turns); }
  Buffers& buffers() override { return buffers_; }
  uint32_t index() const override { return options_.index; }

  Result<int> Listen(const SocketAddress& address, const ListenOptions& options) override;
  Result<int> Open(int family) override;
  void SetOptions(int fd, const SocketOptions& options) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;
  void Shutdown(int fd, int how) override;
  void Close(int fd) override;

  void BeginAccept(Op& op, int listener_fd) override;
  void BeginConnect(Op& op, int fd, const SocketAddress& address) override;
  void BeginReceive(Op& op, int fd) override;
  void BeginSend(Op& op, int fd, Bytes bytes) override;
  void BeginQuickSend(Op& op, int fd, Bytes bytes) override;
  void BeginSendVector(Op& op, int fd, const msghdr& message) override;
  void Cancel(Op& op) override;
  void Wake(uint32_t ring_index) override;

  uint32_t SubmitAndReap(Time deadline) override;
  const Counters& counters() const override { return counters_; }
  uint32_t in_flight() const override { return in_flight_; }

 private:
  enum class Kind : uint8_t { kAccept, kConnect, kReceive, kSend, kCancel, kWake };
  struct Request;  // an operation, from its begin to its last completion
  struct Entry;    // a completion that waits to be reaped

  std::unique_ptr<Request> NewRequest(Kind kind, Op& op, int fd);
  void PushSend(Op& op, int fd, Bytes bytes, bool quick);
  void Push(std::unique_ptr<Request> request);
  void Submit();
  static SimWaiter::Work WorkOf(Kind kind);
  void Start(std::unique_ptr<Request> request);
  void CancelAll(const Request& cancel);
  static int32_t CancelledResult(const Request& request);
  void Publish();
  void RunTasks();

  // One try each; true when the request is over.
  bool Try(Request& request);
  bool TryAccept(Request& request);
  bool TryConnect(Request& request);
  bool TryReceive(Request& request);
  bool TrySend(Request& request);

  bool End(Request& request, int32_t result);
  void Post(Entry entry);
  void PostWake();
  uint32_t Reap();
  void Complete(Entry& entry);
  void CheckSent(const Entry& entry);

  const Options options_;
  SimKernel& kernel_;
  SimWaiter& waiter_;
  Buffers& buffers_;
  std::span<SimRing* const> siblings_;
  uint32_t in_flight_ = 0;
  Counters counters_;

  uint64_t next_sequence_ = 1;
  std::vector<std::unique_ptr<Request>> submission_;
  std::map<uint64_t, std::unique_ptr<Request>> requests_;  // submitted, by sequence
  std::deque<uint64_t> tasks_;                             // requests to try again
  std::vector<Entry> entries_;
  std::deque<Block*> published_;
  uint32_t published_count_ = 0;  // with those of entries not reaped yet
  uint32_t published_target_;
  Time withheld_until_{};
  bool interrupted_ = false;
  uint64_t sleep_number_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // for events that outlive the ring
  uint64_t heals_seen_ = 0;
};

}  // namespace trireme::sim
