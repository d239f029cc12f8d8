// SPDX-License-Identifier: GPL-3.0-or-later
//
// Structured log lines. A line has a level, a message that is ours (a literal) and named fields
// that carry what came from outside; whatever they hold, one call writes exactly one line:
//
//   2026-11-21 22:54:01.123 UTC [17] INFO client connected client=c1 database="a b"
//   {"time":"2026-11-21T22:54:01.123Z","pid":17,"level":"info","message":"client connected",...}
//
// Text quotes values with spaces, and writes control characters, quotes and broken UTF-8 as \n, \",
// \x1b; JSON uses its own escapes and U+FFFD. A line that would exceed kLogLineBytesMax is cut
// between characters and ends in truncated=true.
//
// There is no global logger. Each thread that logs has its own Logger, and its sink decides where
// lines go: LogWriter's rings for the shards (log_writer.h), a FileSink before those exist,
// anything in tests. A Logger belongs to one thread and costs a comparison when its level is
// disabled; formatting neither allocates nor locks.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

#include "base/log_level.h"

namespace trireme {

inline constexpr size_t kLogLineBytesMax = 4096;

// {"client", id}, {"port", 6432}, {"ok", true}, {"seconds", 0.5}. Lives within one call.
struct LogField {
  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, std::integral auto v) : name(n), value(Widest(v)) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}

  std::string_view name;
  std::variant<std::string_view, int64_t, uint64_t, double, bool> value;

 private:
  static bool Widest(std::same_as<bool> auto v) { return v; }
  static int64_t Widest(std::signed_integral auto v) { return v; }
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) static uint64_t Widest(T v) { return v; }
};

// Where lines go; called by the logger's thread, must not block a shard. `line` ends in a newline.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(std::string_view line) = 0;
};

// Writes all of `bytes`, waiting for a full pipe; returns 0 or the errno that ended it.
int WriteAll(int fd, std::string_view bytes);

// Writes at once to a descriptor it does not own; for start-up and for tools.
class FileSink final : public LogSink {
 public:
  explicit FileSink(int fd) : fd_(fd) {}
  // What the descriptor refuses is lost: there is nobody left to tell.
  void Write(std::string_view line) override { WriteAll(fd_, line); }

 private:
  const int fd_;
};

// Nanoseconds since 1970 in UTC. The only wall clock of the program; tests give their own.
struct WallClock {
  int64_t (*read)(void* context);
  void* context = nullptr;
  int64_t Now() const { return read(context); }
  static WallClock System();
};

struct LogStyle {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;  // lines below it are not written
  WallClock clock = WallClock::System();
  int64_t pid = 0;
};

class Logger {
 public:
  using Fields = std::initializer_list<LogField>;

  // The sink outlives the logger.
  Logger(LogSink* sink, LogStyle style) : sink_(sink), style_(style) {}

  // Ask first where the fields are dear to compute.
  bool Enabled(LogLevel level) const { return level >= style_.level; }

  void Debug(std::string_view message, Fields fields = {}) {
    Log(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, Fields fields = {}) { Log(LogLevel::kInfo, message, fields); }
  void Warning(std::string_view message, Fields fields = {}) {
    Log(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message, Fields fields = {}) {
    Log(LogLevel::kError, message, fields);
  }
  void Log(LogLevel level, std::string_view message, Fields fields = {}) {
    if (Enabled(level)) Write(level, message, fields);
  }

  const LogStyle& style() const { return style_; }
  void set_level(LogLevel level) { style_.level = level; }
  void set_format(LogFormat format) { style_.format = format; }

 private:
  [[gnu::noinline]] void Write(LogLevel level, std::string_view message, Fields fields);

  LogSink* const sink_;
  LogStyle style_;
};

}  // namespace trireme
