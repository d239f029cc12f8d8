// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/listen_addresses.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "side/name_lookup.h"

namespace trireme {
namespace {

bool HostSpeaksIpv6() {
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const Result<SocketAddress> any = SocketAddress::Numeric("::", 0);
  const bool works = any.ok() && bind(fd, any->data(), any->size()) == 0;
  close(fd);
  return works;
}

}  // namespace

Result<std::vector<SocketAddress>> ListenAddresses(const ListenerConfig& listener) {
  if (!listener.unix_socket_dir.empty()) {
    const std::string& dir = listener.unix_socket_dir;
    Result<SocketAddress> address =
        SocketAddress::Unix(dir + "/.s.PGSQL." + std::to_string(listener.port));
    if (!address.ok()) return address.status();
    return std::vector<SocketAddress>{*address};
  }
  if (listener.host != "*") {
    return NameLookup::Blocking({.host = listener.host, .port = listener.port});
  }
  std::vector<SocketAddress> every;
  Result<SocketAddress> v4 = SocketAddress::Numeric("0.0.0.0", listener.port);
  if (!v4.ok()) return v4.status();
  every.push_back(*v4);
  if (HostSpeaksIpv6()) {
    Result<SocketAddress> v6 = SocketAddress::Numeric("::", listener.port);
    if (!v6.ok()) return v6.status();
    every.push_back(*v6);
  }
  return every;
}

}  // namespace trireme
