// SPDX-License-Identifier: GPL-3.0-or-later
//
// What fuzz targets share: how an input is taken apart, how a stream is cut into pieces, and how a
// broken property says so.
//
// Inputs are plain bytes read from the front, so that corpora can be written by hand. What is
// missing at the end reads as zeros: every byte string is an input of every target.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace trireme::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const std::byte*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    const Bytes taken = Take(1);
    return taken.empty() ? uint8_t{0} : static_cast<uint8_t>(taken[0]);
  }
  // Big-endian, as everything in the protocol.
  uint16_t Int16() { return static_cast<uint16_t>(Byte() << 8 | Byte()); }
  // At most `count` bytes.
  Bytes Take(size_t count) {
    const Bytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  // A 16-bit length and as many bytes, or what there is of them.
  Bytes Block() { return Take(Int16()); }
  Bytes Rest() { return Take(rest_.size()); }
  std::string_view RestText() { return AsText(Rest()); }

 private:
  Bytes rest_;
};

// How large the next piece of a stream is: all of it, one byte at a time, or as a seed has it.
class Cut {
 public:
  static constexpr uint16_t kWhole = 0;
  static constexpr uint16_t kSingleBytes = 1;

  explicit Cut(uint16_t seed) : seed_(seed), random_(seed) {}

  // At least 1, at most `left`, which is not 0.
  size_t Next(size_t left) {
    if (seed_ == kWhole) return left;
    if (seed_ == kSingleBytes) return 1;
    const size_t most = random_.Below(4) == 0 ? left : std::min<size_t>(left, 16);
    return 1 + random_.Below(most);
  }

 private:
  uint16_t seed_;
  Random random_;
};

[[noreturn]] inline void Broken(std::string_view property) {
  std::fprintf(stderr, "\nproperty broken: %.*s\n", static_cast<int>(property.size()),
               property.data());
  std::abort();
}

inline void Check(bool holds, std::string_view property) {
  if (!holds) Broken(property);
}

inline std::string Printable(std::string_view text) {
  std::string printable;
  for (const char c : text) {
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
    printable += c >= 0x20 && c < 0x7f && c != '\\' ? std::string(1, c) : std::string(escaped);
  }
  return printable;
}

inline void CheckEqual(std::string_view one, std::string_view other, std::string_view property) {
  if (one == other) return;
  std::fprintf(stderr, "\n  one:   %s\n  other: %s\n", Printable(one).c_str(),
               Printable(other).c_str());
  Broken(property);
}

}  // namespace trireme::fuzz
