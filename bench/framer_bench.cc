// SPDX-License-Identifier: GPL-3.0-or-later
//
// What it costs to find where a server's messages end and whose they are: Replies over whole
// answers. No I/O.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "wire/replies.h"

namespace trireme {
namespace {

std::string Message(char type, std::string_view body) {
  std::string text(kHeadBytes, type);
  StoreBig32(reinterpret_cast<std::byte*>(text.data() + 1), static_cast<uint32_t>(body.size()) + 4);
  return text.append(body);
}

// RowDescription, `rows` DataRows of `row_bytes`, CommandComplete, ReadyForQuery.
std::string QueryReply(int rows, size_t row_bytes) {
  std::string reply = Message('T', std::string(33, 'x'));
  for (int i = 0; i < rows; ++i) reply += Message('D', std::string(row_bytes, 'r'));
  return reply + Message('C', std::string("SELECT 1", 9)) + Message('Z', "I");
}

std::string ExtendedReply(int times) {
  const std::string one = Message('1', "") + Message('2', "") + Message('T', std::string(33, 'x')) +
                          Message('D', std::string(10, 'r')) +
                          Message('C', std::string("SELECT 1", 9)) + Message('Z', "I");
  std::string reply;
  for (int i = 0; i < times; ++i) reply += one;
  return reply;
}

// Walks all of it, as the relay does; the steps taken.
uint32_t Walk(Replies& replies, Bytes bytes) {
  uint32_t steps = 0;
  while (!bytes.empty()) {
    const ReplyStep step = replies.Next(bytes);
    benchmark::DoNotOptimize(step.forward);
    bytes = bytes.subspan(step.size);
    ++steps;
  }
  return steps;
}

void Report(benchmark::State& state, size_t bytes, int messages) {
  const auto rounds = static_cast<int64_t>(state.iterations());
  state.SetBytesProcessed(rounds * static_cast<int64_t>(bytes));
  state.SetItemsProcessed(rounds * messages);
}

// The answer to pgbench's SELECT: four messages.
void SimpleReply(benchmark::State& state) {
  const std::string reply = QueryReply(1, 10);
  Replies replies;
  for (auto _ : state) {
    replies.Expect(Request::kQuery, Disposition::kForward);
    benchmark::DoNotOptimize(Walk(replies, AsBytes(reply)));
  }
  Report(state, reply.size(), 4);
}
BENCHMARK(SimpleReply);

// One row is one item; the heads are all that is looked at.
void ManyRows(benchmark::State& state) {
  const std::string reply = QueryReply(1000, 100);
  Replies replies;
  for (auto _ : state) {
    replies.Expect(Request::kQuery, Disposition::kForward);
    benchmark::DoNotOptimize(Walk(replies, AsBytes(reply)));
  }
  Report(state, reply.size(), 1003);
}
BENCHMARK(ManyRows);

// The same rows as they come: in receive buffers, whose ends split messages.
void ManyRowsInBuffers(benchmark::State& state) {
  constexpr size_t kBuffer = 16384;
  const std::string reply = QueryReply(1000, 100);
  Replies replies;
  for (auto _ : state) {
    replies.Expect(Request::kQuery, Disposition::kForward);
    size_t at = 0;
    while (at < reply.size()) {
      const size_t size = std::min(kBuffer, reply.size() - at);
      const ReplyStep step = replies.Next(AsBytes(std::string_view(reply).substr(at, size)));
      // A split head is read again at the front of the next buffer.
      at += step.size;
    }
  }
  Report(state, reply.size(), 1003);
}
BENCHMARK(ManyRowsInBuffers);

// Parse, Bind, Describe, Execute, Sync: many times in one go.
void ExtendedPipeline(benchmark::State& state) {
  const int times = static_cast<int>(state.range(0));
  const std::string reply = ExtendedReply(times);
  Replies replies;
  for (auto _ : state) {
    for (int i = 0; i < times; ++i) {
      for (Request request : {Request::kParse, Request::kBind, Request::kDescribe,
                              Request::kExecute, Request::kSync}) {
        replies.Expect(request, Disposition::kForward);
      }
    }
    benchmark::DoNotOptimize(Walk(replies, AsBytes(reply)));
  }
  Report(state, reply.size(), times * 6);
}
BENCHMARK(ExtendedPipeline)->ArgName("times")->Arg(1)->Arg(20);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
