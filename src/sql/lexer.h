// SPDX-License-Identifier: GPL-3.0-or-later
//
// SQL text as tokens, by the rules of PostgreSQL's scanner (scan.l of versions 14 to 18): comments
// that nest, every kind of string constant, dollar quotes, delimited and Unicode identifiers,
// operators. It knows no grammar, allocates nothing, and never fails: what does not end is one last
// token kUnterminated, what PostgreSQL has no token for is a symbol of one byte.
//
// Tokens are views of the text, which the caller keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme {

// What the meaning of a text depends on besides the text itself: two parameters of the session that
// sends it.
struct TextRules {
  // Off: a backslash escapes inside '...' as it does inside E'...'.
  bool standard_conforming_strings = true;
  // False for SJIS, BIG5, GBK, UHC, GB18030, JOHAB and SHIFT_JIS_2004, where a byte below 128 may
  // be the second half of a character. The server converts before it reads; this lexer does not.
  bool encoding_embeds_ascii = true;

  bool operator==(const TextRules&) const = default;
};

// Whether the lexer reads the text as the server does: not when bytes above 127 are in it and the
// encoding is one of those.
bool LexerIsExact(std::string_view text, TextRules rules);

// TextRules::encoding_embeds_ascii of a client_encoding, in any spelling PostgreSQL knows.
bool EncodingEmbedsAscii(std::string_view client_encoding);

struct SqlToken {
  enum class Kind : uint8_t {
    kEnd,
    kWord,               // select, SELECT, naïve, a$b: a keyword or an identifier
    kQuotedIdentifier,   // "a""b"
    kUnicodeIdentifier,  // U&"a\0062"
    kString,             // 'a''b', also in several pieces on several lines
    kEscapeString,       // E'a\'b'
    kUnicodeString,      // U&'a\0062'
    kBitString,          // b'01', x'1f'
    kDollarString,       // $$a$$, $tag$a$tag$
    kNumber,             // 42, 4.2e1, .5, 1_000
    kParameter,          // $1
    kOperator,           // a run of ~!@#^&|`?+-*/%<>=
    kSymbol,             // one byte of anything else: ( ) [ ] , ; . : and ..
    kUnterminated,       // a comment, string or identifier that never ends; the rest of the text
  };
  Kind kind = Kind::kEnd;
  std::string_view text;

  bool Is(char symbol) const {
    return kind == Kind::kSymbol && text.size() == 1 && text.front() == symbol;
  }
  bool IsOperator(std::string_view name) const { return kind == Kind::kOperator && text == name; }
  // An unquoted word; `lower` is given in lower case.
  bool IsWord(std::string_view lower) const;
  bool IsIdentifier() const {
    return kind == Kind::kWord || kind == Kind::kQuotedIdentifier ||
           kind == Kind::kUnicodeIdentifier;
  }
  bool IsConstantString() const {
    return kind == Kind::kString || kind == Kind::kEscapeString || kind == Kind::kUnicodeString ||
           kind == Kind::kDollarString;
  }
};

class SqlLexer {
 public:
  explicit SqlLexer(std::string_view text, TextRules rules = {}) : text_(text), rules_(rules) {}

  SqlToken Next();

  // Where the token returned last ends; after kEnd, the size of the text.
  size_t position() const { return at_; }

 private:
  SqlToken Take(SqlToken::Kind kind, size_t end);
  SqlToken TakeRest(SqlToken::Kind kind) { return Take(kind, text_.size()); }
  SqlToken TakeWord();
  SqlToken TakeNumber();
  SqlToken TakeDollar();
  SqlToken TakeOperator();
  SqlToken TakeString(SqlToken::Kind kind, size_t quote);
  SqlToken TakeDelimited(SqlToken::Kind kind, size_t quote);

  std::string_view text_;
  TextRules rules_;
  size_t at_ = 0;
};

// Bytes of white space and comments at the front; nullopt: a comment does not end.
std::optional<size_t> SkippedBytes(std::string_view text);

// What a string constant, identifier, number or other token stands for: words folded to lower case
// (ASCII, as the server does in multi-byte encodings) and identifiers cut to 63 bytes, quotes and
// escapes resolved. nullopt: an escape the server would refuse, or resolves by an encoding that is
// not UTF-8.
std::optional<std::string> TokenValue(const SqlToken& token, TextRules rules);

// A word as identifiers are compared: cut to 63 bytes without tearing a UTF-8 character.
std::string_view CutToNameLength(std::string_view name);

}  // namespace trireme
