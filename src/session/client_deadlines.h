// SPDX-License-Identifier: GPL-3.0-or-later
//
// When has a client taken too long, for what, and in which words is it told. A client has one timer
// and looks at it lazily: it is set when something begins that has a limit, to no later than the
// shortest limit there is, and it is not touched again until it fires. Then the client asks here
// what is due really, and sets it to that. So a stream of short queries costs a comparison each,
// and without limits not even that.
//
//              limit                 begins                          then
//   waiting    wait_notify           queued                          NOTICE
//   running    query_timeout         the server is asked             cancel: ERROR 57014
//                                    … and timeouts.cancel later     FATAL 57014
//              transaction_timeout   first request of a transaction  FATAL 25P04
//   idle in    idle_in_transaction_… ReadyForQuery                   FATAL 25P03
//   idle       client_idle           ReadyForQuery                   FATAL 57P05
//
// (The wait itself is the pool's to end.) Pure values; one core.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "route/client_limits.h"
#include "route/route.h"
#include "wire/errors.h"

namespace trireme {

// What a client is at.
struct ClientClock {
  enum class Activity : uint8_t { kIdle, kWaiting, kRunning, kIdleInTransaction };
  Activity activity = Activity::kIdle;
  Time since{};              // it began
  Time transaction_since{};  // kRunning, kIdleInTransaction
};

struct Deadline {
  enum class Reason : uint8_t {
    kWaitNotice,         // tell it that it waits
    kQuery,              // cancel what runs
    kQueryGoesOn,        // the cancel was of no use
    kTransaction,        // end it
    kIdleInTransaction,  // end it
    kIdle,               // end it
  };
  Time at = kNever;
  Reason reason = Reason::kIdle;
};

class ClientDeadlines {
 public:
  // Another activity has begun.
  void Restart() { *this = {}; }
  // The notice was sent; the cancel was sent.
  void OnNotified() { notified_ = true; }
  void OnCancelled() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }
  // A pipeline that gets answers is not one long query. True: there were answers since the last
  // time, so the clock starts anew. `answers`: to this pipeline so far.
  [[nodiscard]] bool Advanced(uint32_t answers, Time now);

  // The next one that is due; kNever = none. `cancel_patience`: how long a cancelled query may take
  // to end.
  Deadline Next(const ClientLimits& limits, const ClientClock& clock,
                Duration cancel_patience) const;

 private:
  Time restarted_at_{};
  uint32_t answers_ = 0;
  bool notified_ = false;
  bool cancelled_ = false;
};

// What the client is told, with the limit, whose it is, and what to do. ERROR for kQuery, FATAL for
// the others; not for kWaitNotice, which the pool words.
PgError WordsFor(Deadline::Reason reason, const ClientLimits& limits, ClientNames names,
                 Duration cancel_patience);

}  // namespace trireme
