// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/fingerprint_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace trireme {
namespace {

constexpr size_t kNowhere = std::string_view::npos;

FingerprintTables Tables() {
  FingerprintTables tables;
  tables.Add("abc", 0);
  tables.Add("x_9", 1);
  tables.Add(";", 7);
  return tables;
}

TEST(FingerprintScan, FindsAFingerprintAtEveryPlaceInEitherCase) {
  const FingerprintTables tables = Tables();
  for (size_t before = 0; before < 100; ++before) {
    for (size_t after = 0; after < 40; ++after) {
      for (const char* print : {"abc", "ABC", "aBc", "x_9", "X_9", ";.."}) {
        const std::string text = std::string(before, '.') + print + std::string(after, '.');
        EXPECT_EQ(FindFingerprint(tables, text, 0), before) << text;
        EXPECT_EQ(FindFingerprint(tables, text, before), before) << text;
        EXPECT_EQ(FindFingerprint(tables, text, before + 1), kNowhere) << text;
        EXPECT_EQ(FindFingerprintByBytes(tables, text, 0), before) << text;
      }
    }
  }
}

TEST(FingerprintScan, FindsNoneThatIsNotWhole) {
  const FingerprintTables tables = Tables();
  for (size_t before = 0; before < 100; ++before) {
    for (const char* half : {"", "a", "ab", "x_", ";", ";."}) {
      const std::string text = std::string(before, '.') + half;
      EXPECT_EQ(FindFingerprint(tables, text, 0), kNowhere) << text;
      EXPECT_EQ(FindFingerprintByBytes(tables, text, 0), kNowhere) << text;
    }
  }
}

TEST(FingerprintScan, BothWaysFindTheSamePlaces) {
  const FingerprintTables tables = Tables();
  Random random(7);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (uint64_t n = random.Below(200); n > 0; --n) {
      text += random.Below(8) == 0 ? static_cast<char>(random.Below(256))
                                   : "abcx_9;ABC. "[random.Below(12)];
    }
    for (size_t from = 0; from <= text.size(); ++from) {
      ASSERT_EQ(FindFingerprint(tables, text, from), FindFingerprintByBytes(tables, text, from))
          << text << " from " << from;
    }
  }
}

}  // namespace
}  // namespace trireme
