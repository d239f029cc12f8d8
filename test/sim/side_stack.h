// SPDX-License-Identifier: GPL-3.0-or-later
//
// A body that runs on a stack of its own, so that it can stop in the middle and go on later: what a
// simulated core is made of. Both sanitizers are told of each switch.
//
//   Resume() ──▶ body … Suspend() ──▶ back in Resume() … Resume() ──▶ the body goes on
//
// One thread. The body must have returned before this is destroyed (asserted): else what lies on
// its stack would be forgotten.
#pragma once

#include <cstddef>
#include <functional>

#include <ucontext.h>

namespace trireme::sim {

class SideStack {
 public:
  explicit SideStack(std::function<void()> body);
  ~SideStack();
  SideStack(const SideStack&) = delete;
  SideStack& operator=(const SideStack&) = delete;

  // From the outside, not after the end: until the body suspends itself or returns.
  void Resume();
  // From within the body.
  void Suspend();
  bool done() const { return done_; }

 private:
  // A stack to switch to and from.
  struct Context {
    ucontext_t context{};
    void* stack = nullptr;  // as AddressSanitizer knows it
    size_t stack_bytes = 0;
    void* thread = nullptr;  // as ThreadSanitizer knows it
  };
  enum class Leaving : bool { kForAWhile, kForGood };
  static void Enter(unsigned high, unsigned low);
  static void Switch(Context& from, Context& to, Leaving leaving);

  std::function<void()> body_;
  void* memory_ = nullptr;
  Context inside_;
  Context outside_;
  bool done_ = false;
};

}  // namespace trireme::sim
