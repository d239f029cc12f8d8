// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/latency.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace trireme::bench {
namespace {

TEST(Latency, SaysNothingOfNothing) {
  const Latency latency;
  EXPECT_EQ(latency.count(), 0u);
  EXPECT_EQ(latency.Percentile(0.99), 0u);
  EXPECT_EQ(latency.min(), 0u);
  EXPECT_EQ(latency.Mean(), 0);
}

TEST(Latency, PercentilesAreWithinOnePercentAtAnyMagnitude) {
  for (const int64_t unit : {int64_t{1}, int64_t{1000}, int64_t{1'000'000}, int64_t{100'000'000}}) {
    Latency latency;
    for (int64_t i = 1; i <= 10'000; ++i) latency.Record(Duration(i * unit));
    for (const double fraction : {0.5, 0.9, 0.99, 0.999, 0.9999}) {
      const double exact = fraction * 10'000 * static_cast<double>(unit);
      const double found = static_cast<double>(latency.Percentile(fraction));
      EXPECT_GE(found, exact) << fraction << " of " << unit;
      EXPECT_LE(found, exact * 1.008) << fraction << " of " << unit;
    }
    EXPECT_EQ(latency.max(), static_cast<uint64_t>(10'000 * unit));
    EXPECT_EQ(latency.min(), static_cast<uint64_t>(unit));
  }
}

TEST(Latency, MergingIsTheSameAsRecordingTogether) {
  Random random(7);
  Latency one, other, both;
  for (int i = 0; i < 5000; ++i) {
    const Duration value(static_cast<int64_t>(random.Below(uint64_t{1} << (i % 40))));
    (i % 3 == 0 ? one : other).Record(value);
    both.Record(value);
  }
  one.Merge(other);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.Mean(), both.Mean());
  EXPECT_EQ(one.max(), both.max());
  EXPECT_EQ(one.min(), both.min());
  for (const double fraction : {0.0, 0.1, 0.5, 0.99, 0.9999, 1.0}) {
    EXPECT_EQ(one.Percentile(fraction), both.Percentile(fraction)) << fraction;
  }
}

TEST(Latency, BucketsRiseAndAddUpToTheCount) {
  Latency latency;
  for (int64_t i = 0; i < 1000; ++i) latency.Record(Duration(i * i * 1000));
  latency.Record(Duration(int64_t{1} << 50));  // beyond the last bucket
  uint64_t count = 0, last = 0;
  bool rising = true;
  latency.ForEachBucket([&](uint64_t upper, uint64_t in_bucket) {
    rising = rising && (count == 0 || upper > last);
    last = upper;
    count += in_bucket;
  });
  EXPECT_TRUE(rising);
  EXPECT_EQ(count, 1001u);
  EXPECT_EQ(last, uint64_t{1} << 50);
}

TEST(Latency, ANegativeDurationCountsAsZero) {
  Latency latency;
  latency.Record(Duration(-5));
  EXPECT_EQ(latency.Percentile(1), 0u);
  EXPECT_EQ(latency.count(), 1u);
}

}  // namespace
}  // namespace trireme::bench
