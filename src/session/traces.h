// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a client's statements leave in the session of its server: values of parameters, which follow
// the client to its next server, and state that cannot be moved, which pins the client to the
// server that has it. Pure.
//
//   text ─▶ SessionEffects (sql) ─▶ Doubt ─── transaction over ───▶ Question ─▶ server ─▶ Answer
//                                     └ a lone statement that succeeded ─▶ known without asking
//
// Statements may fail, be rolled back, run conditionally or not at all, and functions hide what
// they do. So effects are only what a transaction *may* have left; what it did leave, the server is
// asked when the transaction is over: one question, behind the client's answer and ahead of its
// next request, and only after statements that touch such state. What comes true with certainty is
// not asked (ApplyPlain).
//
// What must hold: while there is doubt, or a pin, the server is not given back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "sql/statement_effects.h"
#include "wire/parameter_set.h"

namespace trireme {

// Why a client keeps its server. A set of these bits.
using Pins = uint32_t;

namespace pin {
inline constexpr Pins kTemporary = 1 << 0;     // anything in pg_temp
inline constexpr Pins kAdvisoryLock = 1 << 1;  // of session level
inline constexpr Pins kHeldCursor = 1 << 2;    // DECLARE … WITH HOLD
inline constexpr Pins kListen = 1 << 3;
inline constexpr Pins kPrepared = 1 << 4;       // by SQL's PREPARE
inline constexpr Pins kAuthorization = 1 << 5;  // SET SESSION AUTHORIZATION
inline constexpr Pins kSequence = 1 << 6;       // what currval and lastval tell
inline constexpr Pins kLibrary = 1 << 7;        // LOAD
inline constexpr Pins kOther = 1 << 8;          // setseed, dblink_connect …
inline constexpr Pins kUnknown = 1 << 9;        // the server could not be asked

// The server tells whether they are there.
inline constexpr Pins kAnswerable = kTemporary | kAdvisoryLock | kHeldCursor | kListen | kPrepared;
// Not even DISCARD ALL undoes them: the server must be closed.
inline constexpr Pins kLasting = kLibrary | kOther;
}  // namespace pin

// Whose rights the session has; PostgreSQL reports it.
inline constexpr std::string_view kSessionAuthorization = "session_authorization";

// `temporary table, LISTEN`; "" = none.
std::string DescribePins(Pins pins);

// What requests may have left since the server was asked last.
struct Doubt {
  Pins pins = 0;  // of kAnswerable
  bool all_parameters = false;
  std::vector<std::string> parameters;  // in lower case
  bool empty() const { return pins == 0 && !all_parameters && parameters.empty(); }
  void Add(const Doubt& other);
  // Of what the server reports there is no doubt.
  void DropReported(const ParameterSet& reported);
};

// What a statement does to a session that holds `held` already.
struct Touch {
  Doubt doubt;
  Pins certain = 0;  // pins that no question answers
  bool reads_sequences = false;
  bool advances_sequences = false;
};
Touch TouchOf(const SessionEffects& effects, Pins held);
// … of a call by the number of the function.
Touch TouchOf(uint32_t function_oid, Pins held);
// … of a text nobody has read.
Touch TouchOfAnything();

// Why `on_session_state: reject` refuses it; nullptr: it leaves nothing that pins.
const Effect* PinningEffect(const SessionEffects& effects);

// --- asking --------------------------------------------------------------------------------------

// One SELECT with one row of one text column for each item, each item on a line of its own.
std::string Question(const Doubt& doubt);

struct Answer {
  Pins pins = 0;  // of those that were asked
  // nullopt: not set in this session, or no such parameter.
  std::vector<std::pair<std::string, std::optional<std::string>>> parameters;
  // all_parameters: those in `parameters` are all that the session has set.
  bool complete = false;
};
// The body of the DataRow; nullopt: it is no answer to that question.
std::optional<Answer> ParseAnswer(Bytes row, const Doubt& doubt);

// --- without asking ------------------------------------------------------------------------------

// Of a text alone, outside of a transaction block: when it fails, it has left nothing.
bool ErrorUndoes(const SessionEffects& effects, Pins held);
// … and when it succeeds, it has left just what its effects say.
bool IsPlain(const SessionEffects& effects, Pins held);

struct SessionParameters {
  ParameterSet wish;  // the client's
  ParameterSet has;   // the server's
};
// What the client asked for at login, to which RESET goes back, and what the server reports.
struct LoginParameters {
  const ParameterSet& startup;
  const ParameterSet& reported;
  bool Reports(std::string_view name) const { return reported.Find(name) != nullptr; }
};
// Parameters after such a text. What the server reports it has told before.
SessionParameters ApplyPlain(const SessionEffects& effects, SessionParameters before,
                             const LoginParameters& login);
// Parameters as the server has answered. `earlier`: the client's wish before the doubt.
SessionParameters ApplyAnswer(const Answer& answer, SessionParameters before,
                              const LoginParameters& login, const ParameterSet& earlier);

}  // namespace trireme
