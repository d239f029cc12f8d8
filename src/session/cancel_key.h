// SPDX-License-Identifier: GPL-3.0-or-later
//
// The key a client gets in BackendKeyData. The process id leads any core to the client's core and slot; the
// secret (4 random bytes in protocol 3.0, 32 in 3.2) proves that the canceller is the client. The id is
// scrambled with a mask of the process, so that it tells nothing about cores or counts; it is never logged,
// and neither is the secret.
//
//   process id, 31 bits:  (core 9 bits | slot 22 bits) xor mask      never 0, never negative
#pragma once

#include <cstdint>

namespace trireme {

inline constexpr uint32_t kCancelSlotBits = 22;
inline constexpr uint32_t kCancelSlotsMax = 1u << kCancelSlotBits;
inline constexpr uint32_t kCancelCoresMax = 1u << (31 - kCancelSlotBits);

struct CancelTarget {
  uint32_t core;
  uint32_t slot;
};

class CancelIds {
 public:
  // `secret` is random and the same on every core.
  explicit CancelIds(uint32_t secret) : mask_(secret & 0x7fffffff) {}

  uint32_t Encode(CancelTarget target) const {
    // 0 would be no process at all; slots count from 1 so that at most one value maps there.
    const uint32_t id = (target.core << kCancelSlotBits | target.slot) ^ mask_;
    return id != 0 ? id : kZeroStandsFor;
  }
  CancelTarget Decode(uint32_t process_id) const {
    const uint32_t id = (process_id == kZeroStandsFor ? 0 : process_id) ^ mask_;
    return {(id & 0x7fffffff) >> kCancelSlotBits, id & (kCancelSlotsMax - 1)};
  }

 private:
  // Outside the 31 bits that Encode otherwise uses.
  static constexpr uint32_t kZeroStandsFor = 0x80000001;
  const uint32_t mask_;
};

}  // namespace trireme
