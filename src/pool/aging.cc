// SPDX-License-Identifier: GPL-3.0-or-later
//
// Time in a pool: idle servers that have been idle or alive for too long, waiters that have waited
// for too long. One timer for each kind, not one for each server: the idle list is in order of
// idleness (coldest at the back) and the queue in order of arrival. A timer may fire early, because
// what it was set for has moved; then it is set again. It never fires late.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/marks.h"
#include "pool/pool.h"

namespace trireme {

namespace {

constexpr Duration kPatienceStep = 10ms;

std::string DurationText(Duration duration) {
  const int64_t milliseconds = Milliseconds(duration);
  return milliseconds % 1000 == 0 ? absl::StrCat(milliseconds / 1000, " s")
                                  : absl::StrCat(milliseconds, " ms");
}

}  // namespace

void PoolShard::ScheduleAging(Time at) {
  if (at == kNever) return;
  if (aging_timer_.scheduled() && aging_timer_.expiry() <= at) [[likely]]
    return;
  context_.timers.Schedule(aging_timer_, at);
}

// A server of the reserve is there for the rush only.
Time PoolShard::IdleUntil(const PooledServer& server) const {
  Duration limit = settings_.pool.idle_timeout;
  if (board_.in_reserve() && (limit == 0s || settings_.pool.reserve_timeout < limit)) {
    limit = settings_.pool.reserve_timeout;
  }
  return limit == 0s ? kNever : server.state_since_ + limit;
}

// May it go for being idle? Not when no more than min_size would be left over all cores: then it
// stays, without a timer, until there are others; nor for being of the reserve when that is gone.
// Counted off before it closes, so that two cores do not spare the same one.
bool PoolShard::Spare(PooledServer& server) {
  TRIREME_ASSERT(server.logged_in_);
  const Duration limit = settings_.pool.idle_timeout;
  const bool aged = limit != 0s && server.state_since_ + limit <= context_.now;
  if (!(aged ? board_.RemoveAliveAboveLeast() : board_.RemoveAliveOfReserve())) return false;
  server.logged_in_ = false;
  context_.host.OnServerClosing(server, CloseReason::kIdleTimeout);
  return true;
}

void PoolShard::CloseAged() {
  const Time now = context_.now;
  Time next = kNever;
  while (PooledServer* coldest = idle().back()) {
    const Time until = IdleUntil(*coldest);
    if (until > now) {
      next = until;
      break;
    }
    if (page_ != nullptr && page_->unbooked == 0 && !TakeFromBook()) break;  // all are claimed
    if (!Spare(*coldest)) {
      const Duration limit = settings_.pool.idle_timeout;
      const Time aged = limit == 0s ? kNever : coldest->state_since_ + limit;
      if (aged > now) next = aged;
      if (page_ != nullptr) Changed();  // back into the book
      break;
    }
    Close(*coldest, CloseReason::kIdleTimeout);
  }
  for (PooledServer* server = idle().front(); server != nullptr;) {
    PooledServer* following = idle().next(*server);
    if (retired(*server)) {
      Close(*server, CloseReason::kLifetime);
    } else {
      next = std::min(next, server->retire_at_);
    }
    server = following;
  }
  ScheduleAging(next);
}

void PoolShard::ScheduleWaitTimeout(Time at) {
  if (at == kNever || (wait_timer_.scheduled() && wait_timer_.expiry() <= at)) return;
  context_.timers.Schedule(wait_timer_, at);
}

// Clients of one patience lose it in the order they came. Where some have their own, all are looked
// at, but not more often than once in a while.
void PoolShard::OnWaitTimeout() {
  const Time now = context_.now;
  Time next = kNever;
  Waiter* waiter = waiters_.front();
  while (waiter != nullptr) {
    Waiter* following = waiters_.next(*waiter);  // who is refused may come again, behind it
    if (waiter->deadline <= now) {
      TRIREME_COVER(kWaitTimeout);
      Refuse(*waiter, WaitTimeoutError(*waiter));
    } else {
      next = std::min(next, waiter->deadline);
      if (!patience_differs_) break;
    }
    waiter = following;
  }
  if (patience_differs_) next = next == kNever ? next : std::max(next, now + kPatienceStep);
  ScheduleWaitTimeout(next);
  Changed();
}

std::string PoolShard::BusyText() const {
  uint32_t waiting = static_cast<uint32_t>(waiters_.count());
  for (uint32_t core = 0; core < core_count_; ++core) {
    if (core != self_) waiting += board_.line(core).waiting.load(std::memory_order_relaxed);
  }
  const Quota& size = board_.size();
  const std::string of = size.cap() == 0 ? "" : absl::StrCat(" of ", size.cap());
  const std::string reserve =
      board_.reserve_size() == 0 ? "" : absl::StrCat(" and ", board_.reserve_size(), " in reserve");
  return absl::StrCat("pool \"", settings_.name, "\" has ", size.open(), of, reserve,
                      " servers in use, ", waiting,
                      waiting == 1 ? " client waits" : " clients wait");
}

// Why there are no more servers, when it is not the pool's size.
std::string PoolShard::BusyDetail() const {
  if (connect_error_) {
    return absl::StrCat("The last attempt to connect failed: ", connect_error_->message);
  }
  for (const Board::Shared& shared : board_.shared()) {
    if (!shared.quota->full()) continue;
    const std::string all =
        absl::StrCat(" \"", shared.cap.name, "\" has all ", shared.cap.cap, " of its ");
    switch (shared.cap.kind) {
      case SharedCap::Kind::kPool:
        return absl::StrCat("Shared pool", all, "size in use, by all its routes together.");
      case SharedCap::Kind::kUser:
        return absl::StrCat("User", all, "connections_max in use, over all pools.");
      case SharedCap::Kind::kDatabase:
        return absl::StrCat("Database", all, "connections_max in use at storage \"",
                            settings_.storage.name, "\".");
      case SharedCap::Kind::kStorage:
        return absl::StrCat("Storage", all, "connections_max in use.");
    }
  }
  return "";
}

std::string PoolShard::ConnectTrouble() const {
  return connect_error_ && board_.alive() == 0 ? connect_error_->message : "";
}

PgError PoolShard::WaitTimeoutError(const Waiter& waiter) const {
  if (const std::string trouble = ConnectTrouble(); !trouble.empty()) {
    return {.severity = severity::kFatal,
            .sqlstate = connect_error_->sqlstate,
            .message = absl::StrCat("no server could be connected to within ",
                                    DurationText(waiter.deadline - waiter.since),
                                    " (wait_timeout): ", trouble),
            .detail = connect_error_->detail,
            .hint = connect_error_->hint};
  }
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kTooManyConnections,
          .message = absl::StrCat("no server connection became free within ",
                                  DurationText(waiter.deadline - waiter.since), ": ", BusyText()),
          .detail = BusyDetail(),
          .hint = "Raise pool.size, or look for what holds the servers with SHOW SERVERS."};
}

PgError PoolShard::WaitNotice(const Waiter& waiter) const {
  const std::string end =
      waiter.deadline == kNever
          ? "It waits for as long as it takes (wait_timeout is 0)."
          : absl::StrCat("It waits for at most ", DurationText(waiter.deadline - waiter.since),
                         " (wait_timeout).");
  const std::string detail = BusyDetail();
  return {.severity = severity::kNotice,
          .sqlstate = sqlstate::kSuccessfulCompletion,
          .message = absl::StrCat("waiting for a server connection: ", BusyText()),
          .detail = detail.empty() ? end : absl::StrCat(end, " ", detail),
          .hint = "SHOW POOLS and SHOW SERVERS in the console say what holds the servers."};
}

}  // namespace trireme
