// SPDX-License-Identifier: GPL-3.0-or-later
//
// Orders: nothing here publishes other memory except boards and welcomes, which are written before
// the release that makes them visible. Counters, bits and lines are relaxed: what matters between
// two of them is FenceBoards(), see board.h.
#include "pool/board.h"

#include <bit>
#include <utility>

#include "base/assert.h"
#include "base/marks.h"

namespace trireme {

namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;
}

bool Quota::TryReserve() {
  uint32_t open = open_.load(kRelaxed);
  if (TRIREME_MUTATION(kCapCheckedNotReserved)) {
    if (full()) return false;
    TRIREME_YIELD();
    open_.fetch_add(1, kRelaxed);
    return true;
  }
  do {
    const uint32_t cap = cap_.load(kRelaxed);
    if (cap != 0 && open >= cap) return false;
    // Partners: the same in another core, and Release.
  } while (!open_.compare_exchange_weak(open, open + 1, kRelaxed));
  return true;
}

void Quota::Release() {
  // Partner: TryReserve of a hungry core, ordered by FenceBoards() on both sides.
  const uint32_t before = open_.fetch_sub(1, kRelaxed);
  TRIREME_ASSERT(before > 0);
}

void CoreSet::Add(uint32_t core) {
  words_[core / 64].fetch_or(uint64_t{1} << (core % 64), kRelaxed);  // partner: Next, AnyBut
}

void CoreSet::Remove(uint32_t core) {
  words_[core / 64].fetch_and(~(uint64_t{1} << (core % 64)), kRelaxed);  // partner: Next, AnyBut
}

bool CoreSet::Contains(uint32_t core) const {
  return (words_[core / 64].load(kRelaxed) >> (core % 64) & 1) != 0;
}

bool CoreSet::AnyBut(uint32_t core, uint32_t core_count) const {
  for (uint32_t word = 0; word * 64 < core_count; ++word) {
    uint64_t bits = words_[word].load(kRelaxed);
    if (word == core / 64) bits &= ~(uint64_t{1} << (core % 64));
    if (bits != 0) return true;
  }
  return false;
}

uint32_t CoreSet::Next(uint32_t core, uint32_t core_count) const {
  while (core < core_count) {
    const uint64_t bits = words_[core / 64].load(kRelaxed) >> (core % 64);
    if (bits != 0) return core + static_cast<uint32_t>(std::countr_zero(bits));
    core = (core / 64 + 1) * 64;
  }
  return core_count;
}

Board::Board(Identity identity, uint32_t size, Quota* storage_quota)
    : identity_(std::move(identity)),
      size_(size),
      storage_(storage_quota),
      lines_(std::make_unique<Line[]>(identity_.core_count)) {
  TRIREME_ASSERT(identity_.core_count > 0 && identity_.core_count <= kCoresMax);
}

Board::~Board() {
  Welcome* welcome = welcomes_.load(kRelaxed);  // the fleet has stopped: nobody else is here
  while (welcome != nullptr) delete std::exchange(welcome, welcome->older);
}

Board::Reservation Board::TryReserve() {
  if (storage_ == nullptr) {
    return size_.TryReserve() ? Reservation::kTaken : Reservation::kPoolFull;
  }
  if (size_.full()) return Reservation::kPoolFull;
  if (storage_->full()) return Reservation::kStorageFull;
  TRIREME_YIELD();
  if (!size_.TryReserve()) return Reservation::kPoolFull;
  if (storage_->TryReserve()) return Reservation::kTaken;
  size_.Release();
  return Reservation::kUndone;
}

void Board::Release() {
  size_.Release();
  if (storage_ != nullptr) storage_->Release();
}

bool Board::Claim(uint32_t core) {
  std::atomic<uint32_t>& wanted = lines_[core].wanted;
  uint32_t before = wanted.load(kRelaxed);
  while (before > 0) {
    // Partners: other granters, and the owner who adds and takes back.
    if (wanted.compare_exchange_weak(before, before - 1, kRelaxed)) return true;
  }
  TRIREME_COVER(kClaimLost);
  return false;
}

void Board::Unclaim(uint32_t core) { lines_[core].wanted.fetch_add(1, kRelaxed); }

Board::Hunger Board::Hungriest(uint32_t self) {
  Hunger hungriest{core_count(), kNever};
  for (uint32_t core = hungry_cores_.Next(0, core_count()); core < core_count();
       core = hungry_cores_.Next(core + 1, core_count())) {
    if (core == self || lines_[core].wanted.load(kRelaxed) == 0) continue;
    const Time oldest{Duration(lines_[core].oldest_ns.load(kRelaxed))};
    if (oldest < hungriest.oldest) hungriest = {core, oldest};
  }
  return hungriest;
}

const ParameterSet* Board::welcome() const {
  const Welcome* welcome = welcome_.load(std::memory_order_acquire);  // partner: PublishWelcome
  return welcome == nullptr ? nullptr : &welcome->parameters;
}

// A report that was seen before is found again, so servers that alternate between two of them (two
// hosts, two versions) do not make the list grow; and it has an end.
void Board::PublishWelcome(const ParameterSet& welcome) {
  const Welcome* current = welcome_.load(std::memory_order_acquire);
  if (current != nullptr && current->parameters == welcome) return;
  Welcome* newest = welcomes_.load(std::memory_order_acquire);  // partner: the release below
  uint32_t count = 0;
  for (Welcome* known = newest; known != nullptr; known = known->older, ++count) {
    if (known->parameters == welcome) {
      welcome_.store(known, std::memory_order_release);
      return;
    }
  }
  if (count >= kWelcomesMax) return;
  auto* added = new Welcome{.parameters = welcome, .older = newest};
  while (
      !welcomes_.compare_exchange_weak(added->older, added, std::memory_order_release, kRelaxed)) {
  }
  welcome_.store(added, std::memory_order_release);  // partner: the acquire in welcome()
}

Directory::Directory(uint32_t core_count, uint32_t boards_max)
    : core_count_(core_count),
      bucket_count_(std::bit_ceil(boards_max < 64 ? 64u : boards_max)),
      buckets_(std::make_unique<std::atomic<Board*>[]>(bucket_count_)),
      boards_max_(boards_max) {
  TRIREME_ASSERT(core_count > 0 && core_count <= kCoresMax && boards_max > 0);
}

Directory::~Directory() {  // the fleet has stopped: nobody else is here
  for (uint32_t i = 0; i < bucket_count_; ++i) {
    Board* board = buckets_[i].load(kRelaxed);
    while (board != nullptr) delete std::exchange(board, board->next_in_bucket_);
  }
  StorageQuota* quota = storage_quotas_.load(kRelaxed);
  while (quota != nullptr) delete std::exchange(quota, quota->next);
}

// FNV-1a: the same in every process, so that a walk over the boards repeats in a simulated run.
std::atomic<Board*>& Directory::BucketOf(std::string_view key) const {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : key) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return buckets_[(hash ^ hash >> 32) & (bucket_count_ - 1)];
}

// Insert at the head by compare-and-swap. Who loses looks at what was inserted before it, so one
// key never has two boards.
Board* Directory::FindOrCreate(std::string_view key, const BoardLimits& limits) {
  std::atomic<Board*>& bucket = BucketOf(key);
  std::unique_ptr<Board> made;
  const Board* searched = nullptr;  // everything from here on is known
  while (true) {
    // Read before the bucket: boards it counts are seen there, so a full directory without this key
    // is just that.
    const bool full = count() >= boards_max_;
    Board* head = bucket.load(std::memory_order_acquire);  // partner: the insert's release
    for (Board* board = head; board != searched; board = board->next_in_bucket_) {
      if (board->key() == key) return board;
    }
    if (full) return nullptr;
    if (made == nullptr) {
      made = std::make_unique<Board>(
          Board::Identity{.key = std::string(key), .core_count = core_count_}, limits.size,
          limits.storage_connections_max == 0
              ? nullptr
              : FindStorageQuota(limits.storage, limits.storage_connections_max));
    }
    searched = head;
    made->next_in_bucket_ = head;
    if (bucket.compare_exchange_strong(head, made.get(), std::memory_order_release,
                                       std::memory_order_relaxed)) {
      count_.fetch_add(1, std::memory_order_release);  // partner: count()
      return made.release();
    }
  }
}
Quota* Directory::FindStorageQuota(std::string_view name, uint32_t cap) {
  std::unique_ptr<StorageQuota> made;
  StorageQuota* head =
      storage_quotas_.load(std::memory_order_acquire);  // partner: the release below
  const StorageQuota* searched = nullptr;
  while (true) {
    for (StorageQuota* known = head; known != searched; known = known->next) {
      if (known->name == name) return &known->quota;
    }
    if (made == nullptr) made.reset(new StorageQuota{std::string(name), Quota(cap), nullptr});
    searched = head;
    made->next = head;
    if (storage_quotas_.compare_exchange_strong(head, made.get(), std::memory_order_release,
                                                std::memory_order_acquire)) {
      return &made.release()->quota;
    }
  }
}

}  // namespace trireme
