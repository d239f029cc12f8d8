// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/book.h"

#include <algorithm>

#include "base/assert.h"
#include "base/marks.h"
#include "base/shared_work.h"

namespace trireme {

namespace {

// The lock is held for some ten nanoseconds: about as long as two cores need to pass its line.
constexpr int kTries = 100;

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Book::Book(uint32_t core_count)
    : core_count_(core_count), idle_(core_count, 0), cores_(std::make_unique<Core[]>(core_count)) {}

void Book::Lock() {
  for (int i = 0; i < kTries; ++i) {
    if (mutex_.try_lock()) return;
    Pause();
  }
  mutex_.lock();
}

OpenBook::OpenBook(Book& book, uint32_t self) : book_(book), self_(self), core_(book.cores_[self]) {
  TRIREME_ASSERT(self < book.core_count_);
  TRIREME_YIELD();  // before, never within: nobody else could go on
  TRIREME_SHARED_WORK(kLock, &book);
  book.Lock();
}

// --- idle servers --------------------------------------------------------------------------------

void OpenBook::Park(uint32_t count) {
  book_.idle_[self_] += count;
  book_.idle_total_ += count;
}

bool OpenBook::Take() {
  if (book_.idle_[self_] == 0) return false;
  --book_.idle_[self_];
  --book_.idle_total_;
  return true;
}

uint32_t OpenBook::Claim(VictimChoice choice, Random& random) {
  TRIREME_ASSERT(book_.idle_total_ > 0 && book_.idle_[self_] == 0);
  const uint32_t count = book_.core_count_;
  const bool anywhere = choice == VictimChoice::kRandom;
  const uint32_t start = anywhere ? static_cast<uint32_t>(random.Below(count)) : self_;
  uint32_t victim = count;
  for (uint32_t i = 0; i < count; ++i) {
    // Around the start: to its right and its left in turn, or on and on to its right.
    const uint32_t away = anywhere ? i : (i + 1) / 2;
    const uint32_t core =
        anywhere || i % 2 == 1 ? (start + away) % count : (start + count - away) % count;
    if (book_.idle_[core] == 0) continue;
    if (victim == count || book_.idle_[core] > book_.idle_[victim]) victim = core;
    if (choice != VictimChoice::kMostIdle) break;
  }
  TRIREME_ASSERT(victim < count);
  --book_.idle_[victim];
  --book_.idle_total_;
  ++book_.cores_[victim].claimed;
  ++core_.coming;
  return victim;
}

void OpenBook::Void() {
  TRIREME_ASSERT(core_.claimed > 0);
  --core_.claimed;
  ++core_.void_claims;
}

uint32_t OpenBook::Answer(uint32_t claims) {
  TRIREME_ASSERT(claims <= core_.claimed + core_.void_claims);
  const uint32_t good = std::min(claims, core_.claimed);
  core_.claimed -= good;
  core_.void_claims -= claims - good;
  return good;
}

// --- the line ------------------------------------------------------------------------------------

void OpenBook::Join(Book::Place& place) {
  TRIREME_ASSERT(place.core == self_);
  place.ticket = book_.next_ticket_++;
  book_.line_.PushBack(place);
  core_.line.PushBack(place);
}

void OpenBook::Rejoin(Book::Place& place) {
  TRIREME_ASSERT(place.core == self_);
  Book::Place* younger = book_.line_.front();
  while (younger != nullptr && younger->ticket < place.ticket) younger = book_.line_.next(*younger);
  younger == nullptr ? book_.line_.PushBack(place) : book_.line_.InsertBefore(*younger, place);
  core_.line.PushFront(place);
}

Book::Place* OpenBook::Next(Duration fairness_window) {
  Book::Place* const oldest = book_.line_.front();
  Book::Place* const ours = core_.line.front();
  if (ours == nullptr || ours == oldest) return oldest;
  return ours->since - oldest->since > fairness_window ? oldest : ours;
}

void OpenBook::TakeOut(Book::Place& place) {
  book_.line_.Erase(place);
  book_.cores_[place.core].line.Erase(place);
}

void OpenBook::Unpromise(uint32_t core, uint32_t count) {
  TRIREME_ASSERT(book_.cores_[core].coming >= count);
  book_.cores_[core].coming -= count;
}

// --- one core's page -----------------------------------------------------------------------------

Book::Place& BookPage::Add(Waiter& waiter, uint32_t core, Time since) {
  if (free_.empty()) {
    made_.emplace_back();
    free_.push_back(&made_.back());
  }
  Book::Place& place = *free_.back();
  free_.pop_back();
  place.core = core;
  place.since = since;
  place.waiter = &waiter;
  places_.PushBack(place);
  return place;
}

void BookPage::Free(Book::Place& place) {
  places_.Erase(place);
  place.waiter = nullptr;
  free_.push_back(&place);
}

Book::Place& BookPage::Of(const Waiter& waiter) {
  Book::Place* place = places_.front();
  while (place->waiter != &waiter) place = places_.next(*place);
  return *place;
}

}  // namespace trireme
