// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/effects_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

constexpr TextHashKey kKey = {1, 2};

std::string Set(int value) { return "SET a.b TO '" + std::to_string(value) + "'"; }

TEST(EffectsCache, AnswersAsTheAnalysisDoes) {
  EffectsCache cache({}, kKey);
  for (const std::string& text :
       {Set(1), std::string("SELECT 1; LISTEN c"), std::string("SELEC"), Set(1)}) {
    EXPECT_EQ(cache.Find(text, {}), AnalyzeStatements(text, {})) << text;
  }
  EXPECT_EQ(cache.count(), 3u);
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(cache.misses(), 3u);
}

TEST(EffectsCache, TellsTheRulesApart) {
  EffectsCache cache({}, kKey);
  const char* text = R"(SET a.b TO 'x\'; LISTEN c; --')";
  EXPECT_EQ(cache.Find(text, {}).effects.size(), 2u);
  EXPECT_EQ(cache.Find(text, {.standard_conforming_strings = false}).effects.size(), 1u);
  EXPECT_EQ(cache.count(), 2u);
}

TEST(EffectsCache, ForgetsTheTextUsedLeastRecently) {
  EffectsCache cache({.texts = 3, .bytes = 1 << 20}, kKey);
  for (const int value : {1, 2, 3, 1, 4}) cache.Find(Set(value), {});
  EXPECT_EQ(cache.count(), 3u);
  EXPECT_EQ(cache.hits(), 1u);
  cache.Find(Set(1), {});
  EXPECT_EQ(cache.hits(), 2u);
  cache.Find(Set(2), {});  // had to go
  EXPECT_EQ(cache.misses(), 5u);
}

TEST(EffectsCache, IsBoundedInBytes) {
  EffectsCache cache({.texts = 1000, .bytes = 10000}, kKey);
  for (int i = 0; i < 100; ++i) {
    cache.Find("SET a.b TO '" + std::string(1000, static_cast<char>('a' + i % 26)) +
                   std::to_string(i) + "'",
               {});
    EXPECT_TRUE(cache.bytes() <= 10000 || cache.count() == 1);
  }
  EXPECT_GT(cache.count(), 2u);
  // One that is larger than all room is answered, alone.
  const SessionEffects& large = cache.Find("SET a.b TO '" + std::string(20000, 'x') + "'", {});
  EXPECT_EQ(large.effects.size(), 1u);
  EXPECT_EQ(cache.count(), 1u);
}

}  // namespace
}  // namespace trireme
