// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/cancel_key.h"

#include <gtest/gtest.h>

#include <set>

namespace trireme {
namespace {

constexpr uint32_t kMasks[] = {0,          1,          0x003fffff, 0x00400000,
                               0x12345678, 0x7fffffff, 0xffffffff, 0x00c00007};
constexpr uint32_t kCores[] = {0, 1, 2, 3, 255, kCancelCoresMax - 1};
constexpr uint32_t kSlots[] = {0, 1, 6, 7, 8, 0x345678 & 0x3fffff, kCancelSlotsMax - 1};

TEST(CancelIds, LeadBackToCoreAndSlotAndArePositive) {
  for (const uint32_t mask : kMasks) {
    const CancelIds ids(mask);
    std::set<uint32_t> seen;
    for (const uint32_t core : kCores) {
      for (const uint32_t slot : kSlots) {
        const uint32_t id = ids.Encode({.core = core, .slot = slot});
        EXPECT_GT(static_cast<int32_t>(id), 0) << mask << " " << core << " " << slot;
        EXPECT_TRUE(seen.insert(id).second);
        EXPECT_EQ(ids.Decode(id).core, core);
        EXPECT_EQ(ids.Decode(id).slot, slot);
      }
    }
  }
}

// The place whose scrambled number would be 0.
TEST(CancelIds, AreNeverZero) {
  for (const uint32_t core : kCores) {
    for (const uint32_t slot : kSlots) {
      const CancelIds ids(core << kCancelSlotBits | slot);
      const uint32_t id = ids.Encode({.core = core, .slot = slot});
      EXPECT_GT(static_cast<int32_t>(id), 0);
      EXPECT_EQ(ids.Decode(id).core, core);
      EXPECT_EQ(ids.Decode(id).slot, slot);
    }
  }
}

TEST(CancelIds, OfStrangersStayInRange) {
  const CancelIds ids(0x12345678);
  for (const uint32_t id : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    EXPECT_LT(ids.Decode(id).core, kCancelCoresMax);
    EXPECT_LE(ids.Decode(id).slot, kCancelSlotsMax);
  }
}

}  // namespace
}  // namespace trireme
