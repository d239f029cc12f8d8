// SPDX-License-Identifier: GPL-3.0-or-later
//
// The door to the kernel: everything a shard may ask of the world. Two implementations, both final:
// UringRing (io_uring, the real one) and the tests' SimRing (a deterministic kernel). A virtual
// call costs 1-2 ns against about 500 ns for the operation behind it.
//
// Used by one thread: the shard that owns it. Only Wake() of *another* core's ring reaches over,
// through the kernel.
//
// Operations. An Op is embedded in its owner (a stream's receive side, a listener), never allocated
// per operation and never moved. Begin…() queues an operation; nothing reaches the kernel before
// the next SubmitAndReap() (save when the submission queue is full), which calls op.handler once
// per completion. `in_flight` counts operations begun and not yet completed; a multishot is one
// until it completes without `more`. It is lowered before the handler is called, and a cancel is
// not counted, so that the handler always sees it become 0. Memory that the kernel can see is freed
// only when it is 0; the ring does not touch an op after the handler it called with in_flight == 0.
//
// Promises (the conformance suite in test/ring holds both implementations to them):
//  * A multishot may end at any time: a completion with more == false must be answered by arming
//  again, if
//    still wanted. Result -ENOBUFS means "no buffer was free": wait for Buffers, then arm again.
//  * Receive: result > 0 carries a slice; 0 is end of stream (orderly, or after Shutdown of the
//  read side).
//  * Send may be short. One send in flight per op; bytes stay untouched until it completes.
//  * Close(fd) does not end operations in flight: shut down or cancel first, wait for in_flight ==
//  0.
//  * Cancel(op) makes every operation of the op that was begun before complete soon, with its
//  result or
//    -ECANCELED; the handler is not called for the cancel itself. What is begun afterwards is
//    untouched.
//  * Sockets given to a ring are in blocking mode (as Open() and accept make them): a non-blocking
//  one
//    would complete with -EAGAIN instead of waiting. Nothing ever blocks the thread.
//  * Handlers run inside SubmitAndReap; they may begin operations, not call SubmitAndReap.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "ring/buffers.h"

namespace trireme {

struct Completion {
  int32_t result;  // >= 0, or -errno
  bool more;       // a multishot that goes on
  Slice slice;     // received bytes; empty unless a receive with result > 0
};

struct Op {
  using Handler = void (*)(Op& op, Completion& completion);
  Op(Handler op_handler, void* op_owner) : handler(op_handler), owner(op_owner) {}
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  const Handler handler;
  void* const owner;
  uint32_t in_flight = 0;
};

struct SocketOptions {
  Duration keepalive_idle{0};  // 0 = no keepalive
  Duration keepalive_interval{0};
  uint32_t keepalive_count = 0;
};

struct ListenOptions {
  uint32_t backlog = 4096;
  bool reuse_port = true;  // TCP: one accept socket per core on the same address
  uint32_t unix_socket_mode = 0777;
  SocketOptions accepted = {};  // with TCP_NODELAY, inherited by what is accepted: no call for each
};

class Ring {
 public:
  virtual ~Ring() = default;

  // Fixed within one turn; moves in SubmitAndReap only. Asked for many times a turn: no virtual
  // call.
  Time now() const { return now_; }
  const Time& clock() const { return now_; }  // the same, for those who look at it often
  // CPU time the owning thread has used so far; asks the kernel, so for views only.
  virtual Duration cpu_time() const = 0;
  virtual Buffers& buffers() = 0;
  // This ring's number in the fleet: what a sibling passes to Wake().
  virtual uint32_t index() const = 0;

  // At once, without an operation. Errors say what could not be done, with the address.
  virtual Result<int> Listen(const SocketAddress& address, const ListenOptions& options) = 0;
  // A socket to connect with; closed on exec. On an error errno says why, too.
  virtual Result<int> Open(int family) = 0;
  virtual void SetOptions(int fd,
                          const SocketOptions& options) = 0;  // TCP_NODELAY always; best effort
  virtual SocketAddress PeerAddress(int fd) = 0;
  virtual SocketAddress LocalAddress(int fd) = 0;
  virtual void Shutdown(int fd, int how) = 0;  // SHUT_RD, SHUT_WR, SHUT_RDWR
  virtual void Close(int fd) = 0;

  // Multishot; result = the accepted fd. -EMFILE, -ENFILE and friends come as results and end it.
  virtual void BeginAccept(Op& op, int listener_fd) = 0;
  // `address` stays alive until the completion.
  virtual void BeginConnect(Op& op, int fd, const SocketAddress& address) = 0;
  // Multishot into Buffers.
  virtual void BeginReceive(Op& op, int fd) = 0;
  virtual void BeginSend(Op& op, int fd, Bytes bytes) = 0;
  // The same for a few bytes whose leaving nobody waits for. That they have left ends no wait: it
  // is told with whatever ends one, or by a turn that does not wait. When the socket does not take
  // all of them at once, it is a send like any other.
  virtual void BeginQuickSend(Op& op, int fd, Bytes bytes) = 0;
  // `message` and the vector it points to stay alive until the completion.
  virtual void BeginSendVector(Op& op, int fd, const msghdr& message) = 0;
  virtual void Cancel(Op& op) = 0;

  // Ends the sleep of the ring with that index (no effect when it does not sleep, save one spurious
  // turn).
  virtual void Wake(uint32_t ring_index) = 0;

  // Submits what was begun and calls the handlers of what has completed. Waits until there is a
  // completion, a wake, or `deadline`; Time{} does not wait, kNever waits without limit. Returns
  // the number of completions handled (wakes included).
  virtual uint32_t SubmitAndReap(Time deadline) = 0;

  struct Counters {
    uint64_t turns = 0;  // SubmitAndReap calls
    uint64_t system_calls = 0;
    uint64_t submitted = 0;
    uint64_t completed = 0;
    uint64_t sends = 0;     // begun
    uint64_t receives = 0;  // with bytes
    uint64_t wakes_sent = 0;
    uint64_t wakes_received = 0;
    uint64_t no_buffers = 0;  // receives that ended with ENOBUFS
    uint64_t overflows =
        0;  // turns that found the completion queue too small: none is lost, all is slow
  };
  virtual const Counters& counters() const = 0;
  // Operations in flight over all ops: 0 at rest.
  virtual uint32_t in_flight() const = 0;

 protected:
  Time now_{};
};

}  // namespace trireme
