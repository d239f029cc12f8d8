// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/first_word.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace trireme {
namespace {

constexpr size_t kKeyBytes = 8;
constexpr size_t kWordBytesMax = 16;  // longer than any first word

// The first eight bytes in lower case, as one number.
constexpr uint64_t Key(std::string_view word) {
  uint64_t key = 0;
  for (size_t i = 0; i < kKeyBytes && i < word.size(); ++i) {
    const size_t shift = 8 * (std::endian::native == std::endian::little ? i : kKeyBytes - 1 - i);
    key |= uint64_t{static_cast<uint8_t>(word[i] | 0x20)} << shift;
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

FirstWord KindOfWord(std::string_view word) {
  if (word.size() > kKeyBytes) return LongWord(word);
  switch (Key(word)) {
    case Key("select"):
    case Key("insert"):
    case Key("update"):
    case Key("delete"):
    case Key("with"):
    case Key("values"):
    case Key("merge"):
    case Key("table"):
    case Key("copy"):
      return FirstWord::kQuery;
    case Key("begin"):
    case Key("start"):
    case Key("commit"):
    case Key("end"):
    case Key("rollback"):
    case Key("abort"):
    case Key("release"):
      return FirstWord::kTransaction;
    case Key("analyse"):
    case Key("analyze"):
    case Key("cluster"):
    case Key("comment"):
    case Key("fetch"):
    case Key("grant"):
    case Key("import"):
    case Key("lock"):
    case Key("move"):
    case Key("notify"):
    case Key("reassign"):
    case Key("refresh"):
    case Key("reindex"):
    case Key("revoke"):
    case Key("security"):
    case Key("show"):
    case Key("truncate"):
    case Key("vacuum"):
      return FirstWord::kHarmless;
    case Key("alter"):
    case Key("call"):
    case Key("close"):
    case Key("create"):
    case Key("declare"):
    case Key("discard"):
    case Key("do"):
    case Key("drop"):
    case Key("execute"):
    case Key("explain"):
    case Key("listen"):
    case Key("load"):
    case Key("prepare"):
    case Key("reset"):
    case Key("set"):
    case Key("unlisten"):
      return FirstWord::kRelevant;
    default:
      return FirstWord::kUnknown;
  }
}

// The common text begins with a word: no lexer is needed to see it.
size_t WordBytes(std::string_view text) {
  size_t size = 0;
  while (size < text.size() && IsWordByte(text[size])) ++size;
  return size;
}

}  // namespace

FirstWord FirstWordOf(std::string_view text, TextPart part) {
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

TextVerdict JudgeText(std::string_view text, TextRules rules, SessionWords relevant) {
  const FirstWord first = FirstWordOf(text, TextPart::kWhole);
  switch (first) {
    case FirstWord::kNone:
      return TextVerdict::kHarmless;
    case FirstWord::kRelevant:
    case FirstWord::kUnknown:
    case FirstWord::kCut:
      return TextVerdict::kAnalyze;
    case FirstWord::kQuery:
    case FirstWord::kTransaction:
    case FirstWord::kHarmless:
      break;
  }
  if ((SuspectWords(text) & relevant) != 0 &&
      (!LexerIsExact(text, rules) || (ConfirmWords(text, rules) & relevant) != 0)) {
    return TextVerdict::kAnalyze;
  }
  return first == FirstWord::kTransaction ? TextVerdict::kTransaction : TextVerdict::kHarmless;
}

}  // namespace trireme
