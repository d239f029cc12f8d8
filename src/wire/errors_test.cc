// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/errors.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme {
namespace {

using std::string_literals::operator""s;

TEST(ErrorBody, KeepsWhatThePoolerPassesOn) {
  const PgError error = ParseErrorBody(
      AsBytes("SFATAL\0VFATAL\0C28P01\0Mwrong\0Dbecause\0Htry\0Fauth.c\0L1\0Rauth\0\0"s));
  EXPECT_EQ(error, (PgError{.severity = "FATAL",
                            .sqlstate = "28P01",
                            .message = "wrong",
                            .detail = "because",
                            .hint = "try"}));
}

TEST(ErrorBody, PrefersTheUntranslatedSeverityInEitherOrder) {
  EXPECT_EQ(ParseErrorBody(AsBytes("SFEHLER\0VERROR\0\0"s)).severity, "ERROR");
  EXPECT_EQ(ParseErrorBody(AsBytes("VERROR\0SFEHLER\0\0"s)).severity, "ERROR");
  EXPECT_EQ(ParseErrorBody(AsBytes("SFEHLER\0\0"s)).severity, "FEHLER");
}

TEST(ErrorBody, KeepsDefaultsForWhatIsMissingOrBrokenOff) {
  for (const std::string& body : {""s, "\0"s, "M"s, "Mtext"s, "C2\0\0"s, "Cabcde\0\0"s}) {
    EXPECT_EQ(ParseErrorBody(AsBytes(body)),
              (PgError{.sqlstate = "XX000", .message = "error without a text"}));
  }
}

TEST(ErrorBody, ReadsWhatTheWriterWrites) {
  const PgError error{.severity = "FATAL",
                      .sqlstate = sqlstate::kCannotConnectNow,
                      .message = "m",
                      .detail = "d",
                      .hint = "h"};
  std::string buffer;
  MessageWriter(buffer).ErrorResponse(error);
  EXPECT_EQ(ParseErrorBody(AsBytes(buffer).subspan(kMessageHeaderBytes)), error);
}

TEST(ErrorBody, AnswersTruncationAndGarbage) {
  const std::string whole = "SFATAL\0VFATAL\0C28P01\0Mwrong\0Dbecause\0\0"s;
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::vector<std::byte> exact(AsBytes(whole).begin(), AsBytes(whole).begin() + size);
    EXPECT_FALSE(ParseErrorBody(exact).message.empty());
  }
  Random random(11);
  for (int round = 0; round < 10000; ++round) {
    std::vector<std::byte> body(random.Below(40));
    for (std::byte& byte : body) {
      byte = random.Below(4) ? AsBytes("SVCMDH")[random.Below(6)] : std::byte{0};
    }
    ASSERT_EQ(ParseErrorBody(body).sqlstate.size(), 5u);
  }
}

TEST(ErrorText, IsOneLineForTheLog) {
  EXPECT_EQ(ToString({.severity = "FATAL", .sqlstate = "53300", .message = "full"}),
            "FATAL 53300: full");
  EXPECT_EQ(ToString({.sqlstate = "08006", .message = "m", .detail = "d"}), "ERROR 08006: m (d)");
  EXPECT_EQ(ToString({.sqlstate = "08006", .message = "m", .detail = "d", .hint = "h"}),
            "ERROR 08006: m (d; h)");
}

}  // namespace
}  // namespace trireme
