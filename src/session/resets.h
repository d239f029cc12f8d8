// SPDX-License-Identifier: GPL-3.0-or-later
//
// RESET, RESET ALL and DISCARD ALL go back to what the client's startup packet said. The server has
// logged in without it and goes back too far; what is missing is set again behind the client's
// text, before the client hears that the server is ready. Pure; client_resets.cc does it.
#pragma once

#include <string>

#include "sql/statement_effects.h"
#include "wire/parameter_set.h"

namespace trireme {

// Those of `startup` that the text undoes when it succeeds. None when something that comes later in
// the same text may change them once more, or undo the undoing.
ParameterSet UndoneBy(const SessionEffects& effects, const ParameterSet& startup);

// SET for each of `undone`, unless the server has said that it has that value. `reported`: what the
// server reports.
std::string SqlToRestore(const ParameterSet& undone, const ParameterSet& has,
                         const ParameterSet& reported);

// ParameterStatus for each of `now` that the client was told otherwise.
std::string Corrections(const ParameterSet& told, const ParameterSet& now,
                        const ParameterSet& reported);

}  // namespace trireme
