// SPDX-License-Identifier: GPL-3.0-or-later
//
// One pool among many cores: steals, grants by age, places under the caps, the board.
//
// A promise and its accounts. `wanted` on a core's line counts waiters that nobody has promised a
// server. Who grants claims first (wanted - 1), then mails; the owner knows what it has advertised:
//
//     advertised == wanted + claims whose grant is on its way here
//
// so it sees how many are coming, and takes back what its waiters no longer need, as far as nobody
// has claimed it. A grant that finds no waiter is surplus: it goes to the idle list like any other
// server. A granter whose server dies on the way gives the claim back and nudges.
//
// A steal that was asked for is a waiter covered: it is not advertised, else two servers would come
// for it.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/marks.h"
#include "pool/pool.h"

namespace trireme {

namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;

// Asking again for a place that another pool sits on: an idle server that was in use when we asked
// says nothing when it comes back.
constexpr Duration kAskAgain = 100ms;
}  // namespace

bool PoolShard::others_hungry() const {
  return steals_ && board_.hungry_cores().AnyBut(self_, core_count_);
}

// --- giving --------------------------------------------------------------------------------------

// Idle servers to waiters, oldest first over all cores: another core's waiter goes first when it is
// older than ours by more than the fairness window. Bounded, because who is served may return the
// server and queue again within the call.
void PoolShard::MatchByAge() {
  for (size_t left = waiters_.count() + idle().count(); left > 0; --left) {
    if (waiters_.empty()) return;
    PooledServer* server = HottestIdle();
    if (server == nullptr) return;
    if (GrantToOlder()) continue;
    if (stale(*server)) [[unlikely]] {
      if (checking_ >= waiters_.count()) return;
      BeginCheck(*server);
      continue;
    }
    Lend(*server, *waiters_.front());
  }
  if (!waiters_.empty() && !idle().empty()) Changed();
}

Board::Hunger PoolShard::Hungriest() {
  const Board::Hunger hunger = board_.Hungriest(self_, look_from_);
  look_from_ = hunger.next;
  return hunger;
}

// Grants the coldest idle server to a core with a much older waiter.
bool PoolShard::GrantToOlder() {
  if (!others_hungry()) return false;
  const Board::Hunger other = Hungriest();
  if (other.core == core_count_) return false;
  if (waiters_.front()->since - other.oldest <= context_.sharing.fairness_window) return false;
  TRIREME_YIELD();
  if (!board_.Claim(other.core)) return false;
  TRIREME_COVER(kGrantToOlder);
  ++counters_.grants_sent;
  LeaveFor(*idle().back(), other.core);
  return true;
}

void PoolShard::AnswerSteals() {
  for (const StealRequest& request : steal_requests_) {
    if (waiters_.empty() && HottestIdle() != nullptr) {
      ++counters_.steals_given;
      LeaveFor(*idle().back(), request);
    } else {
      ++counters_.steals_refused;
      refused_steal_ = true;
      context_.siblings.Send(request.core, MailOf(PoolMail::Kind::kDeny));
    }
  }
  steal_requests_.clear();
}

// Nobody waits here: what is idle goes to whoever is hungry, oldest first. A lost claim says only
// that this core needs us no more; another may, which looked before we showed what is idle here.
void PoolShard::GrantSurplus() {
  if (!waiters_.empty()) return;
  for (size_t left = idle().count(); left > 0 && others_hungry(); --left) {
    const Board::Hunger other = Hungriest();
    if (other.core == core_count_ || HottestIdle() == nullptr) return;
    TRIREME_YIELD();
    if (!board_.Claim(other.core)) return Changed();
    ++counters_.grants_sent;
    LeaveFor(*idle().back(), other.core);
  }
}

void PoolShard::LeaveFor(PooledServer& server, uint32_t core) {
  LeaveFor(server, core, false, context_.now);
}

void PoolShard::LeaveFor(PooledServer& server, const StealRequest& request) {
  LeaveFor(server, request.core, true, request.since);
}

void PoolShard::LeaveFor(PooledServer& server, uint32_t core, bool solicited, Time since) {
  TRIREME_ASSERT(server.state_ == State::kIdle && core != self_);
  Move(server, State::kLeaving);
  server.leaving_to_ = core;
  server.leaving_solicited_ = solicited;
  server.leaving_since_ = since;
  server.BeginLeaving();
}

// Its place under the caps and its life on the board travel with it.
void PoolShard::OnLeft(PooledServer& server, std::unique_ptr<ServerPassport> passport) {
  TRIREME_ASSERT(server.state_ == State::kLeaving);
  PoolMail mail = MailOf(PoolMail::Kind::kGrant);
  mail.solicited = server.leaving_solicited_;
  mail.since_ns = server.leaving_since_.time_since_epoch().count();
  mail.passport = passport.release();
  ListOf(State::kLeaving).Erase(server);
  --places_;
  context_.siblings.Send(server.leaving_to_, mail);
  context_.host.FreeServer(server);
}

// The server died on the way out. Who asked gets an answer; who was promised gets the promise back
// and a nudge, because it may have been passed over while it counted on us.
void PoolShard::OnLeaveFailed(uint32_t core, bool solicited) {
  TRIREME_COVER(kServerDiedLeaving);
  if (!solicited && page_ != nullptr) {
    OpenBook(page_->book, self_).Unpromise(core, 1);
  } else if (!solicited && !TRIREME_MUTATION(kForgetUnclaim)) {
    board_.Unclaim(core);
  }
  context_.siblings.Send(core, MailOf(solicited ? PoolMail::Kind::kDeny : PoolMail::Kind::kNudge));
}

// --- receiving -----------------------------------------------------------------------------------

void PoolShard::OnMail(const PoolMail& mail) {
  TRIREME_ASSERT(mail.board == &board_ && mail.from_core < core_count_);
  switch (mail.kind) {
    case PoolMail::Kind::kSteal:
      steal_requests_.push_back({mail.from_core, Time(Duration(mail.since_ns))});
      break;
    case PoolMail::Kind::kDeny:
      TRIREME_ASSERT(asked_[mail.from_core] > 0 && steals_pending_ > 0);
      --asked_[mail.from_core];
      --steals_pending_;
      ++counters_.steals_denied;
      if (page_ != nullptr) ++page_->answered;
      TRIREME_COVER(kStealDenied);
      break;
    case PoolMail::Kind::kGrant:
      Adopt(mail);
      break;
    case PoolMail::Kind::kNudge:
      ++counters_.nudges_received;
      break;
    case PoolMail::Kind::kEvict:
      Evict();
      break;
  }
  Changed();
}

void PoolShard::Adopt(const PoolMail& mail) {
  if (mail.solicited) {
    TRIREME_ASSERT(asked_[mail.from_core] > 0 && steals_pending_ > 0);
    --asked_[mail.from_core];
    --steals_pending_;
    ++counters_.steals_granted;
  } else {
    TRIREME_ASSERT(advertised_ > 0 || page_ != nullptr);
    if (page_ == nullptr) --advertised_;
    ++counters_.grants_received;
  }
  if (page_ != nullptr) ++page_->answered;
  const std::unique_ptr<ServerPassport> passport(mail.passport);
  if (waiters_.empty()) {
    TRIREME_COVER(kGrantFoundNoWaiter);
    if (TRIREME_MUTATION(kDropGrantWithoutWaiter)) return;
  }
  PooledServer* server = context_.host.AdoptServer(*this, *passport);
  if (server == nullptr) {
    context_.host.DiscardPassport(*passport);
    board_.RemoveAlive();
    ++places_;
    return ReleasePlace();
  }
  server->created_ = passport->created;
  server->retire_at_ = passport->retire_at;
  server->used_ = passport->used;
  server->logged_in_ = true;
  Enter(*server, State::kIdle);
  if (page_ != nullptr) ++page_->unbooked;
  Park(*server);
  server->heard_at_ = passport->heard_at;
  context_.hand_overs.Record(context_.now - Time(Duration(mail.since_ns)));
}

// --- seeking -------------------------------------------------------------------------------------

// Servers for the waiters that nothing is on its way for. Steals and connections do not block a
// waiter's place in the queue: whatever comes first serves the oldest.
void PoolShard::Seek() {
  if (draining_) return;
  if (page_ != nullptr) [[unlikely]] {
    SeekByBook();
  } else if (!waiters_.empty()) {
    const auto waiting = static_cast<uint32_t>(waiters_.count());
    uint32_t coming = steals_pending_ + checking_ + PromisedElsewhere();
    if (steals_ && waiting > coming) SeekSteals(waiting - coming);
    coming = steals_pending_ + checking_ + PromisedElsewhere() + connecting();
    if (waiting > coming) SeekConnections(waiting - coming);
  }
  if (warm_due_) [[unlikely]]
    KeepWarm();
}

void PoolShard::SeekSteals(uint32_t needed) {
  for (; needed > 0; --needed) {
    const uint32_t victim = ChooseVictim();
    if (victim == core_count_) return;
    ++asked_[victim];
    ++steals_pending_;
    ++counters_.steals_asked;
    context_.siblings.Send(victim, MailOf(PoolMail::Kind::kSteal));
  }
}

// A core that shows more idle servers than we have already asked it for, or core_count_.
uint32_t PoolShard::ChooseVictim() const {
  uint32_t best = core_count_;
  uint64_t best_score = 0;
  uint32_t seen = 0;
  const CoreSet& cores = board_.idle_cores();
  for (uint32_t core = cores.Next(0, core_count_); core < core_count_;
       core = cores.Next(core + 1, core_count_)) {
    const uint32_t idle = board_.line(core).idle.load(kRelaxed);  // partner: its Publish
    if (core == self_ || idle <= asked_[core]) continue;
    const uint32_t distance = core > self_ ? core - self_ : self_ - core;
    uint64_t score = 0;
    switch (context_.sharing.victim) {
      case VictimChoice::kMostIdle:
        score = (uint64_t{idle - asked_[core]} << 32) | (core_count_ - distance);
        break;
      case VictimChoice::kNearest:
        score = core_count_ - distance;
        break;
      case VictimChoice::kRandom:  // each of the n seen is kept with chance 1/n
        score = context_.random.Below(++seen) == 0 ? best_score + 1 : 0;
        break;
    }
    if (score > best_score) {
      best_score = score;
      best = core;
    }
  }
  return best;
}

void PoolShard::SeekConnections(uint32_t needed) {
  if (context_.now < retry_at_) return RetryAt(retry_at_);
  for (; needed > 0 && connecting() < settings_.storage.connecting_max; --needed) {
    if (OpenServer(Board::Purpose::kWaiter)) continue;
    if (settings_.pool.reserve_size > 0) [[unlikely]]
      SeekReserve(needed);
    return;
  }
}

// The pool is full. One server of the reserve for each client that has waited for too long and that
// nothing else is coming for; `needed` clients are without, the youngest.
void PoolShard::SeekReserve(uint32_t needed) {
  const Duration patience = settings_.pool.reserve_timeout;
  uint32_t covered = static_cast<uint32_t>(waiters_.count()) - needed;
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.next(*waiter)) {
    const Time at = waiter->since + patience;
    if (at > context_.now) {
      if (!reserve_timer_.scheduled()) context_.timers.Schedule(reserve_timer_, at);
      return;
    }
    if (covered > 0) {
      --covered;
      continue;
    }
    if (connecting() >= settings_.storage.connecting_max) return;
    if (!OpenServer(Board::Purpose::kLongWaiter)) return;
    TRIREME_COVER(kReserveUsed);
  }
}

// min_size is kept by whoever released a place last, or made the pool: the count is exact, so it
// does not matter who. It gives way to everybody who waits, here or in a pool that shares a cap,
// and it takes no server from others.
void PoolShard::KeepWarm() {
  const Time now = context_.now;
  const bool may_log_in =
      settings_.secret.kind != Secret::Kind::kScram || pass_through_.has_value();
  if (!may_log_in) return;            // SetPassThrough comes back
  if (places_ >= isolated_share()) {  // ReleasePlace comes back
    warm_due_ = false;
    return;
  }
  if (now < std::max(retry_at_, warm_again_at_))
    return RetryAt(std::max(retry_at_, warm_again_at_));
  while (board_.size().open() < settings_.pool.min_size) {
    if (connecting() >= settings_.storage.connecting_max) return;  // OnLogin comes back
    if (context_.host.OthersWant(board_) || !OpenServer(Board::Purpose::kWarm)) {
      warm_again_at_ = now + kWarmAgain;
      return RetryAt(warm_again_at_);
    }
    TRIREME_COVER(kKeptWarm);
  }
  warm_due_ = false;
}

// A new connection, when all caps allow it.
bool PoolShard::OpenServer(Board::Purpose purpose) {
  if (TryReserve(purpose) != Board::Reservation::Outcome::kTaken) return false;
  ++places_;  // until Enter counts it
  PooledServer* server = context_.host.OpenServer(*this);
  if (server == nullptr) {
    ReleasePlace();
    return false;
  }
  --places_;
  server->created_ = context_.now;
  if (const Duration lifetime = settings_.pool.server_lifetime; lifetime != 0s) {
    const auto jitter =
        static_cast<uint64_t>(std::min(settings_.pool.server_lifetime_jitter, lifetime).count());
    server->retire_at_ = context_.now + lifetime - Duration(context_.random.Below(jitter + 1));
  }
  Enter(*server, State::kConnecting);
  server->BeginConnect();
  return true;
}

// Under kIsolated the pool's size is divided once and for all; the first cores get what is left.
uint32_t PoolShard::isolated_share() const {
  const uint32_t size = board_.size().cap();
  if (context_.sharing.policy != Sharing::kIsolated || size == 0) return UINT32_MAX;
  return size / core_count_ + (self_ < size % core_count_ ? 1 : 0);
}

PgError PoolShard::NoShareError() const {
  return {
      .severity = severity::kFatal,
      .sqlstate = sqlstate::kConfigurationLimitExceeded,
      .message = absl::StrCat("pool \"", settings_.name, "\" has no server for this core: size ",
                              settings_.pool.size, " is divided among ", core_count_, " cores"),
      .hint = "Raise pool.size to the number of cores, or set sharing.policy to steal."};
}

Board::Reservation::Outcome PoolShard::TryReserve(Board::Purpose purpose) {
  using Outcome = Board::Reservation::Outcome;
  if (places_ >= isolated_share()) return Outcome::kPoolFull;
  const Board::Reservation reservation = board_.TryReserve(purpose);
  if (reservation.undone) {
    TRIREME_COVER(kReservationUndone);
    FenceBoards();  // partner: the fence between Publish and LookAgain of a hungry core
    NudgeHungry();
    context_.host.OnPlaceReleased(board_);
  }
  if (reservation.outcome == Outcome::kSharedFull && purpose != Board::Purpose::kWarm) {
    AskForPlace(*reservation.full->quota);
  }
  return reservation.outcome;
}

// Not at each turn, as long as it is the same cap.
void PoolShard::AskForPlace(const Quota& full) {
  if (asked_for_ != &full || context_.now >= ask_again_at_) {
    asked_for_ = &full;
    ask_again_at_ = context_.now + kAskAgain;
    if (!AskIsolatedCores()) context_.host.WantPlace(board_, full);
  }
  RetryAt(ask_again_at_);
}

// Under kIsolated the place may be with an idle server of this pool, where only its core can use
// it.
bool PoolShard::AskIsolatedCores() {
  if (context_.sharing.policy != Sharing::kIsolated) return false;
  for (uint32_t core = 0; core < core_count_; ++core) {
    if (core == self_ || board_.line(core).idle.load(kRelaxed) == 0) continue;  // partner: Publish
    context_.siblings.Send(core, MailOf(PoolMail::Kind::kEvict));
    return true;
  }
  return false;
}

void PoolShard::RetryAt(Time at) {
  if (retry_timer_.scheduled() && retry_timer_.expiry() <= at) return;
  context_.timers.Schedule(retry_timer_, at);
}

void PoolShard::ReleasePlace() {
  TRIREME_ASSERT(places_ > 0);
  --places_;
  board_.Release();
  FenceBoards();  // partner: the fence between Publish and LookAgain of a hungry core
  NudgeHungry();
  context_.host.OnPlaceReleased(board_);
  warm_due_ |= settings_.pool.min_size > 0;
  if (!waiters_.empty() || warm_due_) Changed();
}

// All of them: the first may be unable to use the place (connecting_max, back-off). Cold.
void PoolShard::NudgeHungry() {
  const CoreSet& cores = board_.hungry_cores();
  for (uint32_t core = cores.Next(0, core_count_); core < core_count_;
       core = cores.Next(core + 1, core_count_)) {
    if (core != self_) context_.siblings.Send(core, MailOf(PoolMail::Kind::kNudge));
  }
}

// --- the board -----------------------------------------------------------------------------------

uint32_t PoolShard::PromisedElsewhere() {
  const uint32_t wanted = board_.line(self_).wanted.load(kRelaxed);  // partner: Claim, Unclaim
  TRIREME_ASSERT(wanted <= advertised_);
  return advertised_ - wanted;
}

// Makes `wanted` match the waiters that no steal is out for, and no check under way, as far as
// others have not claimed it.
// True when there are such waiters.
bool PoolShard::Advertise() {
  const auto waiting = static_cast<uint32_t>(waiters_.count());
  const uint32_t target = waiting - std::min(waiting, steals_pending_ + checking_);
  std::atomic<uint32_t>& wanted = board_.line(self_).wanted;
  if (advertised_ < target) {
    wanted.fetch_add(target - advertised_, kRelaxed);  // partner: Claim
    advertised_ = target;
  } else if (advertised_ > target) {
    uint32_t before = wanted.load(kRelaxed);
    uint32_t taken;
    do {
      taken = std::min(before, advertised_ - target);
    } while (!wanted.compare_exchange_weak(before, before - taken, kRelaxed));  // partner: Claim
    advertised_ -= taken;
  }
  return target > 0;
}

// Writes only what has changed. Partners of the line and the bits: other cores' Hungriest,
// ChooseVictim and others_hungry, ordered by the fence that follows.
bool PoolShard::Publish() {
  Seek();
  TRIREME_YIELD();
  if (core_count_ == 1) return false;
  const bool hungry = page_ == nullptr ? Advertise() : !waiters_.empty();
  Board::Line& line = board_.line(self_);
  const auto idle_count = static_cast<uint32_t>(idle().count());
  const Time oldest = hungry ? waiters_.front()->since : kNever;
  bool look_again = hungry;
  if (idle_count != published_idle_) {
    line.idle.store(idle_count, kRelaxed);
    look_again |= idle_count > published_idle_;
    published_idle_ = idle_count;
  }
  if (oldest != published_oldest_) {
    line.oldest_ns.store(oldest.time_since_epoch().count(), kRelaxed);
    published_oldest_ = oldest;
  }
  if (waiters_.count() != published_waiting_) {
    published_waiting_ = static_cast<uint32_t>(waiters_.count());
    line.waiting.store(published_waiting_, kRelaxed);
  }
  if (hungry != hungry_bit_) {
    hungry_bit_ = hungry;
    hungry ? board_.hungry_cores().Add(self_) : board_.hungry_cores().Remove(self_);
  }
  if (idle_count > 0 && !idle_bit_) {
    idle_bit_ = true;
    board_.idle_cores().Add(self_);
  } else if (idle_count == 0 && refused_steal_ && idle_bit_) {
    idle_bit_ = false;
    board_.idle_cores().Remove(self_);
  }
  refused_steal_ = false;
  return look_again;
}

// (Under "shared_mutex" only places under the caps may have been missed.)
void PoolShard::LookAgain() {
  if (TRIREME_MUTATION(kSkipLookAgain)) return;
  const uint64_t found = counters_.steals_asked + counters_.grants_sent;
  Seek();
  GrantSurplus();
  if (counters_.steals_asked + counters_.grants_sent != found) TRIREME_COVER(kLookAgainFound);
}

PoolMail PoolShard::MailOf(PoolMail::Kind kind) const {
  return {.kind = kind,
          .solicited = false,
          .from_core = self_,
          .board = &board_,
          .passport = nullptr,
          .since_ns = context_.now.time_since_epoch().count()};
}

}  // namespace trireme
