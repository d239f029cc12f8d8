// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/replies.h: the bytes of a server, in pieces.
//
//   input:   cut 2 | segments: count 1, count × (request, disposition) 1 | length 2, bytes | ...
//
// Properties: however the bytes are cut, the same bytes go to the client, the same ones are
// swallowed, and the same events come at the same places; steps never take more than was given;
// more is asked for only when it is missing, and not without bound; no message is split between two
// destinations; ReadyForQuery reports "nothing owed" only at the end of a message. The shortcut for
// whole answers changes nothing.
#include "wire/replies.h"

#include "test/fuzz/input.h"
#include "test/fuzz/trace.h"

namespace trireme::fuzz {
namespace {

struct Segment {
  std::vector<ExpectedReply> expected;
  Bytes bytes;
};

// CopyEnd is only ever the client's, or our own to end its COPY.
ExpectedReply DecodeExpected(uint8_t byte) {
  const auto request = static_cast<Request>(byte % 9);
  auto disposition = static_cast<Disposition>(byte / 9 % 4);
  if (request == Request::kCopyEnd && disposition >= Disposition::kFake) {
    disposition = Disposition::kForward;
  }
  return {request, disposition, {.server = byte >= 81, .client = byte >= 162}};
}

std::vector<Segment> ReadSegments(Input& input) {
  std::vector<Segment> segments;
  while (!input.empty()) {
    Segment& segment = segments.emplace_back();
    for (const std::byte b : input.Take(input.Byte() % 64)) {
      segment.expected.push_back(DecodeExpected(static_cast<uint8_t>(b)));
    }
    segment.bytes = input.Block();
  }
  return segments;
}

class Feeding {
 public:
  enum class Shortcut : uint8_t { kNotTaken, kTaken };
  Feeding(uint16_t cut, Shortcut shortcut) : cut_(cut), shortcut_(shortcut) {}

  std::string Run(const std::vector<Segment>& segments) {
    for (const Segment& segment : segments) {
      for (const ExpectedReply& entry : segment.expected) {
        replies_.Expect(entry.request, entry.disposition, entry.notes);
      }
      stream_ += AsText(segment.bytes);
      if (!FeedAll()) break;
      State();
    }
    return trace_.Take();
  }

 private:
  using Event = ReplyStep::Event;

  // All that has come, in pieces; false = the conversation is over.
  bool FeedAll() {
    size_t need = 0;
    while (true) {
      const size_t left = stream_.size() - at_;
      if (left < std::max<size_t>(need, 1)) return left != 0 || Settle();
      // A piece that is given again has grown to what was asked for.
      const size_t size = std::max(need, cut_.Next(left));
      const Bytes piece = AsBytes(stream_).subspan(at_, size);
      if (need == 0 && shortcut_ == Shortcut::kTaken && replies_.TakeWholeAnswer(piece)) {
        Pass(piece, true);
        if (!Act({.event = Event::kReady})) return false;
        continue;
      }
      const ReplyStep step = replies_.Next(piece);
      Check(step.size <= size, "a step takes no more than was given");
      Check(step.size > 0 || step.event != Event::kNone, "a step makes progress or says why not");
      Pass(piece.first(step.size), step.forward);
      TakeNews();
      need = 0;
      if (step.event == Event::kNeedMore) {
        Check(step.need > size - step.size, "more is asked for only when it is missing");
        Check(step.need <= kHeadBytes + Replies::kRowBytesMax,
              "what must be contiguous is bounded");
        need = step.need;
      } else if (!Act(step)) {
        return false;
      }
    }
  }

  // A reply of our own may be due without any byte.
  bool Settle() {
    while (true) {
      const ReplyStep step = replies_.Next({});
      Check(step.size == 0, "nothing is taken from nothing");
      if (step.event != Event::kFake) return true;
      if (!Act(step)) return false;
    }
  }

  void Pass(Bytes bytes, bool forward) {
    for (const std::byte b : bytes) {
      if (body_left_ == 0) {
        head_.push_back(b);
        if (head_.size() == 1) message_forward_ = forward;
        if (head_.size() == kHeadBytes) {
          body_left_ = ReadHead(head_.data()).body_size();
          head_.clear();
        }
      } else {
        --body_left_;
      }
      Check(forward == message_forward_, "a message has one destination");
    }
    at_ += bytes.size();
    trace_.Pass(bytes.size(), forward ? 'F' : 'S');
  }

  bool Act(const ReplyStep& step) {
    switch (step.event) {
      case Event::kNone:
      case Event::kNeedMore:
        return true;
      case Event::kReady:
        Check(replies_.at_rest() && AtBoundary(), "ready at the end of a message, nothing owed");
        trace_.Event("ready", static_cast<size_t>(replies_.status()));
        return true;
      case Event::kReadyInDoubt:
        Check(replies_.at_rest() && AtBoundary(), "in doubt at the end of a message, nothing owed");
        Check(replies_.syncs_in_doubt() > 0, "there is a doubt");
        trace_.Event("in doubt", replies_.syncs_in_doubt());
        replies_.Expect(Request::kQuery, Disposition::kSkip);
        return true;
      case Event::kParameter:
        Check(AtBoundary(), "a parameter is a whole message");
        trace_.Event("parameter", step.message.size());
        return true;
      case Event::kRow:
        Check(!step.forward, "a row that is ours goes to nobody");
        Check(AtBoundary() || step.message.empty(), "a row that is ours is a whole message");
        trace_.Event("row", step.message.size());
        return true;
      case Event::kFake:
        trace_.Event("fake", static_cast<size_t>(replies_.fake()));
        replies_.FakeSent();
        TakeNews();
        return true;
      case Event::kStatementError:
        Check(step.size >= kHeadBytes + step.message.size(), "the error is in the step");
        trace_.Event("error of a statement", static_cast<size_t>(step.failed));
        return true;
      case Event::kHeldError:
        Check(AtBoundary(), "a held error is a whole message");
        trace_.Event("held error", step.message.size());
        return true;
      case Event::kInjectedError:
        trace_.Event("error of ours", static_cast<size_t>(step.failed));
        return true;
      case Event::kBroken:
        trace_.Event("broken", at_);
        return false;
    }
    Broken("an event without a name");
  }

  void TakeNews() {
    const Replies::News news = replies_.TakeNews();
    for (const Replies::Outcome& outcome : news.outcomes) {
      Check(outcome.notes != Notes{}, "there is news only of what has notes");
      news_ += outcome.answered ? 'a' : 'd';
    }
    discarded_ |= news.discarded;
    unnamed_lost_ |= news.unnamed_lost;
  }

  bool AtBoundary() const { return head_.empty() && body_left_ == 0; }

  void State() {
    const Replies::Counts counts = replies_.TakeCounts();
    Check(replies_.mid_message() == (body_left_ > 0), "it knows whether a message is unfinished");
    trace_.Event("owed", replies_.owed().count());
    trace_.Event("status", static_cast<size_t>(replies_.status()));
    trace_.Event("flags",
                 size_t{replies_.clean()} | size_t{replies_.in_copy()} << 1 |
                     size_t{replies_.skipping()} << 2 | size_t{replies_.needs_sync()} << 3 |
                     size_t{replies_.error_forwarded()} << 4 | size_t{replies_.lost_count()} << 5);
    trace_.Event("doubts", replies_.syncs_in_doubt());
    trace_.Event("queries", counts.queries);
    trace_.Event("transactions", counts.transactions);
    trace_.Event(news_, size_t{discarded_} | size_t{unnamed_lost_} << 1);
  }

  Cut cut_;
  const Shortcut shortcut_;
  Replies replies_;
  Trace trace_;
  std::string news_;
  bool discarded_ = false;
  bool unnamed_lost_ = false;
  std::string stream_;
  size_t at_ = 0;
  // The message at hand, framed independently.
  std::vector<std::byte> head_;
  uint32_t body_left_ = 0;
  bool message_forward_ = false;
};

void Run(Input input) {
  const uint16_t seed = input.Int16();
  const std::vector<Segment> segments = ReadSegments(input);
  using enum Feeding::Shortcut;
  const std::string whole = Feeding(Cut::kWhole, kNotTaken).Run(segments);
  CheckEqual(whole, Feeding(Cut::kWhole, kTaken).Run(segments), "the shortcut does not matter");
  for (const uint16_t cut : {Cut::kSingleBytes, static_cast<uint16_t>(seed | 2)}) {
    CheckEqual(whole, Feeding(cut, kTaken).Run(segments), "the cut does not matter");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
