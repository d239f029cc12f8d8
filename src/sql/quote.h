// SPDX-License-Identifier: GPL-3.0-or-later
//
// Identifiers and parameter values in the spelling in which the server keeps and shows them. (SQL
// that sets a parameter is written by wire/parameters.h.)
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace trireme {

// The server's quote_identifier(): as it is, when it would be read back as the same name; else in
// double quotes. Keywords that are no names everywhere are quoted.
std::string QuoteName(std::string_view name);

// Parameters whose value is a list of names, each written by QuoteName (GUC_LIST_QUOTE). One
// literal given for one of them is one name, whatever it holds.
bool IsNameListParameter(std::string_view parameter);

// The value SET stores of the elements it is given: SET search_path TO a, "B c" stores `a, "B c"`.
std::string StoredValue(std::string_view parameter, std::span<const std::string> elements);

// The name a parameter has today: names that PostgreSQL has renamed are still accepted.
std::string_view CurrentParameterName(std::string_view name);

}  // namespace trireme
