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
    case CloseReason::kCheckFailed:
      return "check query failed";
    case CloseReason::kBrokenMidMessage:
      return "client left in the middle of a message";
    case CloseReason::kMidQuery:
      return "client left in the middle of a query";
    case CloseReason::kMidTransaction:
      return "client left in a transaction";
    case CloseReason::kProtocol:
      return "protocol violation";
    case CloseReason::kTraces:
      return "a client left what no reset undoes";
    case CloseReason::kReplicationOver:
      return "its replication client has gone";
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

// The settings of the route come first: where both say something, the client's are the last word.
// Nobody waits for its server but the client, so it has no size and is not kept warm; the caps that
// it shares with others hold.
PoolSettings PoolSettings::From(const Config& config, const Target& target,
                                const ReplicationRequest& request) {
  PoolSettings settings = From(config, target);
  settings.replication = request.kind;
  settings.pool.min_size = settings.pool.reserve_size = 0;
  settings.shared_pool.clear();
  settings.startup_parameters.insert(settings.startup_parameters.end(),
                                     request.startup_parameters.begin(),
                                     request.startup_parameters.end());
  return settings;
}

// Keys of names that may hold any byte: what can vary in length stands last, or says how long it
// is.
BoardLimits PoolSettings::Caps() const {
  using Kind = SharedCap::Kind;
  BoardLimits caps{.size = pool.size, .min_size = pool.min_size, .reserve_size = pool.reserve_size};
  if (replication != Replication::kNone) caps = {};
  const auto add = [&](Kind kind, std::string what, std::string text, uint32_t cap) {
    if (cap > 0) caps.shared.push_back({kind, std::move(what), std::move(text), cap});
  };
  if (!shared_pool.empty()) add(Kind::kPool, "pool " + shared_pool, shared_pool, pool.size);
  add(Kind::kUser, "user " + storage_user, storage_user, limits.user_max);
  if (replication != Replication::kPhysical) {  // that one is in no database
    add(Kind::kDatabase,
        absl::StrCat("database ", storage.name.size(), " ", storage.name, storage_database),
        storage_database, limits.database_max);
  }
  add(Kind::kStorage, "storage " + storage.name, storage.name, limits.storage_max);
  return caps;
}

namespace {

// A host that cannot be reached, or a server that is starting up, may be there soon: a restart is
// waited out. What a server says to a login it will say again.
bool MayPass(const PgError& connect_error) {
  return connect_error.sqlstate == sqlstate::kSqlclientUnableToEstablishSqlconnection ||
         connect_error.sqlstate == sqlstate::kCannotConnectNow;
}

}  // namespace

PoolShard::PoolShard(const PoolContext& context, Board& board, PoolSettings settings)
    : context_(context),
      board_(board),
      settings_(std::move(settings)),
      self_(context.siblings.self()),
      core_count_(context.siblings.count()),
      steals_(context.sharing.policy == Sharing::kSteal && core_count_ > 1),
      page_(context.sharing.policy == Sharing::kSharedMutex
                ? std::make_unique<BookPage>(board.MakeBook())
                : nullptr),
      check_delay_(settings_.pool.check_query.empty() ? kNoCheck : settings_.pool.check_delay),
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
  if (page_ != nullptr) [[unlikely]]
    return CheckoutByBook(waiter, patience);
  if (waiters_.empty() && !draining_ && !others_hungry()) [[likely]] {
    PooledServer* server = HottestIdle();
    if (server != nullptr && !stale(*server)) [[likely]]
      return Lend(*server, waiter);
  }
  Queue(waiter, patience);
}

void PoolShard::Queue(Waiter& waiter, Duration patience) {
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
  if (page_ != nullptr) LeaveBook(waiter);
  waiters_.Erase(waiter);
  Changed();  // what was asked for on its behalf becomes somebody else's
}

void PoolShard::Return(PooledServer& server, PoolMode mode) {
  TRIREME_ASSERT(server.state_ == State::kLent && server.pool_ == this);
  const PooledServer::Rest rest = server.rest();
  TRIREME_ASSERT(rest != PooledServer::Rest::kDirty);
  if (mode == PoolMode::kSession || settings_.pool.reset != ResetPolicy::kSession) [[unlikely]] {
    server.used_ = true;
    const bool due = ResetIsDue(server);
    server.dirty_ = false;
    if (due && !TRIREME_MUTATION(kForgetReset)) {
      Move(server, State::kSettling);
      return server.BeginCleaning(PooledServer::Cleaning::kReset);
    }
  }
  ParkOrWait(server, rest);
}

void PoolShard::ReturnUnused(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kLent && server.pool_ == this);
  const PooledServer::Rest rest = server.rest();
  TRIREME_ASSERT(rest != PooledServer::Rest::kDirty);
  ParkOrWait(server, rest);
}

void PoolShard::ParkOrWait(PooledServer& server, PooledServer::Rest rest) {
  if (server.held() || rest == PooledServer::Rest::kUnread) [[unlikely]] {
    Move(server, State::kSettling);
    return server.BeginCleaning(PooledServer::Cleaning::kWait);
  }
  Park(server);
}

// After a client of session mode, or of any mode where the policy is not for that mode alone.
bool PoolShard::ResetIsDue(const PooledServer& server) const {
  if (settings_.pool.reset_query.empty()) return false;
  return settings_.pool.reset != ResetPolicy::kWhenDirty || server.dirty();
}

void PoolShard::Abandon(PooledServer& server, AbandonReason reason) {
  TRIREME_ASSERT(server.state_ == State::kLent && server.pool_ == this);
  switch (reason) {
    case AbandonReason::kClientGone:
      server.used_ = true;
      Move(server, State::kSettling);
      return server.BeginCleaning(PooledServer::Cleaning::kAll);
    case AbandonReason::kBrokenMidMessage:
      return Close(server, CloseReason::kBrokenMidMessage);
    case AbandonReason::kProtocol:
      return Close(server, CloseReason::kProtocol);
    case AbandonReason::kTraces:
      return Close(server, CloseReason::kTraces);
    case AbandonReason::kReplicationOver:
      return Close(server, CloseReason::kReplicationOver);
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
  MoveFrom(State::kIdle, server, State::kLent);
  server.user_ = waiter.user;
  server.Serve(waiter);
}

void PoolShard::Park(PooledServer& server) {
  if (draining_) [[unlikely]]
    return Close(server, CloseReason::kShutdown);
  if (retired(server)) [[unlikely]]
    return Close(server, CloseReason::kLifetime);
  if (page_ != nullptr && server.state_ != State::kIdle) [[unlikely]]
    ++page_->unbooked;
  Move(server, State::kIdle);
  server.heard_at_ = context_.now;
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

// It comes back to the idle list, and the waiter who is the oldest then gets it.
void PoolShard::BeginCheck(PooledServer& server) {
  Move(server, State::kSettling);
  server.checking_ = true;
  ++checking_;
  server.BeginCleaning(PooledServer::Cleaning::kCheck);
}

// However it ended.
void PoolShard::EndCheck(PooledServer& server) {
  if (std::exchange(server.checking_, false)) --checking_;
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
  if (page_ != nullptr) [[unlikely]] {
    SettleByBook();
  } else {
    MatchByAge();
    AnswerSteals();
    GrantSurplus();
  }
  if (hopeless()) RefuseAll(*connect_error_);
  if (settings_.replication != Replication::kNone) [[unlikely]]
    CloseUnwanted();
}

// Of a replication connection: the client for which it was opened has gone meanwhile.
void PoolShard::CloseUnwanted() {
  if (!waiters_.empty()) return;
  while (PooledServer* server = idle().front()) Close(*server, CloseReason::kReplicationOver);
}

// No server that could come here is alive, the last login was refused, and the next one is not due
// yet: waiting leads nowhere, and the server's own words say most.
bool PoolShard::hopeless() const {
  return !waiters_.empty() && connect_error_.has_value() && !MayPass(*connect_error_) &&
         alive_for_us() == 0 && connecting() == 0 && steals_pending_ == 0 &&
         context_.now < retry_at_;
}

uint32_t PoolShard::alive_for_us() const {
  if (context_.sharing.policy != Sharing::kIsolated) return board_.alive();
  const size_t mine = ListOf(State::kIdle).count() + ListOf(State::kLent).count() +
                      ListOf(State::kSettling).count();
  return static_cast<uint32_t>(mine);
}

void PoolShard::Refuse(Waiter& waiter, const PgError& error) {
  TRIREME_QUEUE(kLeft, this, &waiter);
  if (page_ != nullptr) LeaveBook(waiter);
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
  if (!can_evict() || (page_ != nullptr && !TakeFromBook())) return false;
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
  if (page_ != nullptr) LoseIdle();
  Move(server, State::kSettling);
  Changed();
}

void PoolShard::OnClean(PooledServer& server) {
  TRIREME_ASSERT(server.state_ == State::kSettling && !server.held() &&
                 server.rest() == PooledServer::Rest::kClean);
  EndCheck(server);
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
  EndCheck(server);
  if (page_ != nullptr && server.state_ == State::kIdle) LoseIdle();
  const bool orderly =
      reason == CloseReason::kIdleTimeout || reason == CloseReason::kLifetime ||
      reason == CloseReason::kEvicted || reason == CloseReason::kTraces ||
      reason == CloseReason::kReplicationOver || reason == CloseReason::kMidTransaction ||
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
