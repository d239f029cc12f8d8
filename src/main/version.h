// SPDX-License-Identifier: GPL-3.0-or-later
//
// What this program is and was built with.
#pragma once

#include <string>

namespace trireme {

inline constexpr const char* kVersion = TRIREME_VERSION;

// "wolfSSL 5.9.2, liburing 2.3, Abseil 20220623, nlohmann/json 3.11.2", one line.
std::string LibraryVersions();

}  // namespace trireme
