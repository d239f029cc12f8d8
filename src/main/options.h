// SPDX-License-Identifier: GPL-3.0-or-later
//
// The command line. Names with dashes, as everywhere in the field; unknown ones are errors.
#pragma once

#include <string>

#include "base/result.h"

namespace trireme {

struct CommandLine {
  enum class Action : uint8_t {
    kServe,
    kCheck,
    kPrintConfig,
    kPrintSchema,
    kPrintOptions,
    kVersion,
    kHelp,
  };
  Action action = Action::kServe;
  std::string config_path;  // "" only where none is needed
};

Result<CommandLine> ParseCommandLine(int argc, char** argv);
const char* HelpText();

}  // namespace trireme
