// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/lexer.h"

#include <algorithm>
#include <array>

#include "sql/ascii.h"

namespace trireme {
namespace {

using Kind = SqlToken::Kind;

enum ByteClass : uint8_t {
  kSpaceByte = 1,
  kDigitByte = 2,
  kWordStart = 4,
  kWordByte = 8,  // inside a word: also digits and $
  kOperatorByte = 16,
};

constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (const char c : std::string_view(" \t\n\v\f\r"))
    classes[static_cast<uint8_t>(c)] |= kSpaceByte;
  for (int c = '0'; c <= '9'; ++c) classes[c] |= kDigitByte | kWordByte;
  for (int c = 'a'; c <= 'z'; ++c) {
    classes[c] |= kWordStart | kWordByte;
    classes[c - 'a' + 'A'] |= kWordStart | kWordByte;
  }
  for (int c = 128; c < 256; ++c) classes[c] |= kWordStart | kWordByte;
  classes['_'] |= kWordStart | kWordByte;
  classes['$'] |= kWordByte;
  for (const char c : std::string_view("~!@#^&|`?+-*/%<>=")) {
    classes[static_cast<uint8_t>(c)] |= kOperatorByte;
  }
  return classes;
}();

bool Is(char c, uint8_t wanted) { return (kClasses[static_cast<uint8_t>(c)] & wanted) != 0; }

constexpr size_t kNotFound = std::string_view::npos;

// Behind the comment that begins at `at`, with all comments inside it.
size_t BlockCommentEnd(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at + 1 < text.size()) {
    if (text[at] == '/' && text[at + 1] == '*') {
      ++depth;
      at += 2;
    } else if (text[at] == '*' && text[at + 1] == '/') {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return kNotFound;
}

// Where the next token begins; npos: a comment does not end.
size_t SkipSpace(std::string_view text, size_t at) {
  while (at < text.size()) {
    const char c = text[at];
    if (Is(c, kSpaceByte)) {
      ++at;
    } else if (c == '-' && text.substr(at, 2) == "--") {
      at = std::min(text.find_first_of("\r\n", at), text.size());
    } else if (c == '/' && text.substr(at, 2) == "/*") {
      at = BlockCommentEnd(text, at);
      if (at == kNotFound) return at;
    } else {
      break;
    }
  }
  return at;
}

// Behind the closing quote of the piece whose opening quote is at `at`.
size_t QuotedEnd(std::string_view text, size_t at, char quote, bool escapes) {
  for (++at; at < text.size(); ++at) {
    if (escapes && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (at + 1 == text.size() || text[at + 1] != quote) return at + 1;
      ++at;
    }
  }
  return kNotFound;
}

// A string goes on in another pair of quotes when nothing but white space with a line's end, and --
// comments, is between. The opening quote of the next piece; npos: there is none.
size_t NextPiece(std::string_view text, size_t at) {
  bool line_ended = false;
  while (at < text.size()) {
    if (Is(text[at], kSpaceByte)) {
      line_ended |= text[at] == '\n' || text[at] == '\r';
      ++at;
    } else if (text.substr(at, 2) == "--") {
      at = std::min(text.find_first_of("\r\n", at), text.size());
    } else {
      return line_ended && text[at] == '\'' ? at : kNotFound;
    }
  }
  return kNotFound;
}

bool Escapes(Kind kind, TextRules rules) {
  return kind == Kind::kEscapeString ||
         (kind == Kind::kString && !rules.standard_conforming_strings);
}

}  // namespace

bool SqlToken::IsWord(std::string_view lower) const {
  return kind == Kind::kWord && EqualsLower(text, lower);
}

SqlToken SqlLexer::Next() {
  const size_t start = SkipSpace(text_, at_);
  if (start == kNotFound) return TakeRest(Kind::kUnterminated);
  at_ = start;
  if (at_ == text_.size()) return {};
  const char c = text_[at_];
  if (Is(c, kWordStart)) return TakeWord();
  if (c == '\'') return TakeString(Kind::kString, at_);
  if (c == '"') return TakeDelimited(Kind::kQuotedIdentifier, at_);
  if (Is(c, kDigitByte)) return TakeNumber();
  if (c == '$') return TakeDollar();
  if (c == '.' && at_ + 1 < text_.size()) {
    if (text_[at_ + 1] == '.') return Take(Kind::kSymbol, at_ + 2);
    if (Is(text_[at_ + 1], kDigitByte)) return TakeNumber();
  }
  if (Is(c, kOperatorByte)) return TakeOperator();
  return Take(Kind::kSymbol, at_ + 1);
}

SqlToken SqlLexer::Take(Kind kind, size_t end) {
  const SqlToken token{kind, text_.substr(at_, end - at_)};
  at_ = end;
  return token;
}

// The letters e b x n and U& belong to a quote that follows at once. n'...' is the type nchar and a
// plain string: two tokens.
SqlToken SqlLexer::TakeWord() {
  size_t end = at_ + 1;
  while (end < text_.size() && Is(text_[end], kWordByte)) ++end;
  if (end == at_ + 1 && end < text_.size()) {
    const char letter = LowerAscii(text_[at_]);
    if (text_[end] == '\'') {
      if (letter == 'e') return TakeString(Kind::kEscapeString, end);
      if (letter == 'b' || letter == 'x') return TakeString(Kind::kBitString, end);
    } else if (letter == 'u' && text_[end] == '&' && end + 1 < text_.size()) {
      if (text_[end + 1] == '\'') return TakeString(Kind::kUnicodeString, end + 1);
      if (text_[end + 1] == '"') return TakeDelimited(Kind::kUnicodeIdentifier, end + 1);
    }
  }
  return Take(Kind::kWord, end);
}

// Two dots are a range (1..10), never part of a number. Letters that are no exponent begin a word.
SqlToken SqlLexer::TakeNumber() {
  const auto digits = [this](size_t at) {
    while (at < text_.size() && (Is(text_[at], kDigitByte) || text_[at] == '_')) ++at;
    return at;
  };
  size_t end = digits(at_);
  if (end < text_.size() && text_[end] == '.' && text_.substr(end, 2) != "..")
    end = digits(end + 1);
  if (end < text_.size() && LowerAscii(text_[end]) == 'e') {
    size_t exponent = end + 1;
    if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
    if (exponent < text_.size() && Is(text_[exponent], kDigitByte)) end = digits(exponent);
  }
  return Take(Kind::kNumber, end);
}

SqlToken SqlLexer::TakeDollar() {
  size_t end = at_ + 1;
  while (end < text_.size() && Is(text_[end], kDigitByte)) ++end;
  if (end > at_ + 1) return Take(Kind::kParameter, end);
  while (end < text_.size() && text_[end] != '$' && Is(text_[end], kWordByte)) ++end;
  if (end == text_.size() || text_[end] != '$') return Take(Kind::kSymbol, at_ + 1);
  const std::string_view tag = text_.substr(at_, end + 1 - at_);
  const size_t closing = text_.find(tag, end + 1);
  if (closing == kNotFound) return TakeRest(Kind::kUnterminated);
  return Take(Kind::kDollarString, closing + tag.size());
}

// A comment ends an operator. One of several bytes ends in + or - only when it has one of the bytes
// that SQL's own operators do not: =- is two operators, @- is one.
SqlToken SqlLexer::TakeOperator() {
  size_t end = at_ + 1;
  while (end < text_.size() && Is(text_[end], kOperatorByte)) {
    const std::string_view two = text_.substr(end, 2);
    if (two == "--" || two == "/*") break;
    ++end;
  }
  const std::string_view run = text_.substr(at_, end - at_);
  if (run.find_first_of("~!@#^&|`?%") == kNotFound) {
    while (end > at_ + 1 && (text_[end - 1] == '+' || text_[end - 1] == '-')) --end;
  }
  return Take(Kind::kOperator, end);
}

SqlToken SqlLexer::TakeString(Kind kind, size_t quote) {
  const bool escapes = Escapes(kind, rules_);
  for (;;) {
    const size_t end = QuotedEnd(text_, quote, '\'', escapes);
    if (end == kNotFound) return TakeRest(Kind::kUnterminated);
    quote = NextPiece(text_, end);
    if (quote == kNotFound) return Take(kind, end);
  }
}

SqlToken SqlLexer::TakeDelimited(Kind kind, size_t quote) {
  const size_t end = QuotedEnd(text_, quote, '"', false);
  return end == kNotFound ? TakeRest(Kind::kUnterminated) : Take(kind, end);
}

std::optional<size_t> SkippedBytes(std::string_view text) {
  const size_t at = SkipSpace(text, 0);
  if (at == kNotFound) return std::nullopt;
  return at;
}

}  // namespace trireme
