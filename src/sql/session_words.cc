// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/session_words.h"

#include <algorithm>

#include "sql/ascii.h"
#include "sql/fingerprint_scan.h"
#include "sql/session_functions.h"

namespace trireme {
namespace {

using namespace session_word;

// A word, and where in it three bytes are that ordinary SQL seldom has: by them, and by which other
// words share their set, a text that has none of the words is passed over (measured on statements
// of pgbench, of ORMs and of PostgreSQL's own views: one false place in some forty texts).
struct Needle {
  std::string_view word;
  size_t place;
  size_t set;
  SessionWords bit;
};
constexpr auto kNeedles = std::to_array<Needle>({
    {"set_limit", 3, 0, kOtherFunction},
    {"currval", 2, 1, kSequenceRead},
    {"dblink", 0, 1, kOtherFunction},
    {"setseed", 4, 2, kOtherFunction},
    {"temp", 1, 2, kTemp},
    {"advisory", 0, 3, kAdvisory},
    {"nextval", 0, 3, kSequenceAdvance},
    {"backup", 3, 4, kOtherFunction},
    {"replication", 1, 4, kOtherFunction},
    {"setval", 1, 4, kSequenceAdvance},
    {"set_config", 7, 5, kSetConfig},
    {"lastval", 3, 6, kSequenceRead},
    {"u&\"", 0, 6, kUnicodeName},
});
constexpr size_t kSemicolonSet = 7;

constexpr FingerprintTables TablesOfNeedles() {
  FingerprintTables tables;
  for (const Needle& needle : kNeedles) {
    tables.Add(needle.word.substr(needle.place, kFingerprintBytes), needle.set);
  }
  tables.Add(";", kSemicolonSet);
  return tables;
}
constexpr FingerprintTables kTables = TablesOfNeedles();

// The words whose fingerprint may be at `at`.
SessionWords WordsAt(std::string_view text, size_t at) {
  SessionWords words = text[at] == ';' ? kSeveral : 0;
  for (const Needle& needle : kNeedles) {
    if (at < needle.place) continue;
    const std::string_view there = text.substr(at - needle.place, needle.word.size());
    if (EqualsLower(there, needle.word)) words |= needle.bit;
  }
  return words;
}

bool IsTempSchema(std::string_view name) {
  constexpr std::string_view kTempName = "pg_temp";
  return name.size() >= kTempName.size() && EqualsLower(name.substr(0, 7), kTempName) &&
         (name.size() == 7 || name[7] == '_');
}

SessionWords WordOfFunction(SessionFunction function) {
  switch (function) {
    case SessionFunction::kNone:
      return 0;
    case SessionFunction::kSetConfig:
      return kSetConfig;
    case SessionFunction::kAdvisoryLock:
    case SessionFunction::kAdvisoryUnlock:
    case SessionFunction::kAdvisoryUnlockAll:
      return kAdvisory;
    case SessionFunction::kSequenceRead:
      return kSequenceRead;
    case SessionFunction::kSequenceAdvance:
      return kSequenceAdvance;
    case SessionFunction::kOther:
      return kOtherFunction;
  }
  return 0;
}

// No word looked for is longer, or begins with another letter.
constexpr size_t kWordBytesMax = 48;

SessionWords WordOfName(std::string_view name) {
  if (name.size() < 6 || name.size() > kWordBytesMax) return 0;
  constexpr std::string_view kFirstLetters = "cdlnps";
  if (kFirstLetters.find(LowerAscii(name[0])) == std::string_view::npos) return 0;
  if (IsTempSchema(name)) return kTemp;
  char folded[kWordBytesMax];
  std::transform(name.begin(), name.end(), folded, LowerAscii);
  return WordOfFunction(FindSessionFunction(std::string_view(folded, name.size())));
}

bool MakesTemporary(const SqlToken& word, const SqlToken& before) {
  if (!word.IsWord("temp") && !word.IsWord("temporary")) return false;
  return before.IsWord("into") || before.IsWord("create") || before.IsWord("local") ||
         before.IsWord("global") || before.IsWord("replace");
}

bool Inserts(const SqlToken& word) {
  return word.IsWord("insert") || word.IsWord("merge") || word.IsWord("copy");
}

}  // namespace

bool HasSuspectWords(std::string_view text) {
  return FindFingerprint(kTables, text, 0) != std::string_view::npos ||
         (text.size() >= 2 && text[text.size() - 2] == ';');
}

SessionWords SuspectWords(std::string_view text) {
  // No fingerprint is at the last two bytes, but one more may follow a semicolon.
  const bool ends_behind_semicolon = text.size() >= 2 && text[text.size() - 2] == ';';
  SessionWords words = ends_behind_semicolon ? kSeveral : 0;
  for (size_t at = FindFingerprint(kTables, text, 0); at != std::string_view::npos;
       at = FindFingerprint(kTables, text, at + 1)) {
    words |= WordsAt(text, at);
  }
  return words;
}

SessionWords WordsOf(const SqlToken& token, const SqlToken& before) {
  switch (token.kind) {
    case SqlToken::Kind::kWord:
      if (MakesTemporary(token, before)) return kTemp;
      if (Inserts(token)) return kInserts;
      return WordOfName(token.text);
    case SqlToken::Kind::kQuotedIdentifier:
      return WordOfName(token.text.substr(1, token.text.size() - 2));
    case SqlToken::Kind::kUnicodeIdentifier:
      return kUnicodeName;
    case SqlToken::Kind::kUnterminated:
      return kUnreadable;
    default:
      return 0;
  }
}

SessionWords ConfirmWords(std::string_view text, TextRules rules) {
  SessionWords words = 0;
  bool ended = false;
  bool begun = false;
  SqlToken before;
  SqlLexer lexer(text, rules);
  for (SqlToken token = lexer.Next(); token.kind != SqlToken::Kind::kEnd; token = lexer.Next()) {
    if (token.Is(';')) {
      ended = begun;
    } else {
      begun = true;
      if (ended) words |= kSeveral;
      words |= WordsOf(token, before);
    }
    before = token;
  }
  return words;
}

void SuspectStream::Feed(std::string_view piece) {
  if (piece.empty()) return;
  std::array<char, 2 * kCarryBytes> border;
  const size_t head = std::min(piece.size(), kCarryBytes);
  std::copy_n(carry_.begin(), carried_, border.begin());
  std::copy_n(piece.begin(), head, border.begin() + carried_);
  const std::string_view joined(border.data(), carried_ + head);
  if (carried_ > 0) found_ |= SuspectWords(joined);
  found_ |= SuspectWords(piece);
  const std::string_view tail = piece.size() >= kCarryBytes ? piece : joined;
  carried_ = static_cast<uint8_t>(std::min(tail.size(), kCarryBytes));
  std::copy_n(tail.end() - carried_, carried_, carry_.begin());
}

}  // namespace trireme
