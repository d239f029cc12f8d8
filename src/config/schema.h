// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the table of fields says about itself: the JSON Schema that editors complete and validate
// with (docs/config.schema.json), and the option tables (docs/configuration.md). The committed
// files equal what these functions return; config_docs writes them, a test compares.
#pragma once

#include <string>

namespace trireme {

// JSON Schema draft-07, indented by two, ending in a newline.
std::string JsonSchema();

// Markdown: one table a section.
std::string OptionsMarkdown();

}  // namespace trireme
