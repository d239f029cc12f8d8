// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace trireme {

void AssertFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "trireme: assertion failed: %s at %s:%d\n", condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace trireme
