// SPDX-License-Identifier: GPL-3.0-or-later
//
// What happens to a client that takes too long. Which limits there are and when they are due, says
// session/client_deadlines.h; how long a login may take and how long a client that has closed its
// sending side is served, is decided here.
#include "base/assert.h"
#include "base/marks.h"
#include "session/client.h"
#include "session/clients.h"
#include "session/login.h"
#include "wire/writer.h"

namespace trireme {

namespace {

std::string_view FarewellText(Deadline::Reason reason) {
  switch (reason) {
    case Deadline::Reason::kQuery:
    case Deadline::Reason::kQueryGoesOn:
      return "query timeout";
    case Deadline::Reason::kTransaction:
      return "transaction timeout";
    case Deadline::Reason::kIdleInTransaction:
      return "idle-in-transaction timeout";
    case Deadline::Reason::kIdle:
      return "idle timeout";
    case Deadline::Reason::kWaitNotice:
      return "";
  }
  TRIREME_UNREACHABLE();
}

}  // namespace

// A timer that is set already, and fires no later, does as well: then we look what is really due.
void Client::WatchFor(Duration limit) {
  deadlines_.Restart();
  if (peer_done_) return;  // timeouts.half_close is its limit
  const Time at = clients_.now() + limit;
  if (timer_.scheduled() && timer_.expiry() <= at) return;
  clients_.timers().Schedule(timer_, at);
}

void Client::OnQueued() {
  if (const Duration limit = account_->limits.wait_notify; limit > 0s) WatchFor(limit);
}

// Bytes that the client has yet to read are not idleness.
ClientClock Client::Clock() const {
  using Activity = ClientClock::Activity;
  if (state_ == State::kWaiting) return {.activity = Activity::kWaiting, .since = request_since_};
  if (state_ == State::kIdle && deferred_ != DeferredBegin::kNone) {
    return {.activity = Activity::kIdleInTransaction,
            .since = idle_since_,
            .transaction_since = transaction_since_};
  }
  const bool linked = state_ == State::kLinked;
  if (!linked || server_->replies().clean()) {
    const bool reads = stream_.backlog_bytes() > 0;
    return {.activity = Activity::kIdle, .since = reads ? clients_.now() : idle_since_};
  }
  const bool resting = server_->replies().at_rest() && !server_->replies().needs_sync();
  return {.activity = resting ? Activity::kIdleInTransaction : Activity::kRunning,
          .since = request_since_,
          .transaction_since = transaction_since_};
}

void Client::OnTimer() {
  if (state_ == State::kLogin) return NeedLogin().OnTimeout();
  if (peer_done_) {
    return Close("client closed its connection with requests unanswered", Farewell::kDrop);
  }
  TRIREME_ASSERT(state_ == State::kIdle || state_ == State::kWaiting || state_ == State::kLinked);
  const Deadline next =
      deadlines_.Next(account_->limits, Clock(), clients_.config().timeouts.cancel);
  if (next.at <= clients_.now()) return OnOverdue(next.reason);
  if (next.at != kNever) clients_.timers().Schedule(timer_, next.at);
}

void Client::OnOverdue(Deadline::Reason reason) {
  switch (reason) {
    case Deadline::Reason::kWaitNotice: {
      std::string text;
      MessageWriter(text).NoticeResponse(account_->pool->WaitNotice(*this));
      SendText(text);
      deadlines_.OnNotified();
      return;
    }
    case Deadline::Reason::kQuery:
      CancelOverdueQuery();
      return OnTimer();
    case Deadline::Reason::kQueryGoesOn:
    case Deadline::Reason::kTransaction:
    case Deadline::Reason::kIdleInTransaction:
    case Deadline::Reason::kIdle:
      break;
  }
  TRIREME_COVER(kClientOverdue);
  CloseWith(WordsFor(reason, account_->limits, {account_->database, account_->user},
                     clients_.config().timeouts.cancel),
            FarewellText(reason));
}

// PostgreSQL says that a user asked for it: nobody did, so the client gets our words instead.
void Client::CancelOverdueQuery() {
  if (deadlines_.Advanced(server_->replies().counts().queries, clients_.now())) return;
  TRIREME_COVER(kQueryOverdue);
  clients_.log().Info("query canceled",
                      {{"client", id_},
                       {"user", account_->user},
                       {"database", account_->database},
                       {"reason", "query timeout"},
                       {"after_ms", Milliseconds(clients_.now() - request_since_)}});
  deadlines_.OnCancelled();
  server_->replies().HoldError();
  CancelRequest(nullptr);
}

// What our cancel has done, still in the server's inbox.
void Client::PassHeldError(const ReplyStep& step) {
  server_->inbox().DropFront(step.size);
  if (server_->replies().has_news()) TakeNews();
  if (statements_ != nullptr) statements_->repeatable.bytes.Clear();
  SendError(WordsFor(Deadline::Reason::kQuery, account_->limits,
                     {account_->database, account_->user}, 0s));
}

}  // namespace trireme
