// SPDX-License-Identifier: GPL-3.0-or-later
//
// The queues between cores, and how a core goes to sleep without missing a letter. One SPSC queue
// for each ordered pair; one more sender, the main thread, for control. Nothing else is shared.
//
//   sender                                   receiver
//   push                                     asleep = true
//   pending |= my bit                        pending != 0 ? stay awake : sleep in the ring
//   asleep ? wake : done
//
// All four are sequentially consistent, so they have one order: either the sender's bit comes
// first, and the receiver sees it, or the receiver's flag does, and the sender sees that it sleeps.
// No letter waits for a sleeper (Dekker), and a receiver that is awake is never woken.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "pool/board.h"
#include "shard/mail.h"

namespace trireme {

class PostOffice {
 public:
  // `slots` messages fit into one queue (a power of two).
  PostOffice(uint32_t core_count, uint32_t slots);

  uint32_t core_count() const { return core_count_; }
  // The sender number of the main thread.
  uint32_t outsider() const { return core_count_; }

  // --- sender ---
  [[nodiscard]] bool TryPush(uint32_t from, uint32_t to, const Mail& mail) {
    return queue(from, to).TryPush(mail);
  }
  // After pushes: says so. True: the receiver sleeps and this sender must wake it.
  [[nodiscard]] bool Announce(uint32_t from, uint32_t to);

  // --- receiver ---
  // Senders that have announced something since the last call, as a bit set; their queues must be
  // emptied.
  using Senders = std::array<uint64_t, kCoresMax / 64 + 1>;
  bool TakePending(uint32_t core, Senders* senders);
  [[nodiscard]] bool TryPop(uint32_t from, uint32_t to, Mail* mail) {
    return queue(from, to).TryPop(mail);
  }
  // False: there is mail, do not sleep. True: sleep, then EndSleep.
  [[nodiscard]] bool BeginSleep(uint32_t core);
  void EndSleep(uint32_t core);

 private:
  struct alignas(kCacheLine) Desk {
    std::array<std::atomic<uint64_t>, kCoresMax / 64 + 1> pending{};
    alignas(kCacheLine) std::atomic<bool> asleep{false};
  };

  SpscQueue<Mail>& queue(uint32_t from, uint32_t to) { return *queues_[from * core_count_ + to]; }
  bool AnyPending(const Desk& desk) const;

  const uint32_t core_count_;
  const uint32_t words_;
  const std::unique_ptr<Desk[]> desks_;
  std::vector<std::unique_ptr<SpscQueue<Mail>>> queues_;
};

}  // namespace trireme
