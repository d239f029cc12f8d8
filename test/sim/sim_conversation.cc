// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_conversation.h"

#include <algorithm>
#include <utility>

#include "test/sim/sim_client.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/reader.h"

namespace trireme::sim {
namespace {

std::string Quoted(std::string_view text) {
  constexpr size_t kMax = 300;
  std::string quoted = "\"" + std::string(text.substr(0, kMax)) + "\"";
  if (text.size() > kMax) quoted += "... (" + std::to_string(text.size()) + " bytes)";
  return quoted;
}

bool IsExtended(SimRequest::Kind kind) {
  return kind != SimRequest::Kind::kQuery && kind != SimRequest::Kind::kFunctionCall;
}

}  // namespace

Conversation::Conversation(Setup setup)
    : client_(setup.client),
      tag_prefix_("c" + std::to_string(setup.client) + "."),
      keeps_server_(setup.keeps_server),
      allowed_sqlstates_(setup.allowed_sqlstates),
      counts_(setup.counts),
      verdict_(setup.verdict),
      session_(std::move(setup.session)),
      told_(std::move(setup.told)) {
  CheckTold();
}

void Conversation::Ask(SimRequest request) {
  if (skipping_ && request.kind != Kind::kSync) return;
  skipping_ = false;
  requests_.push_back(std::move(request));
}

std::optional<Time> Conversation::waiting_since() const {
  if (requests_.empty() || wants_copy_data()) return std::nullopt;
  return requests_.front().asked_at;
}

std::string Conversation::waiting_for() const {
  if (requests_.empty()) return "";
  return std::string(tag()) + " (" + std::string(requests_.front().KindName()) + ")";
}

void Conversation::Violate(Rule rule, const std::string& text) {
  if (over_) return;
  over_ = true;
  std::string who = "client " + std::to_string(client_);
  if (!requests_.empty()) who += ", query " + waiting_for();
  verdict_.OnViolation({.rule = rule, .text = who + ": " + text});
}

void Conversation::Unexpected(char type) {
  const std::string got = std::string("got a message of type '") + type + "'";
  if (requests_.empty()) {
    return Violate(Rule::kReplyOrder, "expected nothing, for nothing was asked, " + got);
  }
  Violate(Rule::kReplyOrder, "expected the " + std::string(answered_ ? "ReadyForQuery" : "reply") +
                                 " to " + std::string(requests_.front().KindName()) + ", " + got);
}

const SimStatement* Conversation::statement() const {
  if (requests_.empty()) return nullptr;
  const SimRequest& request = requests_.front();
  if (request.kind != Kind::kQuery && request.kind != Kind::kExecute) return nullptr;
  return statement_index_ < request.statements.size() ? &request.statements[statement_index_]
                                                      : nullptr;
}

std::string_view Conversation::tag() const {
  if (requests_.empty()) return "";
  const SimRequest& request = requests_.front();
  if (!request.tag.empty()) return request.tag;
  const size_t index = std::min(statement_index_, request.statements.size() - 1);
  return request.statements.empty() ? "" : std::string_view(request.statements[index].tag);
}

void Conversation::OnMessage(char type, Bytes body) {
  if (over_) {
    if (told_why_) {
      over_ = told_why_ = false;
      Violate(Rule::kReplyOrder, std::string("expected the end of the connection after FATAL, got "
                                             "a message of type '") +
                                     type + "'");
    }
    return;
  }
  switch (type) {
    case backend::kParameterStatus:
      if (const auto parameter = ParseParameterStatus(body)) {
        told_[std::string(parameter->name)] = parameter->value;
      } else {
        Violate(Rule::kProtocol, "got a malformed ParameterStatus");
      }
      return;
    case backend::kNoticeResponse:
      return OnNotice(ParseErrorBody(body));
    case backend::kNotificationResponse:
      return OnNotification(body);
    case backend::kErrorResponse:
      return OnError(ParseErrorBody(body));
    case backend::kReadyForQuery:
      return OnReady(body);
    case backend::kRowDescription:
      return OnRowDescription();
    case backend::kDataRow:
      return OnDataRow(body);
    case backend::kCopyInResponse:
      return OnCopyBegin(Copy::kIn);
    case backend::kCopyOutResponse:
      return OnCopyBegin(Copy::kOut);
    case backend::kCopyData:
      return OnCopyData(body);
    case backend::kCopyDone:
      return OnCopyDone();
    case backend::kCommandComplete: {
      const auto text = ParseCommandComplete(body);
      if (!text) return Violate(Rule::kProtocol, "got a malformed CommandComplete");
      return OnCommandComplete(*text);
    }
    case backend::kPortalSuspended:
      return OnPortalSuspended();
    case backend::kEmptyQueryResponse:
      return OnEmptyQuery();
    case backend::kFunctionCallResponse:
      return OnFunctionResult(body);
    default:
      return OnSimpleReply(type);
  }
}

void Conversation::Pop() {
  requests_.pop_front();
  statement_index_ = 0;
  begun_ = described_ = answered_ = copy_ended_ = copy_sent_ = false;
  rows_ = first_row_ = 0;
  copy_ = Copy::kNone;
}

// --- replies that are one message ---------------------------------------------------------------

void Conversation::OnSimpleReply(char type) {
  if (requests_.empty()) return Unexpected(type);
  const SimRequest& request = requests_.front();
  switch (type) {
    case backend::kParseComplete:
      if (request.kind != Kind::kParse) return Unexpected(type);
      session_.prepared()[request.name] = {request.statements};
      return Pop();
    case backend::kBindComplete:
      if (request.kind != Kind::kBind) return Unexpected(type);
      if (!request.name.empty() && !session_.prepared().contains(request.name)) {
        return Violate(Rule::kReplyOrder,
                       "expected error 26000, for there is no such statement, got BindComplete");
      }
      session_.portals()[request.portal] = {.statements = request.statements};
      return Pop();
    case backend::kCloseComplete:
      if (request.kind != Kind::kClose) return Unexpected(type);
      if (request.closes_portal) {
        session_.portals().erase(request.portal);
      } else {
        session_.prepared().erase(request.name);
      }
      return Pop();
    case backend::kParameterDescription:
      if (request.kind != Kind::kDescribeStatement || described_) return Unexpected(type);
      described_ = true;
      return;
    case backend::kNoData: {
      const bool due = request.kind == Kind::kDescribePortal ||
                       (request.kind == Kind::kDescribeStatement && described_);
      if (!due || (!request.statements.empty() && request.statements[0].ReturnsRows())) {
        return Unexpected(type);
      }
      return Pop();
    }
    default:
      return Unexpected(type);
  }
}

void Conversation::OnRowDescription() {
  if (requests_.empty()) return Unexpected(backend::kRowDescription);
  const SimRequest& request = requests_.front();
  const bool rows = !request.statements.empty() && statement_index_ < request.statements.size() &&
                    request.statements[statement_index_].ReturnsRows();
  if (request.kind == Kind::kDescribePortal ||
      (request.kind == Kind::kDescribeStatement && described_)) {
    if (!rows) return Unexpected(backend::kRowDescription);
    return Pop();
  }
  if (request.kind != Kind::kQuery || !rows || described_ || answered_) {
    return Unexpected(backend::kRowDescription);
  }
  if (Begin()) described_ = true;
}

void Conversation::OnFunctionResult(Bytes body) {
  if (requests_.empty() || requests_.front().kind != Kind::kFunctionCall || answered_) {
    return Unexpected(backend::kFunctionCallResponse);
  }
  MessageReader reader(body);
  const std::string_view result = AsText(reader.Take(reader.Int32()));
  if (!reader.AtEnd() || result != requests_.front().tag) {
    return Violate(Rule::kCrossTalk, "expected the result " + requests_.front().tag + ", got " +
                                         Quoted(AsText(body)));
  }
  ++begun_since_;
  ++counts_.statements;
  answered_ = true;
}

// --- what is said besides ------------------------------------------------------------------------

void Conversation::OnNotice(const PgError& notice) {
  ++counts_.notices;
  constexpr std::string_view kTag = "tag ";
  if (!notice.message.starts_with(kTag)) return;
  const std::string_view theirs = std::string_view(notice.message).substr(kTag.size());
  if (theirs != tag()) {
    Violate(Rule::kCrossTalk, "expected notices of its own, got one of " + std::string(theirs));
  }
}

void Conversation::OnNotification(Bytes body) {
  ++counts_.notifications;
  MessageReader reader(body);
  reader.Int32();
  const std::string_view channel = reader.String();
  const std::string_view text = reader.String();
  if (notifications_.empty() || notifications_.front() != text) {
    return Violate(Rule::kCrossTalk,
                   "expected " +
                       (notifications_.empty() ? std::string("no notification")
                                               : "the notification " + notifications_.front()) +
                       ", got " + std::string(text) + " on " + std::string(channel));
  }
  notifications_.pop_front();
}

bool Conversation::Expected(const PgError& error) const {
  const std::string& code = error.sqlstate;
  if (allowed_sqlstates_.contains(code)) return true;
  if (requests_.empty()) return false;
  const SimRequest& request = requests_.front();
  if (cancel_sent_ && code == sqlstate::kQueryCanceled) return true;
  if (!request.refusal.empty() && code == request.refusal) return true;
  if (session_.status() == TransactionStatus::kFailed &&
      code == sqlstate::kInFailedSqlTransaction) {
    return request.kind != Kind::kSync && request.kind != Kind::kClose;
  }
  if (request.copy_fails && code == sqlstate::kQueryCanceled) return true;
  auto& session = const_cast<SimSession&>(session_);
  if (request.kind == Kind::kBind && !session.prepared().contains(request.name)) {
    return code == sqlstate::kInvalidSqlStatementName;
  }
  if (request.kind == Kind::kBind && !request.portal.empty() &&
      session.portals().contains(request.portal)) {
    return code == sqlstate::kDuplicateCursor;
  }
  if (request.kind == Kind::kExecute && !session.portals().contains(request.portal)) {
    return code == sqlstate::kInvalidCursorName;
  }
  const SimStatement* s = statement();
  if (s == nullptr) return false;
  SimSession trial = session_;
  if (const auto effect = trial.Run(*s); effect.error && effect.error->sqlstate == code)
    return true;
  if (s->error.empty() || s->error != code) return false;
  // What it asks for comes after its rows.
  uint32_t first = first_row_;
  if (request.kind == Kind::kExecute) first = session.portals()[request.portal].next_row;
  return s->kind == SimStatement::Kind::kCopyFrom || !s->ReturnsRows() || first + rows_ == s->rows;
}

void Conversation::OnError(const PgError& error) {
  ++counts_.errors[error.sqlstate];
  if (error.severity == severity::kFatal || error.severity == severity::kPanic) {
    if (!allowed_sqlstates_.contains(error.sqlstate)) {
      return Violate(Rule::kError, "expected no end of the connection, got " + ToString(error));
    }
    over_ = told_why_ = true;
    return;
  }
  if (requests_.empty() && cut_short_) {
    // A cancel may find half a query that waits for a server: ReadyForQuery follows, and the end.
    over_ = true;
    told_why_ = !cancel_sent_ || error.sqlstate != sqlstate::kQueryCanceled;
    return;
  }
  if (requests_.empty() || answered_) {
    return Violate(Rule::kReplyOrder, "expected no reply, got " + ToString(error));
  }
  if (!Expected(error)) {
    const SimStatement* s = statement();
    return Violate(Rule::kError,
                   "expected " +
                       (s != nullptr && !s->error.empty()
                            ? "error " + s->error + " after " + std::to_string(s->rows) + " rows"
                            : std::string("no error")) +
                       ", got " + ToString(error) + " after " + std::to_string(rows_) + " rows");
  }
  if (const SimStatement* s = statement(); s != nullptr && !begun_ && !s->tag.empty()) {
    ++begun_since_;
  }
  if (requests_.front().kind == Kind::kFunctionCall) ++begun_since_;
  if (requests_.front().kind == Kind::kParse) session_.prepared().erase("");
  session_.Fail();
  notifications_.clear();
  if (!IsExtended(requests_.front().kind)) {
    answered_ = true;
    copy_ = Copy::kNone;
    return;
  }
  while (!requests_.empty() && requests_.front().kind != Kind::kSync) Pop();
  skipping_ = requests_.empty();
}

// --- ReadyForQuery -------------------------------------------------------------------------------

void Conversation::OnReady(Bytes body) {
  const auto status = ParseReadyForQuery(body);
  if (!status) return Violate(Rule::kProtocol, "got a malformed ReadyForQuery");
  if (requests_.empty()) return Unexpected(backend::kReadyForQuery);
  const Kind kind = requests_.front().kind;
  const bool due = kind == Kind::kSync || (!IsExtended(kind) && answered_);
  if (!due) return Unexpected(backend::kReadyForQuery);
  session_.EndMessage();
  if (*status != session_.status()) {
    return Violate(Rule::kTransaction, std::string("expected ReadyForQuery '") +
                                           static_cast<char>(session_.status()) + "', got '" +
                                           static_cast<char>(*status) + "'");
  }
  if (*status == TransactionStatus::kIdle && !notifications_.empty()) {
    return Violate(Rule::kBytes, "expected the notification " + notifications_.front() +
                                     ", got ReadyForQuery without it");
  }
  if (*status == TransactionStatus::kIdle && !keeps_server_) pinned_ = false;
  CheckTold();
  if (over_) return;
  if (kind == Kind::kQuery) session_.prepared().erase("");
  Pop();
}

// What the client was told last of each parameter is what it has.
void Conversation::CheckTold() {
  for (const ParameterSet::Entry& entry : session_.parameters().entries()) {
    const ReportedParameter* reported = FindReportedParameter(entry.name);
    if (reported == nullptr || !reported->settable) continue;
    const auto told = told_.find(entry.name);
    const std::string text = told != told_.end() ? told->second : "(nothing)";
    if (told != told_.end() && NormalValue(entry.name, text) == entry.value) continue;
    return Violate(Rule::kSessionState, "expected to be told " + entry.name + " = " +
                                            Quoted(entry.value) + ", was told last " +
                                            Quoted(text));
  }
}

}  // namespace trireme::sim
