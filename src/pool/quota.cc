// SPDX-License-Identifier: GPL-3.0-or-later
//
// Orders: an entry is written before the release that makes it visible. Counts are relaxed: what
// matters between two of them is FenceBoards(), see pool/board.h.
#include "pool/quota.h"

#include <utility>

#include "base/assert.h"
#include "base/marks.h"

namespace trireme {

namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;
}

bool Quota::TryReserveBeyond(uint32_t more) {
  const uint32_t cap = this->cap();
  return TryReserveUpTo(cap == 0 ? UINT32_MAX : cap + more);
}

bool Quota::TryReserveUpTo(uint32_t most) {
  uint32_t open = open_.load(kRelaxed);
  if (TRIREME_MUTATION(kCapCheckedNotReserved)) {
    if (open >= most) return false;
    TRIREME_YIELD();
    open_.fetch_add(1, kRelaxed);
    return true;
  }
  do {
    if (open >= most) return false;
    // Partners: the same in another core, and Release.
  } while (!open_.compare_exchange_weak(open, open + 1, kRelaxed));
  return true;
}

void Quota::Release() {
  // Partner: TryReserve of a hungry core, ordered by FenceBoards() on both sides.
  const uint32_t before = open_.fetch_sub(1, kRelaxed);
  TRIREME_ASSERT(before > 0);
}

bool Quota::RemoveAliveAbove(uint32_t least) {
  uint32_t alive = alive_.load(kRelaxed);
  do {
    if (alive <= least) return false;
    // Partners: the same in another core, AddAlive, RemoveAlive.
  } while (!alive_.compare_exchange_weak(alive, alive - 1, kRelaxed));
  return true;
}

QuotaTable::QuotaTable() : buckets_(std::make_unique<std::atomic<Entry*>[]>(kBuckets)) {}

QuotaTable::~QuotaTable() {
  for (uint32_t i = 0; i < kBuckets; ++i) {
    Entry* entry = buckets_[i].load(kRelaxed);
    while (entry != nullptr) delete std::exchange(entry, entry->next);
  }
}

// Insert at the head by compare-and-swap. Who loses looks at what was inserted before it, so one
// key never has two quotas.
Quota& QuotaTable::FindOrCreate(std::string_view key, uint32_t cap) {
  std::atomic<Entry*>& bucket = buckets_[HashOfName(key) % kBuckets];
  std::unique_ptr<Entry> made;
  Entry* head = bucket.load(std::memory_order_acquire);  // partner: the release below
  const Entry* searched = nullptr;                       // everything from here on is known
  while (true) {
    for (Entry* known = head; known != searched; known = known->next) {
      if (known->key == key) return known->quota;
    }
    if (made == nullptr) made.reset(new Entry{std::string(key), Quota(cap), nullptr});
    searched = head;
    made->next = head;
    if (bucket.compare_exchange_strong(head, made.get(), std::memory_order_release,
                                       std::memory_order_acquire)) {
      return made.release()->quota;
    }
  }
}

}  // namespace trireme
