// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/script.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/scanner.h"

namespace trireme::bench {
namespace {

std::string Render(const Step& step, bool known) {
  Random random(1);
  std::string out;
  RenderStep(step, known, {.random = random, .client = 42}, out);
  return out;
}

// The types of the messages, one letter each.
std::string Types(const std::string& bytes) {
  std::string types;
  Scanner scanner;
  scanner.Feed(
      AsBytes(bytes), [](char) { return false; },
      [&](char type, Bytes) {
        types += type;
        return true;
      });
  EXPECT_FALSE(scanner.broken());
  EXPECT_TRUE(scanner.at_boundary());
  return types;
}

Step OnlyStep(std::string_view line) {
  const Result<Script> script = ParseScript("test", line, 0);
  EXPECT_TRUE(script.ok()) << script.status();
  return script.ok() ? script->steps.at(0) : Step{};
}

TEST(Script, AQueryIsOneMessage) {
  const Step step = OnlyStep("query SELECT {client} || 'x'");
  std::string expected("Q\0\0\0\x15", 5);
  expected.append("SELECT 42 || 'x'").push_back(0);
  EXPECT_EQ(Render(step, false), expected);
  EXPECT_EQ(step.replies(), 1u);
}

TEST(Script, ExtendedParsesEachTime) {
  const Step step = OnlyStep("extended SELECT $1::int + $2 | {1..9} | {5..5}");
  EXPECT_EQ(Types(Render(step, false)), "PBDES");
  EXPECT_EQ(step.parameters.size(), 2u);
  EXPECT_EQ(step.sql_text, "SELECT $1::int + $2");
}

TEST(Script, PreparedParsesOnce) {
  const Step step = OnlyStep("prepared SELECT $1 | {1..9}");
  EXPECT_EQ(Types(Render(step, false)), "PBDES");
  EXPECT_EQ(Types(Render(step, true)), "BDES");
}

TEST(Script, PipelinedStepsHaveASyncEachAndBatchesOne) {
  const Step pipeline = OnlyStep("pipeline 3 extended SELECT 1");
  EXPECT_EQ(Types(Render(pipeline, false)), "PBDESPBDESPBDES");
  EXPECT_EQ(pipeline.replies(), 3u);
  const Step batch = OnlyStep("batch 3 prepared SELECT 1");
  EXPECT_EQ(Types(Render(batch, false)), "PBDEBDEBDES");
  EXPECT_EQ(batch.replies(), 1u);
}

TEST(Script, CommentsAndEmptyLinesAreNoSteps) {
  const auto script = ParseScript("test", "# a comment\n\n  query SELECT 1  \n sleep exp:2ms\n", 0);
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script->steps.size(), 2u);
  EXPECT_EQ(script->steps[1].kind, Step::Kind::kSleep);
}

TEST(Script, PreparedStatementsAreNumberedOverAllScripts) {
  const auto script = ParseScript("test", "prepared SELECT 1\nprepared SELECT 2", 7);
  ASSERT_TRUE(script.ok());
  EXPECT_EQ(script->steps[1].statement, 8u);
  EXPECT_EQ(CountPrepared(*script), 2u);
}

TEST(Script, CopyInIsWholeRows) {
  const Step step = OnlyStep("copy-in 1k 100 COPY t FROM STDIN");
  EXPECT_EQ(step.copy_bytes, 1000u);
  EXPECT_EQ(step.copy_row_bytes, 100u);
  EXPECT_EQ(Types(Render(step, false)), "Q");
}

TEST(Script, SaysWhereAndWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "has no step"},
      {"# nothing", "has no step"},
      {"query", "SQL is missing"},
      {"query SELECT 1\nselect 2", "line 2: unknown step \"select\""},
      {"pipeline x query SELECT 1", "number from 1 to 10000"},
      {"pipeline 2 sleep 1ms", "pipeline takes"},
      {"batch 2 query SELECT 1", "batch takes"},
      {"sleep soon", "not a duration"},
      {"query {1..", "{ without }"},
      {"query {9..1}", "expected {client}"},
      {"query {1..9 zipf x}", "exponent"},
      {"copy-in 10 100 COPY t FROM STDIN", "at least one"},
  };
  for (const auto& [text, expected] : kCases) {
    const Result<Script> script = ParseScript("bad", text, 0);
    ASSERT_FALSE(script.ok()) << text;
    EXPECT_NE(script.status().message().find(expected), absl::string_view::npos)
        << script.status() << " does not say " << expected;
  }
}

TEST(Script, EveryBuiltInOneParses) {
  EXPECT_EQ(BuiltInScript("nonsense"), "");
  std::string names = BuiltInScriptNames() + ", ";
  int count = 0;
  for (size_t end = names.find(", "); end != std::string::npos; end = names.find(", ")) {
    const std::string name = names.substr(0, end);
    EXPECT_TRUE(ParseScript(name, BuiltInScript(name), 0).ok()) << name;
    names.erase(0, end + 2);
    ++count;
  }
  EXPECT_GT(count, 8);
}

TEST(Template, DrawsWithinItsBounds) {
  const Result<Template> made = Template::Parse("{-3..3}");
  ASSERT_TRUE(made.ok());
  Random random(2);
  bool low = false, high = false;
  for (int i = 0; i < 1000; ++i) {
    std::string out;
    made->Append({.random = random, .client = 0}, out);
    const int value = std::stoi(out);
    ASSERT_TRUE(value >= -3 && value <= 3) << out;
    low = low || value == -3;
    high = high || value == 3;
  }
  EXPECT_TRUE(low && high);
}

TEST(Template, ZipfPrefersTheLowEnd) {
  const Result<Template> made = Template::Parse("{10..109 zipf 1.5}");
  ASSERT_TRUE(made.ok());
  Random random(2);
  int first = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string out;
    made->Append({.random = random, .client = 0}, out);
    first += out == "10" ? 1 : 0;
  }
  EXPECT_GT(first, 300);
}

}  // namespace
}  // namespace trireme::bench
