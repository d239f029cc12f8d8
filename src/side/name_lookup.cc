// SPDX-License-Identifier: GPL-3.0-or-later
#include "side/name_lookup.h"

#include <netdb.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/assert.h"

namespace trireme {

namespace {

Status LookupFailed(const std::string& host, std::string_view reason) {
  return Unavailable("could not look up host \"" + host + "\": " + std::string(reason));
}

std::string_view Reason(int code, int system_error) {
  return code == EAI_SYSTEM ? std::strerror(system_error) : gai_strerror(code);
}

}  // namespace

bool NameLookup::Begin(Crew& crew, uint32_t shard_index, Target target) {
  TRIREME_ASSERT(!running());
  target_ = std::move(target);
  return crew.Submit(shard_index, *this);
}

void NameLookup::Work(Job& job) {
  auto& lookup = static_cast<NameLookup&>(job);
  lookup.result_ = Blocking(lookup.target_);
}

void NameLookup::Done(Job& job) {
  auto& lookup = static_cast<NameLookup&>(job);
  if (lookup.state == State::kCancelled) {
    lookup.result_ = LookupFailed(lookup.target_.host, "shutting down");
  }
  lookup.finished_(lookup);
}

Result<std::vector<SocketAddress>> NameLookup::Blocking(const Target& target) {
  const std::string& host = target.host;
  if (host.empty()) return InvalidArgument("could not look up a host: its name is empty");
  if (host.find('\0') != std::string::npos) return LookupFailed(host, "a NUL byte in its name");
  auto numeric = SocketAddress::Numeric(host, target.port);
  if (numeric.ok()) return std::vector<SocketAddress>{*numeric};

  // AI_ADDRCONFIG would hide "localhost" on a machine with nothing but a loopback device.
  const addrinfo hints{
      .ai_flags = AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const std::string port = std::to_string(target.port);
  const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) return LookupFailed(host, Reason(code, errno));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);

  std::vector<SocketAddress> addresses;
  for (const addrinfo* a = found; a != nullptr && addresses.size() < kAddressesMax;
       a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    addresses.emplace_back(a->ai_addr, a->ai_addrlen);
  }
  if (addresses.empty()) return LookupFailed(host, "it has no IPv4 or IPv6 address");
  return addresses;
}

}  // namespace trireme
