// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a text does, when it succeeds, to the state of the session that sends it: the full answer
// behind first_word.h, some microseconds for each statement that matters. Ask the cache first
// (effects_cache.h).
//
//   text ─ StatementScanner ─▶ statements ─ harmless? ─▶ nothing
//                                 │ PostgreSQL's grammar (parse_tree.h) ─▶ TreeEffects
//                                 └ refused, large or deep ─▶ LexicalEffects
//
// Statements are read one by one, so that one the parser does not know hides no other. The server
// reads the text as a whole and, when it refuses any part of it, runs nothing: effects come true
// with CommandComplete, not before.
//
// Not visible here is what session_words.h lists. Further, names are not resolved: DROP TABLE t may
// mean another t than the temporary one when search_path names pg_temp behind another schema, and
// kPrepare says nothing about what its text does when it is executed; analyze that text then.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sql/effect.h"
#include "sql/lexer.h"
#include "sql/session_words.h"

namespace trireme {

struct SessionEffects {
  // How the statements that matter were read; the least of them all.
  enum class Reading : uint8_t {
    kParsed,   // by PostgreSQL's grammar
    kLexical,  // one at least by its tokens only: nothing is missing, details may be
    kUnknown,  // not readable, or does too much to be listed: it may do anything
  };
  Reading reading = Reading::kParsed;
  uint32_t statement_count = 0;
  std::vector<Effect> effects;

  bool operator==(const SessionEffects&) const = default;
};

// Of a text up to its first zero byte.
SessionEffects AnalyzeStatements(std::string_view text, TextRules rules);

// Larger or deeper statements are read by their tokens: the parser takes up to 1 µs a byte, and
// about 500 bytes of stack for each level.
inline constexpr size_t kParsedBytesMax = 8192;
inline constexpr uint32_t kParsedNestingMax = 500;
// More effects are not listed, in one text.
inline constexpr size_t kEffectsMax = 1000;

}  // namespace trireme
