// SPDX-License-Identifier: GPL-3.0-or-later
//
// sql/lexer.h, sql/session_words.h, sql/first_word.h, sql/statement_scan.h: the looks a text gets
// on the data path.
//
//   input:   rules 1 (bit 0: strings escape, bit 1: encoding hides ASCII) | cut seed 2 | text
//
// Properties: tokens come in order, do not overlap, and end; every token but the last stands for
// itself when it is read alone. Bytes show at least the words that tokens show, in one piece and in
// any pieces. A beginning promises what the whole keeps. What is judged harmless has no effect in
// the full analysis, and what is judged a transaction touches nothing else.
#include <algorithm>

#include "sql/first_word.h"
#include "sql/session_words.h"
#include "sql/statement_effects.h"
#include "sql/statement_scan.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

void CheckTokens(std::string_view text, TextRules rules) {
  SqlLexer lexer(text, rules);
  const char* end = text.data();
  for (SqlToken token = lexer.Next(); token.kind != SqlToken::Kind::kEnd; token = lexer.Next()) {
    Check(!token.text.empty() && token.text.data() >= end, "tokens are in order");
    end = token.text.data() + token.text.size();
    Check(end == text.data() + lexer.position(), "the position is behind the token");
    const std::optional<std::string> value = TokenValue(token, rules);
    if (token.kind == SqlToken::Kind::kUnterminated) {
      Check(!value && lexer.position() == text.size(), "what does not end takes all");
      continue;
    }
    const SqlToken alone = SqlLexer(token.text, rules).Next();
    Check(alone.kind == token.kind, "a token is the same token alone");
    CheckEqual(alone.text, token.text, "a token alone has the same text");
    if (token.IsIdentifier() && value) Check(value->size() <= 63, "names are cut");
  }
  Check(lexer.position() == text.size(), "all is read");
}

void CheckWords(std::string_view text, TextRules rules, uint16_t seed) {
  const SessionWords suspected = SuspectWords(text);
  const SessionWords confirmed =
      ConfirmWords(text, rules) & ~(session_word::kUnreadable | session_word::kInserts);
  Check((suspected & confirmed) == confirmed, "bytes show what tokens show");
  SuspectStream stream;
  Cut cut(seed);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t size = cut.Next(rest.size());
    stream.Feed(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  Check((stream.found() & suspected) == suspected, "pieces show what the whole shows");
}

void CheckBeginnings(std::string_view text) {
  const FirstWord whole = FirstWordOf(text, TextPart::kWhole);
  for (size_t size = 0; size < std::min<size_t>(text.size(), 80); ++size) {
    const FirstWord first = FirstWordOf(text.substr(0, size), TextPart::kBeginning);
    Check(first == FirstWord::kCut || first == whole, "a beginning promises what the whole keeps");
  }
}

bool OfTransaction(const Effect& effect) {
  return effect.kind >= EffectKind::kBegin && effect.kind <= EffectKind::kRollbackPrepared;
}

bool Inserts(const Effect& effect) { return effect.kind == EffectKind::kInsert; }
bool OfSequence(const Effect& effect) {
  return Inserts(effect) || effect.kind == EffectKind::kSequenceAdvance;
}

void CheckVerdict(std::string_view text, TextRules rules) {
  const SessionEffects effects = AnalyzeStatements(text, rules);
  switch (JudgeText(text, rules)) {
    case TextVerdict::kHarmless:
      Check(std::all_of(effects.effects.begin(), effects.effects.end(), Inserts) ||
                effects.reading == SessionEffects::Reading::kUnknown,
            "harmless texts have no effect but on numbers");
      break;
    case TextVerdict::kTransaction:
      Check(std::all_of(effects.effects.begin(), effects.effects.end(), OfTransaction) ||
                effects.reading != SessionEffects::Reading::kParsed,
            "a transaction touches nothing else");
      break;
    case TextVerdict::kNumbers:
      Check(std::all_of(effects.effects.begin(), effects.effects.end(), OfSequence) ||
                effects.reading != SessionEffects::Reading::kParsed,
            "numbers of sequences are nothing else");
      break;
    case TextVerdict::kAnalyze:
      break;
  }
}

void Run(Input input) {
  const uint8_t bits = input.Byte();
  const TextRules rules{.standard_conforming_strings = (bits & 1) == 0,
                        .encoding_embeds_ascii = (bits & 2) == 0};
  const uint16_t seed = input.Int16();
  // A text ends at its first zero byte.
  const std::string_view rest = input.RestText();
  const std::string_view text = rest.substr(0, rest.find('\0'));
  CheckTokens(text, rules);
  CheckWords(text, rules, seed);
  CheckBeginnings(text);
  CheckVerdict(text, rules);
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
