// SPDX-License-Identifier: GPL-3.0-or-later
//
// sql/quote.h: names and parameter values in the server's spelling.
//
//   input:   names, each behind a 16-bit length
//
// Properties: a quoted name is one identifier that stands for the name, also in a statement after
// PostgreSQL's own grammar. What SET stores of a list of literals is what StoredValue says, and a
// stored list of names is that list again.
#include "sql/quote.h"

#include "sql/lexer.h"
#include "sql/statement_effects.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

std::string Literal(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) literal += c == '\'' ? "''" : std::string(1, c);
  return literal + '\'';
}

void CheckName(const std::string& name) {
  const std::string quoted = QuoteName(name);
  SqlLexer lexer(quoted);
  const SqlToken token = lexer.Next();
  Check(token.IsIdentifier() && lexer.position() == quoted.size(), "one identifier");
  CheckEqual(TokenValue(token, {}).value_or("?"), CutToNameLength(name),
             "that stands for the name");
  if (name.empty()) return;
  const SessionEffects listen = AnalyzeStatements("LISTEN " + quoted, {});
  Check(listen.effects.size() == 1, "an identifier to PostgreSQL");
  CheckEqual(listen.effects[0].name, CutToNameLength(name), "that stands for the name there");
}

void CheckList(std::string_view parameter, const std::vector<std::string>& elements) {
  std::string sql = "SET " + std::string(parameter) + " TO ";
  for (size_t i = 0; i < elements.size(); ++i) sql += (i > 0 ? ", " : "") + Literal(elements[i]);
  const SessionEffects set = AnalyzeStatements(sql, {});
  Check(!set.effects.empty() && set.effects[0].kind == EffectKind::kSetParameter, "SET sets");
  CheckEqual(set.effects[0].value, StoredValue(parameter, elements), "what SET stores");
}

void Run(Input input) {
  std::vector<std::string> names;
  while (!input.empty() && names.size() < 20) {
    std::string name(AsText(input.Block()));
    name.resize(std::min(name.find('\0'), name.size()));
    CheckName(name);
    names.push_back(std::move(name));
  }
  if (names.empty()) return;
  CheckList("search_path", names);
  CheckList("datestyle", names);

  const std::string stored = StoredValue("search_path", names);
  SqlLexer lexer(stored);
  for (const std::string& name : names) {
    CheckEqual(TokenValue(lexer.Next(), {}).value_or("?"), CutToNameLength(name), "the list again");
    const SqlToken comma = lexer.Next();
    Check(comma.Is(',') == (&name != &names.back()), "commas between");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
