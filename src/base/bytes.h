// SPDX-License-Identifier: GPL-3.0-or-later
//
// Bytes as the network and the files give them, and the big-endian integers of the PostgreSQL
// protocol. Text that a person wrote (names, SQL) travels as std::string_view over the same memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace trireme {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Unaligned big-endian loads and stores; the caller has checked that the bytes are there.
inline uint32_t LoadBig32(const std::byte* from) {
  uint32_t raw;
  std::memcpy(&raw, from, sizeof raw);
  return std::endian::native == std::endian::little ? __builtin_bswap32(raw) : raw;
}

inline uint16_t LoadBig16(const std::byte* from) {
  uint16_t raw;
  std::memcpy(&raw, from, sizeof raw);
  return std::endian::native == std::endian::little ? __builtin_bswap16(raw) : raw;
}

inline void StoreBig32(std::byte* to, uint32_t value) {
  const uint32_t raw =
      std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
  std::memcpy(to, &raw, sizeof raw);
}

inline void StoreBig16(std::byte* to, uint16_t value) {
  const uint16_t raw =
      std::endian::native == std::endian::little ? __builtin_bswap16(value) : value;
  std::memcpy(to, &raw, sizeof raw);
}

}  // namespace trireme
