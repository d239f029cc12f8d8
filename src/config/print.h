// SPDX-License-Identifier: GPL-3.0-or-later
//
// A Config back to text: the effective configuration with every default written out. Secrets appear
// as "***", so what is printed can be loaded (with a warning for each of them) but not used to log
// in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace trireme {

inline constexpr std::string_view kHiddenSecret = "***";

// JSON, indented by two, ending in a newline. Loads again to the same Config, secrets apart.
std::string PrintConfig(const Config& config);

// One row of SHOW CONFIG: "routes.0.pool.size", "20", "20".
struct ConfigRow {
  std::string key;
  std::string value;
  std::string default_value;
};

std::vector<ConfigRow> ConfigRows(const Config& config);

}  // namespace trireme
