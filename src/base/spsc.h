// SPDX-License-Identifier: GPL-3.0-or-later
//
// Lock-free queue between exactly one producing and one consuming thread: the only way two cores
// pass anything. Bounded, power-of-two capacity, each side caches the other's index so that an
// uncontended push or pop touches one shared line rarely.
//
//   producer: tail_ (release) ──▶ consumer reads tail_ (acquire), then the cells below it
//   consumer: head_ (release) ──▶ producer reads head_ (acquire), then reuses the cells below it
//
// Elements are copied out before they are acted on, so a handler that sends mail back cannot
// overwrite the message it is reading.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/assert.h"

namespace trireme {

inline constexpr size_t kCacheLine = 64;

template <typename T>
class SpscQueue {
  static_assert(std::is_trivially_copyable_v<T>, "a message is a plain struct");

 public:
  explicit SpscQueue(size_t capacity)
      : mask_(capacity - 1), cells_(std::make_unique<T[]>(capacity)) {
    TRIREME_ASSERT(std::has_single_bit(capacity));
  }
  SpscQueue(const SpscQueue&) = delete;
  SpscQueue& operator=(const SpscQueue&) = delete;

  // Producer. False when full: the caller keeps the element and tries again next turn.
  [[nodiscard]] bool TryPush(const T& element) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);  // only we write it
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);  // partner: the release in TryPop
      if (tail - head_seen_ > mask_) return false;
    }
    cells_[tail & mask_] = element;
    tail_.store(tail + 1, std::memory_order_release);  // partner: the acquire in TryPop
    return true;
  }

  // Consumer. False when empty.
  [[nodiscard]] bool TryPop(T* element) {
    const uint64_t head = head_.load(std::memory_order_relaxed);  // only we write it
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);  // partner: the release in TryPush
      if (head == tail_seen_) return false;
    }
    *element = cells_[head & mask_];
    head_.store(head + 1, std::memory_order_release);  // partner: the acquire in TryPush
    return true;
  }

  // Consumer: is there something now? Used by the sleep protocol after its fence.
  bool Empty() const {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_acquire);
  }

  size_t capacity() const { return mask_ + 1; }

 private:
  const uint64_t mask_;
  const std::unique_ptr<T[]> cells_;
  alignas(kCacheLine) std::atomic<uint64_t> tail_{0};  // written by the producer
  uint64_t head_seen_ = 0;
  alignas(kCacheLine) std::atomic<uint64_t> head_{0};  // written by the consumer
  uint64_t tail_seen_ = 0;
};

}  // namespace trireme
