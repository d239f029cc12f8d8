// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/requests.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "sql/first_word.h"
#include "sql/session_functions.h"
#include "wire/messages.h"

namespace trireme {
namespace {

// Of portals and statements; PostgreSQL uses 63 bytes of them.
constexpr uint32_t kNameBytesMax = 1024;
// An unnamed statement longer than this can be used in its own transaction only.
constexpr uint32_t kUnnamedBytesMax = 65536;

bool IsExtended(char type) {
  return type == frontend::kParse || type == frontend::kBind || type == frontend::kDescribe ||
         type == frontend::kExecute || type == frontend::kClose || type == frontend::kFlush ||
         type == frontend::kSync;
}

// … or calls a function.
bool HasText(char type) {
  return type == frontend::kQuery || type == frontend::kParse || type == frontend::kFunctionCall;
}

// Bytes of the message that must be contiguous before it can be judged, as far as `seen` tells.
uint32_t BytesToJudge(const MessageHead& head, Bytes seen, const Requests::Context& context) {
  if (context.pinned && (context.watch == nullptr || !HasText(head.type))) return kHeadBytes;
  const uint32_t whole = head.total_size();
  const Bytes body = seen.subspan(std::min<size_t>(kHeadBytes, seen.size()));
  const uint32_t text_most = context.watch != nullptr ? kTextBytesMax : 0;
  switch (head.type) {
    case frontend::kQuery:
      return std::min(whole, kHeadBytes + text_most);
    case frontend::kFunctionCall:
      return context.watch != nullptr ? std::min(whole, kHeadBytes + 4) : kHeadBytes;
    case frontend::kParse: {
      if (whole <= kHeadBytes + 1 || body.empty()) return std::min(whole, kHeadBytes + 1);
      const uint32_t most =
          body[0] == std::byte{0} ? kUnnamedBytesMax : context.limits.statement_bytes_max;
      if (context.statements != nullptr && whole <= most) return whole;
      return std::min(whole, kHeadBytes + std::max(1u, text_most));
    }
    case frontend::kDescribe:
    case frontend::kClose:
      return std::min(whole, kHeadBytes + 1 + kNameBytesMax);
    case frontend::kBind: {  // the portal's name, and the statement's
      const std::string_view text = AsText(body);
      const size_t portal = text.find('\0');
      const size_t name = portal != std::string_view::npos ? text.find('\0', portal + 1) : portal;
      const uint32_t wanted = name != std::string_view::npos
                                  ? kHeadBytes + static_cast<uint32_t>(name) + 1
                                  : static_cast<uint32_t>(seen.size()) + 1;
      return std::min({whole, wanted, kHeadBytes + 2 * kNameBytesMax});
    }
    default:
      return kHeadBytes;
  }
}

// The statement that a Parse, Bind, Describe or Close names; nothing when the name does not end
// within `body`.
std::optional<std::string_view> NamedStatement(char type, Bytes body) {
  std::string_view text = AsText(body);
  if (type == frontend::kBind) {
    text.remove_prefix(std::min(text.find('\0'), text.size()));
  }
  if (type != frontend::kParse) text.remove_prefix(std::min<size_t>(1, text.size()));
  const size_t end = text.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return text.substr(0, end);
}

// Reads a pipeline of which all is there; what is not as asked for makes AtEnd() false for good.
class PipelineReader {
 public:
  explicit PipelineReader(Bytes bytes) : bytes_(bytes) {}
  std::string_view Take(char type) {
    if (bytes_.size() - at_ < kHeadBytes) return Fail();
    const MessageHead head = ReadHead(bytes_.data() + at_);
    if (head.type != type || head.length < kHeadBytes - 1) return Fail();
    if (head.total_size() > bytes_.size() - at_) return Fail();
    const std::string_view body = AsText(bytes_.subspan(at_ + kHeadBytes, head.body_size()));
    at_ += head.total_size();
    return body;
  }
  // Behind Bind: Describe of the unnamed portal, or not, its Execute, Sync, and nothing more. That
  // is one of two texts, but for the number of rows.
  std::optional<Replies::Describes> TakeRest() {
    const std::string_view rest = AsText(bytes_.subspan(at_));
    const bool describes = rest.size() == kDescribe.size() + kExecuteAndSyncSize;
    if (failed_ || (!describes && rest.size() != kExecuteAndSyncSize)) return std::nullopt;
    if (describes && !rest.starts_with(kDescribe)) return std::nullopt;
    const std::string_view end = rest.substr(rest.size() - kExecuteAndSyncSize);
    if (!end.starts_with(kExecute) || !end.ends_with(kSync)) return std::nullopt;
    return describes ? Replies::Describes::kYes : Replies::Describes::kNo;
  }

 private:
  static constexpr std::string_view kDescribe{"D\0\0\0\6P\0", 7};
  static constexpr std::string_view kExecute{"E\0\0\0\11\0", 6};  // then how many rows
  static constexpr std::string_view kSync{"S\0\0\0\4", 5};
  static constexpr size_t kExecuteAndSyncSize = kExecute.size() + 4 + kSync.size();

  std::string_view Fail() {
    failed_ = true;
    at_ = static_cast<uint32_t>(bytes_.size());
    return {};
  }
  const Bytes bytes_;
  uint32_t at_ = 0;
  bool failed_ = false;
};

constexpr uint32_t kPipelineMax = 5;  // replies

// Not of a portal, nor of something that PostgreSQL will refuse.
bool IsOfStatement(char type, Bytes body) {
  if (type != frontend::kDescribe && type != frontend::kClose) return true;
  return !body.empty() && body[0] == std::byte{'S'};
}

}  // namespace

RequestStep Requests::Next(Bytes bytes, const Context& context) {
  RequestStep step;
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
    if (body_left_ > 0 || at == size) break;
    if (size - at < kHeadBytes) {
      step.event = Event::kNeedMore;
      step.need = kHeadBytes;
      break;
    }
    const MessageHead head = ReadHead(bytes.data() + at);
    if (!head.valid(context.limits.message_bytes_max)) {
      broken_type_ = head.type;
      step.event = Event::kBroken;
      break;
    }
    const uint32_t judge = BytesToJudge(head, bytes.subspan(at), context);
    if (size - at < judge) {
      step.event = Event::kNeedMore;
      step.need = judge;
      break;
    }
    const Bytes body = bytes.subspan(at + kHeadBytes, judge - kHeadBytes);
    const Verdict verdict = Judge(head, body, context);
    if (verdict.event != Event::kNone && verdict.event != Event::kSyncAlone) {
      step.event = verdict.event;
      break;
    }
    if (started && verdict.forward != step.forward) break;
    if (verdict.expect) {
      context.replies->Expect(verdict.request, Disposition::kForward);
      const bool ends = head.type == frontend::kQuery || head.type == frontend::kSync;
      if (ends && text_leaves_ == Leaves::kReset) context.replies->HoldReady();
    }
    if (head.type == frontend::kBind) context.counts.binds += verdict.forward ? 1 : 0;
    if (head.type == frontend::kSync) passing_over_ = unnamed_fresh_ = reset_executed_ = false;
    if (head.type == frontend::kExecute) {
      reset_executed_ |= unnamed_leaves_ == Leaves::kReset && unnamed_fresh_;
    }
    if (head.type == frontend::kParse && verdict.forward) OnParseForwarded(head, body, context);
    if (head.type == frontend::kQuery) ForgetUnnamed();
    asked_for_unnamed_ = text_seen_ = false;
    text_leaves_ = Leaves::kNothing;
    step.forward = verdict.forward;
    started = true;
    at += judge;
    body_left_ = head.total_size() - judge;
    body_forward_ = verdict.forward;
    if (verdict.event == Event::kSyncAlone) {
      step.event = verdict.event;
      break;
    }
  }
  step.size = at;
  return step;
}

// Not one by one: each time costs a Flush, and that a send by the server. Syncs and what belongs to
// a COPY have no answer that could be missed behind one that has failed.
bool Requests::HoldBack(char type, const Replies& replies, uint32_t owed_max) const {
  static constexpr std::string_view kNamedAnswer = "QFPBDEC";
  const uint32_t owed = replies.owed().count();
  if (held_back_ ? owed > owed_max / 2 : owed >= owed_max) return true;
  return replies.doubt_will_end() && kNamedAnswer.find(type) != std::string_view::npos;
}

Requests::Verdict Requests::Judge(MessageHead head, Bytes body, const Context& context) {
  const bool lent = context.replies != nullptr;
  if (head.type == frontend::kTerminate) return {.event = Event::kTerminate};
  if (passing_over_ && head.type != frontend::kSync) return {.forward = false};
  if (lent && context.replies->holds_ready()) return {.event = Event::kAwaitReplies};
  if (lent && HoldBack(head.type, *context.replies, context.limits.expected_replies_max)) {
    return {.event =
                std::exchange(held_back_, true) ? Event::kAwaitReplies : Event::kAskForReplies};
  }
  held_back_ = false;
  switch (head.type) {
    case frontend::kQuery:
      if (!lent) return {.event = Event::kNeedsServer};
      if (MustLook(head, body, context)) return {.event = Event::kText};
      return {.expect = true, .request = Request::kQuery};
    case frontend::kFunctionCall:
      if (!lent) return {.event = Event::kNeedsServer};
      if (context.watch != nullptr && !text_seen_ && body.size() >= 4 &&
          FindSessionFunction(LoadBig32(body.data())) != SessionFunction::kNone) {
        return {.event = Event::kText};
      }
      return {.expect = true, .request = Request::kFunctionCall};
    case frontend::kCopyData:  // without a server: the rest of a COPY that has failed
      return {.forward = lent};
    case frontend::kCopyDone:
    case frontend::kCopyFail:
      return {.forward = lent, .expect = lent, .request = Request::kCopyEnd};
    default:
      if (IsExtended(head.type)) return JudgeExtended(head, body, context);
      broken_type_ = head.type;
      return {.event = Event::kBroken};
  }
}

// Bytes that are no text end at their first zero.
bool Requests::MustLook(MessageHead head, Bytes text, const Context& context) {
  if (context.watch == nullptr || text_seen_) return false;
  if (head.body_size() > kTextBytesMax) return true;
  const std::string_view all = AsText(text);
  const TextVerdict verdict =
      JudgeText(all.substr(0, all.find('\0')), *context.watch, context.numbers);
  if (verdict == TextVerdict::kNumbers) text_leaves_ = Leaves::kNumbers;
  return MustAnalyze(verdict, context.numbers);
}

Requests::Verdict Requests::JudgeExtended(MessageHead head, Bytes body, const Context& context) {
  const bool lent = context.replies != nullptr;
  switch (head.type) {
    case frontend::kSync:
      if (!lent && head.body_size() > 0) return {.event = Event::kNeedsServer};
      if (!lent) return {.event = Event::kSyncAlone, .forward = false};
      if (reset_executed_ && !text_seen_) return {.event = Event::kText};
      return {.expect = true, .request = Request::kSync};
    case frontend::kFlush:
      if (head.body_size() > 0) return {.event = Event::kFlushWithBody};
      return {.forward = lent};
    case frontend::kParse:
    case frontend::kBind:
    case frontend::kDescribe:
    case frontend::kClose:
      return JudgeStatement(head, body, context);
    default:
      TRIREME_ASSERT(head.type == frontend::kExecute);
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kExecute};
  }
}

// What speaks of a prepared statement, or of a portal.
Requests::Verdict Requests::JudgeStatement(MessageHead head, Bytes body, const Context& context) {
  const char type = head.type;
  static constexpr auto kRequestOf = [](char t) {
    return t == frontend::kParse      ? Request::kParse
           : t == frontend::kBind     ? Request::kBind
           : t == frontend::kDescribe ? Request::kDescribe
                                      : Request::kClose;
  };
  const bool lent = context.replies != nullptr;
  const Verdict plain = lent ? Verdict{.expect = true, .request = kRequestOf(type)}
                             : Verdict{.event = Event::kNeedsServer};
  if (context.pinned) return JudgePinned(head, body, context, plain);
  if (!IsOfStatement(type, body)) return plain;
  const bool kept = context.statements != nullptr;
  const std::optional<std::string_view> name = NamedStatement(type, body);
  // A name without an end, or one that no statement of the pooler has: the server says what is
  // wrong.
  if (!name && type != frontend::kParse) return plain;
  if (!name || !name->empty()) {
    if (type == frontend::kClose && kept) return {.event = Event::kStatement};
    if (type == frontend::kParse && !kept) return {.event = Event::kNamedParse};
    if (!lent || !kept) return plain;
    return {.event = Event::kStatement};
  }
  if (type == frontend::kClose && unnamed_kept_) return {.event = Event::kStatement};
  if (type == frontend::kClose && lent) ForgetUnnamed();
  if (type == frontend::kParse && lent && MustLook(head, body.subspan(1), context)) {
    return {.event = Event::kText};
  }
  if (type == frontend::kParse && lent && MayKeepUnnamed(head, body, context)) {
    return {.event = Event::kStatement};
  }
  if (type == frontend::kParse || type == frontend::kClose) return plain;
  if (unnamed_kept_) return lent ? Verdict{.event = Event::kStatement} : plain;
  if (unnamed_ready_) {
    const bool look = type == frontend::kBind && context.watch != nullptr &&
                      Matters(unnamed_leaves_, context.numbers);
    // Once it is behind a Sync it may have been passed over, and the server has somebody else's.
    if (unnamed_fresh_ || context.replies->owed().empty()) {
      return look && !text_seen_ ? Verdict{.event = Event::kText} : plain;
    }
    return {.event = std::exchange(asked_for_unnamed_, true) ? Event::kAwaitReplies
                                                             : Event::kAskForReplies};
  }
  if (!unnamed_) return {.event = Event::kStaleUnnamed};
  return lent ? Verdict{.event = Event::kStatement} : plain;
}

// Only with parameters: of texts with constants in them none comes twice.
bool Requests::MayKeepUnnamed(MessageHead head, Bytes body, const Context& context) const {
  return context.plan_cache && context.statements != nullptr && !text_seen_ &&
         body.size() >= head.body_size() && AsText(body).find('$') != std::string_view::npos;
}

// The client's session is its server's. A named statement stays in it; another one is judged when
// it is made, whether it is executed or not.
Requests::Verdict Requests::JudgePinned(MessageHead head, Bytes body, const Context& context,
                                        Verdict plain) {
  if (context.watch == nullptr || context.replies == nullptr || text_seen_) return plain;
  if (head.type != frontend::kParse) return plain;
  const std::optional<std::string_view> name = NamedStatement(head.type, body);
  const bool look = !name || !name->empty() || MustLook(head, body.subspan(1), context);
  return look ? Verdict{.event = Event::kText} : plain;
}

// The unnamed statement; of most clients it is the same again and again.
void Requests::OnParseForwarded(MessageHead head, Bytes body, const Context& context) {
  ++context.counts.parses;
  ++context.counts.server_parses;
  if (context.replies->skipping()) return;  // the server passes it over
  unnamed_ready_ = unnamed_fresh_ = true;
  unnamed_kept_ = false;
  unnamed_leaves_ = text_leaves_;
  if (context.pinned || context.statements == nullptr) return;
  if (body.size() < head.body_size() || head.total_size() > kUnnamedBytesMax) {
    unnamed_ = StatementRef();
    return;
  }
  KeepUnnamed(AsText(body).substr(1), *context.statements);  // behind the empty name
}

void Requests::KeepUnnamed(std::string_view statement, Statements& statements) {
  if (!unnamed_.Is(statement)) unnamed_ = statements.Intern(statement);
}

bool Requests::MayBeWholePipeline(Bytes bytes, const Limits& limits) const {
  return body_left_ == 0 && !passing_over_ && limits.expected_replies_max >= kPipelineMax &&
         bytes.size() <= std::min(kUnnamedBytesMax, limits.message_bytes_max);
}

std::optional<Requests::Pipeline> Requests::WholePipeline(Bytes bytes, const Limits& limits) const {
  if (!MayBeWholePipeline(bytes, limits)) return std::nullopt;
  PipelineReader reader(bytes);
  const std::string_view parse = reader.Take(frontend::kParse);
  const std::string_view bind = reader.Take(frontend::kBind);
  const std::optional<Replies::Describes> describes = reader.TakeRest();
  if (!describes || parse.size() < 2 || parse[0] != '\0') return std::nullopt;
  if (bind.size() < 2 || bind[0] != '\0' || bind[1] != '\0') return std::nullopt;
  const std::string_view statement = parse.substr(1);
  const size_t end = statement.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return Pipeline{
      .statement = statement, .text = statement.substr(0, end), .describes = *describes};
}

std::optional<Requests::PreparedPipeline> Requests::WholePreparedPipeline(
    Bytes bytes, const Limits& limits) const {
  if (!MayBeWholePipeline(bytes, limits)) return std::nullopt;
  PipelineReader reader(bytes);
  const std::string_view bind = reader.Take(frontend::kBind);
  const std::optional<Replies::Describes> describes = reader.TakeRest();
  if (!describes || bind.size() < 2 || bind[0] != '\0') return std::nullopt;
  const size_t end = bind.find('\0', 1);
  if (end == std::string_view::npos || end == 1 || end - 1 > kNameBytesMax) return std::nullopt;
  return PreparedPipeline{.name = bind.substr(1, end - 1), .describes = *describes};
}

void Requests::OnWholePipeline(const Pipeline& pipeline, const Context& context) {
  ++context.counts.parses;
  ++context.counts.server_parses;
  ++context.counts.binds;
  context.replies->ExpectPipeline(Replies::Parses::kYes, pipeline.describes);
  unnamed_ready_ = true;
  unnamed_fresh_ = unnamed_kept_ = false;
  unnamed_leaves_ = pipeline.leaves;
  if (context.statements != nullptr) KeepUnnamed(pipeline.statement, *context.statements);
}

Requests::ReadyIsOwed Requests::PassOver(Bytes front) {
  TRIREME_ASSERT(body_left_ == 0);
  const MessageHead head = ReadHead(front.data());
  const bool named = front.size() > kHeadBytes && front[kHeadBytes] != std::byte{0};
  if (head.type == frontend::kQuery || (head.type == frontend::kParse && !named)) ForgetUnnamed();
  if (head.type == frontend::kSync) {  // one with a body, that asked for a server
    passing_over_ = unnamed_fresh_ = reset_executed_ = false;
  } else if (IsExtended(head.type)) {
    passing_over_ = true;
    return ReadyIsOwed::kAtSync;
  }
  body_left_ = head.total_size();
  body_forward_ = false;
  return ReadyIsOwed::kNow;
}

}  // namespace trireme
