// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/pools.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "side/name_lookup.h"

namespace trireme {

// Work on a side thread for a server that may be gone when the answer comes.
struct LookupJob {
  LookupJob(Pools* for_pools, Handle for_server, uint32_t for_host)
      : pools(for_pools), server(for_server), host_index(for_host) {}

  static void Finished(NameLookup& lookup) {
    const std::unique_ptr<LookupJob> job(static_cast<LookupJob*>(lookup.owner()));
    --job->pools->jobs_;
    Server* server = job->pools->servers_.Find(job->server);
    if (server != nullptr) server->OnLookup(job->host_index, lookup.result());
  }

  Pools* const pools;
  const Handle server;
  const uint32_t host_index;
  NameLookup lookup{Finished, this};
};

struct KeyJob : Job {
  KeyJob(Pools* for_pools, Handle for_server, const ScramKeyRequest& request)
      : Job(Work, Done), pools(for_pools), server(for_server), derivation(request) {}
  ~KeyJob() { SecureZero(std::as_writable_bytes(std::span(&keys, 1))); }

  static void Work(Job& job) {
    auto& self = static_cast<KeyJob&>(job);
    self.keys = self.derivation.Run();
  }
  static void Done(Job& job) {
    const std::unique_ptr<KeyJob> self(&static_cast<KeyJob&>(job));
    --self->pools->jobs_;
    Server* server = self->pools->servers_.Find(self->server);
    if (server == nullptr) return;
    self->state == State::kWorked ? server->OnKeys(self->keys) : server->OnNoKeys();
  }

  Pools* const pools;
  const Handle server;
  const ScramKeyJob derivation;
  ScramKeys keys{};
};

Pools::Pools(const PoolsContext& context) : context_(context), servers_(kServersMax) {}

Pools::~Pools() {
  TRIREME_ASSERT(jobs_ == 0 && cancels_.empty() && closed_cancels_.empty() && closed_.empty());
  while (!changed_.empty()) changed_.PopFront();
}

// --- pools ---------------------------------------------------------------------------------------

PgResult<PoolShard*> Pools::Find(const Target& target) {
  if (const auto found = by_key_.find(target.key); found != by_key_.end()) return found->second;
  PoolSettings settings = PoolSettings::From(context_.config, target);
  Board* board = context_.directory.FindOrCreate(settings.key, settings.Caps());
  if (board == nullptr) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kConfigurationLimitExceeded,
                   .message = absl::StrCat("no room for pool \"", settings.name, "\": there are ",
                                           context_.directory.count(), " pools already"),
                   .hint = "Raise limits.pools_max, or let clients share a storage user."};
  }
  PoolShard& pool = Add(*board, std::move(settings));
  by_key_.emplace(target.key, &pool);
  by_board_.emplace(board, &pool);
  return &pool;
}

PoolShard& Pools::MakeForReplication(const Target& target, const ReplicationRequest& request) {
  PoolSettings settings = PoolSettings::From(context_.config, target, request);
  std::unique_ptr<Board> board = context_.directory.CreateUnlisted(settings.key, settings.Caps());
  PoolShard& pool = Add(*board, std::move(settings));
  unlisted_.emplace(&pool, std::move(board));
  return pool;
}

PoolShard& Pools::Add(Board& board, PoolSettings settings) {
  const PoolContext context{.host = *this,
                            .now = context_.streams.ring().clock(),
                            .timers = context_.timers,
                            .random = context_.random,
                            .siblings = context_.siblings,
                            .sharing = context_.config.sharing,
                            .hand_overs = hand_overs_};
  pools_.push_back(std::make_unique<PoolShard>(context, board, std::move(settings)));
  if (draining_) pools_.back()->Drain();
  return *pools_.back();
}

void Pools::Warm() {
  const std::vector<RouteConfig>& routes = context_.config.routes;
  for (size_t i = context_.siblings.self(); i < routes.size(); i += context_.siblings.count()) {
    if (routes[i].pool.min_size == 0) continue;
    if (const std::optional<Target> target = ResolveAhead(context_.config, routes[i]))
      Find(*target);
  }
}

PoolShard* Pools::FindByBoard(const Board* board) const {
  const auto found = by_board_.find(board);
  return found == by_board_.end() ? nullptr : found->second;
}

void Pools::OnMail(const PoolMail& mail) {
  if (PoolShard* pool = FindByBoard(mail.board)) return pool->OnMail(mail);
  // Only a core with waiters or idle servers of the pool is asked or given anything, and a pool
  // that was made stays; so this is mail that carries nothing.
  TRIREME_ASSERT(mail.kind != PoolMail::Kind::kGrant);
  if (mail.kind != PoolMail::Kind::kSteal) return;
  context_.siblings.Send(mail.from_core, {.kind = PoolMail::Kind::kDeny,
                                          .solicited = false,
                                          .from_core = context_.siblings.self(),
                                          .board = mail.board,
                                          .passport = nullptr});
}

void Pools::MarkChanged(PoolShard& pool) {
  if (!pool.changed_node.linked()) changed_.PushBack(pool);
}

// Serving a waiter may return a server at once, which changes the pool again: a few rounds take
// that up in this turn; what still goes on then is for the next one.
void Pools::EndOfTurn() {
  constexpr int kRoundsMax = 4;
  if (!retries_.empty()) [[unlikely]]
    RunRetries();
  for (int round = 0; round < kRoundsMax && !changed_.empty(); ++round) {
    for (size_t left = changed_.count(); left > 0; --left) {
      PoolShard* pool = changed_.PopFront();
      if (!pool->publish_node.linked()) publish_.PushBack(*pool);
      pool->RunGrants();
    }
  }
  bool look_again = false;
  for (PoolShard* pool = publish_.front(); pool != nullptr; pool = publish_.next(*pool)) {
    look_again |= pool->Publish();
  }
  if (look_again) FenceBoards();  // partner: the same fence of another core, and ReleasePlace
  while (PoolShard* pool = publish_.PopFront()) {
    if (look_again) pool->LookAgain();
    if (!unlisted_.empty()) [[unlikely]]
      unlisted_due_ |= pool->settings().replication != Replication::kNone;
  }
  if (!closed_.empty() || !closed_cancels_.empty()) [[unlikely]]
    FreeClosed();
  if (unlisted_due_) [[unlikely]]
    FreeUnlisted();
}

void Pools::RunRetries() {
  for (const Handle handle : std::exchange(retries_, {})) {
    if (Server* server = servers_.Find(handle)) server->OnRetryConnect();
  }
}

void Pools::FreeClosed() {
  for (Server* server : closed_) servers_.Free(server);
  closed_.clear();
  for (CancelConnection* cancel : closed_cancels_) delete cancel;
  closed_cancels_.clear();
}

// What still changes comes back here at the end of the next turn.
void Pools::FreeUnlisted() {
  unlisted_due_ = false;
  for (auto entry = unlisted_.begin(); entry != unlisted_.end();) {
    const PoolShard* const pool = entry->first;
    if (!pool->at_rest()) {
      ++entry;
      continue;
    }
    freed_pools_ += pool->counters();
    std::erase_if(pools_, [pool](const auto& each) { return each.get() == pool; });
    unlisted_.erase(entry++);
  }
}

void Pools::Drain() {
  draining_ = true;
  for (const auto& pool : pools_) pool->Drain();
}

void Pools::Stop() {
  draining_ = stopped_ = true;
  for (const auto& pool : pools_) pool->Stop();
  for (CancelConnection* cancel = cancels_.front(); cancel != nullptr;
       cancel = cancels_.next(*cancel)) {
    cancel->Hurry();
  }
}

void Pools::Discard(const PoolMail& mail) {
  if (mail.kind != PoolMail::Kind::kGrant) return;
  const std::unique_ptr<ServerPassport> passport(mail.passport);
  DiscardPassport(*passport);
  mail.board->RemoveAlive();
  mail.board->Release();
}

// --- servers -------------------------------------------------------------------------------------

PooledServer* Pools::OpenServer(PoolShard&) {
  const uint64_t id = servers_made_++ * context_.siblings.count() + context_.siblings.self() +
                      1;  // of no other core
  return servers_.New(*this, id);
}

PooledServer* Pools::AdoptServer(PoolShard&, ServerPassport& passport) {
  return servers_.New(*this, passport);
}

void Pools::DiscardPassport(ServerPassport& passport) {
  context_.streams.ring().Close(std::exchange(passport.fd, -1));
}

void Pools::FreeServer(PooledServer& server) {
  unlisted_due_ |= server.pool().settings().replication != Replication::kNone;
  closed_.push_back(static_cast<Server*>(&server));
}

// Pools that share a cap with `board`; its own are nudged by PoolShard.
void Pools::OnPlaceReleased(Board& board) {
  if (board.shared().empty()) return;
  const uint32_t self = context_.siblings.self();
  const uint32_t count = context_.siblings.count();
  for (const auto& pool : pools_) {
    if (&pool->board() == &board || !pool->has_waiters()) continue;
    if (pool->board().shares_with(board)) MarkChanged(*pool);
  }
  if (count == 1) return;
  context_.directory.ForEach([&](Board& other) {
    if (&other == &board || !other.hungry_cores().AnyBut(self, count)) return;
    if (!other.shares_with(board)) return;
    const CoreSet& cores = other.hungry_cores();
    for (uint32_t core = cores.Next(0, count); core < count; core = cores.Next(core + 1, count)) {
      if (core == self) continue;
      context_.siblings.Send(core, {.kind = PoolMail::Kind::kNudge,
                                    .solicited = false,
                                    .from_core = self,
                                    .board = &other,
                                    .passport = nullptr});
    }
  });
}

// Of the pools of this core the one whose idle server has been idle longest, else any of another.
void Pools::WantPlace(Board& board, const Quota& full) {
  const uint32_t self = context_.siblings.self();
  const uint32_t count = context_.siblings.count();
  PoolShard* coldest = nullptr;
  for (const auto& pool : pools_) {
    if (&pool->board() == &board || !pool->board().shares(full) || !pool->can_evict()) continue;
    if (coldest == nullptr || pool->coldest_since() < coldest->coldest_since())
      coldest = pool.get();
  }
  if (coldest != nullptr && coldest->Evict()) return;
  bool asked = count == 1;
  context_.directory.ForEach([&](Board& other) {
    if (asked || &other == &board || !other.shares(full)) return;
    for (uint32_t core = 0; core < count && !asked; ++core) {
      // Partner: Publish of that core. A hint: it may have none left when it reads this.
      if (core == self || other.line(core).idle.load(std::memory_order_relaxed) == 0) continue;
      asked = true;
      context_.siblings.Send(core, {.kind = PoolMail::Kind::kEvict,
                                    .solicited = false,
                                    .from_core = self,
                                    .board = &other,
                                    .passport = nullptr});
    }
  });
}

bool Pools::OthersWant(const Board& board) {
  if (board.shared().empty()) return false;
  for (const auto& pool : pools_) {
    if (pool->has_waiters() && pool->board().shares_with(board)) return true;
  }
  bool wanted = false;
  const uint32_t self = context_.siblings.self();
  const uint32_t count = context_.siblings.count();
  context_.directory.ForEach([&](Board& other) {
    wanted |= other.hungry_cores().AnyBut(self, count) && other.shares_with(board);
  });
  return wanted;
}

void Pools::OnServerOpened(const PooledServer& server) {
  const auto& opened = static_cast<const Server&>(server);
  context_.log.Debug("server connected", {{"server", opened.id()},
                                          {"pool", server.pool().settings().name},
                                          {"address", opened.address().Text()}});
}

void Pools::OnServerClosing(const PooledServer& server, CloseReason reason) {
  const auto& closing = static_cast<const Server&>(server);
  const bool expected = reason == CloseReason::kIdleTimeout || reason == CloseReason::kLifetime ||
                        reason == CloseReason::kEvicted ||
                        reason == CloseReason::kReplicationOver || reason == CloseReason::kShutdown;
  context_.log.Log(expected ? LogLevel::kDebug : LogLevel::kInfo, "server closing",
                   {{"server", closing.id()},
                    {"pool", server.pool().settings().name},
                    {"reason", ToString(reason)}});
}

void Pools::OnConnectFailed(const PoolShard& pool, const PgError& error) {
  context_.log.Warning("server connection failed",
                       {{"pool", pool.settings().name}, {"error", ToString(error)}});
}

void Pools::BeginCancel(Server& server, CancelObserver* observer) {
  auto* cancel = new CancelConnection(*this, LineOf(server), server, observer);
  cancels_.PushBack(*cancel);
  cancel->Begin();
  if (stopped_) cancel->Hurry();
}

void Pools::OnCancelEnded(CancelConnection& cancel) {
  cancels_.Erase(cancel);
  closed_cancels_.push_back(&cancel);
}

// storage.cancels_max is for all cores; each has its part, and one at least.
CancelLine& Pools::LineOf(const Server& server) {
  const StorageConfig& storage = server.pool().settings().storage;
  const uint32_t cores = context_.siblings.count();
  const uint32_t most =
      storage.cancels_max == 0 ? UINT32_MAX : std::max(storage.cancels_max / cores, 1u);
  return cancel_lines_.try_emplace(storage.name, most).first->second;
}

void Pools::ForgetServer(Server& server) {
  for (CancelConnection* cancel = cancels_.front(); cancel != nullptr;
       cancel = cancels_.next(*cancel)) {
    if (cancel->server_ == &server) cancel->server_ = nullptr;
  }
}

void Pools::RetryConnect(Server& server) { retries_.push_back(servers_.HandleOf(&server)); }

void Pools::LookUp(Server& server, uint32_t host_index) {
  const HostConfig& host = server.pool().settings().storage.hosts[host_index];
  auto job = std::make_unique<LookupJob>(this, servers_.HandleOf(&server), host_index);
  if (!job->lookup.Begin(context_.crew, context_.siblings.self(),
                         {.host = host.host, .port = host.port})) {
    return server.OnLookup(host_index, Unavailable("the side threads are overloaded"));
  }
  ++jobs_;
  static_cast<void>(job.release());  // Finished deletes it
}

void Pools::DeriveKeys(Server& server, const ScramKeyRequest& request) {
  auto job = std::make_unique<KeyJob>(this, servers_.HandleOf(&server), request);
  if (!context_.crew.Submit(context_.siblings.self(), *job)) return server.OnNoKeys();
  ++jobs_;
  static_cast<void>(job.release());  // Done deletes it
}

// --- numbers -------------------------------------------------------------------------------------

Pools::Resources Pools::resources() const {
  Resources resources{.pools = static_cast<uint32_t>(pools_.size()),
                      .servers = servers_.count(),
                      .cancels = static_cast<uint32_t>(cancels_.count() + closed_cancels_.size()),
                      .jobs = jobs_};
  for (const auto& pool : pools_) resources.waiters += pool->counts().waiting;
  return resources;
}

PoolShard::Counters Pools::Totals() const {
  PoolShard::Counters totals = freed_pools_;
  for (const auto& pool : pools_) totals += pool->counters();
  return totals;
}

}  // namespace trireme
