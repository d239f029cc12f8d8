// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

TEST(NearestName, FindsTypingMistakesAndNothingElse) {
  const std::vector<std::string> names = {"listen", "size", "idle_timeout", "wait_timeout", "mode"};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"lisetn", "listen"},
      {"listne", "listen"},
      {"sise", "size"},
      {"siz", "size"},
      {"idletimeout", "idle_timeout"},
      {"wait_timeouts", "wait_timeout"},
      {"mod", "mode"},
      {"xyz", ""},
      {"", ""},
      {"completely_different", ""},
  };
  for (const auto& [word, expected] : cases) {
    EXPECT_EQ(NearestName(word, names).value_or(""), expected) << word;
  }
  EXPECT_EQ(NearestName(std::string(100000, 'a'), names), std::nullopt);
}

}  // namespace
}  // namespace trireme
