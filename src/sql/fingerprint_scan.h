// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where in a text may one of some words be? Each word is known by three bytes of it, its
// fingerprint; fingerprints are in eight sets, a bit of a byte each. Six tables of sixteen entries
// tell which sets a byte's halves allow at the first, second and third place; three bytes of text
// whose six entries share a bit may be a fingerprint of that set. So 32 places are tried with some
// twenty instructions where the processor has AVX2 ("Teddy" of the Hyperscan library).
//
// It finds more than is there, never less: the caller looks at each place itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

inline constexpr size_t kFingerprintBytes = 3;
inline constexpr size_t kFingerprintSets = 8;

class FingerprintTables {
 public:
  using Halves = std::array<uint8_t, 16>;

  // Letters match in either case. A fingerprint shorter than three bytes allows any byte behind.
  constexpr void Add(std::string_view fingerprint, size_t set) {
    const auto bit = static_cast<uint8_t>(1U << set);
    for (size_t place = 0; place < kFingerprintBytes; ++place) {
      if (place < fingerprint.size()) {
        AddByte(fingerprint[place], place, bit);
      } else {
        for (uint8_t& entry : low_[place]) entry |= bit;
        for (uint8_t& entry : high_[place]) entry |= bit;
      }
    }
  }

  const Halves& low(size_t place) const { return low_[place]; }
  const Halves& high(size_t place) const { return high_[place]; }

  // The sets that allow this byte at this place.
  uint8_t Sets(char c, size_t place) const {
    const auto byte = static_cast<uint8_t>(c);
    return low_[place][byte & 15] & high_[place][byte >> 4];
  }

 private:
  constexpr void AddByte(char c, size_t place, uint8_t bit) {
    const auto byte = static_cast<uint8_t>(c);
    low_[place][byte & 15] |= bit;
    high_[place][byte >> 4] |= bit;
    const bool letter = c >= 'a' && c <= 'z';  // its capital differs in the upper half only
    if (letter) high_[place][(byte ^ 0x20) >> 4] |= bit;
  }

  alignas(16) std::array<Halves, kFingerprintBytes> low_{};
  alignas(16) std::array<Halves, kFingerprintBytes> high_{};
};

// The first place at or behind `from` where a fingerprint may be whole; npos if there is none.
size_t FindFingerprint(const FingerprintTables& tables, std::string_view text, size_t from);

// The same, a byte at a time: for processors without AVX2.
size_t FindFingerprintByBytes(const FingerprintTables& tables, std::string_view text, size_t from);

}  // namespace trireme
