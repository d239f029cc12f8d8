// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/quote.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

TEST(QuoteName, QuotesWhatWouldBeReadAsAnotherName) {
  struct Case {
    const char* name;
    const char* quoted;
  };
  const Case cases[] = {
      {"public", "public"},   {"a_1", "a_1"},           {"_a", "_a"},
      {"$user", "\"$user\""}, {"A", "\"A\""},           {"1a", "\"1a\""},
      {"a b", "\"a b\""},     {"a\"b", "\"a\"\"b\""},   {"", "\"\""},
      {"é", "\"é\""},         {"select", "\"select\""}, {"between", "\"between\""},
      {"begin", "begin"},     {"a$b", "\"a$b\""},       {"user", "\"user\""},
  };
  for (const Case& c : cases) EXPECT_EQ(QuoteName(c.name), c.quoted) << c.name;
}

std::string Stored(std::string_view parameter, std::vector<std::string> elements) {
  return StoredValue(parameter, elements);
}

TEST(StoredValue, QuotesNamesInListsOfNamesOnly) {
  EXPECT_EQ(Stored("search_path", {"a", "B c", "$user"}), "a, \"B c\", \"$user\"");
  EXPECT_EQ(Stored("SEARCH_PATH", {"a, b"}), "\"a, b\"");
  EXPECT_EQ(Stored("search_path", {""}), "\"\"");
  EXPECT_EQ(Stored("datestyle", {"ISO", "MDY"}), "ISO, MDY");
  EXPECT_EQ(Stored("work_mem", {"4MB"}), "4MB");
  EXPECT_EQ(Stored("temp_tablespaces", {"X"}), "\"X\"");
  EXPECT_EQ(Stored("local_preload_libraries", {"a/b"}), "\"a/b\"");
}

TEST(CurrentParameterName, FollowsRenames) {
  EXPECT_EQ(CurrentParameterName("Sort_Mem"), "work_mem");
  EXPECT_EQ(CurrentParameterName("vacuum_mem"), "maintenance_work_mem");
  EXPECT_EQ(CurrentParameterName("TimeZone"), "TimeZone");
}

}  // namespace
}  // namespace trireme
