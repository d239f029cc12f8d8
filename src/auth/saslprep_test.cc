// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/saslprep.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

TEST(Saslprep, LeavesAsciiAlone) {
  const std::string with_zero("a\0b", 3);
  for (const std::string& text : {std::string(), std::string("pencil"), std::string(" a b "),
                                  std::string("\x01\x7f"), with_zero}) {
    EXPECT_EQ(Saslprep(text).view(), text);
  }
}

TEST(Saslprep, UsesRawBytesForWhatItProhibits) {
  for (const std::string_view text : {
           "\xff\xfe",      // not UTF-8
           "caf\xc3",       // cut off
           "\xed\xa0\x80",  // a surrogate
           "a\xc2\x85",     // a control character beyond ASCII
           "\xef\xbf\xbd",  // the replacement character
           "\xc2\xad",      // nothing is left of it
           "\xd8\xa7"
           "1",                 // right to left, not ended so (RFC 4013 section 3)
           "\xf0\x9f\x98\x80",  // unassigned in Unicode 3.2
       }) {
    EXPECT_EQ(Saslprep(text).view(), text);
  }
}

TEST(Saslprep, NormalisesAsRfc4013) {
  if (!SaslprepAvailable()) GTEST_SKIP() << "built without libidn";
  EXPECT_EQ(Saslprep("I\xc2\xadX").view(), "IX");    // soft hyphen maps to nothing
  EXPECT_EQ(Saslprep("\xc2\xaa").view(), "a");       // NFKC of the feminine ordinal
  EXPECT_EQ(Saslprep("\xe2\x85\xa8").view(), "IX");  // NFKC of the roman nine
  EXPECT_EQ(Saslprep("a\xc2\xa0"
                     "b")
                .view(),
            "a b");                                     // no-break space is a space
  EXPECT_EQ(Saslprep("e\xcc\x81").view(), "\xc3\xa9");  // composed
  EXPECT_EQ(Saslprep("\xc3\xa9").view(), "\xc3\xa9");
  EXPECT_EQ(Saslprep("\xef\xb7\xba").view().size(), 33u);  // the longest expansion there is
}

}  // namespace
}  // namespace trireme
