// SPDX-License-Identifier: GPL-3.0-or-later
//
// Takes a text apart into its statements, as psql does before it sends them: at semicolons outside
// of parentheses (CREATE RULE … DO (a; b)) and of BEGIN ATOMIC bodies. Tells of each statement what
// decides whether and how it is read further.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sql/first_word.h"
#include "sql/lexer.h"
#include "sql/session_words.h"

namespace trireme {

struct ScannedStatement {
  std::string_view text;  // without the semicolon; not empty
  FirstWord first = FirstWord::kNone;
  SessionWords words = 0;
  // At least how deep its parse tree can become, in nodes of expressions, subqueries and set
  // operations. kTooDeep: deeper than is counted.
  uint32_t nesting = 0;
};
inline constexpr uint32_t kTooDeep = UINT32_MAX;

class StatementScanner {
 public:
  StatementScanner(std::string_view text, TextRules rules) : text_(text), lexer_(text, rules) {}

  // nullopt: there are no more.
  std::optional<ScannedStatement> Next();

 private:
  std::string_view text_;
  SqlLexer lexer_;
};

}  // namespace trireme
