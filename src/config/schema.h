// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the table of fields says about itself: the JSON Schema that editors complete and validate
// with (docs/config.schema.json), and the option tables (docs/configuration.md, README.md). The
// committed files hold what these functions return; config_docs writes them, a test compares.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace trireme {

// JSON Schema draft-07, indented by two, ending in a newline.
std::string JsonSchema();

// Markdown: one table a section.
std::string OptionsMarkdown();

// Markdown: all options in one table, by their full names.
std::string OptionsTable();

// README.md has that table between two marks.
inline constexpr std::string_view kOptionsBegin = "<!-- options:begin -->\n";
inline constexpr std::string_view kOptionsEnd = "<!-- options:end -->";

struct TextRange {
  size_t begin;
  size_t size;
};
// What stands between the marks; nullopt when a mark is missing.
std::optional<TextRange> FindOptionsTable(std::string_view page);

}  // namespace trireme
