// SPDX-License-Identifier: GPL-3.0-or-later
//
// Slots for connections: memory in chunks that never moves, addressed by pointer while the owner
// knows the object lives, and by Handle (index + generation) from anywhere else: a message from
// another core, a timer, a cancel key. A stale handle finds nothing. Freed slots are reused last
// in, first out (their cache lines are warm), and the generation changes with each reuse.
//
// Owned by one core; not thread-safe. Invariant: count() objects are alive; none is alive when the
// slab dies. Under AddressSanitizer the storage of a free slot is poisoned, so that a use after
// Free() is reported as on the heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define TRIREME_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRIREME_ASAN 1
#endif
#endif
#ifdef TRIREME_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace trireme {

struct Handle {
  uint32_t index = UINT32_MAX;
  uint32_t generation = 0;
  friend bool operator==(Handle, Handle) = default;
};

template <typename T>
class Slab {
 public:
  // At most `slots_max` objects; New returns nullptr beyond that.
  explicit Slab(uint32_t slots_max) : slots_max_(slots_max) { TRIREME_ASSERT(slots_max < kLive); }
  ~Slab() { TRIREME_ASSERT(count_ == 0); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  template <typename... Args>
  T* New(Args&&... args) {
    if (free_head_ == kNone && !Grow()) return nullptr;
    Slot& slot = At(free_head_);
    free_head_ = slot.next_free;
    slot.next_free = kLive;
    ++count_;
    Unpoison(slot);
    return new (slot.storage) T(std::forward<Args>(args)...);
  }

  void Free(T* object) {
    Slot& slot = SlotOf(object);
    TRIREME_ASSERT(slot.next_free == kLive);
    object->~T();
    Poison(slot);
    ++slot.generation;
    slot.next_free = free_head_;
    free_head_ = slot.index;
    --count_;
  }

  Handle HandleOf(const T* object) const {
    const Slot& slot = SlotOf(object);
    TRIREME_ASSERT(slot.next_free == kLive);
    return {slot.index, slot.generation};
  }

  T* Find(Handle handle) {
    if (handle.index >= used_) return nullptr;
    Slot& slot = At(handle.index);
    if (slot.next_free != kLive || slot.generation != handle.generation) return nullptr;
    return ObjectIn(slot);
  }

  // The live object in slot `index`, or nullptr.
  T* FindByIndex(uint32_t index) {
    if (index >= used_ || At(index).next_free != kLive) return nullptr;
    return ObjectIn(At(index));
  }

  // In slot order; the callback may free the object it is given.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (uint32_t i = 0; i < used_; ++i) {
      if (At(i).next_free == kLive) visit(*ObjectIn(At(i)));
    }
  }

  uint32_t count() const { return count_; }
  uint32_t slots_max() const { return slots_max_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kLive = UINT32_MAX - 1;
  static constexpr uint32_t kChunkSlots = 64;

  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];  // first, so that an object's address is its slot's
    uint32_t index;
    uint32_t generation;
    uint32_t next_free;
  };

  Slot& At(uint32_t index) const { return chunks_[index / kChunkSlots][index % kChunkSlots]; }
  static Slot& SlotOf(const T* object) {
    return *reinterpret_cast<Slot*>(reinterpret_cast<std::byte*>(const_cast<T*>(object)));
  }
  static T* ObjectIn(Slot& slot) { return std::launder(reinterpret_cast<T*>(slot.storage)); }

  static void Poison([[maybe_unused]] Slot& slot) {
#ifdef TRIREME_ASAN
    __asan_poison_memory_region(slot.storage, sizeof slot.storage);
#endif
  }
  static void Unpoison([[maybe_unused]] Slot& slot) {
#ifdef TRIREME_ASAN
    __asan_unpoison_memory_region(slot.storage, sizeof slot.storage);
#endif
  }

  bool Grow() {
    if (used_ >= slots_max_) return false;
    if (used_ % kChunkSlots == 0) chunks_.emplace_back(new Slot[kChunkSlots]);
    Slot& slot = At(used_);
    slot.index = used_;
    slot.generation = 1;
    slot.next_free = kNone;
    Poison(slot);
    free_head_ = used_++;
    return true;
  }

  const uint32_t slots_max_;
  uint32_t used_ = 0;   // slots that were ever handed out
  uint32_t count_ = 0;  // objects alive
  uint32_t free_head_ = kNone;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
};

}  // namespace trireme
