// SPDX-License-Identifier: GPL-3.0-or-later
#include "single_step.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

// The step of a system call that was still asleep when the thread was interrupted ends it with
// SIGTRAP, queued behind the interruption: fatal to a thread that nobody traces any more.
bool TrapPending(pid_t tid) {
  __ptrace_peeksiginfo_args which{.off = 0, .flags = 0, .nr = 1};
  for (siginfo_t info{}; ptrace(PTRACE_PEEKSIGINFO, tid, &which, &info) == 1; ++which.off) {
    if (info.si_signo == SIGTRAP) return true;
  }
  return false;
}

uint64_t Register(pid_t tid, size_t offset) {
  return static_cast<uint64_t>(ptrace(PTRACE_PEEKUSER, tid, offset, 0));
}

}  // namespace

SingleStep::~SingleStep() {
  Detach();
  if (memory_fd_ >= 0) close(memory_fd_);
}

std::string SingleStep::Attach() {
  const std::string path = "/proc/" + std::to_string(pid_) + "/mem";
  memory_fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (memory_fd_ < 0) return path + ": " + std::strerror(errno);
  if (ptrace(PTRACE_SEIZE, tid_, 0, 0) != 0) {
    return std::string("ptrace: ") + std::strerror(errno) +
           " (another tracer, another user, or kernel.yama.ptrace_scope)";
  }
  attached_ = true;
  ptrace(PTRACE_INTERRUPT, tid_, 0, 0);
  Stop stop = Wait();
  while (stop == Stop::kInterrupted) stop = Wait();
  return stop == Stop::kEnded ? "the target ended" : "";
}

SingleStep::Stop SingleStep::Wait() {
  int status = 0;
  if (waitpid(tid_, &status, __WALL) != tid_) {
    if (errno == EINTR) return Stop::kInterrupted;
    attached_ = false;
    return Stop::kEnded;
  }
  if (!WIFSTOPPED(status)) {
    attached_ = false;
    return Stop::kEnded;
  }
  stopped_ = true;
  const int signal = WSTOPSIG(status);
  if (status >> 16 == PTRACE_EVENT_STOP) {
    return signal == SIGTRAP ? Stop::kTrapped : Stop::kGroupStop;
  }
  if (signal == SIGTRAP) return Stop::kStepped;
  signal_ = signal;
  return Stop::kSignal;
}

// Repeated string instructions trap once for each element; a counter counts them once.
SingleStep::Kind SingleStep::Classify(uint64_t address) const {
  uint8_t code[4] = {};
  if (pread(memory_fd_, code, sizeof code, static_cast<off_t>(address)) < 2) return Kind::kPlain;
  if (code[0] == 0x0f && code[1] == 0x05) return Kind::kSystemCall;
  if (code[0] != 0xf2 && code[0] != 0xf3) return Kind::kPlain;
  const uint8_t operation = (code[1] & 0xf0) == 0x40 ? code[2] : code[1];  // behind a REX prefix
  const bool string =
      (operation >= 0xa4 && operation <= 0xa7) || (operation >= 0xaa && operation <= 0xaf);
  return string ? Kind::kRepeated : Kind::kPlain;
}

SingleStep::Site& SingleStep::SiteAt(uint64_t address) {
  const auto [at, is_new] = sites_.try_emplace(address);
  if (is_new) at->second.kind = Classify(address);
  return at->second;
}

SingleStep::Counts SingleStep::Run(double seconds, const volatile int* stop) {
  Counts counts;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  uint64_t last = 0;
  while (attached_ && *stop == 0) {
    if ((counts.instructions & 1023) == 0 && Clock::now() >= end) break;
    const uint64_t address = Register(tid_, offsetof(user_regs_struct, rip));
    Site& site = SiteAt(address);
    uint64_t number = 0;
    if (site.kind == Kind::kSystemCall) {
      number = Register(tid_, offsetof(user_regs_struct, rax));
    }
    if (ptrace(PTRACE_SINGLESTEP, tid_, 0, signal_) != 0) break;
    signal_ = 0;
    stopped_ = false;
    Stop what = Wait();
    while (what == Stop::kInterrupted && *stop == 0 && Clock::now() < end) what = Wait();
    while (what == Stop::kGroupStop) {  // somebody stopped the process: let it be stopped
      ptrace(PTRACE_LISTEN, tid_, 0, 0);
      stopped_ = false;
      what = Wait();
    }
    // A call that sleeps at the end has been entered as well.
    const bool executed = what == Stop::kStepped || what == Stop::kInterrupted;
    if (executed && !(site.kind == Kind::kRepeated && address == last)) {
      ++counts.instructions;
      ++site.count;
      if (site.kind == Kind::kSystemCall) {
        ++counts.system_calls;
        ++counts.by_system_call[number];
      }
    }
    last = address;
    if (what == Stop::kInterrupted) break;
  }
  counts.target_ended = !attached_;
  Detach();
  for (const auto& [address, site] : sites_) {
    if (site.count > 0) counts.by_address[address] = site.count;
  }
  return counts;
}

void SingleStep::Detach() {
  if (!attached_) return;
  if (!stopped_) {
    ptrace(PTRACE_INTERRUPT, tid_, 0, 0);
    Stop what = Wait();
    while (what == Stop::kInterrupted) what = Wait();
    while (what != Stop::kEnded && TrapPending(tid_)) {
      ptrace(PTRACE_CONT, tid_, 0, 0);  // runs no further than that signal
      what = Wait();
      while (what == Stop::kInterrupted) what = Wait();
    }
    if (what == Stop::kEnded) return;
  }
  ptrace(PTRACE_DETACH, tid_, 0, signal_);  // clears the trap flag
  attached_ = false;
}

}  // namespace trireme::bench
