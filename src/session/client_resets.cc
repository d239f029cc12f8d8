// SPDX-License-Identifier: GPL-3.0-or-later
//
// RESET and DISCARD ALL of a client whose startup packet asked for parameters (resets.h).
//
//   the text ─▶ server        what it answers goes to the client, but not yet: ReadyForQuery,
//     │                       and on the way to it no ParameterStatus
//     ▼
//   has it succeeded? ── session mode, or in a transaction ──▶ SET …, swallowed
//     │                  else the server is given back, and the next one is brought the wish
//     ▼
//   ParameterStatus for what has changed, ReadyForQuery
//
// What must hold: the text runs behind everything that came before it, and nothing behind it is
// sent until its ReadyForQuery is.
#include <string>
#include <utility>

#include "base/assert.h"
#include "session/client.h"
#include "session/clients.h"
#include "session/resets.h"
#include "wire/writer.h"

namespace trireme {
namespace {

bool OwesReady(const ExpectedReplies& owed) {
  for (uint32_t i = 0; i < owed.count(); ++i) {
    const Request request = owed.at(i).request;
    if (request == Request::kQuery || request == Request::kFunctionCall ||
        request == Request::kSync) {
      return true;
    }
  }
  return false;
}

}  // namespace

Client::ParameterWork& Client::parameter_work() {
  auto& work = rare().parameter_work;
  if (work == nullptr) work = std::make_unique<ParameterWork>();
  return *work;
}

// A text that is about to be sent. In the extended protocol it may be executed before the next
// Sync, or not.
Client::ResetVerdict Client::LookForReset(const SessionEffects& effects, char type) {
  if (startup_->empty()) return ResetVerdict::kNone;
  const Replies& replies = server_->replies();
  if (replies.status() == TransactionStatus::kFailed && !OwesReady(replies.owed())) {
    return ResetVerdict::kNone;  // it will be refused
  }
  ParameterSet undone = UndoneBy(effects, *startup_);
  if (undone.empty()) return ResetVerdict::kNone;
  const bool query = type == frontend::kQuery;
  if (query && replies.needs_sync()) return ResetVerdict::kNone;
  if (query ? !replies.owed().empty() : OwesReady(replies.owed())) return ResetVerdict::kWait;
  ParameterWork& work = parameter_work();
  work.undone = std::move(undone);
  work.reset = ParameterWork::Reset::kSeen;
  if (query) BeginReset();
  return ResetVerdict::kReset;
}

// What it undoes has been executed, unless it failed.
bool Client::ActOnSync() {
  if (OwesReady(server_->replies().owed())) return false;
  const bool reset = works_on_parameters() && parameter_work().reset == ParameterWork::Reset::kSeen;
  if (reset) BeginReset();
  requests_.OnTextSeen(reset ? Leaves::kReset : Leaves::kNothing);
  return true;
}

// Its ReadyForQuery is the next one, and will be held back.
void Client::BeginReset() {
  ParameterWork& work = parameter_work();
  work.told = server_->parameters();
  work.reset = ParameterWork::Reset::kRuns;
}

// ReadyForQuery has come, of the text or of our SETs. False: these go out now.
bool Client::OnResetReady(const Replies::Counts& counts) {
  using Reset = ParameterWork::Reset;
  ParameterWork& work = parameter_work();
  const TransactionStatus status = server_->replies().status();
  if (work.reset == Reset::kRuns) {
    if (counts.errors > 0 || status == TransactionStatus::kFailed) {
      work.undone = ParameterSet();
    } else {
      ParameterSet wish = *wish_;
      for (const auto& [name, value] : work.undone.entries()) wish.Set(name, value);
      wish_ = clients_.wishes().Intern(std::move(wish));
      if (!ReturnsPlainly() && Restore()) return false;
    }
  }
  ParameterSet now = server_->parameters();
  const ParameterSet& reported = server_->baseline();
  for (const auto& [name, value] : work.undone.entries()) {
    if (reported.Find(name) != nullptr) now.Set(name, value);
  }
  std::string text = Corrections(work.told, now, reported);
  MessageWriter(text).ReadyForQuery(status);
  SendText(text);
  work.reset = Reset::kTold;
  OnWishChanged();
  return true;
}

// What the text did is known without asking, and the server is about to be given back.
bool Client::ReturnsPlainly() const {
  return !keeps_server() && server_->replies().status() == TransactionStatus::kIdle &&
         kept_traces() != nullptr && kept_traces()->alone && IsPlain(*kept_traces()->alone, pins());
}

// False: there is nothing to do.
bool Client::Restore() {
  ParameterWork& work = parameter_work();
  const std::string sql = SqlToRestore(work.undone, server_->parameters(), server_->baseline());
  if (sql.empty()) return false;
  std::string message;
  MessageWriter(message).Query(sql);
  server_->replies().Expect(Request::kQuery, Disposition::kSkip);
  server_->replies().HoldReady();
  server_->stream().SendCopy(AsBytes(message));
  work.reset = ParameterWork::Reset::kRestores;
  return true;
}

}  // namespace trireme
