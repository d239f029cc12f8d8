// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/spsc.h"

#include <gtest/gtest.h>

#include <thread>

namespace trireme {
namespace {

// ThreadSanitizer sees an order violation in any one message, at a twentieth of the speed.
#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kMessages = 100'000;
#elif defined(__has_feature)
constexpr uint64_t kMessages = __has_feature(thread_sanitizer) ? 100'000 : 2'000'000;
#else
constexpr uint64_t kMessages = 2'000'000;
#endif

TEST(SpscQueue, DeliversInOrder) {
  SpscQueue<int> queue(4);
  int value = 0;
  EXPECT_TRUE(queue.Empty());
  EXPECT_FALSE(queue.TryPop(&value));
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.Empty());
  EXPECT_TRUE(queue.TryPop(&value));
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(queue.TryPop(&value));
  EXPECT_EQ(value, 2);
  EXPECT_TRUE(queue.Empty());
}

TEST(SpscQueue, HoldsExactlyItsCapacity) {
  for (const size_t capacity : {1u, 2u, 8u}) {
    SpscQueue<size_t> queue(capacity);
    EXPECT_EQ(queue.capacity(), capacity);
    for (size_t i = 0; i < capacity; ++i) EXPECT_TRUE(queue.TryPush(i)) << capacity;
    EXPECT_FALSE(queue.TryPush(99)) << capacity;
    size_t value = 99;
    EXPECT_TRUE(queue.TryPop(&value));
    EXPECT_EQ(value, 0u);
    EXPECT_TRUE(queue.TryPush(capacity)) << "room again";
    for (size_t i = 1; i <= capacity; ++i) {
      EXPECT_TRUE(queue.TryPop(&value));
      EXPECT_EQ(value, i);
    }
    EXPECT_TRUE(queue.Empty());
  }
}

TEST(SpscQueueDeathTest, RefusesACapacityThatIsNoPowerOfTwo) {
  EXPECT_DEATH(SpscQueue<int>(6), "has_single_bit");
}

// A message of one cache line, torn if any order is wrong.
struct Message {
  uint64_t number;
  uint64_t copies[7];
};

TEST(SpscQueue, TwoThreadsLoseNothingAndTearNothing) {
  SpscQueue<Message> queue(256);
  std::thread producer([&] {
    for (uint64_t i = 0; i < kMessages; ++i) {
      const Message message{.number = i, .copies = {i, i, i, i, i, i, i}};
      while (!queue.TryPush(message)) std::this_thread::yield();
    }
  });
  uint64_t wrong = 0;
  Message message;
  for (uint64_t i = 0; i < kMessages; ++i) {
    while (!queue.TryPop(&message)) std::this_thread::yield();
    wrong += message.number != i;
    for (const uint64_t copy : message.copies) wrong += copy != i;
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(queue.Empty());
}

// The smallest queue makes every push and pop look at the other side.
TEST(SpscQueue, TwoThreadsWithOneCell) {
  constexpr int kValues = 2'000;
  SpscQueue<int> queue(1);
  std::thread producer([&] {
    for (int i = 0; i < kValues; ++i) {
      while (!queue.TryPush(i)) std::this_thread::yield();
    }
  });
  int wrong = 0;
  for (int i = 0; i < kValues; ++i) {
    int value = -1;
    while (!queue.TryPop(&value)) std::this_thread::yield();
    wrong += value != i;
  }
  producer.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace trireme
