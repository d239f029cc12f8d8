// SPDX-License-Identifier: GPL-3.0-or-later
//
// Just enough lexing of SQL to read a console command, and to see with which word a text begins.
// White space, -- comments and nested /* */ comments are passed over. It does not know grammar, and
// it never decides what a server will do with a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

struct Token {
  enum class Kind : uint8_t {
    kEnd,
    kWord,              // SHOW, pool_mode, 42x; letters, digits, _, $ and bytes above 127
    kNumber,            // 42, 4.2, only digits and dots
    kString,            // 'text', with its quotes
    kQuotedIdentifier,  // "Name", with its quotes
    kSymbol,            // one byte of anything else: = ; , * -
    kUnterminated,      // a string, identifier or comment that never ends; the rest of the text
  };
  Kind kind = Kind::kEnd;
  std::string_view text;
};

class CommandTokenizer {
 public:
  explicit CommandTokenizer(std::string_view text) : rest_(text) {}

  Token Next();

  // What was not read yet.
  std::string_view rest() const { return rest_; }

 private:
  bool SkipSpace();  // false: a comment never ends
  Token Take(Token::Kind kind, size_t count);
  Token TakeQuoted(Token::Kind kind, char quote);

  std::string_view rest_;
};

// The first word of an SQL text, as it is written; "" when it begins with something else or is
// empty.
std::string_view FirstKeyword(std::string_view sql);

// The text a token stands for: quotes removed and undoubled; other tokens as they are.
std::string TokenText(const Token& token);

// ASCII only, as keywords and parameter names are.
bool EqualsIgnoreCase(std::string_view one, std::string_view other);
std::string AsciiLower(std::string_view text);

}  // namespace trireme
