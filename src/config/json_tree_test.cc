// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/json_tree.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

std::string FirstProblem(std::string_view text) {
  const JsonTree tree = ParseJson(text, "c.json");
  return tree.problems.empty() ? "" : tree.problems[0].ToString();
}

std::string At(const JsonValue& value) {
  return std::to_string(value.position.line) + ":" + std::to_string(value.position.column);
}

TEST(JsonTree, KnowsWhereEveryValueStarts) {
  constexpr std::string_view kText = R"({  // a comment with "quotes"
  "é": "ü", "text": "a\"b\\", /* { */ "list": [1, -2.5e3,true , false,null],
  "empty": {}
})";
  const JsonTree tree = ParseJson(kText, "c.json");
  ASSERT_TRUE(tree.root) << FirstProblem(kText);
  EXPECT_EQ(At(*tree.root), "1:1");
  EXPECT_EQ(At(Locate(*tree.root, "/é")), "2:8");
  EXPECT_EQ(tree.root->members[1].position, (TextPosition{2, 13}));
  EXPECT_EQ(At(Locate(*tree.root, "/text")), "2:21");
  EXPECT_EQ(Locate(*tree.root, "/text").text, "a\"b\\");
  const JsonValue& list = Locate(*tree.root, "/list");
  EXPECT_EQ(At(list), "2:47");
  ASSERT_EQ(list.items.size(), 5u);
  const std::string_view sources[] = {"1", "-2.5e3", "true", "false", "null"};
  const std::string_view positions[] = {"2:48", "2:51", "2:58", "2:65", "2:71"};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(list.items[i].source, sources[i]);
    EXPECT_EQ(At(list.items[i]), positions[i]);
  }
  EXPECT_EQ(At(Locate(*tree.root, "/empty")), "3:12");
}

TEST(JsonTree, KeepsIntegersExact) {
  const JsonTree tree =
      ParseJson("[9223372036854775807,9223372036854775808,-9223372036854775808]", "");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->items[0].integer, INT64_MAX);
  EXPECT_EQ(tree.root->items[1].kind, JsonValue::Kind::kNumber);
  EXPECT_EQ(tree.root->items[2].integer, INT64_MIN);
}

TEST(JsonTree, LocatesTheNearestAncestor) {
  const JsonTree tree = ParseJson(R"({"a/b": [{"c~d": 1}]})", "");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(At(Locate(*tree.root, "/a~1b/0/c~0d")), "1:18");
  EXPECT_EQ(At(Locate(*tree.root, "/a~1b/0/x/y")), "1:10");
  EXPECT_EQ(At(Locate(*tree.root, "/a~1b/7")), "1:9");
  EXPECT_EQ(At(Locate(*tree.root, "")), "1:1");
}

struct SyntaxCase {
  std::string_view text;
  std::string_view problem;
};

TEST(JsonTree, ExplainsSyntaxErrors) {
  const SyntaxCase cases[] = {
      {"", "c.json:1:1: error: syntax error: expected a value, found the end of the text"},
      {"{\n  \"a\": 1,\n}",
       "c.json:3:1: error: /a: syntax error: expected a key in double quotes, found "
       "'}'; remove the ',' before it"},
      {"[1,]",
       "c.json:1:4: error: /0: syntax error: expected a value, found ']'; remove the "
       "',' before it"},
      {"{\"a\": 1\n \"b\": 2}",
       "c.json:2:2: error: /a: syntax error: expected ',' or '}', found a string"},
      {"{\"a\" 1}", "c.json:1:6: error: /a: syntax error: expected ':', found a number"},
      {"[1 true]", "c.json:1:4: error: /0: syntax error: expected ',' or ']', found true"},
      {"[1 2]", "c.json:1:4: error: /0: syntax error: expected ',' or ']', found a number"},
      {"{\"a\": {\n\"b\": 1",
       "c.json:2:7: error: /a/b: syntax error: expected ',' or '}', found the end of "
       "the text; the '{' of line 1, column 7 is never closed"},
      {"{} {}", "c.json:1:4: error: syntax error: expected the end of the text, found '{'"},
      {"{a: 1}",
       "c.json:1:2: error: syntax error: this is not JSON (strings and keys go in "
       "double quotes); expected a key in double quotes"},
      {"{\"a\": 'hunter2'}",
       "c.json:1:7: error: /a: syntax error: this is not JSON (strings and keys go in "
       "double quotes)"},
      {"[\"hunter2\n]",
       "c.json:1:10: error: /0: syntax error: the string is not closed on its line"},
      {"[\"hunter2", "c.json:1:9: error: /0: syntax error: invalid string: missing closing quote"},
      {"[\"\\x\"]",
       "c.json:1:4: error: /0: syntax error: invalid string: forbidden character after "
       "backslash"},
      {"[\"\xff\"]", "c.json:1:3: error: /0: syntax error: invalid string: ill-formed UTF-8 byte"},
      {"[-]", "c.json:1:3: error: /0: syntax error: invalid number; expected digit after '-'"},
      {"{} /* x",
       "c.json:1:7: error: syntax error: invalid comment; missing closing '*/'; "
       "expected the end of the text"},
      {"{\"secret\": \"x; expected hunter2",
       "c.json:1:31: error: /secret: syntax error: invalid string: missing closing "
       "quote"},
  };
  for (const SyntaxCase& test : cases) EXPECT_EQ(FirstProblem(test.text), test.problem);
}

TEST(JsonTree, ReportsDuplicateKeysWithBothPlaces) {
  EXPECT_EQ(
      FirstProblem("{\"o\": {\"a\": 1,\n  \"b\": 2,\n  \"a\": 3}}"),
      "c.json:3:3: error: /o/a: duplicate key \"a\": it is already set in line 1, column 8; remove "
      "one of the two");
}

TEST(JsonTree, BoundsTheDepth) {
  const std::string deep(kJsonDepthMax + 1, '[');
  EXPECT_NE(FirstProblem(deep).find("nested deeper than 32 levels"), std::string::npos);
  const std::string closed = std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']');
  EXPECT_EQ(FirstProblem(closed), "");
}

// Whatever is cut or damaged is answered, never asserted.
TEST(JsonTree, SurvivesEveryPrefixAndEveryFlippedByte) {
  constexpr std::string_view kText =
      R"({"a\\": [1, -2.5e3, true, null], /* c */ "b": {"\u00e9\"": "x"}, "a\\": "é"} // end)";
  for (size_t length = 0; length <= kText.size(); ++length) {
    ParseJson(kText.substr(0, length), "");
  }
  for (size_t at = 0; at < kText.size(); ++at) {
    for (const char damage : {'"', '\\', '\0', '{', ']', '/', '\n', '\xff', '0'}) {
      std::string text(kText);
      text[at] = damage;
      ParseJson(text, "");
    }
  }
}

}  // namespace
}  // namespace trireme
