// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/options.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace trireme {
namespace {

using Options = std::vector<StartupOption>;

TEST(StartupOptions, ReadsSettingsAsTheServerDoes) {
  struct Case {
    const char* text;
    Options expected;
  };
  const Case cases[] = {
      {"", {}},
      {" \t\n\v\f\r ", {}},
      {"-c a=b", {{"a", "b"}}},
      {"-ca=b", {{"a", "b"}}},
      {"--a=b", {{"a", "b"}}},
      {"  -c   a=b\t--c=d  ", {{"a", "b"}, {"c", "d"}}},
      {"-c a=b -c a=c", {{"a", "b"}, {"a", "c"}}},
      {"--search-path=my-schema", {{"search_path", "my-schema"}}},
      {"-c statement-timeout=5", {{"statement_timeout", "5"}}},
      {"-c a=", {{"a", ""}}},
      {"-c a=b=c", {{"a", "b=c"}}},
      {"-c a=b\\ c", {{"a", "b c"}}},
      {"-c a=b\\\\c", {{"a", "b\\c"}}},
      {"-c a=\\'x\\'", {{"a", "'x'"}}},
      {"-c a='x y'", {}},  // quotes mean nothing: "y'" is no switch
      {"-c a=b\\", {{"a", "b"}}},
      {"-c my.setting=1", {{"my.setting", "1"}}},
      {"-c search_path=a,\\ b", {{"search_path", "a, b"}}},
  };
  for (const Case& c : cases) {
    const PgResult<Options> result = ParseStartupOptions(c.text);
    if (c.text == std::string_view("-c a='x y'")) {
      EXPECT_TRUE(std::holds_alternative<PgError>(result));
      continue;
    }
    ASSERT_TRUE(std::holds_alternative<Options>(result)) << c.text;
    EXPECT_EQ(std::get<Options>(result), c.expected) << c.text;
  }
}

TEST(StartupOptions, SaysWhatIsWrong) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"-c", "invalid command-line argument for server process: -c"},
      {"-c a=b -c", "invalid command-line argument for server process: -c"},
      {"--", "invalid command-line argument for server process: --"},
      {"-", "invalid command-line argument for server process: -"},
      {"a=b", "invalid command-line argument for server process: a=b"},
      {"-F", "invalid command-line argument for server process: -F"},
      {"-S 1000", "invalid command-line argument for server process: -S"},
      {"\\", "invalid command-line argument for server process: "},
      {"--a", "--a requires a value"},
      {"-c a", "-c a requires a value"},
      {"-ca", "-c a requires a value"},
  };
  for (const Case& c : cases) {
    const PgResult<Options> result = ParseStartupOptions(c.text);
    const PgError* error = std::get_if<PgError>(&result);
    ASSERT_NE(error, nullptr) << c.text;
    EXPECT_EQ(error->message, c.message) << c.text;
    EXPECT_EQ(error->sqlstate, "42601");
    EXPECT_EQ(error->severity, "FATAL");
    EXPECT_FALSE(error->hint.empty());
  }
}

TEST(StartupOptions, KnowsNoSettingWithoutAName) {
  const PgResult<Options> result = ParseStartupOptions("-c =b");
  EXPECT_EQ(std::get<PgError>(result).sqlstate, "42704");
}

TEST(StartupOptions, AnswersGarbage) {
  Random random(7);
  const std::string_view alphabet = "-c= \\ab._\t'\"";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t left = random.Below(24); left > 0; --left) {
      text += alphabet[random.Below(alphabet.size())];
    }
    const PgResult<Options> result = ParseStartupOptions(text);
    if (const Options* options = std::get_if<Options>(&result)) {
      for (const StartupOption& option : *options) ASSERT_FALSE(option.name.empty()) << text;
    }
  }
}

}  // namespace
}  // namespace trireme
