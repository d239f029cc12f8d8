// SPDX-License-Identifier: GPL-3.0-or-later
//
// What it costs to know what a text does to its session: the look each query gets, the lexer behind
// it, the whole analysis, and the cache before it.
#include <benchmark/benchmark.h>

#include <string>

#include "sql/effects_cache.h"
#include "sql/first_word.h"
#include "sql/statement_effects.h"

namespace trireme {
namespace {

constexpr std::string_view kPoint = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
constexpr std::string_view kJoin =
    "SELECT c.id, c.email, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id "
    "WHERE "
    "o.created_at > now() - interval '30 days' AND c.city IN ($1, $2, $3) GROUP BY c.id, c.email "
    "ORDER BY 3 DESC LIMIT 20";
// Suspicious bytes in a constant: the lexer clears it.
constexpr std::string_view kSemicolon =
    "INSERT INTO notes (id, body) VALUES (42, 'first; second; a template of set_config')";
constexpr std::string_view kSet = "SET search_path TO app, public";
constexpr std::string_view kTemp = "CREATE TEMP TABLE t (a int primary key, b text) ON COMMIT DROP";
constexpr std::string_view kLock = "SELECT pg_try_advisory_lock(42)";

void Judge(benchmark::State& state, std::string_view text) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(text);
    benchmark::DoNotOptimize(JudgeText(text, {}));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}
BENCHMARK_CAPTURE(Judge, point_query, kPoint);
BENCHMARK_CAPTURE(Judge, join, kJoin);
BENCHMARK_CAPTURE(Judge, begin, "BEGIN");
BENCHMARK_CAPTURE(Judge, semicolon_in_constant, kSemicolon);

void JudgeLargeInsert(benchmark::State& state) {
  std::string text = "INSERT INTO measurements VALUES (1, 2.5, 'some text')";
  while (text.size() < 100000) text += ", (1, 2.5, 'some text')";
  Judge(state, text);
}
BENCHMARK(JudgeLargeInsert);

void Analyze(benchmark::State& state, std::string_view text) {
  for (auto _ : state) benchmark::DoNotOptimize(AnalyzeStatements(text, {}));
}
BENCHMARK_CAPTURE(Analyze, set, kSet);
BENCHMARK_CAPTURE(Analyze, temp_table, kTemp);
BENCHMARK_CAPTURE(Analyze, lock, kLock);

// The most that one statement can cost: as large and as deep as the parser is given.
void AnalyzeWorst(benchmark::State& state, std::string_view unit) {
  std::string text = "SELECT pg_advisory_lock(1), 1";
  const size_t units = static_cast<size_t>(state.range(0));
  for (size_t i = 0; i < units && text.size() + unit.size() <= kParsedBytesMax; ++i) text += unit;
  for (auto _ : state) benchmark::DoNotOptimize(AnalyzeStatements(text, {}));
}
BENCHMARK_CAPTURE(AnalyzeWorst, wide, ",1")->Arg(100000);
BENCHMARK_CAPTURE(AnalyzeWorst, deep, "+1")->Arg(490);
BENCHMARK_CAPTURE(AnalyzeWorst, casts, "::int")->Arg(160);

void CacheHit(benchmark::State& state, std::string_view text) {
  EffectsCache cache({}, {1, 2});
  for (auto _ : state) benchmark::DoNotOptimize(&cache.Find(text, {}));
}
BENCHMARK_CAPTURE(CacheHit, set, kSet);
BENCHMARK_CAPTURE(CacheHit, join, kJoin);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
