// SPDX-License-Identifier: GPL-3.0-or-later
//
// All pools of one core, and the servers in them. The shard calls it in this order within a turn:
//
//   completions, mail (OnMail), timers   ── callbacks of sessions and servers record
//   EndOfTurn()                          ── grants, steals, boards; frees what has closed
//   Streams::Flush(), mail out, sleep    ── what EndOfTurn began leaves in the same turn
//
// has_work() after EndOfTurn() means: do not sleep, another turn is due.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "auth/client_auth.h"
#include "base/histogram.h"
#include "base/intrusive_list.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/timer_wheel.h"
#include "config/config.h"
#include "net/stream.h"
#include "pool/board.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/siblings.h"
#include "route/route.h"
#include "side/crew.h"
#include "wire/errors.h"

namespace trireme {

struct LookupJob;
struct KeyJob;

// What the pools of one core are given; all of it outlives them.
struct PoolsContext {
  Streams& streams;
  TimerWheel& timers;
  Random& random;
  Siblings& siblings;
  Directory& directory;
  Crew& crew;
  AuthResources auth;
  Logger& log;
  const Config& config;
};

class Pools final : private PoolHost {
 public:
  explicit Pools(const PoolsContext& context);
  ~Pools();  // at rest (asserted)
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;

  // The pool of this target on this core, made when it is the first time. An error (FATAL, 53400)
  // when limits.pools_max is reached.
  PgResult<PoolShard*> Find(const Target& target);

  // A pool for one replication connection, whose startup parameters are those of one client: no
  // other client and no other core finds it. Check out from it in the same turn: it goes by itself
  // when nobody waits in it and its server is closed.
  PoolShard& MakeForReplication(const Target& target, const ReplicationRequest& request);

  // Makes the pools that are kept warm from the start, this core's share of them.
  void Warm();

  void OnMail(const PoolMail& mail);
  void EndOfTurn();
  bool has_work() const {
    return !changed_.empty() || !retries_.empty() || !closed_.empty() || !closed_cancels_.empty() ||
           unlisted_due_;
  }

  // No new servers, idle ones are closed, lent ones when they come back.
  void Drain();
  // Ends everything now: every server is closed, every waiter refused; cancels on their way have a
  // second left.
  void Stop();
  // Mail that will never be delivered (shutdown): closes what it carries, releases its place.
  void Discard(const PoolMail& mail);

  // At rest: none of them left.
  struct Resources {
    uint32_t pools = 0;
    uint32_t servers = 0;  // slots in use, closing ones included
    uint32_t cancels = 0;
    uint32_t waiters = 0;
    uint32_t jobs = 0;  // on the side threads
  };
  Resources resources() const;

  // Sum over the pools of this core, for SHOW SHARDS.
  PoolShard::Counters Totals() const;
  const Histogram& hand_overs() const { return hand_overs_; }

  // Pools in order of creation, which is the same in every run. Several may have one key: those of
  // replication connections are beside the one that is shared.
  const std::vector<std::unique_ptr<PoolShard>>& pools() const { return pools_; }
  template <typename Visit>
  void ForEachServer(Visit visit) {
    servers_.ForEach(visit);
  }

 private:
  friend class CancelConnection;
  friend class Server;
  friend struct LookupJob;
  friend struct KeyJob;

  // PoolHost
  Time now() const { return context_.streams.ring().now(); }
  PooledServer* OpenServer(PoolShard& pool) override;
  PooledServer* AdoptServer(PoolShard& pool, ServerPassport& passport) override;
  void DiscardPassport(ServerPassport& passport) override;
  void FreeServer(PooledServer& server) override;
  void MarkChanged(PoolShard& pool) override;
  void OnPlaceReleased(Board& board) override;
  void WantPlace(Board& board, const Quota& full) override;
  bool OthersWant(const Board& board) override;
  void OnServerOpened(const PooledServer& server) override;
  void OnServerClosing(const PooledServer& server, CloseReason reason) override;
  void OnConnectFailed(const PoolShard& pool, const PgError& error) override;

  PoolShard* FindByBoard(const Board* board) const;
  PoolShard& Add(Board& board, PoolSettings settings);
  void RunRetries();
  void FreeClosed();
  void FreeUnlisted();

  // For Server.
  void BeginCancel(Server& server, CancelObserver* observer);
  void OnCancelEnded(CancelConnection& cancel);
  CancelLine& LineOf(const Server& server);
  void ForgetServer(Server& server);
  void RetryConnect(Server& server);  // OnRetryConnect at the end of the turn
  void LookUp(Server& server, uint32_t host_index);
  void DeriveKeys(Server& server, const ScramKeyRequest& request);

  static constexpr uint32_t kServersMax = 1 << 20;  // the caps are the limit that counts

  const PoolsContext context_;
  Slab<Server> servers_;
  List<CancelConnection, &CancelConnection::node> cancels_;
  std::vector<CancelConnection*> closed_cancels_;
  absl::flat_hash_map<const PoolShard*, std::unique_ptr<Board>> unlisted_;  // for replication
  std::map<std::string, CancelLine> cancel_lines_;                          // by storage
  Histogram hand_overs_;
  std::vector<std::unique_ptr<PoolShard>> pools_;
  PoolShard::Counters freed_pools_;
  absl::flat_hash_map<PoolKey, PoolShard*> by_key_;
  absl::flat_hash_map<const Board*, PoolShard*> by_board_;
  List<PoolShard, &PoolShard::changed_node> changed_;
  List<PoolShard, &PoolShard::publish_node> publish_;
  std::vector<Server*> closed_;
  std::vector<Handle> retries_;
  uint64_t servers_made_ = 0;
  uint32_t jobs_ = 0;          // with the crew
  bool unlisted_due_ = false;  // one of them may have come to rest
  bool draining_ = false;
  bool stopped_ = false;
};

}  // namespace trireme
