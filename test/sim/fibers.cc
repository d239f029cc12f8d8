// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/fibers.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_ring.h"

#if defined(__SANITIZE_ADDRESS__)
#define TRIREME_FIBERS_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TRIREME_FIBERS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRIREME_FIBERS_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TRIREME_FIBERS_TSAN 1
#endif
#endif
#if defined(TRIREME_FIBERS_ASAN)
#include <sanitizer/common_interface_defs.h>
#elif defined(TRIREME_FIBERS_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace trireme::sim {
namespace {

constexpr size_t kStackBytes = 1 << 20;
constexpr size_t kGuardBytes = 4096;  // below the stack: an overflow is found at once

}  // namespace

// A stack to switch to and from.
struct Context {
  ucontext_t context{};
  void* stack = nullptr;  // as AddressSanitizer knows it
  size_t stack_bytes = 0;
  void* thread = nullptr;  // as ThreadSanitizer knows it
};

struct Fibers::Main : Context {};

struct Fibers::Fiber : Context {
  enum class State : uint8_t { kReady, kWaiting, kDone };
  Fiber(Fibers& its_fibers, SimRing& its_ring, std::function<void()> its_body)
      : fibers(its_fibers), ring(its_ring), body(std::move(its_body)) {
    memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, kGuardBytes, PROT_NONE);
    stack = static_cast<char*>(memory) + kGuardBytes;
    stack_bytes = kStackBytes;
#ifdef TRIREME_FIBERS_TSAN
    thread = __tsan_create_fiber(0);
#endif
  }
  ~Fiber() {
#ifdef TRIREME_FIBERS_TSAN
    __tsan_destroy_fiber(thread);
#endif
    munmap(memory, kGuardBytes + kStackBytes);
  }

  Fibers& fibers;
  SimRing& ring;
  std::function<void()> body;
  void* memory = nullptr;
  State state = State::kReady;
  Time deadline{};       // while it waits
  Time starved_until{};  // it does not run before
  uint64_t heals_seen = 0;
};

namespace {

// Switches stacks; returns when somebody switches back.
void Switch(Context& from, Context& to, [[maybe_unused]] bool from_ends) {
#ifdef TRIREME_FIBERS_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef TRIREME_FIBERS_TSAN
  __tsan_switch_to_fiber(to.thread, 0);
#endif
  swapcontext(&from.context, &to.context);
#ifdef TRIREME_FIBERS_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

}  // namespace

Fibers::Fibers(SimKernel& kernel) : kernel_(kernel), main_(std::make_unique<Main>()) {
#ifdef TRIREME_FIBERS_TSAN
  main_->thread = __tsan_get_current_fiber();
#endif
}

Fibers::~Fibers() { TRIREME_ASSERT(all_done()); }

void Fibers::Add(SimRing& ring, std::function<void()> body) {
  fibers_.push_back(std::make_unique<Fiber>(*this, ring, std::move(body)));
  Fiber& fiber = *fibers_.back();
  getcontext(&fiber.context);
  fiber.context.uc_stack = {.ss_sp = fiber.stack, .ss_flags = 0, .ss_size = fiber.stack_bytes};
  fiber.context.uc_link = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(&fiber);
  makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Fibers::Enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  ++running_;
}

// makecontext() passes ints only.
void Fibers::Enter(unsigned high, unsigned low) {
  auto& fiber = *reinterpret_cast<Fiber*>(uintptr_t{high} << 32 | low);
  Fibers& fibers = fiber.fibers;
#ifdef TRIREME_FIBERS_ASAN
  const void* stack = nullptr;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &fibers.main_->stack_bytes);
  fibers.main_->stack = const_cast<void*>(stack);
#endif
  fiber.body();
  fiber.state = Fiber::State::kDone;
  --fibers.running_;
  Switch(fiber, *fibers.main_, /*from_ends=*/true);
  TRIREME_UNREACHABLE();
}

void Fibers::Resume(Fiber& fiber) {
  TRIREME_ASSERT(current_ == nullptr);
  current_ = &fiber;
  ++switches_;
  kernel_.Trace(fiber.ring.index());
  Switch(*main_, fiber, /*from_ends=*/false);
  current_ = nullptr;
}

void Fibers::Suspend(Fiber& fiber) { Switch(fiber, *main_, /*from_ends=*/false); }

// ---- from within a fiber ----

void Fibers::Wait(SimRing& ring, Time deadline) {
  TRIREME_ASSERT(current_ != nullptr && &current_->ring == &ring);
  Fiber& fiber = *current_;
  fiber.state = deadline == Time{} ? Fiber::State::kReady : Fiber::State::kWaiting;
  fiber.deadline = deadline;
  Suspend(fiber);
}

void Fibers::Preempt(SimRing& ring) {
  // Rings are set up and taken down outside of fibers.
  if (current_ == nullptr || !kernel_.Roll(Fault::kPreempt)) return;
  TRIREME_ASSERT(&current_->ring == &ring);
  Fiber& fiber = *current_;
  fiber.state = Fiber::State::kReady;
  if (kernel_.faults().preempt_max > 0us && kernel_.random().Below(4) == 0) {
    fiber.starved_until =
        kernel_.now() + kernel_.Within(kernel_.Within(kernel_.faults().preempt_max));
    kernel_.At(fiber.starved_until, [] {});
  }
  Suspend(fiber);
}

void Fibers::PreemptCurrent() {
  if (current_ != nullptr) Preempt(current_->ring);
}

// ---- the scheduler ----

// One of those that can run now, each with the same chance; nullptr when none can.
Fibers::Fiber* Fibers::Pick() {
  const Time now = kernel_.now();
  Fiber* picked = nullptr;
  uint64_t count = 0;
  for (auto& fiber : fibers_) {
    if (std::exchange(fiber->heals_seen, kernel_.heals()) != kernel_.heals()) {
      fiber->starved_until = {};
    }
    if (fiber->state == Fiber::State::kDone || fiber->starved_until > now) continue;
    if (fiber->state == Fiber::State::kWaiting && fiber->deadline > now && !fiber->ring.Runnable())
      continue;
    if (kernel_.random().Below(++count) == 0) picked = fiber.get();
  }
  if (picked != nullptr && kernel_.Roll(Fault::kStarve)) {
    picked->starved_until = now + kernel_.Within(kernel_.faults().starve_max);
    kernel_.At(picked->starved_until, [] {});
    return Pick();
  }
  return picked;
}

bool Fibers::Step(Time latest) {
  TRIREME_ASSERT(current_ == nullptr);
  if (Fiber* fiber = Pick()) {
    Resume(*fiber);
    // A turn takes a while, and the world does not wait for it.
    kernel_.AdvanceTo(kernel_.now() + kernel_.Within(kTurnMax));
    return true;
  }
  Time next = kernel_.next_event();
  for (auto& fiber : fibers_) {
    if (fiber->state == Fiber::State::kWaiting && fiber->starved_until <= kernel_.now()) {
      next = std::min(next, fiber->deadline);
    }
  }
  if (next > latest || next == kNever) {
    if (latest != kNever) kernel_.AdvanceTo(latest);
    return false;
  }
  kernel_.AdvanceTo(next);
  return true;
}

bool Fibers::RunUntil(const std::function<bool()>& done, Time latest) {
  while (!done()) {
    if (kernel_.now() >= latest || !Step(latest)) return done();
  }
  return true;
}

}  // namespace trireme::sim
