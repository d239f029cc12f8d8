// SPDX-License-Identifier: GPL-3.0-or-later
//
// One end of a connection, or a listener, inside the simulated kernel. Its calls answer at once,
// with -EAGAIN where a system call would wait; whoever waits is a watcher and is told, perhaps
// without reason, to try again.
//
//   Send ──▶ on the way (segments, in order, each with its time of arrival) ──▶ arrived ──▶ Receive
//            └────────────── together at most `capacity` bytes ─────────────┘
//
// Who holds a socket counts as a reference: the descriptor, each operation in flight, a peer. With
// the last one it is released: what was sent still arrives, then the end; bytes nobody has read
// make it a reset. Sockets name each other by id, so that none is touched after its release.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace trireme::sim {

class SimKernel;

class SocketWatcher {
 public:
  virtual void OnReady() = 0;

 protected:
  ~SocketWatcher() = default;
};

class Socket {
 public:
  enum class State : uint8_t { kNew, kListening, kConnecting, kConnected, kFailed };

  Socket(SimKernel& kernel, uint64_t id, int family);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  uint64_t id() const { return id_; }
  int family() const { return family_; }
  bool is_unix() const { return family_ == AF_UNIX; }
  State state() const { return state_; }
  const SocketAddress& local() const { return local_; }
  const SocketAddress& peer() const { return peer_; }

  void Reference() { ++references_; }
  void Unreference();  // may be the end of it
  void Watch(SocketWatcher& watcher);
  void Unwatch(SocketWatcher& watcher);

  // ---- streams: bytes moved, 0 = end, or -errno ----
  size_t readable_bytes() const { return arrived_.size() - read_; }
  bool ready_to_read() const;
  int32_t Receive(MutableBytes into);
  int32_t Send(Bytes bytes);                                                        // may be short
  size_t room() const { return capacity_ - on_the_way_bytes_ - readable_bytes(); }  // towards us
  void Shutdown(int how);
  // Both ends are told `error`; what was on the way is lost.
  void Break(int error);
  // The other end is told ECONNRESET, after what is on its way there.
  void Abort();
  // Nothing arrives here before `until`.
  void Clog(Time until);

  // ---- connecting: -EAGAIN until there is an answer ----
  void Connect(const SocketAddress& address);
  int32_t connect_result() const;
  void set_connect_retries(uint32_t count) { connect_retries_ = count; }

  // ---- listeners ----
  void StartListening(const SocketAddress& local, uint32_t backlog_max, bool reuse_port);
  bool reuse_port() const { return reuse_port_; }
  Socket* Accept();  // nullptr when nobody waits; the reference is the caller's
  bool has_pending() const { return !backlog_.empty(); }

 private:
  friend class SimKernel;
  struct Segment {
    enum class Kind : uint8_t { kData, kEnd, kClosed, kReset };
    Kind kind;
    Time arrival;
    std::vector<std::byte> bytes;
  };

  Socket* other() const;
  void Queue(Segment::Kind kind, Bytes bytes);  // towards us
  void Deliver();
  void Arrive(Segment& segment);
  void Notify();
  int32_t TakeError();
  void Fail(int error);
  void DeliverAt(Time time);
  void TryConnectAt(Time time, uint32_t attempt);
  void TryConnect(uint32_t attempt);
  void AnswerConnectAt(Time time, int error);  // 0: the connection is made
  void ReleaseStream();
  void ReleaseListener();

  SimKernel& kernel_;
  const uint64_t id_;
  const int family_;
  State state_ = State::kNew;
  uint32_t references_ = 0;
  bool notifying_ = false;
  SocketAddress local_;
  SocketAddress peer_;
  std::vector<SocketWatcher*> watchers_;

  // What comes towards us.
  uint64_t other_id_ = 0;
  std::deque<Segment> on_the_way_;
  uint32_t on_the_way_bytes_ = 0;
  std::vector<std::byte> arrived_;
  size_t read_ = 0;
  uint32_t capacity_ = 0;
  Time last_arrival_{};
  Time clogged_until_{};
  bool sender_waits_ = false;
  bool end_arrived_ = false;
  // What goes out.
  bool shut_read_ = false;
  bool shut_write_ = false;
  bool broken_ = false;  // reset, or a Unix peer has closed: nothing can be sent
  int error_ = 0;        // told once

  uint32_t connect_retries_ = 6;
  std::deque<uint64_t> backlog_;  // sockets that wait to be accepted
  uint32_t backlog_max_ = 0;
  bool reuse_port_ = false;
};

}  // namespace trireme::sim
