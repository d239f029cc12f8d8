// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a simulated cluster behaves: what a seed draws. Chances are per 1000 occasions.
#pragma once

#include <cstdint>

#include "auth/client_auth.h"
#include "base/random.h"
#include "base/time.h"

namespace trireme::sim {

struct DurationRange {
  Duration min{};
  Duration max{};

  Duration Draw(Random& random) const {
    if (max <= min) return min;
    return min + Duration(random.Below(static_cast<uint64_t>((max - min).count()) + 1));
  }
};

inline bool Happens(Random& random, uint32_t permille) {
  return permille > 0 && random.Below(1000) < permille;
}

struct PostgresHabits {
  ClientAuthMethod auth = ClientAuthMethod::kTrust;

  DurationRange service_time{10us, 200us};  // of a statement
  uint32_t slow_permille = 0;               // statements that take slow_time instead
  DurationRange slow_time{5ms, 50ms};
  DurationRange accept_time{};              // before the startup packet is looked at
  DurationRange cancel_time{20us, 2ms};     // from CancelRequest to its effect, then it closes
  bool reports_parameters_at_once = false;  // PostgreSQL before 14; else ahead of ReadyForQuery
  uint32_t notice_permille = 0;             // statements that send notices of their own
  uint32_t standby_report_permille = 0;     // statements ahead of which in_hot_standby is reported
  uint32_t question_fails_permille = 0;     // questions about the session, asked by a pooler
  Duration idle_talk_every{};               // each idle backend says something unasked; 0 = never

  // Faults. A death is abrupt (reset) or, as often, FATAL 57P01 and a close.
  uint32_t die_in_login_permille = 0;   // logins
  uint32_t mute_login_permille = 0;     // logins that are never answered
  uint32_t die_in_query_permille = 0;   // statements
  uint32_t die_mid_reply_permille = 0;  // sends: a part of the bytes, then a reset
  uint32_t die_resting_permille = 0;    // ends of transactions, so long after them, if idle still
  DurationRange die_resting{};
  Duration die_idle_every{};  // about so often one idle backend dies; 0 = never
  Duration restart_every{};   // about so often the cluster restarts; 0 = never
  DurationRange restart_time{10ms, 2000ms};
  Duration refuse_every{};  // about so often logins get 57P03 for a while; 0 = never
  DurationRange refuse_time{10ms, 1000ms};

  // No faults, quick answers.
  static PostgresHabits Calm() { return {}; }
  // A mix of its own for each seed; about half of the faults are off in any one.
  static PostgresHabits Drawn(Random& random);
  // The same habits without faults: what is left once the world heals.
  PostgresHabits Healed() const;
};

}  // namespace trireme::sim
