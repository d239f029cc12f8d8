// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/reported_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/command.h"
#include "wire/parameters.h"

namespace trireme {
namespace {

constexpr auto kEncodings = std::to_array<std::string_view>(
    {"UTF8",       "SQL_ASCII",  "LATIN1",     "LATIN2",       "LATIN3",         "LATIN4",
     "LATIN5",     "LATIN6",     "LATIN7",     "LATIN8",       "LATIN9",         "LATIN10",
     "WIN866",     "WIN874",     "WIN1250",    "WIN1251",      "WIN1252",        "WIN1253",
     "WIN1254",    "WIN1255",    "WIN1256",    "WIN1257",      "WIN1258",        "ISO_8859_5",
     "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "KOI8R",        "KOI8U",          "EUC_CN",
     "EUC_JP",     "EUC_KR",     "EUC_TW",     "EUC_JIS_2004", "SHIFT_JIS_2004", "SJIS",
     "BIG5",       "GBK",        "GB18030",    "UHC",          "JOHAB",          "MULE_INTERNAL"});

struct Alias {
  std::string_view name;  // letters and digits, lower case
  std::string_view encoding;
};
constexpr auto kEncodingAliases = std::to_array<Alias>({
    {"unicode", "UTF8"},     {"iso88591", "LATIN1"},   {"iso88592", "LATIN2"},
    {"iso88593", "LATIN3"},  {"iso88594", "LATIN4"},   {"iso88599", "LATIN5"},
    {"iso885910", "LATIN6"}, {"iso885913", "LATIN7"},  {"iso885914", "LATIN8"},
    {"iso885915", "LATIN9"}, {"iso885916", "LATIN10"}, {"win", "WIN1251"},
    {"abc", "WIN1258"},      {"tcvn", "WIN1258"},      {"tcvn5712", "WIN1258"},
    {"vscii", "WIN1258"},    {"alt", "WIN866"},        {"koi8", "KOI8R"},
    {"mskanji", "SJIS"},     {"shiftjis", "SJIS"},     {"win932", "SJIS"},
    {"win936", "GBK"},       {"win949", "UHC"},        {"win950", "BIG5"},
});

constexpr auto kIntervalStyles =
    std::to_array<std::string_view>({"postgres", "postgres_verbose", "sql_standard", "iso_8601"});

// Names of the time zone database that every server has. The others are the server's to spell.
constexpr auto kUtcNames = std::to_array<std::string_view>({"UTC", "GMT", "Etc/UTC", "Etc/GMT"});

// Letters and digits in lower case: all that counts in the name of an encoding.
std::string CleanEncodingName(std::string_view name) {
  std::string clean;
  for (const char c : AsciiLower(name)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) clean += c;
  }
  return clean;
}

std::optional<std::string_view> FindEncoding(std::string_view value) {
  std::string name = CleanEncodingName(value);
  constexpr std::string_view kWindows = "windows";
  if (name.starts_with(kWindows) && name.size() > kWindows.size()) {
    name.replace(0, kWindows.size(), "win");
  }
  for (const Alias& alias : kEncodingAliases) {
    if (alias.name == name) return alias.encoding;
  }
  for (const std::string_view encoding : kEncodings) {
    if (CleanEncodingName(encoding) == name) return encoding;
  }
  return std::nullopt;
}

// Any beginning of true, false, yes, no, on and off that can mean one of them only.
std::optional<std::string_view> FindBoolean(std::string_view value) {
  const std::string text = AsciiLower(value);
  const auto begins = [&text](std::string_view word, size_t size_min) {
    return text.size() >= size_min && word.starts_with(text);
  };
  if (text == "1" || begins("true", 1) || begins("yes", 1) || begins("on", 2)) return "on";
  if (text == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2)) return "off";
  return std::nullopt;
}

template <size_t kCount>
std::optional<std::string_view> FindName(const std::array<std::string_view, kCount>& names,
                                         std::string_view value) {
  const auto found = std::find_if(names.begin(), names.end(), [value](std::string_view name) {
    return EqualsIgnoreCase(name, value);
  });
  return found == names.end() ? std::nullopt : std::optional(*found);
}

// --- DateStyle: a style, an order, or both ---

struct DateStyle {
  std::string_view style;
  std::string_view order;
};

bool BeginsWith(std::string_view word, std::string_view beginning) {
  return EqualsIgnoreCase(word.substr(0, beginning.size()), beginning);
}

std::optional<std::string_view> StyleOf(std::string_view word) {
  if (EqualsIgnoreCase(word, "ISO")) return "ISO";
  if (EqualsIgnoreCase(word, "SQL")) return "SQL";
  if (EqualsIgnoreCase(word, "GERMAN")) return "German";
  if (BeginsWith(word, "POSTGRES")) return "Postgres";
  return std::nullopt;
}

std::optional<std::string_view> OrderOf(std::string_view word) {
  if (EqualsIgnoreCase(word, "YMD")) return "YMD";
  if (EqualsIgnoreCase(word, "DMY") || BeginsWith(word, "EURO")) return "DMY";
  if (EqualsIgnoreCase(word, "MDY") || EqualsIgnoreCase(word, "US") ||
      BeginsWith(word, "NONEURO")) {
    return "MDY";
  }
  return std::nullopt;
}

// The parts between commas, without the space around them.
std::vector<std::string_view> SplitList(std::string_view list) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  std::vector<std::string_view> words;
  if (list.find_first_not_of(kSpace) == std::string_view::npos) return words;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = list.find(',');
    std::string_view word = list.substr(0, end);
    word.remove_prefix(std::min(word.find_first_not_of(kSpace), word.size()));
    word = word.substr(0, word.find_last_not_of(kSpace) + 1);
    words.push_back(word);
    if (end != std::string_view::npos) list.remove_prefix(end + 1);
  }
  return words;
}

// What is missing comes from `defaults`; nullopt = refused, as a contradiction is.
std::optional<DateStyle> ParseDateStyle(std::string_view value, const DateStyle& defaults) {
  std::optional<std::string_view> style;
  std::optional<std::string_view> order;
  for (const std::string_view word : SplitList(value)) {
    if (const auto named = StyleOf(word)) {
      if (style && *style != *named) return std::nullopt;
      style = named;
    } else if (const auto named_order = OrderOf(word)) {
      if (order && *order != *named_order) return std::nullopt;
      order = named_order;
    } else if (!EqualsIgnoreCase(word, "DEFAULT")) {
      return std::nullopt;
    }
  }
  if (!order && style == "German") order = "DMY";
  return DateStyle{.style = style.value_or(defaults.style),
                   .order = order.value_or(defaults.order)};
}

std::string ReportedDateStyle(std::string_view wanted, const ParameterSet& server) {
  const std::string* before = server.Find("DateStyle");
  const auto defaults =
      ParseDateStyle(before != nullptr ? *before : std::string_view(), {"ISO", "MDY"});
  const auto merged = ParseDateStyle(wanted, defaults.value_or(DateStyle{"ISO", "MDY"}));
  if (!merged) return std::string(wanted);
  return std::string(merged->style) + ", " + std::string(merged->order);
}

// --- application_name ---

int MajorVersionOf(const ParameterSet& server) {
  int major = 0;
  if (const std::string* version = server.Find("server_version")) {
    std::from_chars(version->data(), version->data() + version->size(), major);
  }
  return major;
}

// The first bytes of a name, whole characters of UTF-8.
std::string_view ClipName(std::string_view name, const ParameterSet& server) {
  constexpr size_t kNameBytesMax = 63;  // NAMEDATALEN - 1
  if (name.size() <= kNameBytesMax) return name;
  const std::string* encoding = server.Find("server_encoding");
  size_t end = kNameBytesMax;
  if (encoding != nullptr && *encoding == "UTF8") {
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  }
  return name.substr(0, end);
}

std::string ReportedApplicationName(std::string_view wanted, const ParameterSet& server) {
  constexpr int kFirstWithEscapes = 16;
  constexpr char kHex[] = "0123456789abcdef";
  const bool escapes = MajorVersionOf(server) >= kFirstWithEscapes;
  std::string clean;
  for (const char c : ClipName(wanted, server)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte <= 126) {
      clean += c;
    } else if (escapes) {
      clean += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      clean += '?';
    }
  }
  return clean;
}

bool Is(std::string_view name, std::string_view other) { return CompareNames(name, other) == 0; }

std::optional<std::string_view> FindValue(ParameterView wanted) {
  const auto& [name, value] = wanted;
  if (Is(name, "client_encoding")) {
    // Kept by the server for the sake of old JDBC drivers.
    return value == "UNICODE" ? value : FindEncoding(value);
  }
  if (Is(name, "IntervalStyle")) return FindName(kIntervalStyles, value);
  if (Is(name, "TimeZone")) return FindName(kUtcNames, value);
  if (Is(name, "standard_conforming_strings") || Is(name, "default_transaction_read_only")) {
    return FindBoolean(value);
  }
  return std::nullopt;
}

// Without a conversion between the two encodings the server refuses. UTF8 has one with every other
// that a client may use, and SQL_ASCII needs none.
bool IsConvertible(std::string_view encoding, const ParameterSet& server) {
  if (encoding == "SQL_ASCII") return true;
  const std::string* own = server.Find("server_encoding");
  if (own == nullptr) return false;
  if (*own == encoding || *own == "SQL_ASCII") return true;
  return encoding != "MULE_INTERNAL" && *own != "MULE_INTERNAL" &&
         (encoding == "UTF8" || *own == "UTF8");
}

// An integer from -15 to 3 as the server writes it.
bool IsPlainFloatDigits(std::string_view value) {
  int digits = 0;
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, digits);
  return error == std::errc() && at == end && digits >= -15 && digits <= 3 &&
         std::to_string(digits) == value;
}

bool IsWhatServerHas(ParameterView wanted, const ParameterSet& server) {
  const ReportedParameter* reported = FindReportedParameter(wanted.name);
  const std::string* has = server.Find(wanted.name);
  return reported != nullptr && reported->settable && has != nullptr &&
         *has == ReportedValue(wanted, server);
}

}  // namespace

bool IsSureToBeTaken(ParameterView wanted, const ParameterSet& server) {
  const auto& [name, value] = wanted;
  if (Is(name, "application_name") || IsWhatServerHas(wanted, server)) return true;
  if (Is(name, "client_encoding")) {
    const auto encoding = FindEncoding(value);
    return encoding && IsConvertible(*encoding, server);
  }
  if (Is(name, "DateStyle")) return ParseDateStyle(value, {"ISO", "MDY"}).has_value();
  if (Is(name, "extra_float_digits")) return IsPlainFloatDigits(value);
  // Off is on its way out.
  if (Is(name, "standard_conforming_strings")) return FindBoolean(value) == "on";
  return FindValue(wanted).has_value();
}

std::string ReportedValue(ParameterView wanted, const ParameterSet& server) {
  if (Is(wanted.name, "DateStyle")) return ReportedDateStyle(wanted.value, server);
  if (Is(wanted.name, "application_name")) return ReportedApplicationName(wanted.value, server);
  return std::string(FindValue(wanted).value_or(wanted.value));
}

}  // namespace trireme
