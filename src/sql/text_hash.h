// SPDX-License-Identifier: GPL-3.0-or-later
//
// SipHash-2-4 with 128 bits of result (Aumasson, Bernstein): a keyed hash by which texts from
// outside may be told apart. Without the key nobody can find two texts with one hash. About 1 ns a
// byte.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace trireme {

struct TextHash {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const TextHash&) const = default;
};

// Secret, from a source of true randomness (auth/crypto.h), the same in all that compare hashes.
using TextHashKey = std::array<uint64_t, 2>;

TextHash HashText(std::string_view text, const TextHashKey& key);

}  // namespace trireme
