// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/faults.h"

#include "base/assert.h"

namespace trireme::sim {

std::string_view FaultName(Fault fault) {
  switch (fault) {
    case Fault::kRefuseConnect:
      return "refuse connect";
    case Fault::kBlackHoleConnect:
      return "black-hole connect";
    case Fault::kSplitRead:
      return "split read";
    case Fault::kShortSend:
      return "short send";
    case Fault::kClog:
      return "clog";
    case Fault::kReset:
      return "reset";
    case Fault::kNoDescriptors:
      return "no descriptors";
    case Fault::kNoBuffers:
      return "no buffers";
    case Fault::kWithholdBuffers:
      return "withhold buffers";
    case Fault::kEndMultishot:
      return "end multishot";
    case Fault::kLateCompletion:
      return "late completion";
    case Fault::kReorderCompletions:
      return "reorder completions";
    case Fault::kSpuriousWake:
      return "spurious wake";
    case Fault::kPreempt:
      return "preempt";
    case Fault::kStarve:
      return "starve";
  }
  TRIREME_UNREACHABLE();
}

}  // namespace trireme::sim
