// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/histogram.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace trireme {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.Percentile(0.5), 0ns);
  EXPECT_EQ(histogram.Mean(), 0ns);
  EXPECT_EQ(histogram.CountAtMost(1h), 0u);
}

TEST(Histogram, IsExactForOneValueAndForSmallOnes) {
  for (const Duration value : {0ns, 1ns, 15ns, 16ns, 999ns, Duration(1234567ns), Duration(1h)}) {
    Histogram histogram;
    histogram.Record(value);
    for (const double fraction : {0.0, 0.5, 0.99, 1.0}) {
      EXPECT_EQ(histogram.Percentile(fraction), value) << value.count();
    }
    EXPECT_EQ(histogram.sum(), value);
    EXPECT_EQ(histogram.max(), value);
  }
}

TEST(Histogram, PercentilesAreWithinOneSixteenth) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.Record(Duration(i * 1000));
  for (const double fraction : {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = fraction * 100'000'000;
    const double got = static_cast<double>(histogram.Percentile(fraction).count());
    EXPECT_GE(got, exact) << fraction;
    EXPECT_LE(got, exact * 17 / 16) << fraction;
  }
  EXPECT_EQ(histogram.Percentile(1.0), 100ms);
  EXPECT_EQ(histogram.Mean(), 50'000'500ns);
}

TEST(Histogram, TakesAbsurdValues) {
  Histogram histogram;
  histogram.Record(-5ns);
  histogram.Record(Duration::max());
  EXPECT_EQ(histogram.Percentile(0.5), 0ns);
  EXPECT_EQ(histogram.Percentile(1.0), Duration::max());
  EXPECT_EQ(histogram.max(), Duration::max());
}

TEST(Histogram, MergedEqualsRecordedTogether) {
  Random random(3);
  Histogram one, two, all;
  for (int i = 0; i < 10'000; ++i) {
    const Duration value(random.Below(uint64_t{1} << random.Below(44)));
    (i % 3 == 0 ? one : two).Record(value);
    all.Record(value);
  }
  one.Merge(two);
  EXPECT_EQ(one.count(), all.count());
  EXPECT_EQ(one.sum(), all.sum());
  for (double fraction = 0; fraction <= 1; fraction += 0.01) {
    EXPECT_EQ(one.Percentile(fraction), all.Percentile(fraction)) << fraction;
  }
}

TEST(Histogram, CountsCumulatively) {
  Histogram histogram;
  for (const Duration value : {1us, 10us, 100us, 1000us}) histogram.Record(value);
  EXPECT_EQ(histogram.CountAtMost(0ns), 0u);
  EXPECT_EQ(histogram.CountAtMost(2us), 1u);
  EXPECT_EQ(histogram.CountAtMost(500us), 3u);
  EXPECT_EQ(histogram.CountAtMost(1ms), 4u);
  EXPECT_EQ(histogram.CountAtMost(2h), 4u);
}

}  // namespace
}  // namespace trireme
