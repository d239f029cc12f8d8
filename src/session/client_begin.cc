// SPDX-License-Identifier: GPL-3.0-or-later
//
// A BEGIN that waits for the next statement (deferred_begin.h): what a client without a server is
// told of a transaction that PostgreSQL has not heard of yet, and how the server catches up.
#include <string>

#include "base/assert.h"
#include "session/client.h"
#include "session/clients.h"
#include "wire/writer.h"

namespace trireme {

bool Client::defers_begin() const {
  return account_->mode == PoolMode::kTransaction && account_->pool->settings().pool.deferred_begin;
}

// The message at the front needs a server, unless it is the BEGIN, or the end of a transaction in
// which nothing was asked. False: it does.
bool Client::AnswerWithoutServer() {
  TRIREME_ASSERT(server_ == nullptr);
  if (!defers_begin()) return false;
  const Bytes bytes = inbox_.Front();
  const MessageHead head = ReadHead(bytes.data());
  if (head.type != frontend::kQuery || bytes.size() < head.total_size()) return false;
  const std::string_view body = AsText(bytes.subspan(kHeadBytes, head.body_size()));
  if (body.empty() || body.back() != '\0') return false;  // the server says what is wrong with it
  const std::string_view text = body.substr(0, body.size() - 1);
  const bool begins = deferred_ == DeferredBegin::kNone;
  std::string_view tag = begins ? TagOfBareBegin(text) : TagOfBareEnd(text);
  if (tag.empty()) return false;
  if (deferred_ == DeferredBegin::kFailed) tag = "ROLLBACK";
  if (begins) transaction_since_ = clients_.now();
  deferred_ = begins ? DeferredBegin::kBegun : DeferredBegin::kNone;
  idle_since_ = clients_.now();
  ++account_->counters.queries;
  account_->counters.transactions += begins ? 0 : 1;
  requests_.ForgetUnnamed();  // as every simple query
  requests_.Drop(head.total_size());
  std::string answer;
  MessageWriter writer(answer);
  writer.CommandComplete(tag);
  writer.ReadyForQuery(StatusWithoutServer());
  SendText(answer);
  Watch();
  return true;
}

// Ahead of the client's message, which follows in this turn.
void Client::SendDeferredBegin() {
  const bool failed = deferred_ == DeferredBegin::kFailed;
  deferred_ = failed ? DeferredBegin::kJoinedFailed : DeferredBegin::kJoined;
  Replies& replies = server_->replies();
  std::string text;
  MessageWriter writer(text);
  writer.Query("BEGIN");
  replies.Expect(Request::kQuery, Disposition::kSkip);
  if (failed) {
    writer.Query(kFailingStatement);
    replies.Expect(Request::kQuery, Disposition::kSkip);
  }
  server_->stream().SendCopy(AsBytes(text));
}

// Something of the transaction was refused or cancelled before it had a server.
void Client::FailDeferred() {
  if (deferred_ == DeferredBegin::kBegun) deferred_ = DeferredBegin::kFailed;
}

TransactionStatus Client::StatusWithoutServer() const {
  switch (deferred_) {
    case DeferredBegin::kBegun:
      return TransactionStatus::kInTransaction;
    case DeferredBegin::kFailed:
      return TransactionStatus::kFailed;
    case DeferredBegin::kNone:
      return TransactionStatus::kIdle;
    case DeferredBegin::kJoined:
    case DeferredBegin::kJoinedFailed:
      break;
  }
  TRIREME_UNREACHABLE();
}

}  // namespace trireme
