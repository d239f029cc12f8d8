// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/parameter_set.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(ParameterSet, ComparesNamesWithoutCaseAndValuesExactly) {
  ParameterSet a;
  ParameterSet b;
  a.Set("TimeZone", "UTC");
  b.Set("timezone", "UTC");
  EXPECT_EQ(a, b);
  b.Set("TIMEZONE", "utc");
  EXPECT_FALSE(a == b);
  EXPECT_NE(a.hash(), b.hash());
  EXPECT_EQ(*b.Find("TimeZone"), "utc");
}

TEST(ParameterSet, HashDependsOnContentNotOnHistory) {
  ParameterSet a;
  a.Set("x", "1");
  a.Set("y", "2");
  a.Set("z", "3");
  a.Remove("y");
  a.Set("x", "4");
  ParameterSet b;
  b.Set("z", "3");
  b.Set("x", "4");
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.hash(), b.hash());
  a.Remove("x");
  a.Remove("z");
  EXPECT_EQ(a.hash(), ParameterSet().hash());
}

TEST(ParameterSet, TellsWhetherSetChangedAnything) {
  ParameterSet set;
  EXPECT_TRUE(set.Set("a", "1"));
  EXPECT_FALSE(set.Set("A", "1"));
  EXPECT_FALSE(set.Remove("b"));
  EXPECT_EQ(set.Find("b"), nullptr);
  // Name and value cannot run into each other.
  ParameterSet other;
  other.Set("a1", "");
  EXPECT_NE(set.hash(), other.hash());
}

}  // namespace
}  // namespace trireme
