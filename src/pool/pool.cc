// SPDX-License-Identifier: GPL-3.0-or-later
//
// Checkout, return, and the life of servers as the pool sees it. Everything about other cores is in
// sharing.cc, everything about time in aging.cc.
#include "pool/pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/marks.h"

namespace trireme {

const char* ToString(CloseReason reason) {
  switch (reason) {
    case CloseReason::kIdleTimeout:
      return "idle timeout";
    case CloseReason::kLifetime:
      return "lifetime over";
    case CloseReason::kConnectFailed:
      return "connect failed";
    case CloseReason::kServerEnded:
      return "server closed the connection";
    case CloseReason::kDirty:
      return "unexpected data while idle";
    case CloseReason::kNotSettled:
      return "did not settle";
    case CloseReason::kBrokenMidMessage:
      return "client left in the middle of a message";
    case CloseReason::kProtocol:
      return "protocol violation";
    case CloseReason::kTraces:
      return "a client left what no reset undoes";
    case CloseReason::kEvicted:
      return "place needed by another pool";
    case CloseReason::kShutdown:
      return "shutdown";
  }
  TRIREME_UNREACHABLE();
}

PoolSettings PoolSettings::From(const Config& config, const Target& target) {
  const std::optional<uint32_t> shared = target.route->shared_pool;
  PoolConfig pool = target.route->pool;
  pool.size = target.servers.size;
  pool.min_size = target.servers.min_size;
  pool.reserve_size = target.servers.reserve_size;
  return {.key = target.key.ToString(),
          .name = absl::StrCat(ToAbsl(target.storage_database), "/", ToAbsl(target.storage_user)),
          .pool_index = target.key.pool_index,
          .route_index = target.route_index,
          .mode = target.route->pool.mode,
          .pool = std::move(pool),
          .limits = target.servers,
          .shared_pool = shared ? config.shared_pools[*shared].name : std::string(),
          .storage = *target.storage,
          .storage_user = std::string(target.storage_user),
          .shared_by_route = target.route->storage_user.empty()
                                 ? std::string()
                                 : absl::StrCat("database \"", target.route->database,
                                                "\" and user \"", target.route->user, "\""),
          .storage_database = std::string(target.storage_database),
          .secret = target.storage_secret == nullptr ? Secret{} : *target.storage_secret,
          .startup_parameters = target.route->startup_parameters};
}

// Keys of names that may hold any byte: what can vary in length stands last, or says how long it
// is.
BoardLimits PoolSettings::Caps() const {
  using Kind = SharedCap::Kind;
  BoardLimits caps{.size = pool.size, .min_size = pool.min_size, .reserve_size = pool.reserve_size};
  const auto add = [&](Kind kind, std::string what, std::string text, uint32_t cap) {
    if (cap > 0) caps.shared.push_back({kind, std::move(what), std::move(text), cap});
  };
  if (!shared_pool.empty()) add(Kind::kPool, "pool " + shared_pool, shared_pool, pool.size);
  add(Kind::kUser, "user " + storage_user, storage_user, limits.user_max);
  add(Kind::kDatabase,
      absl::StrCat("database ", storage.name.size(), " ", storage.name, storage_database),
      storage_database, limits.database_max);
  add(Kind::kStorage, "storage " + storage.name, storage.name, limits.storage_max);
  return caps;
}

PoolShard::PoolShard(const PoolContext& context, Board& board, PoolSettings settings)
    : context_(context),
      board_(board),
      settings_(std::move(settings)),
      self_(context.siblings.self()),
      core_count_(context.siblings.count()),
      asked_(core_count_, 0),
      aging_timer_([](void* pool) { static_cast<PoolShard*>(pool)->CloseAged(); }, this),
      wait_timer_([](void* pool) { static_cast<PoolShard*>(pool)->OnWaitTimeout(); }, this),
      retry_timer_([](void* pool) { static_cast<PoolShard*>(pool)->Changed(); }, this),
      reserve_timer_([](void* pool) { static_cast<PoolShard*>(pool)->Changed(); }, this) {
  TRIREME_ASSERT(self_ < core_count_ && core_count_ <= board.core_count());
  if (settings_.pool.min_size > 0) {
    warm_due_ = true;
    Changed();
  }
}

PoolShard::~PoolShard() {
  TRIREME_ASSERT(waiters_.empty() && places_ == 0 && !changed_node.linked());
  context_.timers.Cancel(aging_timer_);
  context_.timers.Cancel(wait_timer_);
  context_.timers.Cancel(retry_timer_);
  context_.timers.Cancel(reserve_timer_);
}

// --- checkout and return -------------------------------------------------------------------------

void PoolShard::Checkout(Waiter& waiter, ServerUser& user, Duration patience) {
  TRIREME_ASSERT(!waiter.waiting());
  ++counters_.checkouts;
  waiter.user = &user;
  if (waiters_.empty() && !draining_ && !others_hungry()) [[likely]] {
    if (PooledServer* server = HottestIdle()) return Lend(*server, waiter);
  }
  waiter.since = context_.now;
  waiter.deadline = patience == 0s ? kNever : context_.now + patience;
  patience_differs_ |= patience != settings_.pool.wait_timeout;
  TRIREME_QUEUE(kWaits, this, &waiter);
  TRIREME_MUTATION(kWaitersLifo) ? waiters_.PushFront(waiter) : waiters_.PushBack(waiter);
  ++counters_.waits;
  ScheduleWaitTimeout(waiter.deadline);
  Changed();
}

void PoolShard::Leave(Waiter& waiter) {
  TRIREME_ASSERT(waiter.waiting());
  TRIREME_QUEUE(kLeft, this, &waiter);
  waiters_.Erase(waiter);
  Changed();  // what was asked for on its behalf becomes somebody else's
}

void PoolShard::Return(PooledServer& server, PoolMode mode) {
  TRIREME_ASSERT(server.state_ == State::kLent && server.pool_ == this);
  const PooledServer::Rest rest = server.rest();
  TRIREME_ASSERT(rest != PooledServer::Rest::kDirty);
  if (mode == PoolMode::kSession && !settings_.pool.reset_query.empty() &&
      !TRIREME_MUTATION(kForgetReset)) {
    Move(server, State::kSettling);
    return server.BeginCleaning(PooledServer::Cleaning::kReset);
  }
  if (server.held() || rest == PooledServer::Rest::kUnread) [[unlikely]] {
    Move(server, State::kSettling);
    return server.BeginCleaning(PooledServer::Cleaning::kWait);
  }
  Park(server);
}

void PoolShard::Abandon(PooledServer& server, AbandonReason reason) {
  TRIREME_ASSERT(server.state_ == State::kLent && server.pool_ == this);
  switch (reason) {
    case AbandonReason::kClientGone:
      Move(server, State::kSettling);
      return server.BeginCleaning(PooledServer::Cleaning::kAll);
    case AbandonReason::kBrokenMidMessage:
      return Close(server, CloseReason::kBrokenMidMessage);
    case AbandonReason::kProtocol:
      return Close(server, CloseReason::kProtocol);
    case AbandonReason::kTraces:
      return Close(server, CloseReason::kTraces);
  }
}

// The only place that lends. Who is called may come back into the pool at once.
void PoolShard::Lend(PooledServer& server, Waiter& waiter) {
  TRIREME_ASSERT(server.state_ == State::kIdle && !server.held() && waiter.user != nullptr);
  if (waiter.waiting()) {
    TRIREME_QUEUE(kServed, this, &waiter);
    waiters_.Erase(waiter);
    counters_.wait_ns += static_cast<uint64_t>((context_.now - waiter.since).count());
  }
  Move(server, State::kLent);
  server.user_ = waiter.user;
  server.Serve(waiter);
}

void PoolShard::Park(PooledServer& server) {
  if (draining_) [[unlikely]]
    return Close(server, CloseReason::kShutdown);
  if (retired(server)) [[unlikely]]
    return Close(server, CloseReason::kLifetime);
  Move(server, State::kIdle);
  ScheduleAging(std::min(server.retire_at_, IdleUntil(server)));
  Changed();
}

PooledServer* PoolShard::HottestIdle() {
  while (PooledServer* server = idle().front()) {
    if (!retired(*server)) [[likely]]
      return server;
    Close(*server, CloseReason::kLifetime);
  }
  return nullptr;
}

bool PoolShard::retired(const PooledServer& server) const {
  return server.retire_at_ != kNever && server.retire_at_ <= context_.now;
}

// --- the turn ------------------------------------------------------------------------------------

void PoolShard::RunGrants() {
  if (draining_) {
    RefuseAll({.severity = severity::kFatal,
               .sqlstate = sqlstate::kAdminShutdown,
               .message = "the pooler is shutting down"});
  }
  if (isolated_share() == 0) RefuseAll(NoShareError());
  MatchByAge();
  AnswerSteals();
  GrantSurplus();
  if (hopeless()) RefuseAll(*connect_error_);
}

// No server of the pool is alive on any core, the last attempt to make one failed, and the next one
// is not due yet: waiting leads nowhere, and the server's own words say most. A server that is
// starting up (57P03) is another matter: it will be there soon.
bool PoolShard::hopeless() const {
  return !waiters_.empty() && connect_error_.has_value() && board_.alive() == 0 &&
         connecting() == 0 && steals_pending_ == 0 && context_.now < retry_at_ &&
         connect_error_->sqlstate != sqlstate::kCannotConnectNow;
}

void PoolShard::Refuse(Waiter& waiter, const PgError& error) {
  TRIREME_QUEUE(kLeft, this, &waiter);
  waiters_.Erase(waiter);
  ++counters_.refusals;
  waiter.OnRefused(error);
}

// Only those that wait now: who is refused may come again.
void PoolShard::RefuseAll(const PgError& error) {
  const PgError kept = error;
  for (size_t left = waiters_.count(); left > 0 && !waiters_.empty(); --left) {
    Refuse(*waiters_.front(), kept);
  }
}

void PoolShard::Drain() {
  if (draining_) return;
  draining_ = true;
  while (PooledServer* server = idle().back()) Close(*server, CloseReason::kShutdown);
  Changed();
}

void PoolShard::Stop() {
  Drain();
  for (const State state : {State::kConnecting, State::kLogin, State::kSettling}) {
    while (PooledServer* server = ListOf(state).front()) Close(*server, CloseReason::kShutdown);
  }
}

bool PoolShard::Evict() {
  if (!can_evict()) return false;
  TRIREME_COVER(kEvicted);
  Close(*idle().back(), CloseReason::kEvicted);
  warm_again_at_ = context_.now + kWarmAgain;  // the place is for somebody who waits
  return true;
}

// --- servers report ------------------------------------------------------------------------------

void PoolShard::OnLoginBegun(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kConnecting);
  Move(server, State::kLogin);
}

void PoolShard::OnLogin(PooledServer& server, const ParameterSet& welcome) {
  TRIREME_ASSERT(server.state_ == State::kLogin);
  ++counters_.opened;
  server.logged_in_ = true;
  board_.AddAlive();
  board_.PublishWelcome(welcome);
  backoff_ = 0s;
  retry_at_ = {};
  connect_error_.reset();
  context_.host.OnServerOpened(server);
  Park(server);
}

void PoolShard::OnConnectFailed(PooledServer& server, const PgError& error) {
  TRIREME_ASSERT(server.state_ == State::kConnecting || server.state_ == State::kLogin);
  ++counters_.connect_failures;
  connect_error_ = error;
  const Time now = context_.now;
  if (now >= retry_at_) {  // the first failure of a batch; the others change nothing
    const StorageConfig& storage = settings_.storage;
    backoff_ = backoff_ == 0s ? storage.connect_backoff_min
                              : std::min(backoff_ * 2, storage.connect_backoff_max);
    TRIREME_COVER(kConnectBackOff);
    const auto half = static_cast<uint64_t>(backoff_.count()) / 2;
    retry_at_ = now + Duration(half + context_.random.Below(half + 1));
    RetryAt(retry_at_);
  }
  context_.host.OnConnectFailed(*this, error);
  Close(server, CloseReason::kConnectFailed);
}

void PoolShard::OnBusy(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kIdle);
  Move(server, State::kSettling);
  Changed();
}

void PoolShard::OnClean(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kSettling && !server.held() &&
                 server.rest() == PooledServer::Rest::kClean);
  Park(server);
}

void PoolShard::OnBroken(PooledServer& server, CloseReason reason) {
  TRIREME_ASSERT(server.state_ == State::kIdle || server.state_ == State::kLent ||
                 server.state_ == State::kSettling || server.state_ == State::kLeaving);
  Close(server, reason);
}

void PoolShard::OnClosed(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kClosing);
  ++counters_.closed;
  ListOf(State::kClosing).Erase(server);
  ReleasePlace();
  context_.host.FreeServer(server);
}

void PoolShard::Close(PooledServer& server, CloseReason reason) {
  TRIREME_ASSERT(server.state_ != State::kClosing);
  const bool orderly =
      reason == CloseReason::kIdleTimeout || reason == CloseReason::kLifetime ||
      reason == CloseReason::kEvicted || reason == CloseReason::kTraces ||
      (reason == CloseReason::kShutdown && server.rest() == PooledServer::Rest::kClean);
  if (server.state_ == State::kLeaving)
    OnLeaveFailed(server.leaving_to_, server.leaving_solicited_);
  if (server.logged_in_) {
    server.logged_in_ = false;
    board_.RemoveAlive();
    context_.host.OnServerClosing(server, reason);
  }
  Move(server, State::kClosing);
  server.BeginClose(orderly ? PooledServer::CloseKind::kOrderly : PooledServer::CloseKind::kAtOnce);
  Changed();
}

void PoolShard::Enter(PooledServer& server, State state) {
  server.pool_ = this;
  server.state_ = state;
  server.state_since_ = context_.now;
  ListOf(state).PushFront(server);
  ++places_;
}

void PoolShard::Move(PooledServer& server, State state) {
  TRIREME_ASSERT(server.pool_ == this && server.pool_node_.linked());
  ListOf(server.state_).Erase(server);
  server.state_ = state;
  server.state_since_ = context_.now;
  server.user_ = nullptr;  // Lend sets it
  ListOf(state).PushFront(server);
}

// --- what others may know ------------------------------------------------------------------------

uint32_t PoolShard::connecting() const {
  return static_cast<uint32_t>(ListOf(State::kConnecting).count() + ListOf(State::kLogin).count());
}

PoolShard::Counts PoolShard::counts() {
  const auto count = [this](State state) { return static_cast<uint32_t>(ListOf(state).count()); };
  Counts counts{.connecting = count(State::kConnecting),
                .login = count(State::kLogin),
                .idle = count(State::kIdle),
                .lent = count(State::kLent),
                .settling = count(State::kSettling),
                .leaving = count(State::kLeaving),
                .closing = count(State::kClosing),
                .waiting = static_cast<uint32_t>(waiters_.count())};
  if (Waiter* oldest = waiters_.front()) {
    counts.oldest_wait = context_.now - oldest->since;
  }
  return counts;
}

PoolShard::Counters& PoolShard::Counters::operator+=(const Counters& other) {
  checkouts += other.checkouts;
  waits += other.waits;
  wait_ns += other.wait_ns;
  refusals += other.refusals;
  steals_asked += other.steals_asked;
  steals_granted += other.steals_granted;
  steals_denied += other.steals_denied;
  steals_given += other.steals_given;
  steals_refused += other.steals_refused;
  grants_sent += other.grants_sent;
  grants_received += other.grants_received;
  nudges_received += other.nudges_received;
  opened += other.opened;
  connect_failures += other.connect_failures;
  closed += other.closed;
  return *this;
}

}  // namespace trireme
