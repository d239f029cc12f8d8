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

// Bytes of the message that must be contiguous before it can be judged, as far as `seen` tells.
uint32_t BytesToJudge(const MessageHead& head, Bytes seen, const Requests::Context& context) {
  if (context.pinned) return kHeadBytes;
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
    if (verdict.expect) context.replies->Expect(verdict.request, Disposition::kForward);
    if (head.type == frontend::kBind) context.counts.binds += verdict.forward ? 1 : 0;
    if (head.type == frontend::kSync) passing_over_ = unnamed_fresh_ = false;
    if (head.type == frontend::kParse && verdict.forward) OnParseForwarded(head, body, context);
    if (head.type == frontend::kQuery) ForgetUnnamed();
    asked_for_unnamed_ = text_seen_ = text_leaves_ = false;
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

// Not one by one: each time costs a Flush, and that a send by the server.
bool Requests::HoldBack(uint32_t owed, uint32_t owed_max) const {
  return held_back_ ? owed > owed_max / 2 : owed >= owed_max;
}

Requests::Verdict Requests::Judge(MessageHead head, Bytes body, const Context& context) {
  const bool lent = context.replies != nullptr;
  if (head.type == frontend::kTerminate) return {.event = Event::kTerminate};
  if (passing_over_ && head.type != frontend::kSync) return {.forward = false};
  if (lent && HoldBack(context.replies->owed().count(), context.limits.expected_replies_max)) {
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
bool Requests::MustLook(MessageHead head, Bytes text, const Context& context) const {
  if (context.watch == nullptr || text_seen_) return false;
  if (head.body_size() > kTextBytesMax) return true;
  const std::string_view all = AsText(text);
  return JudgeText(all.substr(0, all.find('\0')), *context.watch) == TextVerdict::kAnalyze;
}

Requests::Verdict Requests::JudgeExtended(MessageHead head, Bytes body, const Context& context) {
  const bool lent = context.replies != nullptr;
  switch (head.type) {
    case frontend::kSync:
      if (!lent) return {.event = Event::kSyncAlone, .forward = false};
      return {.expect = true, .request = Request::kSync};
    case frontend::kFlush:
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
  if (context.pinned || !IsOfStatement(type, body)) return plain;
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
  if (type == frontend::kClose && lent) ForgetUnnamed();
  if (type == frontend::kParse && lent && MustLook(head, body.subspan(1), context)) {
    return {.event = Event::kText};
  }
  if (type == frontend::kParse || type == frontend::kClose) return plain;
  if (unnamed_ready_) {
    const bool look = type == frontend::kBind && unnamed_leaves_ && context.watch != nullptr;
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

// The unnamed statement; of most clients it is the same again and again.
void Requests::OnParseForwarded(MessageHead head, Bytes body, const Context& context) {
  ++context.counts.parses;
  ++context.counts.server_parses;
  if (context.replies->skipping()) return;  // the server passes it over
  unnamed_ready_ = unnamed_fresh_ = true;
  unnamed_leaves_ = text_leaves_;
  if (context.pinned || context.statements == nullptr) return;
  if (body.size() < head.body_size() || head.total_size() > kUnnamedBytesMax) {
    unnamed_ = StatementRef();
    return;
  }
  const std::string_view text = AsText(body).substr(1);  // behind the empty name
  if (!unnamed_.Is(text)) unnamed_ = context.statements->Intern(text);
}

Requests::ReadyIsOwed Requests::PassOver(MessageHead front) {
  TRIREME_ASSERT(body_left_ == 0);
  if (IsExtended(front.type)) {
    passing_over_ = true;
    return ReadyIsOwed::kAtSync;
  }
  body_left_ = front.total_size();
  body_forward_ = false;
  return ReadyIsOwed::kNow;
}

}  // namespace trireme
