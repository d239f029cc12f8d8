// SPDX-License-Identifier: GPL-3.0-or-later
//
// Exact counts that all cores share. A Quota is a hard cap: a place is reserved by compare-and-swap
// before what it is for exists, and released when that is gone, so the count never exceeds the cap
// that held when a place was taken, at no instant. A QuotaTable finds the quota of a name (a user,
// a database, …) from any core without a lock; what was made stays.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/spsc.h"

namespace trireme {

class Quota {
 public:
  // cap 0 = no limit.
  explicit Quota(uint32_t cap) : cap_(cap) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  [[nodiscard]] bool TryReserve() { return TryReserveBeyond(0); }
  // With a cap that is higher by `more`.
  [[nodiscard]] bool TryReserveBeyond(uint32_t more);
  // With another cap, 0 = none at all.
  [[nodiscard]] bool TryReserveUpTo(uint32_t most);
  void Release();
  bool full(uint32_t more = 0) const { return cap() != 0 && open() >= cap() + more; }
  uint32_t open() const { return open_.load(std::memory_order_relaxed); }
  uint32_t cap() const { return cap_.load(std::memory_order_relaxed); }
  // A lower cap takes effect as places are released.
  void SetCap(uint32_t cap) { cap_.store(cap, std::memory_order_relaxed); }

  // Of what holds the places: how much is in service. It is counted off before it begins to leave,
  // while its place is released when it has left.
  uint32_t alive() const { return alive_.load(std::memory_order_relaxed); }
  void AddAlive() { alive_.fetch_add(1, std::memory_order_relaxed); }
  void RemoveAlive() { alive_.fetch_sub(1, std::memory_order_relaxed); }
  // … unless no more than so many would be left; exact, whoever else does the same.
  [[nodiscard]] bool RemoveAliveAbove(uint32_t least);

 private:
  alignas(kCacheLine) std::atomic<uint32_t> open_{0};
  std::atomic<uint32_t> cap_;
  std::atomic<uint32_t> alive_{0};
};

class QuotaTable {
 public:
  QuotaTable();
  ~QuotaTable();  // nobody uses it any more
  QuotaTable(const QuotaTable&) = delete;
  QuotaTable& operator=(const QuotaTable&) = delete;

  // The cap counts when the quota is made; whoever names a key gives the same. Any core, any time.
  Quota& FindOrCreate(std::string_view key, uint32_t cap);

 private:
  struct Entry {
    std::string key;
    Quota quota;
    Entry* next;  // set before the entry is published
  };
  static constexpr uint32_t kBuckets = 1024;
  const std::unique_ptr<std::atomic<Entry*>[]> buckets_;
};

// FNV-1a: the same in every process, so that a walk in its order repeats in a simulated run.
constexpr uint64_t HashOfName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash ^ hash >> 32;
}

}  // namespace trireme
