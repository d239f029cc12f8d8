// SPDX-License-Identifier: GPL-3.0-or-later
#include "stub/session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "wire/command.h"
#include "wire/framer.h"
#include "wire/reader.h"
#include "wire/startup.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

constexpr uint32_t kMessageBytesMax = 1 << 30;
constexpr size_t kStartupBytesMax = 10000;
constexpr size_t kBlockBytes = 65536;
constexpr size_t kBulkAbove = 16384;  // smaller results go with the rest

constexpr std::pair<std::string_view, std::string_view> kReported[] = {
    {"application_name", ""},
    {"client_encoding", "UTF8"},
    {"DateStyle", "ISO, MDY"},
    {"default_transaction_read_only", "off"},
    {"in_hot_standby", "off"},
    {"integer_datetimes", "on"},
    {"IntervalStyle", "postgres"},
    {"is_superuser", "on"},
    {"server_encoding", "UTF8"},
    {"server_version", "15.0"},
    {"session_authorization", "postgres"},
    {"standard_conforming_strings", "on"},
    {"TimeZone", "Etc/UTC"},
};

std::string_view ReportedName(std::string_view name) {
  for (const auto& [known, value] : kReported) {
    if (EqualsIgnoreCase(name, known)) return known;
  }
  return {};
}

}  // namespace

uint64_t RowBlocks::MessageBytes(char type, uint32_t bytes) {
  return kHeadBytes + uint64_t{bytes} + (type == backend::kDataRow ? 6 : 0);
}

const std::string& RowBlocks::Get(char type, uint32_t bytes) {
  std::string& block = blocks_[{type, bytes}];
  std::string data(bytes, '1');
  if (type == backend::kCopyData && bytes > 0) data.back() = '\n';
  while (block.size() < kBlockBytes) {
    MessageWriter writer(block);
    writer.Begin(type);
    if (type == backend::kDataRow) {
      writer.Int16(1);
      writer.Int32(static_cast<int32_t>(bytes));
    }
    writer.RawBytes(AsBytes(data));
    writer.End();
  }
  return block;
}

void StubSession::Feed(Bytes bytes) {
  world_.counts.bytes_received += bytes.size();
  const size_t skipped = std::min<uint64_t>(skip_, bytes.size());
  skip_ -= skipped;
  input_.append(AsText(bytes.subspan(skipped)));
}

void StubSession::Consume(size_t size) {
  consumed_ += size;
  if (consumed_ == input_.size()) {
    input_.clear();
    consumed_ = 0;
  } else if (consumed_ > 65536 && consumed_ > input_.size() / 2) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
}

StubSession::Next StubSession::Work(std::string& out) {
  for (;;) {  // each step consumes input, answers a statement, or returns
    const Outcome outcome = WorkOnce(out);
    if (outcome) return *outcome;
  }
}

StubSession::Outcome StubSession::WorkOnce(std::string& out) {
  switch (state_) {
    case State::kStartup:
      return WorkOnStartup(out);
    case State::kLogin:
      return Login(out);
    case State::kReady:
    case State::kCopyIn:
      return WorkOnMessage(out);
    case State::kStatements:
      return WorkOnStatements(out);
    case State::kExecuting:
      state_ = State::kReady;
      return GiveRows(executed_, out);
  }
  TRIREME_UNREACHABLE();
}

StubSession::Outcome StubSession::WorkOnStartup(std::string& out) {
  const PgResult<size_t> size = StartupSize(Input(), kStartupBytesMax);
  if (std::holds_alternative<PgError>(size)) return Next::kClose;
  const size_t wanted = std::get<size_t>(size);
  if (wanted == 0 || Input().size() < wanted) return Next::kNeedInput;
  const PgResult<StartupPacket> parsed = ParseStartup(Input().first(wanted));
  if (std::holds_alternative<PgError>(parsed)) {
    MessageWriter(out).ErrorResponse(std::get<PgError>(parsed));
    return Next::kClose;
  }
  const StartupPacket& packet = std::get<StartupPacket>(parsed);
  if (std::holds_alternative<CancelRequest>(packet)) {
    ++world_.counts.cancels;
    return Next::kClose;
  }
  if (std::holds_alternative<StartupMessage>(packet)) {
    for (const ParameterView& parameter : std::get<StartupMessage>(packet).parameters) {
      if (parameter.name == "application_name") application_name_ = parameter.value;
    }
    service_ = world_.settings.login.Next(world_.random);
    served_ = service_.count() == 0;
    state_ = State::kLogin;
  } else {
    out += kEncryptionRefused;
  }
  Consume(wanted);
  return std::nullopt;
}

StubSession::Outcome StubSession::Login(std::string& out) {
  if (!served_) return Next::kServe;
  MessageWriter writer(out);
  writer.AuthenticationOk();
  for (const auto& [name, value] : kReported) {
    writer.ParameterStatus({name, name == "application_name" ? application_name_ : value});
  }
  ++world_.counts.connections;
  static constexpr std::byte kKey[4] = {};  // cancel requests are counted, not obeyed
  writer.BackendKeyData(static_cast<uint32_t>(world_.counts.connections), kKey);
  writer.ReadyForQuery(TransactionStatus::kIdle);
  served_ = false;
  state_ = State::kReady;
  return std::nullopt;
}

StubSession::Outcome StubSession::WorkOnMessage(std::string& out) {
  const Bytes input = Input();
  if (input.size() < kHeadBytes) return Next::kNeedInput;
  const MessageHead head = ReadHead(input.data());
  if (!head.valid(kMessageBytesMax)) {
    Fail(sqlstate::kProtocolViolation, "invalid message length", out);
    return Next::kClose;
  }
  if (head.type == frontend::kCopyData) {  // passes, however large
    const size_t here = std::min<size_t>(head.total_size(), input.size());
    skip_ = head.total_size() - here;
    ++copied_;
    Consume(here);
    return std::nullopt;
  }
  if (input.size() < head.total_size()) return Next::kNeedInput;
  const Outcome outcome = OnMessage(head.type, input.subspan(kHeadBytes, head.body_size()), out);
  // Served first, the same message comes again.
  if (outcome != Next::kServe) Consume(head.total_size());
  return outcome;
}

StubSession::Outcome StubSession::OnMessage(char type, Bytes body, std::string& out) {
  if (state_ == State::kCopyIn) {
    OnCopyMessage(type, out);
    return std::nullopt;
  }
  if (type == frontend::kSync) {
    skipping_ = false;
    Ready(out);
    return std::nullopt;
  }
  if (type == frontend::kTerminate) return Next::kClose;
  if (skipping_) return std::nullopt;
  switch (type) {
    case frontend::kQuery:
      OnQuery(body);
      break;
    case frontend::kParse:
      OnParse(body, out);
      break;
    case frontend::kBind:
      OnBind(body, out);
      break;
    case frontend::kDescribe:
      OnDescribe(body, out);
      break;
    case frontend::kExecute:
      return OnExecute(body, out);
    case frontend::kClose: {
      MessageReader reader(body);
      const bool statement = reader.Byte() == 'S';
      (statement ? prepared_ : portals_).erase(std::string(reader.String()));
      MessageWriter(out).CloseComplete();
      break;
    }
    case frontend::kCopyDone:
    case frontend::kCopyFail:
    case frontend::kFlush:
      break;
    default:
      Fail(sqlstate::kProtocolViolation, absl::StrCat("unexpected message type ", int{type}), out);
      return Next::kClose;
  }
  return std::nullopt;
}

void StubSession::OnQuery(Bytes body) {
  protocol_ = Protocol::kSimple;
  statements_.clear();
  statement_next_ = 0;
  for (const std::string_view statement : SplitStatements(MessageReader(body).String())) {
    statements_.push_back(AnswerTo(statement, world_.settings.answers));
  }
  state_ = State::kStatements;
}

StubSession::Outcome StubSession::WorkOnStatements(std::string& out) {
  while (statement_next_ < statements_.size()) {
    const Answer& answer = statements_[statement_next_];
    if (MustWait(answer)) return Next::kServe;
    if (!tag_owed_) Describe(answer, out);
    const Outcome outcome = Give(answer, out);
    if (outcome) return outcome;
    if (skipping_) break;  // an error ends the Query
    ++statement_next_;
    if (state_ == State::kCopyIn) return std::nullopt;
  }
  skipping_ = false;
  state_ = State::kReady;
  Ready(out);
  return std::nullopt;
}

bool StubSession::MustWait(const Answer& answer) {
  if (served_ || tag_owed_) return false;
  if (!answer.service && (!answer.works() || world_.settings.service.is_zero())) return false;
  service_ = (answer.service ? *answer.service : world_.settings.service).Next(world_.random);
  return service_.count() > 0;
}

void StubSession::OnParse(Bytes body, std::string& out) {
  MessageReader reader(body);
  std::string name(reader.String());
  const std::string_view sql = reader.String();
  ++world_.counts.parses;
  if (!name.empty() && prepared_.contains(name)) {
    Fail(sqlstate::kDuplicatePreparedStatement,
         absl::StrCat("prepared statement \"", name, "\" already exists"), out);
    return;
  }
  prepared_[std::move(name)] = AnswerTo(sql, world_.settings.answers);
  MessageWriter(out).ParseComplete();
}

void StubSession::OnBind(Bytes body, std::string& out) {
  MessageReader reader(body);
  std::string portal(reader.String());
  const std::string statement(reader.String());
  const auto at = prepared_.find(statement);
  if (at == prepared_.end()) {
    Fail(sqlstate::kInvalidSqlStatementName,
         absl::StrCat("prepared statement \"", statement, "\" does not exist"), out);
    return;
  }
  portals_[std::move(portal)] = at->second;
  MessageWriter(out).BindComplete();
}

void StubSession::OnDescribe(Bytes body, std::string& out) {
  MessageReader reader(body);
  const bool statement = reader.Byte() == 'S';
  const std::string name(reader.String());
  const auto& known = statement ? prepared_ : portals_;
  const auto at = known.find(name);
  if (at == known.end()) {
    Fail(statement ? sqlstate::kInvalidSqlStatementName : sqlstate::kInvalidCursorName,
         absl::StrCat("\"", name, "\" does not exist"), out);
    return;
  }
  if (statement) {
    const std::vector<uint32_t> types(at->second.parameters, kTypeText.oid);
    MessageWriter(out).ParameterDescription(types);
  }
  if (at->second.kind == Answer::Kind::kRows) {
    Describe(at->second, out);
  } else {
    MessageWriter(out).NoData();
  }
}

StubSession::Outcome StubSession::OnExecute(Bytes body, std::string& out) {
  const auto at = portals_.find(std::string(MessageReader(body).String()));
  if (at == portals_.end()) {
    Fail(sqlstate::kInvalidCursorName, "portal does not exist", out);
    return std::nullopt;
  }
  if (MustWait(at->second)) return Next::kServe;
  protocol_ = Protocol::kExtended;
  const Outcome outcome = Give(at->second, out);
  if (outcome == Next::kBulk) {
    executed_ = at->second;
    state_ = State::kExecuting;
  }
  return outcome;
}

void StubSession::OnCopyMessage(char type, std::string& out) {
  if (type != frontend::kCopyDone && type != frontend::kCopyFail) return;  // Flush, Sync: ignored
  state_ = protocol_ == Protocol::kSimple ? State::kStatements : State::kReady;
  if (type == frontend::kCopyFail) {
    Fail(sqlstate::kQueryCanceled, "COPY from stdin failed", out);
    statement_next_ = statements_.size();
    skipping_ = protocol_ == Protocol::kExtended;
    return;
  }
  world_.counts.rows += copied_;
  ++world_.counts.statements;
  MessageWriter(out).CommandComplete(absl::StrCat("COPY ", copied_));
}

StubSession::Outcome StubSession::Give(const Answer& answer, std::string& out) {
  using Kind = Answer::Kind;
  served_ = false;
  const bool ends = answer.kind == Kind::kCommit || answer.kind == Kind::kRollback;
  if (status_ == TransactionStatus::kFailed && !ends) {
    Fail(sqlstate::kInFailedSqlTransaction,
         "current transaction is aborted, commands ignored until end of transaction block", out);
    return std::nullopt;
  }
  if (!answer.error.empty()) {
    Fail(answer.error, "an error was asked for", out);
    return std::nullopt;
  }
  switch (answer.kind) {
    case Kind::kRows:
    case Kind::kCopyOut:
      return GiveRows(answer, out);
    case Kind::kCopyIn:
      BeginCopyIn(out);
      return std::nullopt;
    case Kind::kBegin:
      status_ = TransactionStatus::kInTransaction;
      break;
    case Kind::kCommit:
    case Kind::kRollback:
    case Kind::kEmpty:
    case Kind::kCommand:
    case Kind::kSet:
      break;
  }
  Complete(answer, out);
  if (ends) status_ = TransactionStatus::kIdle;
  return std::nullopt;
}

void StubSession::BeginCopyIn(std::string& out) {
  MessageWriter writer(out);
  writer.Begin(backend::kCopyInResponse);
  writer.Byte(0);
  writer.Int16(1);
  writer.Int16(0);
  writer.End();
  copied_ = 0;
  state_ = State::kCopyIn;
}

void StubSession::Describe(const Answer& answer, std::string& out) {
  if (answer.kind != Answer::Kind::kRows || !answer.error.empty() ||
      status_ == TransactionStatus::kFailed) {
    return;
  }
  static constexpr ColumnDescription kColumn[] = {{.name = "stub"}};
  MessageWriter(out).RowDescription(kColumn);
}

StubSession::Outcome StubSession::GiveRows(const Answer& answer, std::string& out) {
  const bool copy = answer.kind == Answer::Kind::kCopyOut;
  if (!tag_owed_) {
    if (copy) {
      MessageWriter writer(out);
      writer.Begin(backend::kCopyOutResponse);
      writer.Byte(0);
      writer.Int16(1);
      writer.Int16(0);
      writer.End();
    }
    const char type = copy ? backend::kCopyData : backend::kDataRow;
    const uint64_t bytes = RowBlocks::MessageBytes(type, answer.bytes) * answer.rows;
    const std::string& block = world_.blocks.Get(type, answer.bytes);
    world_.counts.rows += answer.rows;
    if (bytes > std::min(kBulkAbove, block.size())) {
      bulk_block_ = &block;
      bulk_bytes_ = bytes;
      tag_owed_ = true;
      return Next::kBulk;
    }
    out.append(block, 0, bytes);
  }
  tag_owed_ = false;
  if (copy) {
    MessageWriter writer(out);
    writer.Begin(backend::kCopyDone);
    writer.End();
  }
  Complete(answer, out);
  return std::nullopt;
}

void StubSession::Complete(const Answer& answer, std::string& out) {
  MessageWriter writer(out);
  switch (answer.kind) {
    case Answer::Kind::kEmpty:
      writer.EmptyQueryResponse();
      return;
    case Answer::Kind::kRows:
    case Answer::Kind::kCopyOut:
      writer.CommandComplete(answer.tag == "SHOW" ? answer.tag
                                                  : absl::StrCat(answer.tag, " ", answer.rows));
      break;
    case Answer::Kind::kCommit:
      writer.CommandComplete(status_ == TransactionStatus::kFailed ? "ROLLBACK" : answer.tag);
      break;
    default:
      writer.CommandComplete(answer.tag);
      break;
  }
  if (answer.kind == Answer::Kind::kSet) {
    ++world_.counts.sets;
    const std::string_view reported = ReportedName(answer.name);
    if (!reported.empty()) writer.ParameterStatus({reported, answer.value});
  } else {
    ++world_.counts.statements;
  }
}

void StubSession::Fail(std::string_view sqlstate, std::string_view message, std::string& out) {
  ++world_.counts.errors;
  MessageWriter(out).ErrorResponse(
      {.sqlstate = std::string(sqlstate), .message = absl::StrCat("stub: ", ToAbsl(message))});
  if (status_ == TransactionStatus::kInTransaction) status_ = TransactionStatus::kFailed;
  skipping_ = true;
}

void StubSession::Ready(std::string& out) {
  if (status_ == TransactionStatus::kIdle) ++world_.counts.transactions;
  MessageWriter(out).ReadyForQuery(status_);
}

}  // namespace trireme::bench
