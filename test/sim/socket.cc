// SPDX-License-Identifier: GPL-3.0-or-later
//
// Streams: what travels between two sockets, and how it ends. Errors as Linux tells them: bytes
// that have arrived are read before the error, which is told once; afterwards a receive says end
// and a send EPIPE.
#include "test/sim/socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "test/sim/hash.h"
#include "test/sim/sim_kernel.h"

namespace trireme::sim {

Socket::Socket(SimKernel& kernel, uint64_t id, int family)
    : kernel_(kernel), id_(id), family_(family) {}

Socket* Socket::other() const { return kernel_.Find(other_id_); }

// ---- watchers ----

void Socket::Unreference() {
  TRIREME_ASSERT(references_ > 0);
  if (--references_ == 0) kernel_.Release(*this);
}

void Socket::Watch(SocketWatcher& watcher) { watchers_.push_back(&watcher); }

void Socket::Unwatch(SocketWatcher& watcher) {
  const auto found = std::find(watchers_.begin(), watchers_.end(), &watcher);
  TRIREME_ASSERT(found != watchers_.end());
  watchers_.erase(found);
}

void Socket::Notify() {
  if (notifying_) return;
  notifying_ = true;
  kernel_.At(kernel_.now(), [&kernel = kernel_, id = id_] {
    Socket* socket = kernel.Find(id);
    if (socket == nullptr) return;
    socket->notifying_ = false;
    const std::vector<SocketWatcher*> watchers = socket->watchers_;
    for (SocketWatcher* watcher : watchers) {
      // One of those before may have ended this one, or all of it.
      socket = kernel.Find(id);
      if (socket == nullptr) return;
      const auto& now = socket->watchers_;
      if (std::find(now.begin(), now.end(), watcher) != now.end()) watcher->OnReady();
    }
  });
}

// ---- towards us ----

void Socket::Queue(Segment::Kind kind, Bytes bytes) {
  last_arrival_ = std::max(kernel_.now() + kernel_.Latency(), last_arrival_);
  on_the_way_.push_back({kind, last_arrival_, {bytes.begin(), bytes.end()}});
  on_the_way_bytes_ += static_cast<uint32_t>(bytes.size());
  DeliverAt(last_arrival_);
}

void Socket::DeliverAt(Time time) {
  kernel_.At(time, [&kernel = kernel_, id = id_] {
    if (Socket* socket = kernel.Find(id)) socket->Deliver();
  });
}

void Socket::Deliver() {
  const Time now = kernel_.now();
  while (!on_the_way_.empty() && on_the_way_.front().arrival <= now && clogged_until_ <= now) {
    Segment segment = std::move(on_the_way_.front());
    on_the_way_.pop_front();
    on_the_way_bytes_ -= static_cast<uint32_t>(segment.bytes.size());
    Arrive(segment);
  }
}

void Socket::Arrive(Segment& segment) {
  if (broken_) return;
  switch (segment.kind) {
    case Segment::Kind::kData:
      if (shut_read_ && shut_write_ && !is_unix()) {
        // Nobody will ever read it: TCP answers with a reset.
        Abort();
        Fail(ECONNRESET);
        return;
      }
      arrived_.insert(arrived_.end(), segment.bytes.begin(), segment.bytes.end());
      break;
    case Segment::Kind::kEnd:
      end_arrived_ = true;
      break;
    case Segment::Kind::kClosed:
      end_arrived_ = true;
      // TCP learns by a reset that nobody reads any more, a Unix socket knows.
      if (is_unix()) broken_ = true;
      break;
    case Segment::Kind::kReset:
      Fail(end_arrived_ && !is_unix() ? EPIPE : ECONNRESET);
      break;
  }
  Notify();
}

void Socket::Fail(int error) {
  if (broken_) return;
  broken_ = true;
  error_ = error;
  on_the_way_.clear();
  on_the_way_bytes_ = 0;
  Notify();
}

void Socket::Break(int error) {
  Socket* to = other();
  Fail(error);
  if (to != nullptr) to->Fail(error);
}

void Socket::Abort() {
  if (Socket* to = other()) to->Queue(Segment::Kind::kReset, {});
}

void Socket::Clog(Time until) {
  clogged_until_ = std::max(clogged_until_, until);
  DeliverAt(clogged_until_);
}

int32_t Socket::TakeError() { return -std::exchange(error_, 0); }

bool Socket::ready_to_read() const {
  return readable_bytes() > 0 || error_ != 0 || end_arrived_ || shut_read_ || broken_ ||
         state_ != State::kConnected;
}

int32_t Socket::Receive(MutableBytes into) {
  if (readable_bytes() == 0) {
    if (error_ != 0) return TakeError();
    if (end_arrived_ || shut_read_ || broken_) return 0;
    if (state_ == State::kConnected) return -EAGAIN;
    return is_unix() ? -EINVAL : -ENOTCONN;
  }
  size_t size = std::min(into.size(), readable_bytes());
  if (size > 1 && kernel_.Roll(Fault::kSplitRead)) size = 1 + kernel_.random().Below(size - 1);
  std::memcpy(into.data(), arrived_.data() + read_, size);
  read_ += size;
  if (read_ == arrived_.size()) {
    arrived_.clear();
    read_ = 0;
  } else if (read_ > arrived_.size() / 2) {
    arrived_.erase(arrived_.begin(), arrived_.begin() + static_cast<ptrdiff_t>(read_));
    read_ = 0;
  }
  if (sender_waits_) {
    sender_waits_ = false;
    if (Socket* from = other()) from->Notify();
  }
  return static_cast<int32_t>(size);
}

// ---- from us ----

int32_t Socket::Send(Bytes bytes) {
  if (error_ != 0) return TakeError();
  if (shut_write_ || broken_ || state_ != State::kConnected) return -EPIPE;
  if (bytes.empty()) return 0;
  Socket* to = other();
  if (to == nullptr) {
    // Nobody is there; the answer is a reset.
    Queue(Segment::Kind::kReset, {});
    return static_cast<int32_t>(bytes.size());
  }
  if (is_unix() && to->shut_read_) return -EPIPE;
  if (kernel_.Roll(Fault::kReset)) {
    Break(kernel_.random().Below(4) == 0 ? ETIMEDOUT : ECONNRESET);
    return TakeError();
  }
  const size_t size = std::min(to->room(), bytes.size());
  if (size < bytes.size()) to->sender_waits_ = true;
  if (size == 0) return -EAGAIN;
  if (kernel_.Roll(Fault::kClog)) {
    to->Clog(kernel_.now() + kernel_.Within(kernel_.faults().clog_max));
  }
  to->Queue(Segment::Kind::kData, bytes.first(size));
  kernel_.Trace(HashBytes(id_, bytes.first(size)));
  return static_cast<int32_t>(size);
}

void Socket::Shutdown(int how) {
  if (state_ != State::kConnected) return;
  Socket* to = other();
  if (how != SHUT_WR && !shut_read_) {
    shut_read_ = true;
    if (to != nullptr && is_unix()) to->Notify();  // it cannot send any more
    Notify();
  }
  if (how != SHUT_RD && !shut_write_) {
    shut_write_ = true;
    if (to != nullptr && !broken_) to->Queue(Segment::Kind::kEnd, {});
    Notify();
  }
}

void Socket::ReleaseStream() {
  Socket* to = other();
  if (to == nullptr || broken_) return;
  const bool lost = readable_bytes() > 0 || on_the_way_bytes_ > 0;
  to->Queue(lost ? Segment::Kind::kReset : Segment::Kind::kClosed, {});
}

}  // namespace trireme::sim
