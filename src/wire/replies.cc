// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/replies.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "base/assert.h"
#include "base/marks.h"
#include "wire/errors.h"

namespace trireme {
namespace {

// A ParameterStatus longer than this passes without being looked at; no real one is.
constexpr uint32_t kParameterBytesMax = 4096;
constexpr uint32_t kReplyLengthMax = 0x7fffffff;

// A ReadyForQuery of another size would be judged by a byte that is not its own.
bool ValidHead(const MessageHead& head) {
  if (!head.valid(kReplyLengthMax)) return false;
  return head.type != backend::kReadyForQuery || head.body_size() == 1;
}

// After these two tags no prepared statement is left.
constexpr std::string_view kDiscardAll("DISCARD ALL\0", 12);
constexpr std::string_view kDeallocateAll("DEALLOCATE ALL\0", 15);

bool MayDiscard(const MessageHead& head) {
  return head.type == backend::kCommandComplete &&
         (head.body_size() == kDiscardAll.size() || head.body_size() == kDeallocateAll.size());
}

bool Discards(Bytes body) {
  const std::string_view tag = AsText(body);
  return tag == kDiscardAll || tag == kDeallocateAll;
}

// How much of a message must be contiguous before it can be judged. `read` = a row that is ours, or
// an error that is not simply the client's.
uint32_t BytesToJudge(const MessageHead& head, bool read) {
  switch (head.type) {
    case backend::kDataRow:
      return read && head.body_size() <= Replies::kRowBytesMax ? head.total_size() : kHeadBytes;
    case backend::kCommandComplete:
      return MayDiscard(head) ? head.total_size() : kHeadBytes;
    case backend::kReadyForQuery:
      return kHeadBytes + 1;
    case backend::kParameterStatus:
      return head.body_size() <= kParameterBytesMax ? head.total_size() : kHeadBytes;
    case backend::kErrorResponse:
      return read ? std::min(head.total_size(), kHeadBytes + kParameterBytesMax) : kHeadBytes;
    default:
      return kHeadBytes;
  }
}

// Messages that change nothing while a request is being answered: bodies to pass. Those of the
// second kind do so only within a simple Query, where they answer a part of it; outside they answer
// a request of their own.
enum Passing : uint8_t { kAlways = 1, kInQuery = 2 };

constexpr std::array<uint8_t, 256> MakePassing() {
  std::array<uint8_t, 256> passing{};
  for (char type : {backend::kDataRow, backend::kCopyData, backend::kNoticeResponse,
                    backend::kNotificationResponse, backend::kCopyOutResponse, backend::kCopyDone,
                    backend::kFunctionCallResponse, backend::kParameterDescription}) {
    passing[static_cast<uint8_t>(type)] = kAlways;
  }
  for (char type :
       {backend::kRowDescription, backend::kCommandComplete, backend::kEmptyQueryResponse}) {
    passing[static_cast<uint8_t>(type)] = kInQuery;
  }
  return passing;
}
constexpr std::array<uint8_t, 256> kPassing = MakePassing();

bool IsAsynchronous(char type) {
  return type == backend::kParameterStatus || type == backend::kNoticeResponse ||
         type == backend::kNotificationResponse;
}

// Answered within an implicit transaction that a Sync ends, or passed over after an error.
bool IsExtended(Request request) {
  return request == Request::kParse || request == Request::kBind || request == Request::kDescribe ||
         request == Request::kExecute || request == Request::kClose;
}

constexpr uint32_t kReadySize = kHeadBytes + 1;

// Of the ReadyForQuery that ends `bytes`, if one does.
std::optional<TransactionStatus> ReadyAt(Bytes bytes, uint32_t at) {
  const MessageHead head = ReadHead(bytes.data() + at);
  if (head.type != backend::kReadyForQuery || head.total_size() != kReadySize) return std::nullopt;
  const char status = static_cast<char>(bytes[at + kHeadBytes]);
  if (status != 'I' && status != 'T' && status != 'E') return std::nullopt;
  return static_cast<TransactionStatus>(status);
}

// Is a message of this type part of the usual answer to the request, and its last one?
enum class Part : uint8_t { kNone, kMore, kLast };
using Parts = std::array<Part, 256>;  // by type

constexpr Parts MakeParts(std::initializer_list<char> more, std::initializer_list<char> last) {
  Parts parts{};
  for (const char type : more) parts[static_cast<uint8_t>(type)] = Part::kMore;
  for (const char type : last) parts[static_cast<uint8_t>(type)] = Part::kLast;
  return parts;
}

// Of the requests of a pipeline; the others have none.
constexpr std::array<Parts, kRequestCount> MakePartsOf() {
  std::array<Parts, kRequestCount> parts{};
  const auto of = [&parts](Request request) -> Parts& {
    return parts[static_cast<uint8_t>(request)];
  };
  of(Request::kParse) = MakeParts({}, {backend::kParseComplete});
  of(Request::kBind) = MakeParts({}, {backend::kBindComplete});
  of(Request::kDescribe) =
      MakeParts({backend::kParameterDescription}, {backend::kRowDescription, backend::kNoData});
  of(Request::kExecute) = MakeParts(
      {backend::kDataRow},
      {backend::kCommandComplete, backend::kEmptyQueryResponse, backend::kPortalSuspended});
  of(Request::kClose) = MakeParts({}, {backend::kCloseComplete});
  return parts;
}
constexpr std::array<Parts, kRequestCount> kPartsOf = MakePartsOf();

bool IsUnnamedParse(ExpectedReply entry) {
  return entry.request == Request::kParse && entry.notes == Notes{};
}

}  // namespace

void Replies::Expect(Request request, Disposition disposition, Notes notes) {
  if (skipping_) {
    // The server passes over everything but Sync; nothing else will be answered.
    if (request != Request::kSync) {
      lost_count_ |= syncs_in_doubt_ > 0 && request != Request::kCopyEnd;  // or does it not?
      return;
    }
    skipping_ = false;
  }
  if (IsExtended(request)) {
    needs_sync_ |= disposition != Disposition::kFake;
  } else if (request != Request::kCopyEnd) {
    needs_sync_ = false;  // the end of a Query or FunctionCall ends the implicit transaction, too
  }
  if (request == Request::kCopyEnd && owed_.empty()) return;  // a late end of a COPY that failed
  if (request == Request::kCopyEnd) ++copy_ends_;
  owed_.Push({request, disposition, notes});
}

// PostgreSQL tells a listener what it has missed before any ReadyForQuery, that of ours included.
bool Replies::ForwardNext(char type) const {
  if (type == backend::kReadyForQuery && ReadyIsInDoubt()) return true;
  return owed_.empty() || owed_.front().disposition == Disposition::kForward ||
         type == backend::kNotificationResponse;
}

// Not that of a Parse we put ahead of the client's Bind: what is wrong with the statement now is
// what the Bind would have been told.
bool Replies::ErrorIsOurs() const {
  if (owed_.empty()) return false;
  const ExpectedReply front = owed_.front();
  if (front.disposition == Disposition::kAsk) return true;
  return front.disposition != Disposition::kForward && front.request != Request::kParse;
}

bool Replies::IsHeld(char type) const {
  if (!holds_ready() || ReadyIsInDoubt()) return false;
  return type == backend::kReadyForQuery || type == backend::kParameterStatus;
}

bool Replies::RowIsOurs() const {
  return !owed_.empty() && owed_.front().disposition == Disposition::kAsk;
}

// A Bind or a Describe, of a statement that may have another name on the server.
bool Replies::MayNameStatement() const {
  if (owed_.empty()) return false;
  const ExpectedReply front = owed_.front();
  return front.disposition == Disposition::kForward &&
         (front.request == Request::kBind || front.request == Request::kDescribe);
}

// Of a later Parse it is not known yet.
bool Replies::UnnamedParseIsOwed() const {
  for (uint32_t i = 0; i < owed_.count(); ++i) {
    if (IsUnnamedParse(owed_.at(i))) return true;
  }
  return false;
}

void Replies::Pop(bool answered) {
  const ExpectedReply entry = owed_.front();
  owed_.Pop();
  if (entry.request == Request::kCopyEnd) --copy_ends_;
  if (entry.notes != Notes{}) [[unlikely]]
    outcomes_.push_back({entry.notes, answered});
}

ReplyStep Replies::Next(Bytes bytes) {
  ReplyStep step;
  const uint32_t size = static_cast<uint32_t>(bytes.size());
  uint32_t at = 0;  // everything before is the run
  bool started = false;
  while (true) {
    if (body_left_ > 0 && at < size) {
      if (started && step.forward != body_forward_) break;
      step.forward = body_forward_;
      started = true;
      const uint32_t part = std::min(body_left_, size - at);
      body_left_ -= part;
      at += part;
    }
    if (body_left_ > 0) break;  // the rest of the body has not come yet
    if (!owed_.empty()) {
      const ExpectedReply front = owed_.front();
      if (front.disposition == Disposition::kFake) {
        step.event = Event::kFake;
        break;
      }
      const bool plain = front.disposition == Disposition::kForward && (special_ & kInDoubt) == 0;
      if (plain && (!started || step.forward)) {
        const uint32_t passed = PassPlain(bytes, at, front.request);
        if (passed > at) step.forward = started = true;
        at = passed;
        if (body_left_ > 0) break;
      }
    }
    if (at == size) break;
    if (size - at < kHeadBytes) {
      step.event = Event::kNeedMore;
      step.need = kHeadBytes;
      break;
    }
    const MessageHead head = ReadHead(bytes.data() + at);
    if (!ValidHead(head)) {
      step.event = Event::kBroken;
      break;
    }
    const bool error = head.type == backend::kErrorResponse;
    const bool forward = error ? !ErrorIsOurs() : ForwardNext(head.type) && !IsHeld(head.type);
    const bool held = error && forward && hold_error_ && head.body_size() <= kParameterBytesMax;
    if (started && (held || forward != step.forward)) break;
    const bool read = error ? !forward || MayNameStatement() : RowIsOurs();
    const uint32_t judge = held ? head.total_size() : BytesToJudge(head, read);
    if (size - at < judge) {
      step.event = Event::kNeedMore;
      step.need = judge;
      break;
    }
    const Bytes body = bytes.subspan(at + kHeadBytes, judge - kHeadBytes);
    if (error && !owed_.empty()) step.failed = owed_.front().request;
    Event event = OnMessage(head.type, body);
    if (held) {
      hold_error_ = false;
      const bool canceled = ParseErrorBody(body).sqlstate == sqlstate::kQueryCanceled;
      if (canceled && event != Event::kBroken) event = Event::kHeldError;
    }
    if (event == Event::kBroken) {
      step.event = event;
      break;
    }
    step.forward = forward;
    started = true;
    at += judge;
    body_left_ = head.total_size() - judge;
    body_forward_ = forward;
    if (event != Event::kNone) {
      step.event = event;
      step.message = body;
      break;
    }
  }
  step.size = at;
  return step;
}

bool Replies::TakeWholeAnswer(Bytes bytes) {
  if (body_left_ > 0 || special_ != 0 || bytes.size() < kReadySize) return false;
  if (owed_.only({Request::kQuery, Disposition::kForward})) return TakeWholeQuery(bytes);
  return TakeWholePipeline(bytes);
}

bool Replies::TakeWholeQuery(Bytes bytes) {
  // Its end first: the rows of a long answer are not walked over twice.
  const uint32_t end = static_cast<uint32_t>(bytes.size()) - kReadySize;
  const std::optional<TransactionStatus> status = ReadyAt(bytes, end);
  if (!status) return false;
  uint32_t at = 0;
  while (at < end) {
    const MessageHead head = ReadHead(bytes.data() + at);
    if (kPassing[static_cast<uint8_t>(head.type)] == 0 || !head.valid(kReplyLengthMax) ||
        MayDiscard(head)) {
      return false;
    }
    if (head.total_size() > end - at) return false;
    at += head.total_size();
  }
  AllAnswered(*status);
  return true;
}

// Each request with the answer it has when all is well.
bool Replies::TakeWholePipeline(Bytes bytes) {
  if (skipping_ || !owed_.plain_pipeline()) return false;
  const uint32_t end = static_cast<uint32_t>(bytes.size()) - kReadySize;
  const std::optional<TransactionStatus> status = ReadyAt(bytes, end);
  if (!status) return false;
  const uint32_t answers = owed_.count() - 1;  // before ReadyForQuery
  uint32_t answered = 0;
  uint32_t at = 0;
  const Parts* parts = &kPartsOf[static_cast<uint8_t>(owed_.request_at(0))];
  while (answered < answers) {
    if (end - at < kHeadBytes) return false;
    const MessageHead head = ReadHead(bytes.data() + at);
    if (!head.valid(kReplyLengthMax) || MayDiscard(head)) return false;
    if (head.total_size() > end - at) return false;
    const Part part = (*parts)[static_cast<uint8_t>(head.type)];
    if (part == Part::kNone) return false;
    at += head.total_size();
    if (part == Part::kMore) continue;
    parts = &kPartsOf[static_cast<uint8_t>(owed_.request_at(++answered))];
  }
  if (at != end) return false;
  AllAnswered(*status);
  return true;
}

void Replies::AllAnswered(TransactionStatus status) {
  owed_.Clear();
  hold_error_ = false;
  status_ = status;
  error_forwarded_ = false;
  ++counts_.queries;
  if (status_ == TransactionStatus::kIdle) ++counts_.transactions;
}

void Replies::ExpectPipeline(Parses parses, Describes describes) {
  TRIREME_ASSERT(!skipping_);
  if (parses == Parses::kYes) owed_.Push({Request::kParse, Disposition::kForward});
  if (describes == Describes::kYes) {
    owed_.PushPlain({Request::kBind, Request::kDescribe, Request::kExecute, Request::kSync});
  } else {
    owed_.PushPlain({Request::kBind, Request::kExecute, Request::kSync});
  }
  needs_sync_ = false;
}

// The hot loop: heads of rows and of a simple query's messages, up to the first that means
// something.
uint32_t Replies::PassPlain(Bytes bytes, uint32_t at, Request front) {
  const bool query = front == Request::kQuery && !in_copy();
  const uint8_t mask = query ? kAlways | kInQuery : kAlways;
  const uint32_t size = static_cast<uint32_t>(bytes.size());
  while (size - at >= kHeadBytes) {
    const MessageHead head = ReadHead(bytes.data() + at);
    if ((kPassing[static_cast<uint8_t>(head.type)] & mask) == 0) break;
    if (!head.valid(kReplyLengthMax) || MayDiscard(head)) break;  // judged by the caller
    if (head.total_size() > size - at) {
      body_left_ = head.total_size() - (size - at);
      body_forward_ = true;
      return size;
    }
    at += head.total_size();
  }
  return at;
}

ReplyStep::Event Replies::OnMessage(char type, Bytes body) {
  if (lost_count_) return Event::kBroken;
  if (type == backend::kReadyForQuery) return OnReadyForQuery(body);
  if (owed_.empty() && !IsAsynchronous(type) && type != backend::kErrorResponse) {
    return Event::kBroken;  // an answer nobody asked for
  }
  // No Sync is answered by these: the ones in doubt are behind us.
  if (syncs_in_doubt_ > 0 && !IsAsynchronous(type)) SetSyncsInDoubt(0);
  switch (type) {
    case backend::kDataRow:
      return RowIsOurs() ? Event::kRow : Event::kNone;
    case backend::kCopyData:
    case backend::kNoticeResponse:
    case backend::kNotificationResponse:
    case backend::kCopyOutResponse:
    case backend::kCopyDone:
    case backend::kFunctionCallResponse:
    case backend::kParameterDescription:
      return Event::kNone;
    case backend::kRowDescription:
    case backend::kNoData:
      Answered(Request::kDescribe);
      return Event::kNone;
    case backend::kCommandComplete:
      discarded_ |= Discards(body);
      if (in_copy()) CopyEnded();
      Answered(Request::kExecute);
      return Event::kNone;
    case backend::kEmptyQueryResponse:
    case backend::kPortalSuspended:
      Answered(Request::kExecute);
      return Event::kNone;
    case backend::kParseComplete:
      Answered(Request::kParse);
      return Event::kNone;
    case backend::kBindComplete:
      Answered(Request::kBind);
      return Event::kNone;
    case backend::kCloseComplete:
      Answered(Request::kClose);
      return Event::kNone;
    case backend::kCopyInResponse:
    case backend::kCopyBothResponse:
      special_ |= kCopying;
      return Event::kNone;
    case backend::kParameterStatus:
      return body.empty() ? Event::kNone : Event::kParameter;
    case backend::kErrorResponse:
      return OnError();
    default:
      return Event::kBroken;
  }
}

ReplyStep::Event Replies::OnReadyForQuery(Bytes body) {
  const char status = static_cast<char>(body[0]);
  if (status != 'I' && status != 'T' && status != 'E') return Event::kBroken;
  if (ReadyIsInDoubt()) {
    status_ = static_cast<TransactionStatus>(status);
    return OnReadyInDoubt();
  }
  special_ &= kInDoubt;
  if (owed_.empty()) return Event::kBroken;
  const ExpectedReply answered = owed_.front();
  if (answered.request != Request::kSync && answered.request != Request::kQuery &&
      answered.request != Request::kFunctionCall) {
    return Event::kBroken;
  }
  owed_.Pop();
  DropStaleMarks();
  status_ = static_cast<TransactionStatus>(status);
  error_forwarded_ = false;
  if (owed_.empty()) hold_error_ = false;
  if (answered.disposition == Disposition::kForward) {
    ++counts_.queries;
    if (status_ == TransactionStatus::kIdle) ++counts_.transactions;
  }
  return owed_.empty() ? AllReady() : Event::kNone;
}

// A Sync that the COPY had not read.
ReplyStep::Event Replies::OnReadyInDoubt() {
  SetSyncsInDoubt(syncs_in_doubt_ - 1);
  error_forwarded_ = false;
  ++counts_.queries;
  if (status_ == TransactionStatus::kIdle) ++counts_.transactions;
  if (!owed_.empty()) return Event::kNone;
  skipping_ = needs_sync_ = hold_error_ = false;
  return AllReady();
}

ReplyStep::Event Replies::AllReady() const {
  return syncs_in_doubt_ > 0 ? Event::kReadyInDoubt : Event::kReady;
}

// In the simple protocol ReadyForQuery follows by itself; in the extended protocol the server now
// passes over everything up to the next Sync, and what it passes over is not owed any more.
ReplyStep::Event Replies::OnError() {
  if (owed_.empty()) {  // an idle session was told to go: FATAL comes out of turn
    TRIREME_COVER(kFatalOutOfTurn);
    error_forwarded_ = !TRIREME_MUTATION(kForgetFatal);
    return Event::kNone;
  }
  const ExpectedReply failed = owed_.front();
  const bool ours = ErrorIsOurs();
  const bool names_statement = MayNameStatement();
  error_forwarded_ = !ours;
  counts_.errors += ours ? 0 : 1;
  if (in_copy()) {
    special_ &= ~kCopying;
    if (failed.request == Request::kExecute) CopyFailed();
  }
  if (IsExtended(failed.request)) {
    bool unnamed_dropped = false;
    while (!owed_.empty() && owed_.front().request != Request::kSync) {
      unnamed_dropped |= IsUnnamedParse(owed_.front());
      Pop(false);
    }
    unnamed_lost_ |= unnamed_dropped && !UnnamedParseIsOwed();
    skipping_ = owed_.empty();
    needs_sync_ |= skipping_;  // a Query behind them is passed over, too
  }
  if (ours) return Event::kInjectedError;
  return names_statement ? Event::kStatementError : Event::kNone;
}

// The front request has been answered, when it is of that kind: within a simple Query the same
// messages answer nothing but a part of it.
void Replies::Answered(Request request) {
  if (!owed_.empty() && owed_.front().request == request) {
    Pop(true);
    DropStaleMarks();
  }
}

// COPY FROM STDIN has succeeded: the mark of its end, and the Syncs before the mark, which the
// server ignored inside COPY, are no longer owed. The front entry is the request that copied.
void Replies::CopyEnded() {
  special_ &= ~kCopying;
  uint32_t end = 1;
  while (end < owed_.count() && owed_.at(end).request != Request::kCopyEnd) ++end;
  if (end == owed_.count()) return;
  const ExpectedReply copying = owed_.front();
  owed_.Pop();  // it goes on
  for (uint32_t i = 0; i < end; ++i) Pop(false);
  owed_.PushFront(copying);
}

// COPY FROM STDIN in the extended protocol has failed: at its data or its end, when it has read and
// ignored the Syncs before that, or at once, when it has read none of them. Behind its end they are
// Syncs like any other; without an end mark the end has not been sent yet.
void Replies::CopyFailed() {
  uint32_t syncs = 0;
  bool ended = false;
  Pop(false);
  while (!owed_.empty()) {
    const Request next = owed_.front().request;
    if (next != Request::kCopyEnd && (next != Request::kSync || ended)) break;
    ended |= next == Request::kCopyEnd;
    if (next == Request::kSync) ++syncs;
    Pop(false);
  }
  if (syncs == 0) return;
  SetSyncsInDoubt(syncs);
  // Of a request between them and the next Sync it cannot be told whether it is passed over, nor
  // where an answer of ours belongs.
  lost_count_ = !owed_.empty() && owed_.front().request != Request::kSync;
  for (uint32_t i = 0; i < owed_.count(); ++i) {
    lost_count_ |= owed_.at(i).disposition == Disposition::kFake;
  }
}

void Replies::SetSyncsInDoubt(uint32_t count) {
  syncs_in_doubt_ = count;
  special_ = count > 0 ? special_ | kInDoubt : special_ & ~kInDoubt;
}

// Whose ReadyForQuery the next one is does not matter, as long as a Sync is owed. Any other request
// is answered by something else before.
bool Replies::ReadyIsInDoubt() const {
  return syncs_in_doubt_ > 0 && (owed_.empty() || owed_.front().request != Request::kSync);
}

// A CopyDone or CopyFail that reached the front ended no COPY (the statement was none, or failed
// first); the server passes it over. None stays there: behind it a fake answer may be due.
void Replies::DropStaleMarks() {
  while (!owed_.empty() && owed_.front().request == Request::kCopyEnd) Pop(false);
}

bool Replies::SwallowSync() {
  if (owed_.empty()) return false;
  TRIREME_ASSERT(owed_.front().request == Request::kSync);
  owed_.Pop();
  owed_.PushFront({Request::kSync, Disposition::kSkip});
  return true;
}

void Replies::FakeSent() {
  TRIREME_ASSERT(!owed_.empty() && owed_.front().disposition == Disposition::kFake);
  Pop(true);
  DropStaleMarks();
}

}  // namespace trireme
