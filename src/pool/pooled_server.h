// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a pool knows of a server: whose it is and where it stands. The decisions (pool.cc) work on
// this part only; Server adds the connection, and tests add a fake.
//
//   kConnecting ─▶ kLogin ─▶ kIdle ◀──────────── kSettling ◀─┐ Abandon (client gone), reset query
//        │            │        │  ▲ Return           │ ▲     │
//        │            │        ▼  │                  ▼ │ idle for too long: check query
//        │            │      kLent ──────────────────┼───────┘
//        │            │        │  kIdle ─▶ kLeaving ─┼─▶ (passport mailed to another core)
//        └────────────┴────────┴───────▶ kClosing ◀──┘
//
// What must hold: a server is on exactly the pool's list of its state (PoolShard::Move is the one
// place that changes either); kLent ⇔ user() is set.
//
// Starters (Begin…) answer through PoolShard::On…, mostly in a later turn; only BeginCleaning and
// BeginClose may do so before they return. One core.
#pragma once

#include <cstdint>

#include "base/intrusive_list.h"
#include "base/marks.h"
#include "base/time.h"
#include "pool/server_user.h"

namespace trireme {

class PoolShard;

class PooledServer {
 public:
  enum class State : uint8_t { kConnecting, kLogin, kIdle, kLent, kSettling, kLeaving, kClosing };

  // What has to happen before another client may have the server.
  enum class Cleaning : uint8_t {
    kWait,   // only wait: for a cancel on its way to it, for the rest of a message
    kCheck,  // the check query
    kReset,  // the reset query
    kAll,    // discard replies, cancel what runs, end COPY, roll back, then the reset query
  };

  PooledServer() = default;
  PooledServer(const PooledServer&) = delete;
  PooledServer& operator=(const PooledServer&) = delete;

  State state() const { return state_; }
  ServerUser* user() const { return user_; }  // set ⇔ kLent
  PoolShard& pool() const { return *pool_; }
  Time state_since() const { return state_since_; }
  Time created() const { return created_; }
  // When it is too old to be lent again; kNever = no limit.
  Time retire_at() const { return retire_at_; }
  // When it showed last that it is alive; of an idle one.
  Time heard_at() const { return heard_at_; }
  // Its client may have left something in its session.
  bool dirty() const { return dirty_; }
  // Somebody has used it since it was reset last; said only where pool.reset is not "session".
  bool used() const { return used_; }

  // --- for PoolShard ---
  bool held() const {
    return holds_ > 0 && !TRIREME_MUTATION(kCancelHitsNextClient);
  }  // a cancel is on its way to it
  // kUnread: clean, but there are bytes nobody has looked at (a notice, a changed parameter).
  enum class Rest : uint8_t { kClean, kUnread, kDirty };
  virtual Rest rest() const = 0;
  virtual void BeginConnect() = 0;                    // → OnLoginBegun, OnLogin, OnConnectFailed
  virtual void Serve(Waiter& waiter) = 0;             // calls waiter.OnServer
  virtual void BeginCleaning(Cleaning cleaning) = 0;  // → OnClean, or OnBroken
  virtual void BeginLeaving() = 0;                    // → OnLeft, or OnBroken
  // → OnClosed. `orderly`: the protocol allows a Terminate message now.
  enum class CloseKind : uint8_t { kOrderly, kAtOnce };
  virtual void BeginClose(CloseKind kind) = 0;

 protected:
  virtual ~PooledServer() = default;

  uint32_t holds_ = 0;
  bool dirty_ = false;
  bool used_ = false;

 private:
  friend class PoolShard;
  ListNode pool_node_;
  State state_ = State::kConnecting;
  bool leaving_solicited_ = false;  // kLeaving: it answers a kSteal
  Time leaving_since_{};            // … of that time, or has been on offer since
  bool logged_in_ = false;          // counted as alive on the board
  bool checking_ = false;           // kSettling: a check query, on behalf of a waiter
  uint32_t leaving_to_ = 0;         // kLeaving: the core that gets it
  ServerUser* user_ = nullptr;
  PoolShard* pool_ = nullptr;
  Time state_since_{};
  Time created_{};
  Time retire_at_ = kNever;
  Time heard_at_{};
};

}  // namespace trireme
