// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/session_words.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sql/ascii.h"
#include "sql/session_functions.h"

namespace trireme {
namespace {

using namespace session_word;

// A word, and a pair of its letters that ordinary SQL seldom has.
struct Needle {
  std::string_view word;
  size_t pair;  // where in the word
  SessionWords bit;
};
constexpr auto kNeedles = std::to_array<Needle>({
    {"set_config", 6, kSetConfig},
    {"advisory", 1, kAdvisory},
    {"currval", 3, kSequenceRead},
    {"lastval", 3, kSequenceRead},
    {"nextval", 3, kSequenceAdvance},
    {"setval", 2, kSequenceAdvance},
    {"temp", 2, kTemp},
    {"u&\"", 1, kUnicodeName},
    {"dblink", 0, kOtherFunction},
    {"setseed", 4, kOtherFunction},
    {"set_limit", 3, kOtherFunction},
    {"backup", 3, kOtherFunction},
    {"replication", 1, kOtherFunction},
});

struct Pair {
  char first;
  char second;
};
constexpr auto kPairs = std::to_array<Pair>({
    {'n', 'f'},
    {'d', 'v'},
    {'r', 'v'},
    {'t', 'v'},
    {'m', 'p'},
    {'&', '"'},
    {'d', 'b'},
    {'e', 'e'},
    {'_', 'l'},
    {'k', 'u'},
    {'e', 'p'},
});

constexpr bool EveryNeedleHasItsPair() {
  return std::all_of(kNeedles.begin(), kNeedles.end(), [](const Needle& needle) {
    return std::any_of(kPairs.begin(), kPairs.end(), [&needle](Pair pair) {
      return needle.word[needle.pair] == pair.first && needle.word[needle.pair + 1] == pair.second;
    });
  });
}
static_assert(EveryNeedleHasItsPair());

// Letters become lower case; what else this bit changes only finds more.
constexpr char kCaseBit = 0x20;
constexpr char Folded(char c) { return static_cast<char>(c | kCaseBit); }

constexpr size_t kBlock = 16;
using Block [[gnu::vector_size(kBlock)]] = char;
using Halves [[gnu::vector_size(kBlock)]] = uint64_t;

Block LoadFolded(const char* from) {
  Block block;
  std::memcpy(&block, from, sizeof block);
  return block | kCaseBit;
}

// Where, in the 16 bytes at `from`, a semicolon is or a pair begins; 17 can be read. Spelt out for
// each pair so that what is compared with are constants.
template <size_t... I>
Block HitsOf(const char* from, std::index_sequence<I...>) {
  const Block here = LoadFolded(from);
  const Block next = LoadFolded(from + 1);
  return (here == ';') |
         (... | ((here == Folded(kPairs[I].first)) & (next == Folded(kPairs[I].second))));
}

bool Any(Block hits) {
  const Halves halves = reinterpret_cast<Halves>(hits);
  return (halves[0] | halves[1]) != 0;
}

// The words whose pair begins at `at`.
SessionWords WordsAt(std::string_view text, size_t at) {
  SessionWords words = text[at] == ';' ? kSeveral : 0;
  for (const Needle& needle : kNeedles) {
    if (at < needle.pair || Folded(text[at + 1]) != Folded(needle.word[needle.pair + 1])) continue;
    const std::string_view there = text.substr(at - needle.pair, needle.word.size());
    if (EqualsLower(there, needle.word)) words |= needle.bit;
  }
  return words;
}

// The words whose pair begins in the 16 bytes at `at`; one more byte is behind them.
SessionWords WordsInBlock(std::string_view text, size_t at) {
  const Block hits = HitsOf(text.data() + at, std::make_index_sequence<kPairs.size()>());
  if (!Any(hits)) return 0;
  SessionWords words = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    if (hits[i] != 0) words |= WordsAt(text, at + i);
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

}  // namespace

SessionWords SuspectWords(std::string_view text) {
  // The last byte begins no pair, and nothing follows a semicolon there.
  if (text.size() <= kBlock) {
    std::array<char, kBlock + 1> padded{};
    std::copy(text.begin(), text.end(), padded.begin());
    if (!text.empty() && text.back() == ';') padded[text.size() - 1] = ' ';
    return WordsInBlock(std::string_view(padded.data(), padded.size()), 0);
  }
  SessionWords words = 0;
  const size_t last = text.size() - kBlock - 1;
  for (size_t at = 0;; at = std::min(at + kBlock, last)) {
    words |= WordsInBlock(text, at);
    if (at == last) return words;
  }
}

SessionWords WordsOf(const SqlToken& token, const SqlToken& before) {
  switch (token.kind) {
    case SqlToken::Kind::kWord:
      if (MakesTemporary(token, before)) return kTemp;
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
