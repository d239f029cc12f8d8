// SPDX-License-Identifier: GPL-3.0-or-later
//
// The only memory that cores share of a pool, and the only place in the pool room where they meet.
// Everything here is an atomic; everything else about a pool belongs to one core.
//
//   Directory ──▶ Board (one a pool, lives as long as the fleet)
//                   ├─ Quota* … caps: the pool's own size, its storage's connections_max
//                   ├─ CoreSet  cores that may have idle servers, cores that are hungry
//                   └─ Line[core], each on its own cache line: idle, wanted, oldest waiter
//
// Written by the owning core, at most once a turn (PoolShard::Publish); read by others as hints.
// Two things are more than hints: a Quota is exact at every instant, and `wanted` is claimed by
// compare-and-swap so that two cores do not grant for one waiter.
//
// No lost wake-up (Dekker): a hungry core publishes its hunger, fences, and looks again for idle
// servers and free places; a core that parks a server or frees a place publishes that, fences, and
// looks again for hunger. Both fences are seq_cst (FenceBoards()), so one of the two comes first,
// and the later one sees what the other has published.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/marks.h"
#include "base/spsc.h"
#include "base/time.h"
#include "wire/parameter_set.h"

namespace trireme {

inline constexpr uint32_t kCoresMax = 512;  // one cache line of bits

// Between publishing and looking again, on both sides of the race above.
// (ThreadSanitizer does not model fences; nothing but atomics is ordered by this one.)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
inline void FenceBoards() {
  TRIREME_YIELD();
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// A hard cap: `open` never exceeds the cap that held when the place was taken, at no instant.
class Quota {
 public:
  // cap 0 = no limit.
  explicit Quota(uint32_t cap) : cap_(cap) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  [[nodiscard]] bool TryReserve();
  void Release();
  bool full() const { return cap() != 0 && open() >= cap(); }
  uint32_t open() const { return open_.load(std::memory_order_relaxed); }
  uint32_t cap() const { return cap_.load(std::memory_order_relaxed); }
  // A lower cap takes effect as places are released.
  void SetCap(uint32_t cap) { cap_.store(cap, std::memory_order_relaxed); }

 private:
  alignas(kCacheLine) std::atomic<uint32_t> open_{0};
  std::atomic<uint32_t> cap_;
};

// A set of cores. Each core changes only its own bit.
class CoreSet {
 public:
  void Add(uint32_t core);
  void Remove(uint32_t core);
  bool Contains(uint32_t core) const;
  // Is anybody but `core` in it? One load for up to 64 cores.
  bool AnyBut(uint32_t core, uint32_t core_count) const;
  // The first member at or after `core`, or core_count.
  uint32_t Next(uint32_t core, uint32_t core_count) const;

 private:
  alignas(kCacheLine) std::array<std::atomic<uint64_t>, kCoresMax / 64> words_{};
};

struct BoardLimits {
  uint32_t size = 0;  // of the pool over all cores; 0 = no limit
  std::string_view storage;
  uint32_t storage_connections_max = 0;
};

class Board {
 public:
  struct alignas(kCacheLine) Line {
    std::atomic<uint32_t> idle{0};                 // servers parked, as of the last publication
    std::atomic<uint32_t> wanted{0};               // waiters that nobody has promised a server
    std::atomic<int64_t> oldest_ns{kNobodyWaits};  // arrival of the oldest waiter
    std::atomic<uint32_t> waiting{0};              // waiters, for texts and SHOW POOLS
  };
  static constexpr int64_t kNobodyWaits = INT64_MAX;

  struct Identity {
    std::string key;
    uint32_t core_count;
  };
  Board(Identity identity, uint32_t size, Quota* storage_quota);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  const std::string& key() const { return identity_.key; }
  uint32_t core_count() const { return identity_.core_count; }

  Line& line(uint32_t core) { return lines_[core]; }
  CoreSet& idle_cores() { return idle_cores_; }
  CoreSet& hungry_cores() { return hungry_cores_; }

  // A place under all caps or under none.
  enum class Reservation : uint8_t {
    kTaken,
    kPoolFull,
    kStorageFull,
    kUndone,  // the storage filled up meanwhile: a place of the pool was held for an instant, so
              // somebody may have been turned away for it: nudge the hungry
  };
  [[nodiscard]] Reservation TryReserve();
  void Release();
  bool full() const { return size_.full() || (storage_ != nullptr && storage_->full()); }
  Quota& size() { return size_; }
  Quota* storage_quota() const { return storage_; }  // nullptr = none configured

  // Servers of the pool that are logged in, on all cores: when there is none, waiting for one to be
  // returned is pointless.
  uint32_t alive() const { return alive_.load(std::memory_order_relaxed); }
  void AddAlive() { alive_.fetch_add(1, std::memory_order_relaxed); }
  void RemoveAlive() { alive_.fetch_sub(1, std::memory_order_relaxed); }

  // A promise to one waiter of `core`: true = that core counts on us now.
  [[nodiscard]] bool Claim(uint32_t core);
  // Takes the promise back; the caller nudges the core, which may have missed another server.
  void Unclaim(uint32_t core);
  // The hungry core whose waiter is oldest, or core_count(); `self` is left out.
  struct Hunger {
    uint32_t core;
    Time oldest;
  };
  Hunger Hungriest(uint32_t self);

  // What servers of this pool report at login. Known to all cores once one has seen it; never freed
  // before the board. A different report (another PostgreSQL version) replaces it.
  const ParameterSet* welcome() const;
  void PublishWelcome(const ParameterSet& welcome);

 private:
  friend class Directory;
  struct Welcome {
    ParameterSet parameters;
    Welcome* older;
  };
  static constexpr uint32_t kWelcomesMax = 64;

  const Identity identity_;
  Quota size_;
  Quota* const storage_;
  std::atomic<uint32_t> alive_{0};
  CoreSet idle_cores_;
  CoreSet hungry_cores_;
  const std::unique_ptr<Line[]> lines_;
  std::atomic<const Welcome*> welcome_{nullptr};
  std::atomic<Welcome*> welcomes_{nullptr};  // every report ever published
  Board* next_in_bucket_ = nullptr;          // set before the board is published
};

// All boards of the fleet: found or made without a lock, never removed.
class Directory {
 public:
  Directory(uint32_t core_count, uint32_t boards_max);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // nullptr when there are boards_max of them; cores that make boards at the same instant may each
  // go one above it. Any core, at any time.
  Board* FindOrCreate(std::string_view key, const BoardLimits& limits);
  uint32_t count() const {
    return count_.load(std::memory_order_acquire);
  }  // partner: the insert's
  uint32_t core_count() const { return core_count_; }

  // In the order of their buckets; cold.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (uint32_t i = 0; i < bucket_count_; ++i) {
      Board* board = buckets_[i].load(std::memory_order_acquire);  // partner: the insert's release
      for (; board != nullptr; board = board->next_in_bucket_) visit(*board);
    }
  }

 private:
  struct StorageQuota {
    std::string name;
    Quota quota;
    StorageQuota* next;
  };
  std::atomic<Board*>& BucketOf(std::string_view key) const;
  Quota* FindStorageQuota(std::string_view name, uint32_t cap);

  const uint32_t core_count_;
  const uint32_t bucket_count_;  // a power of two
  const std::unique_ptr<std::atomic<Board*>[]> buckets_;
  const uint32_t boards_max_;
  std::atomic<uint32_t> count_{0};
  std::atomic<StorageQuota*> storage_quotas_{nullptr};
};

}  // namespace trireme
