// SPDX-License-Identifier: GPL-3.0-or-later
//
// Prepared statements of a client that changes servers: what it says by its own names is said to
// the server by the server's. Only names are rewritten; the rest of a message follows from the
// buffer it came in.
//
//   client says           the server has it        the server lacks it
//   Parse s1              ParseComplete by us      Parse trireme_…, its answer is the client's
//   Bind s1, Describe s1  the same with trireme_…  first a Parse of ours, its answer swallowed
//   Close s1              CloseComplete by us, whatever the server has: others use it
//
// With pool.plan_cache the empty name is a name like any other, for statements with parameters.
//
// What must hold: an answer of ours stands exactly at its place among the server's (kFake); what is
// refused fails at its place and undoes the pipeline as PostgreSQL would (a stand-in that is sure
// to fail); the books change with the request and are changed back when it fails.
#include <array>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "base/marks.h"
#include "session/client.h"
#include "session/clients.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/statement_name.h"
#include "wire/writer.h"

namespace trireme {
namespace {

constexpr Notes kClientNote{.client = true};
constexpr Notes kServerNote{.server = true};
constexpr Notes kBothNotes{.server = true, .client = true};

// The front of a Parse, Bind, Describe or Close: everything up to the statement's name.
struct Front {
  MessageHead head;
  Bytes before;           // the portal with its zero; 'S'; nothing
  std::string_view name;  // of the statement
  uint32_t size = 0;      // of all that, head and zeros included
};

// Requests has seen that the name ends within `bytes`.
Front ReadFront(Bytes bytes) {
  Front front{.head = ReadHead(bytes.data()), .before = {}, .name = {}};
  const std::string_view body = AsText(bytes.subspan(kHeadBytes));
  size_t at = 0;
  if (front.head.type == frontend::kBind) at = body.find('\0') + 1;
  if (front.head.type == frontend::kDescribe || front.head.type == frontend::kClose) at = 1;
  front.before = bytes.subspan(kHeadBytes, at);
  front.name = body.substr(at, body.find('\0', at) - at);
  front.size = static_cast<uint32_t>(kHeadBytes + at + front.name.size() + 1);
  return front;
}

// The same front with another name, and the length that follows from it.
class Renamed {
 public:
  Renamed(const Front& front, std::string_view name) {
    const uint32_t length =
        front.head.length - static_cast<uint32_t>(front.name.size() - name.size());
    bytes_[0] = static_cast<std::byte>(front.head.type);
    StoreBig32(bytes_.data() + 1, length);
    size_ = kHeadBytes;
    Append(front.before);
    Append(AsBytes(name));
    bytes_[size_++] = std::byte{0};
  }
  Bytes bytes() const { return {bytes_.data(), size_}; }

 private:
  void Append(Bytes bytes) {
    TRIREME_ASSERT(size_ + bytes.size() < bytes_.size());
    std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
    size_ += static_cast<uint32_t>(bytes.size());
  }
  std::array<std::byte, 2200> bytes_;  // two names of Requests' limit and what is around them
  uint32_t size_ = 0;
};

// What an error about a statement says of it.
struct StatementFault {
  enum class Kind : uint8_t {
    kNone,
    kNamed,    // it is called by the server's name
    kMissing,  // … and the server does not have it
    kStale,    // its result would have other columns than when it was made
  } kind = Kind::kNone;
  std::string server_name{};  // kNamed, kMissing
};

StatementFault FaultOf(Bytes body) {
  const PgError error = ParseErrorBody(body);
  const size_t at = error.message.find(kStatementNamePrefix);
  if (at != std::string::npos && error.message.size() - at >= StatementName::kBytes) {
    const bool missing = error.sqlstate == sqlstate::kInvalidSqlStatementName;
    return {missing ? StatementFault::Kind::kMissing : StatementFault::Kind::kNamed,
            error.message.substr(at, StatementName::kBytes)};
  }
  // Message texts are translated, names of routines are not.
  static constexpr std::string_view kRoutine("\0RRevalidateCachedQuery\0", 24);
  if (error.sqlstate == sqlstate::kFeatureNotSupported &&
      AsText(body).find(kRoutine) != std::string_view::npos) {
    return {StatementFault::Kind::kStale, {}};
  }
  return {};
}

PgError DoesNotExist(std::string_view name) {
  if (name.empty()) {
    return {.sqlstate = sqlstate::kInvalidSqlStatementName,
            .message = "unnamed prepared statement does not exist"};
  }
  return {.sqlstate = sqlstate::kInvalidSqlStatementName,
          .message = absl::StrCat("prepared statement \"", ToAbsl(name), "\" does not exist")};
}

PgError Exists(std::string_view name) {
  return {.sqlstate = sqlstate::kDuplicatePreparedStatement,
          .message = absl::StrCat("prepared statement \"", ToAbsl(name), "\" already exists")};
}

PgError TooMany(const LimitsConfig& limits) {
  return {.sqlstate = sqlstate::kConfigurationLimitExceeded,
          .message = "too many prepared statements",
          .detail = absl::StrCat("A client may have ", limits.client_statements_max, " of ",
                                 limits.client_statement_bytes_max, " bytes together."),
          .hint =
              "Close statements that are not needed, or raise limits.client_statements_max and "
              "limits.client_statement_bytes_max."};
}

}  // namespace

Statements* Client::kept_statements() const {
  if (keeps_server() || account_->pool->settings().pool.prepared_statements_max == 0)
    return nullptr;
  return &clients_.statements();
}

ClientStatements& Client::statements() {
  if (statements_ == nullptr) statements_ = std::make_unique<ClientStatements>();
  return *statements_;
}

StatementId Client::IdOf(const StatementRef& statement) {
  Statements& all = clients_.statements();
  return all.IdOf(statement, statements().Environment(all, *wish_));
}

// The message at the front of the inbox.
void Client::ActOnStatement() {
  const Bytes bytes = inbox_.Front();
  const MessageHead head = ReadHead(bytes.data());
  if (server_ != nullptr && server_->replies().skipping()) {
    return requests_.Drop(head.total_size());  // the server would pass it over
  }
  switch (head.type) {
    case frontend::kParse:
      return PrepareStatement(bytes);
    case frontend::kClose:
      return CloseStatement(bytes);
    default:
      return UseStatement(bytes);
  }
}

void Client::PrepareStatement(Bytes bytes) {
  const MessageHead head = ReadHead(bytes.data());
  const LimitsConfig& limits = clients_.config().limits;
  if (bytes.size() < head.total_size()) return Refuse(TooMany(limits));
  ++account_->counters.requests.parses;
  const Front front = ReadFront(bytes);
  const std::string_view text = AsText(bytes.subspan(front.size, head.total_size() - front.size));
  const std::string_view query = text.substr(0, text.find('\0'));
  if (watched_ && RefusesTraces(query)) return;
  StatementRef statement = clients_.statements().Intern(text);
  if (watched_) statement.MarkLeaves(LeavesOf(query));
  const StatementId id = IdOf(statement);
  if (front.name.empty()) {  // it takes the place of the one before, and does not give it back
    statements().Forget({});
    requests_.OnUnnamedKept();
  }
  switch (statements().Add(front.name, std::move(statement),
                           {.count_max = limits.client_statements_max,
                            .bytes_max = limits.client_statement_bytes_max})) {
    case ClientStatements::Added::kYes:
      break;
    case ClientStatements::Added::kExists:
      return Refuse(Exists(front.name));
    case ClientStatements::Added::kTooMany:
      return Refuse(TooMany(limits));
  }
  Replies& replies = server_->replies();
  const PreparedSet::Presence presence = server_->prepared().Use(id);
  if (presence == PreparedSet::Presence::kPresent &&
      replies.status() != TransactionStatus::kFailed) {
    replies.Expect(Request::kParse, Disposition::kFake, kClientNote);
    return requests_.Drop(head.total_size());
  }
  // A statement that is there, or will be, must give way to one that PostgreSQL has judged now.
  if (presence != PreparedSet::Presence::kAbsent) CloseOnServer(id);
  MakeRoom();
  server_->prepared().Add(id);
  replies.Expect(Request::kParse, Disposition::kForward, kBothNotes);
  ++account_->counters.requests.server_parses;
  server_->stream().SendCopy(Renamed(front, StatementName(id).view()).bytes());
  inbox_.DropFront(front.size);
  requests_.Pass(head.total_size() - front.size);
}

// Bind or Describe.
void Client::UseStatement(Bytes bytes) {
  const Front front = ReadFront(bytes);
  if (front.name.empty() &&
      !requests_.unnamed_kept()) {  // Requests knows it, but this server does not have it
    server_->replies().Expect(Request::kParse, Disposition::kSkip);
    SendParse({}, requests_.unnamed().text());
    return requests_.OnUnnamedSent();
  }
  ClientStatements::Entry* entry = statements().Look(front.name);
  if (entry == nullptr) {
    return MayBeOfSql() ? UseOfSql(front.head) : Refuse(DoesNotExist(front.name));
  }
  const StatementRef& statement = entry->statement;
  const bool first_use = entry->TakeFirstUse();
  if (front.head.type == frontend::kBind && MustLook(statement.leaves())) {
    LookAtStatement(statement.text());
  }
  const StatementId id = IdOf(statement);
  if (inbox_.slice_count() == 1) KeepRepeatable(inbox_.ShareFront(), id, first_use);
  BringStatement(statement);
  const bool bind = front.head.type == frontend::kBind;
  server_->replies().Expect(bind ? Request::kBind : Request::kDescribe, Disposition::kForward);
  if (bind) ++account_->counters.requests.binds;
  server_->stream().SendCopy(Renamed(front, statement.NameOf(id)).bytes());
  const uint32_t rest = front.head.total_size() - front.size;
  inbox_.DropFront(front.size);
  requests_.Pass(rest);
}

// The same for a whole pipeline of one statement that the server has, at one go. False: it is none.
bool Client::PassPreparedPipeline(Slice& slice) {
  if (statements_ == nullptr || kept_statements() == nullptr) return false;
  const auto pipeline = requests_.WholePreparedPipeline(slice.bytes(), clients_.request_limits());
  if (!pipeline) return false;
  ClientStatements::Entry* entry = statements_->Look(pipeline->name);
  if (entry == nullptr || MustLook(entry->statement.leaves())) return false;
  const bool lent = LentAtOnce();
  const StatementId id = IdOf(entry->statement);
  if (!lent || server_->prepared().Use(id) != PreparedSet::Presence::kPresent) {
    WaitWith(std::move(slice));
    return true;
  }
  KeepRepeatable(slice.Part(0, slice.size()), id, entry->TakeFirstUse());
  requests_.OnPreparedPipeline(*pipeline, server_->replies(), account_->counters.requests);
  const Front front{.head = ReadHead(slice.data()),
                    .before = slice.bytes().subspan(kHeadBytes, 1),  // the unnamed portal
                    .name = pipeline->name,
                    .size = static_cast<uint32_t>(kHeadBytes + 2 + pipeline->name.size())};
  slice.TrimFront(front.size);
  server_->stream().SendBehind(Renamed(front, entry->statement.NameOf(id)).bytes(),
                               std::move(slice));
  return true;
}

// The first request of a transaction, and what follows it in the same buffer: see AskAgain.
void Client::KeepRepeatable(Slice bytes, StatementId id, bool first_use) {
  const Replies& replies = server_->replies();
  if (!replies.owed().empty() || replies.needs_sync() ||
      replies.status() != TransactionStatus::kIdle) {
    return;
  }
  statements_->repeatable = {.bytes = std::move(bytes),
                             .id = id,
                             .bytes_received = stream_.bytes_received(),
                             .first_use = first_use};
}

void Client::CloseStatement(Bytes bytes) {
  const Front front = ReadFront(bytes);
  requests_.Drop(front.head.total_size());
  if (front.name.empty()) requests_.ForgetUnnamed();
  if (server_ != nullptr && MayBeOfSql() && statements().Find(front.name) == nullptr) {
    return UseOfSql(front.head);
  }
  if (server_ != nullptr) {
    statements().Remove(front.name);
    server_->replies().Expect(Request::kClose, Disposition::kFake, kClientNote);
    return;
  }
  static constexpr Replies::Outcome kDone{.notes = kClientNote, .answered = true};
  statements().Remove(front.name);
  statements().OnOutcomes({&kDone, 1});
  std::string text;
  MessageWriter(text).CloseComplete();
  SendText(text);
}

// --- to the server -------------------------------------------------------------------------------

void Client::SendParse(std::string_view name, std::string_view text) {
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kParse);
  writer.String(name);
  writer.RawBytes(AsBytes(text));
  writer.End();
  ++account_->counters.requests.server_parses;
  server_->stream().SendCopy(AsBytes(message));
}

// A Parse ahead of what needs it, where the server lacks it. False: it does not.
bool Client::BringStatement(const StatementRef& statement) {
  const StatementId id = IdOf(statement);
  const PreparedSet::Presence presence = server_->prepared().Use(id);
  if (presence == PreparedSet::Presence::kSuspect) CloseOnServer(id);
  if (presence != PreparedSet::Presence::kSuspect && presence != PreparedSet::Presence::kAbsent) {
    return false;
  }
  MakeRoom();
  server_->prepared().Add(id);
  const bool forget = TRIREME_MUTATION(kForwardInjectedParse);
  server_->replies().Expect(Request::kParse, forget ? Disposition::kForward : Disposition::kSkip,
                            kServerNote);
  SendParse(StatementName(id).view(), statement.text());
  return true;
}

void Client::CloseOnServer(StatementId id) {
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kClose);
  writer.Byte('S');
  writer.String(StatementName(id).view());
  writer.End();
  server_->prepared().Remove(id);
  server_->replies().Expect(Request::kClose, Disposition::kSkip, kServerNote);
  server_->stream().SendCopy(AsBytes(message));
}

// For one statement more. A portal that was bound keeps what it needs of a closed statement.
void Client::MakeRoom() {
  const uint32_t most = account_->pool->settings().pool.prepared_statements_max;
  while (const std::optional<StatementId> surplus = server_->prepared().Surplus(most)) {
    TRIREME_COVER(kStatementEvicted);
    CloseOnServer(*surplus);
  }
}

// --- answers -------------------------------------------------------------------------------------

// Those of ours whose turn has come.
void Client::AnswerFakes() {
  Replies& replies = server_->replies();
  while (!replies.owed().empty() && !replies.mid_message() &&
         replies.owed().front().disposition == Disposition::kFake) {
    std::string text;
    if (replies.fake() == Request::kParse) {
      MessageWriter(text).ParseComplete();
    } else {
      MessageWriter(text).CloseComplete();
    }
    SendText(text);
    replies.FakeSent();
    TakeNews();
  }
}

// The books follow what became of the requests.
void Client::TakeNews() {
  const Replies::News news = server_->TakeNews();
  if (news.unnamed_lost) requests_.ForgetUnnamed();
  if (statements_ == nullptr) return;
  statements_->OnOutcomes(news.outcomes);
  if (news.discarded) statements_->OnDiscarded();
}

std::string Client::NameOnServer(std::string_view server_name) {
  return statements_ != nullptr ? statements_->NameOf(server_name, clients_.statements())
                                : std::string();
}

// A Bind or Describe has failed. Three things may be wrong with a statement that would be right on
// a server of the client's own: the server does not have it after all, it was made before a table
// changed, or the error calls it by a name that is not the client's.
void Client::OnStatementError(const ReplyStep& step) {
  const StatementFault fault = FaultOf(step.message);
  const bool whole = !server_->replies().mid_message();
  const auto size = static_cast<uint32_t>(kHeadBytes + step.message.size());
  const uint32_t before = step.size - size;  // what was answered ahead of it
  using Kind = StatementFault::Kind;
  if (fault.kind == Kind::kMissing || fault.kind == Kind::kStale) {
    server_->prepared().SuspectAll();
  }
  Inbox& inbox = server_->inbox();
  // A client that has used the statement expects the columns it had, and PostgreSQL would tell it
  // as well; one that has only prepared it has not seen them.
  const bool ours =
      fault.kind == Kind::kMissing ||
      (fault.kind == Kind::kStale && statements_ != nullptr && statements_->repeatable.first_use);
  if (ours && whole && before == 0 && MayAskAgain()) {
    inbox.DropFront(step.size);
    return AskAgain();
  }
  if (fault.server_name.empty() || !whole) {
    stream_.Send(inbox.TakeFront(step.size));
    return;
  }
  const std::string name = NameOnServer(fault.server_name);
  std::string text(AsText(step.message));
  text.replace(text.find(fault.server_name), fault.server_name.size(), name);
  std::string message;
  MessageWriter writer(message);
  writer.Begin(backend::kErrorResponse);
  writer.RawBytes(AsBytes(text));
  writer.End();
  if (before > 0) stream_.Send(inbox.TakeFront(before));
  inbox.DropFront(size);
  SendText(message);
}

// Nothing has been answered, no transaction was open, and everything that was asked is at hand.
bool Client::MayAskAgain() const {
  if (statements_ == nullptr || statements_->repeated || statements_->repeatable.bytes.empty()) {
    return false;
  }
  const Replies& replies = server_->replies();
  return replies.status() == TransactionStatus::kIdle && replies.owed().count() <= 1 &&
         inbox_.empty() && !requests_.mid_message() && !requests_.passing_over() &&
         statements_->repeatable.bytes_received == stream_.bytes_received();
}

// With the statement made anew: the same requests, from the one that failed on.
void Client::AskAgain() {
  Replies& replies = server_->replies();
  if (!replies.SwallowSync()) {
    std::string message;
    MessageWriter(message).Sync();
    replies.Expect(Request::kSync, Disposition::kSkip);
    server_->stream().SendCopy(AsBytes(message));
  }
  TakeNews();
  statements_->repeated = true;
  CloseOnServer(statements_->repeatable.id);
  inbox_.Push(std::move(statements_->repeatable.bytes));
  // PumpReplies comes back to PumpRequests.
}

// The message at the front of the inbox is refused: it must fail at its place among the others, and
// undo what came before it in the pipeline. So the server gets another one in its stead that is
// sure to fail and changes nothing.
void Client::Refuse(PgError error) {
  const MessageHead head = ReadHead(inbox_.Front().data());
  if (server_ != nullptr && server_->replies().skipping()) return requests_.Drop(head.total_size());
  const auto ready = requests_.PassOver(inbox_.Front());
  if (server_ == nullptr) {
    FailDeferred();
    return SendError(error);
  }
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kExecute);
  writer.String("refused by the pooler");  // there is no such portal
  writer.Int32(0);
  writer.End();
  statements().Refuse(std::move(error));
  server_->replies().Expect(Request::kExecute, Disposition::kSkip, kClientNote);
  if (ready == Requests::ReadyIsOwed::kNow) {  // a Query: it has no Sync of its own
    writer.Sync();
    server_->replies().Expect(Request::kSync, Disposition::kForward);
  }
  server_->stream().SendCopy(AsBytes(message));
}

}  // namespace trireme
