// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the decisions of a pool cost, without any I/O: checkout and return on one core, the same
// with a turn each, and a steal from asking to being served.
#include <benchmark/benchmark.h>

#include "pool/fake_fleet.h"

namespace trireme {
namespace {

FakeFleet::Options WithCores(uint32_t cores) {
  FakeFleet::Options options{.cores = cores};
  options.settings.pool.size = 1;
  return options;
}

// A pool whose one server is idle on core 0.
void Warm(FakeFleet& fleet, FakeClient& client) {
  fleet.pool(0).Checkout(client, client);
  fleet.Settle();
  fleet.pool(0).Return(*client.server);
  fleet.Settle();
}

void CheckoutAndReturn(benchmark::State& state) {
  FakeFleet fleet(WithCores(static_cast<uint32_t>(state.range(0))));
  FakeClient client;
  Warm(fleet, client);
  for (auto _ : state) {
    fleet.pool(0).Checkout(client, client);
    fleet.pool(0).Return(*client.server);
  }
}
BENCHMARK(CheckoutAndReturn)->ArgName("cores")->Arg(1)->Arg(8)->Arg(64);

// As a light load has it: lent at the end of one turn, idle at the end of the next.
void CheckoutTurnReturnTurn(benchmark::State& state) {
  FakeFleet fleet(WithCores(static_cast<uint32_t>(state.range(0))));
  FakeClient client;
  Warm(fleet, client);
  for (auto _ : state) {
    fleet.pool(0).Checkout(client, client);
    fleet.core(0).Turn();
    fleet.pool(0).Return(*client.server);
    fleet.core(0).Turn();
  }
}
BENCHMARK(CheckoutTurnReturnTurn)->ArgName("cores")->Arg(1)->Arg(8)->Arg(64);

// A saturated pool: every return serves the oldest waiter.
void ReturnToWaiter(benchmark::State& state) {
  FakeFleet fleet(WithCores(static_cast<uint32_t>(state.range(0))));
  FakeClient clients[2];
  Warm(fleet, clients[0]);
  fleet.pool(0).Checkout(clients[0], clients[0]);
  uint32_t holder = 0;
  for (auto _ : state) {
    FakeClient& next = clients[1 - holder];
    fleet.pool(0).Checkout(next, next);
    fleet.pool(0).Return(*clients[holder].server);
    fleet.core(0).Turn();
    holder = 1 - holder;
  }
  fleet.pool(0).Return(*clients[holder].server);
  fleet.core(0).Turn();
}
BENCHMARK(ReturnToWaiter)->ArgName("cores")->Arg(1)->Arg(8)->Arg(64);

// Two cores take the one server from each other: ask, answer, hand over, serve, return. Includes
// the fake mail and the heap of the fake servers.
void StealRoundTrip(benchmark::State& state) {
  FakeFleet fleet(WithCores(2));
  FakeClient client;
  Warm(fleet, client);
  uint32_t thief = 1;
  for (auto _ : state) {
    fleet.pool(thief).Checkout(client, client);
    fleet.core(thief).Turn();
    fleet.Deliver(thief, 1 - thief);
    fleet.core(1 - thief).Turn();
    fleet.FinishAll(1 - thief);
    fleet.Deliver(1 - thief, thief);
    fleet.core(thief).Turn();
    fleet.pool(thief).Return(*client.server);
    fleet.core(thief).Turn();
    thief = 1 - thief;
  }
}
BENCHMARK(StealRoundTrip);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
