// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/console.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"

namespace trireme {
namespace {

using Kind = ConsoleCommand::Kind;

PgError InvalidFormat(std::string_view message) {
  return {.sqlstate = sqlstate::kProtocolViolation,
          .message = "invalid message format in " + std::string(message)};
}

PgError NoSuchStatement(std::string_view name) {
  return {.sqlstate = sqlstate::kInvalidSqlStatementName,
          .message = name.empty()
                         ? "unnamed prepared statement does not exist"
                         : "prepared statement \"" + std::string(name) + "\" does not exist"};
}

PgError NoSuchPortal(std::string_view name) {
  return {.sqlstate = sqlstate::kInvalidCursorName,
          .message = "portal \"" + std::string(name) + "\" does not exist"};
}

PgError TooMany(std::string_view what) {
  return {.sqlstate = sqlstate::kConfigurationLimitExceeded,
          .message = "the console keeps at most " + std::to_string(Console::kStatementsMax) + " " +
                     std::string(what) + " for one client",
          .hint = "Close some, or use unnamed ones."};
}

std::string HelpText() {
  std::string text = "\n\tSHOW HELP";
  size_t column = 0;
  for (const View& view : Views()) {
    text += column++ % 6 == 0 ? "\n\tSHOW " : "|";
    for (const char c : view.name) text += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  return text + "\n\tSET key = value  (accepted for drivers, changes nothing)";
}

// Commands that need no snapshot, from the answer's rows to CommandComplete.
void WriteFixedAnswer(MessageWriter& writer, const ConsoleCommand& command) {
  switch (command.kind) {
    case Kind::kEmpty:
      writer.EmptyQueryResponse();
      return;
    case Kind::kHelp:
      writer.NoticeResponse({.severity = severity::kNotice,
                             .sqlstate = sqlstate::kSuccessfulCompletion,
                             .message = "Console usage",
                             .detail = HelpText()});
      writer.CommandComplete("SHOW");
      return;
    case Kind::kSet:
      writer.NoticeResponse({.severity = severity::kNotice,
                             .sqlstate = sqlstate::kSuccessfulCompletion,
                             .message = "SET ignored"});
      writer.CommandComplete("SET");
      return;
    case Kind::kShow:
    case Kind::kParameter:
      TRIREME_UNREACHABLE();
  }
}

struct BindMessage {
  std::string_view portal;
  std::string_view statement;
  size_t parameter_count = 0;
  std::vector<int16_t> result_formats;
};

std::optional<BindMessage> ParseBind(MessageReader body) {
  BindMessage bind;
  bind.portal = body.String();
  bind.statement = body.String();
  const uint16_t format_count = body.Int16();
  body.Take(size_t{format_count} * 2);
  bind.parameter_count = body.Int16();
  for (size_t i = 0; i < bind.parameter_count && body.ok(); ++i) {
    const auto size = static_cast<int32_t>(body.Int32());
    if (size >= 0) body.Take(static_cast<size_t>(size));
  }
  const uint16_t result_count = body.Int16();
  for (size_t i = 0; i < result_count && body.ok(); ++i) {
    bind.result_formats.push_back(static_cast<int16_t>(body.Int16()));
  }
  if (!body.AtEnd()) return std::nullopt;
  return bind;
}

PgResult<Formats> ParseFormats(const std::vector<int16_t>& codes, size_t column_count) {
  if (codes.size() > 1 && codes.size() != column_count) {
    return PgError{.sqlstate = sqlstate::kProtocolViolation,
                   .message = "bind message has " + std::to_string(codes.size()) +
                              " result formats but query has " + std::to_string(column_count) +
                              " columns"};
  }
  std::vector<Format> formats;
  for (const int16_t code : codes) {
    if (code != 0 && code != 1) {
      return PgError{.sqlstate = sqlstate::kInvalidParameterValue,
                     .message = "unsupported format code: " + std::to_string(code)};
    }
    formats.push_back(static_cast<Format>(code));
  }
  return Formats(std::move(formats));
}

void Describe(MessageWriter& writer, const ConsoleCommand& command, const Formats& formats) {
  if (command.columns().empty()) {
    writer.NoData();
  } else {
    WriteRowDescription(writer, command.columns(), formats);
  }
}

}  // namespace

void WriteConsoleParameters(MessageWriter& writer, std::string_view version) {
  // Drivers read the leading number; as with PgBouncer it is the pooler's own.
  const std::string server_version = std::string(version) + "/bouncer";
  const auto parameters = std::to_array<ParameterView>({
      {"server_version", server_version},
      {"client_encoding", "UTF8"},
      {"server_encoding", "UTF8"},
      {"DateStyle", "ISO"},
      {"TimeZone", "GMT"},
      {"standard_conforming_strings", "on"},
      {"is_superuser", "on"},
  });
  for (const ParameterView& parameter : parameters) writer.ParameterStatus(parameter);
}

Console::Step Console::OnMessage(MessageWriter& writer, char type, Bytes body) {
  TRIREME_ASSERT(state_ != State::kGathering);
  MessageReader reader(body);
  switch (type) {
    case frontend::kTerminate:
      return {.kind = Step::Kind::kClose};
    case frontend::kQuery:
      if (state_ == State::kSkipping) return {};
      return OnQuery(writer, reader);
    case frontend::kParse:
    case frontend::kBind:
    case frontend::kDescribe:
    case frontend::kExecute:
    case frontend::kClose:
      if (state_ == State::kSkipping) return {};
      return OnExtended(writer, type, reader);
    case frontend::kSync:
      return OnExtended(writer, type, reader);
    case frontend::kFlush:  // nothing is held back
    case frontend::kCopyData:
    case frontend::kCopyDone:
    case frontend::kCopyFail:  // the rest of a COPY that never was: PostgreSQL passes over it too
      return {};
    case frontend::kFunctionCall:
      if (state_ == State::kSkipping) return {};
      writer.ErrorResponse({.sqlstate = sqlstate::kFeatureNotSupported,
                            .message = "function calls are not supported by the console"});
      writer.ReadyForQuery(TransactionStatus::kIdle);
      return {};
    default:
      return Fatal(writer, "invalid frontend message type " +
                               std::to_string(static_cast<unsigned char>(type)));
  }
}

Console::Step Console::OnQuery(MessageWriter& writer, MessageReader body) {
  const std::string_view text = body.String();
  portals_.clear();
  statements_.erase("");
  const PgResult<ConsoleCommand> parsed =
      body.AtEnd() ? ParseConsoleCommand(text, role_) : InvalidFormat("Query");
  if (const PgError* error = std::get_if<PgError>(&parsed)) {
    writer.ErrorResponse(*error);
    writer.ReadyForQuery(TransactionStatus::kIdle);
    return {};
  }
  const ConsoleCommand& command = std::get<ConsoleCommand>(parsed);
  if (command.kind == Kind::kShow) {
    state_ = State::kGathering;
    gathering_ = {.portal = nullptr, .command = command};
    return CurrentStep();
  }
  if (command.kind == Kind::kParameter) {
    Portal portal{.command = command,
                  .formats = {},
                  .run = true,
                  .rows = {{std::string(command.parameter->value)}}};
    WriteRowDescription(writer, command.columns(), portal.formats);
    WriteRows(writer, portal, 0);
  } else {
    WriteFixedAnswer(writer, command);
  }
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return {};
}

Console::Step Console::OnSnapshot(MessageWriter& writer, const FleetSnapshot& fleet) {
  TRIREME_ASSERT(state_ == State::kGathering);
  state_ = State::kReady;
  const Gathering gathered = std::exchange(gathering_, {});
  std::vector<Row> rows = gathered.command.view->rows(fleet);
  if (gathered.portal != nullptr) {
    gathered.portal->run = true;
    gathered.portal->rows = std::move(rows);
    WriteRows(writer, *gathered.portal, gathered.rows_max);
    return {};
  }
  Portal portal{.command = gathered.command, .formats = {}, .run = true, .rows = std::move(rows)};
  WriteRowDescription(writer, portal.command.columns(), portal.formats);
  WriteRows(writer, portal, 0);
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return {};
}

Console::Step Console::OnExtended(MessageWriter& writer, char type, MessageReader body) {
  std::optional<PgError> error;
  switch (type) {
    case frontend::kParse:
      error = OnParse(writer, body);
      break;
    case frontend::kBind:
      error = OnBind(writer, body);
      break;
    case frontend::kDescribe:
      error = OnDescribe(writer, body);
      break;
    case frontend::kExecute:
      error = OnExecute(writer, body);
      break;
    case frontend::kClose:
      error = OnCloseMessage(writer, body);
      break;
    case frontend::kSync:
      error = OnSync(writer);
      break;
    default:
      TRIREME_UNREACHABLE();
  }
  if (error) return Refuse(writer, *error);
  return CurrentStep();
}

std::optional<PgError> Console::OnParse(MessageWriter& writer, MessageReader body) {
  const std::string_view name = body.String();
  const std::string_view text = body.String();
  const uint16_t type_count = body.Int16();
  body.Take(size_t{type_count} * 4);
  if (!body.AtEnd()) return InvalidFormat("Parse");
  PgResult<ConsoleCommand> parsed = ParseConsoleCommand(text, role_);
  if (PgError* error = std::get_if<PgError>(&parsed)) return std::move(*error);
  if (!name.empty() && statements_.contains(name)) {
    return PgError{.sqlstate = sqlstate::kDuplicatePreparedStatement,
                   .message = "prepared statement \"" + std::string(name) + "\" already exists"};
  }
  if (statements_.size() >= kStatementsMax && !statements_.contains(name)) {
    return TooMany("prepared statements");
  }
  statements_.insert_or_assign(std::string(name), std::get<ConsoleCommand>(parsed));
  writer.ParseComplete();
  return std::nullopt;
}

std::optional<PgError> Console::OnBind(MessageWriter& writer, MessageReader body) {
  const std::optional<BindMessage> bind = ParseBind(body);
  if (!bind) return InvalidFormat("Bind");
  const auto statement = statements_.find(bind->statement);
  if (statement == statements_.end()) return NoSuchStatement(bind->statement);
  if (bind->parameter_count != 0) {
    return PgError{.sqlstate = sqlstate::kProtocolViolation,
                   .message = "bind message supplies " + std::to_string(bind->parameter_count) +
                              " parameters, but prepared statement \"" +
                              std::string(bind->statement) + "\" requires 0"};
  }
  PgResult<Formats> formats =
      ParseFormats(bind->result_formats, statement->second.columns().size());
  if (PgError* error = std::get_if<PgError>(&formats)) return std::move(*error);
  const bool known = portals_.contains(bind->portal);
  if (known && !bind->portal.empty()) {
    return PgError{.sqlstate = sqlstate::kDuplicateCursor,
                   .message = "cursor \"" + std::string(bind->portal) + "\" already exists"};
  }
  if (!known && portals_.size() >= kStatementsMax) return TooMany("portals");
  portals_.insert_or_assign(
      std::string(bind->portal),
      Portal{.command = statement->second, .formats = std::move(std::get<Formats>(formats))});
  writer.BindComplete();
  return std::nullopt;
}

std::optional<PgError> Console::OnDescribe(MessageWriter& writer, MessageReader body) {
  const char what = static_cast<char>(body.Byte());
  const std::string_view name = body.String();
  if (!body.AtEnd() || (what != 'S' && what != 'P')) return InvalidFormat("Describe");
  if (what == 'S') {
    const auto statement = statements_.find(name);
    if (statement == statements_.end()) return NoSuchStatement(name);
    writer.ParameterDescription({});
    Describe(writer, statement->second, {});
    return std::nullopt;
  }
  const auto portal = portals_.find(name);
  if (portal == portals_.end()) return NoSuchPortal(name);
  Describe(writer, portal->second.command, portal->second.formats);
  return std::nullopt;
}

std::optional<PgError> Console::OnExecute(MessageWriter& writer, MessageReader body) {
  const std::string_view name = body.String();
  const auto limit = static_cast<int32_t>(body.Int32());
  if (!body.AtEnd()) return InvalidFormat("Execute");
  const auto found = portals_.find(name);
  if (found == portals_.end()) return NoSuchPortal(name);
  Portal& portal = found->second;
  const size_t rows_max = limit > 0 ? static_cast<size_t>(limit) : 0;
  switch (portal.command.kind) {
    case Kind::kEmpty:
    case Kind::kHelp:
    case Kind::kSet:
      WriteFixedAnswer(writer, portal.command);
      return std::nullopt;
    case Kind::kShow:
      if (!portal.run) {
        state_ = State::kGathering;
        gathering_ = {.portal = &portal, .command = portal.command, .rows_max = rows_max};
        return std::nullopt;
      }
      break;
    case Kind::kParameter:
      if (!portal.run) portal.rows = {{std::string(portal.command.parameter->value)}};
      portal.run = true;
      break;
  }
  WriteRows(writer, portal, rows_max);
  return std::nullopt;
}

std::optional<PgError> Console::OnCloseMessage(MessageWriter& writer, MessageReader body) {
  const char what = static_cast<char>(body.Byte());
  const std::string name(body.String());
  if (!body.AtEnd() || (what != 'S' && what != 'P')) return InvalidFormat("Close");
  if (what == 'S') {
    statements_.erase(name);
  } else {
    portals_.erase(name);
  }
  writer.CloseComplete();  // also for what never was, as in PostgreSQL
  return std::nullopt;
}

std::optional<PgError> Console::OnSync(MessageWriter& writer) {
  state_ = State::kReady;
  portals_.clear();
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return std::nullopt;
}

Console::Step Console::Refuse(MessageWriter& writer, const PgError& error) {
  writer.ErrorResponse(error);
  state_ = State::kSkipping;
  return {};
}

Console::Step Console::Fatal(MessageWriter& writer, std::string message) {
  writer.ErrorResponse({.severity = severity::kFatal,
                        .sqlstate = sqlstate::kProtocolViolation,
                        .message = std::move(message)});
  return {.kind = Step::Kind::kClose};
}

Console::Step Console::CurrentStep() const {
  if (state_ != State::kGathering) return {};
  return {.kind = Step::Kind::kNeedsSnapshot, .parts = gathering_.command.view->parts};
}

void Console::WriteRows(MessageWriter& writer, Portal& portal, size_t rows_max) {
  TRIREME_ASSERT(portal.run);
  const size_t left = portal.rows.size() - portal.next;
  const size_t count = rows_max == 0 ? left : std::min(rows_max, left);
  for (size_t i = 0; i < count; ++i) {
    WriteDataRow(writer, portal.command.columns(), portal.formats, portal.rows[portal.next++]);
  }
  // Like PostgreSQL: a limit that is reached suspends, even when no row is left.
  if (rows_max != 0 && count == rows_max) {
    writer.PortalSuspended();
  } else {
    writer.CommandComplete("SHOW");
  }
}

}  // namespace trireme
