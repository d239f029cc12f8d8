// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a simulated client asks, as messages and as what must come back for them. A script is one
// transaction of a client: steps that it sends one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "test/sim/sim_sql.h"

namespace trireme::sim {

struct SimRequest {
  enum class Kind : uint8_t {
    kQuery,
    kParse,
    kBind,
    kDescribeStatement,
    kDescribePortal,
    kExecute,
    kClose,
    kSync,
    kFunctionCall,
  };
  Kind kind = Kind::kSync;
  std::vector<SimStatement> statements{};  // kQuery: any number; kParse to kExecute: one or none
  std::string tag{};                       // kFunctionCall
  std::string name{};                      // prepared statement
  std::string portal{};
  uint32_t row_limit = 0;      // kExecute
  uint64_t copy_messages = 0;  // kQuery, kExecute with COPY FROM: what is sent
  uint64_t copy_digest = kDigestStart;
  bool copy_fails = false;       // the client itself gives up: CopyFail
  bool copy_eager = false;       // the data is sent unasked, right behind
  bool ignored_in_copy = false;  // kSync that a COPY FROM reads when it begins (libpq sends one)
  bool closes_portal = false;    // kClose of a portal, else of a statement
  std::string refusal{};         // SQLSTATE with which a pooler may refuse it
  size_t end = 0;                // where it ends in the bytes of its step
  Time asked_at{};

  std::string_view KindName() const {
    static constexpr std::string_view kNames[] = {"Query",    "Parse",    "Bind",
                                                  "Describe", "Describe", "Execute",
                                                  "Close",    "Sync",     "FunctionCall"};
    return kNames[static_cast<size_t>(kind)];
  }
};

struct SimStep {
  std::string bytes;
  std::vector<SimRequest> requests;
  enum class When : uint8_t {
    kAlways,
    kInCopy,   // the server waits for COPY data
    kSkipping  // an error has made the server wait for a Sync that was not asked yet
  };
  When when = When::kAlways;
  Duration think{};  // before it is sent
};

using SimScript = std::vector<SimStep>;

}  // namespace trireme::sim
