// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/results.h"

#include <gtest/gtest.h>

namespace trireme::bench {
namespace {

TEST(JainIndex, IsOneWhenAllAreAlike) {
  EXPECT_DOUBLE_EQ(JainIndex({5, 5, 5, 5}), 1);
  EXPECT_DOUBLE_EQ(JainIndex({}), 1);
  EXPECT_DOUBLE_EQ(JainIndex({0, 0}), 1);
}

TEST(JainIndex, IsTheShareOfThoseWhoHaveAnything) {
  EXPECT_DOUBLE_EQ(JainIndex({8, 0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(JainIndex({4, 4, 0, 0}), 0.5);
}

TEST(LoadTotals, AddAndSinceAreOpposites) {
  const LoadTotals one{1, 2, 3, 4, 5, 6, 7};
  LoadTotals sum = one;
  sum.Add({10, 20, 30, 40, 50, 60, 70});
  const LoadTotals difference = sum.Since(one);
  EXPECT_EQ(difference.connections, 10u);
  EXPECT_EQ(difference.transactions, 20u);
  EXPECT_EQ(difference.failed, 30u);
  EXPECT_EQ(difference.statements, 40u);
  EXPECT_EQ(difference.rows, 50u);
  EXPECT_EQ(difference.bytes_received, 60u);
  EXPECT_EQ(difference.bytes_sent, 70u);
}

}  // namespace
}  // namespace trireme::bench
