// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/world_plan.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "config/load.h"
#include "config/names.h"
#include "test/sim/dice.h"
#include "test/sim/focus.h"

namespace trireme::sim {
namespace {

constexpr char kPassword[] = "secret";
constexpr uint16_t kPort = 6432;
constexpr char kHost[] = "10.0.0.1";
constexpr char kSocketDir[] = "/run/trireme";

uint32_t DrawCores(Dice& dice) {
  const uint32_t d = dice.Between(1, 100);
  if (d <= 6) return 1;
  if (d <= 40) return 2;
  if (d <= 65) return 3;
  if (d <= 83) return 4;
  if (d <= 95) return dice.Between(5, 8);
  if (d <= 99) return dice.Between(9, 24);
  return dice.Between(25, 64);
}

PoolConfig DrawPool(Dice& dice) {
  PoolConfig pool;
  pool.mode = dice.Of({PoolMode::kTransaction, PoolMode::kTransaction, PoolMode::kTransaction,
                       PoolMode::kSession, PoolMode::kStatement});
  pool.size = dice.Of({1u, 1u, 2u, 2u, 2u, 3u, 4u, 10u});
  pool.idle_timeout = dice.Of<Duration>({0s, 5ms, 50ms, 600s, 600s});
  pool.server_lifetime = dice.Of<Duration>({0s, 20ms, 200ms, 3600s, 3600s});
  pool.server_lifetime_jitter = dice.Of<Duration>({0s, 10ms, 360s});
  pool.wait_timeout = dice.Of<Duration>({0s, 20ms, 200ms, 2s, 10s});
  pool.prepared_statements_max = dice.Of({0u, 1u, 2u, 200u, 200u});
  pool.reset_timeout = dice.Of<Duration>({2ms, 30ms, 300ms, 10s});
  // Session mode leaves nothing behind only with DISCARD ALL; elsewhere clients leave nothing that
  // a rollback does not undo.
  if (pool.mode == PoolMode::kSession) {
    pool.reset_query = dice.Of({"DISCARD ALL", "discard all;"});
  } else {
    pool.reset_query = dice.Of({"DISCARD ALL", "", "RESET ALL"});
  }
  pool.min_size = std::min(pool.size, dice.Of({0u, 0u, 1u, 3u}));
  pool.reserve_size = dice.Of({0u, 0u, 1u, 3u});
  pool.reserve_timeout = dice.Of<Duration>({5ms, 100ms});
  pool.wait_notify = dice.Of<Duration>({0s, 5ms, 5s});
  pool.query_timeout = dice.Of<Duration>({0s, 0s, 0s, 10ms, 200ms});
  pool.transaction_timeout = dice.Of<Duration>({0s, 0s, 0s, 30ms, 500ms});
  pool.idle_in_transaction_timeout = dice.Of<Duration>({0s, 0s, 0s, 3ms, 200ms});
  return pool;
}

// Some routes of some worlds share a pool; they agree on what their servers are told at login.
void DrawSharedPool(Dice& dice, Config& config) {
  if (!dice.Once(4)) return;
  config.shared_pools = {{.name = "shared", .pool = DrawPool(dice)}};
  const RouteConfig first = config.routes[0];
  for (RouteConfig& route : config.routes) {
    if (route.storage_index != first.storage_index || dice.Once(4)) continue;
    route.shared_pool = 0;
    route.pool = config.shared_pools[0].pool;
    route.startup_parameters = first.startup_parameters;
  }
}

StorageConfig DrawStorage(Dice& dice, uint32_t index) {
  StorageConfig storage;
  storage.name = "storage" + std::to_string(index);
  storage.hosts = {{.host = "10.0.1." + std::to_string(index + 1), .port = 5432}};
  storage.connections_max = dice.Of({0u, 0u, 1u, 2u, 4u, 8u});
  storage.database_connections_max = dice.Of({0u, 0u, 0u, 1u, 3u});
  storage.connect_timeout = dice.Of<Duration>({20ms, 200ms, 2s});
  storage.connecting_max = dice.Of({1u, 2u, 4u});
  storage.cancels_max = storage.connecting_max;
  storage.connect_backoff_min = dice.Of<Duration>({1ms, 10ms, 100ms});
  storage.connect_backoff_max = storage.connect_backoff_min * dice.Of({1, 5, 20});
  return storage;
}

LimitsConfig DrawLimits(Dice& dice) {
  LimitsConfig limits;
  limits.buffer_bytes = dice.Of({1024u, 2048u, 4096u, 16384u});
  limits.buffers_max = dice.Of({16u, 32u, 64u, 256u, 1024u});
  limits.backlog_bytes_max = dice.Of({4096u, 16384u, 65536u});
  limits.expected_replies_max = dice.Of({16u, 64u, 65536u});
  limits.pools_max = 16;
  limits.mail_slots = dice.Of({1u, 2u, 16u, 1024u});
  limits.clients_max = dice.Once(8) ? dice.Between(2, 10) : 10000;
  return limits;
}

TimeoutsConfig DrawTimeouts(Dice& dice) {
  TimeoutsConfig timeouts;
  timeouts.client_login = dice.Of<Duration>({300ms, 5s, 60s});
  timeouts.client_idle = dice.Of<Duration>({0s, 0s, 0s, 10ms, 1s});
  timeouts.half_close = dice.Of<Duration>({5ms, 100ms, 1s});
  timeouts.cancel = dice.Of<Duration>({20ms, 1s, 10s});
  return timeouts;
}

Sharing DrawSharing(Dice& dice) {
  switch (dice.Between(0, 9)) {
    case 0:
      return Sharing::kIsolated;
    case 1:
      return Sharing::kSharedMutex;
    default:
      return Sharing::kSteal;
  }
}

Config DrawConfig(Dice& dice, uint32_t core_count) {
  Config config;
  config.listeners = {{.host = kHost, .unix_socket_dir = "", .port = kPort}};
  if (dice.Once(3)) {
    config.listeners.push_back({.host = "", .unix_socket_dir = kSocketDir, .port = kPort});
  }
  for (ListenerConfig& listener : config.listeners) listener.backlog = dice.Of({1u, 4u, 4096u});
  config.cores.kind = CoresConfig::Kind::kCount;
  config.cores.count = core_count;
  config.cores.spin = dice.Once(5) ? Duration(20us) : Duration(0);
  config.sharing.policy = DrawSharing(dice);
  config.sharing.victim =
      dice.Of({VictimChoice::kMostIdle, VictimChoice::kNearest, VictimChoice::kRandom});
  config.sharing.fairness_window = dice.Of<Duration>({0s, 50us, 1ms, 1ms, 20ms});
  config.sharing.placement = dice.Of({Placement::kLeastLoaded, Placement::kKernel});
  config.auth = dice.Of({AuthMethod::kTrust, AuthMethod::kTrust, AuthMethod::kPassword,
                         AuthMethod::kMd5, AuthMethod::kScramSha256});
  config.scram_iterations = 2;
  const uint32_t storages = dice.Of({1u, 1u, 2u});
  for (uint32_t i = 0; i < storages; ++i) config.storages.push_back(DrawStorage(dice, i));
  const uint32_t users = dice.Of({1u, 1u, 2u, 3u});
  for (uint32_t i = 0; i < users; ++i) {
    config.users.push_back(
        {.name = "user" + std::to_string(i), .secret = {Secret::Kind::kPlaintext, kPassword}});
    if (dice.Once(5)) config.users.back().connections_max = dice.Between(1, 4);
    if (dice.Once(6)) config.users.back().wait_timeout = dice.Of<Duration>({10ms, 1s, 5s});
    if (dice.Once(8)) config.users.back().clients_max = dice.Between(2, 5);
  }
  const uint32_t routes = dice.Between(storages, storages + 1);
  for (uint32_t i = 0; i < routes; ++i) {
    RouteConfig route;
    route.database = "base" + std::to_string(i);
    route.storage_index = i % storages;
    if (dice.Once(3)) route.storage_user = "user0";
    if (dice.Once(4)) route.storage_database = "elsewhere";
    if (dice.Once(4)) route.startup_parameters = {{"work_mem", "7MB"}};
    route.clients_max = dice.Once(10) ? dice.Between(2, 5) : 0;
    route.pool = DrawPool(dice);
    config.routes.push_back(std::move(route));
  }
  DrawSharedPool(dice, config);
  config.limits = DrawLimits(dice);
  config.timeouts = DrawTimeouts(dice);
  config.log.level = LogLevel::kDebug;
  return InLookupOrder(std::move(config));
}

Faults DrawFaults(Dice& dice) {
  Faults faults;
  faults.latency_max = faults.latency_min + dice.Of<Duration>({0us, 45us, 500us, 5ms});
  faults.capacity_min = dice.Of({2048u, 16384u, 65536u});
  faults.capacity_max = faults.capacity_min * dice.Of({1u, 2u, 8u});
  faults.connect_timeout = dice.Of<Duration>({50ms, 1s, 3s});  // within anybody's patience
  faults.preempt_max = dice.Of<Duration>({0us, 50us, 500us, 2ms});
  // Every eighth world has no fault at all: whatever breaks there is nobody else's.
  if (dice.Once(8)) return faults;
  faults[Fault::kRefuseConnect] = dice.PerMillion(200'000);
  faults[Fault::kBlackHoleConnect] = dice.PerMillion(60'000);
  faults[Fault::kSplitRead] = dice.PerMillion(700'000);
  faults[Fault::kShortSend] = dice.PerMillion(300'000);
  faults[Fault::kClog] = dice.PerMillion(10'000);
  faults[Fault::kReset] = dice.PerMillion(3'000);
  faults[Fault::kNoDescriptors] = dice.PerMillion(100'000);
  faults[Fault::kNoBuffers] = dice.PerMillion(60'000);
  faults[Fault::kWithholdBuffers] = dice.PerMillion(30'000);
  faults[Fault::kEndMultishot] = dice.PerMillion(150'000);
  faults[Fault::kLateCompletion] = dice.PerMillion(200'000);
  faults[Fault::kReorderCompletions] = dice.PerMillion(400'000);
  faults[Fault::kSpuriousWake] = dice.PerMillion(100'000);
  faults[Fault::kPreempt] = dice.PerMillion(400'000);
  faults[Fault::kStarve] = dice.PerMillion(3'000);
  // What goes wrong between two atomics needs many tries.
  if (dice.Once(3)) {
    faults[Fault::kPreempt] = dice.Between(200'000, 600'000);
    faults.preempt_max = dice.Of<Duration>({100us, 500us, 2ms});
  }
  return faults;
}

// What a world like this may tell a client of such a pool at any time.
std::set<std::string> AllowedErrors(const PoolConfig& pool) {
  std::set<std::string> allowed{
      "08001",  // no server could be connected
      "08006",  // the server's connection ended
      "0A000",  // a transaction in statement mode
      "53000",  // no slot
      "53300",  // waited too long; too many clients
      "53400",  // no share for this core
      "57P01",  // shutdown, or the server's
      "57P03",  // it starts up
      "57P05",  // idle for too long
  };
  if (pool.query_timeout > 0s) allowed.insert("57014");
  if (pool.idle_in_transaction_timeout > 0s) allowed.insert("25P03");
  if (pool.transaction_timeout > 0s) allowed.insert("25P04");
  return allowed;
}

SimPoolMode ModeOf(PoolMode mode) {
  switch (mode) {
    case PoolMode::kSession:
      return SimPoolMode::kSession;
    case PoolMode::kTransaction:
      return SimPoolMode::kTransaction;
    case PoolMode::kStatement:
      return SimPoolMode::kStatement;
  }
  TRIREME_UNREACHABLE();
}

SocketAddress AddressOf(const ListenerConfig& listener) {
  if (!listener.unix_socket_dir.empty()) {
    return *SocketAddress::Unix(listener.unix_socket_dir + "/.s.PGSQL." +
                                std::to_string(listener.port));
  }
  return *SocketAddress::Numeric(listener.host, listener.port);
}

WorldPlan::ClientPlan DrawClient(Dice& dice, const Config& config, uint32_t id) {
  WorldPlan::ClientPlan client;
  const RouteConfig& route =
      config.routes[dice.Between(0, static_cast<uint32_t>(config.routes.size()) - 1)];
  const auto last_user = static_cast<uint32_t>(config.users.size()) - 1;
  const auto last_listener = static_cast<uint32_t>(config.listeners.size()) - 1;
  ClientSettings& settings = client.settings;
  settings.id = id;
  settings.address = AddressOf(config.listeners[dice.Between(0, last_listener)]);
  settings.user = config.users[dice.Between(0, last_user)].name;
  settings.password = kPassword;
  settings.database = route.database;
  settings.mode = ModeOf(route.pool.mode);
  settings.keeps_statements =
      route.pool.mode == PoolMode::kSession || route.pool.prepared_statements_max > 0;
  settings.route_parameters = route.startup_parameters;
  settings.allowed_sqlstates = AllowedErrors(route.pool);
  settings.connections_may_break = true;
  client.habits = dice.Once(4) ? ClientHabits::Polite() : ClientHabits::Drawn(dice.random());
  if (dice.Once(5)) client.habits.deaf_permille = 40;
  client.habits.pause.max = std::min<Duration>(client.habits.pause.max, 10ms);
  client.habits.syncs_in_copy = route.pool.query_timeout == 0s;
  return client;
}

// Few clients that share one pool and rest often, and no timeout soon: a core that was not told of
// an idle server never hears of it by chance.
void MakeQuiet(Dice& dice, Config& config) {
  if (config.sharing.policy == Sharing::kIsolated) config.sharing.policy = Sharing::kSteal;
  config.timeouts.client_idle = 0s;
  config.storages[0].connections_max = 0;
  config.routes.resize(1);
  RouteConfig& route = config.routes[0];
  route.storage_index = 0;
  route.storage_user = config.users[0].name;
  route.pool.size = dice.Of({1u, 1u, 2u});
  route.pool.wait_timeout = 2s;
  route.pool.idle_timeout = route.pool.server_lifetime = 600s;
}

}  // namespace

WorldPlan WorldPlan::Draw(uint64_t seed) {
  Dice dice(seed);
  WorldPlan plan;
  plan.seed = seed;
  plan.core_count = DrawCores(dice);
  plan.config = DrawConfig(dice, plan.core_count);
  plan.faults = DrawFaults(dice);
  plan.focus = FocusOf(seed);
  const bool focused = plan.focus != Focus::kNone;
  if (focused) FocusPooler(plan.focus, dice, plan);
  for (const StorageConfig& storage : plan.config.storages) {
    PostgresPlan cluster;
    cluster.settings.name = storage.name;
    cluster.settings.address =
        *SocketAddress::Numeric(storage.hosts[0].host, storage.hosts[0].port);
    cluster.settings.secret = kPassword;
    cluster.settings.connections_max = dice.Once(6) ? dice.Between(1, 5) : 200;
    cluster.habits = dice.Once(4) ? PostgresHabits::Calm() : PostgresHabits::Drawn(dice.random());
    plan.clusters.push_back(std::move(cluster));
  }
  uint32_t client_count = plan.core_count <= 8 ? dice.Between(2, 8 + 3 * plan.core_count)
                                               : dice.Between(plan.core_count, 2 * plan.core_count);
  const bool quiet = !focused && plan.core_count > 1 && dice.Once(5);
  if (focused) {
    client_count = DrawFocusedClientCount(plan.focus, dice);
  } else if (quiet) {
    MakeQuiet(dice, plan.config);
    client_count = dice.Between(2, 3);
    if (dice.Once(2)) {
      plan.faults[Fault::kPreempt] = 500'000;
      plan.faults.preempt_max = 2ms;
    }
  } else if (dice.Once(8)) {  // a crowd before a few servers
    client_count = std::max(client_count, dice.Between(20, 40));
  }
  for (uint32_t id = 1; id <= client_count; ++id) {
    plan.clients.push_back(DrawClient(dice, plan.config, id));
    if (quiet) plan.clients.back().habits.nap_permille = 400;
  }
  plan.faults_time = dice.Between(Duration(100ms), Duration(500ms)) * (quiet ? 4 : 1);
  plan.healthy_time = dice.Between(Duration(50ms), Duration(150ms));
  plan.work_max = 60'000;
  plan.patience = 60s;
  plan.end = dice.Of(
      {End::kAfterHealing, End::kAfterHealing, End::kUnderLoad, End::kUnderFaults, End::kAtOnce});
  if (focused) FocusParties(plan.focus, dice, plan);
  return plan;
}

std::string WorldPlan::Text() const {
  std::string text = focus == Focus::kNone ? "" : std::string(FocusName(focus)) + ": ";
  text += std::to_string(core_count) + " cores, " + std::to_string(clients.size()) + " clients";
  for (const RouteConfig& route : config.routes) {
    text += ", " + route.database + ": " + std::string(NameOf(route.pool.mode)) + " " +
            std::to_string(route.pool.size);
  }
  const LimitsConfig& limits = config.limits;
  text += ", buffers " + std::to_string(limits.buffers_max) + " x " +
          std::to_string(limits.buffer_bytes) + ", backlog " +
          std::to_string(limits.backlog_bytes_max) + ", replies " +
          std::to_string(limits.expected_replies_max) + ", mail slots " +
          std::to_string(limits.mail_slots);
  text += ", sharing " + std::string(NameOf(config.sharing.policy));
  for (size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    if (faults[fault] == 0) continue;
    text += ", " + std::string(FaultName(fault)) + " " + std::to_string(faults[fault]) + "/M";
  }
  return text;
}

}  // namespace trireme::sim
