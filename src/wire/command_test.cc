// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/command.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"

namespace trireme {
namespace {

using Kind = Token::Kind;

std::vector<std::pair<Kind, std::string>> Tokens(std::string_view text) {
  std::vector<std::pair<Kind, std::string>> tokens;
  CommandTokenizer tokenizer(text);
  for (;;) {
    const Token token = tokenizer.Next();
    if (token.kind == Kind::kEnd) return tokens;
    tokens.emplace_back(token.kind, token.text);
  }
}

TEST(CommandTokenizer, SplitsACommand) {
  using List = std::vector<std::pair<Kind, std::string>>;
  struct Case {
    const char* text;
    List expected;
  };
  const Case cases[] = {
      {"", {}},
      {" \t\r\n", {}},
      {"show pools;", {{Kind::kWord, "show"}, {Kind::kWord, "pools"}, {Kind::kSymbol, ";"}}},
      {"SET a='it''s'",
       {{Kind::kWord, "SET"},
        {Kind::kWord, "a"},
        {Kind::kSymbol, "="},
        {Kind::kString, "'it''s'"}}},
      {"KILL \"my \"\"db\"", {{Kind::kWord, "KILL"}, {Kind::kQuotedIdentifier, "\"my \"\"db\""}}},
      {"x 42 4.5 42x",
       {{Kind::kWord, "x"}, {Kind::kNumber, "42"}, {Kind::kNumber, "4.5"}, {Kind::kWord, "42x"}}},
      {"a-- b\nc", {{Kind::kWord, "a"}, {Kind::kWord, "c"}}},
      {"-- all", {}},
      {"a/* b /* c */ d */e", {{Kind::kWord, "a"}, {Kind::kWord, "e"}}},
      {"a - b", {{Kind::kWord, "a"}, {Kind::kSymbol, "-"}, {Kind::kWord, "b"}}},
      {"a /* b", {{Kind::kWord, "a"}, {Kind::kUnterminated, "/* b"}}},
      {"a /* b /* c */", {{Kind::kWord, "a"}, {Kind::kUnterminated, "/* b /* c */"}}},
      {"'a''", {{Kind::kUnterminated, "'a''"}}},
      {"\"", {{Kind::kUnterminated, "\""}}},
      {"\xc3\xa4z", {{Kind::kWord, "\xc3\xa4z"}}},
  };
  for (const Case& c : cases) EXPECT_EQ(Tokens(c.text), c.expected) << c.text;
}

TEST(FirstKeyword, PassesOverSpaceAndComments) {
  struct Case {
    const char* sql;
    const char* expected;
  };
  const Case cases[] = {
      {"", ""},
      {"begin", "begin"},
      {"  COMMIT;", "COMMIT"},
      {"-- note\n/* more /* nested */ */ select 1", "select"},
      {"/* never", ""},
      {"(select 1)", ""},
      {"'text'", ""},
      {"42", ""},
      {";begin", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(FirstKeyword(c.sql), c.expected) << c.sql;
}

TEST(TokenText, RemovesQuotes) {
  const auto text = [](std::string_view from) { return TokenText(CommandTokenizer(from).Next()); };
  EXPECT_EQ(text("word"), "word");
  EXPECT_EQ(text("'it''s'"), "it's");
  EXPECT_EQ(text("''"), "");
  EXPECT_EQ(text("''''"), "'");
  EXPECT_EQ(text("\"a\"\"b\""), "a\"b");
}

TEST(EqualsIgnoreCase, FoldsAsciiOnly) {
  EXPECT_TRUE(EqualsIgnoreCase("TimeZone", "timezone"));
  EXPECT_FALSE(EqualsIgnoreCase("TimeZone", "timezon"));
  EXPECT_FALSE(EqualsIgnoreCase("\xc3\x84", "\xc3\xa4"));
  EXPECT_EQ(AsciiLower("A\xc3\x84z"), "a\xc3\x84z");
}

// Every token is a piece of the text in order, and the end comes.
TEST(CommandTokenizer, CoversGarbageAndStops) {
  Random random(13);
  const std::string_view alphabet = "ab1.'\"-/* \n;=\xff";
  for (int round = 0; round < 20000; ++round) {
    const size_t size = random.Below(20);
    const std::unique_ptr<char[]> exact(new char[size]);
    for (size_t i = 0; i < size; ++i) exact[i] = alphabet[random.Below(alphabet.size())];
    const std::string_view text(exact.get(), size);
    CommandTokenizer tokenizer(text);
    const char* at = text.data();
    for (size_t count = 0;; ++count) {
      ASSERT_LE(count, size) << text;
      const Token token = tokenizer.Next();
      (void)TokenText(token);
      if (token.kind == Kind::kEnd) break;
      ASSERT_FALSE(token.text.empty());
      ASSERT_GE(token.text.data(), at) << text;
      at = token.text.data() + token.text.size();
      ASSERT_LE(at, text.data() + size);
    }
    ASSERT_TRUE(tokenizer.rest().empty());
  }
}

}  // namespace
}  // namespace trireme
