// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/text_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

// Key 00 01 … 0f, as in the test vectors of the reference implementation.
constexpr TextHashKey kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

std::string Counting(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>(i);
  return text;
}

// The first bytes a3 81 7f 04 … of vectors_sip128, little endian.
TEST(HashText, IsSipHash) {
  EXPECT_EQ(HashText("", kKey), (TextHash{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  EXPECT_EQ(HashText(Counting(1), kKey), (TextHash{0x44af996bd8c187da, 0x45fc229b11597634}));
}

TEST(HashText, TellsTextsKeysAndLengthsApart) {
  const TextHash hash = HashText("SELECT 1", kKey);
  EXPECT_EQ(hash, HashText("SELECT 1", kKey));
  EXPECT_NE(hash, HashText("SELECT 2", kKey));
  EXPECT_NE(hash, HashText("SELECT 1", {1, 2}));
  for (size_t size = 0; size < 40; ++size) {
    EXPECT_NE(HashText(std::string(size, '\0'), kKey), HashText(std::string(size + 1, '\0'), kKey));
  }
}

}  // namespace
}  // namespace trireme
