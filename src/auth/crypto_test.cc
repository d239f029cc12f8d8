// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/crypto.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <span>
#include <string>

#include "auth/seeded_secret_random.h"

namespace trireme {
namespace {

std::string Hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const std::byte b : bytes) {
    hex += kDigits[static_cast<unsigned>(b) >> 4];
    hex += kDigits[static_cast<unsigned>(b) & 15];
  }
  return hex;
}

TEST(Crypto, HashesMatchTheirStandards) {
  EXPECT_EQ(Hex(Md5({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Hex(Md5({AsBytes("ab"), AsBytes("c")})), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(Hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256({AsBytes("a"), AsBytes("bc")})),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test cases 2 and 6 (a key longer than a block).
  EXPECT_EQ(
      Hex(HmacSha256(AsBytes("Jefe"), {AsBytes("what do ya want "), AsBytes("for nothing?")})),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacSha256(AsBytes(std::string(131, '\xaa')),
                           {AsBytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Crypto, Pbkdf2TakesAnyPasswordAndSaltLength) {
  EXPECT_EQ(Hex(Pbkdf2HmacSha256(
                {.password = AsBytes("password"), .salt = AsBytes("salt"), .iterations = 4096})),
            "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
  EXPECT_EQ(Hex(Pbkdf2HmacSha256(
                {.password = AsBytes(std::string(200, 'p')), .salt = {}, .iterations = 3})),
            "1190844912a75f2b53e7bed3996aced6de583526b51fe290421288c67c5d9dff");
}

TEST(Crypto, Base64EncodesAsRfc4648) {
  struct Case {
    std::string_view plain, text;
  };
  static constexpr Case kCases[] = {{"", ""},        {"f", "Zg=="},           {"fo", "Zm8="},
                                    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},    {"n,,", "biws"},
                                    {"y,,", "eSws"}, {"\xff\xfe\xfd", "//79"}};
  for (const Case& c : kCases) {
    EXPECT_EQ(Base64Encode(AsBytes(c.plain)), c.text);
    EXPECT_EQ(Base64Decode(c.text), c.plain) << c.text;
  }
}

TEST(Crypto, Base64RoundTripsEveryLength) {
  SeededSecretRandom random(1);
  for (size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    ASSERT_TRUE(random.Fill({reinterpret_cast<std::byte*>(bytes.data()), size}).ok());
    EXPECT_EQ(Base64Decode(Base64Encode(AsBytes(bytes))), bytes);
  }
}

TEST(Crypto, Base64DecodesNothingButWhatEncodingMakes) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zm9v\n", "Zm 9", "Zm9v Zm9v", "Zm9-",
        "Zm9_", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\r\nZm9v", "\xffm9v", "Z=g="}) {
    EXPECT_EQ(Base64Decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(Base64Decode(std::string_view("Zm9\0", 4)), std::nullopt);
}

TEST(Crypto, ConstantTimeEqualComparesAllBytes) {
  EXPECT_TRUE(ConstantTimeEqual({}, {}));
  EXPECT_TRUE(ConstantTimeEqual(AsBytes("abc"), AsBytes("abc")));
  EXPECT_FALSE(ConstantTimeEqual(AsBytes("abc"), AsBytes("abd")));
  EXPECT_FALSE(ConstantTimeEqual(AsBytes("xbc"), AsBytes("abc")));
  EXPECT_FALSE(ConstantTimeEqual(AsBytes("abc"), AsBytes("ab")));
}

TEST(Crypto, SecureZeroOverwrites) {
  char memory[] = "secret";
  SecureZero({reinterpret_cast<std::byte*>(memory), sizeof memory});
  for (const char c : memory) EXPECT_EQ(c, 0);
  std::string text = "a secret that is too long for the small-string buffer";
  SecureZero(text);
  EXPECT_TRUE(text.empty());
}

TEST(Crypto, SecretTextIsAValue) {
  SecretText first("one");
  SecretText second = first;
  EXPECT_EQ(second.view(), "one");
  second = SecretText("two");
  EXPECT_EQ(second.view(), "two");
  first = std::move(second);
  EXPECT_EQ(first.view(), "two");
  first = static_cast<const SecretText&>(first);
  EXPECT_EQ(first.view(), "two");
}

TEST(Crypto, SystemRandomnessDoesNotRepeat) {
  Result<std::unique_ptr<SecretRandom>> random = OpenSecretRandom();
  ASSERT_TRUE(random.ok()) << random.status();
  Digest first{}, second{};
  ASSERT_TRUE((*random)->Fill(first).ok());
  ASSERT_TRUE((*random)->Fill(second).ok());
  EXPECT_NE(first, second);
  EXPECT_NE(first, Digest{});
  EXPECT_TRUE((*random)->Fill({}).ok());
}

// Small amounts come from a stock; every byte of it once, and none of what is asked for in between.
TEST(Crypto, SmallSecretsDoNotRepeatEither) {
  Result<std::unique_ptr<SecretRandom>> random = OpenSecretRandom();
  ASSERT_TRUE(random.ok()) << random.status();
  std::set<std::string> seen;
  size_t asked = 0;
  for (int i = 0; i < 300; ++i) {
    for (const size_t size : {8, 12, 16, 64, 65, 200}) {
      std::string bytes(size, '\0');
      ASSERT_TRUE((*random)->Fill(std::as_writable_bytes(std::span(bytes))).ok());
      for (size_t at = 0; at + 8 <= size; at += 8, ++asked) seen.insert(bytes.substr(at, 8));
    }
  }
  EXPECT_EQ(seen.size(), asked);
  int of_each[256] = {};
  for (int i = 0; i < 65536; ++i) {
    std::byte byte{};
    ASSERT_TRUE((*random)->Fill({&byte, 1}).ok());
    ++of_each[static_cast<uint8_t>(byte)];
  }
  for (const int count : of_each) {  // 256 of each are expected, 16 the standard deviation
    EXPECT_GT(count, 256 - 16 * 7);
    EXPECT_LT(count, 256 + 16 * 7);
  }
}

}  // namespace
}  // namespace trireme
