// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests: what a server sends, fed to Replies whole and in pieces.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "wire/replies.h"

namespace trireme {

using Event = ReplyStep::Event;

inline std::string Message(char type, std::string_view body = "") {
  std::string text(1, type);
  const uint32_t length = static_cast<uint32_t>(body.size()) + 4;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(length >> shift);
  return text.append(body);
}
inline std::string Ready(char status = 'I') { return Message('Z', std::string(1, status)); }

// What comes of feeding `bytes` in chunks: forwarded bytes, and the events as letters in order
// (R ready, I ready in doubt, P parameter, F fake, D row of ours, E injected error, S error of a
// statement, H held, B broken).
struct Outcome {
  std::string forwarded;
  std::string rows;  // ours, each in brackets
  std::string events;
};

inline Outcome Feed(Replies& replies, std::string_view bytes, size_t chunk) {
  Outcome outcome;
  std::string held;
  for (size_t at = 0; at < bytes.size() || at == 0; at += chunk) {
    held.append(bytes.substr(at, chunk));
    for (int guard = 0; guard < 1000; ++guard) {
      const ReplyStep step = replies.Next(AsBytes(held));
      if (step.event == Event::kRow) {
        outcome.events += 'D';
        outcome.rows += '[' + std::string(AsText(step.message)) + ']';
      }
      if (step.forward) outcome.forwarded += held.substr(0, step.size);
      held.erase(0, step.size);
      if (step.event == Event::kReady) outcome.events += 'R';
      if (step.event == Event::kReadyInDoubt) {
        outcome.events += 'I';
        replies.Expect(Request::kQuery, Disposition::kSkip);
      }
      if (step.event == Event::kParameter) outcome.events += 'P';
      if (step.event == Event::kInjectedError) outcome.events += 'E';
      if (step.event == Event::kStatementError) outcome.events += 'S';
      if (step.event == Event::kHeldError) outcome.events += 'H';
      if (step.event == Event::kFake) {
        outcome.events += 'F';
        replies.FakeSent();
      }
      if (step.event == Event::kBroken) {
        outcome.events += 'B';
        return outcome;
      }
      if (step.event == Event::kNeedMore) break;
      if (step.event == Event::kNone && held.empty()) break;
    }
  }
  return outcome;
}

// The same stream in one piece and in chunks of every small size must give the same.
template <typename Prepare>
Outcome FeedAllWays(Prepare prepare, const std::string& bytes) {
  Replies whole;
  prepare(whole);
  const Outcome expected = Feed(whole, bytes, bytes.size() + 1);
  for (size_t chunk = 1; chunk < bytes.size() && chunk < 40; ++chunk) {
    Replies replies;
    prepare(replies);
    const Outcome got = Feed(replies, bytes, chunk);
    EXPECT_EQ(got.forwarded, expected.forwarded) << "chunk " << chunk;
    EXPECT_EQ(got.events, expected.events) << "chunk " << chunk;
    EXPECT_EQ(got.rows, expected.rows) << "chunk " << chunk;
    EXPECT_EQ(replies.clean(), whole.clean()) << "chunk " << chunk;
  }
  return expected;
}

inline void ExpectAll(Replies& replies, std::initializer_list<Request> requests) {
  for (Request request : requests) replies.Expect(request, Disposition::kForward);
}

}  // namespace trireme
