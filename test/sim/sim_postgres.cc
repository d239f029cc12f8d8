// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_postgres.h"

#include <algorithm>

#include "base/assert.h"
#include "test/sim/sim_backend.h"

namespace trireme::sim {
namespace {

constexpr size_t kKeysMax = 64;
constexpr Digest kNoSecretAtAll{};  // nothing here is worth hiding

}  // namespace

SimPostgres::SimPostgres(Network& network, PostgresSettings settings, PostgresHabits habits,
                         BackendObserver* observer)
    : network_(network),
      settings_(std::move(settings)),
      habits_(habits),
      observer_(observer != nullptr ? observer : &no_observer_),
      random_(network.random().Next()),
      secrets_(random_.Next()),
      keys_(kKeysMax, kNoSecretAtAll),
      salts_(kNoSecretAtAll) {}

SimPostgres::~SimPostgres() = default;

void SimPostgres::Start() {
  Listen();
  PlanRestart();
  PlanRefusal();
  PlanIdleDeath();
  PlanIdleTalk();
}

void SimPostgres::Listen() {
  if (listening_) return;
  listening_ = true;
  network_.Listen(settings_.address, *this);
}

void SimPostgres::Heal() {
  habits_ = habits_.Healed();
  ++plan_;
  ++restart_;
  refusing_until_ = {};
  // Whoever was not to be answered goes the way a dead server does.
  std::vector<SimBackend*> mute;
  for (const auto& [id, backend] : backends_) {
    if (backend->mute_ && backend->state() != SimBackend::State::kEnded) {
      mute.push_back(backend.get());
    }
  }
  for (SimBackend* backend : mute) backend->DieNow();
  Listen();
  PlanIdleTalk();
}

// Between half and one and a half of it.
Duration SimPostgres::Around(Duration mean) {
  return DurationRange{mean / 2, mean + mean / 2}.Draw(random_);
}

void SimPostgres::Plan(Duration every, void (SimPostgres::*event)()) {
  if (every == Duration()) return;
  network_.At(network_.now() + Around(every), [this, plan = plan_, event] {
    if (plan == plan_) (this->*event)();
  });
}

void SimPostgres::PlanRestart() { Plan(habits_.restart_every, &SimPostgres::OnRestartDue); }
void SimPostgres::PlanRefusal() { Plan(habits_.refuse_every, &SimPostgres::OnRefusalDue); }
void SimPostgres::PlanIdleDeath() { Plan(habits_.die_idle_every, &SimPostgres::OnIdleDeathDue); }
void SimPostgres::PlanIdleTalk() { Plan(habits_.idle_talk_every, &SimPostgres::OnIdleTalkDue); }

void SimPostgres::OnRestartDue() {
  Restart(habits_.restart_time.Draw(random_));
  PlanRestart();
}

void SimPostgres::OnRefusalDue() {
  Refuse(habits_.refuse_time.Draw(random_));
  PlanRefusal();
}

void SimPostgres::OnIdleDeathDue() {
  KillIdle();
  PlanIdleDeath();
}

void SimPostgres::OnIdleTalkDue() {
  if (SimBackend* backend = PickIdle()) backend->Talk();
  PlanIdleTalk();
}

void SimPostgres::Restart(Duration down) {
  ++counts_.restarts;
  if (listening_) network_.StopListening(settings_.address);
  listening_ = false;
  std::vector<SimBackend*> all;
  for (const auto& [id, backend] : backends_) all.push_back(backend.get());
  for (SimBackend* backend : all) backend->Die();
  network_.At(network_.now() + down, [this, restart = ++restart_] {
    if (restart == restart_) Listen();
  });
}

void SimPostgres::Refuse(Duration time) { refusing_until_ = network_.now() + time; }

void SimPostgres::KillIdle() {
  SimBackend* backend = PickIdle();
  if (backend == nullptr) return;
  ++counts_.deaths_idle;
  backend->Die();
}

SimBackend* SimPostgres::PickIdle() {
  std::vector<SimBackend*> idle;
  for (const auto& [id, backend] : backends_) {
    if (backend->state() == SimBackend::State::kReady) idle.push_back(backend.get());
  }
  return idle.empty() ? nullptr : idle[random_.Below(idle.size())];
}

uint32_t SimPostgres::connections() const {
  return static_cast<uint32_t>(
      std::count_if(backends_.begin(), backends_.end(),
                    [](const auto& each) { return each.second->connected(); }));
}

void SimPostgres::CountConnections() {
  connections_seen_max_ = std::max(connections_seen_max_, connections());
}

std::vector<const SimBackend*> SimPostgres::backends() const {
  std::vector<const SimBackend*> all;
  for (const auto& [id, backend] : backends_) {
    if (backend->state() != SimBackend::State::kEnded) all.push_back(backend.get());
  }
  return all;
}

PeerHandler& SimPostgres::OnAccept(PeerSocket& socket) {
  const uint64_t id = ++last_id_;
  auto& backend = backends_[id];
  backend = std::make_unique<SimBackend>(*this, socket, id);
  return *backend;
}

SimBackend* SimPostgres::Find(uint64_t id) {
  const auto found = backends_.find(id);
  if (found == backends_.end() || found->second->state() == SimBackend::State::kEnded) {
    return nullptr;
  }
  return found->second.get();
}

void SimPostgres::OnEnded(SimBackend& backend) {
  if (backend.logged_in()) observer_->OnEnd(backend);
  network_.At(network_.now(), [this, id = backend.id()] { backends_.erase(id); });
}

void SimPostgres::OnCancelRequest(uint32_t process_id, uint32_t secret) {
  for (const auto& [id, backend] : backends_) {
    if (backend->state() == SimBackend::State::kEnded || !backend->logged_in()) continue;
    if (backend->process_id_ != process_id || backend->secret_ != secret) continue;
    return backend->Cancel();
  }
  ++counts_.cancels_unknown;
  observer_->OnCancel({.process_id = process_id});
}

// --- habits --------------------------------------------------------------------------------------

PostgresHabits PostgresHabits::Drawn(Random& random) {
  const auto maybe = [&random](uint32_t permille_max) {
    return random.Below(2) == 0 ? 0 : static_cast<uint32_t>(random.Below(permille_max) + 1);
  };
  const auto sometimes = [&random](Duration min, Duration max) {
    return random.Below(2) == 0 ? Duration() : DurationRange{min, max}.Draw(random);
  };
  static constexpr ClientAuthMethod kMethods[] = {
      ClientAuthMethod::kTrust, ClientAuthMethod::kPassword, ClientAuthMethod::kMd5,
      ClientAuthMethod::kScramSha256};
  PostgresHabits habits;
  habits.auth = kMethods[random.Below(std::size(kMethods))];
  habits.service_time.max = DurationRange{10us, 2ms}.Draw(random);
  habits.slow_permille = maybe(50);
  habits.accept_time.max = sometimes(10us, 5ms);
  habits.reports_parameters_at_once = random.Below(3) == 0;
  habits.notice_permille = maybe(100);
  habits.standby_report_permille = maybe(50);
  habits.question_fails_permille = maybe(300);
  habits.idle_talk_every = sometimes(1ms, 100ms);
  habits.die_in_login_permille = maybe(200);
  habits.mute_login_permille = maybe(50);
  habits.die_in_query_permille = maybe(20);
  habits.die_mid_reply_permille = maybe(10);
  habits.die_idle_every = sometimes(500us, 100ms);
  habits.restart_every = sometimes(100ms, 5000ms);
  habits.refuse_every = sometimes(100ms, 5000ms);
  return habits;
}

PostgresHabits PostgresHabits::Healed() const {
  PostgresHabits healed = *this;
  healed.die_in_login_permille = healed.mute_login_permille = 0;
  healed.die_in_query_permille = healed.die_mid_reply_permille = 0;
  healed.die_resting_permille = 0;
  healed.die_idle_every = healed.restart_every = healed.refuse_every = {};
  return healed;
}

}  // namespace trireme::sim
