// SPDX-License-Identifier: GPL-3.0-or-later
//
// What may pass, and who owes whom a reply. Requests go from the client's inbox to the server's
// stream, replies from the server's inbox to the client's stream, as slices of the buffers they
// came in.
//
//   client ──▶ inbox_ ──▶ Requests::Next ──▶ server stream          (PumpRequests)
//   client ◀── stream_ ◀── Replies::Next ◀── server inbox           (PumpReplies)
//
// What must hold:
//  * A request is counted in Replies before its bytes are sent.
//  * What we prepend (parameters) leaves in the same send as the client's first message.
//  * The server goes back at the ReadyForQuery after which nothing is owed and no transaction is
//  open, even
//    when the client is slow to read: what is owed to the client stays in the client's stream.
//  * Back-pressure: a clogged server stops requests, a clogged client stops replies (and new
//  requests); each
//    side resumes when the other has drained. Neither can stop both, so there is no deadlock. What
//    a replicating client says (how far it has come) passes while it is slow to read, too.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/marks.h"
#include "session/client.h"
#include "session/clients.h"
#include "session/console_session.h"
#include "session/parameters.h"
#include "sql/first_word.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme {
namespace {

PgError NamedParseError() {
  return {.sqlstate = sqlstate::kFeatureNotSupported,
          .message = "named prepared statements are not kept by this pool",
          .detail =
              "The server connection changes between transactions, and the pool's "
              "prepared_statements_max is 0.",
          .hint =
              "Use unnamed statements, raise pool.prepared_statements_max, or set pool.mode to "
              "\"session\"."};
}

// As PostgreSQL says it of a type it does not know. Of an impossible length it says nothing at all.
std::string BrokenText(char type) {
  static constexpr std::string_view kKnown = "QPBDECHSFdcf";
  const std::string number = std::to_string(static_cast<uint8_t>(type));
  return kKnown.find(type) == std::string_view::npos
             ? "invalid frontend message type " + number
             : "invalid length of a frontend message of type " + number;
}

PgError StaleUnnamedError() {
  return {.sqlstate = sqlstate::kInvalidSqlStatementName,
          .message = "unnamed prepared statement does not exist"};
}

}  // namespace

bool Client::keeps_server() const { return account_->mode == PoolMode::kSession; }

// Replication clients have no pool, and nobody after them.
bool Client::resets_when_dirty() const {
  return account_->pool != nullptr &&
         account_->pool->settings().pool.reset == ResetPolicy::kWhenDirty;
}

bool Client::caches_plans() const {
  return !keeps_server() && account_->pool->settings().pool.plan_cache;
}

// --- requests ---

// PumpRequests for the commonest cases: a client without a server sends one Query, or one pipeline
// with its Sync, whole, and nothing else. With an idle server at hand it does not even enter the
// inbox.
void Client::PassWholeQuery(Slice&& slice) {
  if (!LentAtOnce()) return WaitWith(std::move(slice));
  requests_.OnWholeQuery(server_->replies());
  server_->stream().Send(std::move(slice));
}

// False: it is none.
bool Client::PassWholePipeline(Slice& slice) {
  if (static_cast<char>(*slice.data()) == frontend::kBind) return PassPreparedPipeline(slice);
  if (keeps_server() || caches_plans()) return false;
  auto pipeline = requests_.WholePipeline(slice.bytes(), clients_.request_limits());
  if (!pipeline) return false;
  const Numbers numbers = this->numbers();
  const TextVerdict verdict = JudgeText(pipeline->text, text_rules_, numbers);
  if (MustAnalyze(verdict, numbers)) return false;
  if (verdict == TextVerdict::kNumbers) pipeline->leaves = Leaves::kNumbers;
  if (!LentAtOnce()) {
    WaitWith(std::move(slice));
    return true;
  }
  requests_.OnWholePipeline(*pipeline, {.replies = &server_->replies(),
                                        .pinned = false,
                                        .limits = clients_.request_limits(),
                                        .counts = account_->counters.requests,
                                        .statements = kept_statements()});
  server_->stream().Send(std::move(slice));
  return true;
}

bool Client::LentAtOnce() {
  pumping_ = true;
  BeginWait();
  pumping_ = false;
  return state_ == State::kLinked && !server_->stream().clogged();
}

void Client::WaitWith(Slice&& slice) {
  inbox_.Push(std::move(slice));
  if (state_ == State::kLinked) return PumpRequests();
  if (clients_.streams().buffers().scarce()) inbox_.MoveToHeap(clients_.streams().buffers());
  UpdateReceiving();
}

void Client::PumpRequests() {
  if (pumping_ || state_ == State::kWaiting) return;
  pumping_ = true;
  if (state_ == State::kIdle) idle_since_ = clients_.now();
  while ((state_ == State::kIdle || state_ == State::kLinked) && !inbox_.empty()) {
    if (stream_.clogged() && !replicates()) break;                 // until OnDrained
    if (server_ != nullptr && server_->stream().clogged()) break;  // until OnServerDrained
    Replies* replies = server_ != nullptr ? &server_->replies() : nullptr;
    const bool resting = replies != nullptr && replies->owed().empty() && !replies->needs_sync();
    const Requests::Context context{replies,
                                    keeps_server(),
                                    clients_.request_limits(),
                                    account_->counters.requests,
                                    kept_statements(),
                                    watch(),
                                    numbers(),
                                    caches_plans()};
    need_ = 0;
    const RequestStep step = requests_.Next(inbox_.Front(), context);
    if (resting && !replies->owed().empty()) OnQuery();
    if (step.size > 0) {
      if (step.forward) {
        server_->stream().Send(inbox_.TakeFront(step.size));
      } else {
        inbox_.DropFront(step.size);
      }
    }
    if (!ActOnRequest(step)) break;
  }
  pumping_ = false;
  // What cannot go on now must not keep the buffers that the answers need.
  Buffers& buffers = clients_.streams().buffers();
  if (!inbox_.empty() && buffers.scarce()) inbox_.MoveToHeap(buffers);
  if (state_ == State::kLinked) ReturnIfFree();
  if (peer_done_) CloseIfDone();
  UpdateReceiving();
}

// The client asks no more, and has its answers.
void Client::CloseIfDone() {
  const bool at_rest = state_ == State::kIdle || (state_ == State::kLinked &&
                                                  (server_->replies().at_rest() || EndsWithPeer()));
  if (!at_rest) return;
  const bool held_back = stream_.clogged() || (server_ != nullptr && server_->stream().clogged());
  if (inbox_.empty() || !held_back) Close("client closed its connection", Farewell::kFlush);
}

// False: nothing more can be done with the inbox now.
bool Client::ActOnRequest(const RequestStep& step) {
  using Event = RequestStep::Event;
  switch (step.event) {
    case Event::kNone:
      return true;
    case Event::kNeedMore:
      need_ = step.need;
      if (inbox_.size() < step.need) return false;
      inbox_.Join(step.need, clients_.streams().buffers());
      return true;
    case Event::kNeedsServer:
      if (AnswerWithoutServer()) return true;
      BeginWait();
      return state_ == State::kLinked;
    case Event::kAskForReplies:  // PumpReplies comes back
      AskForReplies();
      return false;
    case Event::kAwaitReplies:
      return false;
    case Event::kTerminate:
      inbox_.Clear();
      OnPeerDone();
      return false;
    case Event::kSyncAlone: {
      std::string text;
      MessageWriter(text).ReadyForQuery(StatusWithoutServer());
      SendText(text);
      return true;
    }
    case Event::kStatement:
      ActOnStatement();
      if (server_ != nullptr) AnswerFakes();
      return true;
    case Event::kText:
      return ActOnText();
    case Event::kNamedParse:
      Refuse(NamedParseError());
      return true;
    case Event::kStaleUnnamed:
      Refuse(StaleUnnamedError());
      return true;
    case Event::kFlushWithBody:
      Refuse({.sqlstate = sqlstate::kProtocolViolation, .message = "invalid message format"});
      return true;
    case Event::kBroken:
      CloseWith({.severity = severity::kFatal,
                 .sqlstate = sqlstate::kProtocolViolation,
                 .message = BrokenText(requests_.broken_type())},
                "protocol violation");
      return false;
  }
  TRIREME_UNREACHABLE();
}

// PostgreSQL may keep what it has answered until a Sync, which is behind what we hold back.
void Client::AskForReplies() {
  TRIREME_COVER(kTooMuchOwed);
  if (TRIREME_MUTATION(kForgetFlush)) return;
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kFlush);
  writer.End();
  server_->stream().SendCopy(AsBytes(message));
}

void Client::SendError(const PgError& error) {
  std::string text;
  MessageWriter(text).ErrorResponse(error);
  SendText(text);
}

void Client::BeginWait() {
  TRIREME_ASSERT(state_ == State::kIdle);
  state_ = State::kWaiting;
  request_since_ = clients_.now();
  account_->pool->Checkout(*this, *this, account_->limits.wait.after);
  if (state_ == State::kWaiting) [[unlikely]]
    OnQueued();
}

void Client::OnServer(Server& server) {
  TRIREME_ASSERT(state_ == State::kWaiting && server_ == nullptr);
  Link(server);
  if (!pumping_) PumpRequests();
}

inline void Client::BringParameters() {
  if (satisfied_hash_ == 0 || server_->parameters().hash() != satisfied_hash_) [[unlikely]]
    ChangeParameters();
}

// The server is ours: bring its parameters to what the client wants, ahead of the client's first
// message.
void Client::Link(Server& server) {
  server_ = &server;
  state_ = State::kLinked;
  cancel_due_ = false;
  ++account_->counters.assignments;
  account_->counters.wait_ns += (clients_.now() - request_since_).count();
  const Time begun_at = transaction_since_;
  request_since_ = transaction_since_ = clients_.now();
  Watch();
  server.replies().TakeCounts();  // of somebody who left before they were told
  BringParameters();
  // After the last client no reset was due.
  if (server.used() && keeps_server() && resets_when_dirty()) [[unlikely]]
    ForgetSequences();
  if (deferred_ != DeferredBegin::kNone) [[unlikely]] {
    transaction_since_ = begun_at;
    SendDeferredBegin();
  }
}

void Client::ChangeParameters() {
  Server& server = *server_;
  // What the client has taken on by SET SESSION AUTHORIZATION is not ours to undo.
  const bool acts_as_other = (pins() & pin::kAuthorization) != 0;
  const FulfilledWish asked{.wish = wish_->hash(),
                            .has = server.parameters().hash(),
                            .baseline = server.baseline().hash()};
  if (!acts_as_other && asked.has != 0 && asked == account_->fulfilled) {
    satisfied_hash_ = asked.has;
    return;
  }
  ParameterSet has = server.parameters();
  if (acts_as_other) {
    has.Set(kSessionAuthorization, *server.baseline().Find(kSessionAuthorization));
  }
  const std::string sql =
      ParameterChanges({.wish = *wish_, .has = has, .baseline = server.baseline()});
  if (sql.empty()) {
    satisfied_hash_ = asked.has;
    if (!acts_as_other) account_->fulfilled = asked;
    return;
  }
  parameter_work().before = server.parameters();
  std::string message;
  MessageWriter(message).Query(sql);
  server.replies().Expect(Request::kQuery, TRIREME_MUTATION(kForgetSwallow) ? Disposition::kForward
                                                                            : Disposition::kSkip);
  server.stream().SendCopy(AsBytes(message));
  ApplyChanges(*wish_, server.baseline(), has);
  if (acts_as_other) {
    has.Set(kSessionAuthorization, *server.parameters().Find(kSessionAuthorization));
  }
  server.parameters() = std::move(has);
}

// --- replies ---

void Client::OnServerReceive(Slice&& slice) {
  if (server_->inbox().empty() && account_->mode != PoolMode::kStatement &&
      server_->replies().TakeWholeAnswer(slice.bytes())) [[likely]] {
    stream_.Send(std::move(slice));
    OnReady();
    return RepliesPassed();
  }
  server_->inbox().Push(std::move(slice));
  PumpReplies();
}

void Client::PumpReplies() {
  while (state_ == State::kLinked) {
    Inbox& inbox = server_->inbox();
    const ReplyStep step = server_->replies().Next(inbox.Front());
    // `message` points into the inbox: read it before its bytes move on.
    if (step.event == ReplyStep::Event::kParameter) OnParameter(step.message);
    if (step.event == ReplyStep::Event::kRow) OnAnswer(step.message);
    if (step.event == ReplyStep::Event::kHeldError) [[unlikely]] {
      PassHeldError(step);
      continue;
    }
    if (step.event == ReplyStep::Event::kInjectedError) {
      const PgError error = ParseErrorBody(step.message);
      inbox.DropFront(step.size);
      if (!ActOnInjectedError(step.failed, error)) return;
      if (server_->replies().has_news()) TakeNews();
      continue;
    }
    if (step.event == ReplyStep::Event::kStatementError) {
      OnStatementError(step);
      if (server_->replies().has_news()) TakeNews();
      if (inbox.empty()) break;
      continue;
    }
    uint32_t forward = step.forward ? step.size : 0;
    const bool refuse_transaction = step.event == ReplyStep::Event::kReady &&
                                    account_->mode == PoolMode::kStatement &&
                                    server_->replies().status() != TransactionStatus::kIdle;
    if (refuse_transaction && forward > 0)
      forward -= kHeadBytes + 1;  // ReadyForQuery gives way to the error
    if (forward > 0) stream_.Send(inbox.TakeFront(forward));
    if (step.size > forward) inbox.DropFront(step.size - forward);
    if (server_->replies().has_news()) [[unlikely]]
      TakeNews();
    if (forward > 0 && statements_ != nullptr) statements_->repeatable.bytes.Clear();
    if (refuse_transaction) {
      CloseWith({.severity = severity::kFatal,
                 .sqlstate = sqlstate::kFeatureNotSupported,
                 .message = "transaction blocks are not allowed in statement pooling mode",
                 .hint = "Set the route's pool.mode to \"transaction\" or \"session\"."},
                "transaction in statement mode");
      return;
    }
    if (step.event == ReplyStep::Event::kNeedMore) {
      if (inbox.size() < step.need) break;
      inbox.Join(step.need, clients_.streams().buffers());
      continue;
    }
    if (!ActOnReplies(step.event)) return;
    if (cancel_due_) [[unlikely]]
      CancelIfDue();
    if (inbox.empty()) break;
  }
  if (state_ == State::kLinked) RepliesPassed();
}

// What has come was passed on: is the server's stay over, and who waited for that?
void Client::RepliesPassed() {
  if (stream_.clogged() && !server_->stream().receive_paused()) server_->stream().PauseReceive();
  if (unserved_) [[unlikely]] {  // what it came for had to wait for the SETs
    unserved_ = false;
    return PumpRequests();
  }
  ReturnIfFree();
  // Some waited for replies to be given, or for the next server.
  if (!inbox_.empty() || peer_done_) PumpRequests();
}

// The SETs are done: what runs now, if anything does, is what the client wants cancelled.
void Client::CancelIfDue() {
  if (OwnWorkRuns()) return;
  cancel_due_ = false;
  if (!server_->replies().owed().empty()) server_->Cancel(nullptr);
}

// False: the client is gone.
bool Client::ActOnInjectedError(Request failed, PgError error) {
  if (failed == Request::kExecute && error.severity == severity::kError) {
    const PgError* refusal = statements_ != nullptr ? statements_->refusal() : nullptr;
    SendError(refusal != nullptr ? *refusal : error);
    return true;
  }
  const ExpectedReplies& owed = server_->replies().owed();
  if (!owed.empty() && owed.front().disposition == Disposition::kAsk &&
      error.severity == severity::kError) {
    OnQuestionFailed();
    return true;
  }
  if (deferred_ == DeferredBegin::kJoinedFailed && error.sqlstate == kFailingSqlstate) return true;
  // The changes were one transaction, now undone.
  if (works_on_parameters() && parameter_work().before) {
    server_->parameters() = *parameter_work().before;
  }
  error.severity = severity::kFatal;
  CloseWith(error, failed == Request::kQuery ? "a session parameter was refused by the server"
                                             : "server connection ended");
  return false;
}

// False: the server is gone, or the client is.
bool Client::ActOnReplies(ReplyStep::Event event) {
  using Event = ReplyStep::Event;
  switch (event) {
    case Event::kNone:
    case Event::kParameter:
    case Event::kRow:
    case Event::kNeedMore:
    case Event::kHeldError:
    case Event::kInjectedError:
    case Event::kStatementError:
      return true;
    case Event::kFake:
      AnswerFakes();
      return true;
    case Event::kReady:
      OnReady();
      return true;
    case Event::kReadyInDoubt:
      AskForEmptyAnswer();
      return true;
    case Event::kBroken:
      OnServerBroken();
      return false;
  }
  TRIREME_UNREACHABLE();
}

void Client::OnServerBroken() {
  const bool lost_count = server_->replies().lost_count();
  const std::string_view reason =
      lost_count ? "answers cannot be told apart" : "server broke the protocol";
  clients_.log().Error(reason, {{"client", id_}, {"server", server_->id()}});
  server_->pool().Abandon(*std::exchange(server_, nullptr), AbandonReason::kProtocol);
  state_ = State::kIdle;
  PgError error{.severity = severity::kFatal,
                .sqlstate = sqlstate::kProtocolViolation,
                .message = "the server sent a message that is not part of the protocol"};
  if (lost_count) {
    error.message = "cannot tell which requests the server will answer";
    error.detail = "Other requests than Sync and Flush were sent inside a COPY that has failed.";
  }
  CloseWith(error, reason);
}

// The client's, if any is still to come, are in front of it.
void Client::AskForEmptyAnswer() {
  std::string message;
  MessageWriter(message).Query("");
  server_->replies().Expect(Request::kQuery, Disposition::kSkip);
  server_->stream().SendCopy(AsBytes(message));
}

// Something is asked of a server that had nothing to do: time between queries is the client's own.
void Client::OnQuery() {
  request_since_ = clients_.now();
  if (server_->replies().status() == TransactionStatus::kIdle) transaction_since_ = request_since_;
  Watch();
}

// Nothing is owed: statistics. Whether the server's stay is over, ReturnIfFree decides.
void Client::OnReady() {
  const Time now = clients_.now();
  AccountCounters& counters = account_->counters;
  const Replies::Counts counts = server_->replies().TakeCounts();
  counters.queries += counts.queries;
  counters.transactions += counts.transactions;
  if (counts.queries > 0) counters.query_ns += (now - request_since_).count();
  if (counts.queries > 0 && server_->replies().status() == TransactionStatus::kIdle) {
    counters.transaction_ns += (now - transaction_since_).count();
  }
  request_since_ = idle_since_ = now;
  deferred_ = DeferredBegin::kNone;
  if (rare_ != nullptr || statements_ != nullptr) [[unlikely]]
    OnRareReady(counts);
  Watch();
}

void Client::OnRareReady(const Replies::Counts& counts) {
  if (works_on_parameters()) {
    using Reset = ParameterWork::Reset;
    unserved_ = parameter_work().before.has_value() && counts.queries == 0;
    parameter_work().before.reset();
    const Reset reset = parameter_work().reset;
    if ((reset == Reset::kRuns || reset == Reset::kRestores) && !OnResetReady(counts)) return;
  }
  if (statements_ != nullptr) statements_->OnReady();
  if (kept_traces() != nullptr) SettleTraces(counts);
  if (works_on_parameters()) {
    parameter_work().reset = ParameterWork::Reset::kNone;
    if (!parameter_work().before) rare_->parameter_work.reset();
    FreeRare();
  }
}

// What the server reports is what the client has now: the client asked for it, by SQL or at login.
void Client::OnParameter(Bytes body) {
  const std::optional<ParameterView> parameter = ParseParameterStatus(body);
  if (!parameter) return;
  if (!TRIREME_MUTATION(kForgetParameter)) {
    server_->parameters().Set(parameter->name, parameter->value);
  }
  const ReportedParameter* reported = FindReportedParameter(parameter->name);
  if (reported == nullptr || !reported->settable) return;
  ParameterSet wish = *wish_;
  if (wish.Set(parameter->name, parameter->value)) {
    wish_ = clients_.wishes().Intern(std::move(wish));
    OnWishChanged();
  }
}

bool Client::may_return() const {
  return !keeps_server() && kept_traces() == nullptr && server_->replies().clean() &&
         !requests_.mid_forward() && server_->inbox().empty() && !server_->stream().clogged();
}

void Client::ReturnIfFree() {
  if (state_ != State::kLinked || !server_->replies().at_rest()) return;
  const bool between_transactions = server_->replies().clean() && !requests_.mid_forward();
  if (may_return()) {
    if (server_->stream().receive_paused()) server_->stream().ResumeReceive();
    requests_.OnServerReturned();
    Server& server = *std::exchange(server_, nullptr);
    state_ = State::kIdle;
    account_->pool->Return(server, account_->mode);
  }
  if (between_transactions && draining_) CloseWith(clients_.ShutdownError(), "shutdown");
}

// --- flow ---

void Client::OnDrained() {
  if (server_ != nullptr && server_->stream().receive_paused()) server_->stream().ResumeReceive();
  if (state_ == State::kConsole) console_session()->OnBytes();
  if (state_ == State::kIdle || state_ == State::kLinked) PumpRequests();
}

void Client::OnServerDrained() { PumpRequests(); }

// A client may be ahead of its server by so much, or by the message that must be whole; beyond that
// its bytes stay in its own socket.
void Client::UpdateReceiving() {
  if (!stream_.open() || peer_done_) return;
  const bool full = inbox_.size() >= std::max(clients_.backlog_bytes_max(), need_);
  if (full && !stream_.receive_paused()) stream_.PauseReceive();
  if (!full && stream_.receive_paused()) stream_.ResumeReceive();
}

void Client::SendText(std::string_view text) { stream_.SendCopy(AsBytes(text)); }

}  // namespace trireme
