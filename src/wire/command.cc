// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/command.h"

#include <algorithm>

namespace trireme {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsWordByte(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) > 127;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Length of the comment at the front with all comments inside it; npos = it never ends.
size_t BlockCommentSize(std::string_view text) {
  size_t depth = 0;
  for (size_t at = 0; at + 1 < text.size();) {
    const std::string_view two = text.substr(at, 2);
    if (two == "/*") {
      ++depth;
      at += 2;
    } else if (two == "*/") {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Token CommandTokenizer::Next() {
  if (!SkipSpace()) return Take(Token::Kind::kUnterminated, rest_.size());
  if (rest_.empty()) return {};
  const char first = rest_.front();
  if (first == '\'') return TakeQuoted(Token::Kind::kString, first);
  if (first == '"') return TakeQuoted(Token::Kind::kQuotedIdentifier, first);
  if (!IsWordByte(first)) return Take(Token::Kind::kSymbol, 1);
  const auto end = IsDigit(first) ? std::find_if(rest_.begin(), rest_.end(),
                                                 [](char c) { return !IsWordByte(c) && c != '.'; })
                                  : std::find_if_not(rest_.begin(), rest_.end(), IsWordByte);
  const std::string_view word = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
  const bool number =
      std::all_of(word.begin(), word.end(), [](char c) { return IsDigit(c) || c == '.'; });
  return Take(number ? Token::Kind::kNumber : Token::Kind::kWord, word.size());
}

bool CommandTokenizer::SkipSpace() {
  for (;;) {
    if (rest_.empty()) return true;
    if (IsSpace(rest_.front())) {
      rest_.remove_prefix(1);
    } else if (rest_.starts_with("--")) {
      const size_t end = rest_.find_first_of("\r\n");
      rest_.remove_prefix(std::min(end, rest_.size()));
    } else if (rest_.starts_with("/*")) {
      const size_t size = BlockCommentSize(rest_);
      if (size == std::string_view::npos) return false;
      rest_.remove_prefix(size);
    } else {
      return true;
    }
  }
}

Token CommandTokenizer::Take(Token::Kind kind, size_t count) {
  const Token token{kind, rest_.substr(0, count)};
  rest_.remove_prefix(count);
  return token;
}

// A doubled quote character inside stands for one.
Token CommandTokenizer::TakeQuoted(Token::Kind kind, char quote) {
  for (size_t at = 1; at < rest_.size(); ++at) {
    if (rest_[at] != quote) continue;
    if (at + 1 == rest_.size() || rest_[at + 1] != quote) return Take(kind, at + 1);
    ++at;
  }
  return Take(Token::Kind::kUnterminated, rest_.size());
}

std::string_view FirstKeyword(std::string_view sql) {
  const Token token = CommandTokenizer(sql).Next();
  return token.kind == Token::Kind::kWord ? token.text : std::string_view{};
}

std::string TokenText(const Token& token) {
  if (token.kind != Token::Kind::kString && token.kind != Token::Kind::kQuotedIdentifier) {
    return std::string(token.text);
  }
  std::string text;
  const std::string_view inside = token.text.substr(1, token.text.size() - 2);
  for (size_t at = 0; at < inside.size(); ++at) {
    text.push_back(inside[at]);
    if (inside[at] == token.text.front()) ++at;  // its double
  }
  return text;
}

bool EqualsIgnoreCase(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](char a, char b) { return Lower(a) == Lower(b); });
}

std::string AsciiLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  return lower;
}

}  // namespace trireme
