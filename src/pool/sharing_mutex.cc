// SPDX-License-Identifier: GPL-3.0-or-later
//
// One pool among many cores that share it through a mutex (pool/book.h), for research. The same
// life of servers, places under the caps, timers and hand-over as under "steal"; only who gets
// which server is decided here, and under one lock over all cores.
//
//   Checkout   one look into the book: an idle server here, else one of another core, claimed, else
//              the line; a new connection is sought at the end of the turn, as under "steal"
//   Return     at the end of the turn, one look for all that came back in it: waiters with a
//              promise, then whose turn it is in the line, here or elsewhere, else the book
//
// Idle servers here == those in the book + those claimed by others + unbooked. Waiters here ==
// those with a promise, who are the older ones, + those in the line. A promise is something that is
// due: a server on its way (the book counts them), an unbooked one, a check under way. What comes
// first serves the oldest; whose promise is broken takes its old place in the line.
#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/marks.h"
#include "pool/pool.h"

namespace trireme {

// What is to be done when the book is closed again.
struct PoolShard::Errands {
  static constexpr uint32_t kMax = 16;
  std::array<uint32_t, kMax> claims;  // cores that will hand over a server to us
  uint32_t claim_count = 0;
  std::array<uint32_t, kMax> grants;  // cores that get one of ours
  uint32_t grant_count = 0;
  bool full() const { return claim_count == kMax || grant_count == kMax; }
};

// --- clients -------------------------------------------------------------------------------------

void PoolShard::CheckoutByBook(Waiter& waiter, Duration patience) {
  Book::Place& place = page_->Add(waiter, self_, context_.now);
  const bool first = waiters_.empty() && !draining_;
  while (LookForServer(place, first) == Found::kHere) {
    PooledServer& server = *idle().front();
    if (retired(server)) {
      Close(server, CloseReason::kLifetime);
      continue;
    }
    if (stale(server)) break;  // the turn checks it
    --page_->unbooked;
    page_->Free(place);
    return Lend(server, waiter);
  }
  Queue(waiter, patience);
}

PoolShard::Found PoolShard::LookForServer(Book::Place& place, bool first) {
  if (draining_) return Found::kNothing;  // it will be refused
  uint32_t victim = core_count_;
  {
    OpenBook book(page_->book, self_);
    if (first && !book.anybody_waits()) {
      if (page_->unbooked > 0) return Found::kHere;
      if (book.Take()) {
        ++page_->unbooked;
        return Found::kHere;
      }
      if (book.anybody_idle()) victim = book.Claim(context_.sharing.victim, context_.random);
    }
    if (victim == core_count_) book.Join(place);
    CountUncovered(book, static_cast<uint32_t>(waiters_.count()) + 1);
  }
  if (victim == core_count_) return Found::kNothing;
  AskForClaimed(victim);
  return Found::kElsewhere;
}

void PoolShard::AskForClaimed(uint32_t victim) {
  TRIREME_COVER(kClaimedByBook);
  ++asked_[victim];
  ++steals_pending_;
  ++counters_.steals_asked;
  context_.siblings.Send(victim, MailOf(PoolMail::Kind::kSteal));
}

// It is served or has given up, and leaves the queue in the same breath.
void PoolShard::LeaveBook(Waiter& waiter) {
  Book::Place& place = page_->Of(waiter);
  {
    OpenBook book(page_->book, self_);
    if (place.in_line.linked()) {
      book.TakeOut(place);
    } else if (page_->due > 0) {
      --page_->due;
    }
    CountUncovered(book, static_cast<uint32_t>(waiters_.count()) - 1);
  }
  page_->Free(place);
}

// --- idle servers --------------------------------------------------------------------------------

// One that was idle here is no more, and nobody has taken it: rather one that nobody counts on.
void PoolShard::LoseIdle() {
  OpenBook book(page_->book, self_);
  if (book.Take()) return;
  if (page_->unbooked > 0) {
    --page_->unbooked;
  } else {
    TRIREME_COVER(kClaimVoid);
    book.Void();
  }
}

bool PoolShard::TakeFromBook() {
  OpenBook book(page_->book, self_);
  if (!book.Take()) return false;
  ++page_->unbooked;
  return true;
}

// --- the turn ------------------------------------------------------------------------------------

void PoolShard::AnswerClaims() {
  if (steal_requests_.empty()) return;
  uint32_t good;
  {
    OpenBook book(page_->book, self_);
    good = book.Answer(static_cast<uint32_t>(steal_requests_.size()));
  }
  for (const StealRequest& request : steal_requests_) {
    if (good == 0) {
      ++counters_.steals_refused;
      context_.siblings.Send(request.core, MailOf(PoolMail::Kind::kDeny));
      continue;
    }
    --good;
    ++counters_.steals_given;
    LeaveFor(*idle().back(), request);
  }
  steal_requests_.clear();
}

void PoolShard::SettleByBook() {
  AnswerClaims();
  Errands errands;
  do {
    errands = LookThroughBook();
    for (uint32_t i = 0; i < errands.grant_count; ++i) {
      TRIREME_COVER(kGrantedByBook);
      ++counters_.grants_sent;
      LeaveFor(*idle().back(), errands.grants[i]);
    }
    for (uint32_t i = 0; i < errands.claim_count; ++i) AskForClaimed(errands.claims[i]);
  } while (errands.full());
  ServeDue();
}

PoolShard::Errands PoolShard::LookThroughBook() {
  Errands errands;
  OpenBook book(page_->book, self_);
  const auto waiting = static_cast<uint32_t>(waiters_.count());
  uint32_t& unbooked = page_->unbooked;
  TRIREME_ASSERT(idle().count() == book.idle() + book.claimed() + unbooked);
  book.Unpromise(self_, std::exchange(page_->answered, 0));
  RejoinLine(book);

  const auto promised = [&] { return waiting - book.waiting(); };
  while (unbooked > promised() && !errands.full()) {
    Book::Place* const next = book.Next(context_.sharing.fairness_window);
    if (next == nullptr) break;
    book.TakeOut(*next);
    if (next->core == self_) continue;
    book.Promise(next->core);
    --unbooked;
    errands.grants[errands.grant_count++] = next->core;
  }
  if (unbooked > promised() && !book.anybody_waits()) {
    book.Park(unbooked - promised());
    unbooked = promised();
  }
  // Only who has just come back to the line finds somebody idle.
  while (book.first() != nullptr && book.anybody_idle() && !errands.full()) {
    book.TakeOut(*book.first());
    if (book.Take()) {
      ++unbooked;
    } else {
      errands.claims[errands.claim_count++] = book.Claim(context_.sharing.victim, context_.random);
    }
  }
  CountUncovered(book, waiting);
  page_->due = std::min(promised(), unbooked);
  return errands;
}

// As many as have nothing to count on any more: the youngest of those that were promised something,
// for the others are served before them.
void PoolShard::RejoinLine(OpenBook& book) {
  if (TRIREME_MUTATION(kForgetRejoin)) return;
  const auto waiting = static_cast<uint32_t>(waiters_.count());
  while (waiting - book.waiting() > book.coming() + page_->unbooked + checking_) {
    TRIREME_COVER(kRejoinedLine);
    Book::Place* const first = book.first();
    Book::Place* const last = first == nullptr ? page_->newest() : page_->before(*first);
    book.Rejoin(*last);
  }
}

// Who is served may come back into the pool at once.
void PoolShard::ServeDue() {
  while (page_->due > 0 && page_->unbooked > 0) {
    PooledServer* const server = HottestIdle();
    if (server == nullptr || page_->unbooked == 0) break;  // too old: the next round begins anew
    --page_->due;
    --page_->unbooked;
    if (stale(*server)) [[unlikely]] {
      BeginCheck(*server);
      continue;
    }
    page_->Free(*page_->oldest());
    Lend(*server, *waiters_.front());
  }
  if (page_->unbooked > 0) Changed();
}

// Something may be coming here that is nobody's yet, because its waiter was served by another.
void PoolShard::CountUncovered(const OpenBook& book, uint32_t waiting) {
  page_->uncovered = waiting - std::min(waiting, book.coming() + page_->unbooked + checking_);
}

void PoolShard::SeekByBook() {
  const uint32_t coming = connecting();
  if (page_->uncovered > coming) SeekConnections(page_->uncovered - coming);
}

}  // namespace trireme
