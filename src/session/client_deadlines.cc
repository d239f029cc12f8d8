// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/client_deadlines.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/result.h"
#include "config/units.h"

namespace trireme {
namespace {

using Reason = Deadline::Reason;

void Earliest(Deadline& deadline, Time since, Duration limit, Reason reason) {
  if (limit == 0s) return;
  const Time at = since + limit;
  if (at < deadline.at) deadline = {at, reason};
}

struct Option {
  std::string_view name;  // of the pool and of the user
  std::string_view everybodys;
};

std::string_view Owner(TimeLimit::Source source) {
  switch (source) {
    case TimeLimit::Source::kEverybody:
      return "";
    case TimeLimit::Source::kRoute:
      return "the route's ";
    case TimeLimit::Source::kUser:
      return "the user's ";
  }
  TRIREME_UNREACHABLE();
}

}  // namespace

bool ClientDeadlines::Advanced(uint32_t answers, Time now) {
  if (answers == answers_ || cancelled_) return false;
  answers_ = answers;
  restarted_at_ = now;
  return true;
}

Deadline ClientDeadlines::Next(const ClientLimits& limits, const ClientClock& clock,
                               Duration cancel_patience) const {
  using Activity = ClientClock::Activity;
  Deadline next;
  switch (clock.activity) {
    case Activity::kWaiting:
      if (!notified_) Earliest(next, clock.since, limits.wait_notify, Reason::kWaitNotice);
      return next;
    case Activity::kRunning: {
      const Time since = std::max(clock.since, restarted_at_);
      if (!cancelled_) {
        Earliest(next, since, limits.query.after, Reason::kQuery);
      } else {
        Earliest(next, since, limits.query.after + cancel_patience, Reason::kQueryGoesOn);
      }
      break;
    }
    case Activity::kIdleInTransaction:
      Earliest(next, clock.since, limits.idle_in_transaction.after, Reason::kIdleInTransaction);
      break;
    case Activity::kIdle:
      Earliest(next, clock.since, limits.idle.after, Reason::kIdle);
      return next;
  }
  Earliest(next, clock.transaction_since, limits.transaction.after, Reason::kTransaction);
  return next;
}

PgError WordsFor(Reason reason, const ClientLimits& limits, ClientNames names,
                 Duration cancel_patience) {
  const auto error = [&](std::string_view level, std::string_view code, std::string_view why,
                         const TimeLimit& limit, std::string_view what, Option option) {
    const bool everybodys = limit.source == TimeLimit::Source::kEverybody;
    const std::string_view name = everybodys ? option.everybodys : option.name;
    const std::string whose = absl::StrCat(ToAbsl(Owner(limit.source)), ToAbsl(name));
    return PgError{.severity = std::string(level),
                   .sqlstate = std::string(code),
                   .message = std::string(why),
                   .detail = absl::StrCat("User \"", ToAbsl(names.user), "\" in database \"",
                                          ToAbsl(names.database), "\" may ", ToAbsl(what), " for ",
                                          FormatDuration(limit.after), " (", whose, ")."),
                   .hint = absl::StrCat("Take less time, or raise ", whose, ".")};
  };
  switch (reason) {
    case Reason::kQuery:
      return error(severity::kError, sqlstate::kQueryCanceled,
                   "canceling statement due to query timeout", limits.query, "run a query",
                   {"query_timeout", ""});
    case Reason::kQueryGoesOn: {
      PgError end = error(severity::kFatal, sqlstate::kQueryCanceled,
                          "terminating connection due to query timeout", limits.query,
                          "run a query", {"query_timeout", ""});
      absl::StrAppend(&end.detail, " It was canceled, and did not end within ",
                      FormatDuration(cancel_patience), " (timeouts.cancel).");
      return end;
    }
    case Reason::kTransaction:
      return error(severity::kFatal, sqlstate::kTransactionTimeout,
                   "terminating connection due to transaction timeout", limits.transaction,
                   "be in a transaction", {"transaction_timeout", ""});
    case Reason::kIdleInTransaction:
      return error(severity::kFatal, sqlstate::kIdleInTransactionSessionTimeout,
                   "terminating connection due to idle-in-transaction timeout",
                   limits.idle_in_transaction, "be idle in a transaction",
                   {"idle_in_transaction_timeout", ""});
    case Reason::kIdle:
      return error(severity::kFatal, sqlstate::kIdleSessionTimeout,
                   "terminating connection due to idle-session timeout", limits.idle, "be idle",
                   {"client_idle_timeout", "timeouts.client_idle"});
    case Reason::kWaitNotice:
      break;
  }
  TRIREME_UNREACHABLE();
}

}  // namespace trireme
