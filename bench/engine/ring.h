// SPDX-License-Identifier: GPL-3.0-or-later
//
// io_uring for programs that measure: one ring a thread, received bytes in one ring of provided
// buffers, one system call a turn. On purpose not src/ring, which is what is measured: no virtual
// calls, no ownership of buffers beyond the callback unless the caller keeps one.
//
// What is begun in a turn is submitted by the next Turn(), which sleeps until something completes
// or the deadline. Small sends complete while they are submitted; a wait that begins with them
// waits a moment for one completion more, so that a turn finds work and not only its own sends
// (Linux 6.12; before it a turn may be a short one).
//
// `user_data` is the caller's. A multishot operation that ends (no IORING_CQE_F_MORE) is the
// caller's to begin again.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace trireme::bench {

struct Completion {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;

  bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
  bool has_buffer() const { return (flags & IORING_CQE_F_BUFFER) != 0; }
  uint16_t buffer() const { return static_cast<uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT); }
};

class Ring {
 public:
  struct Options {
    uint32_t submissions = 4096;    // powers of two
    uint32_t completions = 65536;   // covers all operations in flight, with room
    uint32_t buffers = 512;         // at most 32768
    uint32_t buffer_bytes = 16384;  // of one receive
  };

  // On the thread that will use it.
  static Result<std::unique_ptr<Ring>> Create(const Options& options);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  Time now() const { return now_; }  // of the last Turn()

  void BeginAccept(int listener, uint64_t user_data);  // multishot
  void BeginConnect(int fd, const sockaddr* address, socklen_t size, uint64_t user_data);
  void BeginReceive(int fd, uint64_t user_data);  // multishot, into provided buffers
  void BeginReceiveInto(int fd, MutableBytes memory, uint64_t user_data);
  void BeginSend(int fd, Bytes bytes, uint64_t user_data);  // all of them or an error
  void BeginSendMessage(int fd, const msghdr& message, uint64_t user_data);  // all of it, too
  void BeginCancel(uint64_t target, uint64_t user_data);

  // The bytes of a receive; they are ours again after Recycle.
  Bytes Received(const Completion& completion) const {
    return {memory_ + size_t{completion.buffer()} * options_.buffer_bytes,
            static_cast<size_t>(completion.result)};
  }
  void Recycle(uint16_t buffer);

  // `on_completion(const Completion&)` may begin operations. kNever waits for ever.
  template <typename OnCompletion>
  uint32_t Turn(Time deadline, OnCompletion&& on_completion) {
    Enter(deadline);
    unsigned head = *uring_.cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(uring_.cq.ktail);
    const uint32_t count = tail - head;
    for (; head != tail; ++head) {
      const io_uring_cqe& entry = uring_.cq.cqes[head & uring_.cq.ring_mask];
      const Completion completion{entry.user_data, entry.res, entry.flags};
      io_uring_smp_store_release(uring_.cq.khead, head + 1);
      on_completion(completion);
    }
    return count;
  }

  uint64_t turns() const { return turns_; }

 private:
  explicit Ring(const Options& options) : options_(options) {}
  Status SetUp();
  io_uring_sqe& Begin(uint64_t user_data);
  void Enter(Time deadline);
  void Submit(unsigned wait_for, uint64_t timeout_address, unsigned minimum_wait_us);

  const Options options_;
  io_uring uring_{};
  bool ready_ = false;
  bool minimum_wait_ = false;
  unsigned small_sends_ = 0;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  uint16_t buffer_tail_ = 0;
  std::byte* memory_ = nullptr;
  Time now_{};
  uint64_t turns_ = 0;
};

// Raises the limit of open files to what the system allows; the limit.
uint64_t RaiseFileLimit();
// Binds the calling thread to a CPU, and asks for timers without slack.
Status PinThread(int cpu);  // -1 = leave it free
void WantExactTimers();

}  // namespace trireme::bench
