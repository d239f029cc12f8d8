// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/session_functions.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using enum SessionFunction;

TEST(SessionFunctions, AreKnownByName) {
  EXPECT_EQ(FindSessionFunction("set_config"), kSetConfig);
  EXPECT_EQ(FindSessionFunction("pg_advisory_lock"), kAdvisoryLock);
  EXPECT_EQ(FindSessionFunction("pg_try_advisory_lock_shared"), kAdvisoryLock);
  EXPECT_EQ(FindSessionFunction("pg_advisory_unlock"), kAdvisoryUnlock);
  EXPECT_EQ(FindSessionFunction("pg_advisory_unlock_all"), kAdvisoryUnlockAll);
  EXPECT_EQ(FindSessionFunction("lastval"), kSequenceRead);
  EXPECT_EQ(FindSessionFunction("setval"), kSequenceAdvance);
  EXPECT_EQ(FindSessionFunction("dblink_connect"), kOther);
  EXPECT_EQ(FindSessionFunction("setseed"), kOther);
  for (const char* other : {"", "count", "dblink", "pg_advisory_xact_lock", "SET_CONFIG", "zzz"}) {
    EXPECT_EQ(FindSessionFunction(other), kNone) << other;
  }
}

TEST(SessionFunctions, AreKnownByNumber) {
  EXPECT_EQ(FindSessionFunction(2078u), kSetConfig);
  EXPECT_EQ(FindSessionFunction(2880u), kAdvisoryLock);
  EXPECT_EQ(FindSessionFunction(2892u), kAdvisoryUnlockAll);
  EXPECT_EQ(FindSessionFunction(1574u), kSequenceAdvance);
  EXPECT_EQ(FindSessionFunction(2559u), kSequenceRead);
  EXPECT_EQ(FindSessionFunction(952u), kNone);   // lo_open
  EXPECT_EQ(FindSessionFunction(3089u), kNone);  // pg_advisory_xact_lock
  EXPECT_EQ(FindSessionFunction(0u), kNone);
}

}  // namespace
}  // namespace trireme
