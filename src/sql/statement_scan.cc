// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/statement_scan.h"

#include <algorithm>
#include <array>

namespace trireme {
namespace {

using Kind = SqlToken::Kind;

// How deep a tree can become: every token may put what was read before at its level one level
// deeper (1 + 2 + 3, x::a::b, a JOIN b JOIN c), except constants and names in quotes. A bracket,
// and CASE, opens a level. A comma begins an element of a list, except that set operations go on
// behind it (SELECT 1, 2 UNION SELECT 3, 4).
class NestingEstimate {
 public:
  void Add(const SqlToken& token) {
    switch (token.kind) {
      case Kind::kSymbol:
        AddSymbol(token.text.front());
        return;
      case Kind::kWord:
        AddWord(token);
        return;
      case Kind::kOperator:
        Deepen(levels_[depth_].chain);
        return;
      default:
        return;
    }
  }

  uint32_t most() const { return most_; }

 private:
  struct Level {
    uint32_t chain = 0;
    uint32_t set_operations = 0;
  };

  void AddSymbol(char symbol) {
    if (symbol == '(' || symbol == '[') {
      Open();
    } else if (symbol == ')' || symbol == ']') {
      Close();
    } else if (symbol == ',') {
      total_ -= levels_[depth_].chain;
      levels_[depth_].chain = 0;
    } else if (symbol != '.') {
      Deepen(levels_[depth_].chain);
    }
  }

  void AddWord(const SqlToken& token) {
    if (token.IsWord("case")) {
      Open();
    } else if (token.IsWord("end")) {
      Close();
    } else if (token.IsWord("union") || token.IsWord("intersect") || token.IsWord("except")) {
      Deepen(levels_[depth_].set_operations);
    } else {
      Deepen(levels_[depth_].chain);
    }
  }

  void Open() {
    Deepen(levels_[depth_].chain);
    if (depth_ + 1 == levels_.size()) {
      most_ = kTooDeep;
    } else {
      levels_[++depth_] = {};
    }
  }

  void Close() {
    if (depth_ == 0) return;
    total_ -= levels_[depth_].chain + levels_[depth_].set_operations;
    --depth_;
  }

  void Deepen(uint32_t& count) {
    ++count;
    ++total_;
    most_ = std::max(most_, total_);
  }

  std::array<Level, 128> levels_;
  size_t depth_ = 0;
  uint32_t total_ = 0;
  uint32_t most_ = 0;
};

// Whether a semicolon ends the statement here. BEGIN ATOMIC is known only in a statement that
// begins with CREATE; inside, CASE also has an END.
class Enclosure {
 public:
  void Add(const SqlToken& token, const SqlToken& before) {
    if (before.kind == Kind::kEnd) creates_ = token.IsWord("create");
    if (token.Is('(')) {
      ++parentheses_;
    } else if (token.Is(')')) {
      parentheses_ -= parentheses_ > 0 ? 1 : 0;
    } else if (creates_ && token.kind == Kind::kWord) {
      AddWord(token, before);
    }
  }

  bool open() const { return parentheses_ > 0 || atomic_ > 0; }

 private:
  void AddWord(const SqlToken& token, const SqlToken& before) {
    if (atomic_ == 0) {
      if (token.IsWord("atomic") && before.IsWord("begin")) atomic_ = 1;
    } else if (token.IsWord("case")) {
      ++atomic_;
    } else if (token.IsWord("end")) {
      --atomic_;
    }
  }

  bool creates_ = false;
  size_t parentheses_ = 0;
  size_t atomic_ = 0;
};

}  // namespace

std::optional<ScannedStatement> StatementScanner::Next() {
  ScannedStatement statement;
  NestingEstimate nesting;
  Enclosure enclosure;
  SqlToken before;
  size_t begin = 0;
  size_t end = 0;
  for (SqlToken token = lexer_.Next(); token.kind != Kind::kEnd; token = lexer_.Next()) {
    if (token.Is(';') && !enclosure.open()) {
      if (before.kind == Kind::kEnd) continue;
      break;
    }
    if (before.kind == Kind::kEnd) begin = lexer_.position() - token.text.size();
    end = lexer_.position();
    statement.words |= WordsOf(token, before);
    nesting.Add(token);
    enclosure.Add(token, before);
    before = token;
  }
  if (before.kind == Kind::kEnd) return std::nullopt;
  statement.text = text_.substr(begin, end - begin);
  statement.first = FirstWordOf(statement.text, TextPart::kWhole);
  statement.nesting = nesting.most();
  return statement;
}

}  // namespace trireme
