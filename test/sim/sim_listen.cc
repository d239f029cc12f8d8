// SPDX-License-Identifier: GPL-3.0-or-later
//
// Addresses: who listens where, and what an unnamed socket is called.
#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "test/sim/sim_kernel.h"

namespace trireme::sim {
namespace {

std::string WithPort(const SocketAddress& address, uint16_t port) {
  return SocketAddress::Numeric(address.HostText(), port)->Text();
}

std::string Wildcard(const SocketAddress& address) {
  const char* host = address.family() == AF_INET ? "0.0.0.0" : "::";
  return SocketAddress::Numeric(host, address.port())->Text();
}

bool IsFile(const SocketAddress& address) {
  return address.is_unix() && address.HostText().front() != '@';
}

}  // namespace

Result<Socket*> SimKernel::Bind(const SocketAddress& address, const ListenOptions& options) {
  SocketAddress local = address;
  if (!address.is_unix() && address.port() == 0) {
    while (listeners_.contains(WithPort(address, next_port_))) ++next_port_;
    local = *SocketAddress::Numeric(address.HostText(), next_port_++);
  }
  const bool reuse_port = options.reuse_port && !local.is_unix();
  std::vector<uint64_t>& group = listeners_[local.Text()];
  if (!group.empty() && !(reuse_port && Find(group.front())->reuse_port())) {
    return Unavailable("cannot listen on " + local.Text() + ": bind: " + std::strerror(EADDRINUSE));
  }
  if (IsFile(local)) socket_files_.insert(local.Text());
  Socket& listener = NewSocket(local.family());
  listener.StartListening(local, options.backlog, reuse_port);
  listener.Reference();
  group.push_back(listener.id());
  return &listener;
}

void SimKernel::Unbind(Socket& listener) {
  const auto found = listeners_.find(listener.local().Text());
  if (found == listeners_.end()) return;
  std::erase(found->second, listener.id());
  if (found->second.empty()) listeners_.erase(found);
}

// Of a REUSEPORT group any may get the connection: Linux goes by a hash of the addresses.
Socket* SimKernel::ListenerFor(const SocketAddress& address) {
  auto found = listeners_.find(address.Text());
  if (found == listeners_.end() && !address.is_unix()) found = listeners_.find(Wildcard(address));
  if (found == listeners_.end()) return nullptr;
  const std::vector<uint64_t>& group = found->second;
  if (spread_ && group.size() > 1) return Find(group[spread_(group.size())]);
  return Find(group.size() == 1 ? group.front() : group[random_.Below(group.size())]);
}

// A missing socket file is ENOENT; abstract names and files nobody listens on refuse.
bool SimKernel::file_exists(const SocketAddress& address) const {
  return !IsFile(address) || socket_files_.contains(address.Text());
}

SocketAddress SimKernel::Unnamed(const SocketAddress& towards) {
  if (towards.is_unix()) {
    sockaddr unnamed{};
    unnamed.sa_family = AF_UNIX;
    return SocketAddress(&unnamed, sizeof unnamed.sa_family);
  }
  const auto port = static_cast<uint16_t>(32768 + next_id_ % 28000);
  return *SocketAddress::Numeric(towards.HostText(), port);
}

}  // namespace trireme::sim
