// SPDX-License-Identifier: GPL-3.0-or-later
//
// The written forms of durations, sizes, modes and addresses: text ⇄ value. Each parser returns
// nothing for text of another form; ranges are the fields' business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/config.h"

namespace trireme {

// "500ms", "30s", "1h30min", "0". Units: ns us ms s min (or m) h d. What overflows becomes the
// longest duration there is.
std::optional<Duration> ParseDuration(std::string_view text);

// With the largest units that say it exactly: "10min", "1500ms", "0".
std::string FormatDuration(Duration duration);

// "16KiB", "64kB", "8192". Units: B kB MB GB (powers of 1000), KiB MiB GiB (powers of 1024). What
// overflows becomes the largest size there is.
std::optional<int64_t> ParseSize(std::string_view text);

// "16KiB", "4096B": the largest power of 1024 that says it exactly.
std::string FormatSize(int64_t bytes);

// "0777": octal digits after a leading 0, at most 0777.
std::optional<uint32_t> ParseMode(std::string_view text);
std::string FormatMode(uint32_t mode);

// "db.example:5432", "10.0.0.1", "[::1]:5432", "/var/run/postgresql:5432"; the port defaults to
// 5432.
std::optional<HostConfig> ParseHost(std::string_view text);
std::string FormatHost(const HostConfig& host);

// The same as regular expressions (ECMA 262) for the schema.
inline constexpr std::string_view kDurationPattern = "^(0|([0-9]+(ns|us|ms|s|min|m|h|d))+)$";
inline constexpr std::string_view kSizePattern = "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)?$";
inline constexpr std::string_view kModePattern = "^0[0-7]{1,3}$";
inline constexpr std::string_view kHostPattern =
    "^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]]+)(:[0-9]{1,5})?$";

}  // namespace trireme
