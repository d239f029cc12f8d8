// SPDX-License-Identifier: GPL-3.0-or-later
#include "ring/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace trireme {
namespace {

// Best effort: an option that this kind of socket does not know changes nothing.
void SetOption(int fd, int level, int option, int value) {
  static_cast<void>(setsockopt(fd, level, option, &value, sizeof value));
}

int Seconds(Duration duration) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  return static_cast<int>(seconds < 1 ? 1 : seconds > 32767 ? 32767 : seconds);
}

std::string Advice(int error) {
  switch (error) {
    case EADDRINUSE:
      return "; another program listens there: stop it, or choose another port";
    case EADDRNOTAVAIL:
      return "; no interface of this machine has that address";
    case EACCES:
    case EPERM:
      return "; not permitted: ports below 1024 need CAP_NET_BIND_SERVICE, a socket file needs a "
             "directory that this user may write to";
    case ENOENT:
      return "; the directory of the socket file does not exist";
    case EAFNOSUPPORT:
      return "; this kernel does not support the address family";
    case EMFILE:
    case ENFILE:
      return "; out of file descriptors: raise the limit (ulimit -n)";
    default:
      return "";
  }
}

Status ListenError(const SocketAddress& address, const char* call, int error) {
  return Unavailable(absl::StrCat("cannot listen on ", address.Text(), ": ", call, ": ",
                                  std::strerror(error), Advice(error)));
}

bool IsSocketFile(const SocketAddress& address) {
  return address.is_unix() &&
         reinterpret_cast<const sockaddr_un*>(address.data())->sun_path[0] != '\0';
}

const char* SocketPath(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_un*>(address.data())->sun_path;
}

// True when somebody answers on the socket file. A full backlog is an answer too.
bool Answers(const SocketAddress& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;  // not known: rather refuse than take over
  const bool refused =
      connect(fd, address.data(), address.size()) != 0 && errno != EAGAIN && errno != EINPROGRESS;
  const bool gone = refused && (errno == ECONNREFUSED || errno == ENOENT);
  close(fd);
  return !gone;
}

// A socket file outlives the program that made it; one that nobody answers on is removed.
Status RemoveStaleSocketFile(const SocketAddress& address) {
  struct stat status;
  if (lstat(SocketPath(address), &status) != 0) return OkStatus();
  if (!S_ISSOCK(status.st_mode)) {
    return Unavailable(absl::StrCat("cannot listen on ", address.Text(),
                                    ": a file that is not a socket is in the way; remove it, or "
                                    "choose another path"));
  }
  if (Answers(address)) return ListenError(address, "bind", EADDRINUSE);
  if (unlink(SocketPath(address)) != 0 && errno != ENOENT) {
    return ListenError(address, "removing the stale socket file", errno);
  }
  return OkStatus();
}

Status BindTcp(int fd, const SocketAddress& address, const ListenOptions& options) {
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.family() == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  SetSocketOptions(fd, options.accepted);
  if (bind(fd, address.data(), address.size()) != 0) return ListenError(address, "bind", errno);
  return OkStatus();
}

Status BindUnix(int fd, const SocketAddress& address, const ListenOptions& options) {
  if (IsSocketFile(address)) {
    Status removed = RemoveStaleSocketFile(address);
    if (!removed.ok()) return removed;
    // Linux makes the file with the mode of the socket, less the umask: the file is never more open
    // than it should be, and chmod() then gives what the umask took.
    if (fchmod(fd, options.unix_socket_mode) != 0) return ListenError(address, "fchmod", errno);
  }
  if (bind(fd, address.data(), address.size()) != 0) return ListenError(address, "bind", errno);
  if (IsSocketFile(address) && chmod(SocketPath(address), options.unix_socket_mode) != 0) {
    return ListenError(address, "chmod", errno);
  }
  return OkStatus();
}

using AddressCall = int (*)(int, sockaddr*, socklen_t*);

SocketAddress AddressOf(int fd, AddressCall call) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage), size);
}

}  // namespace

Result<int> ListenOn(const SocketAddress& address, const ListenOptions& options) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ListenError(address, "socket", errno);
  Status bound = address.is_unix() ? BindUnix(fd, address, options) : BindTcp(fd, address, options);
  if (bound.ok() && listen(fd, static_cast<int>(options.backlog)) != 0) {
    bound = ListenError(address, "listen", errno);
  }
  if (!bound.ok()) {
    close(fd);
    return bound;
  }
  return fd;
}

Result<int> OpenSocket(int family) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const int error = errno;
  Status status =
      Unavailable(absl::StrCat("cannot open a socket: ", std::strerror(error), Advice(error)));
  errno = error;
  return status;
}

void SetSocketOptions(int fd, const SocketOptions& options) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.keepalive_idle <= Duration{0}) return;
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, Seconds(options.keepalive_idle));
  if (options.keepalive_interval > Duration{0}) {
    SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, Seconds(options.keepalive_interval));
  }
  if (options.keepalive_count > 0) {
    SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(options.keepalive_count));
  }
}

SocketAddress PeerAddressOf(int fd) { return AddressOf(fd, &getpeername); }
SocketAddress LocalAddressOf(int fd) { return AddressOf(fd, &getsockname); }

}  // namespace trireme
