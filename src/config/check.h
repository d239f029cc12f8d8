// SPDX-License-Identifier: GPL-3.0-or-later
//
// What must hold between the parts of a configuration: names that are used exist, things that must
// be unique are, routes can match, users can log in. Runs on what the fields have read, before
// sorting.
#pragma once

#include <vector>

#include "config/json_tree.h"
#include "config/reader.h"

namespace trireme {

// The Config under check is reader.config(); `root` is the text it came from.
void CheckConfig(const JsonValue& root, Reader& reader);

}  // namespace trireme
