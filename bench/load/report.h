// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the threads saw, as one JSON value and as lines for a person who watches.
#pragma once

#include <string>
#include <vector>

#include "load/options.h"
#include "load/results.h"

namespace trireme::bench {

struct LoadReport {
  struct Point {            // of the time series
    double at_seconds = 0;  // since the start, warm-up included
    double per_second = 0;
    uint64_t failed = 0;
    uint64_t p50_ns = 0;
    uint64_t p99_ns = 0;
    uint64_t max_ns = 0;
  };
  std::vector<LoadResults> threads;
  std::vector<Point> points;
  double seconds = 0;  // measured
};

std::string LoadJson(const LoadOptions& options, const LoadReport& report);
std::string ProgressLine(const LoadReport::Point& point);

}  // namespace trireme::bench
