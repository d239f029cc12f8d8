// SPDX-License-Identifier: GPL-3.0-or-later
//
// A hash for comparing runs and for seeing that bytes have not changed; no secret is near.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace trireme::sim {

inline uint64_t Mix(uint64_t hash, uint64_t value) {
  uint64_t z = (hash ^ value) + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

inline uint64_t HashBytes(uint64_t hash, Bytes bytes) {
  hash = Mix(hash, bytes.size());
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t count = bytes.size() < sizeof word ? bytes.size() : sizeof word;
    std::memcpy(&word, bytes.data(), count);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    bytes = bytes.subspan(count);
  }
  return hash;
}

}  // namespace trireme::sim
