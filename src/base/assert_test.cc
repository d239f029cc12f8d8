// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/assert.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Assert, PassesWhatHoldsAndEvaluatesItOnce) {
  int calls = 0;
  TRIREME_ASSERT(++calls == 1);
  EXPECT_EQ(calls, 1);
}

TEST(AssertDeathTest, AbortsAndSaysWhatAndWhere) {
  const int owned = 1;
  EXPECT_DEATH(TRIREME_ASSERT(owned == 2),
               "assertion failed: owned == 2 at .*assert_test.cc:[0-9]+");
}

TEST(AssertDeathTest, UnreachableAborts) {
  EXPECT_DEATH(TRIREME_UNREACHABLE(), "unreachable at .*assert_test.cc:[0-9]+");
}

}  // namespace
}  // namespace trireme
