// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/requests.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "wire/messages.h"

namespace trireme {
namespace {

// Names in Bind and Describe that do not end within this many bytes are judged as named, unread.
constexpr uint32_t kNamePrefixMax = 1024;

bool IsExtended(char type) {
  return type == frontend::kParse || type == frontend::kBind || type == frontend::kDescribe ||
         type == frontend::kExecute || type == frontend::kClose || type == frontend::kFlush ||
         type == frontend::kSync;
}

// Bytes of the message that must be contiguous before it can be judged, as far as `seen` tells.
uint32_t BytesToJudge(const MessageHead& head, Bytes seen, bool pinned) {
  if (pinned) return kHeadBytes;
  const uint32_t whole = head.total_size();
  switch (head.type) {
    case frontend::kParse:
      return std::min(whole, kHeadBytes + 1);
    case frontend::kDescribe:
      return std::min(whole, kHeadBytes + 2);
    case frontend::kBind: {  // portal, then the first byte of the statement's name
      const Bytes body = seen.subspan(std::min<size_t>(kHeadBytes, seen.size()));
      const size_t portal = AsText(body).find('\0');
      const uint32_t wanted = portal != std::string_view::npos
                                  ? kHeadBytes + static_cast<uint32_t>(portal) + 2
                                  : static_cast<uint32_t>(seen.size()) + 2;
      return std::min({whole, wanted, kHeadBytes + kNamePrefixMax});
    }
    default:
      return kHeadBytes;
  }
}

// Does a Bind or Describe name the unnamed statement? `body` is a prefix that BytesToJudge allowed.
bool NamesUnnamedStatement(char type, Bytes body) {
  const std::string_view text = AsText(body);
  if (type == frontend::kDescribe) return text.size() >= 2 && text[0] == 'S' && text[1] == '\0';
  const size_t portal = text.find('\0');
  return portal != std::string_view::npos && portal + 1 < text.size() && text[portal + 1] == '\0';
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
    const uint32_t judge = BytesToJudge(head, bytes.subspan(at), context.pinned);
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
    if (head.type == frontend::kParse) context.counts.parses += verdict.forward ? 1 : 0;
    if (head.type == frontend::kBind) context.counts.binds += verdict.forward ? 1 : 0;
    if (head.type == frontend::kSync) passing_over_ = false;
    if (head.type == frontend::kParse && verdict.forward) unnamed_ready_ = true;
    if (head.type == frontend::kQuery) unnamed_ready_ = false;
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
                std::exchange(held_back_, true) ? Event::kStillTooMuchOwed : Event::kTooMuchOwed};
  }
  held_back_ = false;
  switch (head.type) {
    case frontend::kQuery:
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kQuery};
    case frontend::kFunctionCall:
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kFunctionCall};
    case frontend::kCopyData:  // without a server: the rest of a COPY that has failed
      return {.forward = lent};
    case frontend::kCopyDone:
    case frontend::kCopyFail:
      return {.forward = lent, .expect = lent, .request = Request::kCopyEnd};
    default:
      if (IsExtended(head.type)) return JudgeExtended(head.type, body, context);
      broken_type_ = head.type;
      return {.event = Event::kBroken};
  }
}

Requests::Verdict Requests::JudgeExtended(char type, Bytes body, const Context& context) {
  const bool lent = context.replies != nullptr;
  switch (type) {
    case frontend::kSync:
      if (!lent) return {.event = Event::kSyncAlone, .forward = false};
      return {.expect = true, .request = Request::kSync};
    case frontend::kFlush:
      return {.forward = lent};
    case frontend::kParse:
      if (!context.pinned && !body.empty() && body[0] != std::byte{0}) {
        return {.event = Event::kNamedParse};
      }
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kParse};
    case frontend::kBind:
    case frontend::kDescribe:
      if (!context.pinned && !unnamed_ready_ && NamesUnnamedStatement(type, body)) {
        return {.event = Event::kStaleUnnamed};
      }
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true,
              .request = type == frontend::kBind ? Request::kBind : Request::kDescribe};
    case frontend::kClose:
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kClose};
    default:
      TRIREME_ASSERT(type == frontend::kExecute);
      if (!lent) return {.event = Event::kNeedsServer};
      return {.expect = true, .request = Request::kExecute};
  }
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
