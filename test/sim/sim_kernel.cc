// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_kernel.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/assert.h"
#include "test/sim/hash.h"
#include "test/sim/peer_socket.h"

namespace trireme::sim {

SimKernel::SimKernel(uint64_t seed)
    : seed_(seed), random_(seed), now_(Time{} + 1s), descriptors_(*this) {}

SimKernel::~SimKernel() = default;

// ---- time ----

void SimKernel::At(Time time, std::function<void()> event) {
  events_.Add(std::max(time, now_), std::move(event));
}

void SimKernel::RunNext() {
  EventQueue::Event event = events_.Take();
  TRIREME_ASSERT(event.time >= now_);
  now_ = event.time;
  ++events_run_;
  Trace(static_cast<uint64_t>(now_.time_since_epoch().count()));
  Trace(event.sequence);
  event.act();
}

void SimKernel::AdvanceTo(Time time) {
  while (events_.next_time() <= time && !events_.empty()) RunNext();
  now_ = std::max(now_, time);
}

void SimKernel::Trace(uint64_t value) { trace_hash_ = Mix(trace_hash_, value); }

// ---- faults ----

bool SimKernel::Roll(Fault fault) {
  const uint32_t chance = faults_[fault];
  if (chance == 0 || random_.Below(1'000'000) >= chance) return false;
  ++fault_counts_[fault];
  Trace(static_cast<uint64_t>(fault));
  if (has_story()) Tell("fault: " + std::string(FaultName(fault)));
  return true;
}

void SimKernel::Heal() {
  faults_.per_million = {};
  ++heals_;
  for (auto& [id, socket] : sockets_) {
    socket->clogged_until_ = {};
    socket->DeliverAt(now_);
  }
  Tell("healed");
}

Duration SimKernel::Latency() {
  const Duration span = faults_.latency_max - faults_.latency_min;
  if (span <= 0ns) return faults_.latency_min;
  return faults_.latency_min + Duration(random_.Below(static_cast<uint64_t>(span.count()) + 1));
}

uint32_t SimKernel::NewCapacity() {
  const uint32_t span = faults_.capacity_max - faults_.capacity_min;
  return faults_.capacity_min + static_cast<uint32_t>(random_.Below(uint64_t{span} + 1));
}

void SimKernel::Violation(std::string_view what) {
  std::fprintf(stderr, "simulator: seed %" PRIu64 ", %.6f s: %.*s\n", seed_,
               std::chrono::duration<double>(now_.time_since_epoch()).count(),
               static_cast<int>(what.size()), what.data());
  if (on_violation) std::exchange(on_violation, nullptr)(what);
  std::abort();
}

// ---- sockets ----

Socket& SimKernel::NewSocket(int family) {
  const uint64_t id = next_id_++;
  const auto added = sockets_.emplace(id, std::make_unique<Socket>(*this, id, family));
  return *added.first->second;
}

Socket* SimKernel::Find(uint64_t id) {
  const auto found = sockets_.find(id);
  return found == sockets_.end() ? nullptr : found->second.get();
}

void SimKernel::Release(Socket& socket) {
  Trace(socket.id_);
  if (socket.state_ == Socket::State::kListening) {
    Unbind(socket);
    socket.ReleaseListener();
  } else {
    socket.ReleaseStream();
  }
  sockets_.erase(socket.id_);
}

// ---- peers ----

PeerSocket& SimKernel::Connect(const SocketAddress& address, PeerHandler& handler) {
  Socket& socket = NewSocket(address.family());
  socket.Connect(address);
  SimPeerSocket& peer = SimPeerSocket::Make(*this, socket);
  peer.set_handler(handler);
  return peer;
}

void SimKernel::Listen(const SocketAddress& address, PeerAcceptor& acceptor) {
  Result<Socket*> listener = Bind(address, {.backlog = 128, .reuse_port = false});
  if (!listener.ok()) Violation(FromAbsl(listener.status().message()));
  const uint64_t id = (*listener)->id();
  acceptors_.emplace(id, std::make_unique<SimPeerListener>(*this, **listener, acceptor));
}

void SimKernel::StopListening(const SocketAddress& address) {
  const auto group = listeners_.find(address.Text());
  TRIREME_ASSERT(group != listeners_.end() && group->second.size() == 1);
  Socket& listener = *Find(group->second.front());
  Unbind(listener);
  socket_files_.erase(address.Text());  // an orderly end of PostgreSQL removes it
  // This may be a callback of the listener itself.
  At(now_, [this, id = listener.id()] { acceptors_.erase(id); });
}

}  // namespace trireme::sim
