// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_keys.h"

#include <gtest/gtest.h>

#include <string>

#include "auth/saslprep.h"
#include "auth/scram_key_cache.h"
#include "auth/seeded_secret_random.h"

namespace trireme {
namespace {

ScramKeys KeysNumber(int number) {
  ScramKeys keys{};
  keys.client_key[0] = static_cast<std::byte>(number);
  return keys;
}

TEST(ScramKeys, MakesTheVerifierPostgresMakes) {
  // pencil with the salt of RFC 7677; StoredKey and ServerKey from Python's hashlib.
  const std::string salt = *Base64Decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  const ScramKeys keys = DeriveScramKeys("pencil", salt, 4096);
  EXPECT_EQ(
      FormatScramVerifier({.iterations = 4096,
                           .salt = salt,
                           .stored_key = StoredKeyOf(keys.client_key),
                           .server_key = keys.server_key}),
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

TEST(ScramKeys, PasswordsOfOneNormalFormAreOnePassword) {
  if (!SaslprepAvailable()) GTEST_SKIP() << "built without libidn";
  EXPECT_EQ(DeriveScramKeys("I\xc2\xadX", "salt", 2), DeriveScramKeys("IX", "salt", 2));
}

TEST(ScramKeys, AProofGivesTheClientKeyBack) {
  const ScramKeys keys = DeriveScramKeys("x", "salt", 1);
  const Digest stored = StoredKeyOf(keys.client_key);
  const Digest proof = ScramClientProof(keys.client_key, stored, "message");
  EXPECT_EQ(ScramClientProof(proof, stored, "message"), keys.client_key);
}

TEST(SaltSecret, RepeatsForAUserAndDiffersBetweenUsersAndProcesses) {
  SeededSecretRandom random(7);
  const SaltSecret one = *SaltSecret::Make(random);
  const SaltSecret two = *SaltSecret::Make(random);
  EXPECT_EQ(one.SaltFor("alice").size(), 16u);
  EXPECT_EQ(one.SaltFor("alice"), one.SaltFor("alice"));
  EXPECT_NE(one.SaltFor("alice"), one.SaltFor("bob"));
  EXPECT_NE(one.SaltFor("alice"), two.SaltFor("alice"));
  const ScramVerifier mock = one.MockVerifierFor("alice", 4096);
  EXPECT_EQ(mock, one.MockVerifierFor("alice", 4096));
  EXPECT_EQ(mock.salt, one.SaltFor("alice"));
  EXPECT_EQ(mock.iterations, 4096u);
  EXPECT_NE(mock.stored_key, mock.server_key);
}

TEST(ScramKeyCache, TellsPasswordSaltAndIterationsApart) {
  ScramKeyCache cache(10, Digest{});
  const ScramKeyId id = cache.RequestFor("ab", "c", 1).id;
  EXPECT_EQ(cache.RequestFor("ab", "c", 1).id, id);
  EXPECT_NE(cache.RequestFor("a", "bc", 1).id, id);
  EXPECT_NE(cache.RequestFor("ab", "c", 2).id, id);
  EXPECT_NE(cache.RequestFor("ab", "d", 1).id, id);
  Digest other_key{};
  other_key[0] = std::byte{1};
  EXPECT_NE(ScramKeyCache(10, other_key).RequestFor("ab", "c", 1).id, id);
}

TEST(ScramKeyCache, ForgetsTheLeastRecentlyUsed) {
  ScramKeyCache cache(2, Digest{});
  const ScramKeyId a = cache.RequestFor("a", "", 1).id;
  const ScramKeyId b = cache.RequestFor("b", "", 1).id;
  const ScramKeyId c = cache.RequestFor("c", "", 1).id;
  cache.Insert(a, KeysNumber(1));
  cache.Insert(b, KeysNumber(2));
  ASSERT_NE(cache.Find(a), nullptr);  // used: b is the oldest now
  cache.Insert(c, KeysNumber(3));
  EXPECT_EQ(cache.count(), 2u);
  EXPECT_EQ(cache.Find(b), nullptr);
  ASSERT_NE(cache.Find(a), nullptr);
  EXPECT_EQ(*cache.Find(a), KeysNumber(1));
  EXPECT_EQ(*cache.Find(c), KeysNumber(3));
  cache.Insert(c, KeysNumber(3));  // a second answer to the same question
  EXPECT_EQ(cache.count(), 2u);
}

TEST(ScramKeyJob, OwnsItsInputs) {
  ScramKeyCache cache(2, Digest{});
  std::string password = "hunter2", salt = "salt";
  const ScramKeyJob job(cache.RequestFor(password, salt, 3));
  password = salt = "gone";
  EXPECT_EQ(job.Run(), DeriveScramKeys("hunter2", "salt", 3));
  EXPECT_EQ(job.id(), cache.RequestFor("hunter2", "salt", 3).id);
}

}  // namespace
}  // namespace trireme
