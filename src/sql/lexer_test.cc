// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/lexer.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

using Kind = SqlToken::Kind;

// One letter a kind, so that a text's tokens are one word.
char Letter(Kind kind) {
  switch (kind) {
    case Kind::kEnd:
      return '.';
    case Kind::kWord:
      return 'w';
    case Kind::kQuotedIdentifier:
      return 'q';
    case Kind::kUnicodeIdentifier:
      return 'u';
    case Kind::kString:
      return 's';
    case Kind::kEscapeString:
      return 'e';
    case Kind::kUnicodeString:
      return 'U';
    case Kind::kBitString:
      return 'b';
    case Kind::kDollarString:
      return 'd';
    case Kind::kNumber:
      return 'n';
    case Kind::kParameter:
      return 'p';
    case Kind::kOperator:
      return 'o';
    case Kind::kSymbol:
      return 'y';
    case Kind::kUnterminated:
      return '!';
  }
  return '?';
}

std::string Kinds(std::string_view text, TextRules rules = {}) {
  std::string kinds;
  SqlLexer lexer(text, rules);
  for (;;) {
    const SqlToken token = lexer.Next();
    if (token.kind == Kind::kEnd) return kinds;
    kinds += Letter(token.kind);
  }
}

std::string Texts(std::string_view text, TextRules rules = {}) {
  std::string texts;
  SqlLexer lexer(text, rules);
  for (;;) {
    const SqlToken token = lexer.Next();
    if (token.kind == Kind::kEnd) return texts;
    if (!texts.empty()) texts += '~';
    texts += token.text;
  }
}

constexpr TextRules kEscaping{.standard_conforming_strings = false};

TEST(SqlLexer, TellsKindsApart) {
  struct Case {
    const char* text;
    const char* kinds;
  };
  const Case cases[] = {
      {"", ""},
      {" \t\r\n\f\v", ""},
      {"select 1", "wn"},
      {"-- select\n1", "n"},
      {"--", ""},
      {"1--2", "n"},
      {"/* a /* b */ c */ x", "w"},
      {"/* a", "!"},
      {"a/*b*/c", "ww"},
      {"a-/*b*/-c", "woow"},
      {"'a''b'", "s"},
      {"'a\\'", "s"},
      {"'a", "!"},
      {"E'a\\'b'", "e"},
      {"e'a\\\\'", "e"},
      {"E'a\\'", "!"},
      {"E'a\\", "!"},
      {"b'01'X'1f'", "bb"},
      {"n'a'", "ws"},
      {"U&'a'", "U"},
      {"u&\"a\"", "u"},
      {"u &'a'", "wos"},
      {"ue'a'", "ws"},
      {"\"a\"\"b\"", "q"},
      {"\"a", "!"},
      {"'a'\n'b'", "s"},
      {"'a' 'b'", "ss"},
      {"'a' -- c\n 'b'", "s"},
      {"'a' -- c 'b'", "s"},
      {"E'a'\n'b\\''", "e"},
      {"$$a$$", "d"},
      {"$a$ $$ $b$ $a$", "d"},
      {"$a$ x", "!"},
      {"$é$x$é$", "d"},
      {"$1 $12", "pp"},
      {"$", "y"},
      {"$a", "yw"},
      {"a$b$c$b$", "w"},
      {"1.5 .5 1. 1e5 1e-5 1_000", "nnnnnn"},
      {"1..10", "nyn"},
      {"1a", "nw"},
      {"1e", "nw"},
      {"0x1F", "nw"},
      {"a.b", "wyw"},
      {"a::int", "wyyw"},
      {"a=-1", "woon"},
      {"a@-1", "won"},
      {"a<=b", "wow"},
      {"=+-", "ooo"},
      {"(a,b);", "ywywyy"},
      {"naïve ünï", "ww"},
      {"\x80\xff", "w"},
      {"a\\b", "wyw"},
  };
  for (const Case& c : cases) EXPECT_EQ(Kinds(c.text), c.kinds) << c.text;
}

TEST(SqlLexer, EndsStringsByTheRuleOfTheSession) {
  EXPECT_EQ(Texts(R"('a\'; set x to 'y')"), R"('a\'~;~set~x~to~'y')");
  EXPECT_EQ(Texts(R"('a\'; set x to ' y)", kEscaping), R"('a\'; set x to '~y)");
  EXPECT_EQ(Kinds(R"($$a\$$ "a\")", kEscaping), "dq");
  EXPECT_EQ(Kinds(R"(U&'a\' x)", kEscaping), "Uw");
}

TEST(SqlLexer, KeepsTokensWhole) {
  EXPECT_EQ(Texts("a'b'c"), "a~'b'~c");
  EXPECT_EQ(Texts("$a$b$a$c"), "$a$b$a$~c");
  EXPECT_EQ(Texts("'a' -- x\n  'b' c"), "'a' -- x\n  'b'~c");
  EXPECT_EQ(Texts("1.5e+3+2"), "1.5e+3~+~2");
}

std::string Value(std::string_view text, TextRules rules = {}) {
  SqlLexer lexer(text, rules);
  return TokenValue(lexer.Next(), rules).value_or("-");
}

TEST(TokenValue, ResolvesQuotesPiecesAndEscapes) {
  struct Case {
    const char* text;
    const char* value;
  };
  const Case cases[] = {
      {"SELECT", "select"},
      {"ÀB", "Àb"},
      {"\"A\"\"b\"", "A\"b"},
      {"'a''b'", "a'b"},
      {"''", ""},
      {"'a\\n'", "a\\n"},
      {"'a'\n  'b''c'", "ab'c"},
      {"'a' -- it's\n'b'", "ab"},
      {"E'a\\n\\t\\\\\\'\\q'", "a\n\t\\'q"},
      {"E'\\101\\x42\\u0043\\U00000044'", "ABCD"},
      {"E'\\u00e9\\xC3\\xA9'", "éé"},
      {"E'\\xE9'", "-"},
      {"E'\\0'", "-"},
      {"E'\\u12'", "-"},
      {"E'\\uzzz''--'", "-"},  // no escape: it does not reach over half of the quotes
      {"E'\\Uzz''zzzz''--'", "-"},
      {"E'\\ud83d\\ude00'", "😀"},
      {"E'\\ud83d'", "-"},
      {"E'\\ude00'", "-"},
      {"E'\\xg'", "xg"},
      {"U&'d\\0061t\\+000061'", "data"},
      {"U&'\\\\'", "\\"},
      {"U&'\\00'", "-"},
      {"U&\"\\0053et\"", "Set"},
      {"$$a'b$$", "a'b"},
      {"$x$a$$b$x$", "a$$b"},
      {"42", "42"},
      {"/*", "-"},
      {"", "-"},
  };
  for (const Case& c : cases) EXPECT_EQ(Value(c.text), c.value) << c.text;
  EXPECT_EQ(Value("'a\\'b'", kEscaping), "a'b");
}

TEST(TokenValue, CutsNamesWithoutTearingACharacter) {
  const std::string ascii(70, 'a');
  EXPECT_EQ(Value(ascii), std::string(63, 'a'));
  EXPECT_EQ(Value("\"" + ascii + "\""), std::string(63, 'a'));
  EXPECT_EQ(Value(std::string(62, 'a') + "é"), std::string(62, 'a'));
  EXPECT_EQ(Value(std::string(61, 'a') + "éb"), std::string(61, 'a') + "é");
  EXPECT_EQ(CutToNameLength(std::string(100, '\xff')).size(), 63u);
  // A first byte counts for all the bytes it announces.
  EXPECT_EQ(CutToNameLength(std::string(61, 'a') + "\xf6" + std::string(9, 'a')).size(), 61u);
}

TEST(EncodingEmbedsAscii, KnowsTheEncodingsThatDoNot) {
  for (const char* name : {"UTF8", "latin1", "EUC_JP", "SQL_ASCII", "WIN1252", "", "unicode"}) {
    EXPECT_TRUE(EncodingEmbedsAscii(name)) << name;
  }
  for (const char* name : {"SJIS", "shift_jis", "Mskanji", "WIN932", "Windows-936", "BIG5", "GBK",
                           "uhc", "GB18030", "JOHAB", "SHIFT_JIS_2004"}) {
    EXPECT_FALSE(EncodingEmbedsAscii(name)) << name;
  }
}

TEST(LexerIsExact, NotWithHighBytesInSuchAnEncoding) {
  const TextRules sjis{.encoding_embeds_ascii = false};
  EXPECT_TRUE(LexerIsExact("é", {}));
  EXPECT_TRUE(LexerIsExact("e", sjis));
  EXPECT_FALSE(LexerIsExact("\x95\x5c", sjis));
}

}  // namespace
}  // namespace trireme
