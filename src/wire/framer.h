// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where do messages end? Every message after the startup phase is
//
//     byte 0        bytes 1..4                    bytes 5..
//   +------+----------------------------+----------------------+
//   | type | length (itself, not type)  | body: length - 4     |
//   +------+----------------------------+----------------------+
//
// (PostgreSQL, "Message Formats".) Walkers hop from head to head; bodies pass untouched.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace trireme {

inline constexpr uint32_t kHeadBytes = 5;

struct MessageHead {
  char type;
  uint32_t length;  // as on the wire: includes its own 4 bytes, so a valid one is >= 4

  bool valid(uint32_t message_bytes_max) const {
    return length >= 4 && length - 4 <= message_bytes_max;
  }
  uint32_t body_size() const { return length - 4; }
  uint32_t total_size() const { return length + 1; }
};

// `at` points to at least kHeadBytes bytes.
inline MessageHead ReadHead(const std::byte* at) {
  return {static_cast<char>(*at), LoadBig32(at + 1)};
}

}  // namespace trireme
