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

void PoolShard::CloseAged() {
  const Time now = context_.now;
  const Duration timeout = settings_.pool.idle_timeout;
  while (PooledServer* coldest = timeout == 0s ? nullptr : idle().back()) {
    if (coldest->state_since_ + timeout > now) break;
    Close(*coldest, CloseReason::kIdleTimeout);
  }
  Time next = kNever;
  for (PooledServer* server = idle().front(); server != nullptr;) {
    PooledServer* following = idle().next(*server);
    if (retired(*server)) {
      Close(*server, CloseReason::kLifetime);
    } else {
      next = std::min(next, server->retire_at_);
    }
    server = following;
  }
  if (timeout != 0s && !idle().empty())
    next = std::min(next, idle().back()->state_since_ + timeout);
  ScheduleAging(next);
}

void PoolShard::ScheduleWaitTimeout() {
  const Duration timeout = settings_.pool.wait_timeout;
  if (timeout == 0s || waiters_.empty() || wait_timer_.scheduled()) return;
  context_.timers.Schedule(wait_timer_, waiters_.front()->since + timeout);
}

void PoolShard::OnWaitTimeout() {
  const Time now = context_.now;
  const PgError error = WaitTimeoutError();
  for (size_t left = waiters_.count(); left > 0 && !waiters_.empty(); --left) {
    Waiter& oldest = *waiters_.front();
    if (oldest.since + settings_.pool.wait_timeout > now) break;
    TRIREME_COVER(kWaitTimeout);
    Refuse(oldest, error);
  }
  ScheduleWaitTimeout();
  Changed();
}

PgError PoolShard::WaitTimeoutError() const {
  uint32_t waiting = static_cast<uint32_t>(waiters_.count());
  for (uint32_t core = 0; core < core_count_; ++core) {
    if (core != self_) waiting += board_.line(core).waiting.load(std::memory_order_relaxed);
  }
  const Quota& size = board_.size();
  const std::string of = size.cap() == 0 ? "" : absl::StrCat(" of ", size.cap());
  PgError error{
      .severity = severity::kFatal,
      .sqlstate = sqlstate::kTooManyConnections,
      .message = absl::StrCat("no server connection became free within ",
                              DurationText(settings_.pool.wait_timeout), ": pool \"",
                              settings_.name, "\" has ", size.open(), of, " servers in use, ",
                              waiting, waiting == 1 ? " client waits" : " clients wait"),
      .hint = "Raise pool.size, or look for what holds the servers with SHOW SERVERS."};
  const Quota* storage = board_.storage_quota();
  if (connect_error_) {
    error.detail = absl::StrCat("The last attempt to connect failed: ", connect_error_->message);
  } else if (storage != nullptr && storage->full()) {
    error.detail = absl::StrCat("Storage \"", settings_.storage.name, "\" has all ", storage->cap(),
                                " of its connections_max in use.");
  }
  return error;
}

}  // namespace trireme
