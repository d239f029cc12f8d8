// SPDX-License-Identifier: GPL-3.0-or-later
//
// The result of a study as one JSON value: "load" in the shape of trireme-load's report, "usage"
// and "shards" in that of the lab's records, "wait" the waiting of transactions, as latencies are.
#pragma once

#include <string>

#include "study/study.h"

namespace trireme::bench {

std::string StudyJson(const StudyPlan& plan, const StudyResult& result);

}  // namespace trireme::bench
