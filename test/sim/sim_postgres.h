// SPDX-License-Identifier: GPL-3.0-or-later
//
// A PostgreSQL cluster of the simulated world: listens at an address; each accepted connection
// becomes a SimBackend. It speaks protocol 3.0 as a server does, understands the vocabulary of
// sim_sql.h, and has faults as its habits say. What happens in it is told to an observer, for the
// oracles.
//
// Lives as long as the network runs. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/scram_key_cache.h"
#include "auth/seeded_secret_random.h"
#include "auth/stored_secret.h"
#include "base/random.h"
#include "base/socket_address.h"
#include "test/sim/peer.h"
#include "test/sim/sim_postgres_habits.h"
#include "wire/messages.h"

namespace trireme::sim {

class SimBackend;

// Told as it happens. Backends may be looked at (sim_backend.h), not changed. Calls come from
// within the backend's own steps: observe, do not act.
class BackendObserver {
 public:
  virtual ~BackendObserver() = default;
  virtual void OnLogin(const SimBackend&) {}
  // A tagged statement begins to run. (What Trireme sends for itself has no tag.)
  virtual void OnQuery(const SimBackend&, std::string_view /*tag*/) {}
  // The status that the ReadyForQuery at hand tells, when it is not the one told before.
  virtual void OnTransaction(const SimBackend&, TransactionStatus) {}
  // A cancel request took effect: on a running statement (its tag, "" when it has none), on a
  // backend that runs nothing (running = false), or on nobody (backend = nullptr: the key is
  // unknown).
  struct Cancel {
    const SimBackend* backend = nullptr;
    bool running = false;
    std::string_view tag;
    uint32_t process_id = 0;  // as asked for
  };
  virtual void OnCancel(const Cancel&) {}
  virtual void OnEnd(const SimBackend&) {}
};

struct PostgresSettings {
  std::string name = "pg";
  SocketAddress address;
  std::string secret = "secret";   // of every user: password, md5 hash or SCRAM verifier
  uint32_t connections_max = 100;  // more get FATAL 53300
};

// For the swarm's statistics: how often each thing was exercised.
struct PostgresCounts {
  uint64_t logins = 0;
  uint64_t logins_failed = 0;
  uint64_t statements = 0;
  uint64_t errors = 0;
  uint64_t copies = 0;
  uint64_t suspended_portals = 0;
  uint64_t cancels_hit = 0;
  uint64_t cancels_missed = 0;  // nothing ran
  uint64_t cancels_unknown = 0;
  uint64_t refused_full = 0;   // 53300
  uint64_t refused_start = 0;  // 57P03
  uint64_t deaths_in_login = 0;
  uint64_t deaths_in_query = 0;
  uint64_t deaths_mid_reply = 0;
  uint64_t deaths_idle = 0;
  uint64_t questions_failed = 0;
  uint64_t mute_logins = 0;
  uint64_t restarts = 0;
  uint64_t protocol_errors = 0;  // what Trireme sent was not the protocol: an oracle wants 0
};

class SimPostgres final : public PeerAcceptor {
 public:
  // `observer` may be nullptr. Takes a fork of network.random().
  SimPostgres(Network& network, PostgresSettings settings, PostgresHabits habits,
              BackendObserver* observer);
  ~SimPostgres() override;
  SimPostgres(const SimPostgres&) = delete;
  SimPostgres& operator=(const SimPostgres&) = delete;

  void Start();  // listens, and plans its faults
  void Heal();   // no more faults; a restart or a refusal under way ends now

  // Faults by hand, whatever the habits.
  void Restart(Duration down);  // resets all, refuses to listen, then listens again
  void Refuse(Duration time);   // logins get FATAL 57P03
  void KillIdle();              // one idle backend, if there is one

  // Connections that sent a startup packet and whose other side has not closed or reset them: what
  // the caps bound. Backends also counts those that have not noticed their end yet.
  uint32_t connections() const;
  uint32_t connections_seen_max() const { return connections_seen_max_; }
  std::vector<const SimBackend*> backends() const;  // in order of accept
  const PostgresCounts& counts() const { return counts_; }
  const PostgresSettings& settings() const { return settings_; }
  bool listening() const { return listening_; }

 private:
  friend class SimBackend;

  PeerHandler& OnAccept(PeerSocket& socket) override;
  void Plan(Duration every, void (SimPostgres::*event)());
  void PlanRestart();
  void PlanRefusal();
  void PlanIdleDeath();
  void PlanIdleTalk();
  void OnRestartDue();
  void OnRefusalDue();
  void OnIdleDeathDue();
  void OnIdleTalkDue();
  void Listen();
  SimBackend* PickIdle();
  SimBackend* Find(uint64_t id);
  // For its backends.
  void OnEnded(SimBackend& backend);  // freed when the event is over
  void CountConnections();
  void OnCancelRequest(uint32_t process_id, uint32_t secret);
  Duration Around(Duration mean);

  Network& network_;
  const PostgresSettings settings_;
  PostgresHabits habits_;
  BackendObserver* const observer_;
  BackendObserver no_observer_;
  Random random_;
  SeededSecretRandom secrets_;
  ScramKeyCache keys_;
  SaltSecret salts_;
  std::map<uint64_t, std::unique_ptr<SimBackend>> backends_;
  uint64_t last_id_ = 0;
  uint64_t plan_ = 0;     // changes with Heal: older plans are void
  uint64_t restart_ = 0;  // the restart under way
  bool listening_ = false;
  Time refusing_until_{};
  uint32_t connections_seen_max_ = 0;
  PostgresCounts counts_;
};

}  // namespace trireme::sim
