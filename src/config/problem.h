// SPDX-License-Identifier: GPL-3.0-or-later
//
// One thing wrong in a configuration text, written for the person who has to mend it. A plain
// value.
#pragma once

#include <cstdint>
#include <string>

namespace trireme {

// Counted from 1; a column is a character (code point), as editors count.
struct TextPosition {
  uint32_t line = 1;
  uint32_t column = 1;

  friend auto operator<=>(const TextPosition&, const TextPosition&) = default;
};

struct ConfigProblem {
  enum class Severity : uint8_t { kError, kWarning };

  Severity severity = Severity::kError;
  std::string file;
  TextPosition position;
  std::string pointer;  // RFC 6901: "/routes/0/pool/size"; "" is the whole text
  std::string message;  // what was expected, what was found, what to do

  // "trireme.json:12:9: error: /pool/size: expected …, found …"
  std::string ToString() const;
};

}  // namespace trireme
