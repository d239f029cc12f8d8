// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the process asks of the system before and around serving: file limits, signals, privileges,
// CPUs. Main thread only.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "config/config.h"

namespace trireme {

// Raises the soft limit of open files to the hard one; returns what we have now.
uint64_t RaiseFileLimit();

// One entry for each shard: the CPU it is pinned to, or -1.
Result<std::vector<int32_t>> ChooseCpus(const CoresConfig& cores);

// Becomes that user and its groups, for good.
Status DropPrivileges(const std::string& user);

// Signals we answer, blocked in every thread started later and taken one by one.
class Signals {
 public:
  Signals();
  // The next signal, or nothing within `wait`.
  std::optional<int> Take(Duration wait);

 private:
  sigset_t set_;
};

}  // namespace trireme
