// SPDX-License-Identifier: GPL-3.0-or-later
//
// The only memory that cores share of a pool, and (but for the book of "shared_mutex", which is
// research) the only place in the pool room where they meet. Everything here is an atomic;
// everything else about a pool belongs to one core.
//
//   Directory ──▶ Board (one a pool, lives as long as the fleet)
//                   ├─ Quota… caps: the pool's own size, and those it shares with other pools
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
#include <vector>

#include "base/marks.h"
#include "base/spsc.h"
#include "base/time.h"
#include "pool/book.h"
#include "pool/quota.h"
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

// A cap over several pools. Places are taken in this order, in every pool.
struct SharedCap {
  enum class Kind : uint8_t {
    kPool,      // of a pool that routes share
    kUser,      // whoever logs in at the storages
    kDatabase,  // of a database at a storage
    kStorage,
  };
  Kind kind;
  std::string key;   // who names the same key shares the cap; begins with the kind
  std::string name;  // for texts people read
  uint32_t cap;
};

struct BoardLimits {
  uint32_t size = 0;  // of the pool over all cores; 0 = no limit
  uint32_t min_size = 0;
  uint32_t reserve_size = 0;
  std::vector<SharedCap> shared{};
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
  struct Shared {
    SharedCap cap;
    Quota* quota;
  };
  Board(Identity identity, const BoardLimits& limits, std::vector<Shared> shared);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  const std::string& key() const { return identity_.key; }
  uint32_t core_count() const { return identity_.core_count; }

  Line& line(uint32_t core) { return lines_[core]; }
  CoreSet& idle_cores() { return idle_cores_; }
  CoreSet& hungry_cores() { return hungry_cores_; }

  // A place under all caps or under none. What it is for decides how many places there are.
  enum class Purpose : uint8_t {
    kWaiter,      // size
    kLongWaiter,  // … and the reserve
    kWarm,        // min_size
  };
  struct Reservation {
    enum class Outcome : uint8_t { kTaken, kPoolFull, kSharedFull };
    Outcome outcome = Outcome::kTaken;
    const Shared* full = nullptr;  // kSharedFull
    // A cap filled up meanwhile: places under the others were held for an instant, so somebody may
    // have been turned away for it: nudge the hungry.
    bool undone = false;
  };
  [[nodiscard]] Reservation TryReserve(Purpose purpose);
  void Release();
  Quota& size() { return size_; }
  const Quota& size() const { return size_; }
  uint32_t reserve_size() const { return reserve_size_; }
  const std::vector<Shared>& shared() const { return shared_; }
  bool shares(const Quota& quota) const;
  bool shares_with(const Board& other) const;

  // Servers of the pool that are logged in, on all cores: when there is none, waiting for one to be
  // returned is pointless.
  uint32_t alive() const { return size_.alive(); }
  void AddAlive();
  void RemoveAlive();
  // … unless no more than min_size would be left; exact, whoever else does the same.
  [[nodiscard]] bool RemoveAliveAboveLeast();
  // … and unless there are none of the reserve, in this pool or in the one that routes share.
  [[nodiscard]] bool RemoveAliveOfReserve();
  // There are servers of the reserve: a hint.
  bool in_reserve() const;

  // A promise to one waiter of `core`: true = that core counts on us now.
  [[nodiscard]] bool Claim(uint32_t core);
  // Takes the promise back; the caller nudges the core, which may have missed another server.
  void Unclaim(uint32_t core);
  // The hungry core whose waiter is oldest, or core_count(); `self` is left out. Each look costs a
  // cache line of another core's: of more hungry cores than kLooksMost, as many are compared, from
  // `from` on, round and round. Where any is hungry, one is found.
  struct Hunger {
    uint32_t core;
    Time oldest;
    uint32_t next;  // `from` of the caller's next time
  };
  static constexpr uint32_t kLooksMost = 8;
  Hunger Hungriest(uint32_t self, uint32_t from);

  // What servers of this pool report at login. Known to all cores once one has seen it; never freed
  // before the board. A different report (another PostgreSQL version) replaces it.
  const ParameterSet* welcome() const;
  void PublishWelcome(const ParameterSet& welcome);

  // For sharing.policy "shared_mutex" only: the one that all cores share, made by the first.
  Book& MakeBook();

  // A client of the pool has used currval or lastval, once: nextval may matter later. Any core says
  // so; relaxed, for it orders nothing.
  bool reads_sequences() const { return reads_sequences_.load(std::memory_order_relaxed); }
  void OnSequenceRead() { reads_sequences_.store(true, std::memory_order_relaxed); }

 private:
  friend class Directory;
  struct Welcome {
    ParameterSet parameters;
    Welcome* older;
  };
  static constexpr uint32_t kWelcomesMax = 64;

  uint32_t MostFor(Purpose purpose) const;
  uint32_t BeyondCap(const Shared& shared, Purpose purpose) const;
  // Of the pool that routes share; nullptr = it is not shared.
  Quota* shared_size() const;

  const Identity identity_;
  Quota size_;
  const uint32_t min_size_;
  const uint32_t reserve_size_;
  const std::vector<Shared> shared_;
  CoreSet idle_cores_;
  CoreSet hungry_cores_;
  const std::unique_ptr<Line[]> lines_;
  std::atomic<const Welcome*> welcome_{nullptr};
  std::atomic<Welcome*> welcomes_{nullptr};  // every report ever published
  std::atomic<Book*> book_{nullptr};
  std::atomic<bool> reads_sequences_{false};
  Board* next_in_bucket_ = nullptr;  // set before the board is published
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
  // One that nobody else can find, and that shares caps as the others do. It must go before the
  // directory.
  std::unique_ptr<Board> CreateUnlisted(std::string_view key, const BoardLimits& limits);
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
  std::atomic<Board*>& BucketOf(std::string_view key) const;

  const uint32_t core_count_;
  const uint32_t bucket_count_;  // a power of two
  const std::unique_ptr<std::atomic<Board*>[]> buckets_;
  const uint32_t boards_max_;
  std::atomic<uint32_t> count_{0};
  QuotaTable quotas_;  // shared by pools
};

}  // namespace trireme
