// SPDX-License-Identifier: GPL-3.0-or-later
#include "stub/answers.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "wire/command.h"

namespace trireme::bench {
namespace {

constexpr std::string_view kHintBegin = "/*stub ";
constexpr uint32_t kRowsMax = 1'000'000'000;
constexpr uint32_t kRowBytesMax = 1 << 20;

uint32_t Number(std::string_view text, uint32_t most) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return static_cast<uint32_t>(std::min<uint64_t>(value, most));
}

void ReadHint(std::string_view hint, Answer& answer) {
  while (!hint.empty()) {
    const size_t space = std::min(hint.find(' '), hint.size());
    const std::string_view word = hint.substr(0, space);
    hint.remove_prefix(std::min(space + 1, hint.size()));
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "rows") answer.rows = Number(value, kRowsMax);
    if (name == "bytes") answer.bytes = Number(value, kRowBytesMax);
    if (name == "error") answer.error = value.substr(0, 5);
    if (name == "service") {
      const Result<Draw> service = Draw::Parse(value);
      if (service.ok()) answer.service = *service;
    }
  }
}

// SET [SESSION | LOCAL] name { TO | = } value
void ReadSet(std::string_view sql, Answer& answer) {
  CommandTokenizer tokens(sql);
  tokens.Next();  // SET
  Token token = tokens.Next();
  if (EqualsIgnoreCase(token.text, "SESSION") || EqualsIgnoreCase(token.text, "LOCAL")) {
    token = tokens.Next();
  }
  answer.name = TokenText(token);
  token = tokens.Next();
  if (EqualsIgnoreCase(token.text, "TO") || token.text == "=") {
    answer.value = TokenText(tokens.Next());
  } else {
    answer.name.clear();  // SET TRANSACTION …, SET TIME ZONE …
  }
}

void ReadCopy(std::string_view sql, Answer& answer) {
  answer.kind = Answer::Kind::kCopyOut;
  answer.tag = "COPY";
  CommandTokenizer tokens(sql);
  std::string_view last;
  int depth = 0;
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind == Token::Kind::kUnterminated) return;
    if (token.text == "(") ++depth;
    if (token.text == ")") --depth;
    const bool from = depth == 0 && EqualsIgnoreCase(last, "FROM");
    if (from && EqualsIgnoreCase(token.text, "STDIN")) answer.kind = Answer::Kind::kCopyIn;
    last = token.text;
  }
}

uint32_t HighestParameter(std::string_view sql) {
  uint32_t highest = 0;
  for (size_t at = sql.find('$'); at != std::string_view::npos; at = sql.find('$', at + 1)) {
    highest = std::max(highest, Number(sql.substr(at + 1), 65535));
  }
  return highest;
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view other) { return EqualsIgnoreCase(word, other); });
}

void Classify(std::string_view word, std::string_view sql, Answer& answer) {
  using enum Answer::Kind;
  if (IsOneOf(word, {"SELECT", "WITH", "VALUES", "TABLE", "FETCH"})) {
    answer.kind = kRows;
    answer.tag = "SELECT";
  } else if (IsOneOf(word, {"BEGIN", "START"})) {
    answer.kind = kBegin;
    answer.tag = "BEGIN";
  } else if (IsOneOf(word, {"COMMIT", "END"})) {
    answer.kind = kCommit;
    answer.tag = "COMMIT";
  } else if (IsOneOf(word, {"ROLLBACK", "ABORT"})) {
    answer.kind = kRollback;
    answer.tag = "ROLLBACK";
  } else if (IsOneOf(word, {"SET"})) {
    answer.kind = kSet;
    answer.tag = "SET";
    ReadSet(sql, answer);
  } else if (IsOneOf(word, {"COPY"})) {
    ReadCopy(sql, answer);
  } else if (IsOneOf(word, {"SHOW"})) {
    answer.kind = kRows;
    answer.rows = 1;
    answer.tag = "SHOW";
  } else {
    answer.kind = kCommand;
    answer.tag = absl::AsciiStrToUpper(ToAbsl(word));
    if (answer.tag == "INSERT") answer.tag = "INSERT 0 1";
    if (answer.tag == "UPDATE" || answer.tag == "DELETE") answer.tag += " 1";
    if (answer.tag == "DISCARD") answer.tag = "DISCARD ALL";
  }
}

}  // namespace

Answer AnswerTo(std::string_view sql, const AnswerDefaults& defaults) {
  Answer answer;
  answer.rows = defaults.rows;
  answer.bytes = defaults.bytes;
  if (sql.starts_with(kHintBegin)) {
    const size_t end = sql.find("*/");
    if (end != std::string_view::npos) {
      ReadHint(sql.substr(kHintBegin.size(), end - kHintBegin.size()), answer);
    }
  }
  const std::string_view word = FirstKeyword(sql);
  if (word.empty() && sql.find_first_not_of(" \t\r\n;") == std::string_view::npos) return answer;
  Classify(word, sql, answer);
  answer.parameters = HighestParameter(sql);
  return answer;
}

std::vector<std::string_view> SplitStatements(std::string_view sql) {
  std::vector<std::string_view> statements;
  const size_t semicolon = sql.find(';');
  constexpr std::string_view kSpace = " \t\r\n";
  if (semicolon == std::string_view::npos ||
      sql.find_first_not_of(kSpace, semicolon + 1) == std::string_view::npos) {
    statements.push_back(sql.substr(0, semicolon));
    return statements;
  }
  CommandTokenizer tokens(sql);
  size_t begin = 0;
  const auto add = [&](size_t end) {
    const std::string_view statement = sql.substr(begin, end - begin);
    if (statement.find_first_not_of(kSpace) != std::string_view::npos) {
      statements.push_back(statement);
    }
  };
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind == Token::Kind::kUnterminated) break;
    if (token.kind != Token::Kind::kSymbol || token.text != ";") continue;
    const size_t at = sql.size() - tokens.rest().size() - 1;
    add(at);
    begin = at + 1;
  }
  add(sql.size());
  if (statements.empty()) statements.push_back({});
  return statements;
}

}  // namespace trireme::bench
