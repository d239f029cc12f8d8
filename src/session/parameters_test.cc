// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/parameters.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace trireme {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

ParameterSet Set(const Pairs& pairs) {
  ParameterSet set;
  for (const auto& [name, value] : pairs) set.Set(name, value);
  return set;
}

struct Case {
  const char* what;
  Pairs wish, has, baseline;
  std::string sql;
  Pairs after;  // what the backend has then
};

const Case kCases[] = {
    {"nothing wished, nothing changed",
     {},
     {{"TimeZone", "UTC"}},
     {{"TimeZone", "UTC"}},
     "",
     {{"TimeZone", "UTC"}}},
    {"a wish that is fulfilled",
     {{"timezone", "UTC"}},
     {{"TimeZone", "UTC"}},
     {},
     "",
     {{"TimeZone", "UTC"}}},
    {"a wish",
     {{"TimeZone", "CET"}},
     {{"TimeZone", "UTC"}},
     {{"TimeZone", "UTC"}},
     "SET \"TimeZone\" TO 'CET';",
     {{"TimeZone", "CET"}}},
    {"a wish the server does not report",
     {{"statement_timeout", "5s"}},
     {},
     {},
     "SET \"statement_timeout\" TO '5s';",
     {{"statement_timeout", "5s"}}},
    {"what an earlier client left goes back",
     {},
     {{"TimeZone", "CET"}},
     {{"TimeZone", "UTC"}},
     "SET \"TimeZone\" TO 'UTC';",
     {{"TimeZone", "UTC"}}},
    {"... also when the server does not report it",
     {},
     {{"statement_timeout", "5s"}},
     {},
     "RESET \"statement_timeout\";",
     {}},
    {"facts about the server are left alone",
     {},
     {{"is_superuser", "on"}, {"in_hot_standby", "on"}},
     {{"is_superuser", "off"}, {"in_hot_standby", "off"}},
     "",
     {{"is_superuser", "on"}, {"in_hot_standby", "on"}}},
    {"nobody stays another user",
     {},
     {{"session_authorization", "bob"}},
     {{"session_authorization", "app"}},
     "RESET \"session_authorization\";",
     {{"session_authorization", "app"}}},
    {"values are only values",
     {{"application_name", "x'; DROP TABLE t; --"}},
     {},
     {},
     "SET \"application_name\" TO 'x''; DROP TABLE t; --';",
     {{"application_name", "x'; DROP TABLE t; --"}}},
    {"wishes first, then what is left over",
     {{"DateStyle", "German"}},
     {{"DateStyle", "ISO"}, {"work_mem", "1MB"}},
     {{"DateStyle", "ISO"}},
     "SET \"DateStyle\" TO 'German';RESET \"work_mem\";",
     {{"DateStyle", "German"}}},
};

TEST(ParameterChanges, Table) {
  for (const Case& each : kCases) {
    const ParameterSet wish = Set(each.wish), baseline = Set(each.baseline);
    ParameterSet has = Set(each.has);
    EXPECT_EQ(ParameterChanges({.wish = wish, .has = has, .baseline = baseline}), each.sql)
        << each.what;
    ApplyChanges(wish, baseline, has);
    EXPECT_EQ(has, Set(each.after)) << each.what;
    EXPECT_EQ(ParameterChanges({.wish = wish, .has = has, .baseline = baseline}), "") << each.what;
  }
}

// A list keeps its spaces and quotes, and one that is none is refused in the server's own words.
TEST(ParameterChanges, SetsAListToTheLetter) {
  const ParameterSet wish = Set({{"search_path", "a,B,,"}});
  const ParameterSet baseline = Set({{"search_path", "public"}});
  EXPECT_EQ(ParameterChanges({.wish = wish, .has = {}, .baseline = {}}),
            "SELECT pg_catalog.set_config('search_path', 'a,B,,', false);");
  EXPECT_EQ(ParameterChanges({.wish = {}, .has = wish, .baseline = baseline}),
            "SELECT pg_catalog.set_config('search_path', 'public', false);");
}

TEST(ForgetUnreported, MakesTheNextClientSetItsWishAgain) {
  const ParameterSet baseline = Set({{"TimeZone", "UTC"}});
  ParameterSet has = Set({{"TimeZone", "UTC"}, {"statement_timeout", "5s"}});
  ForgetUnreported(baseline, has);
  const ParameterSet wish = Set({{"statement_timeout", "5s"}});
  EXPECT_EQ(ParameterChanges({.wish = wish, .has = has, .baseline = baseline}),
            "SET \"statement_timeout\" TO '5s';");
  EXPECT_EQ(ParameterChanges({.wish = {}, .has = has, .baseline = baseline}),
            "RESET \"statement_timeout\";");
  ApplyChanges({}, baseline, has);
  EXPECT_EQ(has, baseline);
}

}  // namespace
}  // namespace trireme
