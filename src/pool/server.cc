// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server that is logged in: lent, cleaned, handed over, closed. How it gets there is in
// server_connect.cc.
#include "pool/server.h"

#include <utility>

#include "base/assert.h"
#include "base/marks.h"
#include "pool/pools.h"
#include "wire/command.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace trireme {

namespace {
// After Terminate or a half-close PostgreSQL ends its side within milliseconds. A backend that is
// busy does not notice; we do not wait for it.
constexpr Duration kEndWait = 1s;
}  // namespace

Server::Server(Pools& pools, uint64_t id)
    : pools_(pools),
      id_(id),
      timer_([](void* server) { static_cast<Server*>(server)->OnTimeout(); }, this) {
  NewStream();
}

void Server::NewStream() {
  StreamOwner& owner = *this;
  stream_.emplace(pools_.context_.streams, owner);
}

Server::Server(Pools& pools, ServerPassport& passport) : Server(pools, passport.id) {
  parameters_ = std::move(passport.parameters);
  baseline_ = std::move(passport.baseline);
  key_ = std::move(passport.key);
  address_ = passport.address;
  counters_ = passport.counters;
  prepared_ = std::move(passport.prepared);
  stream_->Adopt(std::exchange(passport.fd, -1));
}

Server::~Server() {
  pools_.context_.timers.Cancel(timer_);
  if (holds_ > 0) pools_.ForgetServer(*this);
}

PooledServer::Rest Server::rest() const {
  if (!replies_.clean() || ended_) return Rest::kDirty;
  return inbox_.empty() ? Rest::kClean : Rest::kUnread;
}

ServerCounters Server::counters() const {
  ServerCounters counters = counters_;
  counters.bytes_received += stream_->bytes_received();
  counters.bytes_sent += stream_->bytes_sent();
  return counters;
}

void Server::Serve(Waiter& waiter) {
  TRIREME_ASSERT(rest() == Rest::kClean);
  ++counters_.times_lent;
  waiter.OnServer(*this);
}

// --- what the connection says --------------------------------------------------------------------

void Server::OnReceive(Slice&& slice) {
  switch (state()) {
    case State::kLent:
      return user()->OnServerReceive(std::move(slice));
    case State::kLogin:
      inbox_.Push(std::move(slice));
      return OnLoginBytes();
    case State::kIdle:
    case State::kLeaving:
      inbox_.Push(std::move(slice));
      return OnIdleBytes();
    case State::kSettling:
      inbox_.Push(std::move(slice));
      return OnSettlingBytes();
    case State::kConnecting:
    case State::kClosing:
      return;
  }
}

void Server::OnEnd(int error) {
  ended_ = true;
  switch (state()) {
    case State::kLent:
      user()->OnServerEnd(error);
      // The user may have abandoned it meanwhile.
      if (state() == State::kLent || state() == State::kSettling) {
        pool().OnBroken(*this, CloseReason::kServerEnded);
      }
      return;
    case State::kLogin:
      return LoginEnded(error);
    case State::kIdle:
    case State::kLeaving:
    case State::kSettling:
      return pool().OnBroken(*this, CloseReason::kServerEnded);
    case State::kClosing:
      return stream_->Abort();
    case State::kConnecting:
      return;
  }
}

void Server::OnDrained() {
  if (state() == State::kLent) user()->OnServerDrained();
}

// An idle server may tell of a changed parameter (a reload of PostgreSQL's configuration) or of a
// notification nobody listens to any more. Anything else is a reply that somebody missed, or the
// last words before the end.
void Server::OnIdleBytes() {
  while (!inbox_.empty()) {
    const uint32_t size = WholeMessage();
    if (size == kBadMessage) return pool().OnBroken(*this, CloseReason::kProtocol);
    if (size == 0) {  // the rest is on its way; nobody gets the server before
      if (state() != State::kIdle) return;
      pool().OnBusy(*this);
      cleaning_ = Cleaning::kWait;
      StartTimer(pool().settings().pool.reset_timeout);
      return;
    }
    const Bytes message = inbox_.Front().first(size);
    switch (ReadHead(message.data()).type) {
      case backend::kParameterStatus:
        SetParameter(message.subspan(kHeadBytes));
        if (const auto changed = ParseParameterStatus(message.subspan(kHeadBytes))) {
          baseline_.Set(changed->name, changed->value);  // for everybody, from now on
        }
        break;
      case backend::kNoticeResponse:
      case backend::kNotificationResponse:
        break;
      default:
        return pool().OnBroken(*this, CloseReason::kDirty);
    }
    inbox_.DropFront(size);
  }
}

// Size of the message at the front of the inbox, made contiguous; 0 = it is not whole yet.
uint32_t Server::WholeMessage() {
  Buffers& buffers = pools_.context_.streams.buffers();
  if (inbox_.size() < kHeadBytes) return 0;
  if (inbox_.Front().size() < kHeadBytes) inbox_.Join(kHeadBytes, buffers);
  const MessageHead head = ReadHead(inbox_.Front().data());
  if (!head.valid(ServerLogin::kMessageBytesMax)) return kBadMessage;
  if (inbox_.size() < head.total_size()) return 0;
  if (inbox_.Front().size() < head.total_size()) inbox_.Join(head.total_size(), buffers);
  return head.total_size();
}

void Server::SetParameter(Bytes body) {
  MessageReader reader(body);
  const std::string_view name = reader.String();
  const std::string_view value = reader.String();
  if (reader.ok()) parameters_.Set(name, value);
}

// --- cleaning ------------------------------------------------------------------------------------
//
//   what the client's requests owe ─▶ end of its pipeline ─▶ cancels on their way ─▶ ROLLBACK
//   ─▶ reset query ─▶ OnClean
//
// Each step only where it is needed, and as far as the pool's settings want it, else the server is
// closed; all of them together within pool.reset_timeout.

void Server::BeginCleaning(Cleaning cleaning) {
  TRIREME_ASSERT(state() == State::kSettling);
  const PoolConfig& settings = pool().settings().pool;
  cleaning_ = cleaning;
  reset_due_ = ResetIsDue();
  copy_failed_ = false;
  StartTimer(settings.reset_timeout);
  if (cleaning == Cleaning::kCheck) SendOwn(settings.check_query);
  if (cleaning == Cleaning::kAll) {
    if (!settings.cancel_on_disconnect && WorksForItsClient()) {
      return pool().OnBroken(*this, CloseReason::kMidQuery);
    }
    if (!replies_.at_rest()) Cancel(nullptr);
    if (replies_.needs_sync()) SendFlush();  // nothing else makes PostgreSQL say how it stands
  }
  if (stream_->receive_paused()) stream_->ResumeReceive();
  OnSettlingBytes();
}

void Server::OnSettlingBytes() {
  if (cleaning_ == Cleaning::kWait && replies_.at_rest()) {
    OnIdleBytes();
    if (state() == State::kSettling && inbox_.empty()) NextStep();
    return;
  }
  while (!inbox_.empty() || FakeIsNext()) {
    const ReplyStep step = replies_.Next(inbox_.Front());
    // `message` points into the inbox: read it before its bytes go.
    if (step.event == ReplyStep::Event::kParameter) SetParameter(step.message);
    inbox_.DropFront(step.size);  // nobody is there to read it
    if (replies_.has_news()) TakeNews();
    switch (step.event) {
      case ReplyStep::Event::kNone:
      case ReplyStep::Event::kReady:
      case ReplyStep::Event::kParameter:
      case ReplyStep::Event::kStatementError:
      case ReplyStep::Event::kRow:  // nobody waits for it any more
      case ReplyStep::Event::kHeldError:
        break;
      case ReplyStep::Event::kReadyInDoubt:
        SendOwn("");
        break;
      case ReplyStep::Event::kFake:
        replies_.FakeSent();
        break;
      case ReplyStep::Event::kInjectedError:
        if (step.failed != Request::kQuery) break;  // a pipeline that fails is undone as well
        return pool().OnBroken(*this, ReasonNotSettled());
      case ReplyStep::Event::kBroken:
        return pool().OnBroken(*this, CloseReason::kProtocol);
      case ReplyStep::Event::kNeedMore:
        if (inbox_.size() < step.need) return;
        inbox_.Join(step.need, pools_.context_.streams.buffers());
        break;
    }
    EndCopy();
  }
  if (replies_.has_news()) TakeNews();
  EndCopy();
  NextStep();
}

Replies::News Server::TakeNews() {
  Replies::News news = replies_.TakeNews();
  prepared_.OnOutcomes(news.outcomes);
  if (news.discarded) prepared_.OnDiscarded();
  return news;
}

bool Server::FakeIsNext() const {
  return !replies_.owed().empty() && !replies_.mid_message() &&
         replies_.owed().front().disposition == Disposition::kFake;
}

// The server waits for rows that will not come.
void Server::EndCopy() {
  if (!replies_.in_copy() || copy_failed_) return;
  copy_failed_ = true;
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kCopyFail);
  writer.String("the client has gone");
  writer.End();
  const bool extended = replies_.owed().front().request == Request::kExecute;
  replies_.Expect(Request::kCopyEnd, Disposition::kSkip);
  SendText(message);
  if (extended) SendSync();  // Syncs inside COPY were ignored
}

void Server::NextStep() {
  TRIREME_ASSERT(state() == State::kSettling);
  if (!replies_.at_rest() || !inbox_.empty()) return;
  if (TRIREME_MUTATION(kNoRollback)) replies_.SetStatus(TransactionStatus::kIdle);
  const bool open = replies_.needs_sync() || replies_.status() != TransactionStatus::kIdle;
  const bool keep = cleaning_ != Cleaning::kAll || pool().settings().pool.rollback_on_disconnect;
  if (open && !keep) {
    return pool().OnBroken(*this, CloseReason::kMidTransaction);
  }
  if (replies_.needs_sync()) return replies_.syncs_in_doubt() > 0 ? SendSync() : UndoPipeline();
  if (held()) return pools_.LineOf(*this).Drop(*this);  // OnCancelEnded goes on
  if (open) return SendOwn("ROLLBACK");
  if (std::exchange(reset_due_, false)) {
    reset_sent_ = true;
    return SendOwn(ResetQuery());
  }
  if (std::exchange(reset_sent_, false)) {
    ForgetUnreported();
    used_ = false;
  }
  traces_ = dirty_ = false;
  pools_.context_.timers.Cancel(timer_);
  if (ended_ || !replies_.clean()) return pool().OnBroken(*this, CloseReason::kServerEnded);
  TRIREME_ASSERT(prepared_.settled());
  pool().OnClean(*this);
}

// Where only what is dirty is reset, a rollback is enough for what a client has done that has left
// nothing.
bool Server::ResetIsDue() const {
  if (cleaning_ == Cleaning::kWait || cleaning_ == Cleaning::kCheck || ResetQuery().empty()) {
    return false;
  }
  return cleaning_ == Cleaning::kReset || traces_ || dirty_ ||
         pool().settings().pool.reset != ResetPolicy::kWhenDirty;
}

// Not for us alone (parameters, a question), which is done in no time.
bool Server::WorksForItsClient() const {
  if (replies_.mid_message()) return true;
  for (uint32_t i = 0; i < replies_.owed().count(); ++i) {
    if (replies_.owed().at(i).disposition == Disposition::kForward) return true;
  }
  return false;
}

CloseReason Server::ReasonNotSettled() const {
  return cleaning_ == Cleaning::kCheck ? CloseReason::kCheckFailed : CloseReason::kNotSettled;
}

std::string_view Server::ResetQuery() const {
  static constexpr std::string_view kEverything = "DISCARD ALL";
  return traces_ ? kEverything : std::string_view(pool().settings().pool.reset_query);
}

// The server reports what the reset changed, but only for the parameters it reports at all. Of the
// others we know what we set, and that DISCARD ALL and RESET ALL undo it; another reset query
// leaves them as they are.
void Server::ForgetUnreported() {
  const std::string sql = AsciiLower(ResetQuery());
  if (sql.find("discard all") == std::string::npos && sql.find("reset all") == std::string::npos) {
    return;
  }
  const std::vector<ParameterSet::Entry> before = parameters_.entries();
  for (const ParameterSet::Entry& entry : before) {
    if (baseline_.Find(entry.name) == nullptr) parameters_.Remove(entry.name);
  }
}

void Server::SendOwn(std::string_view sql) {
  std::string message;
  MessageWriter(message).Query(sql);
  replies_.Expect(Request::kQuery, Disposition::kSkip);
  SendText(message);
}

// A Sync alone would commit what the pipeline has done, which PostgreSQL undoes when a client
// vanishes before its Sync. After an error everything up to the Sync is passed over, and undone.
void Server::UndoPipeline() {
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kParse);
  writer.String("");
  writer.String("ROLLBACK");
  writer.Int16(0);  // no parameter types
  writer.End();
  writer.Begin(frontend::kBind);
  writer.String("");
  writer.String("");
  for (int i = 0; i < 3; ++i) writer.Int16(0);  // no formats, no values, no result formats
  writer.End();
  writer.Begin(frontend::kExecute);
  writer.String("");
  writer.Int32(0);
  writer.End();
  for (Request request : {Request::kParse, Request::kBind, Request::kExecute}) {
    replies_.Expect(request, Disposition::kSkip);
  }
  SendText(message);
  SendSync();
}

void Server::SendFlush() {
  std::string message;
  MessageWriter writer(message);
  writer.Begin(frontend::kFlush);
  writer.End();
  SendText(message);
}

void Server::SendSync() {
  std::string message;
  MessageWriter(message).Sync();
  replies_.Expect(Request::kSync, Disposition::kSkip);
  SendText(message);
}

void Server::SendText(std::string_view text) { stream_->SendCopy(AsBytes(text)); }

void Server::Cancel(CancelObserver* observer) {
  TRIREME_ASSERT(state() == State::kLent || state() == State::kSettling);
  if (key_.secret.empty()) {  // a server behind another pooler may give none
    if (observer != nullptr) observer->OnCancelEnd();
    return;
  }
  ++holds_;
  pools_.BeginCancel(*this, observer);
}

void Server::OnCancelEnded() {
  TRIREME_ASSERT(holds_ > 0);
  --holds_;
  if (holds_ == 0 && state() == State::kSettling) NextStep();
}

void Server::StartTimer(Duration duration) {
  pools_.context_.timers.Schedule(timer_, pools_.now() + duration);
}

void Server::OnTimeout() {
  switch (state()) {
    case State::kConnecting:
    case State::kLogin:
      return OnConnectTimeout();
    case State::kSettling:
      TRIREME_COVER(kSettlingTimeout);
      return pool().OnBroken(*this, ReasonNotSettled());
    case State::kClosing:
      return stream_->Abort();
    case State::kIdle:
    case State::kLent:
    case State::kLeaving:
      return;
  }
}

// --- leaving and closing -------------------------------------------------------------------------

void Server::BeginLeaving() {
  TRIREME_ASSERT(state() == State::kLeaving && rest() == Rest::kClean && !held());
  // Something after the last reply (a Flush) has not left yet: rare, and it cannot travel.
  if (stream_->backlog_bytes() > 0) return pool().OnBroken(*this, CloseReason::kDirty);
  stream_->Detach();
}

void Server::OnDetached(int fd) {
  TRIREME_ASSERT(state() == State::kLeaving);
  if (rest() != Rest::kClean) {  // half a message: it cannot travel
    pools_.context_.streams.ring().Close(fd);
    return pool().OnBroken(*this, CloseReason::kDirty);
  }
  ServerCounters counters = this->counters();
  ++counters.hand_overs;
  auto passport =
      std::make_unique<ServerPassport>(ServerPassport{.fd = fd,
                                                      .id = id_,
                                                      .created = created(),
                                                      .retire_at = retire_at(),
                                                      .heard_at = heard_at(),
                                                      .used = used(),
                                                      .key = std::move(key_),
                                                      .address = address_,
                                                      .parameters = std::move(parameters_),
                                                      .baseline = std::move(baseline_),
                                                      .counters = counters,
                                                      .prepared = std::move(prepared_)});
  pool().OnLeft(*this, std::move(passport));
}

// The place under the caps is free only when the backend is gone, so we let it go first: it reads
// Terminate, or the end of our side where a message may be half sent, ends, and closes.
void Server::BeginClose(CloseKind kind) {
  TRIREME_ASSERT(state() == State::kClosing);
  login_.reset();
  inbox_.Clear();
  if (!stream_->open() || ended_) return stream_->Abort();
  if (stream_->receive_paused()) stream_->ResumeReceive();
  if (kind == CloseKind::kOrderly) {
    std::string message;
    MessageWriter(message).Terminate();
    SendText(message);
  } else {
    stream_->EndSending();
  }
  StartTimer(kEndWait);
}

void Server::OnClosed() {
  if (state() == State::kConnecting)
    return pools_.RetryConnect(*this);  // that attempt took too long
  TRIREME_ASSERT(state() == State::kClosing);
  pools_.context_.timers.Cancel(timer_);
  pool().OnClosed(*this);
}

}  // namespace trireme
