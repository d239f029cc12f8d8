// SPDX-License-Identifier: GPL-3.0-or-later
//
// Marks for the simulator, compiled to nothing but in builds with -Dmarks=true:
//
//   TRIREME_COVER(kStealDenied);           a rare branch; the swarm fails when it was never taken
//   if (TRIREME_MUTATION(kNoWake)) ...     a bug planted on purpose; the swarm must find it
//   TRIREME_YIELD();                       between two atomics: another core may run here
//   TRIREME_QUEUE(kServed, this, &waiter); what an oracle hears of a pool's queue
//
// Add a name below and use it once. Counts are read when the world has ended.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

#define TRIREME_COVERAGE_MARKS(mark)                                                              \
  mark(kGrantFoundNoWaiter) mark(kGrantToOlder) mark(kStealDenied) mark(kLookAgainFound)          \
      mark(kServerDiedLeaving) mark(kReservationUndone) mark(kEvicted) mark(kConnectBackOff)      \
          mark(kWaitTimeout) mark(kMailBackedUp) mark(kReceiveStarved) mark(kLingerExpired)       \
              mark(kCancelledInQueue) mark(kTooMuchOwed) mark(kMovedToHeap) mark(kFatalOutOfTurn) \
                  mark(kSettlingTimeout) mark(kBacklogMovedToHeap) mark(kClaimLost)               \
                      mark(kStatementEvicted) mark(kQueryOverdue) mark(kClientOverdue)            \
                          mark(kReserveUsed) mark(kKeptWarm) mark(kClaimedByBook)                 \
                              mark(kGrantedByBook) mark(kClaimVoid) mark(kRejoinedLine)
#define TRIREME_MUTATIONS(mutation)                                                               \
  mutation(kNone) mutation(kSkipLookAgain) mutation(kDropGrantWithoutWaiter)                      \
      mutation(kCapCheckedNotReserved) mutation(kWaitersLifo) mutation(kNoWake)                   \
          mutation(kEnobufsNotRetried) mutation(kReceiveNotRearmed) mutation(kRecycledBeforeSent) \
              mutation(kClosedWithOpInFlight) mutation(kForgetSwallow) mutation(kNoRollback)      \
                  mutation(kReleaseAtFirstReady) mutation(kCancelHitsNextClient)                  \
                      mutation(kForgetFlush) mutation(kForgetReset) mutation(kForgetUnclaim)      \
                          mutation(kForgetParameter) mutation(kForgetFatal)                       \
                              mutation(kLingerForEver) mutation(kForwardInjectedParse)            \
                                  mutation(kForgetRejoin)

#define TRIREME_ENUMERATOR(name) name,
#define TRIREME_NAME(name) #name,
enum class CoverageMark : uint8_t { TRIREME_COVERAGE_MARKS(TRIREME_ENUMERATOR) };
enum class Mutation : uint8_t { TRIREME_MUTATIONS(TRIREME_ENUMERATOR) };
// A waiter of a pool begins to wait; gets a server; ends its wait otherwise.
enum class QueueEvent : uint8_t { kWaits, kServed, kLeft };
inline constexpr std::string_view kCoverageMarkNames[] = {TRIREME_COVERAGE_MARKS(TRIREME_NAME)};
inline constexpr std::string_view kMutationNames[] = {TRIREME_MUTATIONS(TRIREME_NAME)};
#undef TRIREME_ENUMERATOR
#undef TRIREME_NAME

#ifdef TRIREME_MARKS
inline constexpr bool kMarksBuilt = true;
inline std::array<std::atomic<uint64_t>, std::size(kCoverageMarkNames)> coverage_counts{};
inline Mutation planted = Mutation::kNone;  // before any shard runs
inline void (*yield_hook)() = nullptr;
inline void (*queue_hook)(QueueEvent event, const void* pool, const void* waiter) = nullptr;
#define TRIREME_COVER(mark)                                                                 \
  ::trireme::coverage_counts[static_cast<size_t>(::trireme::CoverageMark::mark)].fetch_add( \
      1, std::memory_order_relaxed)
#define TRIREME_MUTATION(name) (::trireme::planted == ::trireme::Mutation::name)
#define TRIREME_YIELD() (::trireme::yield_hook != nullptr ? ::trireme::yield_hook() : void())
#define TRIREME_QUEUE(event, pool, waiter)                                     \
  (::trireme::queue_hook != nullptr                                            \
       ? ::trireme::queue_hook(::trireme::QueueEvent::event, (pool), (waiter)) \
       : void())
#else
inline constexpr bool kMarksBuilt = false;
#define TRIREME_COVER(mark) static_cast<void>(0)
#define TRIREME_MUTATION(name) false
#define TRIREME_YIELD() static_cast<void>(0)
#define TRIREME_QUEUE(event, pool, waiter) static_cast<void>(0)
#endif

}  // namespace trireme
