// SPDX-License-Identifier: GPL-3.0-or-later
//
// UTF-8 one character at a time, strict: no overlong forms, no surrogates, nothing above U+10FFFF
// (Unicode 15, table 3-7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

struct Utf8Character {
  char32_t code;
  uint8_t size;  // bytes it takes; 1 when not valid
  bool valid;
};

// The first character of `text`, which is not empty.
inline Utf8Character DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const Utf8Character invalid{.code = 0xfffd, .size = 1, .valid = false};
  const unsigned char first = byte(0);
  if (first < 0x80) return {.code = first, .size = 1, .valid = true};
  if (first < 0xc2 || first > 0xf4) return invalid;
  const uint8_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < size) return invalid;
  char32_t code = first & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return invalid;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return invalid;
  return {.code = code, .size = size, .valid = true};
}

}  // namespace trireme
