// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_kernel.h"

#include <gtest/gtest.h>

namespace trireme::sim {
namespace {

TEST(SimKernel, RunsEventsInOrderOfTimeThenOfMaking) {
  SimKernel kernel(1);
  std::string order;
  kernel.At(kernel.now() + 2ms, [&] { order += "c"; });
  kernel.At(kernel.now() + 1ms, [&] { order += "a"; });
  kernel.At(kernel.now() + 1ms, [&] { order += "b"; });
  kernel.AdvanceTo(kernel.now() + 2ms);
  EXPECT_EQ(order, "abc");
}

}  // namespace
}  // namespace trireme::sim
