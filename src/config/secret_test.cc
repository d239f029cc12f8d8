// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/secret.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

constexpr std::string_view kMd5 = "md5a6343a68d964ca596d9752250d54bb8a";
constexpr std::string_view kScram =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

TEST(Secret, TellsTheFormsApart) {
  const std::pair<std::string_view, Secret::Kind> cases[] = {
      {"hunter2", Secret::Kind::kPlaintext},
      {"MD5 is fine in capitals", Secret::Kind::kPlaintext},
      {"SCRAM-SHA-256", Secret::Kind::kPlaintext},
      {"pässword", Secret::Kind::kPlaintext},
      {kMd5, Secret::Kind::kMd5},
      {kScram, Secret::Kind::kScram},
  };
  for (const auto& [text, kind] : cases) {
    const Result<Secret> secret = ParseSecret(text);
    ASSERT_TRUE(secret.ok()) << text;
    EXPECT_EQ(secret->kind, kind) << text;
    EXPECT_EQ(secret->text, text);
  }
}

TEST(Secret, RefusesMalformedHashesWithoutRepeatingThem) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"", "empty"},
      {std::string("a\0b", 3), "NUL"},
      {"md5rocks", "32 lower-case hex digits"},
      {"md5A6343A68D964CA596D9752250D54BB8A", "32 lower-case hex digits"},
      {std::string(kMd5) + "0", "32 lower-case hex digits"},
      {"SCRAM-SHA-256$", "iteration count"},
      {"SCRAM-SHA-256$0:c2FsdA==$a:b", "iteration count"},
      {"SCRAM-SHA-256$x:c2FsdA==$a:b", "iteration count"},
      {"SCRAM-SHA-256$+4096:c2FsdA==$a:b", "iteration count"},
      {"SCRAM-SHA-256$ 4096:c2FsdA==$a:b", "iteration count"},
      {"SCRAM-SHA-256$4096:c2FsdB==$a:b", "salt"},
      {"SCRAM-SHA-256$4096:c2FsdA=$a:b", "salt"},
      {"SCRAM-SHA-256$4096:$a:b", "salt"},
      {"SCRAM-SHA-256$4096:!!!!$a:b", "salt"},
      {"SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:c2FsdA==", "StoredKey"},
      {std::string(kScram.substr(0, kScram.size() - 4)), "ServerKey"},
      {std::string(kScram) + ":x", "ServerKey"},
  };
  for (const auto& [text, reason] : cases) {
    const Result<Secret> secret = ParseSecret(text);
    ASSERT_FALSE(secret.ok()) << text;
    const std::string message(secret.status().message());
    EXPECT_NE(message.find(reason), message.npos) << message;
    if (text.size() > 16) {
      EXPECT_EQ(message.find(text.substr(3)), message.npos) << message;
    }
  }
}

}  // namespace
}  // namespace trireme
