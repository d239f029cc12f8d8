// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/side_stack.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

#include "base/assert.h"
#include "test/sim/census.h"

#if defined(__SANITIZE_ADDRESS__)
#define TRIREME_STACKS_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TRIREME_STACKS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRIREME_STACKS_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TRIREME_STACKS_TSAN 1
#endif
#endif
#if defined(TRIREME_STACKS_ASAN)
#include <sanitizer/common_interface_defs.h>
#elif defined(TRIREME_STACKS_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace trireme::sim {
namespace {

constexpr size_t kStackBytes = 1 << 20;
constexpr size_t kGuardBytes = 4096;  // below the stack: an overflow is found at once

}  // namespace

SideStack::SideStack(std::function<void()> body) : body_(std::move(body)) {
  memory_ = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory_, kGuardBytes, PROT_NONE);
  inside_.stack = static_cast<char*>(memory_) + kGuardBytes;
  inside_.stack_bytes = kStackBytes;
#ifdef TRIREME_STACKS_TSAN
  inside_.thread = __tsan_create_fiber(0);
#endif
  getcontext(&inside_.context);
  inside_.context.uc_stack = {
      .ss_sp = inside_.stack, .ss_flags = 0, .ss_size = inside_.stack_bytes};
  inside_.context.uc_link = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(this);
  makecontext(&inside_.context, reinterpret_cast<void (*)()>(&SideStack::Enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

SideStack::~SideStack() {
  TRIREME_ASSERT(done_);
#ifdef TRIREME_STACKS_TSAN
  __tsan_destroy_fiber(inside_.thread);
#endif
  munmap(memory_, kGuardBytes + kStackBytes);
}

// makecontext() passes ints only.
void SideStack::Enter(unsigned high, unsigned low) {
  auto& self = *reinterpret_cast<SideStack*>(uintptr_t{high} << 32 | low);
#ifdef TRIREME_STACKS_ASAN
  const void* stack = nullptr;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &self.outside_.stack_bytes);
  self.outside_.stack = const_cast<void*>(stack);
#endif
  self.body_();
  self.done_ = true;
  Switch(self.inside_, self.outside_, Leaving::kForGood);
  TRIREME_UNREACHABLE();
}

void SideStack::Resume() {
  TRIREME_ASSERT(!done_);
#ifdef TRIREME_STACKS_TSAN
  outside_.thread = __tsan_get_current_fiber();
#endif
  Switch(outside_, inside_, Leaving::kForAWhile);
}

void SideStack::Suspend() {
  const Census::Outside outside;  // whoever goes on says whose code that is
  Switch(inside_, outside_, Leaving::kForAWhile);
}

// Returns when somebody switches back.
void SideStack::Switch(Context& from, Context& to, [[maybe_unused]] Leaving leaving) {
#ifdef TRIREME_STACKS_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(leaving == Leaving::kForGood ? nullptr : &fake_stack, to.stack,
                                 to.stack_bytes);
#endif
#ifdef TRIREME_STACKS_TSAN
  __tsan_switch_to_fiber(to.thread, 0);
#endif
  swapcontext(&from.context, &to.context);
#ifdef TRIREME_STACKS_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

}  // namespace trireme::sim
