// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/execute_name.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(ExecuteName, IsReplaced) {
  const struct {
    const char* text;
    const char* renamed;
  } cases[] = {
      {"EXECUTE s", "EXECUTE n"},
      {"execute S(1, 's');", "execute n(1, 's');"},
      {"EXECUTE/* s */\n\"s\" (2)", "EXECUTE/* s */\nn (2)"},
      {"EXPLAIN (ANALYZE) EXECUTE s", "EXPLAIN (ANALYZE) EXECUTE n"},
      {"CREATE TABLE execute AS EXECUTE s('execute s')",
       "CREATE TABLE execute AS EXECUTE n('execute s')"},
      {"EXECUTE U&\"\\0073\"", "EXECUTE n"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(RenameExecuted(each.text, {}, "s", "n"), each.renamed) << each.text;
  }
}

TEST(ExecuteName, IsNotFoundWhereItIsNotSure) {
  for (const char* text : {"EXECUTE t", "SELECT s", "EXECUTE \"S\"", "EXECUTE", "EXECUTE 's'",
                           "EXECUTE s; EXECUTE s", ""}) {
    EXPECT_EQ(RenameExecuted(text, {}, "s", "n"), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace trireme
