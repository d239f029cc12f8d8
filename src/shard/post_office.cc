// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/post_office.h"
#include "base/marks.h"

namespace trireme {

PostOffice::PostOffice(uint32_t core_count, uint32_t slots)
    : core_count_(core_count),
      words_(core_count / 64 + 1),
      desks_(std::make_unique<Desk[]>(core_count)) {
  TRIREME_ASSERT(core_count > 0 && core_count <= kCoresMax);
  queues_.reserve(size_t{core_count + 1} * core_count);
  for (uint32_t from = 0; from <= core_count; ++from) {
    for (uint32_t to = 0; to < core_count; ++to) {
      queues_.push_back(std::make_unique<SpscQueue<Mail>>(from == to ? 1 : slots));
    }
  }
}

bool PostOffice::Announce(uint32_t from, uint32_t to) {
  TRIREME_YIELD();
  Desk& desk = desks_[to];
  // Whoever takes the bit sees the push; then the sender's half of the drawing in the header.
  desk.pending[from / 64].fetch_or(uint64_t{1} << (from % 64), std::memory_order_seq_cst);
  if (!desk.asleep.load(std::memory_order_seq_cst)) return false;
  // One waker is enough; the receiver announces its next sleep itself.
  return desk.asleep.exchange(false, std::memory_order_relaxed);
}

bool PostOffice::TakePending(uint32_t core, Senders* senders) {
  Desk& desk = desks_[core];
  bool any = false;
  for (uint32_t word = 0; word < words_; ++word) {
    uint64_t bits = desk.pending[word].load(std::memory_order_relaxed);
    // Acquire: partner of the release in Announce.
    if (bits != 0) bits = desk.pending[word].exchange(0, std::memory_order_acquire);
    (*senders)[word] = bits;
    any |= bits != 0;
  }
  return any;
}

bool PostOffice::AnyPending(const Desk& desk) const {
  for (uint32_t word = 0; word < words_; ++word) {
    if (desk.pending[word].load(std::memory_order_seq_cst) != 0) return true;
  }
  return false;
}

bool PostOffice::BeginSleep(uint32_t core) {
  Desk& desk = desks_[core];
  TRIREME_YIELD();
  desk.asleep.store(true, std::memory_order_seq_cst);  // the receiver's half
  if (!AnyPending(desk)) return true;
  EndSleep(core);
  return false;
}

void PostOffice::EndSleep(uint32_t core) {
  // A sender that took the flag has sent a wake that now finds us awake: one spurious turn.
  desks_[core].asleep.store(false, std::memory_order_relaxed);
}

}  // namespace trireme
