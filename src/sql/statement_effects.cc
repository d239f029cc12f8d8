// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/statement_effects.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "sql/lexical_effects.h"
#include "sql/parse_tree.h"
#include "sql/statement_scan.h"
#include "sql/tree_effects.h"

namespace trireme {
namespace {

using Reading = SessionEffects::Reading;

// An INSERT by itself needs no parser.
bool MustParse(const ScannedStatement& statement) {
  switch (statement.first) {
    case FirstWord::kQuery:
    case FirstWord::kHarmless:
      return (statement.words & ~session_word::kInserts) != 0;
    case FirstWord::kTransaction:
    case FirstWord::kRelevant:
    case FirstWord::kUnknown:
    case FirstWord::kNone:
    case FirstWord::kCut:
      return true;
  }
  return true;
}

bool Inserts(const ScannedStatement& statement) {
  return statement.first == FirstWord::kQuery && (statement.words & session_word::kInserts) != 0;
}

// The parser takes plain strings by standard_conforming_strings = on. Where the session has it off,
// E'...' means the same.
std::string ForParser(std::string_view statement, TextRules rules) {
  if (rules.standard_conforming_strings || statement.find('\\') == std::string_view::npos) {
    return std::string(statement);
  }
  std::string sql;
  size_t copied = 0;
  SqlLexer lexer(statement, rules);
  for (SqlToken token = lexer.Next(); token.kind != SqlToken::Kind::kEnd; token = lexer.Next()) {
    if (token.kind == SqlToken::Kind::kString) {
      const size_t begin = lexer.position() - token.text.size();
      sql += statement.substr(copied, begin - copied);
      sql += " E";
      copied = begin;
    }
  }
  sql += statement.substr(copied);
  return sql;
}

// Our splitting and the grammar's agree on what one statement is, or the tokens decide.
std::optional<std::vector<Effect>> ParsedEffects(const ScannedStatement& statement,
                                                 TextRules rules) {
  if (statement.text.size() > kParsedBytesMax || statement.nesting > kParsedNestingMax) {
    return std::nullopt;
  }
  const std::optional<ParseTree> tree = ParseTree::Parse(ForParser(statement.text, rules));
  if (!tree) return std::nullopt;
  const std::vector<TreeNode> statements = tree->Statements();
  if (statements.size() != 1) return std::nullopt;
  return TreeEffects(statements.front(), statement.text, rules);
}

}  // namespace

SessionEffects AnalyzeStatements(std::string_view text, TextRules rules) {
  text = text.substr(0, text.find('\0'));
  SessionEffects result;
  bool inserts = false;
  if (!LexerIsExact(text, rules)) {
    result.reading = Reading::kUnknown;
    return result;
  }
  StatementScanner scanner(text, rules);
  for (; const std::optional<ScannedStatement> statement = scanner.Next();
       ++result.statement_count) {
    std::optional<std::vector<Effect>> effects;
    if (!MustParse(*statement)) {
      effects.emplace();
    } else if (effects = ParsedEffects(*statement, rules); !effects) {
      effects = LexicalEffects(statement->text, rules);
      result.reading = std::max(result.reading, Reading::kLexical);
    }
    if (!inserts && Inserts(*statement)) effects->push_back({.kind = EffectKind::kInsert});
    inserts |= Inserts(*statement);
    if ((statement->words & session_word::kUnreadable) != 0) result.reading = Reading::kUnknown;
    if (result.effects.size() + effects->size() > kEffectsMax) {
      result.reading = Reading::kUnknown;
      return result;
    }
    for (Effect& effect : *effects) effect.statement = result.statement_count;
    std::move(effects->begin(), effects->end(), std::back_inserter(result.effects));
  }
  return result;
}

}  // namespace trireme
