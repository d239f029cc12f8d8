// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/first_word.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace trireme {
namespace {

constexpr size_t kKeyBytes = 8;
constexpr size_t kWordBytesMax = 16;  // longer than any first word

// The first eight bytes in lower case, as one number: the first is the least significant.
constexpr uint64_t Key(std::string_view word) {
  uint64_t key = 0;
  for (size_t i = 0; i < kKeyBytes && i < word.size(); ++i) {
    key |= uint64_t{static_cast<uint8_t>(word[i] | 0x20)} << (8 * i);
  }
  return key;
}

bool IsWordByte(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) > 127;
}

// Longer words are told by what follows their first eight letters.
FirstWord LongWord(std::string_view word) {
  struct Entry {
    std::string_view word;
    FirstWord kind;
  };
  constexpr Entry kEntries[] = {
      {"savepoint", FirstWord::kTransaction},
      {"checkpoint", FirstWord::kHarmless},
      {"deallocate", FirstWord::kRelevant},
  };
  for (const Entry& entry : kEntries) {
    if (SqlToken{SqlToken::Kind::kWord, word}.IsWord(entry.word)) return entry.kind;
  }
  return FirstWord::kUnknown;
}

struct ShortWord {
  uint64_t key = 0;
  FirstWord kind = FirstWord::kUnknown;
};
constexpr auto kShortWords = std::to_array<ShortWord>({
    {Key("select"), FirstWord::kQuery},      {Key("insert"), FirstWord::kQuery},
    {Key("update"), FirstWord::kQuery},      {Key("delete"), FirstWord::kQuery},
    {Key("with"), FirstWord::kQuery},        {Key("values"), FirstWord::kQuery},
    {Key("merge"), FirstWord::kQuery},       {Key("table"), FirstWord::kQuery},
    {Key("copy"), FirstWord::kQuery},        {Key("begin"), FirstWord::kTransaction},
    {Key("start"), FirstWord::kTransaction}, {Key("commit"), FirstWord::kTransaction},
    {Key("end"), FirstWord::kTransaction},   {Key("rollback"), FirstWord::kTransaction},
    {Key("abort"), FirstWord::kTransaction}, {Key("release"), FirstWord::kTransaction},
    {Key("analyse"), FirstWord::kHarmless},  {Key("analyze"), FirstWord::kHarmless},
    {Key("cluster"), FirstWord::kHarmless},  {Key("comment"), FirstWord::kHarmless},
    {Key("fetch"), FirstWord::kHarmless},    {Key("grant"), FirstWord::kHarmless},
    {Key("import"), FirstWord::kHarmless},   {Key("lock"), FirstWord::kHarmless},
    {Key("move"), FirstWord::kHarmless},     {Key("notify"), FirstWord::kHarmless},
    {Key("reassign"), FirstWord::kHarmless}, {Key("refresh"), FirstWord::kHarmless},
    {Key("reindex"), FirstWord::kHarmless},  {Key("revoke"), FirstWord::kHarmless},
    {Key("security"), FirstWord::kHarmless}, {Key("show"), FirstWord::kHarmless},
    {Key("truncate"), FirstWord::kHarmless}, {Key("vacuum"), FirstWord::kHarmless},
    {Key("alter"), FirstWord::kRelevant},    {Key("call"), FirstWord::kRelevant},
    {Key("close"), FirstWord::kRelevant},    {Key("create"), FirstWord::kRelevant},
    {Key("declare"), FirstWord::kRelevant},  {Key("discard"), FirstWord::kRelevant},
    {Key("do"), FirstWord::kRelevant},       {Key("drop"), FirstWord::kRelevant},
    {Key("execute"), FirstWord::kRelevant},  {Key("explain"), FirstWord::kRelevant},
    {Key("listen"), FirstWord::kRelevant},   {Key("load"), FirstWord::kRelevant},
    {Key("prepare"), FirstWord::kRelevant},  {Key("reset"), FirstWord::kRelevant},
    {Key("set"), FirstWord::kRelevant},      {Key("unlisten"), FirstWord::kRelevant},
});

// A perfect hash: the factor was found by trial, the table is built by the compiler, which also
// makes sure that no two words share a place.
constexpr size_t kPlaceBits = 7;
constexpr size_t PlaceOf(uint64_t key) { return (key * 0xeefb0e94245b1395) >> (64 - kPlaceBits); }
constexpr std::array<ShortWord, size_t{1} << kPlaceBits> PlacesOfWords() {
  std::array<ShortWord, size_t{1} << kPlaceBits> places{};
  for (const ShortWord& word : kShortWords) places[PlaceOf(word.key)] = word;
  return places;
}
constexpr auto kPlaces = PlacesOfWords();
static_assert(std::all_of(kShortWords.begin(), kShortWords.end(), [](const ShortWord& word) {
  return kPlaces[PlaceOf(word.key)].key == word.key;
}));

inline FirstWord KindOfKey(uint64_t key) {
  const ShortWord& word = kPlaces[PlaceOf(key)];
  return word.key == key ? word.kind : FirstWord::kUnknown;
}

FirstWord KindOfWord(std::string_view word) {
  return word.size() > kKeyBytes ? LongWord(word) : KindOfKey(Key(word));
}

// The common text begins with a word: no lexer is needed to see it.
size_t WordBytes(std::string_view text) {
  size_t size = 0;
  while (size < text.size() && IsWordByte(text[size])) ++size;
  return size;
}

// The top bit of each byte that is a letter in lower case.
constexpr uint64_t LettersOf(uint64_t bytes) {
  constexpr uint64_t kEach = 0x0101010101010101;
  constexpr uint64_t kTop = 0x80 * kEach;
  const uint64_t low = bytes & ~kTop;
  const uint64_t from_a = low + (0x80 - 'a') * kEach;
  const uint64_t behind_z = low + (0x80 - 'z' - 1) * kEach;
  return from_a & ~behind_z & ~bytes & kTop;
}

// The usual beginning, eight bytes at once: one to seven letters, then a byte of no word. kCut: it
// is not so.
inline FirstWord PlainFirstWord(std::string_view text, TextPart part) {
  if constexpr (std::endian::native != std::endian::little) return FirstWord::kCut;
  uint64_t bytes = 0;  // zeros are behind the end
  if (text.size() >= kKeyBytes) [[likely]] {
    std::memcpy(&bytes, text.data(), kKeyBytes);
  } else if (part == TextPart::kWhole && !text.empty()) {
    std::memcpy(&bytes, text.data(), text.size());
  }
  const uint64_t folded = bytes | 0x2020202020202020;
  const uint64_t others = ~LettersOf(folded) & 0x8080808080808080;
  const uint64_t below = (others & -others) >> 7;  // the lowest bit of the first byte behind it
  if (below <= 1) return FirstWord::kCut;          // eight letters, or none
  const auto behind = static_cast<char>(bytes >> std::countr_zero(below));
  if (behind != ' ' && IsWordByte(behind)) return FirstWord::kCut;
  return KindOfKey(folded & (below - 1));
}

[[gnu::noinline]] FirstWord FirstWordByBytes(std::string_view text, TextPart part) {
  while (true) {
    if (WordBytes(text.substr(0, 1)) == 0) {
      const std::optional<size_t> skipped = SkippedBytes(text);
      if (!skipped) return part == TextPart::kWhole ? FirstWord::kUnknown : FirstWord::kCut;
      text.remove_prefix(*skipped);
    }
    if (text.empty()) return part == TextPart::kWhole ? FirstWord::kNone : FirstWord::kCut;
    if (text.front() != ';') break;
    text.remove_prefix(1);
  }
  if (text.front() == '(') return FirstWord::kQuery;
  // A - or / that ends a beginning may be half of a comment's start.
  const size_t size = WordBytes(text.substr(0, kWordBytesMax));
  if (part == TextPart::kBeginning && std::max<size_t>(size, 1) == text.size())
    return FirstWord::kCut;
  return KindOfWord(text.substr(0, size));
}

}  // namespace

FirstWord FirstWordOf(std::string_view text, TextPart part) {
  const FirstWord plain = PlainFirstWord(text, part);
  if (plain != FirstWord::kCut) [[likely]]
    return plain;
  return FirstWordByBytes(text, part);
}

namespace {

TextVerdict VerdictOf(FirstWord first) {
  switch (first) {
    case FirstWord::kNone:
    case FirstWord::kQuery:
    case FirstWord::kHarmless:
      return TextVerdict::kHarmless;
    case FirstWord::kTransaction:
      return TextVerdict::kTransaction;
    case FirstWord::kRelevant:
    case FirstWord::kUnknown:
    case FirstWord::kCut:
      return TextVerdict::kAnalyze;
  }
  TRIREME_UNREACHABLE();
}

// There may be words in it that matter.
[[gnu::noinline]] TextVerdict JudgeSuspect(std::string_view text, TextRules rules,
                                           FirstWord first) {
  using session_word::kRelevant;
  const TextVerdict verdict = VerdictOf(first);
  const SessionWords suspects = SuspectWords(text);
  if (first == FirstWord::kNone || suspects == 0) return verdict;
  if ((suspects & kRelevant) != 0 &&
      (!LexerIsExact(text, rules) || (ConfirmWords(text, rules) & kRelevant) != 0)) {
    return TextVerdict::kAnalyze;
  }
  const bool numbers =
      verdict == TextVerdict::kHarmless && (suspects & session_word::kSequenceAdvance) != 0;
  return numbers ? TextVerdict::kNumbers : verdict;
}

// Only WITH may have it further inside.
bool MayInsert(std::string_view text, TextRules rules) {
  const SqlToken first = SqlLexer(text, rules).Next();
  const std::string_view read = first.IsWord("with") ? text : first.text;
  return (ConfirmWords(read, rules) & session_word::kInserts) != 0;
}

}  // namespace

TextVerdict JudgeText(std::string_view text, TextRules rules) {
  const FirstWord first = FirstWordOf(text, TextPart::kWhole);
  if (VerdictOf(first) == TextVerdict::kAnalyze) return TextVerdict::kAnalyze;
  if (HasSuspectWords(text)) [[unlikely]]
    return JudgeSuspect(text, rules, first);
  return VerdictOf(first);
}

TextVerdict JudgeText(std::string_view text, TextRules rules, Numbers numbers) {
  const TextVerdict verdict = JudgeText(text, rules);
  if (numbers == Numbers::kIgnored || verdict != TextVerdict::kHarmless) [[likely]]
    return verdict;
  return MayInsert(text, rules) ? TextVerdict::kNumbers : verdict;
}

}  // namespace trireme
