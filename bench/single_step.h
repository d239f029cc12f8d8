// SPDX-License-Identifier: GPL-3.0-or-later
//
// Counts the user-space instructions and system calls of one thread of another process where no
// hardware counter can be had: the thread executes one instruction at a time under ptrace, and each
// stop is counted at its address.
//
// What must hold: whatever ends the count (time, a signal to us, the end of the target), the target
// is detached and runs on. Only SIGKILL to us can break that: the kernel then leaves the trap flag
// set in the target.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

namespace trireme::bench {

class SingleStep {
 public:
  struct Counts {
    uint64_t instructions = 0;
    uint64_t system_calls = 0;
    std::unordered_map<uint64_t, uint64_t> by_address;  // instruction → times executed
    std::map<uint64_t, uint64_t> by_system_call;        // number → times entered
    bool target_ended = false;
  };

  // `pid` is the process, `tid` its thread.
  SingleStep(pid_t pid, pid_t tid) : pid_(pid), tid_(tid) {}
  SingleStep(const SingleStep&) = delete;
  SingleStep& operator=(const SingleStep&) = delete;
  ~SingleStep();

  // Stops the thread. "" or why not.
  std::string Attach();
  // Steps until `seconds` have passed, `*stop` becomes nonzero (by a signal handler), or the target
  // ends; then detaches. A timer signal of the caller must interrupt waiting calls from time to
  // time.
  Counts Run(double seconds, const volatile int* stop);

 private:
  enum class Kind : uint8_t { kPlain, kSystemCall, kRepeated };
  struct Site {
    Kind kind;
    uint64_t count = 0;
  };

  enum class Stop : uint8_t { kStepped, kSignal, kGroupStop, kTrapped, kInterrupted, kEnded };
  Stop Wait();
  void Detach();
  Kind Classify(uint64_t address) const;
  Site& SiteAt(uint64_t address);

  const pid_t pid_;
  const pid_t tid_;
  int memory_fd_ = -1;
  bool attached_ = false;
  bool stopped_ = false;  // in a ptrace stop; else it may be asleep in a system call
  int signal_ = 0;        // caught on its way to the target, to be handed on
  std::unordered_map<uint64_t, Site> sites_;
};

}  // namespace trireme::bench
