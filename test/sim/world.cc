// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/world.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/marks.h"

namespace trireme::sim {
namespace {

// Nothing that ends takes longer, once the world has healed: the longest timeout there is, a
// lingering close, a reset that does not settle, and room.
constexpr Duration kEndMax = 120s;
constexpr uint64_t kEndWorkMax = 400'000;

#ifdef TRIREME_MARKS
// Of the one world of this process.
Fibers* yielding = nullptr;
Oracles* listening = nullptr;
#endif

int64_t VirtualNow(void* context) {
  return static_cast<SimKernel*>(context)->now().time_since_epoch().count();
}

FleetShared::Secrets DrawSecrets(SecretRandom& random) {
  std::byte bytes[12];
  const Status filled = random.Fill(bytes);
  TRIREME_ASSERT(filled.ok());
  return {.cancel = LoadBig32(bytes),
          .ids = uint64_t{LoadBig32(bytes + 4)} << 32 | LoadBig32(bytes + 8)};
}

}  // namespace

World::World(const WorldPlan& plan, Oracles::OnBroken on_broken, Story* story)
    : plan_(plan),
      story_(story),
      kernel_(plan.seed),
      oracles_(plan, kernel_, on_broken),
      fibers_(kernel_),
      secrets_(plan.seed),
      cores_(plan.core_count) {
  kernel_.on_violation = [on_broken](std::string_view what) {
    on_broken("kernel: " + std::string(what));
  };
  if (story_ != nullptr) {
    kernel_.set_story(
        [story](Time time, std::string_view line) { story->Tell(time, "world", line); });
  }
  Result<SaltSecret> salts = SaltSecret::Make(secrets_);
  TRIREME_ASSERT(salts.ok());
  shared_ =
      std::make_unique<FleetShared>(plan.config, plan.core_count, *salts, DrawSecrets(secrets_));
  shared_->version = "simulated";
  Doorbell* doorbell = this;
  crew_ = std::make_unique<InlineCrew>(InlineCrew::Options{.shards = plan.core_count}, doorbell);
  oracles_.Watch(shared_->directory);
  Listen();
}

void World::Listen() {
#ifdef TRIREME_MARKS
  yielding = &fibers_;
  listening = &oracles_;
  yield_hook = [] { yielding->PreemptCurrent(); };
  queue_hook = [](QueueEvent event, const void* pool, const void* waiter) {
    listening->OnQueue(event, pool, waiter);
  };
#endif
}

World::~World() {
#ifdef TRIREME_MARKS
  yield_hook = nullptr;
  queue_hook = nullptr;
#endif
}

// --- the fleet's part ----------------------------------------------------------------------------

void World::StartCores() {
  const LimitsConfig& limits = plan_.config.limits;
  for (uint32_t i = 0; i < plan_.core_count; ++i) {
    Core& core = cores_[i];
    core.buffers = std::make_unique<Buffers>(
        Buffers::Options{.block_bytes = limits.buffer_bytes, .blocks_max = limits.buffers_max});
    core.ring =
        std::make_unique<SimRing>(SimRing::Options{.index = i}, kernel_, fibers_, *core.buffers);
    core.sink = std::make_unique<StorySink>(story_, core.ring->clock(), i);
    core.log = std::make_unique<Logger>(
        core.sink.get(), LogStyle{.level = story_ != nullptr ? LogLevel::kDebug : LogLevel::kError,
                                  .clock = {.read = VirtualNow, .context = &kernel_}});
    core.secrets = std::make_unique<SeededSecretRandom>(plan_.seed * 64 + i);
    rings_.push_back(core.ring.get());
  }
  for (Core& core : cores_) core.ring->SetSiblings(rings_);
  for (uint32_t i = 0; i < plan_.core_count; ++i) {
    fibers_.Add(*cores_[i].ring, [this, i] { RunCore(i); });
  }
}

void World::RunCore(uint32_t index) {
  Core& core = cores_[index];
  Shard shard({.shared = *shared_,
               .ring = *core.ring,
               .crew = *crew_,
               .log = *core.log,
               .secrets = *core.secrets,
               .seed = plan_.seed + index});
  core.shard = &shard;
  core.listening = shard.Listen();
  ++listening_;
  while (!shard.left()) shard.Turn();
  core.shard = nullptr;
  core.left = shard.resources();
  core.pools = shard.pools().Totals();
  core.ring_counters = core.ring->counters();
}

void World::Tell(Mail::Control control) {
  const uint32_t from = shared_->office.outsider();
  for (uint32_t core = 0; core < plan_.core_count; ++core) {
    const Mail mail{.kind = Mail::Kind::kControl, .from_core = from, .control = control};
    const uint64_t work_end = work() + kEndWorkMax;
    while (!shared_->office.TryPush(from, core, mail)) {
      if (work() >= work_end) return oracles_.Broken("rest", "a core does not take its mail");
      RunFor(10us);
    }
    if (shared_->office.Announce(from, core)) Ring(core);
  }
}

World::Census World::Count() const {
  Census census{.rest = true, .sent = 0, .received = 0};
  for (uint32_t core = 0; core < plan_.core_count; ++core) {
    const FleetShared::View& view = shared_->views[core];
    census.rest &= view.at_rest.load(std::memory_order_acquire);
    census.received += view.mail_received.load(std::memory_order_relaxed);
    census.sent += view.mail_sent.load(std::memory_order_relaxed);
  }
  return census;
}

bool World::AtRest() {
  const Census census = Count();
  const bool again = census == last_census_;
  last_census_ = census;
  return again && census.rest && census.sent == census.received;
}

// --- phases --------------------------------------------------------------------------------------

void World::StartPeers() {
  for (const WorldPlan::PostgresPlan& plan : plan_.clusters) {
    BackendObserver* observer = &oracles_;
    clusters_.push_back(
        std::make_unique<SimPostgres>(kernel_, plan.settings, plan.habits, observer));
    oracles_.Watch(plan.settings.name, *clusters_.back());
    clusters_.back()->Start();
  }
  for (const WorldPlan::ClientPlan& plan : plan_.clients) {
    Verdict& verdict = oracles_;
    clients_.push_back(std::make_unique<SimClient>(kernel_, plan.settings, plan.habits, verdict));
    if (story_ != nullptr) {
      clients_.back()->SetStory(
          [this](const std::string& line) { story_->Tell(kernel_.now(), "client", line); });
    }
    clients_.back()->Start();
  }
}

bool World::RunUntil(const std::function<bool()>& done, Time latest) {
  while (!done()) {
    if (kernel_.now() >= latest) return false;
    const bool more = fibers_.Step(latest);
    oracles_.CheckCaps();
    if (!draining_) oracles_.CheckNobodyWaitsInVain();
    if (!more && kernel_.next_event() == kNever && latest == kNever) return done();
  }
  return true;
}

void World::RunFor(Duration time) {
  RunUntil([] { return false; }, kernel_.now() + time);
}

void World::RunPhase(Duration time) {
  RunUntil([this, end = work() + plan_.work_max] { return work() >= end; }, kernel_.now() + time);
}

void World::Run() {
  StartCores();
  RunUntil([this] { return listening_ == plan_.core_count; }, kernel_.now() + 1s);
  for (const Core& core : cores_) {
    if (!core.listening.ok()) oracles_.Broken("start", std::string(core.listening.message()));
  }
  StartPeers();
  kernel_.set_faults(plan_.faults);
  RunPhase(plan_.faults_time);
  if (plan_.end == WorldPlan::End::kAfterHealing || plan_.end == WorldPlan::End::kUnderLoad) {
    Heal();
    RunPhase(plan_.healthy_time);
    CheckLiveness();
  }
  End();
}

void World::Heal() {
  kernel_.Heal();
  for (const auto& cluster : clusters_) cluster->Heal();
  for (const auto& client : clients_) client->Heal();
}

// Whoever waits now has an answer, or was told why not, before its patience ends.
void World::CheckLiveness() {
  const Time since = kernel_.now();
  std::string stuck;
  const auto nobody_waits_since = [&] {
    stuck.clear();
    for (const auto& client : clients_) {
      const auto waiting = client->waiting_since();
      if (waiting && *waiting <= since) stuck += "\n  " + client->Text();
    }
    return stuck.empty();
  };
  // Once in a while: looking at everybody costs more than a step.
  const Time latest = since + plan_.patience;
  const uint64_t work_end = work() + plan_.work_max;
  while (!nobody_waits_since()) {
    if (kernel_.now() >= latest || work() >= work_end + kEndWorkMax) {
      return oracles_.Broken("liveness",
                             "neither served nor told why not:" + stuck + WhatShardsHold());
    }
    if (work() >= work_end) SendContentHome(since);
    RunUntil([this, next = work() + plan_.work_max / 4] { return work() >= next; },
             kernel_.now() + 5ms);
  }
}

// In a busy world patience costs too much: those who do not wait for long need not be there.
void World::SendContentHome(Time since) {
  for (const auto& client : clients_) {
    const auto waiting = client->waiting_since();
    if (!waiting || *waiting > since) client->Stop();
  }
}

void World::End() {
  using enum WorldPlan::End;
  if (plan_.end == kAfterHealing) {
    for (const auto& client : clients_) client->Stop();
    RunFor(1ms);
  }
  kernel_.Tell("drain");
  draining_ = true;
  Tell(Mail::Control::kDrain);
  if (plan_.end == kUnderFaults || plan_.end == kAtOnce) {
    RunFor(20ms);
    Heal();
  }
  for (const auto& client : clients_) client->Stop();
  if (plan_.end == kAtOnce) Tell(Mail::Control::kEndNow);
  const uint64_t work_end = work() + kEndWorkMax;
  bool rest = false;
  RunUntil(
      [this, work_end, &rest, next = Time{}]() mutable {
        if (work() >= work_end) return true;
        if (kernel_.now() < next) return false;
        next = kernel_.now() + 100us;
        return rest = AtRest();
      },
      kernel_.now() + kEndMax);
  if (!rest) return oracles_.Broken("rest", "the shutdown does not come to an end:" + WhoIsLeft());
  kernel_.Tell("at rest");
  Tell(Mail::Control::kLeave);
  if (!RunUntil([this] { return fibers_.all_done(); }, kernel_.now() + 1s)) {
    return oracles_.Broken("rest", "a core does not leave its loop");
  }
  crew_->Stop();
  for (uint32_t i = 0; i < plan_.core_count; ++i) oracles_.CheckRest(i, cores_[i].left);
  oracles_.CheckNothingLeft();
  // What is outside ends as well: sockets of the world, but for the clusters' listeners.
  const size_t listeners =
      static_cast<size_t>(std::count_if(clusters_.begin(), clusters_.end(),
                                        [](const auto& cluster) { return cluster->listening(); }));
  for (const auto& client : clients_) client->EndDeafness();
  kernel_.AdvanceTo(kernel_.now() + 60s);
  if (kernel_.open_sockets() > listeners) {
    oracles_.Broken("rest", std::to_string(kernel_.open_sockets() - listeners) +
                                " sockets of the kernel are left");
  }
}

std::string World::WhoIsLeft() const {
  std::string text;
  for (uint32_t core = 0; core < plan_.core_count; ++core) {
    const FleetShared::View& view = shared_->views[core];
    text += "\n  core " + std::to_string(core) +
            (view.at_rest.load() ? " at rest" : " not at rest") + ", sent " +
            std::to_string(view.mail_sent.load()) + ", received " +
            std::to_string(view.mail_received.load());
  }
  for (const auto& client : clients_) {
    if (client->state() != SimClient::State::kStopped) text += "\n  " + client->Text();
  }
  for (const auto& cluster : clusters_) {
    for (const SimBackend* backend : cluster->backends()) text += "\n  " + backend->Text();
  }
  return text + WhatShardsHold();
}

std::string World::WhatShardsHold() const {
  std::string text;
  const auto flow = [](const Stream& stream) {
    return std::string(" backlog ") + std::to_string(stream.backlog_bytes()) +
           (stream.clogged() ? " clogged" : "") + (stream.receive_paused() ? " paused" : "");
  };
  for (const Core& core : cores_) {
    if (core.shard == nullptr) continue;
    const std::string where = "\n  core " + std::to_string(core.ring->index());
    core.shard->clients().ForEach([&](const Client& client) {
      text += where + " client " + std::to_string(client.id()) + " state " +
              std::to_string(static_cast<int>(client.state())) + flow(client.stream());
      if (client.server() == nullptr) return;
      auto& server = const_cast<Server&>(*client.server());
      text += ", server " + std::to_string(server.process_id()) + flow(server.stream()) +
              ", owes " + std::to_string(server.replies().owed().count()) +
              (server.replies().owed().empty()
                   ? ""
                   : " (" + std::to_string(int(server.replies().owed().front().request)) + "/" +
                         std::to_string(int(server.replies().owed().front().disposition)) + ")") +
              ", client's inbox " + std::to_string(client.waiting_bytes()) + ", inbox " +
              std::to_string(server.inbox().size());
    });
    const PoolShard::Counters totals = core.shard->pools().Totals();
    const Pools::Resources pools = core.shard->pools().resources();
    text += where + " holds " + std::to_string(pools.servers) + " servers, " +
            std::to_string(pools.waiters) + " waiters, " + std::to_string(pools.cancels) +
            " cancels; has opened " + std::to_string(totals.opened) + ", buffers in use " +
            std::to_string(core.buffers->in_use()) + ", free " +
            std::to_string(core.buffers->free_count());
  }
  return text;
}

// --- what happened -------------------------------------------------------------------------------

WorldCounts World::Counts() const {
  WorldCounts counts;
  counts["worlds"] = 1;
  counts["cores"] = plan_.core_count;
  counts["switches"] = fibers_.switches();
  counts["work"] = work();
  counts["hand-overs to another client"] = oracles_.hand_overs();
  ClientCounts clients;
  for (const auto& client : clients_) clients += client->counts();
  counts["client logins"] = clients.logins;
  counts["client logins failed"] = clients.logins_failed;
  counts["transactions"] = clients.transactions;
  counts["statements"] = clients.statements;
  counts["rows"] = clients.rows;
  counts["copies"] = clients.copies;
  counts["client connections lost"] = clients.connections_lost;
  counts["clients vanished"] = clients.vanished;
  counts["clients half-closed"] = clients.half_closed;
  counts["cancels"] = clients.cancels;
  counts["wrong cancels"] = clients.wrong_cancels;
  counts["garbage"] = clients.garbage;
  counts["receive pauses"] = clients.receive_pauses;
  counts["clients deaf"] = clients.deaf;
  counts["stalled logins"] = clients.stalled_logins;
  for (const auto& [sqlstate, count] : clients.errors) counts["error " + sqlstate] = count;
  for (const auto& cluster : clusters_) {
    const PostgresCounts& postgres = cluster->counts();
    counts["server logins"] += postgres.logins;
    counts["server deaths in login"] += postgres.deaths_in_login;
    counts["server deaths in query"] += postgres.deaths_in_query;
    counts["server deaths mid reply"] += postgres.deaths_mid_reply;
    counts["server deaths idle"] += postgres.deaths_idle;
    counts["questions failed"] += postgres.questions_failed;
    counts["mute logins"] += postgres.mute_logins;
    counts["restarts"] += postgres.restarts;
    counts["cancels hit"] += postgres.cancels_hit;
    counts["cancels missed"] += postgres.cancels_missed;
    counts["refused: full"] += postgres.refused_full;
    counts["refused: starting"] += postgres.refused_start;
    counts["suspended portals"] += postgres.suspended_portals;
    if (postgres.protocol_errors > 0) counts["protocol errors"] += postgres.protocol_errors;
  }
  for (const Core& core : cores_) {
    counts["waits"] += core.pools.waits;
    counts["refusals"] += core.pools.refusals;
    counts["steals asked"] += core.pools.steals_asked;
    counts["steals granted"] += core.pools.steals_granted;
    counts["steals denied"] += core.pools.steals_denied;
    counts["grants received"] += core.pools.grants_received;
    counts["nudges"] += core.pools.nudges_received;
    counts["servers opened"] += core.pools.opened;
    counts["connect failures"] += core.pools.connect_failures;
    counts["receives without buffers"] += core.ring_counters.no_buffers;
    counts["wakes"] += core.ring_counters.wakes_sent;
  }
#ifdef TRIREME_MARKS
  for (size_t i = 0; i < coverage_counts.size(); ++i) {
    counts["mark: " + std::string(kCoverageMarkNames[i])] = coverage_counts[i].load();
  }
#endif
  FaultCounts faults = const_cast<World*>(this)->kernel_.fault_counts();
  for (size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    counts["fault: " + std::string(FaultName(fault))] = faults[fault];
  }
  return counts;
}

}  // namespace trireme::sim
