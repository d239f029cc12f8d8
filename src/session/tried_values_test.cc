// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/tried_values.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

constexpr Time kNow = Time{} + 1h;

TEST(TriedValues, AreKnownByPoolNameAndValue) {
  TriedValues tried;
  tried.Note("main", {"TimeZone", "cet"}, {.value = "CET"}, kNow);
  ASSERT_NE(tried.Find("main", {"timezone", "cet"}, kNow), nullptr);
  EXPECT_EQ(tried.Find("main", {"timezone", "cet"}, kNow)->value, "CET");
  EXPECT_EQ(tried.Find("main", {"TimeZone", "CET"}, kNow), nullptr);
  EXPECT_EQ(tried.Find("other", {"TimeZone", "cet"}, kNow), nullptr);
  EXPECT_EQ(tried.Find("main", {"TimeZon", "ecet"}, kNow), nullptr);
}

TEST(TriedValues, GoStale) {
  TriedValues tried;
  tried.Note("main", {"role", "a"}, {.value = "a"}, kNow);
  EXPECT_NE(tried.Find("main", {"role", "a"}, kNow + TriedValues::kFreshFor - 1ns), nullptr);
  EXPECT_EQ(tried.Find("main", {"role", "a"}, kNow + TriedValues::kFreshFor), nullptr);
  tried.Note("main", {"role", "a"}, {.value = "a"}, kNow + 1h);
  EXPECT_NE(tried.Find("main", {"role", "a"}, kNow + 1h), nullptr);
  EXPECT_EQ(tried.count(), 1u);
}

TEST(TriedValues, StayWithinTheirLimit) {
  TriedValues tried;
  const std::string filler(1000, 'x');
  for (int i = 0; i < 5000; ++i) {
    tried.Note("main", {"work_mem", std::to_string(i) + filler}, {.value = filler}, kNow);
  }
  EXPECT_LT(tried.count(), TriedValues::kBytesMax / filler.size());
  EXPECT_GT(tried.count(), 0u);
}

}  // namespace
}  // namespace trireme
