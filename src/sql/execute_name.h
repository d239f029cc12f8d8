// SPDX-License-Identifier: GPL-3.0-or-later
//
// The name of the prepared statement that a text executes: EXECUTE, EXPLAIN EXECUTE, CREATE TABLE
// AS EXECUTE.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sql/lexer.h"

namespace trireme {

// The text with another name in its place, quoted where need be. nullopt: it is not there, or not
// only once.
std::optional<std::string> RenameExecuted(std::string_view text, TextRules rules,
                                          std::string_view name, std::string_view new_name);

}  // namespace trireme
