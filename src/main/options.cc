// SPDX-License-Identifier: GPL-3.0-or-later
#include "main/options.h"

#include <string_view>

namespace trireme {
namespace {

struct Flag {
  std::string_view name;
  CommandLine::Action action;
  bool needs_config;
};

constexpr Flag kFlags[] = {
    {"--check", CommandLine::Action::kCheck, true},
    {"--print-config", CommandLine::Action::kPrintConfig, true},
    {"--print-schema", CommandLine::Action::kPrintSchema, false},
    {"--print-options", CommandLine::Action::kPrintOptions, false},
    {"--version", CommandLine::Action::kVersion, false},
    {"-V", CommandLine::Action::kVersion, false},
    {"--help", CommandLine::Action::kHelp, false},
    {"-h", CommandLine::Action::kHelp, false},
};

const Flag* Find(std::string_view argument) {
  for (const Flag& flag : kFlags) {
    if (flag.name == argument) return &flag;
  }
  return nullptr;
}

}  // namespace

const char* HelpText() {
  return "Usage: trireme [OPTION] CONFIG.json\n"
         "\n"
         "Pools PostgreSQL connections over io_uring, one pinned thread per core.\n"
         "\n"
         "      CONFIG.json      serve, as this file says\n"
         "      --check          validate the file and exit: 0 = good, 1 = errors, all of them "
         "shown\n"
         "      --print-config   print the effective configuration, every default written out\n"
         "      --print-schema   print the JSON Schema of the configuration\n"
         "      --print-options  print the table of all options, as Markdown\n"
         "  -V, --version        print version, libraries and what this kernel offers\n"
         "  -h, --help           print this\n"
         "\n"
         "Signals: SIGTERM ends clients as they come between transactions, then exits; a second\n"
         "SIGTERM, or SIGINT, ends now. SIGHUP opens the log file anew.\n";
}

Result<CommandLine> ParseCommandLine(int argc, char** argv) {
  CommandLine line;
  bool needs_config = true;
  bool chosen = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (const Flag* flag = Find(argument)) {
      if (chosen) return InvalidArgument("one option at a time, see --help");
      chosen = true;
      line.action = flag->action;
      needs_config = flag->needs_config;
    } else if (argument.size() > 1 && argument.front() == '-') {
      return InvalidArgument("unknown option " + std::string(argument) + ", see --help");
    } else if (!line.config_path.empty()) {
      return InvalidArgument("more than one configuration file: \"" + line.config_path +
                             "\" and \"" + std::string(argument) + "\"");
    } else {
      line.config_path = argument;
    }
  }
  if (needs_config && line.config_path.empty()) {
    return InvalidArgument("which configuration? Usage: trireme CONFIG.json, see --help");
  }
  return line;
}

}  // namespace trireme
