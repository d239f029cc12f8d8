// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "base/utf8.h"

namespace trireme {

namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kTruncatedText = " truncated=true";
constexpr std::string_view kTruncatedJson = ",\"truncated\":true";

std::string_view UpperName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      return "ERROR";
  }
  TRIREME_UNREACHABLE();
}

std::string_view LowerName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  TRIREME_UNREACHABLE();
}

// Characters that end a line or steer a terminal: C0, DEL, C1, and Unicode's line separators.
bool IsControl(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

// One line under construction. Text that does not fit is left out and remembered; the end of a line
// always fits.
class Line {
 public:
  explicit Line(LogFormat format) : format_(format) {}

  void Put(std::string_view text) {
    if (truncated_ || size_ + text.size() > kBodyBytesMax) {
      truncated_ = true;
      return;
    }
    Append(text);
  }

  void PutNumber(std::integral auto number) {
    char digits[24];
    Put({digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
  }
  void PutNumber(double number) {
    char digits[32];
    Put({digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
  }
  void PutPadded(uint64_t number, size_t width) {
    char digits[20];
    for (size_t i = width; i > 0; --i, number /= 10) digits[i - 1] = kHex[number % 10];
    Put({digits, width});
  }

  // Between quotes; the closing one is there even when the value is cut.
  void PutQuoted(std::string_view text) {
    Put("\"");
    const bool opened = !truncated_;
    PutEscaped(text, "\"\\");
    if (!opened) return;
    Append("\"");
    whole_ = size_;
  }

  // After each field: what is here may be the end of the line. A field cut within is taken back.
  void EndField() {
    if (!truncated_) whole_ = size_;
  }

  // Bare, cut where it must be.
  void PutMessage(std::string_view text) {
    PutEscaped(text, "\\");
    whole_ = size_;
  }

  // `special` are the printable characters that need a backslash here.
  void PutEscaped(std::string_view text, std::string_view special) {
    while (!text.empty() && !truncated_) {
      const Utf8Character c = DecodeUtf8(text);
      const std::string_view raw = text.substr(0, c.size);
      text.remove_prefix(c.size);
      if (!c.valid) {
        PutInvalid(raw.front());
      } else if (IsControl(c.code)) {
        PutControl(c.code);
      } else if (c.size == 1 && special.find(raw.front()) != std::string_view::npos) {
        const char escaped[2] = {'\\', raw.front()};
        Put({escaped, 2});
      } else {
        Put(raw);
      }
    }
  }

  std::string_view Finish() {
    const bool json = format_ == LogFormat::kJson;
    if (truncated_) {
      size_ = whole_;
      Append(json ? kTruncatedJson : kTruncatedText);
    }
    Append(json ? "}\n" : "\n");
    return {bytes_, size_};
  }

 private:
  // What PutQuoted and Finish append regardless.
  static constexpr size_t kTailBytesMax = 1 + kTruncatedJson.size() + 2;
  static constexpr size_t kBodyBytesMax = kLogLineBytesMax - kTailBytesMax;
  static_assert(kTruncatedText.size() <= kTruncatedJson.size());

  void Append(std::string_view text) {
    TRIREME_ASSERT(text.size() <= sizeof bytes_ - size_);
    std::memcpy(bytes_ + size_, text.data(), text.size());
    size_ += text.size();
  }

  void PutControl(char32_t code) {
    if (code == '\n') return Put("\\n");
    if (code == '\r') return Put("\\r");
    if (code == '\t') return Put("\\t");
    const char escaped[6] = {
        '\\',           'u', kHex[code >> 12 & 15], kHex[code >> 8 & 15], kHex[code >> 4 & 15],
        kHex[code & 15]};
    if (format_ == LogFormat::kJson || code > 0x7f) return Put({escaped, 6});
    const char short_form[4] = {'\\', 'x', escaped[4], escaped[5]};
    Put({short_form, 4});
  }

  void PutInvalid(char byte) {
    if (format_ == LogFormat::kJson) return Put("\\ufffd");
    const auto value = static_cast<unsigned char>(byte);
    const char escaped[4] = {'\\', 'x', kHex[value >> 4], kHex[value & 15]};
    Put({escaped, 4});
  }

  const LogFormat format_;
  bool truncated_ = false;
  size_t size_ = 0;
  size_t whole_ = 0;  // where the line may be ended
  char bytes_[kLogLineBytesMax];
};

// The calendar is computed here because gmtime_r takes a lock of the C library.
void PutTime(Line& line, int64_t nanoseconds, LogFormat format) {
  using std::chrono::days;
  using std::chrono::milliseconds;
  const std::chrono::sys_time<milliseconds> time(milliseconds(nanoseconds / 1'000'000));
  const auto midnight = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);
  const bool json = format == LogFormat::kJson;
  line.PutPadded(static_cast<uint64_t>(int{date.year()}), 4);
  line.Put("-");
  line.PutPadded(unsigned{date.month()}, 2);
  line.Put("-");
  line.PutPadded(unsigned{date.day()}, 2);
  line.Put(json ? "T" : " ");
  line.PutPadded(static_cast<uint64_t>(clock.hours().count()), 2);
  line.Put(":");
  line.PutPadded(static_cast<uint64_t>(clock.minutes().count()), 2);
  line.Put(":");
  line.PutPadded(static_cast<uint64_t>(clock.seconds().count()), 2);
  line.Put(".");
  line.PutPadded(static_cast<uint64_t>(clock.subseconds().count()), 3);
  line.Put(json ? "Z" : " UTC");
}

// A text value stands bare when no reader could take it for anything else.
bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;  // or not ASCII
  }
  return false;
}

struct TextValue {
  Line& line;
  void operator()(std::string_view text) {
    if (NeedsQuotes(text)) return line.PutQuoted(text);
    line.Put(text);
  }
  void operator()(bool value) { line.Put(value ? "true" : "false"); }
  void operator()(auto number) { line.PutNumber(number); }
};

struct JsonValue {
  Line& line;
  void operator()(std::string_view text) { line.PutQuoted(text); }
  void operator()(bool value) { line.Put(value ? "true" : "false"); }
  void operator()(double number) {
    if (!std::isfinite(number)) return line.Put("null");
    line.PutNumber(number);
  }
  void operator()(auto number) { line.PutNumber(number); }
};

int64_t ReadSystemClock(void*) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace

WallClock WallClock::System() { return {.read = ReadSystemClock}; }

int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd full{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&full, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void Logger::Write(LogLevel level, std::string_view message, Fields fields) {
  Line line(style_.format);
  if (style_.format == LogFormat::kText) {
    PutTime(line, style_.clock.Now(), style_.format);
    line.Put(" [");
    line.PutNumber(style_.pid);
    line.Put("] ");
    line.Put(UpperName(level));
    line.Put(" ");
    line.PutMessage(message);
    for (const LogField& field : fields) {
      line.Put(" ");
      line.Put(field.name);
      line.Put("=");
      std::visit(TextValue{line}, field.value);
      line.EndField();
    }
  } else {
    line.Put("{\"time\":\"");
    PutTime(line, style_.clock.Now(), style_.format);
    line.Put("\",\"pid\":");
    line.PutNumber(style_.pid);
    line.Put(",\"level\":\"");
    line.Put(LowerName(level));
    line.Put("\",\"message\":");
    line.PutQuoted(message);
    for (const LogField& field : fields) {
      line.Put(",\"");
      line.Put(field.name);
      line.Put("\":");
      std::visit(JsonValue{line}, field.value);
      line.EndField();
    }
  }
  sink_->Write(line.Finish());
}

}  // namespace trireme
