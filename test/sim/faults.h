// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the simulated kernel may do wrong, how often, and how often it has done it. Chances are per
// million, rolled wherever the fault could happen; all zero = a healthy world. Each fault done is
// counted, so that a suite can fail when a kind was never exercised.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace trireme::sim {

enum class Fault : uint8_t {
  kRefuseConnect,       // ECONNREFUSED although somebody listens
  kBlackHoleConnect,    // no answer: ETIMEDOUT after `connect_timeout`
  kSplitRead,           // fewer bytes than have arrived
  kShortSend,           // a send completes although bytes are left
  kClog,                // nothing moves in one direction for up to `clog_max`
  kReset,               // the connection is gone: ECONNRESET or ETIMEDOUT
  kNoDescriptors,       // EMFILE or ENFILE at Open and at accept
  kNoBuffers,           // a receive ends with ENOBUFS although buffers are there
  kWithholdBuffers,     // nothing is published for up to `withhold_max`
  kEndMultishot,        // a multishot ends without reason
  kLateCompletion,      // up to `late_max` after it has happened
  kReorderCompletions,  // of different operations
  kSpuriousWake,        // a sleep ends without a completion
  kPreempt,             // other cores run in the middle of a turn, perhaps long (fibers only)
  kStarve,              // a core does not run for up to `starve_max` (fibers only)
};
inline constexpr size_t kFaultCount = 15;
std::string_view FaultName(Fault fault);

struct Faults {
  std::array<uint32_t, kFaultCount> per_million = {};
  Duration latency_min = 5us;  // of every segment, each way
  Duration latency_max = 50us;
  uint32_t capacity_min = 65536;  // bytes on their way in one direction, drawn for each connection
  uint32_t capacity_max = 65536;
  Duration connect_timeout = 127s;
  Duration clog_max = 50ms;
  Duration withhold_max = 5ms;
  Duration late_max = 500us;
  Duration preempt_max = 0us;  // each fourth preemption lasts up to so long
  Duration starve_max = 20ms;

  uint32_t& operator[](Fault fault) { return per_million[static_cast<size_t>(fault)]; }
  uint32_t operator[](Fault fault) const { return per_million[static_cast<size_t>(fault)]; }
};

struct FaultCounts {
  std::array<uint64_t, kFaultCount> done = {};
  uint64_t& operator[](Fault fault) { return done[static_cast<size_t>(fault)]; }
  uint64_t operator[](Fault fault) const { return done[static_cast<size_t>(fault)]; }
};

}  // namespace trireme::sim
