// SPDX-License-Identifier: GPL-3.0-or-later
//
// The error of a ring that could not be set up, as a function of the facts.
#pragma once

#include <string>

#include "base/result.h"

namespace trireme {

struct UringSetupFailure {
  std::string what;               // the step
  int error;                      // errno
  std::string kernel;             // release
  std::string io_uring_disabled;  // the sysctl's value, "" where there is none
  std::string memory_lock_limit;  // "8388608 bytes", "unlimited"
};

// Says what is missing and which setting, profile or limit to change.
Status UringSetupError(const UringSetupFailure& failure);

}  // namespace trireme
