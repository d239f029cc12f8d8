// SPDX-License-Identifier: GPL-3.0-or-later
//
// What only a server knows: a client's startup parameters are tried on one before the client is let
// in.
//
//   SET …, one Query ──▶ server ── refused ──▶ the client gets the server's error, and the end
//                          │
//                          └── done ──▶ noted (tried_values.h), the server goes back, welcome
//
// What must hold: the client hears nothing of the trial but its outcome, and the server goes back
// with what was set known to the pool, however the trial ends.
#include <string>
#include <utility>

#include "session/client.h"
#include "session/clients.h"
#include "session/login.h"
#include "session/parameters.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme {

void Login::OnServer(Server& server) {
  if (account_->replication != Replication::kNone) return KeepServer(server);
  server_ = &server;
  SpellWish(server.baseline());
  untried_.empty() ? EndTrial() : BeginTrial();
}

// One Query, so one transaction: when something is refused, nothing is set.
void Login::BeginTrial() {
  stage_ = Stage::kTrying;
  const std::string sql = ParameterChanges(
      {.wish = wish_, .has = server_->parameters(), .baseline = server_->baseline()});
  if (sql.empty()) return EndTrial();  // an earlier client had the same wish
  std::string message;
  MessageWriter(message).Query(sql);
  server_->replies().Expect(Request::kQuery, Disposition::kSkip);
  server_->stream().SendCopy(AsBytes(message));
}

void Login::OnServerReceive(Slice&& slice) {
  server_->inbox().Push(std::move(slice));
  ReadTrial();
}

void Login::ReadTrial() {
  using Event = ReplyStep::Event;
  Inbox& inbox = server_->inbox();
  while (!inbox.empty()) {
    const ReplyStep step = server_->replies().Next(inbox.Front());
    // `message` points into the inbox: read it before its bytes go.
    if (step.event == Event::kParameter) {
      const auto parameter = ParseParameterStatus(step.message);
      if (parameter) server_->parameters().Set(parameter->name, parameter->value);
    }
    if (step.event == Event::kInjectedError) refusal_ = ParseErrorBody(step.message);
    inbox.DropFront(step.size);
    if (server_->replies().has_news()) server_->TakeNews();
    if (step.event == Event::kReady) return EndTrial();
    if (step.event == Event::kBroken) {
      pool_->Abandon(*std::exchange(server_, nullptr), AbandonReason::kProtocol);
      return Fail({.severity = severity::kFatal,
                   .sqlstate = sqlstate::kProtocolViolation,
                   .message = "the server sent a message that is not part of the protocol"});
    }
    if (step.event == Event::kNeedMore) {
      if (inbox.size() < step.need) return;
      inbox.Join(step.need, clients_.streams().buffers());
    }
  }
}

// The server goes back as it is, whatever the mode: without a reset, in time for the first query
// of the very client, for whom it has the right parameters now.
void Login::EndTrial() {
  Server& server = *std::exchange(server_, nullptr);
  if (stage_ == Stage::kTrying && !refusal_) {
    NoteTried(server);
    ApplyChanges(wish_, server.baseline(), server.parameters());
  }
  if (server.replies().clean()) {
    pool_->ReturnUnused(server);
  } else {
    pool_->Abandon(server, AbandonReason::kClientGone);
  }
  refusal_ ? FailTrial() : SendWelcome();
}

// As PostgreSQL does it: the client is who it says it is, but it can't have what it wants.
void Login::FailTrial() {
  std::string text;
  MessageWriter(text).AuthenticationOk();
  client_.SendText(text);
  refusal_->severity = severity::kFatal;
  Fail(*refusal_);
}

// What the server reports it has spelled anew, unless it had the very value already. Of other
// parameters the client's words are kept: what current_setting() says of them is not always what
// may be set again (seed).
void Login::NoteTried(Server& server) {
  const ParameterSet& baseline = server.baseline();
  const ParameterSet& has = server.parameters();
  const auto value_of = [&has](std::string_view name) {
    const std::string* value = has.Find(name);
    return value != nullptr ? *value : std::string();
  };
  for (const ParameterSet::Entry& entry : baseline.entries()) {
    told_.Set(entry.name, value_of(entry.name));
  }
  for (const std::string& name : untried_) {
    const std::string asked = *wish_.Find(name);
    const bool reported = baseline.Find(name) != nullptr;
    const bool acts =
        CompareNames(name, "role") == 0 || CompareNames(name, "session_authorization") == 0;
    TriedValues::Answer answer{.value = reported ? value_of(name) : asked,
                               .is_superuser = acts ? value_of("is_superuser") : ""};
    wish_.Set(name, answer.value);
    clients_.tried_values().Note(pool_->settings().key, {name, asked}, std::move(answer),
                                 clients_.now());
  }
}

// Whether the settings stayed, nobody will hear; what the server reports, the pool listens to.
void Login::LetGoOfServer() {
  Server& server = *std::exchange(server_, nullptr);
  for (const ParameterSet::Entry& entry : wish_.entries()) {
    if (server.baseline().Find(entry.name) == nullptr) {
      server.parameters().Set(entry.name, entry.value);
    }
  }
  ForgetUnreported(server.baseline(), server.parameters());
  pool_->Abandon(server, AbandonReason::kClientGone);
}

void Login::OnRefused(const PgError& error) { Fail(error); }

void Login::OnServerEnd(int) {
  server_ = nullptr;
  if (refusal_) return FailTrial();  // its last words
  Fail({.severity = severity::kFatal,
        .sqlstate = sqlstate::kConnectionFailure,
        .message = "server closed the connection unexpectedly"});
}

}  // namespace trireme
