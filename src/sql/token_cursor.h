// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reads the tokens of a statement with one token of foresight, for hand-written readers of a few
// statements. A copy goes on by itself.
#pragma once

#include <string>
#include <string_view>

#include "sql/lexer.h"

namespace trireme {

class TokenCursor {
 public:
  TokenCursor(std::string_view text, TextRules rules)
      : text_(text), rules_(rules), lexer_(text, rules), next_(lexer_.Next()) {}

  const SqlToken& peek() const { return next_; }
  bool at_end() const { return next_.kind == SqlToken::Kind::kEnd; }

  SqlToken Take() {
    const SqlToken token = next_;
    next_ = lexer_.Next();
    return token;
  }
  // Takes the unquoted word, when it is next.
  bool TakeWord(std::string_view lower) {
    if (!next_.IsWord(lower)) return false;
    Take();
    return true;
  }
  bool Take(char symbol) {
    if (!next_.Is(symbol)) return false;
    Take();
    return true;
  }
  // The next token's value; "" for what has none.
  std::string TakeValue() {
    const SqlToken token = Take();
    return TokenValue(token, rules_).value_or(std::string());
  }

  // What follows the tokens taken so far, from the next token on.
  std::string_view rest() const { return text_.substr(lexer_.position() - next_.text.size()); }
  size_t next_begin() const { return lexer_.position() - next_.text.size(); }
  std::string_view text() const { return text_; }
  TextRules rules() const { return rules_; }

 private:
  std::string_view text_;
  TextRules rules_;
  SqlLexer lexer_;
  SqlToken next_;
};

}  // namespace trireme
