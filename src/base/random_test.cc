// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/random.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Random, RepeatsTheReferenceSequence) {
  struct Case {
    uint64_t seed;
    uint64_t expected[4];
  };
  // splitmix64 seeding and xoshiro256++, computed apart from this code.
  const Case cases[] = {
      {0, {0x53175d61490b23dfu, 0x61da6f3dc380d507u, 0x5c0fdf91ec9a7bfcu, 0x2eebf8c3bbe5e1au}},
      {42, {0xd0764d4f4476689fu, 0x519e4174576f3791u, 0xfbe07cfb0c24ed8cu, 0xb37d9f600cd835b8u}},
  };
  for (const Case& c : cases) {
    Random random(c.seed);
    for (const uint64_t expected : c.expected) EXPECT_EQ(random.Next(), expected) << c.seed;
  }
}

TEST(Random, BelowStaysBelowAndReachesEveryValue) {
  Random random(7);
  int seen[10] = {};
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t value = random.Below(10);
    ASSERT_LT(value, 10u);
    ++seen[value];
  }
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
  EXPECT_EQ(random.Below(1), 0u);
}

}  // namespace
}  // namespace trireme
