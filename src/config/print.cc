// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/print.h"

#include "config/fields.h"

namespace trireme {

std::string PrintConfig(const Config& config) {
  const Json printed = Object<Config>().Print(config, config);
  return printed.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<ConfigRow> ConfigRows(const Config& config) {
  std::vector<ConfigRow> rows;
  Object<Config>().Rows("", config, Config{}, {.config = config, .rows = rows});
  return rows;
}

}  // namespace trireme
