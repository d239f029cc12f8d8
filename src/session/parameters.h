// SPDX-License-Identifier: GPL-3.0-or-later
//
// From what a backend has to what a client wants: the SQL that goes ahead of the client's first
// message, in the same send. Pure.
#pragma once

#include <string>

#include "wire/parameter_set.h"

namespace trireme {

struct ParameterComparison {
  const ParameterSet& wish;      // the client's
  const ParameterSet& has;       // the backend's, now
  const ParameterSet& baseline;  // the backend's, after login: what a client without a wish gets
};

// SET for each wish the backend does not fulfil, SET or RESET for what an earlier client left and
// this one does not want. Empty = nothing to do.
std::string ParameterChanges(const ParameterComparison& comparison);

// After the reset query or what else ended a session: the values of parameters that the backend
// does not report are not known. Marks them in `has` with a value that no client can wish for, so
// that they are set again.
void ForgetUnreported(const ParameterSet& baseline, ParameterSet& has);

// Writes down in `has` what the backend has after those changes.
void ApplyChanges(const ParameterSet& wish, const ParameterSet& baseline, ParameterSet& has);

}  // namespace trireme
