// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/results.h"

namespace trireme::bench {

double JainIndex(const std::vector<uint64_t>& values) {
  double sum = 0, squares = 0;
  for (const uint64_t value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(values.size()) * squares);
}

}  // namespace trireme::bench
