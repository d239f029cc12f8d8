// SPDX-License-Identifier: GPL-3.0-or-later
//
// Operations: begun, submitted, tried until they are over.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "test/sim/census.h"
#include "test/sim/hash.h"
#include "test/sim/sim_ring.h"
#include "test/sim/sim_ring_request.h"

namespace trireme::sim {
namespace {

std::vector<Bytes> Parts(Bytes bytes, const msghdr* message) {
  if (message == nullptr) return {bytes};
  std::vector<Bytes> parts;
  for (size_t i = 0; i < message->msg_iovlen; ++i) {
    const iovec& vector = message->msg_iov[i];
    parts.push_back({static_cast<const std::byte*>(vector.iov_base), vector.iov_len});
  }
  return parts;
}

uint64_t HashParts(Bytes bytes, const msghdr* message) {
  uint64_t hash = 0;
  for (Bytes part : Parts(bytes, message)) hash = HashBytes(hash, part);
  return hash;
}

}  // namespace

// ---- begin ----

std::unique_ptr<SimRing::Request> SimRing::NewRequest(Kind kind, Op& op, int fd) {
  waiter_.Preempt(*this);
  auto request = std::make_unique<Request>(*this, kind, next_sequence_++);
  request->op = &op;
  request->fd = fd;
  if (kind != Kind::kCancel) {
    ++op.in_flight;
    ++in_flight_;
  }
  return request;
}

void SimRing::Push(std::unique_ptr<Request> request) {
  if (submission_.size() == options_.submission_entries) Submit();
  submission_.push_back(std::move(request));
}

void SimRing::BeginAccept(Op& op, int listener_fd) {
  const Census::Outside outside;
  Push(NewRequest(Kind::kAccept, op, listener_fd));
}

void SimRing::BeginConnect(Op& op, int fd, const SocketAddress& address) {
  const Census::Outside outside;
  auto request = NewRequest(Kind::kConnect, op, fd);
  request->address = &address;
  Push(std::move(request));
}

void SimRing::BeginReceive(Op& op, int fd) {
  const Census::Outside outside;
  Push(NewRequest(Kind::kReceive, op, fd));
}

void SimRing::BeginSend(Op& op, int fd, Bytes bytes) { PushSend(op, fd, bytes, false); }
void SimRing::BeginQuickSend(Op& op, int fd, Bytes bytes) { PushSend(op, fd, bytes, true); }

void SimRing::PushSend(Op& op, int fd, Bytes bytes, bool quick) {
  const Census::Outside outside;
  ++counters_.sends;
  auto request = NewRequest(Kind::kSend, op, fd);
  request->bytes = bytes;
  request->bytes_hash = HashParts(bytes, nullptr);
  request->quick = quick;
  Push(std::move(request));
}

void SimRing::BeginSendVector(Op& op, int fd, const msghdr& message) {
  const Census::Outside outside;
  ++counters_.sends;
  auto request = NewRequest(Kind::kSend, op, fd);
  request->message = &message;
  request->bytes_hash = HashParts({}, &message);
  Push(std::move(request));
}

void SimRing::Cancel(Op& op) {
  const Census::Outside outside;
  if (op.in_flight > 0) Push(NewRequest(Kind::kCancel, op, -1));
}

void SimRing::Wake(uint32_t ring_index) {
  const Census::Outside outside;
  TRIREME_ASSERT(ring_index < siblings_.size());
  waiter_.Preempt(*this);
  ++counters_.wakes_sent;
  auto request = std::make_unique<Request>(*this, Kind::kWake, next_sequence_++);
  request->wake_index = ring_index;
  Push(std::move(request));
}

// ---- submit ----

void SimRing::Submit() {
  if (submission_.empty()) return;
  ++counters_.system_calls;
  counters_.submitted += submission_.size();
  waiter_.OnWork(*this, SimWaiter::Work::kSubmit);
  for (auto& request : std::exchange(submission_, {})) Start(std::move(request));
}

SimWaiter::Work SimRing::WorkOf(Kind kind) {
  switch (kind) {
    case Kind::kAccept:
    case Kind::kConnect:
    case Kind::kReceive:
      return SimWaiter::Work::kBegin;
    case Kind::kSend:
      return SimWaiter::Work::kSend;
    case Kind::kCancel:
      return SimWaiter::Work::kCancel;
    case Kind::kWake:
      return SimWaiter::Work::kWake;
  }
  TRIREME_UNREACHABLE();
}

void SimRing::Start(std::unique_ptr<Request> request) {
  waiter_.OnWork(*this, WorkOf(request->kind));
  if (request->kind == Kind::kWake) {
    siblings_[request->wake_index]->PostWake();
    return;
  }
  if (request->kind == Kind::kCancel) {
    CancelAll(*request);
    return;
  }
  request->socket = &kernel_.descriptors().Get(request->fd);
  request->socket->Reference();
  request->socket->Watch(*request);
  if (request->kind == Kind::kConnect) request->socket->Connect(*request->address);
  Request& started = *request;
  requests_.emplace(started.sequence, std::move(request));
  if (Try(started)) requests_.erase(started.sequence);
}

void SimRing::CancelAll(const Request& cancel) {
  for (auto next = requests_.begin(); next != requests_.end();) {
    const auto current = next++;
    Request& request = *current->second;
    if (request.op != cancel.op) continue;
    End(request, CancelledResult(request));
    requests_.erase(current);
  }
}

// A send says how far it has come; a Unix connect waits in a thread of the kernel's, which is
// interrupted.
int32_t SimRing::CancelledResult(const Request& request) {
  if (request.sent > 0) return static_cast<int32_t>(request.sent);
  return request.kind == Kind::kConnect && request.socket->is_unix() ? -EINTR : -ECANCELED;
}

// Sockets have said that these may go on.
void SimRing::RunTasks() {
  for (size_t count = tasks_.size(); count > 0; --count) {
    const uint64_t sequence = tasks_.front();
    tasks_.pop_front();
    const auto found = requests_.find(sequence);
    if (found == requests_.end()) continue;
    found->second->queued = false;
    if (Try(*found->second)) requests_.erase(found);
  }
}

// ---- try ----

bool SimRing::Try(Request& request) {
  switch (request.kind) {
    case Kind::kAccept:
      return TryAccept(request);
    case Kind::kConnect:
      return TryConnect(request);
    case Kind::kReceive:
      return TryReceive(request);
    case Kind::kSend:
      return TrySend(request);
    case Kind::kCancel:
    case Kind::kWake:
      break;
  }
  TRIREME_UNREACHABLE();
}

bool SimRing::End(Request& request, int32_t result) {
  request.socket->Unwatch(request);
  request.socket->Unreference();
  Post({.sequence = request.sequence,
        .op = request.op,
        .result = result,
        .more = false,
        .bytes = request.bytes,
        .message = request.message,
        .bytes_hash = request.bytes_hash,
        .quiet = request.quick && request.sent == request.bytes.size()});
  return true;
}

bool SimRing::TryAccept(Request& request) {
  Socket& listener = *request.socket;
  if (listener.state() != Socket::State::kListening) return End(request, -EINVAL);
  // The descriptor is chosen first, as the kernel does: without one nobody is looked for.
  while (true) {
    const int error = kernel_.descriptors().CheckRoom();
    if (error != 0) return End(request, error);
    if (!listener.has_pending()) return false;
    Socket& socket = *listener.Accept();
    const int fd = kernel_.descriptors().Add(socket);
    socket.Unreference();  // the backlog's
    if (kernel_.Roll(Fault::kEndMultishot)) return End(request, fd);
    Post({.sequence = request.sequence, .op = request.op, .result = fd, .more = true});
  }
}

bool SimRing::TryConnect(Request& request) {
  const int32_t result = request.socket->connect_result();
  return result == -EAGAIN ? false : End(request, result);
}

// The buffer is chosen first, as the kernel does: without one nothing is looked at.
bool SimRing::TryReceive(Request& request) {
  do {
    if (published_.empty() || kernel_.Roll(Fault::kNoBuffers)) return End(request, -ENOBUFS);
    Block* block = published_.front();
    std::vector<std::byte> received(block->size);
    const int32_t result = request.socket->Receive(received);
    if (result == -EAGAIN) return false;
    if (result <= 0) return End(request, result);
    waiter_.OnWork(*this, SimWaiter::Work::kReceive);
    published_.pop_front();
    received.resize(static_cast<size_t>(result));
    const bool more = !kernel_.Roll(Fault::kEndMultishot);
    Entry entry{.sequence = request.sequence, .op = request.op, .result = result, .more = more};
    entry.block = block;
    entry.received = std::move(received);
    if (!more) {
      request.socket->Unwatch(request);
      request.socket->Unreference();
    }
    Post(std::move(entry));
    if (!more) return true;
  } while (request.socket->ready_to_read());
  return false;
}

// As with MSG_WAITALL: what did not fit is sent when there is room.
bool SimRing::TrySend(Request& request) {
  size_t skip = request.sent;
  bool short_send = false;
  for (Bytes part : Parts(request.bytes, request.message)) {
    if (skip >= part.size() && !part.empty()) {
      skip -= part.size();
      continue;
    }
    part = part.subspan(skip);
    skip = 0;
    if (part.size() > 1 && kernel_.Roll(Fault::kShortSend)) {
      part = part.first(1 + kernel_.random().Below(part.size() - 1));
      short_send = true;
    }
    while (!part.empty()) {
      const int32_t result = request.socket->Send(part);
      if (result == -EAGAIN) {
        request.quick = false;  // it waits, and will be told
        return false;
      }
      if (result < 0) {
        return End(request, request.sent > 0 ? static_cast<int32_t>(request.sent) : result);
      }
      request.sent += static_cast<size_t>(result);
      part = part.subspan(static_cast<size_t>(result));
    }
    if (short_send) break;
  }
  return End(request, static_cast<int32_t>(request.sent));
}

void SimRing::CheckSent(const Entry& entry) {
  if (entry.bytes.empty() && entry.message == nullptr) return;
  if (HashParts(entry.bytes, entry.message) != entry.bytes_hash) {
    kernel_.Violation("bytes were changed while they were being sent");
  }
}

}  // namespace trireme::sim
