// SPDX-License-Identifier: GPL-3.0-or-later
#include "side/name_lookup.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "side/inline_crew.h"
#include "side/thread_crew.h"

namespace trireme {
namespace {

class Bell final : public Doorbell {
 public:
  void Ring(uint32_t) override {
    rings.fetch_add(1, std::memory_order_release);
    rings.notify_all();
  }
  std::atomic<uint32_t> rings{0};
};

std::string Texts(const Result<std::vector<SocketAddress>>& result) {
  if (!result.ok()) return std::string(FromAbsl(result.status().message()));
  std::string texts;
  for (const SocketAddress& address : *result) texts += address.Text() + " ";
  return texts;
}

TEST(NameLookup, TakesNumericAddressesAsTheyAre) {
  EXPECT_EQ(Texts(NameLookup::Blocking({.host = "127.0.0.1", .port = 5432})), "127.0.0.1:5432 ");
  EXPECT_EQ(Texts(NameLookup::Blocking({.host = "::1", .port = 1})), "[::1]:1 ");
  EXPECT_EQ(Texts(NameLookup::Blocking({.host = "[::1]", .port = 65535})), "[::1]:65535 ");
}

TEST(NameLookup, ResolvesNames) {
  const std::string texts = Texts(NameLookup::Blocking({.host = "localhost", .port = 5432}));
  EXPECT_TRUE(texts == "127.0.0.1:5432 " || texts == "[::1]:5432 " ||
              texts == "[::1]:5432 127.0.0.1:5432 " || texts == "127.0.0.1:5432 [::1]:5432 ")
      << texts;
}

TEST(NameLookup, ErrorsSayTheHostAndTheReason) {
  using namespace std::string_literals;
  EXPECT_EQ(Texts(NameLookup::Blocking({.host = "", .port = 1})),
            "could not look up a host: its name is empty");
  EXPECT_EQ(Texts(NameLookup::Blocking({.host = "a\0b"s, .port = 1})),
            "could not look up host \"a\0b\": a NUL byte in its name"s);
  const std::string prefix = "could not look up host \"a..b\": ";
  const std::string text = Texts(NameLookup::Blocking({.host = "a..b", .port = 1}));
  EXPECT_EQ(text.substr(0, prefix.size()), prefix);
  EXPECT_GT(text.size(), prefix.size());
}

struct Opening {
  NameLookup lookup{[](NameLookup& l) { ++static_cast<Opening*>(l.owner())->finished; }, this};
  int finished = 0;
};

TEST(NameLookup, AnswersThroughTheCrew) {
  Bell bell;
  ThreadCrew crew({.threads = 1}, &bell);
  Opening opening;
  ASSERT_TRUE(opening.lookup.Begin(crew, 0, {.host = "127.0.0.1", .port = 5432}));
  EXPECT_TRUE(opening.lookup.running());
  bell.rings.wait(0, std::memory_order_acquire);
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(opening.finished, 1);
  EXPECT_FALSE(opening.lookup.running());
  EXPECT_EQ(Texts(opening.lookup.result()), "127.0.0.1:5432 ");
}

TEST(NameLookup, SaysThatItWasCancelledAndMayBeginAgain) {
  Bell bell;
  Opening opening;
  InlineCrew stopped({}, &bell);
  stopped.Stop();
  ASSERT_TRUE(opening.lookup.Begin(stopped, 0, {.host = "db1", .port = 5432}));
  EXPECT_EQ(stopped.Drain(0), 1u);
  EXPECT_EQ(Texts(opening.lookup.result()), "could not look up host \"db1\": shutting down");

  InlineCrew crew({}, &bell);
  ASSERT_TRUE(opening.lookup.Begin(crew, 0, {.host = "::1", .port = 5432}));
  EXPECT_EQ(crew.Drain(0), 1u);
  EXPECT_EQ(Texts(opening.lookup.result()), "[::1]:5432 ");
  EXPECT_EQ(opening.finished, 2);
}

}  // namespace
}  // namespace trireme
