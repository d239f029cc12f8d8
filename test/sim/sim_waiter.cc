// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_waiter.h"

#include "test/sim/sim_kernel.h"
#include "test/sim/sim_ring.h"

namespace trireme::sim {

void InlineWaiter::Wait(SimRing& ring, Time deadline) {
  kernel_.AdvanceTo(kernel_.now() + 1us);
  while (kernel_.now() < deadline && !ring.Runnable()) {
    const Time next = kernel_.next_event();
    if (next > deadline || (next == kNever && deadline != kNever)) {
      kernel_.AdvanceTo(deadline);
    } else if (next == kNever) {
      kernel_.Violation("a ring sleeps without a deadline and nothing will ever wake it");
    } else {
      kernel_.RunNext();
    }
  }
}

}  // namespace trireme::sim
