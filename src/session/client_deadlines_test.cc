// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/client_deadlines.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Activity = ClientClock::Activity;
using Reason = Deadline::Reason;

constexpr Duration kPatience = 10s;

ClientLimits Limits() {
  ClientLimits limits;
  limits.wait_notify = 1s;
  limits.query.after = 2s;
  limits.transaction.after = 3s;
  limits.idle_in_transaction.after = 4s;
  limits.idle.after = 5s;
  return limits;
}

Time At(Duration since_start) { return Time(since_start); }

TEST(ClientDeadlines, NothingIsDueWithoutLimits) {
  for (const Activity activity :
       {Activity::kIdle, Activity::kWaiting, Activity::kRunning, Activity::kIdleInTransaction}) {
    EXPECT_EQ(ClientDeadlines().Next({}, {activity, At(1s), At(1s)}, kPatience).at, kNever);
  }
}

TEST(ClientDeadlines, EachActivityHasItsOwn) {
  const ClientDeadlines deadlines;
  const auto next = [&](Activity activity) {
    return deadlines.Next(Limits(), {activity, At(100s), At(100s)}, kPatience);
  };
  EXPECT_EQ(next(Activity::kWaiting).at, At(101s));
  EXPECT_EQ(next(Activity::kWaiting).reason, Reason::kWaitNotice);
  EXPECT_EQ(next(Activity::kRunning).at, At(102s));
  EXPECT_EQ(next(Activity::kRunning).reason, Reason::kQuery);
  EXPECT_EQ(next(Activity::kIdleInTransaction).at, At(103s));
  EXPECT_EQ(next(Activity::kIdleInTransaction).reason, Reason::kTransaction);
  EXPECT_EQ(next(Activity::kIdle).at, At(105s));
  EXPECT_EQ(next(Activity::kIdle).reason, Reason::kIdle);
}

TEST(ClientDeadlines, TheEarliestCounts) {
  const ClientDeadlines deadlines;
  const ClientClock late{Activity::kRunning, At(100s), At(98s)};
  EXPECT_EQ(deadlines.Next(Limits(), late, kPatience).reason, Reason::kTransaction);
  ClientLimits limits = Limits();
  limits.transaction.after = 0s;
  const ClientClock idle{Activity::kIdleInTransaction, At(100s), At(0s)};
  EXPECT_EQ(deadlines.Next(limits, idle, kPatience).reason, Reason::kIdleInTransaction);
}

TEST(ClientDeadlines, NotifiesOnce) {
  ClientDeadlines deadlines;
  const ClientClock waiting{Activity::kWaiting, At(100s)};
  deadlines.OnNotified();
  EXPECT_EQ(deadlines.Next(Limits(), waiting, kPatience).at, kNever);
  deadlines.Restart();
  EXPECT_EQ(deadlines.Next(Limits(), waiting, kPatience).at, At(101s));
}

TEST(ClientDeadlines, ACancelledQueryHasSomeTimeToEnd) {
  ClientDeadlines deadlines;
  ClientLimits limits = Limits();
  limits.transaction.after = 0s;
  deadlines.OnCancelled();
  const Deadline next = deadlines.Next(limits, {Activity::kRunning, At(100s), At(100s)}, kPatience);
  EXPECT_EQ(next.reason, Reason::kQueryGoesOn);
  EXPECT_EQ(next.at, At(112s));
}

TEST(ClientDeadlines, APipelineThatAdvancesIsNotOneLongQuery) {
  ClientDeadlines deadlines;
  const ClientClock running{Activity::kRunning, At(100s), At(100s)};
  ClientLimits limits = Limits();
  limits.transaction.after = 0s;
  EXPECT_FALSE(deadlines.Advanced(0, At(102s)));
  EXPECT_TRUE(deadlines.Advanced(7, At(102s)));
  EXPECT_EQ(deadlines.Next(limits, running, kPatience).at, At(104s));
  EXPECT_FALSE(deadlines.Advanced(7, At(104s)));
  deadlines.OnCancelled();
  EXPECT_FALSE(deadlines.Advanced(9, At(105s)));  // what was cancelled stays so
}

struct WordsCase {
  Reason reason;
  std::string_view severity;
  std::string_view sqlstate;
  std::string_view message;
  std::string_view detail;
};

TEST(ClientDeadlines, SayWhoWhatAndWhichLimit) {
  ClientLimits limits = Limits();
  limits.query.source = TimeLimit::Source::kUser;
  limits.idle.source = TimeLimit::Source::kEverybody;
  const WordsCase cases[] = {
      {Reason::kQuery, "ERROR", "57014", "canceling statement due to query timeout",
       "User \"app\" in database \"shop\" may run a query for 2s (the user's query_timeout)."},
      {Reason::kQueryGoesOn, "FATAL", "57014", "terminating connection due to query timeout",
       "User \"app\" in database \"shop\" may run a query for 2s (the user's query_timeout). It "
       "was canceled, and did not end within 10s (timeouts.cancel)."},
      {Reason::kTransaction, "FATAL", "25P04", "terminating connection due to transaction timeout",
       "User \"app\" in database \"shop\" may be in a transaction for 3s (the route's "
       "transaction_timeout)."},
      {Reason::kIdleInTransaction, "FATAL", "25P03",
       "terminating connection due to idle-in-transaction timeout",
       "User \"app\" in database \"shop\" may be idle in a transaction for 4s (the route's "
       "idle_in_transaction_timeout)."},
      {Reason::kIdle, "FATAL", "57P05", "terminating connection due to idle-session timeout",
       "User \"app\" in database \"shop\" may be idle for 5s (timeouts.client_idle)."},
  };
  for (const WordsCase& test : cases) {
    const PgError error =
        WordsFor(test.reason, limits, {.database = "shop", .user = "app"}, kPatience);
    EXPECT_EQ(error.severity, test.severity);
    EXPECT_EQ(error.sqlstate, test.sqlstate);
    EXPECT_EQ(error.message, test.message);
    EXPECT_EQ(error.detail, test.detail);
    EXPECT_NE(error.hint, "");
  }
}

}  // namespace
}  // namespace trireme
