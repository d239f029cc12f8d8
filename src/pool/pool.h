// SPDX-License-Identifier: GPL-3.0-or-later
//
// One pool on one core: idle servers, servers lent, waiters, and the decisions between them. What
// the cores share of a pool is its Board (pool/board.h); everything here belongs to one core.
//
// Where does a server for the oldest waiter come from? Whatever comes first of
//   1. the idle list of this core, hottest first,
//   2. another core's idle list: kSteal, answered by kGrant or kDeny,
//   3. a new connection, when all caps allow it,
//   4. a return here, or a grant of a core where somebody returned one: we wait and say so.
//
// Callbacks record, the turn acts. Checkout serves at once only from the idle list, and only when
// nobody has waited longer, here or elsewhere. Everything else happens in RunGrants() and
// Publish(), which the turn calls once for each pool where something changed:
//
//   RunGrants   match waiters and idle servers by age; answer steals; grant to hungry cores
//   Publish     seek servers for the rest (steal, open), write our line of the board
//   LookAgain   after one fence for all pools: what did others publish meanwhile?
//
// That is sharing.policy "steal". Under "shared_mutex" cores match waiters and servers in a book
// that they share (sharing_mutex.cc); the rest is the same.
//
// Cost of a transaction that nobody else is waiting for: list moves here, one load of the hungry
// set, and per turn (not per transaction) two stores to our own line and one fence.
//
// An idle server that nobody has heard of for pool.check_delay is checked before it is lent: then
// it is on its way to a waiter, like a steal.
//
// What must hold after RunGrants: no waiter while a server is idle, unless a check is under way for
// each waiter. Always: the places this core
// holds under the caps are exactly its servers plus its passports under way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "auth/scram_keys.h"
#include "base/histogram.h"
#include "base/intrusive_list.h"
#include "base/random.h"
#include "base/time.h"
#include "base/timer_wheel.h"
#include "pool/board.h"
#include "pool/book.h"
#include "pool/close_reason.h"
#include "pool/passport.h"
#include "pool/pool_settings.h"
#include "pool/pooled_server.h"
#include "pool/server_user.h"
#include "pool/siblings.h"

namespace trireme {

enum class AbandonReason : uint8_t {
  kClientGone,        // settle: cancel what runs, roll back, reset
  kBrokenMidMessage,  // a request was sent in part: only closing helps
  kProtocol,          // the server did not speak the protocol
  kTraces,            // the session has something that no reset undoes
  kReplicationOver,   // a replication connection is nobody else's
};

class PoolShard;

// What a pool needs of its core. Pools is the real one.
class PoolHost {
 public:
  // A new server, not begun to connect; nullptr when no slot is left.
  virtual PooledServer* OpenServer(PoolShard& pool) = 0;
  // A server that came by mail, in kIdle; nullptr when no slot is left (the passport is untouched).
  virtual PooledServer* AdoptServer(PoolShard& pool, ServerPassport& passport) = 0;
  // The passport has no use any more: closes its connection.
  virtual void DiscardPassport(ServerPassport& passport) = 0;
  // Destroys it at the end of the turn.
  virtual void FreeServer(PooledServer& server) = 0;
  // Something changed: RunGrants and Publish are due at the end of this turn.
  virtual void MarkChanged(PoolShard& pool) = 0;
  // A place under the caps of `board` was released; other pools that share one may want it.
  virtual void OnPlaceReleased(Board& board) = 0;
  // This cap, which other pools share, is full, though the pool itself may grow: asks one of them
  // that has an idle server to close it.
  virtual void WantPlace(Board& board, const Quota& full) = 0;
  // Somebody waits in another pool that shares a cap with this one.
  virtual bool OthersWant(const Board& board) = 0;
  virtual void OnServerOpened(const PooledServer& server) = 0;
  virtual void OnServerClosing(const PooledServer& server, CloseReason reason) = 0;
  virtual void OnConnectFailed(const PoolShard& pool, const PgError& error) = 0;

 protected:
  ~PoolHost() = default;
};

struct PoolContext {
  PoolHost& host;
  const Time& now;  // of this turn
  TimerWheel& timers;
  Random& random;
  Siblings& siblings;
  SharingConfig sharing;
  Histogram& hand_overs;  // of servers to this core: from asking, or from the offer, to adoption
};

class PoolShard {
 public:
  PoolShard(const PoolContext& context, Board& board, PoolSettings settings);
  ~PoolShard();  // no servers, no waiters (asserted)
  PoolShard(const PoolShard&) = delete;
  PoolShard& operator=(const PoolShard&) = delete;

  // Gives `waiter` a server at once (OnServer is called before this returns) or queues it; a
  // refusal never comes before this returns. `user` receives what the server says while it is lent.
  // It waits no longer than `patience`, 0 = for ever.
  void Checkout(Waiter& waiter, ServerUser& user, Duration patience);
  void Checkout(Waiter& waiter, ServerUser& user) {
    Checkout(waiter, user, settings_.pool.wait_timeout);
  }
  // The waiter gives up; it is waiting().
  void Leave(Waiter& waiter);
  // Why there is no server at all; "" = there are, or none was needed yet.
  std::string ConnectTrouble() const;
  // What to tell a client that waits, and goes on waiting.
  PgError WaitNotice(const Waiter& waiter) const;

  // Lent → idle, to another waiter or to another core, at the end of the turn. Nothing is owed and
  // no transaction is open (asserted); bytes left in its inbox are the pool's to judge. The reset
  // query runs first where pool.reset wants it. The user is told nothing more.
  void Return(PooledServer& server) { Return(server, settings_.mode); }
  // For a user whose own mode differs from the route's.
  void Return(PooledServer& server, PoolMode mode);
  // It was not asked anything: no reset, whatever the settings are.
  void ReturnUnused(PooledServer& server);
  // The user is gone or the server is unusable; the pool settles or closes it.
  void Abandon(PooledServer& server, AbandonReason reason);

  // What servers of this pool report at login, once any core has seen one (nullptr before).
  const ParameterSet* welcome() const { return board_.welcome(); }

  // Keys of a client that logged in with SCRAM; used where the storage's verifier is the same.
  void SetPassThrough(const ScramPassThrough& keys) {
    if (!pass_through_ && warm_due_) Changed();
    pass_through_ = keys;
  }
  const std::optional<ScramPassThrough>& pass_through() const { return pass_through_; }

  const PoolSettings& settings() const { return settings_; }
  Board& board() { return board_; }
  const Board& board() const { return board_; }

  // --- the turn, through Pools ---
  void OnMail(const PoolMail& mail);
  void RunGrants();
  // Before FenceBoards(). True when others must be looked at again after the fence.
  [[nodiscard]] bool Publish();
  void LookAgain();  // after it
  // No new servers, idle ones are closed, waiters are refused; lent ones close when returned.
  void Drain();
  // Closes everything but lent servers, which their users abandon.
  void Stop();
  bool draining() const { return draining_; }
  bool has_waiters() const { return !waiters_.empty(); }
  // Nobody waits, no server is left, nothing is due.
  bool at_rest() const {
    return waiters_.empty() && places_ == 0 && !changed_node.linked() && !publish_node.linked();
  }
  // Another pool needs a place: closes the coldest idle server; false when there is none to spare.
  bool Evict();
  bool can_evict() { return waiters_.empty() && !idle().empty(); }
  Time coldest_since() { return idle().back()->state_since(); }

  // --- servers report ---
  void OnLogin(PooledServer& server, const ParameterSet& welcome);   // kLogin → kIdle
  void OnLoginBegun(PooledServer& server);                           // kConnecting → kLogin
  void OnConnectFailed(PooledServer& server, const PgError& error);  // kConnecting, kLogin
  void OnBusy(PooledServer& server);   // kIdle → kSettling: a message that is not whole yet
  void OnClean(PooledServer& server);  // kSettling → kIdle
  // Any state but kConnecting, kLogin: begins to close it. The user of a lent server knows already.
  void OnBroken(PooledServer& server, CloseReason reason);
  void OnLeft(PooledServer& server, std::unique_ptr<ServerPassport> passport);  // kLeaving
  void OnClosed(PooledServer& server);                                          // kClosing

  struct Counters {
    uint64_t checkouts = 0;
    uint64_t waits = 0;  // checkouts that had to queue
    uint64_t wait_ns = 0;
    uint64_t refusals = 0;
    uint64_t steals_asked = 0;
    uint64_t steals_granted = 0;  // answers to us
    uint64_t steals_denied = 0;
    uint64_t steals_given = 0;  // our answers
    uint64_t steals_refused = 0;
    uint64_t grants_sent = 0;  // unasked
    uint64_t grants_received = 0;
    uint64_t nudges_received = 0;
    uint64_t opened = 0;
    uint64_t connect_failures = 0;
    uint64_t closed = 0;
    Counters& operator+=(const Counters& other);
  };
  const Counters& counters() const { return counters_; }

  struct Counts {
    uint32_t connecting = 0, login = 0, idle = 0, lent = 0, settling = 0, leaving = 0, closing = 0;
    uint32_t waiting = 0;
    Duration oldest_wait{0};
  };
  Counts counts();

  // Every server of this core, in no order that means anything.
  template <typename Visit>
  void ForEachServer(Visit visit) {
    for (ServerList& list : lists_) {
      for (PooledServer* server = list.front(); server != nullptr;) {
        PooledServer* next = list.next(*server);
        visit(*server);
        server = next;
      }
    }
  }

  ListNode changed_node;  // Pools: something changed
  ListNode publish_node;  // Pools: changed within this turn

 private:
  using State = PooledServer::State;
  using ServerList = List<PooledServer, &PooledServer::pool_node_>;
  using WaiterList = List<Waiter, &Waiter::node>;
  static constexpr size_t kStates = 7;

  ServerList& ListOf(State state) { return lists_[static_cast<size_t>(state)]; }
  const ServerList& ListOf(State state) const { return lists_[static_cast<size_t>(state)]; }
  ServerList& idle() { return ListOf(State::kIdle); }
  void Move(PooledServer& server, State state) { MoveFrom(server.state_, server, state); }
  // Where both states are known, so are both lists.
  void MoveFrom(State from, PooledServer& server, State to) {
    TRIREME_ASSERT(server.pool_ == this && server.state_ == from);
    ListOf(from).Erase(server);
    server.state_ = to;
    server.state_since_ = context_.now;
    server.user_ = nullptr;  // Lend sets it
    ListOf(to).PushFront(server);
  }
  void Changed() {
    if (!changed_node.linked()) context_.host.MarkChanged(*this);
  }

  // pool.cc: checkout, return, closing
  void Enter(PooledServer& server, State state);
  void Lend(PooledServer& server, Waiter& waiter);
  [[gnu::noinline]] void Queue(Waiter& waiter, Duration patience);
  void ParkOrWait(PooledServer& server, PooledServer::Rest rest);
  void Park(PooledServer& server);
  PooledServer* HottestIdle();
  [[gnu::noinline]] void Close(PooledServer& server, CloseReason reason);
  void Refuse(Waiter& waiter, const PgError& error);
  void RefuseAll(const PgError& error);
  void CloseUnwanted();
  bool hopeless() const;
  uint32_t alive_for_us() const;
  bool retired(const PooledServer& server) const;
  bool stale(const PooledServer& server) const {
    return check_delay_ != kNoCheck && context_.now - server.heard_at_ > check_delay_;
  }
  bool ResetIsDue(const PooledServer& server) const;
  void BeginCheck(PooledServer& server);
  void EndCheck(PooledServer& server);

  // sharing.cc: other cores
  bool others_hungry() const;
  void MatchByAge();
  struct StealRequest {
    uint32_t core;
    Time since;
  };
  Board::Hunger Hungriest();
  bool GrantToOlder();
  void AnswerSteals();
  void GrantSurplus();
  void LeaveFor(PooledServer& server, uint32_t core);
  void LeaveFor(PooledServer& server, const StealRequest& request);
  void LeaveFor(PooledServer& server, uint32_t core, bool solicited, Time since);
  void OnLeaveFailed(uint32_t core, bool solicited);
  void Adopt(const PoolMail& mail);
  void Seek();
  void SeekSteals(uint32_t needed);
  uint32_t ChooseVictim() const;
  void SeekConnections(uint32_t needed);
  void SeekReserve(uint32_t needed);
  void KeepWarm();
  bool OpenServer(Board::Purpose purpose);
  Board::Reservation::Outcome TryReserve(Board::Purpose purpose);
  void AskForPlace(const Quota& full);
  bool AskIsolatedCores();
  void RetryAt(Time at);
  void ReleasePlace();
  void NudgeHungry();
  uint32_t PromisedElsewhere();
  bool Advertise();
  PoolMail MailOf(PoolMail::Kind kind) const;
  uint32_t connecting() const;
  uint32_t isolated_share() const;
  PgError NoShareError() const;

  // sharing_mutex.cc: other cores, by the book
  enum class Found : uint8_t { kHere, kElsewhere, kNothing };
  struct Errands;
  [[gnu::noinline]] void CheckoutByBook(Waiter& waiter, Duration patience);
  Found LookForServer(Book::Place& place, bool first);
  void AskForClaimed(uint32_t victim);
  void LeaveBook(Waiter& waiter);
  void LoseIdle();
  bool TakeFromBook();
  void AnswerClaims();
  void SettleByBook();
  Errands LookThroughBook();
  void RejoinLine(OpenBook& book);
  void ServeDue();
  void CountUncovered(const OpenBook& book, uint32_t waiting);
  void SeekByBook();

  // aging.cc: timers
  void ScheduleAging(Time at);
  Time IdleUntil(const PooledServer& server) const;
  bool Spare(PooledServer& server);
  void CloseAged();
  void ScheduleWaitTimeout(Time at);
  void OnWaitTimeout();
  PgError WaitTimeoutError(const Waiter& waiter) const;
  std::string BusyText() const;
  std::string BusyDetail() const;

  const PoolContext context_;
  Board& board_;
  const PoolSettings settings_;
  const uint32_t self_;
  const uint32_t core_count_;
  const bool steals_;                     // from other cores, and grants to them
  const std::unique_ptr<BookPage> page_;  // under Sharing::kSharedMutex
  static constexpr Duration kNoCheck{-1};
  const Duration check_delay_;  // settings_.pool.check_delay, or kNoCheck
  uint32_t checking_ = 0;       // checks under way, each on behalf of a waiter
  bool draining_ = false;

  WaiterList waiters_;             // oldest first
  bool patience_differs_ = false;  // … and the first to lose patience may be anywhere
  ServerList lists_[kStates];
  std::optional<ScramPassThrough> pass_through_;

  // Other cores.
  std::vector<StealRequest> steal_requests_;  // to be answered in RunGrants
  std::vector<uint32_t> asked_;               // per core: steals we sent and have no answer to
  uint32_t steals_pending_ = 0;               // sum of asked_
  // wanted on our line + claims on their way to us == advertised_
  uint32_t advertised_ = 0;
  uint32_t published_idle_ = 0;
  uint32_t published_waiting_ = 0;
  Time published_oldest_ = kNever;
  bool idle_bit_ = false;  // sticky: removed only after a steal was refused
  bool hungry_bit_ = false;
  uint32_t look_from_ = 0;  // where Hungriest goes on
  bool refused_steal_ = false;
  uint32_t places_ = 0;  // under the caps, held by servers of this core

  // Connecting.
  Duration backoff_{0};
  Time retry_at_{};
  std::optional<PgError> connect_error_;  // of the last attempt, until one succeeds
  const Quota* asked_for_ = nullptr;      // the cap under which we asked others for a place
  Time ask_again_at_{};

  // min_size: whoever releases a place sees to it that there are enough.
  static constexpr Duration kWarmAgain = 1s;
  bool warm_due_ = false;
  Time warm_again_at_{};

  Timer aging_timer_;
  Timer wait_timer_;
  Timer retry_timer_;
  Timer reserve_timer_;
  Counters counters_;
};

}  // namespace trireme
