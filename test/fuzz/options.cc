// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/options.h: the startup parameter `options`.
//
//   input:   the text
//
// Properties: settings quoted again and read again are the same settings; white space around and
// between words means nothing; a name is never empty and has no dash; an error is FATAL with a
// SQLSTATE.
#include "wire/options.h"

#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\' || c == ' ' || (c >= '\t' && c <= '\r')) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string Quoted(const std::vector<StartupOption>& options, std::string_view switch_text) {
  std::string text;
  for (const StartupOption& option : options) {
    text += std::string(switch_text) + Quoted(option.name + "=" + option.value) + "\n\t ";
  }
  return text;
}

void Run(Input input) {
  const std::string_view text = input.RestText();
  const PgResult<std::vector<StartupOption>> parsed = ParseStartupOptions(text);
  if (const PgError* error = std::get_if<PgError>(&parsed)) {
    Check(error->severity == severity::kFatal && error->sqlstate.size() == 5,
          "an error is FATAL and says what it is");
    return;
  }
  const auto& options = std::get<std::vector<StartupOption>>(parsed);
  for (const StartupOption& option : options) {
    Check(!option.name.empty(), "a name is never empty");
    Check(option.name.find_first_of("-=") == std::string::npos, "a name has no dash");
  }
  for (const std::string_view switch_text : {"-c ", "-c", "--"}) {
    Check(ParseStartupOptions(Quoted(options, switch_text)) == parsed,
          "settings quoted again are the same");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
