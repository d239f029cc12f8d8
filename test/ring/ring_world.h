// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the conformance suite needs of a kernel, real or simulated: some rings that reach each other
// by Wake(), and addresses to listen on. Everything else goes through Ring itself; both ends of
// every connection are driven by rings.
#pragma once

#include <memory>
#include <ostream>
#include <string>

#include "ring/ring.h"

namespace trireme {

class RingWorld {
 public:
  virtual ~RingWorld() = default;
  // `index` < the count given to the factory. Its submission queue is short, so that the suite
  // fills it.
  virtual Ring& ring(uint32_t index) = 0;
  // To Listen() on; Ring::LocalAddress() then says where to connect to. Another one with each call.
  virtual SocketAddress NewAddress() = 0;
  // A TCP connect on `fd` that nobody answers gives up after 3 s, not minutes.
  virtual void HastenConnectTimeout(int fd) = 0;
  // Until allowed again, no descriptor can be had: EMFILE.
  virtual void ForbidDescriptors() = 0;
  virtual void AllowDescriptors() = 0;
};

struct RingWorldKind {
  std::string name;
  std::unique_ptr<RingWorld> (*make)(uint32_t ring_count, const Buffers::Options& buffers);
  friend std::ostream& operator<<(std::ostream& to, const RingWorldKind& kind) {
    return to << kind.name;
  }
};

}  // namespace trireme
