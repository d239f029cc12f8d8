// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/study.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/marks.h"
#include "config/load.h"
#include "config/names.h"

namespace trireme::bench {
namespace {

constexpr char kPoolerHost[] = "10.0.0.1";
constexpr char kServerHost[] = "10.0.1.1";
constexpr uint16_t kPoolerPort = 6432;
constexpr uint16_t kServerPort = 5432;
constexpr char kUser[] = "user";
constexpr char kDatabase[] = "base";
constexpr Duration kApart = 5us;  // clients connect one after the other

Config MakeConfig(const StudyPlan& plan) {
  Config config;
  config.listeners = {{.host = kPoolerHost, .unix_socket_dir = "", .port = kPoolerPort}};
  config.listeners[0].backlog = plan.clients;
  config.cores.kind = CoresConfig::Kind::kCount;
  config.cores.count = plan.cores;
  config.sharing = plan.sharing;
  config.sharing.placement = Placement::kKernel;  // the study says who goes where
  config.auth = AuthMethod::kTrust;
  config.users = {{.name = kUser, .secret = {Secret::Kind::kPlaintext, "secret"}}};
  StorageConfig storage;
  storage.name = "storage";
  storage.hosts = {{.host = kServerHost, .port = kServerPort}};
  storage.connecting_max = 32;  // the warm-up is not what is studied
  config.storages = {storage};
  RouteConfig route;
  route.database = kDatabase;
  route.pool.size = plan.servers;
  route.pool.idle_timeout = 0s;
  route.pool.server_lifetime = 0s;
  route.pool.wait_timeout = 0s;
  route.pool.wait_notify = 0s;
  config.routes = {route};
  config.limits.clients_max = plan.clients;
  config.limits.buffer_bytes = plan.buffer_bytes;
  config.limits.mail_slots = 64;  // a queue for each pair of cores: 128 cores have 16,000
  return InLookupOrder(std::move(config));
}

// Where each client is, in the order in which they connect.
std::vector<uint32_t> SpreadClients(const StudyPlan& plan) {
  std::vector<uint32_t> cores(plan.clients);
  const uint32_t hot = std::min(plan.hot_cores, plan.cores);
  const auto on_hot =
      static_cast<uint32_t>(std::lround(plan.hot_share * static_cast<double>(plan.clients)));
  for (uint32_t i = 0; i < plan.clients; ++i) {
    if (hot == 0 || hot == plan.cores) {
      cores[i] = i % plan.cores;
    } else {
      cores[i] = i < on_hot ? i % hot : hot + i % (plan.cores - hot);
    }
  }
  return cores;
}

sim::Faults Healthy(const StudyPlan& plan) {
  sim::Faults faults;
  faults.latency_min = faults.latency_max = plan.costs.network;
  return faults;
}

#ifdef TRIREME_MARKS
Clocks* listening = nullptr;  // of the one study of this process
#endif

}  // namespace

Study::Study(const StudyPlan& plan)
    : plan_(plan),
      config_(MakeConfig(plan)),
      kernel_(plan.seed),
      clocks_(kernel_, plan.costs),
      secrets_(plan.seed),
      sink_(STDERR_FILENO),
      cores_(plan.cores),
      core_of_client_(SpreadClients(plan)) {
  kernel_.set_faults(Healthy(plan));
  // Each connection to the pooler is a client's, in their order.
  kernel_.set_spread([this](size_t) { return core_of_client_[next_client_++]; });
  Result<SaltSecret> salts = SaltSecret::Make(secrets_);
  TRIREME_ASSERT(salts.ok());
  shared_ = std::make_unique<FleetShared>(config_, plan.cores, *salts,
                                          FleetShared::Secrets{.cancel = 1, .ids = plan.seed});
  Doorbell* doorbell = this;
  crew_ = std::make_unique<InlineCrew>(InlineCrew::Options{.shards = plan.cores}, doorbell);
  const bool boards = plan.sharing.policy == Sharing::kSteal && plan.cores > 1;
  clocks_.set_board_costs(boards ? BoardCosts::kShared : BoardCosts::kNone);
  clocks_.set_peer_cost(plan.peer_cost);
#ifdef TRIREME_MARKS
  listening = &clocks_;
  queue_hook = [](QueueEvent event, const void*, const void*) {
    const sim::Census::Outside outside;
    listening->OnQueue(event);
  };
  shared_work_hook = [](SharedWork work, const void* what) {
    const sim::Census::Outside outside;
    listening->OnSharedWork(work, what);
  };
#endif
}

Study::~Study() {
#ifdef TRIREME_MARKS
  queue_hook = nullptr;
  shared_work_hook = nullptr;
#endif
}

void Study::Fail(std::string why) {
  if (result_.failure.empty()) result_.failure = std::move(why);
}

StudyResult::Core& StudyResult::Core::operator-=(const Core& before) {
  account -= before.account;
  checkouts -= before.checkouts;
  waits -= before.waits;
  steals_asked -= before.steals_asked;
  steals_received -= before.steals_received;
  grants_received -= before.grants_received;
  submits -= before.submits;
  return *this;
}

// ---- cores ----

void Study::StartCores() {
  const LimitsConfig& limits = config_.limits;
  for (uint32_t i = 0; i < plan_.cores; ++i) {
    Core& core = cores_[i];
    core.buffers = std::make_unique<Buffers>(
        Buffers::Options{.block_bytes = limits.buffer_bytes, .blocks_max = limits.buffers_max});
    core.ring = std::make_unique<sim::SimRing>(sim::SimRing::Options{.index = i}, kernel_, clocks_,
                                               *core.buffers);
    core.log = std::make_unique<Logger>(&sink_, LogStyle{.level = LogLevel::kError});
    core.secrets = std::make_unique<SeededSecretRandom>(plan_.seed * 1024 + i);
    rings_.push_back(core.ring.get());
  }
  for (Core& core : cores_) core.ring->SetSiblings(rings_);
  for (uint32_t i = 0; i < plan_.cores; ++i) {
    clocks_.Add(*cores_[i].ring, [this, i] { RunCore(i); });
  }
}

void Study::RunCore(uint32_t index) {
  Core& core = cores_[index];
  Shard shard({.shared = *shared_,
               .ring = *core.ring,
               .crew = *crew_,
               .log = *core.log,
               .secrets = *core.secrets,
               .seed = plan_.seed + index});
  const Status listening_now = shard.Listen();
  if (!listening_now.ok()) Fail(std::string(listening_now.message()));
  core.shard = &shard;
  while (!shard.left()) {
    const sim::Census::Inside inside;
    if (plan_.in_turn) plan_.in_turn();
    shard.Turn();
  }
  core.shard = nullptr;
}

template <typename Done>
bool Study::RunUntil(const Done& done, Duration longest) {
  const Time latest = kernel_.now() + longest;
  while (!done()) {
    if (kernel_.now() >= latest || !clocks_.Step(latest)) return done();
  }
  return true;
}

std::vector<StudyResult::Core> Study::Look() const {
  std::vector<StudyResult::Core> seen;
  for (uint32_t i = 0; i < plan_.cores; ++i) {
    const PoolShard::Counters pools = cores_[i].shard->pools().Totals();
    const Histogram& hand_overs = cores_[i].shard->pools().hand_overs();
    seen.push_back({.account = clocks_.account(i),
                    .checkouts = pools.checkouts,
                    .waits = pools.waits,
                    .steals_asked = pools.steals_asked,
                    .steals_received = pools.steals_granted,
                    .grants_received = pools.grants_received,
                    .submits = rings_[i]->counters().system_calls,
                    .hand_over_p50 = hand_overs.Percentile(0.5),
                    .hand_over_p99 = hand_overs.Percentile(0.99)});
  }
  return seen;
}

// ---- the run ----

StudyResult Study::Run() {
  StartCores();
  RunUntil([this] { return rings_.back()->counters().turns > 0; }, 1s);
  peers_ = std::make_unique<StudyPeers>(
      kernel_,
      PeerSettings{.pooler = *SocketAddress::Numeric(kPoolerHost, kPoolerPort),
                   .server = *SocketAddress::Numeric(kServerHost, kServerPort),
                   .user = kUser,
                   .database = kDatabase,
                   .talk = plan_.talk,
                   .service = plan_.service,
                   .think = plan_.think,
                   .pace = plan_.pace,
                   .network = plan_.costs.network},
      plan_.seed);
  peers_->Start(plan_.clients, kApart);
  const bool ready = RunUntil([this] { return peers_->logged_in() == plan_.clients; },
                              10s + kApart * plan_.clients);
  if (!ready) {
    Fail(absl::StrCat("only ", peers_->logged_in(), " of ", plan_.clients,
                      " clients logged in: ", ToAbsl(peers_->first_failure())));
  }
  peers_->Begin(Duration(static_cast<int64_t>(plan_.service.MeanNs())));
  const uint64_t warm = plan_.warmup_transactions * plan_.clients;
  RunUntil([this, warm] { return peers_->transactions() >= warm; }, plan_.time_max);
  const std::vector<StudyResult::Core> before = Look();
  const sim::Census census_before = sim::census;
  const Time start = kernel_.now();
  peers_->BeginMeasuring();
  RunUntil([this] { return peers_->results().transactions >= plan_.transactions; }, plan_.time_max);
  result_.measured = kernel_.now() - start;
  result_.census = sim::census - census_before;
  result_.cores = Look();
  for (uint32_t i = 0; i < plan_.cores; ++i) {
    result_.cores[i] -= before[i];
  }
  uint64_t locks = 0;
  for (const StudyResult::Core& core : result_.cores) locks += core.account.locks;
  if (NameOf(plan_.sharing.policy) == "shared_mutex" && plan_.cores > 1 && locks == 0) {
    Fail("the lock of shared_mutex costs nothing here: TRIREME_SHARED_WORK(kLock, …) is missing");
  }
  result_.peers = peers_->results();
  if (result_.peers.failed > 0) Fail(peers_->first_failure());
  End();
  return std::move(result_);
}

// ---- the end: as a fleet ends ----

void Study::Tell(Mail::Control control) {
  PostOffice& office = shared_->office;
  for (uint32_t core = 0; core < plan_.cores; ++core) {
    const Mail mail{
        .kind = Mail::Kind::kControl, .from_core = office.outsider(), .control = control};
    TRIREME_ASSERT(office.TryPush(office.outsider(), core, mail));
    if (office.Announce(office.outsider(), core)) Ring(core);
  }
}

bool Study::AtRest() const {
  uint64_t sent = 0;
  uint64_t received = 0;
  for (uint32_t core = 0; core < plan_.cores; ++core) {
    const FleetShared::View& view = shared_->views[core];
    if (!view.at_rest.load(std::memory_order_acquire)) return false;
    sent += view.mail_sent.load(std::memory_order_relaxed);
    received += view.mail_received.load(std::memory_order_relaxed);
  }
  return sent == received;
}

void Study::End() {
  peers_->End();
  Tell(Mail::Control::kDrain);
  // One thread, and nobody runs between two looks: one is enough.
  if (!RunUntil([this] { return AtRest(); }, 60s)) Fail("the shutdown does not come to an end");
  Tell(Mail::Control::kLeave);
  TRIREME_ASSERT(RunUntil([this] { return clocks_.all_done(); }, 10s));
  crew_->Stop();
}

}  // namespace trireme::bench
