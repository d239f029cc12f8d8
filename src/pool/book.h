// SPDX-License-Identifier: GPL-3.0-or-later
//
// The book of a pool under sharing.policy "shared_mutex": the control group of research, as good as
// a pool behind a mutex can be. One lock, all cores, and under it
//
//   idle[core]     servers parked on that core that anybody may have
//   the line       places of the waiters of all cores that nothing is promised, oldest first
//   core:          its own places in the line; servers on their way to it; claims on its servers
//                  that it has not answered yet, those void whose server has died meanwhile
//
// What must hold whenever the lock is free: nobody is in the line while a server is in the book; a
// server is promised to one waiter, and a claim is good unless the server dies. No hint, no second
// look: what is read under the lock is so.
//
// A server stays armed on the ring of one core, so who claims one of another core gets it by the
// same hand-over as under "steal" (PoolMail), and the book says only how many servers of a core are
// whose, not which: the core itself lends its hottest and gives away its coldest.
//
// The lock is held for a few list operations and counters, never over a call to the outside, and
// nothing is allocated under it: a Place belongs to the core of its waiter, which keeps it for the
// next (BookPage). A core that finds the lock taken tries for a moment before it sleeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/intrusive_list.h"
#include "base/random.h"
#include "base/spsc.h"
#include "base/time.h"
#include "config/config.h"

namespace trireme {

class Waiter;

class Book {
 public:
  // Of one waiter. Made and freed by its core; when it is in the line, any core may take it out.
  struct Place {
    ListNode in_line;
    ListNode in_line_of_core;  // linked together with in_line
    uint64_t ticket = 0;       // order of arrival over all cores
    uint32_t core = 0;
    Time since{};

    ListNode of_page;  // from here on without the lock, its core only
    Waiter* waiter = nullptr;
  };

  explicit Book(uint32_t core_count);
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

 private:
  friend class OpenBook;

  struct alignas(kCacheLine) Core {
    List<Place, &Place::in_line_of_core> line;
    uint32_t coming = 0;   // servers promised to its waiters that have not arrived
    uint32_t claimed = 0;  // its idle servers that others have claimed
    uint32_t void_claims = 0;
  };

  void Lock();

  const uint32_t core_count_;
  alignas(kCacheLine) std::mutex mutex_;
  uint32_t idle_total_ = 0;
  uint64_t next_ticket_ = 0;
  List<Place, &Place::in_line> line_;
  std::vector<uint32_t> idle_;  // dense: who claims looks at all of them
  const std::unique_ptr<Core[]> cores_;
};

// The book, opened by one core: it is locked as long as this lives.
class OpenBook {
 public:
  OpenBook(Book& book, uint32_t self);
  ~OpenBook() { book_.mutex_.unlock(); }
  OpenBook(const OpenBook&) = delete;
  OpenBook& operator=(const OpenBook&) = delete;

  // --- idle servers ---
  bool anybody_idle() const { return book_.idle_total_ > 0; }
  uint32_t idle() const { return book_.idle_[self_]; }
  uint32_t claimed() const { return core_.claimed; }
  void Park(uint32_t count);
  // One of our own out of the book; false when there is none.
  [[nodiscard]] bool Take();
  // Somebody is idle (asserted), not here: the core that will hand over a server to us.
  [[nodiscard]] uint32_t Claim(VictimChoice choice, Random& random);
  // One of our claimed servers has died.
  void Void();
  // Of so many claims that have reached us: to how many a server is owed.
  [[nodiscard]] uint32_t Answer(uint32_t claims);

  // --- the line ---
  bool anybody_waits() const { return !book_.line_.empty(); }
  // Our places in the line, and the first of them.
  uint32_t waiting() const { return static_cast<uint32_t>(core_.line.count()); }
  Book::Place* first() { return core_.line.front(); }
  void Join(Book::Place& place);
  // What was promised to it will not come. It is older than our places in the line.
  void Rejoin(Book::Place& place);
  // Whose turn it is when a server is free here: ours, unless another core's first is older by more
  // than the window. nullptr = nobody waits.
  Book::Place* Next(Duration fairness_window);
  void TakeOut(Book::Place& place);

  // --- on the way to a core ---
  uint32_t coming() const { return core_.coming; }
  void Promise(uint32_t core) { ++book_.cores_[core].coming; }
  // It has died, or it is here.
  void Unpromise(uint32_t core, uint32_t count);

 private:
  Book& book_;
  const uint32_t self_;
  Book::Core& core_;
};

// What one core keeps beside the book. Its waiters are in the order of PoolShard's queue: first
// those that something is promised to, then those in the line.
class BookPage {
 public:
  explicit BookPage(Book& shared) : book(shared) {}

  // The next waiter's place, not in the line yet.
  Book::Place& Add(Waiter& waiter, uint32_t core, Time since);
  void Free(Book::Place& place);  // not in the line
  Book::Place* oldest() { return places_.front(); }
  Book::Place* newest() { return places_.back(); }
  Book::Place* before(Book::Place& place) { return places_.previous(place); }
  // Looks at one after the other: only who gives up is sought.
  Book::Place& Of(const Waiter& waiter);

  Book& book;
  // Idle servers that are neither in the book nor claimed: they came back, arrived, or were taken.
  uint32_t unbooked = 0;
  // Of what was on its way here: so many have come or will not, and the book does not know.
  uint32_t answered = 0;
  // The oldest waiters, for whom there are unbooked servers: not more than those with a promise.
  uint32_t due = 0;
  uint32_t uncovered = 0;  // waiters that nothing is coming for, as of the last look

 private:
  std::deque<Book::Place> made_;
  std::vector<Book::Place*> free_;
  List<Book::Place, &Book::Place::of_page> places_;
};

}  // namespace trireme
