// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/units.h"

#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/result.h"

namespace trireme {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr int64_t kMax = INT64_MAX;

// Ascending: Format() takes the last that divides. "m" is read, "min" is written.
constexpr Unit kDurationUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"min", 60'000'000'000},
    {"h", 3'600'000'000'000},
    {"d", 86'400'000'000'000},
};

constexpr Unit kSizeUnits[] = {
    {"B", 1},
    {"kB", 1'000},
    {"KiB", int64_t{1} << 10},
    {"MB", 1'000'000},
    {"MiB", int64_t{1} << 20},
    {"GB", 1'000'000'000},
    {"GiB", int64_t{1} << 30},
};

int64_t AddClamped(int64_t a, int64_t b) { return a > kMax - b ? kMax : a + b; }
int64_t MultiplyClamped(int64_t a, int64_t b) { return b != 0 && a > kMax / b ? kMax : a * b; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the front of `text` off it.
struct Digits {
  int64_t value = 0;
  size_t count = 0;
};
Digits ReadDigits(std::string_view text) {
  Digits digits;
  while (digits.count < text.size() && IsDigit(text[digits.count])) {
    digits.value = AddClamped(MultiplyClamped(digits.value, 10), text[digits.count] - '0');
    ++digits.count;
  }
  return digits;
}

const Unit* FindUnit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  const Digits digits = ReadDigits(text);
  if (digits.count != text.size() || digits.value < 1 || digits.value > 65535) return std::nullopt;
  return static_cast<uint16_t>(digits.value);
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration{0};
  if (text.empty()) return std::nullopt;
  int64_t total = 0;
  while (!text.empty()) {
    const Digits digits = ReadDigits(text);
    if (digits.count == 0) return std::nullopt;
    text.remove_prefix(digits.count);
    size_t letters = 0;
    while (letters < text.size() && !IsDigit(text[letters])) ++letters;
    const Unit* unit = FindUnit(kDurationUnits, text.substr(0, letters));
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(letters);
    total = AddClamped(total, MultiplyClamped(digits.value, unit->factor));
  }
  return Duration{total};
}

std::string FormatDuration(Duration duration) {
  if (duration.count() == 0) return "0";
  const Unit* best = &kDurationUnits[0];
  for (const Unit& unit : kDurationUnits) {
    if (duration.count() % unit.factor == 0) best = &unit;
  }
  return absl::StrCat(duration.count() / best->factor, ToAbsl(best->name));
}

std::optional<int64_t> ParseSize(std::string_view text) {
  const Digits digits = ReadDigits(text);
  if (digits.count == 0) return std::nullopt;
  if (digits.count == text.size()) return digits.value;
  const Unit* unit = FindUnit(kSizeUnits, text.substr(digits.count));
  if (unit == nullptr) return std::nullopt;
  return MultiplyClamped(digits.value, unit->factor);
}

std::string FormatSize(int64_t bytes) {
  const Unit* best = &kSizeUnits[0];
  for (const Unit& unit : kSizeUnits) {
    const bool binary = unit.name.size() != 2;
    if (binary && bytes != 0 && bytes % unit.factor == 0) best = &unit;
  }
  return absl::StrCat(bytes / best->factor, ToAbsl(best->name));
}

std::optional<uint32_t> ParseMode(std::string_view text) {
  if (text.size() < 2 || text.size() > 4 || text[0] != '0') return std::nullopt;
  uint32_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    mode = mode * 8 + static_cast<uint32_t>(c - '0');
  }
  return mode;
}

std::string FormatMode(uint32_t mode) { return absl::StrFormat("0%03o", mode); }

std::optional<HostConfig> ParseHost(std::string_view text) {
  HostConfig result;
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == text.npos) return std::nullopt;
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (host.find(':') == host.npos) return std::nullopt;
  } else if (const size_t colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (host.empty() || host.find_first_of("[] \t\n") != host.npos) return std::nullopt;
  result.host = host;
  if (rest.empty()) return result;
  const std::optional<uint16_t> port =
      rest.starts_with(':') ? ParsePort(rest.substr(1)) : std::nullopt;
  if (!port) return std::nullopt;
  result.port = *port;
  return result;
}

std::string FormatHost(const HostConfig& host) {
  const bool is_ipv6 = host.host.find(':') != host.host.npos;
  return is_ipv6 ? absl::StrCat("[", host.host, "]:", host.port)
                 : absl::StrCat(host.host, ":", host.port);
}

}  // namespace trireme
