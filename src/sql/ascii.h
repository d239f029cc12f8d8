// SPDX-License-Identifier: GPL-3.0-or-later
//
// Case of ASCII letters. PostgreSQL folds keywords and, in multi-byte encodings, identifiers this
// way whatever the locale.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace trireme {

constexpr char LowerAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// `lower` is given in lower case.
constexpr bool EqualsLower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return LowerAscii(a) == b; });
}

inline std::string FoldedAscii(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), LowerAscii);
  return lower;
}

}  // namespace trireme
