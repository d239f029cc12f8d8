// SPDX-License-Identifier: GPL-3.0-or-later
//
// All clients of one core: their slots, what they share, how many there may be, and cancel
// requests, which find their client from any core.
//
// The shard calls OnAccept for a new connection, OnMail for what comes from other cores, and
// EndOfTurn to free what has closed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "auth/client_auth.h"
#include "base/log.h"
#include "base/slab.h"
#include "base/timer_wheel.h"
#include "config/config.h"
#include "net/stream.h"
#include "pool/pools.h"
#include "pool/quota.h"
#include "session/account.h"
#include "session/cancel_key.h"
#include "session/client.h"
#include "session/console_session.h"
#include "session/known_startups.h"
#include "session/login.h"
#include "session/requests.h"
#include "session/statements.h"
#include "session/tried_values.h"
#include "session/wishes.h"
#include "sql/effects_cache.h"

namespace trireme {

// Client connections counted over all cores; exact at every instant. Touched at login and at the
// end only.
class ClientCounts {
 public:
  explicit ClientCounts(size_t route_count);

  // A slot under `limit` (0 = no limit), or false.
  [[nodiscard]] static bool TryAdd(std::atomic<uint32_t>& count, uint32_t limit);
  static void Remove(std::atomic<uint32_t>& count);

  std::atomic<uint32_t>& total() { return total_; }
  std::atomic<uint32_t>& of_route(size_t index) { return routes_[index]; }
  // Of users and databases by name, where they have a limit.
  QuotaTable& names() { return names_; }

 private:
  std::atomic<uint32_t> total_{0};
  const std::unique_ptr<std::atomic<uint32_t>[]> routes_;
  QuotaTable names_;
};

// A cancel request on its way to the core of its client and back; owned by whoever holds it.
struct CancelMail {
  uint32_t from_core;
  Handle requester;  // a slot of from_core's Clients: the connection that asked
  uint32_t process_id;
  bool done = false;  // on its way back
  std::vector<std::byte> secret;
};

// How clients of different cores reach each other; shard/mail implements it.
class ClientSiblings {
 public:
  virtual uint32_t count() const = 0;
  virtual void Send(uint32_t core, std::unique_ptr<CancelMail> mail) = 0;

 protected:
  ~ClientSiblings() = default;
};

// What the clients of one core are given; all of it outlives them.
struct ClientsContext {
  const Config& config;
  Streams& streams;
  TimerWheel& timers;
  Pools& pools;
  Crew& crew;
  Logger& log;
  AuthResources auth;
  CancelIds cancel_ids;
  ClientCounts& counts;
  ClientSiblings& siblings;
  ConsoleHost& console;
  uint32_t core;
  uint64_t id_secret;  // the same on every core
};

class Clients {
 public:
  static constexpr Duration kStatsPeriod = 60s;

  explicit Clients(const ClientsContext& context);
  ~Clients();  // at rest (asserted)
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void OnAccept(Client::Arrival arrival);
  void OnMail(std::unique_ptr<CancelMail> mail);
  void EndOfTurn() {
    if (buried_) [[unlikely]]
      FreeBuried();
  }

  // Ends clients as they come between transactions; new ones are refused.
  void Drain();
  // Ends all clients now.
  void EndAll();

  // Something waits for EndOfTurn(): do not sleep.
  bool has_work() const { return buried_; }

  uint32_t count() const { return clients_.count(); }
  // Connections that ended (or were turned away) since the last call, for the placement of new
  // ones.
  uint32_t TakeFreedCount() { return std::exchange(freed_, 0); }
  bool at_rest() const { return clients_.count() == 0 && jobs_ == 0 && cancels_.empty(); }
  template <typename Visit>
  void ForEach(Visit visit) {
    clients_.ForEach(visit);
  }
  // Accounts in order of creation.
  const std::vector<std::unique_ptr<Account>>& accounts() const { return accounts_; }

  // --- for Client, Login and ConsoleSession ---
  uint32_t core() const { return context_.core; }
  const Config& config() const { return context_.config; }
  Streams& streams() { return context_.streams; }
  TimerWheel& timers() { return context_.timers; }
  Pools& pools() { return context_.pools; }
  Logger& log() { return context_.log; }
  AuthResources auth() { return context_.auth; }
  ConsoleHost& console() { return context_.console; }
  Wishes& wishes() { return wishes_; }
  TriedValues& tried_values() { return tried_values_; }
  KnownStartups& known_startups() { return known_startups_; }
  // What proves that a client is this user, parsed once.
  const StoredSecret& SecretOf(const UserConfig& user);
  // For a message that is written and sent at once: empty, and its memory stays.
  std::string& scratch_text() {
    scratch_text_.clear();
    return scratch_text_;
  }
  Statements& statements() { return statements_; }
  EffectsCache& effects() { return effects_; }
  Time now() const { return context_.streams.ring().now(); }
  const Requests::Limits& request_limits() const { return request_limits_; }
  uint32_t backlog_bytes_max() const { return context_.config.limits.backlog_bytes_max; }
  PgError ShutdownError() const;

  Handle HandleOf(const Client& client) const { return clients_.HandleOf(&client); }
  Client* Find(Handle handle) { return clients_.Find(handle); }

  // What a console client asked all cores for.
  void OnSnapshot(Handle requester, const FleetSnapshot& fleet);

  // The account for this route, user and kind of connection, made when it is the first client of
  // its kind here.
  struct AccountKey {
    ClientNames names;
    Replication replication = Replication::kNone;
  };
  PgResult<Account*> FindAccount(const Target& target, const AccountKey& key);
  // The place of a new client under all limits; an error (53300) when there is none.
  std::optional<PgError> Admit(Client& client, Account& account);
  uint32_t CancelIdOf(const Client& client) const;
  // A CancelRequest arrived on the connection of `requester`, which stays open until it is
  // delivered.
  void RouteCancel(Client& requester, uint32_t process_id, Bytes secret);
  // Derives keys on a side thread; the login of `client` hears if it is still there.
  void DeriveKeys(Client& client, const ScramKeyRequest& request);

  void OnClientClosing(Client& client, std::string_view reason);
  void Bury(Client& client);
  void Bury(std::unique_ptr<Login> login);
  void Bury(std::unique_ptr<ConsoleSession> console);

 private:
  class Cancel;
  struct KeyJob;

  void Deliver(std::unique_ptr<CancelMail> mail);
  void OnCancelDelivered(Cancel& cancel);
  void Finish(std::unique_ptr<CancelMail> mail);
  void OnKeysDerived(KeyJob& job);
  uint64_t NextId();
  void OnPeriod();
  void FreeBuried();

  const ClientsContext context_;
  const Requests::Limits request_limits_;
  Statements statements_;
  EffectsCache effects_;
  Wishes wishes_;
  TriedValues tried_values_;
  KnownStartups known_startups_;
  std::vector<std::unique_ptr<const StoredSecret>> secrets_;  // by index of the user
  std::string scratch_text_;
  Slab<Client> clients_;
  std::vector<std::unique_ptr<Account>> accounts_;
  absl::flat_hash_map<std::tuple<std::string, std::string, Replication>, Account*> by_name_;
  std::vector<Client*> closed_;
  std::vector<std::unique_ptr<Login>> closed_logins_;
  std::vector<std::unique_ptr<ConsoleSession>> closed_consoles_;
  std::vector<std::unique_ptr<Cancel>> cancels_;  // being delivered by servers of this core
  std::vector<std::unique_ptr<Cancel>> delivered_;
  Timer period_timer_;  // of StatsPeriod
  uint64_t next_id_ = 1;
  uint32_t jobs_ = 0;
  uint32_t freed_ = 0;
  bool draining_ = false;
  bool buried_ = false;  // something waits for EndOfTurn()
};

}  // namespace trireme
