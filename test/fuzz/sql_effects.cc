// SPDX-License-Identifier: GPL-3.0-or-later
//
// sql/statement_effects.h, sql/effects_cache.h: what a text does to a session, by PostgreSQL's
// grammar and by tokens.
//
//   input:   rules 1 (bit 0: strings escape) | text
//
// Properties: what the grammar finds in a statement, its tokens show as well, in kind, or they show
// a value that they cannot read; a statement before the text changes nothing but the count; where
// no backslash is, it does not matter whether strings escape; the cache answers as the analysis
// does.
#include <algorithm>

#include "sql/effects_cache.h"
#include "sql/lexical_effects.h"
#include "sql/parse_tree.h"
#include "sql/statement_effects.h"
#include "sql/statement_scan.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

using Reading = SessionEffects::Reading;

void CheckTokensShowAll(std::string_view text, TextRules rules) {
  StatementScanner scanner(text, rules);
  while (const std::optional<ScannedStatement> statement = scanner.Next()) {
    const SessionEffects parsed = AnalyzeStatements(statement->text, rules);
    if (parsed.reading != Reading::kParsed) continue;
    const std::vector<Effect> shown = LexicalEffects(statement->text, rules);
    for (const Effect& effect : parsed.effects) {
      if (effect.kind == EffectKind::kInsert) continue;  // of the scanner, before either
      const bool found = std::any_of(shown.begin(), shown.end(), [&effect](const Effect& e) {
        const bool hidden = effect.kind == EffectKind::kUseTempSchema && !e.value_known;
        return e.kind == effect.kind || e.kind == EffectKind::kUnknownStatement || hidden;
      });
      if (!found)
        CheckEqual(statement->text, Describe(effect), "tokens show what the grammar finds");
    }
  }
}

void CheckPlaceDoesNotMatter(std::string_view text, TextRules rules, const SessionEffects& alone) {
  if (alone.effects.size() == kEffectsMax) return;
  SessionEffects behind = AnalyzeStatements("LISTEN a;" + std::string(text), rules);
  Check(behind.statement_count == alone.statement_count + 1, "one statement more");
  Check(behind.reading == alone.reading, "read in the same way");
  Check(behind.effects.size() == alone.effects.size() + 1, "one effect more");
  behind.effects.erase(behind.effects.begin());
  for (Effect& effect : behind.effects) --effect.statement;
  Check(behind.effects == alone.effects, "the others are the same");
}

void Run(Input input) {
  const TextRules rules{.standard_conforming_strings = (input.Byte() & 1) == 0};
  const std::string_view rest = input.RestText();
  const std::string_view text = rest.substr(0, rest.find('\0'));
  const SessionEffects effects = AnalyzeStatements(text, rules);
  for (const Effect& effect : effects.effects) {
    Check(effect.statement < effects.statement_count, "each effect has its statement");
    Check(!Describe(effect).empty(), "each effect can be told");
  }
  CheckTokensShowAll(text, rules);
  CheckPlaceDoesNotMatter(text, rules, effects);
  if (text.find('\\') == std::string_view::npos) {
    TextRules other = rules;
    other.standard_conforming_strings = !rules.standard_conforming_strings;
    Check(AnalyzeStatements(text, other) == effects, "nothing escapes without a backslash");
  }
  EffectsCache cache({.texts = 2, .bytes = 1 << 20}, {1, 2});
  Check(cache.Find(text, rules) == effects, "the cache answers as the analysis does");
  Check(cache.Find(text, rules) == effects && cache.hits() == 1, "and again");
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
