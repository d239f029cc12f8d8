// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/options.h"

#include <algorithm>

namespace trireme {
namespace {

// What isspace() says in the C locale, which is the server's when it splits.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  size_t at = 0;
  for (;;) {
    while (at < text.size() && IsSpace(text[at])) ++at;
    if (at == text.size()) return words;
    std::string& word = words.emplace_back();
    while (at < text.size() && !IsSpace(text[at])) {
      if (text[at] == '\\' && ++at == text.size()) break;  // a backslash at the very end is dropped
      word.push_back(text[at++]);
    }
  }
}

PgError Refusal(std::string message, std::string hint) {
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kSyntaxError,
          .message = std::move(message),
          .hint = std::move(hint)};
}

// "name=value" as it was written behind `switch_text`, which is "--" or "-c ".
PgResult<StartupOption> ParseSetting(std::string_view switch_text, std::string_view setting) {
  const size_t equals = setting.find('=');
  StartupOption option{.name = std::string(setting.substr(0, equals)), .value = {}};
  if (equals == std::string_view::npos) {
    return Refusal(std::string(switch_text) + std::string(setting) + " requires a value",
                   "Write settings in \"options\" as -c name=value.");
  }
  if (option.name.empty()) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kUndefinedObject,
                   .message = "unrecognized configuration parameter \"\""};
  }
  std::replace(option.name.begin(), option.name.end(), '-', '_');
  option.value = setting.substr(equals + 1);
  return option;
}

}  // namespace

PgResult<std::vector<StartupOption>> ParseStartupOptions(std::string_view options) {
  std::vector<StartupOption> settings;
  const std::vector<std::string> words = SplitWords(options);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    std::string_view switch_text = "-c ";
    std::string_view setting;
    if (word.starts_with("--") && word.size() > 2) {
      switch_text = "--";
      setting = word.substr(2);
    } else if (word.starts_with("-c") && word.size() > 2) {
      setting = word.substr(2);
    } else if (word == "-c" && i + 1 < words.size()) {
      setting = words[++i];
    } else {
      return Refusal("invalid command-line argument for server process: " + std::string(word),
                     "Only -c name=value and --name=value are allowed in \"options\".");
    }
    PgResult<StartupOption> parsed = ParseSetting(switch_text, setting);
    if (PgError* error = std::get_if<PgError>(&parsed)) return std::move(*error);
    settings.push_back(std::move(std::get<StartupOption>(parsed)));
  }
  return settings;
}

}  // namespace trireme
