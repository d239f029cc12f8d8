// SPDX-License-Identifier: GPL-3.0-or-later
//
// session/requests.h: the bytes of a client, in pieces.
//
//   input:   cut 2 | flags 1 | answers to events 8 | segments: what happens first 1, length 2,
//   bytes
//
// Properties: however the bytes are cut, the same ones are forwarded and dropped, with the same
// events at the same places; what is forwarded is whole messages in order, and exactly those of
// them that a server answers are expected from it; nothing is forwarded without a server; steps
// never take more than was given; more is asked for only when it is missing, and not without bound.
// The shortcut for whole queries changes nothing.
#include "session/requests.h"

#include <memory>
#include <optional>

#include "test/fuzz/input.h"
#include "test/fuzz/trace.h"

namespace trireme::fuzz {
namespace {

struct Script {
  bool pinned;
  bool lent_at_first;
  Requests::Limits limits;
  bool keeps_statements;
  Bytes answers;  // to events that leave a choice, in a circle
  struct Segment {
    bool returns_server;  // before its bytes, when it can be
    bool server_answers;  // everything it owed
    Bytes bytes;
  };
  std::vector<Segment> segments;
};

Script ReadScript(Input& input) {
  const uint8_t flags = input.Byte();
  Script script{.pinned = (flags & 1) != 0,
                .lent_at_first = (flags & 2) != 0,
                .limits = {.message_bytes_max = (flags & 4) != 0 ? 64u : 0x3fffffffu,
                           .expected_replies_max = (flags & 8) != 0 ? 2u : 65536u,
                           .statement_bytes_max = 100},
                .keeps_statements = (flags & 16) != 0,
                .answers = input.Take(8),
                .segments = {}};
  while (!input.empty()) {
    const uint8_t before = input.Byte();
    script.segments.push_back({.returns_server = (before & 1) != 0,
                               .server_answers = (before & 2) != 0,
                               .bytes = input.Block()});
  }
  return script;
}

// What a server that got these messages will answer, by an independent reading of the protocol;
// nullopt = nothing.
std::optional<Request> AnsweredAs(char type) {
  switch (type) {
    case 'Q':
      return Request::kQuery;
    case 'F':
      return Request::kFunctionCall;
    case 'P':
      return Request::kParse;
    case 'B':
      return Request::kBind;
    case 'D':
      return Request::kDescribe;
    case 'E':
      return Request::kExecute;
    case 'C':
      return Request::kClose;
    case 'S':
      return Request::kSync;
    case 'c':
    case 'f':
      return Request::kCopyEnd;
    default:
      return std::nullopt;
  }
}

class Feeding {
 public:
  enum class Shortcut : uint8_t { kNotTaken, kTaken };
  Feeding(const Script& script, uint16_t cut, Shortcut shortcut)
      : script_(script), cut_(cut), shortcut_(shortcut) {
    if (script.lent_at_first) Lend();
  }

  std::string Run() {
    for (const Script::Segment& segment : script_.segments) {
      if (segment.server_answers && replies_ != nullptr) Lend();
      if (segment.returns_server && !script_.pinned && !requests_.mid_message()) Return();
      stream_ += AsText(segment.bytes);
      if (!FeedAll()) break;
      State();
    }
    return trace_.Take();
  }

 private:
  using Event = RequestStep::Event;

  // A server that owes nothing.
  void Lend() {
    replies_ = std::make_unique<Replies>();
    owed_.clear();
  }
  void Return() {
    replies_.reset();
    requests_.OnServerReturned();
  }

  bool FeedAll() {
    size_t need = 0;
    while (true) {
      const size_t left = stream_.size() - at_;
      if (left < std::max<size_t>(need, 1)) return true;
      const size_t size = std::max(need, cut_.Next(left));
      const Bytes piece = AsBytes(stream_).subspan(at_, size);
      if (need == 0 && shortcut_ == Shortcut::kTaken && TakeWholeQuery(piece)) continue;
      const RequestStep step =
          requests_.Next(piece, {replies_.get(), script_.pinned, script_.limits, counts_,
                                 script_.keeps_statements ? &statements_ : nullptr});
      Check(step.size <= size, "a step takes no more than was given");
      Check(step.size > 0 || step.event != Event::kNone, "a step makes progress or says why not");
      Pass(piece.first(step.size), step.forward);
      need = 0;
      if (step.event == Event::kNeedMore) {
        Check(step.need > size - step.size, "more is asked for only when it is missing");
        Check(step.need <= 65536, "what must be contiguous is bounded");
        need = step.need;
      } else if (!Act(step)) {
        return false;
      }
    }
  }

  // As a client without a server does.
  bool TakeWholeQuery(Bytes piece) {
    if (replies_ != nullptr || !requests_.IsWholeQuery(piece, script_.limits)) return false;
    trace_.Event("needs server", at_);
    if (NextAnswer()) {
      Lend();
      requests_.OnWholeQuery(*replies_);
      Pass(piece, true);
    } else {
      PassOver();
    }
    return true;
  }

  void Pass(Bytes bytes, bool forward) {
    Check(!forward || bytes.empty() || replies_ != nullptr, "nothing is forwarded to no server");
    at_ += bytes.size();
    trace_.Pass(bytes.size(), forward ? 'F' : 'S');
    if (!forward) return;
    for (const std::byte b : bytes) {
      if (body_left_ > 0) {
        --body_left_;
        continue;
      }
      head_.push_back(b);
      if (head_.size() < kHeadBytes) continue;
      const MessageHead head = ReadHead(head_.data());
      Check(head.valid(script_.limits.message_bytes_max), "forwarded messages have a valid length");
      body_left_ = head.body_size();
      head_.clear();
      const std::optional<Request> answered = AnsweredAs(head.type);
      // The end of a COPY that nobody owes an answer for is nothing to wait for.
      if (answered && (answered != Request::kCopyEnd || !owed_.empty())) owed_.push_back(*answered);
    }
  }

  bool Act(const RequestStep& step) {
    switch (step.event) {
      case Event::kNone:
      case Event::kNeedMore:
        return true;
      case Event::kNeedsServer:
        Check(replies_ == nullptr, "a server is asked for when there is none");
        trace_.Event("needs server", at_);
        if (NextAnswer()) {
          Lend();
        } else {
          PassOver();
        }
        return true;
      case Event::kAskForReplies:
        Check(!owed_.empty(), "there is something to ask for");
        trace_.Event("asks for replies", at_);
        Lend();
        return true;
      case Event::kAwaitReplies:
        Check(!owed_.empty(), "there is something to wait for");
        trace_.Event("waits", at_);
        Lend();
        return true;
      case Event::kTerminate:
        trace_.Event("terminate", at_);
        return false;
      case Event::kSyncAlone:
        Check(replies_ == nullptr, "a server sees every Sync");
        trace_.Event("sync", at_);
        return true;
      case Event::kStatement:
        Check(!script_.pinned && script_.keeps_statements, "statements are rewritten when kept");
        trace_.Event("statement", at_);
        ActOnStatement();
        return true;
      case Event::kText:
        Broken("texts are looked at only when they are watched");
      case Event::kNamedParse:
      case Event::kStaleUnnamed:
        Check(!script_.pinned, "a pinned client may prepare what it likes");
        trace_.Event("refused", static_cast<size_t>(step.event));
        PassOver();
        return true;
      case Event::kFlushWithBody:
        trace_.Event("flush with a body", at_);
        PassOver();
        return true;
      case Event::kBroken:
        trace_.Event("broken", static_cast<uint8_t>(requests_.broken_type()));
        return false;
    }
    Broken("an event without a name");
  }

  // Named ones are none of the server's here; an unnamed one is made again.
  void ActOnStatement() {
    const Bytes message = AsBytes(stream_).subspan(at_);
    const MessageHead head = ReadHead(message.data());
    const bool use = head.type == 'B' || head.type == 'D';
    const std::string_view body = AsText(message.subspan(kHeadBytes));
    const size_t name = head.type == 'B' ? body.find('\0') + 1 : 1;
    if (use && body[name] == '\0') {
      Check(static_cast<bool>(requests_.unnamed()), "there is something to make");
      replies_->Expect(Request::kParse, Disposition::kSkip);
      owed_.push_back(Request::kParse);
      return requests_.OnUnnamedSent();
    }
    requests_.Drop(head.total_size());
  }

  void PassOver() {
    const auto ready = requests_.PassOver(AsBytes(stream_).subspan(at_));
    trace_.Event("passed over", static_cast<size_t>(ready));
  }

  bool NextAnswer() {
    if (script_.answers.empty()) return true;
    const size_t bit = answers_++ % (script_.answers.size() * 8);
    return (static_cast<uint8_t>(script_.answers[bit / 8]) >> bit % 8 & 1) == 0;
  }

  void State() {
    Check(body_left_ > 0 || head_.empty() || requests_.mid_forward(), "heads are judged whole");
    Check(requests_.mid_forward() == (body_left_ > 0 || !head_.empty()),
          "it knows whether the server waits for the rest of a message");
    trace_.Event("flags", size_t{requests_.mid_message()} | size_t{requests_.passing_over()} << 1);
    if (replies_ == nullptr) return;
    const ExpectedReplies& owed = replies_->owed();
    Check(owed.count() == owed_.size(), "what is forwarded is expected");
    for (uint32_t i = 0; i < owed.count(); ++i) {
      Check(owed.at(i).request == owed_[i], "what is forwarded is expected, in order");
    }
  }

  const Script& script_;
  Cut cut_;
  const Shortcut shortcut_;
  Statements statements_{1};
  Requests requests_;
  RequestCounts counts_;
  std::unique_ptr<Replies> replies_;  // of the server that is lent
  Trace trace_;
  std::string stream_;
  size_t at_ = 0;
  size_t answers_ = 0;
  // What was forwarded, framed independently.
  std::vector<std::byte> head_;
  uint32_t body_left_ = 0;
  std::vector<Request> owed_;
};

void Run(Input input) {
  const uint16_t seed = input.Int16();
  const Script script = ReadScript(input);
  using enum Feeding::Shortcut;
  const std::string whole = Feeding(script, Cut::kWhole, kNotTaken).Run();
  CheckEqual(whole, Feeding(script, Cut::kWhole, kTaken).Run(), "the shortcut does not matter");
  for (const uint16_t cut : {Cut::kSingleBytes, static_cast<uint16_t>(seed | 2)}) {
    CheckEqual(whole, Feeding(script, cut, kTaken).Run(), "the cut does not matter");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
