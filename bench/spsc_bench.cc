// SPDX-License-Identifier: GPL-3.0-or-later
//
// What cores pay for a letter: the queue alone on one thread (no cache line moves), there and back
// between two threads (each letter moves lines between caches), and what is said around it.
#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>

#include "base/spsc.h"
#include "shard/post_office.h"

namespace trireme {
namespace {

Mail Letter() { return Mail{.kind = Mail::Kind::kPlace, .place = {.fd = 7, .listener_index = 0}}; }

void PushAndPopOnOneThread(benchmark::State& state) {
  const auto batch = static_cast<int>(state.range(0));
  SpscQueue<Mail> queue(1024);
  const Mail letter = Letter();
  Mail read;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(queue.TryPush(letter));
    for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(queue.TryPop(&read));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * batch);
}
BENCHMARK(PushAndPopOnOneThread)->ArgName("batch")->Arg(1)->Arg(64);

// Both sides poll and, finding nothing, yield: else two threads on one CPU would wait out each
// other's time slice.
void RoundTripBetweenThreads(benchmark::State& state) {
  SpscQueue<Mail> there(1024), back(1024);
  std::atomic<bool> done{false};
  std::thread echo([&] {
    Mail letter;
    while (!done.load(std::memory_order_relaxed)) {
      if (there.TryPop(&letter)) {
        while (!back.TryPush(letter)) std::this_thread::yield();
      } else {
        std::this_thread::yield();
      }
    }
  });
  const Mail letter = Letter();
  Mail read;
  for (auto _ : state) {
    while (!there.TryPush(letter)) std::this_thread::yield();
    while (!back.TryPop(&read)) std::this_thread::yield();
  }
  done.store(true, std::memory_order_relaxed);
  echo.join();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(RoundTripBetweenThreads)->UseRealTime();

// To a core that is awake: a bit set and a fence, once for each batch.
void Announce(benchmark::State& state) {
  PostOffice office(static_cast<uint32_t>(state.range(0)), 64);
  for (auto _ : state) benchmark::DoNotOptimize(office.Announce(0, 1));
}
BENCHMARK(Announce)->ArgName("cores")->Arg(2)->Arg(64);

// All of it but the wake-up: push, announce, take, pop, and the look before sleep.
void PostAndCollect(benchmark::State& state) {
  PostOffice office(static_cast<uint32_t>(state.range(0)), 64);
  const Mail letter = Letter();
  Mail read;
  PostOffice::Senders senders;
  for (auto _ : state) {
    benchmark::DoNotOptimize(office.TryPush(0, 1, letter));
    benchmark::DoNotOptimize(office.Announce(0, 1));
    benchmark::DoNotOptimize(office.TakePending(1, &senders));
    benchmark::DoNotOptimize(office.TryPop(0, 1, &read));
    if (office.BeginSleep(1)) office.EndSleep(1);
  }
}
BENCHMARK(PostAndCollect)->ArgName("cores")->Arg(2)->Arg(64);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
