// SPDX-License-Identifier: GPL-3.0-or-later
//
// A socket as a byte stream: multishot receive, ordered send, back-pressure, and the close
// protocol. A stream is embedded in its owner (a client, a server, a cancel connection) and belongs
// to one core.
//
//            Adopt(fd) / Connect()            Close(), Abort(), error
//   kIdle ─────────────▶ kConnecting ─▶ kOpen ─────────────────────▶ kClosing ──▶ kClosed
//                                         │  Detach(): the fd leaves for another core   ▲
//                                         └────────▶ kDetaching ──▶ kIdle               │
//                                                        nothing in flight, fd closed ──┘
//
// What must hold:
//  * Received slices are handed to the owner in order, each once. Sent slices leave in order, each
//  once.
//  * Callbacks never re-enter: no method of Stream calls the owner; any method may be called from
//  any
//    callback.
//  * Nothing is sent inside Send(): it queues, and Streams::Flush() at the end of the turn starts
//  at most
//    one send per stream, gathering what is queued. Two answers of one turn leave together.
//  * After Close() or Abort() the owner gets no callback but OnClosed(), exactly once, when nothing
//  is in
//    flight and the fd is closed. Only then may the owner be freed (it frees itself at the end of
//    the turn, not inside the callback: see Streams::Defer… of the shard).
//  * TLS goes between the ring and these two points: bytes enter at OnReceived (ciphertext in,
//  plaintext on)
//    and leave at Flush (plaintext in, ciphertext out). tls/transformer.h is the seam; nothing
//    above net knows.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/marks.h"
#include "base/slab.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "ring/ring.h"

namespace trireme {

class Streams;

// What a stream tells its owner. Called inside the turn, from the ring's completions or from Flush.
class StreamOwner {
 public:
  // Bytes arrived. The owner keeps the slice or what is left of it (net/inbox.h).
  virtual void OnReceive(Slice&& slice) = 0;
  // No more bytes will arrive: error == 0 is an orderly end (the peer may still read), else an
  // errno. Sending may still work after an orderly end. Called at most once. After an error the
  // owner calls Abort(). A send that fails is reported when what the peer had sent before has been
  // handed over, so that a server's last words are not lost.
  virtual void OnEnd(int error) = 0;
  // The backlog has fallen to or below the low mark after having been above the high mark (also
  // when it was dropped because the peer is gone: producing may go on, and ends up nowhere).
  virtual void OnDrained() = 0;
  // Connect() has finished; error is an errno, 0 = the stream is open and receiving. After an error
  // the stream is kIdle again: Connect() may be called for the next address, at once if need be.
  virtual void OnConnected(int error) = 0;
  // Detach() has finished: the owner of the fd is now the caller, nothing is in flight here. Bytes
  // that arrived meanwhile were given to OnReceive before.
  virtual void OnDetached(int fd) = 0;
  virtual void OnClosed() = 0;

 protected:
  ~StreamOwner() = default;
};

class Stream {
 public:
  enum class State : uint8_t { kIdle, kConnecting, kOpen, kDetaching, kClosing, kClosed };

  Stream(Streams& streams, StreamOwner& owner);
  ~Stream();  // kIdle or kClosed (asserted)
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // kIdle → kOpen: takes over a connected fd and arms receive (unless PauseReceive was called
  // before). Sets no socket options: accepted sockets have the listener's, handed-over ones have
  // theirs.
  void Adopt(int fd);
  // kIdle → kConnecting. An immediate failure is reported through OnConnected within the next turn.
  // `address` is copied.
  void Connect(const SocketAddress& address);

  // Queues bytes; kOpen only (in other states the bytes are dropped). Never fails: errors come as
  // OnEnd.
  void Send(Slice&& slice);
  // Queues a copy: for small generated messages.
  void SendCopy(Bytes bytes);
  // Queues a copy of `front`, and `rest` behind it: in one piece when that is cheaper.
  void SendBehind(Bytes front, Slice&& rest);
  // Queued and not yet accepted by the kernel.
  uint32_t backlog_bytes() const { return backlog_bytes_; }
  // The backlog has been above the high mark and not yet at the low mark again: the owner should
  // stop producing until OnDrained.
  bool clogged() const { return clogged_; }

  // Stops (cancels) or restarts receiving. Bytes in flight may still come after PauseReceive.
  void PauseReceive();
  void ResumeReceive();
  bool receive_paused() const { return receive_paused_; }

  // Sends what is queued, then closes; gives up after the linger time (a peer that does not read).
  // What still arrives is discarded, so that the kernel does not answer it with a reset that could
  // destroy what the peer has not read yet. While connecting: Abort().
  void Close();
  // kOpen: the peer reads the end behind what has left, which may be half a message; what is queued
  // is dropped. What it says still arrives, up to OnEnd. Nothing more may be sent.
  void EndSending();
  // Drops what is queued and closes.
  void Abort();
  // kOpen → kDetaching, the backlog must be empty: stops receiving, then OnDetached(fd), after
  // which the stream is kIdle. An OnEnd may come before. Close() and Abort() still work until then.
  void Detach();

  State state() const { return state_; }
  bool open() const { return state_ == State::kOpen; }
  int fd() const { return fd_; }
  SocketAddress PeerAddress() const;
  SocketAddress LocalAddress() const;

  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  friend class Streams;
  enum class Receive : uint8_t {
    kOff,         // nothing in flight
    kArmed,       // a multishot is in flight
    kCancelling,  // it is, and will end soon
    kStarved,     // waits in Streams::starved_ for a buffer
    kEnded        // no more bytes will come
  };

  // Slices behind the first one. Most streams have none.
  struct SendNode {
    Slice slice;
    SendNode* next = nullptr;
  };
  // What the kernel reads while a gathered send or a connect is in flight. The slices themselves
  // stay in the queue.
  struct SendBatch {
    static constexpr uint32_t kSlices = 64;
    msghdr message;
    iovec vectors[kSlices];
    SocketAddress address;
  };

  // What is rare is never inlined: the hot functions then save no registers for it.
  static void OnReceiveCompletion(Op& op, Completion& completion);
  static void OnSendCompletion(Op& op, Completion& completion);
  [[gnu::noinline]] void ReceiveStopped(int32_t result);
  void ReceiveEnded(int error);
  void Connected(int error);
  void Sent(int32_t result);
  [[gnu::noinline]] void SendFailed(int error);

  [[gnu::noinline]] void Enqueue(Slice&& slice);
  void ConsumeSent(uint32_t count);
  [[gnu::noinline]] void ConsumeQueue(uint32_t count);
  [[gnu::noinline]] void DropQueue();
  [[gnu::noinline]] void CheckDrained();

  // Makes Settle() run at the end of this turn: the one place that begins operations and changes
  // state when nothing is in flight.
  void SettleLater();
  void Settle();
  void SettleConnecting();
  void SettleDetaching();
  void SettleClosing();
  void SettleReceive();
  void StartSend();
  [[gnu::noinline]] void StartGatheredSend();
  [[gnu::noinline]] void MoveQueueToHeap();
  void ArmReceive();
  [[gnu::noinline]] void StopReceive();
  bool Quiet() const {
    if (TRIREME_MUTATION(kClosedWithOpInFlight)) return send_op_.in_flight == 0;
    return receive_op_.in_flight == 0 && send_op_.in_flight == 0;
  }
  void BeginClosing();
  void FinishClosing();

  Streams& streams_;
  StreamOwner& owner_;
  Op receive_op_;
  Op send_op_;  // and the connect
  State state_ = State::kIdle;
  Receive receive_ = Receive::kOff;
  bool receive_paused_ = false;
  bool settles_ = false;  // is on Streams' list for the end of the turn
  bool clogged_ = false;
  bool end_reported_ = false;
  bool quick_ = false;   // the last send was begun as a quick one
  bool behind_ = false;  // when the last send had ended, more was queued
  bool connecting_ =
      false;              // send_op_ is a connect: kConnecting, or kClosing when that was aborted
  bool aborted_ = false;  // kClosing: the queue is not sent
  bool shut_down_ =
      false;  // kClosing: told the kernel to end what is in flight; kOpen: EndSending()
  int fd_ = -1;
  int error_ = 0;  // of a failed send or a connect that could not begin
  uint32_t backlog_bytes_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  Slice first_;               // the oldest queued bytes; while a send is in flight, its bytes
  SendNode* rest_ = nullptr;  // then these
  SendNode* last_ = nullptr;
  SendBatch* batch_ = nullptr;  // in flight
  Stream* next_settling_ = nullptr;
  ListNode wait_node_;  // Streams::starved_, or in kClosing Streams::lingering_
  Time linger_deadline_{};
};

// An idle client is a stream and little more.
static_assert(sizeof(Stream) <= 200);

// What the streams of one core share: the ring, the send queues' nodes, and the lists a turn works
// off.
class Streams {
 public:
  struct Options {
    uint32_t high_mark_bytes = 65536;  // limits.backlog_bytes_max
    uint32_t low_mark_bytes = 16384;
    Duration linger = 5s;  // Close() becomes Abort() after this
    SocketOptions socket;  // for connected TCP sockets; accepted ones: ListenOptions::accepted
  };
  Streams(Ring& ring, const Options& options);
  ~Streams();  // no stream owns an fd (asserted)
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // End of turn: starts sends for streams with queued bytes, arms receives that waited for buffers,
  // ends lingering streams whose time is up.
  void Flush();
  // When Flush must run again although nothing completes: a linger deadline, or Time{} (at once)
  // when something was begun since, or a stream must hear soon that it has sent all. kNever = no
  // need.
  Time NextDeadline() const {
    return settling_first_ == nullptr && !hasten_ ? next_linger_ : Time{};
  }
  Ring& ring() { return ring_; }
  Buffers& buffers() { return ring_.buffers(); }

  uint32_t open_count() const { return open_count_; }  // streams that own an fd

 private:
  friend class Stream;
  void ArmStarved();
  void EndLingering();
  void StartLingering(Stream& stream);
  void StopLingering(Stream& stream);
  Stream::SendBatch* NewBatch();
  // A place for a small message in a block that the messages of one turn share.
  Slice CopyToScratch(Bytes bytes, Bytes more = {});
  void DropScratch();

  Ring& ring_;
  const Options options_;
  Stream* settling_first_ = nullptr;  // through Stream::next_settling_
  Stream** settling_end_ = &settling_first_;
  List<Stream, &Stream::wait_node_> starved_;    // oldest first
  List<Stream, &Stream::wait_node_> lingering_;  // by deadline: all linger equally long
  Time next_linger_ = kNever;
  Slab<Stream::SendNode> nodes_;
  Slab<Stream::SendBatch> batches_;
  Block* scratch_ = nullptr;
  uint32_t scratch_used_ = 0;
  uint32_t open_count_ = 0;
  bool scarce_ = false;  // buffers, in this Flush()
  bool hasten_ = false;  // a closing stream waits for a quick send of this Flush()
};

}  // namespace trireme
