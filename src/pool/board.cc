// SPDX-License-Identifier: GPL-3.0-or-later
//
// Orders: nothing here publishes other memory except boards and welcomes, which are written before
// the release that makes them visible. Counters, bits and lines are relaxed: what matters between
// two of them is FenceBoards(), see board.h.
#include "pool/board.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"
#include "base/marks.h"

namespace trireme {

namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;
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

Board::Board(Identity identity, const BoardLimits& limits, std::vector<Shared> shared)
    : identity_(std::move(identity)),
      size_(limits.size),
      min_size_(limits.min_size),
      reserve_size_(limits.reserve_size),
      shared_(std::move(shared)),
      lines_(std::make_unique<Line[]>(identity_.core_count)) {
  TRIREME_ASSERT(identity_.core_count > 0 && identity_.core_count <= kCoresMax);
  TRIREME_ASSERT(
      std::is_sorted(shared_.begin(), shared_.end(),
                     [](const Shared& a, const Shared& b) { return a.cap.kind < b.cap.kind; }));
}

Board::~Board() {
  Welcome* welcome = welcomes_.load(kRelaxed);  // the fleet has stopped: nobody else is here
  while (welcome != nullptr) delete std::exchange(welcome, welcome->older);
  delete book_.load(kRelaxed);
}

Book& Board::MakeBook() {
  Book* known = book_.load(std::memory_order_acquire);  // partner: the release below
  if (known != nullptr) return *known;
  auto made = std::make_unique<Book>(core_count());
  if (book_.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    return *made.release();
  }
  return *known;
}

uint32_t Board::MostFor(Purpose purpose) const {
  const uint32_t cap = size_.cap();
  switch (purpose) {
    case Purpose::kWaiter:
      return cap == 0 ? UINT32_MAX : cap;
    case Purpose::kLongWaiter:
      return cap == 0 ? UINT32_MAX : cap + reserve_size_;
    case Purpose::kWarm:
      return min_size_;
  }
  TRIREME_UNREACHABLE();
}

uint32_t Board::BeyondCap(const Shared& shared, Purpose purpose) const {
  const bool reserve = purpose == Purpose::kLongWaiter && shared.cap.kind == SharedCap::Kind::kPool;
  return reserve ? reserve_size_ : 0;
}

Board::Reservation Board::TryReserve(Purpose purpose) {
  using Outcome = Reservation::Outcome;
  const uint32_t most = MostFor(purpose);
  if (size_.open() >= most) return {.outcome = Outcome::kPoolFull};
  for (const Shared& shared : shared_) {
    if (shared.quota->full(BeyondCap(shared, purpose))) {
      return {.outcome = Outcome::kSharedFull, .full = &shared};
    }
  }
  TRIREME_YIELD();
  if (!size_.TryReserveUpTo(most)) return {.outcome = Outcome::kPoolFull};
  for (size_t i = 0; i < shared_.size(); ++i) {
    if (shared_[i].quota->TryReserveBeyond(BeyondCap(shared_[i], purpose))) continue;
    const Shared& full = shared_[i];
    while (i-- > 0) shared_[i].quota->Release();
    size_.Release();
    return {.outcome = Outcome::kSharedFull, .full = &full, .undone = true};
  }
  return {};
}

void Board::Release() {
  size_.Release();
  for (const Shared& shared : shared_) shared.quota->Release();
}

bool Board::shares(const Quota& quota) const {
  return std::any_of(shared_.begin(), shared_.end(),
                     [&](const Shared& shared) { return shared.quota == &quota; });
}

bool Board::shares_with(const Board& other) const {
  return std::any_of(shared_.begin(), shared_.end(),
                     [&](const Shared& shared) { return other.shares(*shared.quota); });
}

Quota* Board::shared_size() const {
  const bool shared = !shared_.empty() && shared_[0].cap.kind == SharedCap::Kind::kPool;
  return shared ? shared_[0].quota : nullptr;
}

void Board::AddAlive() {
  size_.AddAlive();
  if (Quota* shared = shared_size()) shared->AddAlive();
}

void Board::RemoveAlive() {
  size_.RemoveAlive();
  if (Quota* shared = shared_size()) shared->RemoveAlive();
}

bool Board::RemoveAliveAboveLeast() {
  if (!size_.RemoveAliveAbove(min_size_)) return false;
  if (Quota* shared = shared_size()) shared->RemoveAlive();
  return true;
}

bool Board::RemoveAliveOfReserve() {
  if (!in_reserve()) return false;
  Quota* const shared = shared_size();
  if (shared == nullptr) return size_.RemoveAliveAbove(size_.cap());  // min_size is no more
  if (!size_.RemoveAliveAbove(min_size_)) return false;
  if (shared->RemoveAliveAbove(shared->cap())) return true;
  size_.AddAlive();
  return false;
}

bool Board::in_reserve() const {
  if (reserve_size_ == 0) return false;
  const Quota* const shared = shared_size();
  const Quota& whole = shared != nullptr ? *shared : size_;
  return whole.cap() != 0 && whole.alive() > whole.cap();
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

Board::Hunger Board::Hungriest(uint32_t self, uint32_t from) {
  Hunger hungriest{core_count(), kNever, from};
  uint32_t looks = 0;
  const auto look = [&](uint32_t begin, uint32_t end) {
    for (uint32_t core = hungry_cores_.Next(begin, end); core < end;
         core = hungry_cores_.Next(core + 1, end)) {
      if (looks >= kLooksMost && hungriest.core < core_count()) return;
      if (core == self) continue;
      ++looks;
      hungriest.next = core + 1;
      if (lines_[core].wanted.load(kRelaxed) == 0) continue;
      const Time oldest{Duration(lines_[core].oldest_ns.load(kRelaxed))};
      if (oldest < hungriest.oldest) {
        hungriest.core = core;
        hungriest.oldest = oldest;
      }
    }
  };
  look(from, core_count());
  look(0, from);
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
}

std::atomic<Board*>& Directory::BucketOf(std::string_view key) const {
  return buckets_[HashOfName(key) & (bucket_count_ - 1)];
}

std::unique_ptr<Board> Directory::CreateUnlisted(std::string_view key, const BoardLimits& limits) {
  std::vector<Board::Shared> shared;
  for (const SharedCap& cap : limits.shared) {
    shared.push_back({cap, &quotas_.FindOrCreate(cap.key, cap.cap)});
  }
  return std::make_unique<Board>(
      Board::Identity{.key = std::string(key), .core_count = core_count_}, limits,
      std::move(shared));
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
    if (made == nullptr) made = CreateUnlisted(key, limits);
    searched = head;
    made->next_in_bucket_ = head;
    if (bucket.compare_exchange_strong(head, made.get(), std::memory_order_release,
                                       std::memory_order_relaxed)) {
      count_.fetch_add(1, std::memory_order_release);  // partner: count()
      return made.release();
    }
  }
}

}  // namespace trireme
