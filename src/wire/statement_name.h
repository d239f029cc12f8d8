// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a client's prepared statement is called on a server: its 128-bit id, written as
//
//     trireme_  and 22 characters of A-Z a-z 0-9 - _
//
// The id is a keyed hash of the statement (session/statements.h), so that all clients which prepare
// the same thing share one statement of the server, no table of names is shared by cores, and a
// name means the same on every server.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace trireme {

struct StatementId {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const StatementId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const StatementId& id) {
    return H::combine(std::move(h), id.high, id.low);
  }
};

inline constexpr std::string_view kStatementNamePrefix = "trireme_";

class StatementName {
 public:
  explicit StatementName(StatementId id) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t at = 0;
    for (const char c : kStatementNamePrefix) text_[at++] = c;
    for (uint64_t half : {id.high, id.low}) {
      for (size_t i = 0; i < kDigitsOfHalf; ++i, half >>= 6) text_[at++] = kDigits[half & 63];
    }
  }
  std::string_view view() const { return {text_.data(), text_.size()}; }

  static constexpr size_t kDigitsOfHalf = 11;  // 6 bits each
  static constexpr size_t kBytes = kStatementNamePrefix.size() + 2 * kDigitsOfHalf;

 private:
  std::array<char, kBytes> text_;
};

}  // namespace trireme
