// SPDX-License-Identifier: GPL-3.0-or-later
//
// The key a client gets in BackendKeyData. The process id leads any core to the client's core and
// slot; the secret (4 random bytes in protocol 3.0, 32 in 3.2) proves that the canceller is the
// client. The id is scrambled with a mask of the process, so that it tells nothing about cores or
// counts; it is never logged, and neither is the secret.
//
//   process id, 31 bits:  (core 9 bits | slot 22 bits) xor mask      never 0, never negative
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme {

inline constexpr size_t kLongCancelSecretBytes = 32;
constexpr size_t CancelSecretBytes(uint16_t minor) {  // of protocol 3.minor
  return minor >= 2 ? kLongCancelSecretBytes : sizeof(uint32_t);
}

inline constexpr uint32_t kCancelSlotBits = 22;
inline constexpr uint32_t kCancelSlotsMax =
    (1u << kCancelSlotBits) - 1;  // the last one is reserved
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
    return Swap(target.core << kCancelSlotBits | target.slot) ^ mask_;
  }
  // Any number: what is no client's leads to a core or slot that does not exist, or to a wrong
  // secret.
  CancelTarget Decode(uint32_t process_id) const {
    const uint32_t place = Swap((process_id ^ mask_) & 0x7fffffff);
    return {place >> kCancelSlotBits, place & kReservedSlot};
  }

 private:
  static constexpr uint32_t kReservedSlot = kCancelSlotsMax;  // all ones

  // One place would get the id 0, which is no process at all: it gets that of the reserved slot
  // beside it.
  uint32_t Swap(uint32_t place) const {
    if (place == mask_) return mask_ | kReservedSlot;
    if (place == (mask_ | kReservedSlot)) return mask_;
    return place;
  }

  const uint32_t mask_;
};

}  // namespace trireme
