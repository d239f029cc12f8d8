// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where the simulated world's parties report what must never happen. They never assert: a story
// with a seed is worth more than a stack. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::sim {

// Which promise was broken.
enum class Rule : uint8_t {
  kCrossTalk,     // a reply that answers another client's or another query
  kReplyOrder,    // not exactly one reply for each request, in order
  kBytes,         // lost, doubled or changed bytes, in either direction
  kSessionState,  // the session seen is not the session asked for
  kTransaction,   // wrong transaction status, or a transaction that moved between servers
  kError,         // an error that this world has no reason for
  kProtocol,      // not the PostgreSQL protocol
  kLogin,         // a login that had to succeed did not, or the other way round
};

constexpr std::string_view Name(Rule rule) {
  switch (rule) {
    case Rule::kCrossTalk:
      return "cross-talk";
    case Rule::kReplyOrder:
      return "reply order";
    case Rule::kBytes:
      return "bytes";
    case Rule::kSessionState:
      return "session state";
    case Rule::kTransaction:
      return "transaction";
    case Rule::kError:
      return "error";
    case Rule::kProtocol:
      return "protocol";
    case Rule::kLogin:
      return "login";
  }
  return "?";
}

struct Violation {
  Rule rule;
  std::string text;  // one sentence: who, which query, expected what, got what
};

class Verdict {
 public:
  virtual ~Verdict() = default;
  virtual void OnViolation(const Violation& violation) = 0;
};

}  // namespace trireme::sim
