// SPDX-License-Identifier: GPL-3.0-or-later
#include "main/version.h"

namespace trireme {

std::string LibraryVersions() { return TRIREME_LIBRARIES; }

}  // namespace trireme
