// SPDX-License-Identifier: GPL-3.0-or-later
//
// What constants and identifiers stand for: quotes, pieces and escapes resolved as scan.l and
// parser.c do it for a UTF-8 database.
#include <algorithm>
#include <bit>
#include <charconv>

#include "base/utf8.h"
#include "sql/ascii.h"
#include "sql/lexer.h"

namespace trireme {
namespace {

using Kind = SqlToken::Kind;

constexpr size_t kNameBytesMax = 63;  // NAMEDATALEN - 1

bool IsHex(char c) {
  const char lower = LowerAscii(c);
  return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'f');
}
bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// The number in `digits`, which are of that base and few.
uint32_t Number(std::string_view digits, int base) {
  uint32_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  return number;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character character = DecodeUtf8(text);
    if (!character.valid) return false;
    text.remove_prefix(character.size);
  }
  return true;
}

// Collects what escapes stand for; a value that PostgreSQL would refuse stays refused.
class Unescaped {
 public:
  void AddByte(char c) {
    Settle(c != '\0' && high_ == 0);
    text_ += c;
  }

  // A code point, or half of a surrogate pair.
  void AddCode(uint32_t code) {
    if (code >= 0xd800 && code < 0xdc00) {
      Settle(high_ == 0);
      high_ = code;
      return;
    }
    if (code >= 0xdc00 && code < 0xe000) {
      Settle(high_ != 0);
      code = 0x10000 + ((high_ & 0x3ff) << 10) + (code & 0x3ff);
    } else {
      Settle(high_ == 0);
    }
    high_ = 0;
    Settle(code != 0 && code <= 0x10ffff);
    if (good_) AddUtf8(code);
  }

  void Refuse() { good_ = false; }
  bool refused() const { return !good_; }

  std::optional<std::string> Finish() && {
    if (!good_ || high_ != 0) return std::nullopt;
    return std::move(text_);
  }
  bool escaped_high_byte = false;

 private:
  void Settle(bool right) { good_ = good_ && right; }

  void AddUtf8(uint32_t code) {
    const auto byte = [this](uint32_t value) { text_ += static_cast<char>(value); };
    const auto tail = [&byte, code](int shift) { byte(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
      byte(code);
    } else if (code < 0x800) {
      byte(0xc0 | code >> 6), tail(0);
    } else if (code < 0x10000) {
      byte(0xe0 | code >> 12), tail(6), tail(0);
    } else {
      byte(0xf0 | code >> 18), tail(12), tail(6), tail(0);
    }
  }

  std::string text_;
  uint32_t high_ = 0;  // the first half of a surrogate pair
  bool good_ = true;
};

// One escape of E'...': `rest` begins behind the backslash. Bytes taken.
size_t TakeEscape(std::string_view rest, Unescaped& value) {
  const auto count = [rest](size_t from, size_t most, bool (*fits)(char)) {
    size_t n = 0;
    while (n < most && from + n < rest.size() && fits(rest[from + n])) ++n;
    return n;
  };
  const auto add = [&value](uint32_t byte) {
    value.escaped_high_byte |= (byte & 0x80) != 0;
    value.AddByte(static_cast<char>(byte));
  };
  const char c = rest[0];
  if (const size_t digits = count(0, 3, IsOctal); digits > 0) {
    add(Number(rest.substr(0, digits), 8));
    return digits;
  }
  if (c == 'x') {
    const size_t digits = count(1, 2, IsHex);
    if (digits > 0) add(Number(rest.substr(1, digits), 16));
    if (digits == 0) value.AddByte('x');
    return 1 + digits;
  }
  if (c == 'u' || c == 'U') {
    const size_t wanted = c == 'u' ? 4 : 8;
    if (count(1, wanted, IsHex) < wanted) value.Refuse();
    value.AddCode(Number(rest.substr(1, wanted), 16));
    return std::min(1 + wanted, rest.size());
  }
  constexpr std::string_view kNames = "bfnrtv";
  constexpr std::string_view kBytes = "\b\f\n\r\t\v";
  const size_t name = kNames.find(c);
  value.AddByte(name == std::string_view::npos ? c : kBytes[name]);
  return 1;
}

// One escape of U&'...' or U&"...".
size_t TakeUnicodeEscape(std::string_view rest, Unescaped& value) {
  if (rest[0] == '\\') {
    value.AddByte('\\');
    return 1;
  }
  const size_t from = rest[0] == '+' ? 1 : 0;
  const size_t wanted = from == 1 ? 6 : 4;
  const std::string_view digits = rest.substr(from, wanted);
  if (digits.size() < wanted || !std::all_of(digits.begin(), digits.end(), IsHex)) {
    value.Refuse();
    return rest.size();
  }
  value.AddCode(Number(digits, 16));
  return from + wanted;
}

enum class Escape : uint8_t { kNone, kBackslash, kUnicode };

// Between pieces of a string is white space and comments only, so the next quote opens a piece.
size_t NextQuote(std::string_view text, size_t at) {
  while (at < text.size() && text[at] != '\'') {
    at = text.substr(at, 2) == "--" ? text.find_first_of("\r\n", at) : at + 1;
  }
  return std::min(at, text.size());
}

// `text` begins and ends with a quote.
std::optional<std::string> Resolve(std::string_view text, Escape escape) {
  const char quote = text.front();
  Unescaped value;
  for (size_t at = 1; at < text.size();) {
    const char c = text[at++];
    if (c == quote) {
      if (at == text.size()) break;
      if (text[at] == quote) {
        value.AddByte(quote);
        ++at;
      } else {
        at = NextQuote(text, at) + 1;
      }
    } else if (c == '\\' && escape != Escape::kNone && at < text.size()) {
      const std::string_view rest = text.substr(at);
      at += escape == Escape::kBackslash ? TakeEscape(rest, value) : TakeUnicodeEscape(rest, value);
      if (value.refused()) return std::nullopt;  // what is no escape may have gone past a quote
    } else {
      value.AddByte(c);
    }
  }
  const bool verify = value.escaped_high_byte;
  std::optional<std::string> text_value = std::move(value).Finish();
  if (text_value && verify && !IsUtf8(*text_value)) return std::nullopt;
  return text_value;
}

// As the server does, by the first byte alone: what follows may be anything.
size_t CharacterBytes(char first) {
  const int ones = std::countl_one(static_cast<unsigned char>(first));
  return ones >= 2 && ones <= 4 ? static_cast<size_t>(ones) : 1;
}

std::optional<std::string> Cut(std::optional<std::string> name) {
  if (name) name->resize(CutToNameLength(*name).size());
  return name;
}

}  // namespace

std::string_view CutToNameLength(std::string_view name) {
  if (name.size() <= kNameBytesMax) return name;
  size_t size = 0;
  while (true) {
    const size_t next = CharacterBytes(name[size]);
    if (size + next > kNameBytesMax) return name.substr(0, size);
    size += next;
  }
}

std::optional<std::string> TokenValue(const SqlToken& token, TextRules rules) {
  switch (token.kind) {
    case Kind::kWord:
      return Cut(FoldedAscii(token.text));
    case Kind::kQuotedIdentifier:
      return Cut(Resolve(token.text, Escape::kNone));
    case Kind::kUnicodeIdentifier:
      return Cut(Resolve(token.text.substr(2), Escape::kUnicode));
    case Kind::kString:
      return Resolve(token.text,
                     rules.standard_conforming_strings ? Escape::kNone : Escape::kBackslash);
    case Kind::kEscapeString:
      return Resolve(token.text.substr(1), Escape::kBackslash);
    case Kind::kUnicodeString:
      return Resolve(token.text.substr(2), Escape::kUnicode);
    case Kind::kDollarString: {
      const size_t tag = token.text.find('$', 1) + 1;
      return std::string(token.text.substr(tag, token.text.size() - 2 * tag));
    }
    case Kind::kBitString:
    case Kind::kNumber:
    case Kind::kParameter:
    case Kind::kOperator:
    case Kind::kSymbol:
      return std::string(token.text);
    case Kind::kEnd:
    case Kind::kUnterminated:
      return std::nullopt;
  }
  return std::nullopt;
}

bool LexerIsExact(std::string_view text, TextRules rules) {
  return rules.encoding_embeds_ascii || std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) > 127;
         });
}

bool EncodingEmbedsAscii(std::string_view client_encoding) {
  std::string plain;  // as the server compares names: letters and digits only
  for (const char c : FoldedAscii(client_encoding)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) plain += c;
  }
  for (const std::string_view wide :
       {"sjis", "shiftjis", "mskanji", "win932", "windows932", "shiftjis2004", "big5", "win950",
        "windows950", "gbk", "win936", "windows936", "uhc", "win949", "windows949", "gb18030",
        "johab"}) {
    if (plain == wide) return false;
  }
  return true;
}

}  // namespace trireme
