// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

namespace trireme::bench {
namespace {

TEST(ParseDuration, KnowsItsUnits) {
  EXPECT_EQ(*ParseDuration("0"), 0ns);
  EXPECT_EQ(*ParseDuration("7ns"), 7ns);
  EXPECT_EQ(*ParseDuration("250us"), 250us);
  EXPECT_EQ(*ParseDuration("1.5s"), 1500ms);
  EXPECT_EQ(*ParseDuration("2min"), 2min);
  EXPECT_EQ(*ParseDuration("1h"), 1h);
}

TEST(ParseDuration, RefusesWhatItCannotMean) {
  for (const char* text : {"", "5", "ms", "-1ms", "1.2.3s", "9999999999h", "5 parsecs", "nans"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Draw, RefusesWhatItCannotMean) {
  for (const char* text : {"exp", "exp:", "exp:1", "exp:1ms,2ms", "uniform:1ms", "lognormal:1ms",
                           "bimodal:1ms,2ms", "bimodal:1ms,2ms,1.5", "pareto:1ms", "5"}) {
    const Result<Draw> draw = Draw::Parse(text);
    EXPECT_FALSE(draw.ok()) << text;
    EXPECT_NE(draw.status().message().find('"'), absl::string_view::npos) << text;
  }
}

TEST(Draw, HasTheMeanThatItSays) {
  for (const char* text :
       {"5ms", "exp:5ms", "uniform:1ms,9ms", "lognormal:5ms,0.5", "bimodal:1ms,50ms,0.05"}) {
    const Result<Draw> draw = Draw::Parse(text);
    ASSERT_TRUE(draw.ok()) << text;
    Random random(11);
    double sum = 0;
    constexpr int kCount = 100'000;
    for (int i = 0; i < kCount; ++i) sum += static_cast<double>(draw->Next(random).count());
    EXPECT_NEAR(sum / kCount / draw->MeanNs(), 1, 0.02) << text;
  }
}

TEST(Draw, OnlyNothingIsZero) {
  EXPECT_TRUE(Draw().is_zero());
  EXPECT_TRUE(Draw::Parse("0")->is_zero());
  EXPECT_FALSE(Draw::Parse("exp:1us")->is_zero());
}

TEST(Zipf, RanksHaveTheirProbabilities) {
  for (const double exponent : {0.0, 0.5, 1.0, 1.2, 2.0}) {
    constexpr uint64_t kCount = 100;
    constexpr int kDraws = 200'000;
    const Zipf zipf(kCount, exponent);
    Random random(5);
    std::vector<int> drawn(kCount);
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t rank = zipf.Next(random);
      ASSERT_LT(rank, kCount);
      ++drawn[rank];
    }
    double total = 0;
    for (uint64_t k = 1; k <= kCount; ++k) total += std::pow(static_cast<double>(k), -exponent);
    for (const uint64_t k : {1u, 2u, 3u, 10u, 50u, 100u}) {
      const double wanted = kDraws * std::pow(static_cast<double>(k), -exponent) / total;
      EXPECT_NEAR(drawn[k - 1], wanted, 5 * std::sqrt(wanted) + 1) << exponent << " rank " << k;
    }
  }
}

TEST(Zipf, OneRankIsAlwaysThatRank) {
  const Zipf zipf(1, 1.0);
  Random random(1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(zipf.Next(random), 0u);
}

TEST(Arrivals, ArePoissonAtTheirRate) {
  Arrivals arrivals(1000, {}, Time{});
  Random random(3);
  constexpr int kCount = 100'000;
  Time last{};
  double sum = 0, squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const Time at = arrivals.Next(random);
    const double gap = static_cast<double>((at - last).count()) * 1e-9;
    ASSERT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
    last = at;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 1e-3, 2e-5);
  // Exponential gaps: the deviation is the mean.
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean) / mean, 1, 0.03);
}

TEST(Arrivals, ABurstHasItsShareOfThem) {
  const Arrivals::Burst burst{.factor = 10, .length = 100ms, .period = 1s};
  Arrivals arrivals(100, burst, Time{});
  Random random(4);
  int inside = 0, outside = 0;
  for (Time at = arrivals.Next(random); at < Time{} + 100s; at = arrivals.Next(random)) {
    ++(at.time_since_epoch() % 1s < 100ms ? inside : outside);
  }
  EXPECT_NEAR(inside, 10'000, 400);
  EXPECT_NEAR(outside, 9'000, 400);
}

TEST(Arrivals, TheSameSeedRepeats) {
  Arrivals one(500, {}, Time{}), other(500, {}, Time{});
  Random first(9), second(9);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one.Next(first), other.Next(second));
}

}  // namespace
}  // namespace trireme::bench
