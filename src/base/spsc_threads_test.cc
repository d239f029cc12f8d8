// SPDX-License-Identifier: GPL-3.0-or-later
//
// The queue between two threads that pause where it hurts: neither side runs at a pace the other
// could get used to, so every fill level between empty and full is met from both sides.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>

#include "base/random.h"
#include "base/random_pause.h"
#include "base/spsc.h"

namespace trireme {
namespace {

constexpr uint64_t kMessages = 20'000;

struct Message {
  uint64_t number;
  std::array<uint64_t, 7> copies;
};

class SpscQueueThreads : public testing::TestWithParam<size_t> {};

TEST_P(SpscQueueThreads, DeliverEachMessageOnceWholeAndInOrder) {
  SpscQueue<Message> queue(GetParam());
  std::thread producer([&] {
    Random random(1);
    for (uint64_t i = 0; i < kMessages; ++i) {
      Message message{.number = i, .copies = {}};
      message.copies.fill(i);
      while (!queue.TryPush(message)) std::this_thread::yield();
      RandomPause(random);
    }
  });
  Random random(2);
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kMessages; ++i) {
    Message message{};
    while (!queue.TryPop(&message)) std::this_thread::yield();
    wrong += message.number != i;
    for (const uint64_t copy : message.copies) wrong += copy != i;
    RandomPause(random);
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(queue.Empty());
}

INSTANTIATE_TEST_SUITE_P(Capacities, SpscQueueThreads, testing::Values(1, 2, 64));

}  // namespace
}  // namespace trireme
