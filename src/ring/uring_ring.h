// SPDX-License-Identifier: GPL-3.0-or-later
//
// The real kernel, through io_uring. One system call a turn: it submits what was begun, runs what
// the kernel has deferred for us, and sleeps when there is nothing to do. A turn that neither has
// nor expects anything makes none.
//
//   Create()  any thread: set-up and probing, the ring stays disabled; SetSiblings() follows
//   Start()   the owner's thread, from then on the only one: SINGLE_ISSUER
//
// Received bytes land in blocks that Publish() hands to the kernel, oldest first; published_ of
// them are there at any time, between `buffer_tail_ - published_` and `buffer_tail_`.
//
// user_data is the address of the Op, or one of a few small numbers for what concerns no Op.
//
// Quick sends are tried once, at submission, and have no completion when the socket takes all of
// it, as it nearly always does. Their entries stay in the submission queue until it is known what
// became of them. When the socket takes nothing, the ring begins the send again, as one that waits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "ring/ring.h"

struct io_uring;
struct io_uring_buf_ring;
struct io_uring_cqe;
struct io_uring_sqe;

namespace trireme {

// What this kernel offers above the floor (Linux 6.1): shown, and never needed.
struct UringFeatures {
  std::string kernel;                // release, as uname says
  bool bundles = false;              // one completion for several buffers (6.10)
  bool minimum_wait = false;         // wait for a batch, but not for long (6.12)
  bool incremental_buffers = false;  // several receives share one buffer (6.12)
  bool busy_poll = false;            // NAPI busy polling (6.9)
  std::string Text() const;          // "io_uring on Linux 6.18.4: bundles, …", one line
};

class UringRing final : public Ring {
 public:
  struct Options {
    uint32_t index = 0;
    uint32_t submission_entries = 1024;  // power of two; a full queue is submitted early
    // Power of two. Covers one completion for every operation in flight in one turn: two for each
    // connection, with room for the blocks of one turn. 16 bytes each.
    uint32_t completion_entries = 32768;
    uint32_t published_min = 32;  // blocks at the kernel to begin with: few, so that they stay warm
    uint32_t published_max = 256;  // power of two; grows to it when the kernel runs out of them
  };

  // Errors say which setting, which limit, which kernel.
  static Result<std::unique_ptr<UringRing>> Create(const Options& options, Buffers& buffers);
  // Nothing is in flight (asserted).
  ~UringRing() override;

  // The fd of every ring of the fleet by index, this one's included; outlives the ring. Before
  // Start().
  void SetSiblings(std::span<const int> ring_fds) { siblings_ = ring_fds; }
  // On the owner's thread. A Wake() sent before this is lost: look at the mail once after it.
  Status Start();
  int fd() const;
  const UringFeatures& features() const { return features_; }
  // Any thread and signal handlers: ends the sleep as Wake() does.
  void WakeFromOutside();

  Duration cpu_time() const override;
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
  UringRing(const Options& options, Buffers& buffers);

  // Set-up: uring_setup.cc.
  Status SetUp();
  Status SetUpQueues();
  Status SetUpBufferRing();
  void Probe();

  struct Request {
    uint8_t opcode;
    int fd;
    const void* address;
    uint32_t size;
  };
  io_uring_sqe& NextEntry();
  io_uring_sqe& Begin(const Request& request);
  io_uring_sqe& Begin(Op& op, const Request& request);
  // A completion, copied out of the queue.
  struct Entry {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
  };
  void SubmitEarly();
  void Publish();
  void Enter(Time deadline);
  void EnterFailed(int error);
  uint32_t CompleteQuickSends(unsigned tail);
  void CompleteQuickSend(const io_uring_sqe& sqe, Completion& completion);
  void NoteFailedSends(unsigned tail);
  uint32_t Reap(unsigned tail);
  void Complete(const Entry& entry);
  void CompleteInternal(const Entry& entry);
  Slice TakeFilled(const Entry& entry);
  void ArmOutside();
  void CheckOverflow();

  const Options options_;
  Buffers& buffers_;
  // Where the queues are, taken from liburing once: it sets them up, the turn is ours.
  struct SubmissionQueue {
    const unsigned* head = nullptr;  // the kernel's
    unsigned* tail = nullptr;        // as the kernel sees it
    const unsigned* flags = nullptr;
    io_uring_sqe* entries = nullptr;
    unsigned size = 0;
    unsigned next = 0;  // our tail
    unsigned seen = 0;  // entries before it are free: submitted, and known what became of them
    io_uring_sqe& at(unsigned index) const;
  };
  struct CompletionQueue {
    unsigned* head = nullptr;
    const unsigned* tail = nullptr;  // the kernel's
    const unsigned* overflow = nullptr;
    const io_uring_cqe* entries = nullptr;
    unsigned mask = 0;
  };

  std::unique_ptr<io_uring> uring_;
  SubmissionQueue submission_;
  CompletionQueue completion_;
  unsigned enter_fd_ = 0;
  unsigned enter_flags_ = 0;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  uint16_t buffer_tail_ = 0;
  uint32_t published_ = 0;
  uint32_t published_target_ = 0;
  uint32_t in_flight_ = 0;
  uint32_t quick_sends_ = 0;  // begun, and not known to be complete
  std::vector<io_uring_sqe>
      early_sends_;                   // those of them that were submitted before the turn's end
  std::vector<const Op*> cancelled_;  // since they were begun
  bool started_ = false;
  Counters counters_;
  std::span<const int> siblings_;
  int outside_fd_ = -1;
  std::thread::id owner_;
  UringFeatures features_;
};

}  // namespace trireme
