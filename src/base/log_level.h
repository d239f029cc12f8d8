// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the configuration and the log agree on.
#pragma once

#include <cstdint>

namespace trireme {

enum class LogFormat : uint8_t { kText, kJson };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };  // in order of weight

}  // namespace trireme
