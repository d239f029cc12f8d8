// SPDX-License-Identifier: GPL-3.0-or-later
//
// The look that each text of a Query or Parse message gets on the data path: does it surely leave
// the session as it was? Some tens of nanoseconds and no allocation for what applications send;
// what is not surely harmless goes to AnalyzeStatements, through the cache.
//
//   first word   SELECT INSERT …   harmless, unless session_words.h finds something
//                BEGIN COMMIT …    only the transaction, unless another statement follows
//                VACUUM GRANT …    harmless, the same
//                SET LISTEN …      must be analyzed
//
// Harmless means: as far as the text tells. What texts do not tell is listed in session_words.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "sql/lexer.h"
#include "sql/session_words.h"

namespace trireme {

enum class FirstWord : uint8_t {
  kNone,         // white space, comments and semicolons only
  kQuery,        // SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, WITH, TABLE, COPY, (
  kTransaction,  // BEGIN, START, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE
  kHarmless,     // utility statements without a trace in the session: VACUUM, GRANT, SHOW …
  kRelevant,     // statements made to change it, DDL, and what runs other statements
  kUnknown,      // no statement of PostgreSQL 18 begins so
  kCut,          // the text ends before it can be told
};

// What is known of a text: all of it, or its beginning.
enum class TextPart : uint8_t { kWhole, kBeginning };

FirstWord FirstWordOf(std::string_view text, TextPart part);

enum class TextVerdict : uint8_t {
  kHarmless,
  kTransaction,  // one statement that begins, ends or structures a transaction
  kNumbers,      // harmless, but it may advance a sequence: currval and lastval tell
  kAnalyze,
};

// Of a whole text.
TextVerdict JudgeText(std::string_view text, TextRules rules);

// Does anybody ask sequences for currval or lastval?
enum class Numbers : uint8_t { kIgnored, kMatter };
// The same; where they matter, INSERT and its like are kNumbers, too, and are read for it.
TextVerdict JudgeText(std::string_view text, TextRules rules, Numbers numbers);

constexpr bool MustAnalyze(TextVerdict verdict, Numbers numbers) {
  return verdict == TextVerdict::kAnalyze ||
         (verdict == TextVerdict::kNumbers && numbers == Numbers::kMatter);
}

}  // namespace trireme
