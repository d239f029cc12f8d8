// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <string>

#include "base/utf8.h"

namespace trireme {
namespace {

struct StringSink final : LogSink {
  void Write(std::string_view line) override { text += line; }
  std::string text;
};

int64_t FixedClock(void*) { return 1795301641'123'999'999; }  // 2026-11-21 22:54:01.123999999

constexpr LogStyle kText{.clock = {.read = FixedClock}, .pid = 17};
constexpr LogStyle kJson{.format = LogFormat::kJson, .clock = {.read = FixedClock}, .pid = 17};

TEST(Log, TextLineHasTimePidLevelMessageAndFields) {
  StringSink sink;
  Logger log(&sink, kText);
  log.Info("client connected", {{"client", "c1"},
                                {"database", std::string("a b")},
                                {"port", uint16_t{6432}},
                                {"delta", -3},
                                {"big", UINT64_MAX},
                                {"seconds", 0.25},
                                {"tls", false}});
  EXPECT_EQ(sink.text,
            "2026-11-21 22:54:01.123 UTC [17] INFO client connected client=c1 database=\"a b\" "
            "port=6432 delta=-3 big=18446744073709551615 seconds=0.25 tls=false\n");
}

TEST(Log, JsonLineIsOneObject) {
  StringSink sink;
  Logger log(&sink, kJson);
  log.Error("server failed", {{"host", "db1"}, {"port", 5432}, {"seconds", 1.5}, {"tls", true}});
  EXPECT_EQ(sink.text,
            "{\"time\":\"2026-11-21T22:54:01.123Z\",\"pid\":17,\"level\":\"error\",\"message\":"
            "\"server failed\",\"host\":\"db1\",\"port\":5432,\"seconds\":1.5,\"tls\":true}\n");
}

TEST(Log, WritesOnlyEnabledLevels) {
  StringSink sink;
  LogStyle style = kText;
  style.level = LogLevel::kWarning;
  Logger log(&sink, style);
  log.Debug("d");
  log.Info("i");
  EXPECT_EQ(sink.text, "");
  EXPECT_FALSE(log.Enabled(LogLevel::kInfo));
  log.Warning("w");
  log.set_level(LogLevel::kDebug);
  log.Debug("d");
  EXPECT_EQ(sink.text,
            "2026-11-21 22:54:01.123 UTC [17] WARNING w\n"
            "2026-11-21 22:54:01.123 UTC [17] DEBUG d\n");
}

struct ValueCase {
  std::string_view value;
  const char* text;
  const char* json;
};

TEST(Log, NoValueCanBreakItsLine) {
  using namespace std::string_view_literals;
  const ValueCase cases[] = {
      {"plain-1.2/3", "plain-1.2/3", "\"plain-1.2/3\""},
      {"", "\"\"", "\"\""},
      {"a=b", "\"a=b\"", "\"a=b\""},
      {"say \"hi\"\\", "\"say \\\"hi\\\"\\\\\"", "\"say \\\"hi\\\"\\\\\""},
      {"a\nb\r\tc", "\"a\\nb\\r\\tc\"", "\"a\\nb\\r\\tc\""},
      {"\0\x1b[31m\x7f"sv, "\"\\x00\\x1b[31m\\x7f\"", "\"\\u0000\\u001b[31m\\u007f\""},
      {"café", "\"café\"", "\"café\""},
      {"\U0001f40d", "\"\U0001f40d\"", "\"\U0001f40d\""},
      {"\xc2\x9b", "\"\\u009b\"", "\"\\u009b\""},      // C1: a terminal's CSI
      {"\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""},  // line separator
      {"a\xff\xc3", "\"a\\xff\\xc3\"", "\"a\\ufffd\\ufffd\""},
      {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\""},  // surrogate
  };
  for (const ValueCase& c : cases) {
    StringSink text, json;
    Logger(&text, kText).Info("m", {{"v", c.value}});
    Logger(&json, kJson).Info("m", {{"v", c.value}});
    EXPECT_EQ(text.text, "2026-11-21 22:54:01.123 UTC [17] INFO m v=" + std::string(c.text) + "\n");
    EXPECT_EQ(json.text,
              "{\"time\":\"2026-11-21T22:54:01.123Z\",\"pid\":17,\"level\":\"info\",\"message\":"
              "\"m\",\"v\":" +
                  std::string(c.json) + "}\n");
  }
}

TEST(Log, AMessageCannotBreakItsLineEither) {
  StringSink sink;
  Logger(&sink, kText).Info("server says \"no\"\n2026 FATAL \xff");
  EXPECT_EQ(sink.text,
            "2026-11-21 22:54:01.123 UTC [17] INFO server says \"no\"\\n2026 FATAL \\xff\n");
}

TEST(Log, JsonHasNoInfinities) {
  StringSink sink;
  Logger(&sink, kJson)
      .Info("m", {{"a", std::numeric_limits<double>::infinity()},
                  {"b", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_NE(sink.text.find("\"a\":null,\"b\":null}"), std::string::npos) << sink.text;
}

// Every length around the limit, so that the cut falls into each part of a field once.
TEST(Log, LongLinesAreCutBetweenCharactersAndStayWhole) {
  const std::string filler = "é";
  for (size_t length = kLogLineBytesMax / 2 - 120; length < kLogLineBytesMax / 2 + 20; ++length) {
    std::string value;
    for (size_t i = 0; i < length; ++i) value += filler;
    StringSink text, json;
    Logger(&text, kText).Info("m", {{"v", value}, {"number", 123456}, {"last", "x y\n"}});
    Logger(&json, kJson).Info("m", {{"v", value}, {"number", 123456}, {"last", "x y\n"}});
    for (const std::string& line : {text.text, json.text}) {
      ASSERT_LE(line.size(), kLogLineBytesMax) << length;
      ASSERT_EQ(line.find('\n'), line.size() - 1) << length;
      for (std::string_view rest = line; !rest.empty();) {
        const Utf8Character c = DecodeUtf8(rest);
        ASSERT_TRUE(c.valid) << length;
        rest.remove_prefix(c.size);
      }
    }
    const std::string& j = json.text;
    const bool whole = j.ends_with("é\",\"number\":123456,\"last\":\"x y\\n\"}\n");
    const bool cut = j.ends_with("é\",\"truncated\":true}\n") ||
                     j.ends_with("é\",\"number\":123456,\"truncated\":true}\n") ||
                     j.ends_with("\",\"truncated\":true}\n");
    ASSERT_TRUE(whole || cut) << length << j.substr(j.size() - 80);
    const std::string& t = text.text;
    ASSERT_TRUE(t.ends_with("number=123456 last=\"x y\\n\"\n") ||
                t.ends_with("\" truncated=true\n") || t.ends_with("number=123456 truncated=true\n"))
        << length << t.substr(t.size() - 80);
  }
}

TEST(Log, ALongMessageIsCut) {
  StringSink text, json;
  const std::string message(10'000, 'x');
  Logger(&text, kText).Info(message, {{"a", 1}});
  Logger(&json, kJson).Info(message, {{"a", 1}});
  EXPECT_LE(text.text.size(), kLogLineBytesMax);
  EXPECT_TRUE(text.text.ends_with("xxx truncated=true\n"));
  EXPECT_TRUE(json.text.ends_with("xxx\",\"truncated\":true}\n"));
}

TEST(Log, TheCalendarIsRight) {
  struct Case {
    int64_t seconds;
    const char* expected;
  };
  const Case cases[] = {
      {0, "1970-01-01 00:00:00.000 UTC"},
      {951'782'400, "2000-02-29 00:00:00.000 UTC"},
      {1'709'251'199, "2024-02-29 23:59:59.000 UTC"},
      {4'102'444'800, "2100-01-01 00:00:00.000 UTC"},
  };
  for (const Case& c : cases) {
    StringSink sink;
    int64_t now = c.seconds * 1'000'000'000;
    const WallClock clock{.read = [](void* at) { return *static_cast<int64_t*>(at); },
                          .context = &now};
    Logger(&sink, {.clock = clock}).Info("m");
    EXPECT_EQ(sink.text.substr(0, 27), c.expected);
  }
}

TEST(Log, FileSinkWritesAtOnce) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  FileSink sink(pipe_fds[1]);
  Logger(&sink, kText).Info("m");
  char bytes[100];
  const ssize_t size = ::read(pipe_fds[0], bytes, sizeof bytes);
  EXPECT_EQ(std::string_view(bytes, static_cast<size_t>(size)),
            "2026-11-21 22:54:01.123 UTC [17] INFO m\n");
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

TEST(Utf8, RefusesWhatUnicodeRefuses) {
  struct Case {
    std::string_view text;
    bool valid;
    int size;
  };
  const Case cases[] = {
      {"a", true, 1},
      {"\xc2\x80", true, 2},
      {"\xdf\xbf", true, 2},
      {"\xe0\xa0\x80", true, 3},
      {"\xef\xbf\xbf", true, 3},
      {"\xf0\x90\x80\x80", true, 4},
      {"\xf4\x8f\xbf\xbf", true, 4},
      {"\x80", false, 1},              // a continuation alone
      {"\xc0\xaf", false, 1},          // overlong '/'
      {"\xc1\xbf", false, 1},          // overlong
      {"\xe0\x9f\xbf", false, 1},      // overlong
      {"\xf0\x8f\xbf\xbf", false, 1},  // overlong
      {"\xed\xa0\x80", false, 1},      // surrogate
      {"\xf4\x90\x80\x80", false, 1},  // above U+10FFFF
      {"\xf5\x80\x80\x80", false, 1},
      {"\xe2\x82", false, 1},  // cut
      {"\xe2(\xa1", false, 1},
  };
  for (const Case& c : cases) {
    const Utf8Character character = DecodeUtf8(c.text);
    EXPECT_EQ(character.valid, c.valid) << testing::PrintToString(c.text);
    EXPECT_EQ(character.size, c.size) << testing::PrintToString(c.text);
  }
}

}  // namespace
}  // namespace trireme
