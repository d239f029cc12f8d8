// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/focus.h"

#include "base/assert.h"
#include "test/sim/world_plan.h"

namespace trireme::sim {
namespace {

// Longer than the oracle lets anybody wait in vain in such a world (Oracles::LongestWaitInVain).
constexpr Duration kBeat = 60ms;
// Longer than a pooler takes to end (World::End), whatever it waits for.
constexpr Duration kForEver = 150s;

struct Size {
  uint32_t cores;
  uint32_t servers;
  uint32_t clients;
};

Size SizeOf(Focus focus) {
  switch (focus) {
    case Focus::kNone:
      break;
    case Focus::kDuel:
      return {.cores = 2, .servers = 1, .clients = 2};
    case Focus::kRivals:
      return {.cores = 3, .servers = 2, .clients = 3};
    case Focus::kDyingOnTheWay:
      return {.cores = 2, .servers = 1, .clients = 2};
    case Focus::kLeavers:
      return {.cores = 3, .servers = 2, .clients = 8};
    case Focus::kAbandoners:
      return {.cores = 2, .servers = 1, .clients = 4};
    case Focus::kNeverReaders:
      return {.cores = 2, .servers = 10, .clients = 6};
    case Focus::kBrokenPromise:
      return {.cores = 3, .servers = 1, .clients = 3};
  }
  TRIREME_UNREACHABLE();
}

// One Query, soon answered.
ClientHabits Brief() {
  return {.simple_weight = 1,
          .extended_weight = 0,
          .pipeline_weight = 0,
          .block_weight = 0,
          .copy_in_weight = 0,
          .copy_out_weight = 0,
          .portal_weight = 0,
          .set_weight = 0,
          .function_call_weight = 0,
          .session_weight = 0,
          .big_permille = 0,
          .error_permille = 0,
          .sleep_permille = 0,
          .wishes_permille = 0};
}

// Together at a beat, within about the time a transaction takes; then nothing wakes anybody.
ClientHabits Together(Dice& dice) {
  ClientHabits habits = Brief();
  habits.beat = kBeat;
  habits.pause = {0us, dice.Of<Duration>({200us, 400us, 800us})};
  habits.transactions_per_login_max = UINT32_MAX;
  return habits;
}

ClientHabits Leaver(Dice& dice) {
  ClientHabits habits = Brief();
  habits.pause = {0us, dice.Of<Duration>({200us, 2ms})};
  habits.reconnect = {0us, 3ms};
  habits.vanish_permille = dice.Of({0u, 100u, 300u});
  habits.cancel_permille = dice.Of({0u, 100u, 300u});
  return habits;
}

ClientHabits Abandoner() {
  ClientHabits habits;
  habits.block_weight = 100;
  habits.think = {0us, 1ms};
  habits.pause = {0us, 1ms};
  habits.reconnect = {0us, 3ms};
  habits.vanish_permille = 300;
  return habits;
}

ClientHabits NeverReader() {
  ClientHabits habits;
  habits.deaf_permille = 100;
  habits.deaf = {kForEver, 2 * kForEver};
  return habits;
}

bool ServersDie(Focus focus) {
  return focus == Focus::kDyingOnTheWay || focus == Focus::kBrokenPromise;
}

bool BeginTogether(Focus focus) {
  return focus == Focus::kDuel || focus == Focus::kRivals || ServersDie(focus);
}

ClientHabits HabitsOf(Focus focus, Dice& dice) {
  if (BeginTogether(focus)) return Together(dice);
  if (focus == Focus::kLeavers) return Leaver(dice);
  return focus == Focus::kAbandoners ? Abandoner() : NeverReader();
}

}  // namespace

Focus FocusOf(uint64_t seed) {
  if (seed % kFocusEvery != kFocusEvery - 1) return Focus::kNone;
  return static_cast<Focus>(1 + seed / kFocusEvery % kFocusCount);
}

std::string_view FocusName(Focus focus) {
  switch (focus) {
    case Focus::kNone:
      return "anything";
    case Focus::kDuel:
      return "duel";
    case Focus::kRivals:
      return "rivals";
    case Focus::kDyingOnTheWay:
      return "dying on the way";
    case Focus::kLeavers:
      return "leavers";
    case Focus::kAbandoners:
      return "abandoners";
    case Focus::kNeverReaders:
      return "never readers";
    case Focus::kBrokenPromise:
      return "broken promise";
  }
  TRIREME_UNREACHABLE();
}

// One pool, no timer that would wake a core, no fault but that cores run at any time.
void FocusPooler(Focus focus, Dice& dice, WorldPlan& plan) {
  const Size size = SizeOf(focus);
  plan.core_count = size.cores;
  Config& config = plan.config;
  config.cores.count = size.cores;
  config.cores.spin = 0us;
  config.sharing.policy = focus == Focus::kBrokenPromise ? Sharing::kSharedMutex : Sharing::kSteal;
  config.sharing.placement = Placement::kLeastLoaded;
  config.listeners.resize(1);
  config.listeners[0].backlog = 4096;
  config.users = {{.name = config.users[0].name, .secret = config.users[0].secret}};
  config.storages = {{.name = config.storages[0].name, .hosts = config.storages[0].hosts}};
  config.storages[0].connect_backoff_min = 1ms;
  config.shared_pools.clear();
  RouteConfig route;
  route.database = "base0";
  route.storage_user = config.users[0].name;
  route.pool = {.size = size.servers,
                .idle_timeout = 0s,
                .server_lifetime = 0s,
                .wait_timeout = 0s,
                .wait_notify = 0s};
  config.routes = {route};
  config.limits.clients_max = 10000;
  config.limits.buffers_max = 256;
  config.timeouts.client_idle = 0s;
  plan.faults = {};
  plan.faults[Fault::kPreempt] = 700'000;
  plan.faults.preempt_max = dice.Of<Duration>({500us, 1ms, 2ms});
  PoolConfig& pool = config.routes[0].pool;
  if (ServersDie(focus)) {
    plan.faults[Fault::kLateCompletion] = 500'000;
  } else if (focus == Focus::kLeavers) {
    pool.wait_timeout = dice.Of<Duration>({1ms, 3ms});
    plan.faults[Fault::kLateCompletion] = 300'000;
    plan.faults.late_max = 2ms;
  } else if (focus == Focus::kAbandoners) {
    pool.reset_query.clear();
  } else if (focus == Focus::kNeverReaders) {
    plan.faults.capacity_min = plan.faults.capacity_max = 2048;
    config.limits.backlog_bytes_max = dice.Of({4096u, 65536u});
    pool.transaction_timeout = dice.Of<Duration>({20ms, 50ms});
  }
}

uint32_t DrawFocusedClientCount(Focus focus, Dice& dice) {
  return SizeOf(focus).clients + (dice.Once(4) ? 1 : 0);
}

void FocusParties(Focus focus, Dice& dice, WorldPlan& plan) {
  PostgresHabits& postgres = plan.clusters[0].habits;
  postgres = PostgresHabits::Calm();
  plan.clusters[0].settings.connections_max = 200;
  const bool together = BeginTogether(focus);
  if (together) postgres.service_time = {50us, dice.Of<Duration>({200us, 400us})};
  if (focus == Focus::kLeavers) postgres.service_time = {50us, 1ms};
  if (ServersDie(focus)) {
    postgres.die_resting_permille = 400;
    postgres.die_resting = {0us, 300us};
  }
  for (WorldPlan::ClientPlan& client : plan.clients) client.habits = HabitsOf(focus, dice);
  plan.faults_time = together ? 100 * kBeat : 200ms;
  plan.healthy_time = 50ms;
  // At the second signal nobody is waited for.
  const bool at_once = plan.end == WorldPlan::End::kAtOnce;
  if (focus == Focus::kNeverReaders && at_once) plan.end = WorldPlan::End::kUnderFaults;
}

}  // namespace trireme::sim
