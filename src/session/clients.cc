// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/clients.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "session/report.h"
#include "side/crew.h"
#include "wire/writer.h"

namespace trireme {

// --- counts ---

ClientCounts::ClientCounts(size_t route_count)
    : routes_(std::make_unique<std::atomic<uint32_t>[]>(route_count)) {}

bool ClientCounts::TryAdd(std::atomic<uint32_t>& count, uint32_t limit) {
  // Relaxed: the number itself is all that is shared.
  uint32_t now = count.load(std::memory_order_relaxed);
  do {
    if (limit != 0 && now >= limit) return false;
  } while (!count.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

void ClientCounts::Remove(std::atomic<uint32_t>& count) {
  const uint32_t before = count.fetch_sub(1, std::memory_order_relaxed);
  TRIREME_ASSERT(before > 0);
}

namespace {

enum class Names : uint8_t { kUser, kAll };

void ReleaseNames(Account& account, Names names) {
  if (account.user_clients != nullptr) account.user_clients->Release();
  if (names == Names::kUser) return;
  if (account.database_clients != nullptr) account.database_clients->Release();
}

}  // namespace

// --- life ---

Clients::Clients(const ClientsContext& context)
    : context_(context),
      request_limits_{.message_bytes_max = context.config.limits.message_bytes_max,
                      .expected_replies_max = context.config.limits.expected_replies_max,
                      .statement_bytes_max = context.config.limits.client_statement_bytes_max},
      statements_(context.id_secret),
      effects_(EffectsCache::Limits{}, {context.id_secret, ~context.id_secret}),
      // Beyond clients_max: connections that are logging in, cancelling, or being told that it is
      // full.
      clients_(static_cast<uint32_t>(std::min<uint64_t>(
          kCancelSlotsMax, uint64_t{2} * context.config.limits.clients_max + 1024))),
      period_timer_([](void* owner) { static_cast<Clients*>(owner)->OnPeriod(); }, this),
      next_id_(uint64_t{context.core} << 48) {
  OnPeriod();
}

Clients::~Clients() {
  timers().Cancel(period_timer_);
  EndOfTurn();
  TRIREME_ASSERT(at_rest());
}

void Clients::OnAccept(Client::Arrival arrival) {
  Client* client = draining_ ? nullptr : clients_.New(*this, NextId());
  if (client == nullptr) {
    streams().ring().Close(arrival.fd);
    ++freed_;
    return;
  }
  client->Begin(arrival);
}

// Ids stand in logs and on the console: they tell connections apart and nothing else, neither cores
// nor counts. One-to-one on 64 bits (the finisher of splitmix64); the last bit goes, for signed
// columns.
uint64_t Clients::NextId() {
  uint64_t z = ++next_id_ ^ context_.id_secret;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) >> 1;
}

void Clients::FreeBuried() {
  buried_ = false;
  delivered_.clear();
  closed_logins_.clear();
  closed_consoles_.clear();
  freed_ += static_cast<uint32_t>(closed_.size());
  for (Client* client : closed_) clients_.Free(client);
  closed_.clear();
}

void Clients::Bury(Client& client) {
  if (client.account_ != nullptr) {
    client.account_->counters.bytes_received += client.stream().bytes_received();
    client.account_->counters.bytes_sent += client.stream().bytes_sent();
  }
  closed_.push_back(&client);
  buried_ = true;
}
void Clients::Bury(std::unique_ptr<Login> login) {
  closed_logins_.push_back(std::move(login));
  buried_ = true;
}
void Clients::Bury(std::unique_ptr<ConsoleSession> console) {
  buried_ = true;
  closed_consoles_.push_back(std::move(console));
}

void Clients::Drain() {
  draining_ = true;
  clients_.ForEach([](Client& client) { client.Drain(); });
}

void Clients::EndAll() {
  draining_ = true;
  clients_.ForEach([this](Client& client) { client.EndNow(ShutdownError()); });
}

PgError Clients::ShutdownError() const {
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kAdminShutdown,
          .message = "terminating connection due to administrator command",
          .detail = "The pooler is shutting down."};
}

// Every core rolls at the same multiples of the period, so that their sums are of one window.
void Clients::OnPeriod() {
  for (const auto& account : accounts_) account->period.Roll(TotalsOf(*this, *account));
  const Duration into = now().time_since_epoch() % kStatsPeriod;
  timers().Schedule(period_timer_, now() + (kStatsPeriod - into));
}

void Clients::OnSnapshot(Handle requester, const FleetSnapshot& fleet) {
  Client* client = clients_.Find(requester);
  if (client != nullptr && client->console_session() != nullptr)
    client->console_session()->OnSnapshot(fleet);
}

// --- accounts and limits ---

PgResult<Account*> Clients::FindAccount(const Target& target, const AccountKey& wanted) {
  const std::tuple<std::string, std::string, Replication> key(
      wanted.names.database, wanted.names.user, wanted.replication);
  if (const auto found = by_name_.find(key); found != by_name_.end()) return found->second;
  if (accounts_.size() >= config().limits.pools_max) {
    return PgError{
        .severity = severity::kFatal,
        .sqlstate = sqlstate::kConfigurationLimitExceeded,
        .message = "too many different databases and users",
        .detail = "limits.pools_max is " + std::to_string(config().limits.pools_max) + ".",
        .hint = "Raise limits.pools_max."};
  }
  auto account = std::make_unique<Account>();
  account->database = wanted.names.database;
  account->user = wanted.names.user;
  account->limits = ClientLimits::Of(config(), *target.route, *target.user);
  account->replication = wanted.replication;
  if (wanted.replication == Replication::kNone) {
    PgResult<PoolShard*> pool = pools().Find(target);
    if (const auto* error = std::get_if<PgError>(&pool)) return *error;
    account->mode = target.mode;
    account->pool = std::get<PoolShard*>(pool);
  } else {  // a stream that runs for days is neither an overdue query nor idle
    account->mode = PoolMode::kSession;
    account->limits = {.wait = account->limits.wait};
  }
  account->route_index = static_cast<uint32_t>(target.route - config().routes.data());
  account->user_index = static_cast<uint32_t>(target.user - config().users.data());
  QuotaTable& names_counted = context_.counts.names();
  const LimitsConfig& limits = config().limits;
  if (const uint32_t most = target.user->clients_max.value_or(limits.user_clients_max); most > 0) {
    account->user_clients = &names_counted.FindOrCreate("user " + account->user, most);
  }
  if (limits.database_clients_max > 0) {
    account->database_clients =
        &names_counted.FindOrCreate("database " + account->database, limits.database_clients_max);
  }
  accounts_.push_back(std::move(account));
  return by_name_[key] = accounts_.back().get();
}

const StoredSecret& Clients::SecretOf(const UserConfig& user) {
  const auto index = static_cast<size_t>(&user - config().users.data());
  if (secrets_.empty()) secrets_.resize(config().users.size());
  std::unique_ptr<const StoredSecret>& secret = secrets_[index];
  if (secret == nullptr) {
    Result<StoredSecret> parsed = ParseStoredSecret(user.secret.text);
    // The loader has refused what is none.
    secret = parsed.ok() ? std::make_unique<const StoredSecret>(*std::move(parsed))
                         : std::make_unique<const StoredSecret>(NoSecret{});
  }
  return *secret;
}

std::optional<PgError> Clients::Admit(Client& client, Account& account) {
  const Config& settings = config();
  const RouteConfig& route = settings.routes[account.route_index];
  const auto full = [](std::string what, uint32_t limit, std::string option) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kTooManyConnections,
                   .message = "sorry, too many clients already",
                   .detail = what + " has " + std::to_string(limit) + " of at most " +
                             std::to_string(limit) + " client connections.",
                   .hint = "Raise " + option + ", or close idle connections."};
  };
  // The narrowest first: who is turned away by a wider one has kept nobody else out meanwhile.
  ClientCounts& counts = context_.counts;
  if (account.user_clients != nullptr && !account.user_clients->TryReserve()) {
    const bool own = settings.users[account.user_index].clients_max.has_value();
    return full("User \"" + account.user + "\"", account.user_clients->cap(),
                own ? "the user's clients_max" : "limits.user_clients_max");
  }
  if (account.database_clients != nullptr && !account.database_clients->TryReserve()) {
    ReleaseNames(account, Names::kUser);
    return full("Database \"" + account.database + "\"", account.database_clients->cap(),
                "limits.database_clients_max");
  }
  if (!ClientCounts::TryAdd(counts.of_route(account.route_index), route.clients_max)) {
    ReleaseNames(account, Names::kAll);
    return full("The route for database \"" + route.database + "\" and user \"" + route.user + "\"",
                route.clients_max, "the route's clients_max");
  }
  if (!ClientCounts::TryAdd(counts.total(), settings.limits.clients_max)) {
    ReleaseNames(account, Names::kAll);
    ClientCounts::Remove(counts.of_route(account.route_index));
    return full("The pooler", settings.limits.clients_max, "limits.clients_max");
  }
  ++account.clients;
  ++account.counters.logins;
  client.account_ = &account;
  return std::nullopt;
}

void Clients::OnClientClosing(Client& client, std::string_view reason) {
  Account* account = client.account_;
  if (account != nullptr) {
    --account->clients;
    ClientCounts::Remove(context_.counts.total());
    ClientCounts::Remove(context_.counts.of_route(account->route_index));
    ReleaseNames(*account, Names::kAll);
  }
  if (account != nullptr && config().log.disconnections && log().Enabled(LogLevel::kInfo)) {
    log().Info("client disconnected", {{"client", client.id()},
                                       {"user", account->user},
                                       {"database", account->database},
                                       {"reason", reason},
                                       {"age_ms", Milliseconds(now() - client.connected_at())}});
  }
}

// --- cancel requests ---

// One cancel of a query that runs here, until PostgreSQL has taken it.
class Clients::Cancel final : public CancelObserver {
 public:
  Cancel(Clients& clients, std::unique_ptr<CancelMail> request)
      : mail(std::move(request)), clients_(clients) {}
  void OnCancelEnd() override { clients_.OnCancelDelivered(*this); }

  std::unique_ptr<CancelMail> mail;

 private:
  Clients& clients_;
};

uint32_t Clients::CancelIdOf(const Client& client) const {
  return context_.cancel_ids.Encode({.core = context_.core, .slot = HandleOf(client).index});
}

void Clients::RouteCancel(Client& requester, uint32_t process_id, Bytes secret) {
  auto mail = std::make_unique<CancelMail>();
  mail->from_core = context_.core;
  mail->requester = HandleOf(requester);
  mail->process_id = process_id;
  mail->secret.assign(secret.begin(), secret.end());
  const CancelTarget target = context_.cancel_ids.Decode(process_id);
  if (target.core == context_.core) {
    Deliver(std::move(mail));
  } else if (target.core < context_.siblings.count()) {
    context_.siblings.Send(target.core, std::move(mail));
  } else {
    Finish(std::move(mail));
  }
}

void Clients::OnMail(std::unique_ptr<CancelMail> mail) {
  if (mail->done) {
    Finish(std::move(mail));
  } else {
    Deliver(std::move(mail));
  }
}

void Clients::Deliver(std::unique_ptr<CancelMail> mail) {
  const CancelTarget target = context_.cancel_ids.Decode(mail->process_id);
  Client* client = clients_.FindByIndex(target.slot);
  if (client == nullptr || !client->ProvesKey(mail->secret)) {
    log().Info(
        "cancel request with a wrong or stale key");  // as silent to the sender as PostgreSQL
    return Finish(std::move(mail));
  }
  cancels_.push_back(std::make_unique<Cancel>(*this, std::move(mail)));
  Cancel& cancel = *cancels_.back();
  if (!client->CancelRequest(&cancel)) OnCancelDelivered(cancel);
}

void Clients::OnCancelDelivered(Cancel& cancel) {
  const auto found = std::find_if(cancels_.begin(), cancels_.end(),
                                  [&cancel](const auto& each) { return each.get() == &cancel; });
  TRIREME_ASSERT(found != cancels_.end());
  std::unique_ptr<CancelMail> mail = std::move(cancel.mail);
  delivered_.push_back(std::move(*found));  // we may be inside its call
  buried_ = true;
  cancels_.erase(found);
  Finish(std::move(mail));
}

// The asker's connection is closed when the cancel has been delivered: until then its owner may
// rely on it.
void Clients::Finish(std::unique_ptr<CancelMail> mail) {
  if (mail->from_core != context_.core) {
    mail->done = true;
    const uint32_t core = mail->from_core;
    context_.siblings.Send(core, std::move(mail));
    return;
  }
  Client* requester = clients_.Find(mail->requester);
  if (requester != nullptr) requester->Close("cancel request done", Client::Farewell::kFlush);
}

// --- key derivation ---

struct Clients::KeyJob final : Job {
  KeyJob(Clients& owner, Handle handle, const ScramKeyRequest& request)
      : Job(&KeyJob::Work, &KeyJob::Done), clients(owner), client(handle), derivation(request) {}
  static void Work(Job& job) {
    KeyJob& self = static_cast<KeyJob&>(job);
    self.keys = self.derivation.Run();
  }
  static void Done(Job& job) {
    KeyJob& self = static_cast<KeyJob&>(job);
    self.clients.OnKeysDerived(self);
  }

  Clients& clients;
  const Handle client;
  const ScramKeyJob derivation;
  ScramKeys keys{};
};

void Clients::DeriveKeys(Client& client, const ScramKeyRequest& request) {
  ++jobs_;
  auto* job = new KeyJob(*this, HandleOf(client), request);  // deleted in OnKeysDerived
  if (context_.crew.Submit(context_.core, *job)) return;
  --jobs_;
  delete job;
  client.CloseWith({.severity = severity::kFatal,
                    .sqlstate = sqlstate::kInsufficientResources,
                    .message = "too many logins at once; try again"},
                   "too many key derivations");
}

void Clients::OnKeysDerived(KeyJob& job) {
  --jobs_;
  Client* client = clients_.Find(job.client);
  if (job.state == Job::State::kWorked && client != nullptr && client->login() != nullptr) {
    client->login()->OnKeys(job.keys);
  }
  delete &job;
}

}  // namespace trireme
