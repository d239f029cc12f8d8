// SPDX-License-Identifier: GPL-3.0-or-later
//
// Several cores analyze at once, among them threads that begin and end meanwhile: the parser keeps
// its memory per thread, and an error inside it is a longjmp.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "sql/effects_cache.h"
#include "sql/statement_effects.h"

namespace trireme {
namespace {

constexpr const char* kTexts[] = {
    "SET search_path TO a, b",
    "SELECT set_config('a.b', 'c', false) FROM t WHERE x = 1",
    "SET a TO",
    "BEGIN; SELECT pg_advisory_lock(1); CREATE TEMP TABLE t (a int) ON COMMIT DROP; COMMIT",
    "LISTEN 'no channel'",
    "PREPARE p (int) AS SELECT $1",
};

TEST(AnalysisThreads, AnswerEachAsIfAlone) {
  std::vector<SessionEffects> expected;
  for (const char* text : kTexts) expected.push_back(AnalyzeStatements(text, {}));
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&count, &expected] {
        EffectsCache cache({.texts = 2, .bytes = 1 << 20}, {1, 2});
        for (int i = 0; i < 60; ++i) {
          const size_t at = static_cast<size_t>(i) % std::size(kTexts);
          count += AnalyzeStatements(kTexts[at], {}) == expected[at] ? 0 : 1;
          count += cache.Find(kTexts[at], {}) == expected[at] ? 0 : 1;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(4, 0));
  }
}

}  // namespace
}  // namespace trireme
