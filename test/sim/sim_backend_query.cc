// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of a session, as PostgreSQL's PostgresMain reads them.
#include <algorithm>
#include <utility>

#include "test/sim/sim_backend.h"
#include "test/sim/sim_postgres.h"
#include "wire/reader.h"

namespace trireme::sim {

void SimBackend::OnMessage(char type, Bytes body) {
  if (type == frontend::kTerminate) return End();
  if (skipping_ && type != frontend::kSync) return;
  extended_ = type != frontend::kQuery && type != frontend::kFunctionCall;
  switch (type) {
    case frontend::kQuery: {
      MessageReader reader(body);
      return OnQuery(reader.String());
    }
    case frontend::kParse:
      return OnParse(body);
    case frontend::kBind:
      return OnBind(body);
    case frontend::kDescribe:
      return OnDescribe(body);
    case frontend::kExecute:
      return OnExecute(body);
    case frontend::kClose:
      return OnClose(body);
    case frontend::kFlush:
      return Flush();
    case frontend::kSync:
      return OnSync();
    case frontend::kFunctionCall:
      return OnFunctionCall(body);
    case frontend::kCopyData:  // of a COPY that has failed
    case frontend::kCopyDone:
    case frontend::kCopyFail:
      return;
    default:
      ++cluster_.counts_.protocol_errors;
      return Fatal(sqlstate::kProtocolViolation,
                   "invalid frontend message type " + std::to_string(int{type}));
  }
}

void SimBackend::OnQuery(std::string_view sql) {
  session_->prepared().erase("");
  session_->portals().erase("");
  auto parsed = ParseSql(sql);
  if (const auto* error = std::get_if<PgError>(&parsed)) return Error(*error);
  auto& statements = std::get<std::vector<SimStatement>>(parsed);
  if (statements.empty()) {
    MessageWriter(out_).EmptyQueryResponse();
    return Ready();
  }
  statements_.assign(statements.begin(), statements.end());
  BeginStatement();
}

void SimBackend::OnParse(Bytes body) {
  MessageReader reader(body);
  const std::string name(reader.String());
  if (name.empty()) session_->prepared().erase("");
  auto parsed = ParseSql(reader.String());
  if (const auto* error = std::get_if<PgError>(&parsed)) return Error(*error);
  auto& statements = std::get<std::vector<SimStatement>>(parsed);
  if (statements.size() > 1) {
    return Error(sqlstate::kSyntaxError,
                 "cannot insert multiple commands into a prepared statement");
  }
  const bool ends = !statements.empty() && (statements[0].kind == SimStatement::Kind::kCommit ||
                                            statements[0].kind == SimStatement::Kind::kRollback);
  if (session_->status() == TransactionStatus::kFailed && !ends) {
    return Error(sqlstate::kInFailedSqlTransaction, "current transaction is aborted");
  }
  auto& prepared = session_->prepared();
  if (!name.empty() && prepared.contains(name)) {
    return Error(sqlstate::kDuplicatePreparedStatement,
                 "prepared statement \"" + name + "\" already exists");
  }
  prepared[name] = {std::move(statements)};
  MessageWriter(out_).ParseComplete();
}

void SimBackend::OnBind(Bytes body) {
  MessageReader reader(body);
  const std::string portal(reader.String());
  const std::string name(reader.String());
  const auto found = session_->prepared().find(name);
  if (found == session_->prepared().end()) {
    return Error(sqlstate::kInvalidSqlStatementName,
                 name.empty() ? "unnamed prepared statement does not exist"
                              : "prepared statement \"" + name + "\" does not exist");
  }
  for (uint16_t formats = reader.Int16(); formats > 0 && reader.ok(); --formats) reader.Int16();
  std::vector<std::string> values;
  for (uint16_t count = reader.Int16(); count > 0 && reader.ok(); --count) {
    values.emplace_back(AsText(reader.Take(reader.Int32())));
  }
  std::vector<SimStatement> statements = found->second.statements;
  const bool wants = !statements.empty() && statements[0].tag == "$1";
  if (!reader.ok() || values.size() != (wants ? 1 : 0)) {
    return Error(sqlstate::kProtocolViolation,
                 "bind message supplies " + std::to_string(values.size()) + " parameters");
  }
  if (wants) statements[0].tag = values[0];
  const bool ends = !statements.empty() && (statements[0].kind == SimStatement::Kind::kCommit ||
                                            statements[0].kind == SimStatement::Kind::kRollback);
  if (session_->status() == TransactionStatus::kFailed && !ends) {
    return Error(sqlstate::kInFailedSqlTransaction, "current transaction is aborted");
  }
  if (!portal.empty() && session_->portals().contains(portal)) {
    return Error(sqlstate::kDuplicateCursor, "cursor \"" + portal + "\" already exists");
  }
  session_->portals()[portal] = {.statements = std::move(statements)};
  MessageWriter(out_).BindComplete();
}

void SimBackend::OnDescribe(Bytes body) {
  MessageReader reader(body);
  const char what = static_cast<char>(reader.Byte());
  const std::string name(reader.String());
  const std::vector<SimStatement>* statements = nullptr;
  if (what == 'S') {
    const auto found = session_->prepared().find(name);
    if (found == session_->prepared().end()) {
      return Error(sqlstate::kInvalidSqlStatementName,
                   "prepared statement \"" + name + "\" does not exist");
    }
    statements = &found->second.statements;
    const uint32_t types[] = {kTypeText.oid};
    const bool wants = !statements->empty() && statements->front().tag == "$1";
    MessageWriter(out_).ParameterDescription({types, wants ? 1u : 0u});
  } else {
    const auto found = session_->portals().find(name);
    if (found == session_->portals().end()) {
      return Error(sqlstate::kInvalidCursorName, "portal \"" + name + "\" does not exist");
    }
    statements = &found->second.statements;
  }
  if (!statements->empty() && statements->front().ReturnsRows()) {
    RowDescription();
  } else {
    MessageWriter(out_).NoData();
  }
}

void SimBackend::OnExecute(Bytes body) {
  MessageReader reader(body);
  portal_ = reader.String();
  row_limit_ = reader.Int32();
  const auto found = session_->portals().find(portal_);
  if (found == session_->portals().end()) {
    return Error(sqlstate::kInvalidCursorName, "portal \"" + portal_ + "\" does not exist");
  }
  if (found->second.statements.empty()) {
    MessageWriter(out_).EmptyQueryResponse();
    return;
  }
  if (found->second.done && !found->second.statements[0].ReturnsRows()) {
    return Error(sqlstate::kObjectNotInPrerequisiteState,
                 "portal \"" + portal_ + "\" cannot be run");
  }
  BeginStatement();
}

void SimBackend::OnClose(Bytes body) {
  MessageReader reader(body);
  const char what = static_cast<char>(reader.Byte());
  const std::string name(reader.String());
  if (what == 'S') session_->prepared().erase(name);
  if (what == 'P') session_->portals().erase(name);
  MessageWriter(out_).CloseComplete();
}

// The only function there is returns its argument: a tag.
void SimBackend::OnFunctionCall(Bytes body) {
  MessageReader reader(body);
  reader.Int32();
  for (uint16_t formats = reader.Int16(); formats > 0 && reader.ok(); --formats) reader.Int16();
  const uint16_t count = reader.Int16();
  const Bytes argument = reader.Take(reader.Int32());
  if (!reader.ok() || count != 1) {
    return Error(sqlstate::kProtocolViolation, "malformed function call");
  }
  if (session_->status() == TransactionStatus::kFailed) {
    return Error(sqlstate::kInFailedSqlTransaction, "current transaction is aborted");
  }
  ++sequence_;
  ++cluster_.counts_.statements;
  cluster_.observer_->OnQuery(*this, AsText(argument));
  MessageWriter writer(out_);
  writer.Begin(backend::kFunctionCallResponse);
  writer.Int32(static_cast<int32_t>(argument.size()));
  writer.RawBytes(argument);
  writer.End();
  Ready();
}

void SimBackend::OnSync() {
  skipping_ = false;
  Ready();
}

void SimBackend::OnCopyInMessage(char type, Bytes body) {
  MessageReader reader(body);
  switch (type) {
    case frontend::kCopyData:
      return OnCopyData(body);
    case frontend::kCopyDone:
      return OnCopyDone();
    case frontend::kCopyFail:
      return Error(sqlstate::kQueryCanceled,
                   "COPY from stdin failed: " + std::string(reader.String()));
    case frontend::kFlush:
    case frontend::kSync:
      return;
    default:
      ++cluster_.counts_.protocol_errors;
      return Error(sqlstate::kProtocolViolation, "unexpected message type during COPY from stdin");
  }
}

void SimBackend::Error(std::string_view sqlstate, std::string_view message) {
  Error({.sqlstate = std::string(sqlstate), .message = std::string(message)});
}

void SimBackend::Error(const PgError& error) {
  ++cluster_.counts_.errors;
  MessageWriter(out_).ErrorResponse(error);
  session_->Fail();
  statements_.clear();
  notifications_.clear();
  running_tag_.clear();
  cancelled_ = interruptible_ = false;
  state_ = State::kReady;
  if (!extended_) return Ready();
  skipping_ = true;
  Flush();
}

void SimBackend::Ready() {
  session_->EndMessage();
  ReportParameters();
  MessageWriter writer(out_);
  if (session_->status() == TransactionStatus::kIdle) {
    for (const std::string& text : std::exchange(notifications_, {})) {
      const size_t space = text.find(' ');
      writer.Begin(backend::kNotificationResponse);
      writer.Int32(static_cast<int32_t>(process_id_));
      writer.String(std::string_view(text).substr(0, space));
      writer.String(std::string_view(text).substr(space + 1));
      writer.End();
    }
  }
  writer.ReadyForQuery(session_->status());
  if (std::exchange(told_status_, session_->status()) != session_->status()) {
    cluster_.observer_->OnTransaction(*this, told_status_);
  }
  running_tag_.clear();
  state_ = State::kReady;
  Flush();
  if (state_ == State::kEnded || told_status_ != TransactionStatus::kIdle) return;
  if (Happens(random(), habits().die_resting_permille)) {
    After(habits().die_resting.Draw(random()), &SimBackend::DieResting);
  }
}

void SimBackend::DieResting() {
  if (state_ != State::kReady) return;
  ++cluster_.counts_.deaths_idle;
  Die();
}

void SimBackend::RowDescription() {
  static constexpr ColumnDescription kColumns[] = {
      {"tag"},     {"row", kTypeInt4}, {"pid", kTypeInt4}, {"sequence", kTypeInt8},
      {"session"}, {"payload"}};
  static_assert(std::size(kColumns) == kRowColumns);
  MessageWriter(out_).RowDescription(kColumns);
}

}  // namespace trireme::sim
