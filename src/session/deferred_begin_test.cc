// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/deferred_begin.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(DeferredBegin, IsABeginThatSaysNothingElse) {
  for (std::string_view text : {"BEGIN", "begin;", " Begin\t;\n", "BEGIN WORK",
                                "begin transaction;", "BEGIN;;", "\nbegin\fwork ; "}) {
    EXPECT_EQ(TagOfBareBegin(text), "BEGIN") << text;
  }
  for (std::string_view text : {"START TRANSACTION", "start  transaction;"}) {
    EXPECT_EQ(TagOfBareBegin(text), "START TRANSACTION") << text;
  }
  for (std::string_view text :
       {"", ";", ";BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN READ ONLY",
        "BEGIN; SELECT 1", "BEGIN WORK READ ONLY", "START", "START WORK", "BEGINNING", "BEGIN2",
        "BEGIN -- now", "/* */ BEGIN", "BEGIN; BEGIN", "BEGIN TRANSACTION WORK", "BEGIN\v",
        "COMMIT", "\"BEGIN\""}) {
    EXPECT_EQ(TagOfBareBegin(text), "") << text;
  }
}

TEST(DeferredBegin, EndsWhereTheTransactionEndsAndNoOtherBegins) {
  for (std::string_view text : {"COMMIT", "commit work", "END;", "end transaction"}) {
    EXPECT_EQ(TagOfBareEnd(text), "COMMIT") << text;
  }
  for (std::string_view text : {"ROLLBACK", "rollback transaction;", "ABORT", "abort work"}) {
    EXPECT_EQ(TagOfBareEnd(text), "ROLLBACK") << text;
  }
  for (std::string_view text : {"COMMIT AND CHAIN", "ROLLBACK TO a", "COMMIT PREPARED 'x'",
                                "COMMIT; SELECT 1", "PREPARE TRANSACTION 'x'", "BEGIN", ""}) {
    EXPECT_EQ(TagOfBareEnd(text), "") << text;
  }
}

}  // namespace
}  // namespace trireme
