// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/units.h"

#include <gtest/gtest.h>

#include <regex>

namespace trireme {
namespace {

struct DurationCase {
  std::string_view text;
  std::optional<Duration> value;
};

TEST(Units, ReadsDurations) {
  const DurationCase cases[] = {
      {"0", 0s},
      {"0s", 0s},
      {"1ns", 1ns},
      {"5us", 5us},
      {"500ms", 500ms},
      {"30s", 30s},
      {"2m", 120s},
      {"2min", 120s},
      {"1h", 3600s},
      {"1d", 86400s},
      {"1h30m", 5400s},
      {"1min1s", 61s},
      {"007s", 7s},
      {"", {}},
      {"30", {}},
      {"s", {}},
      {"-1s", {}},
      {"1.5s", {}},
      {"30 s", {}},
      {"30S", {}},
      {"1w", {}},
      {"1h30", {}},
      {" 1s", {}},
      {"99999999999999999999h", Duration::max()},
      {"106752d", Duration::max()},
  };
  for (const DurationCase& test : cases)
    EXPECT_EQ(ParseDuration(test.text), test.value) << test.text;
}

TEST(Units, WritesDurationsSoThatTheyReadBack) {
  const std::pair<Duration, std::string_view> cases[] = {
      {0s, "0"},    {1ns, "1ns"},    {1500us, "1500us"}, {1500ms, "1500ms"}, {30s, "30s"},
      {90s, "90s"}, {600s, "10min"}, {3600s, "1h"},      {86400s, "1d"},
  };
  for (const auto& [value, text] : cases) {
    EXPECT_EQ(FormatDuration(value), text);
    EXPECT_EQ(ParseDuration(text), value) << text;
  }
}

TEST(Units, ReadsSizes) {
  const std::pair<std::string_view, std::optional<int64_t>> cases[] = {
      {"0", 0},          {"8192", 8192},   {"1B", 1},         {"64kB", 64000},
      {"16KiB", 16384},  {"1MB", 1000000}, {"1MiB", 1 << 20}, {"1GB", 1000000000},
      {"1GiB", 1 << 30}, {"", {}},         {"KiB", {}},       {"1KB", {}},
      {"1.5MiB", {}},    {"-1", {}},       {"16 KiB", {}},    {"99999999999GiB", INT64_MAX},
  };
  for (const auto& [text, value] : cases) EXPECT_EQ(ParseSize(text), value) << text;
}

TEST(Units, WritesSizesSoThatTheyReadBack) {
  const std::pair<int64_t, std::string_view> cases[] = {
      {0, "0B"}, {1, "1B"}, {1000, "1000B"}, {16384, "16KiB"}, {1 << 20, "1MiB"}, {3 << 20, "3MiB"},
  };
  for (const auto& [value, text] : cases) {
    EXPECT_EQ(FormatSize(value), text);
    EXPECT_EQ(ParseSize(text), value);
  }
}

TEST(Units, ReadsModes) {
  const std::pair<std::string_view, std::optional<uint32_t>> cases[] = {
      {"0777", 0777}, {"0600", 0600}, {"00", 0},     {"077", 077}, {"777", {}},
      {"0", {}},      {"0888", {}},   {"01777", {}}, {"", {}},     {"0x7", {}},
  };
  for (const auto& [text, value] : cases) EXPECT_EQ(ParseMode(text), value) << text;
  EXPECT_EQ(FormatMode(0), "0000");
  EXPECT_EQ(FormatMode(0770), "0770");
}

struct HostCase {
  std::string_view text;
  std::string_view host;  // "" = refused
  uint16_t port;
  std::string_view printed;
};

TEST(Units, ReadsHosts) {
  constexpr HostCase kCases[] = {
      {"127.0.0.1:5432", "127.0.0.1", 5432, "127.0.0.1:5432"},
      {"db.example", "db.example", 5432, "db.example:5432"},
      {"[::1]:5433", "::1", 5433, "[::1]:5433"},
      {"[fe80::1]", "fe80::1", 5432, "[fe80::1]:5432"},
      {"/var/run/postgresql:5432", "/var/run/postgresql", 5432, "/var/run/postgresql:5432"},
      {"/tmp", "/tmp", 5432, "/tmp:5432"},
      {"", "", 0, ""},
      {":5432", "", 0, ""},
      {"::1", "", 0, ""},
      {"[::1", "", 0, ""},
      {"[db]:5432", "", 0, ""},
      {"[::1]5432", "", 0, ""},
      {"db:", "", 0, ""},
      {"db:0", "", 0, ""},
      {"db:65536", "", 0, ""},
      {"db:5432x", "", 0, ""},
      {"db example:5432", "", 0, ""},
  };
  for (const HostCase& test : kCases) {
    const std::optional<HostConfig> host = ParseHost(test.text);
    ASSERT_EQ(host.has_value(), !test.host.empty()) << test.text;
    if (!host) continue;
    EXPECT_EQ(host->host, test.host);
    EXPECT_EQ(host->port, test.port);
    EXPECT_EQ(FormatHost(*host), test.printed);
  }
}

// The schema must not refuse what the loader takes, nor let pass what it refuses by form.
TEST(Units, SchemaPatternsAgreeWithTheParsers) {
  const auto matches = [](std::string_view pattern, std::string_view text) {
    return std::regex_match(std::string(text), std::regex(std::string(pattern)));
  };
  for (std::string_view text : {"0", "0s", "1h30m", "30", "s", "1.5s", "30 s", "", "1w", "5us"}) {
    EXPECT_EQ(matches(kDurationPattern, text), ParseDuration(text).has_value()) << text;
  }
  for (std::string_view text : {"0", "16KiB", "1KB", "64kB", "1.5MiB", "", "B", "9GB"}) {
    EXPECT_EQ(matches(kSizePattern, text), ParseSize(text).has_value()) << text;
  }
  for (std::string_view text : {"0777", "777", "0888", "00", "01777", "0"}) {
    EXPECT_EQ(matches(kModePattern, text), ParseMode(text).has_value()) << text;
  }
  for (std::string_view text : {"db:1", "db", "[::1]:5432", "::1", "[::1", "/tmp:5432", "", ":1"}) {
    EXPECT_EQ(matches(kHostPattern, text), ParseHost(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace trireme
