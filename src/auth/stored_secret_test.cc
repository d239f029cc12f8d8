// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/stored_secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

using testing::HasSubstr;
using testing::Not;

// Computed with Python's hashlib for the password "hunter2".
constexpr std::string_view kVerifiers[] = {
    "SCRAM-SHA-256$4096:eHh4eHh4eHh4eHh4eHh4eA==$nYreYWOcfW9KQQa9WkyzRZgjheTEMY1SM4HqtD50Jas=:"
    "ruZH0tEZ1tCjoKCvXoprGEyLqKnenHfgECH50Lv6ULY=",
    "SCRAM-SHA-256$1:"
    "bG9uZyBzYWx0IGxvbmcgc2FsdCBsb25nIHNhbHQgbG9uZyBzYWx0IGxvbmcgc2FsdCBsb25nIHNhbHQg"
    "bG9uZyBzYWx0IA==$3hkJi/SpMONFHD+jgjWC+QFFKr0Vf747O3YIyV1RkFY=:"
    "CF6mTH3lzZ82S/rPtyz91Pf1xwXbQWfIaYAOGnYsNTM=",
    "SCRAM-SHA-256$2:cw==$hKgKoaruWHZ9dqX175afV5LfidozN/YOZaTp8/Apl9I=:"
    "6nSPlMpT5Ob3PSsV7hwmXiQZscCyorJfM4ke9wk0pIk=",
};

TEST(StoredSecret, ReadsVerifiersOfAnySaltLength) {
  for (const std::string_view text : kVerifiers) {
    const Result<ScramVerifier> verifier = ParseScramVerifier(text);
    ASSERT_TRUE(verifier.ok()) << verifier.status();
    EXPECT_EQ(FormatScramVerifier(*verifier), text);
    const ScramKeys keys = DeriveScramKeys("hunter2", verifier->salt, verifier->iterations);
    EXPECT_EQ(StoredKeyOf(keys.client_key), verifier->stored_key);
    EXPECT_EQ(keys.server_key, verifier->server_key);
  }
}

TEST(StoredSecret, TellsTheFormsApart) {
  EXPECT_TRUE(std::holds_alternative<NoSecret>(*ParseStoredSecret("")));
  EXPECT_TRUE(std::holds_alternative<ScramVerifier>(*ParseStoredSecret(kVerifiers[0])));
  const StoredSecret md5 = *ParseStoredSecret("md5f1d6e2da5767fddc60c941cf0fa924cf");
  EXPECT_EQ(std::get<Md5Hash>(md5).view(), "f1d6e2da5767fddc60c941cf0fa924cf");
  for (const std::string_view password :
       {"hunter2", "md5", "md5f1d6e2da5767fddc60c941cf0fa924c",
        "md5F1D6E2DA5767FDDC60C941CF0FA924CF", "md5f1d6e2da5767fddc60c941cf0fa924cg",
        "md5f1d6e2da5767fddc60c941cf0fa924cf0", "SCRAM-SHA-256"}) {
    const StoredSecret secret = *ParseStoredSecret(password);
    ASSERT_TRUE(std::holds_alternative<PlaintextSecret>(secret)) << password;
    EXPECT_EQ(std::get<PlaintextSecret>(secret).password.view(), password);
  }
}

TEST(StoredSecret, SaysWhatIsWrongWithAVerifierAndNeverQuotesIt) {
  struct Case {
    std::string_view text, error;
  };
  static constexpr Case kCases[] = {
      {"SCRAM-SHA-256$", "a part is missing"},
      {"SCRAM-SHA-256$4096", "a part is missing"},
      {"SCRAM-SHA-256$4096:c2VjcmV0", "a part is missing"},
      {"SCRAM-SHA-256$4096:c2VjcmV0$c2VjcmV0", "a part is missing"},
      {"SCRAM-SHA-256$:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$0:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$-1:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$1x:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$10000001:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$99999999999999:c2VjcmV0$c2VjcmV0:c2VjcmV0", "iteration count"},
      {"SCRAM-SHA-256$1:c2VjcmV$c2VjcmV0:c2VjcmV0", "salt"},
      {"SCRAM-SHA-256$1:$c2VjcmV0:c2VjcmV0", "salt"},
      {"SCRAM-SHA-256$1:c2VjcmV0$c2VjcmV0:c2VjcmV0", "StoredKey"},
      {"SCRAM-SHA-256$2:cw==$hKgKoaruWHZ9dqX175afV5LfidozN/YOZaTp8/Apl9I=:c2VjcmV0", "ServerKey"},
  };
  for (const Case& c : kCases) {
    const Result<StoredSecret> secret = ParseStoredSecret(c.text);
    ASSERT_FALSE(secret.ok()) << c.text;
    const std::string message(FromAbsl(secret.status().message()));
    EXPECT_THAT(message, HasSubstr(std::string(c.error)));
    EXPECT_THAT(message, Not(HasSubstr("c2Vj")));
  }
  EXPECT_FALSE(ParseScramVerifier("hunter2").ok());
}

TEST(StoredSecret, RefusesAVerifierCutOffAnywhere) {
  for (const std::string_view text : kVerifiers) {
    for (size_t size = 0; size < text.size(); ++size) {
      EXPECT_FALSE(ParseScramVerifier(text.substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(ParseScramVerifier(std::string(text) + "x").ok());
  }
}

}  // namespace
}  // namespace trireme
