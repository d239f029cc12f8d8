// SPDX-License-Identifier: GPL-3.0-or-later
//
// A socket as a byte stream: multishot receive, ordered send, back-pressure, and the close protocol. A
// stream is embedded in its owner (a client, a server, a cancel connection) and belongs to one core.
//
//            Adopt(fd) / Connect()            Close(), Abort(), error
//   kIdle ─────────────▶ kConnecting ─▶ kOpen ─────────────────────▶ kClosing ──▶ kClosed
//                                         │  Detach(): the fd leaves for another core   ▲
//                                         └────────▶ kDetaching ──▶ kIdle               │
//                                                        nothing in flight, fd closed ──┘
//
// What must hold:
//  * Received slices are handed to the owner in order, each once. Sent slices leave in order, each once.
//  * Nothing is sent inside Send(): it queues, and Streams::Flush() at the end of the turn starts at most
//    one send per stream, gathering what is queued. Two answers of one turn leave together.
//  * After Close() or Abort() the owner gets no callback but OnClosed(), exactly once, when nothing is in
//    flight and the fd is closed. Only then may the owner be freed (it frees itself at the end of the
//    turn, not inside the callback: see Streams::Defer… of the shard).
//  * TLS goes between the ring and these two points: bytes enter at OnReceived (ciphertext in, plaintext on)
//    and leave at Flush (plaintext in, ciphertext out). tls/transformer.h is the seam; nothing above net knows.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "ring/ring.h"

namespace trireme {

class Streams;

// What a stream tells its owner. Called inside the turn, from the ring's completions or from Flush.
class StreamOwner {
 public:
  // Bytes arrived. The owner keeps the slice or what is left of it (net/inbox.h).
  virtual void OnReceive(Slice slice) = 0;
  // No more bytes will arrive: error == 0 is an orderly end (the peer may still read), else an errno. Sending
  // may still work after an orderly end. Called at most once. After an error the owner calls Abort().
  virtual void OnEnd(int error) = 0;
  // The backlog has fallen to or below the low mark after having been above the high mark.
  virtual void OnDrained() = 0;
  // Connect() has finished; error is an errno, 0 = the stream is open and receiving.
  virtual void OnConnected(int error) = 0;
  // Detach() has finished: the owner of the fd is now the caller, nothing is in flight here. Bytes that
  // arrived meanwhile were given to OnReceive before.
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

  // kIdle → kOpen: takes over a connected fd and arms receive (unless PauseReceive was called before).
  void Adopt(int fd);
  // kIdle → kConnecting. An immediate failure is reported through OnConnected within the next turn.
  // `address` is copied.
  void Connect(const SocketAddress& address);

  // Queues bytes; kOpen only (in other states the bytes are dropped). Never fails: errors come as OnEnd.
  void Send(Slice slice);
  // Queues a copy: for small generated messages.
  void SendCopy(Bytes bytes);
  // Queued and not yet accepted by the kernel.
  uint32_t backlog_bytes() const { return backlog_bytes_; }
  // Backlog above the high mark: the owner should stop producing until OnDrained.
  bool clogged() const;

  // Stops (cancels) or restarts receiving. Bytes in flight may still come after PauseReceive.
  void PauseReceive();
  void ResumeReceive();
  bool receive_paused() const { return receive_paused_; }

  // Sends what is queued, then closes; gives up after the linger time (a peer that does not read).
  void Close();
  // Drops what is queued and closes.
  void Abort();
  // kOpen → kDetaching, the backlog must be empty: stops receiving, then OnDetached(fd).
  void Detach();

  State state() const { return state_; }
  bool open() const { return state_ == State::kOpen; }
  int fd() const { return fd_; }
  SocketAddress PeerAddress() const;
  SocketAddress LocalAddress() const;

  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t bytes_sent() const { return bytes_sent_; }

  // (private part is the implementer's)
 private:
  State state_ = State::kIdle;
  bool receive_paused_ = false;
  int fd_ = -1;
  uint32_t backlog_bytes_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
};

// What the streams of one core share: the ring, the send queues' nodes, and the lists a turn works off.
class Streams {
 public:
  struct Options {
    uint32_t high_mark_bytes = 65536;  // limits.backlog_bytes_max
    uint32_t low_mark_bytes = 16384;
    Duration linger = 5s;              // Close() becomes Abort() after this
    SocketOptions socket;              // for adopted and connected TCP sockets
  };
  Streams(Ring& ring, const Options& options);
  ~Streams();

  // End of turn: starts sends for streams with queued bytes, arms receives that waited for buffers, ends
  // lingering streams whose time is up.
  void Flush();
  // When Flush must run again although nothing completes (a linger deadline); kNever = no need.
  Time NextDeadline() const;
  Ring& ring() { return ring_; }
  Buffers& buffers() { return ring_.buffers(); }

  uint32_t open_count() const;  // streams that own an fd

 private:
  Ring& ring_;
  const Options options_;
};

}  // namespace trireme
