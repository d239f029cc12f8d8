// SPDX-License-Identifier: GPL-3.0-or-later
//
// From a host name to socket addresses, on a side thread because the resolver blocks. Numeric
// addresses go the same way and never leave the machine. The addresses keep the resolver's order of
// preference (RFC 6724); connect to them in turn.
//
// Embedded in its owner like any Job:
//
//   struct Opening {
//     NameLookup lookup{[](NameLookup& l) { static_cast<Opening*>(l.owner())->OnAddresses(); },
//     this};
//   };
//   if (!opening.lookup.Begin(crew, shard_index, {.host = "db1", .port = 5432})) ...
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "side/crew.h"

namespace trireme {

class NameLookup : private Job {
 public:
  using Finished = void (*)(NameLookup& lookup);

  struct Target {
    std::string host;  // a name, "127.0.0.1", "::1" or "[::1]"
    uint16_t port = 0;
  };

  // More would only lengthen the wait for a host that is down.
  static constexpr size_t kAddressesMax = 32;

  NameLookup(Finished finished, void* owner)
      : Job(Work, Done), finished_(finished), owner_(owner) {}

  // Starts; `finished` runs in a Drain() of this shard. False when the shard has too many jobs out.
  [[nodiscard]] bool Begin(Crew& crew, uint32_t shard_index, Target target);

  bool running() const { return state == State::kSubmitted; }
  void* owner() const { return owner_; }
  const Target& target() const { return target_; }
  // Once finished: at least one address, or an error that says the host and the reason.
  const Result<std::vector<SocketAddress>>& result() const { return result_; }

  // The lookup itself, on the calling thread.
  static Result<std::vector<SocketAddress>> Blocking(const Target& target);

 private:
  static void Work(Job& job);
  static void Done(Job& job);

  const Finished finished_;
  void* const owner_;
  Target target_;
  Result<std::vector<SocketAddress>> result_ = std::vector<SocketAddress>{};
};

}  // namespace trireme
