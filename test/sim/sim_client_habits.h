// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a simulated client behaves: what a seed draws. Weights are relative to each other, chances
// are per 1000 occasions.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "test/sim/sim_postgres_habits.h"

namespace trireme::sim {

struct ClientHabits {
  // What a transaction is.
  uint32_t simple_weight = 10;    // one Query, sometimes of several statements
  uint32_t extended_weight = 10;  // Parse, Bind, Describe, Execute, Sync
  uint32_t pipeline_weight = 3;   // many of them, Syncs in between
  uint32_t block_weight = 8;      // BEGIN ... COMMIT or ROLLBACK, with think time
  uint32_t copy_in_weight = 2;
  uint32_t copy_out_weight = 2;
  uint32_t portal_weight = 3;  // row limits, PortalSuspended
  uint32_t set_weight = 3;     // SET of a parameter that the server reports
  uint32_t function_call_weight = 1;
  uint32_t session_weight = 3;  // session mode: named statements, temp tables, LISTEN

  uint32_t statements_max = 5;  // of a block
  uint32_t pipeline_max = 20;   // requests of a pipeline
  uint32_t rows_max = 5;
  uint32_t row_bytes_max = 300;
  uint32_t big_permille = 5;  // results and requests of up to big_bytes
  uint32_t big_bytes_max = 100'000;
  uint32_t error_permille = 50;  // statements that ask for an error
  uint32_t sleep_permille = 30;  // statements that take long
  DurationRange sleep{1ms, 50ms};
  DurationRange think{0us, 2ms};   // between requests of a transaction
  DurationRange pause{0us, 10ms};  // between transactions
  uint32_t nap_permille = 0;       // of the pauses are so long
  DurationRange nap{40ms, 150ms};
  Duration beat{};  // all that have one begin together, each with its pause; 0 = none
  uint32_t transactions_per_login_max = 50;  // then Terminate and, after a pause, a new login
  DurationRange reconnect{1ms, 100ms};
  uint32_t wishes_permille = 400;  // startup parameters, each of those we know
  // Sends Syncs inside a COPY, too. Which of them one that is cut short (a cancel, a timeout) has
  // read, and which it will answer, a client cannot know.
  bool syncs_in_copy = true;

  // Rudeness: for each transaction.
  uint32_t vanish_permille = 0;  // close, reset or half-close at any byte of what it sends
  uint32_t pause_receive_permille = 0;
  DurationRange pause_receive{1ms, 500ms};
  uint32_t deaf_permille = 0;  // asks for much, reads no more, and leaves long afterwards
  DurationRange deaf{1s, 12s};
  uint32_t cancel_permille = 0;           // cancels what it waits for
  uint32_t wrong_cancel_permille = 0;     // with a key of nobody
  uint32_t garbage_permille = 0;          // and is disconnected
  uint32_t stale_statement_permille = 0;  // binds the unnamed statement of an earlier transaction
  uint32_t named_statement_permille = 0;  // where they are refused
  // For each login.
  uint32_t stall_login_permille = 0;  // sends a part of the startup packet, then nothing
  uint32_t wrong_password_permille = 0;
  uint32_t ssl_request_permille = 200;  // asks for encryption first, as libpq does
  DurationRange stall{10ms, 2000ms};

  static ClientHabits Polite() { return {}; }
  static ClientHabits Drawn(Random& random);
  // The same without rudeness.
  ClientHabits Healed() const;
};

}  // namespace trireme::sim
