// SPDX-License-Identifier: GPL-3.0-or-later
//
// A socket address as a value: IPv4, IPv6 or a Unix socket path ('@name' = abstract namespace).
// Parsing here is numeric only; names are looked up by side/name_lookup.h because that blocks.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace trireme {

class SocketAddress {
 public:
  SocketAddress() = default;  // empty: family() == AF_UNSPEC
  SocketAddress(const sockaddr* address, socklen_t size);

  // "127.0.0.1", "::1" or "[::1]"; not a name.
  static Result<SocketAddress> Numeric(std::string_view host, uint16_t port);
  // Full path of the socket file, or '@name'. Too long a path is an error that says the limit.
  static Result<SocketAddress> Unix(std::string_view path);

  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  uint16_t port() const;         // 0 for Unix sockets
  std::string HostText() const;  // "127.0.0.1", "::1", "/run/x/.s.PGSQL.5432", "unix" when unnamed
  std::string Text() const;      // "127.0.0.1:5432", "[::1]:5432", the path
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace trireme
