// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a call of a session function does, as far as its arguments are constants. Shared by the
// reading of parse trees and of tokens, which find the calls.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sql/effect.h"
#include "sql/session_functions.h"

namespace trireme {

// One argument of a call.
struct Argument {
  enum class Kind : uint8_t { kUnknown, kNull, kConstant };
  Kind kind = Kind::kUnknown;
  std::string text;  // of a constant
};

// `function` is not kNone. The caller adds the statement, and whether the call is conditional.
Effect FunctionEffect(SessionFunction function, std::string_view name,
                      std::span<const Argument> arguments);

// The function a qualified name means: built-in ones live in pg_catalog; extensions anywhere.
SessionFunction FindQualifiedFunction(std::string_view schema, std::string_view name);

// pg_temp, and the names it stands for: pg_temp_3.
bool IsTempSchemaName(std::string_view name);

// What SET and set_config() do: role, session_authorization and the parameters of the running
// transaction are kinds of their own. kind, name, value and scope of `set` are given.
Effect ParameterEffect(Effect set);

}  // namespace trireme
