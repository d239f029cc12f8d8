// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trireme::bench {
namespace {

std::string Message(char type, std::string_view body) {
  std::string text(1, type);
  const auto length = static_cast<uint32_t>(body.size() + 4);
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(length >> shift);
  return text.append(body);
}

bool WantsErrors(char type) { return type == 'E'; }

std::vector<std::string> Scan(Scanner& scanner, std::string_view text, size_t piece) {
  std::vector<std::string> seen;
  while (!text.empty()) {
    const size_t size = std::min(piece, text.size());
    scanner.Feed(AsBytes(text.substr(0, size)), WantsErrors, [&](char type, Bytes body) {
      seen.push_back(type + std::string(AsText(body)));
      return true;
    });
    text.remove_prefix(size);
  }
  return seen;
}

TEST(Scanner, FindsMessagesWhereverTheyAreCut) {
  const std::string text = Message('T', "columns") + Message('D', std::string(300, 'x')) +
                           Message('E', "the error") + Message('Z', "I") + Message('E', "");
  const std::vector<std::string> expected = {"T", "D", "Ethe error", "Z", "E"};
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    Scanner scanner;
    EXPECT_EQ(Scan(scanner, text, piece), expected) << "pieces of " << piece;
    EXPECT_TRUE(scanner.at_boundary());
    EXPECT_FALSE(scanner.broken());
  }
}

TEST(Scanner, AnImpossibleLengthBreaksIt) {
  for (size_t piece : {1, 3, 5, 8}) {
    Scanner scanner;
    EXPECT_EQ(Scan(scanner, std::string("Z\0\0\0\3I", 6), piece).size(), 0u);
    EXPECT_TRUE(scanner.broken());
  }
}

TEST(Scanner, AWantedBodyHasABound) {
  Scanner scanner;
  EXPECT_EQ(Scan(scanner, std::string("E\x7f\0\0\0", 5), 5).size(), 0u);
  EXPECT_TRUE(scanner.broken());
}

TEST(Scanner, AHandlerMayEndTheScan) {
  Scanner scanner;
  int seen = 0;
  const std::string text = Message('Z', "I") + Message('Z', "I");
  scanner.Feed(AsBytes(text), WantsErrors, [&](char, Bytes) {
    ++seen;
    scanner.Reset();
    return false;
  });
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(scanner.at_boundary());
}

}  // namespace
}  // namespace trireme::bench
