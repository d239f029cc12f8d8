// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/deferred_begin.h"

#include <array>
#include <cstddef>

#include "sql/ascii.h"

namespace trireme {
namespace {

// Up to two words; a text with more, or with anything but words and semicolons behind them, is not
// bare.
struct Words {
  std::array<std::string_view, 2> words{};
  size_t count = 0;
  bool bare = true;
};

// No vertical tab, which is a syntax error up to PostgreSQL 15.
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Words Split(std::string_view text) {
  Words found;
  size_t at = 0;
  bool ended = false;
  while (at < text.size()) {
    if (IsSpace(text[at])) {
      ++at;
      continue;
    }
    if (text[at] == ';' && found.count > 0) {
      ended = true;
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && IsLetter(text[end])) ++end;
    if (end == at || ended || found.count == found.words.size()) return {.bare = false};
    found.words[found.count++] = text.substr(at, end - at);
    at = end;
  }
  return found;
}

// The second word, where PostgreSQL allows one that means nothing.
bool IsNoise(std::string_view word) {
  return word.empty() || EqualsLower(word, "work") || EqualsLower(word, "transaction");
}

}  // namespace

std::string_view TagOfBareBegin(std::string_view text) {
  const Words found = Split(text);
  if (!found.bare || found.count == 0) return "";
  const auto& [first, second] = found.words;
  if (EqualsLower(first, "begin") && IsNoise(second)) return "BEGIN";
  if (EqualsLower(first, "start") && EqualsLower(second, "transaction")) {
    return "START TRANSACTION";
  }
  return "";
}

std::string_view TagOfBareEnd(std::string_view text) {
  const Words found = Split(text);
  if (!found.bare || found.count == 0 || !IsNoise(found.words[1])) return "";
  const std::string_view first = found.words[0];
  if (EqualsLower(first, "commit") || EqualsLower(first, "end")) return "COMMIT";
  if (EqualsLower(first, "rollback") || EqualsLower(first, "abort")) return "ROLLBACK";
  return "";
}

}  // namespace trireme
