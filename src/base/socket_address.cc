// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme {

SocketAddress::SocketAddress(const sockaddr* address, socklen_t size) {
  TRIREME_ASSERT(size <= sizeof storage_);
  std::memcpy(&storage_, address, size);
  size_ = size;
}

Result<SocketAddress> SocketAddress::Numeric(std::string_view host, uint16_t port) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string text(host);
  const bool whole = text.find('\0') == text.npos;  // inet_pton would read only what is before it
  sockaddr_in v4{};
  if (whole && inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  if (whole && inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  }
  return InvalidArgument("\"" + text + "\" is not an IPv4 or IPv6 address");
}

Result<SocketAddress> SocketAddress::Unix(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return InvalidArgument("Unix socket path \"" + std::string(path) + "\" must have 1 to " +
                           std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  if (path.find('\0') != path.npos) {
    return InvalidArgument("Unix socket path with a NUL byte; the kernel would cut it there");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  size_t size = offsetof(sockaddr_un, sun_path) + path.size() + 1;
  if (path.front() == '@') {
    address.sun_path[0] = '\0';
    --size;  // abstract names carry no terminator
  }
  return SocketAddress(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
  return 0;
}

std::string SocketAddress::HostText() const {
  if (family() == AF_INET) {  // each client that logs in: inet_ntop does this by sprintf
    std::array<uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in&>(storage_).sin_addr,
                bytes.size());
    return absl::StrCat(bytes[0], ".", bytes[1], ".", bytes[2], ".", bytes[3]);
  }
  if (family() == AF_INET6) {
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage_).sin6_addr, text,
              sizeof text);
    return text;
  }
  const auto& address = reinterpret_cast<const sockaddr_un&>(storage_);
  const size_t head = offsetof(sockaddr_un, sun_path);
  if (family() != AF_UNIX || size_ <= head) return "unix";
  if (address.sun_path[0] == '\0') {
    return "@" + std::string(address.sun_path + 1, size_ - head - 1);
  }
  return std::string(address.sun_path, strnlen(address.sun_path, size_ - head));
}

std::string SocketAddress::Text() const {
  if (family() == AF_INET) return absl::StrCat(HostText(), ":", port());
  if (family() == AF_INET6) return absl::StrCat("[", HostText(), "]:", port());
  return HostText();
}

}  // namespace trireme
