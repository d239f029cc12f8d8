// SPDX-License-Identifier: GPL-3.0-or-later
//
// The `options` startup parameter (libpq's PGOPTIONS): settings in the form of server command-line
// switches, read as PostgreSQL does (pg_split_opts, getopt, ParseLongOption).
//
//   -c name=value    -cname=value    --name=value
//
// Words end at white space; a backslash makes the next byte literal. Dashes in a name mean
// underscores. Other switches of the server are refused: they exist for tests of the server itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/errors.h"

namespace trireme {

struct StartupOption {
  std::string name;
  std::string value;

  bool operator==(const StartupOption&) const = default;
};

PgResult<std::vector<StartupOption>> ParseStartupOptions(std::string_view options);

}  // namespace trireme
