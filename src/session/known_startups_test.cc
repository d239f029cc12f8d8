// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/known_startups.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

KnownStartup Startup(const std::string& told = "told") {
  KnownStartup startup;
  startup.told = told;
  return startup;
}

std::string Told(const KnownStartups& startups, const std::string& packet) {
  const KnownStartup* found = startups.Find(packet);
  return found != nullptr ? found->told : "";
}

TEST(KnownStartups, FindsThePacketThatWasNotedByteForByte) {
  KnownStartups startups;
  const std::string packet("user\0app\0", 9);
  EXPECT_EQ(startups.Find(packet), nullptr);
  startups.Note(packet, Startup("one"));
  EXPECT_EQ(Told(startups, packet), "one");
  EXPECT_EQ(startups.Find(packet.substr(0, 8)), nullptr);
  EXPECT_EQ(startups.Find(packet + '\0'), nullptr);
  EXPECT_EQ(startups.Find(std::string("user\0apq\0", 9)), nullptr);
}

TEST(KnownStartups, TheLastWordCounts) {
  KnownStartups startups;
  startups.Note("a", Startup("old"));
  startups.Note("a", Startup("new"));
  EXPECT_EQ(startups.count(), 1u);
  EXPECT_EQ(Told(startups, "a"), "new");
}

TEST(KnownStartups, DoesNotKeepLongPackets) {
  KnownStartups startups;
  const std::string longest(KnownStartups::kPacketBytesMax, 'x');
  startups.Note(longest, Startup());
  startups.Note(longest + "y", Startup());
  EXPECT_EQ(startups.count(), 1u);
  EXPECT_NE(startups.Find(longest), nullptr);
  EXPECT_EQ(startups.Find(longest + "y"), nullptr);
}

TEST(KnownStartups, ForgetsAllWhenThereAreTooMany) {
  KnownStartups startups;
  const std::string told(1000, 't');
  size_t most = 0;
  for (int i = 0; i < 3000; ++i) {
    startups.Note(std::to_string(i), Startup(told));
    EXPECT_EQ(Told(startups, std::to_string(i)), told);
    most = std::max(most, startups.count());
  }
  EXPECT_LE(most * told.size(), KnownStartups::kBytesMax);
  EXPECT_GT(most * told.size(), KnownStartups::kBytesMax / 2);
  EXPECT_LT(startups.count(), most);
}

// Replacing the same one again and again takes no more room than one.
TEST(KnownStartups, CountsWhatItReplaces) {
  KnownStartups startups;
  startups.Note("kept", Startup());
  for (int i = 0; i < 3000; ++i) startups.Note("again", Startup(std::string(1000, 't')));
  EXPECT_EQ(startups.count(), 2u);
}

}  // namespace
}  // namespace trireme
