// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/text_hash.h"

#include <bit>
#include <cstring>

namespace trireme {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void Add(uint64_t word) {
    v3 ^= word;
    Round(), Round();
    v0 ^= word;
  }
  uint64_t Finish() {
    Round(), Round(), Round(), Round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

uint64_t LoadLittle(const char* from, size_t size) {
  uint64_t word = 0;
  std::memcpy(&word, from, size);
  static_assert(std::endian::native == std::endian::little);
  return word;
}

}  // namespace

TextHash HashText(std::string_view text, const TextHashKey& key) {
  State state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee,
              key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
  const uint64_t length = uint64_t{text.size()} << 56;
  while (text.size() >= 8) {
    state.Add(LoadLittle(text.data(), 8));
    text.remove_prefix(8);
  }
  state.Add(length | (text.empty() ? 0 : LoadLittle(text.data(), text.size())));
  TextHash hash;
  state.v2 ^= 0xee;
  hash.low = state.Finish();
  state.v1 ^= 0xdd;
  hash.high = state.Finish();
  return hash;
}

}  // namespace trireme
