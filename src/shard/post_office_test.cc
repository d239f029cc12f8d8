// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/post_office.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>
#include <vector>

#include "base/random.h"

namespace trireme {
namespace {

Mail Letter(int fd) {
  return Mail{.kind = Mail::Kind::kPlace, .place = {.fd = fd, .listener_index = 0}};
}

TEST(PostOffice, DeliversInOrderToTheAddressee) {
  PostOffice office(3, 8);
  ASSERT_TRUE(office.TryPush(0, 2, Letter(1)));
  ASSERT_TRUE(office.TryPush(0, 2, Letter(2)));
  ASSERT_TRUE(office.TryPush(1, 2, Letter(3)));
  EXPECT_FALSE(office.Announce(0, 2)) << "nobody sleeps";
  EXPECT_FALSE(office.Announce(1, 2));
  PostOffice::Senders senders;
  ASSERT_TRUE(office.TakePending(2, &senders));
  EXPECT_EQ(senders[0], 0b11u);
  Mail mail;
  ASSERT_TRUE(office.TryPop(0, 2, &mail));
  EXPECT_EQ(mail.place.fd, 1);
  ASSERT_TRUE(office.TryPop(0, 2, &mail));
  EXPECT_EQ(mail.place.fd, 2);
  EXPECT_FALSE(office.TryPop(0, 2, &mail));
  ASSERT_TRUE(office.TryPop(1, 2, &mail));
  EXPECT_EQ(mail.place.fd, 3);
  EXPECT_FALSE(office.TakePending(2, &senders));
  EXPECT_FALSE(office.TakePending(0, &senders));
}

TEST(PostOffice, SaysWhenAQueueIsFull) {
  PostOffice office(2, 2);
  EXPECT_TRUE(office.TryPush(0, 1, Letter(1)));
  EXPECT_TRUE(office.TryPush(0, 1, Letter(2)));
  EXPECT_FALSE(office.TryPush(0, 1, Letter(3)));
}

TEST(PostOffice, WakesASleeperOnceAndNobodyElse) {
  PostOffice office(3, 8);
  ASSERT_TRUE(office.BeginSleep(2));
  EXPECT_TRUE(office.Announce(0, 2));
  EXPECT_FALSE(office.Announce(1, 2)) << "somebody is waking it already";
  office.EndSleep(2);
  EXPECT_FALSE(office.BeginSleep(2)) << "there is mail";
  PostOffice::Senders senders;
  EXPECT_TRUE(office.TakePending(2, &senders));
  EXPECT_TRUE(office.BeginSleep(2));
  office.EndSleep(2);
}

TEST(PostOffice, KnowsSendersBeyondTheFirstWord) {
  PostOffice office(130, 2);
  ASSERT_TRUE(office.TryPush(129, 3, Letter(7)));
  EXPECT_FALSE(office.Announce(129, 3));
  EXPECT_FALSE(office.Announce(office.outsider(), 3));
  PostOffice::Senders senders;
  ASSERT_TRUE(office.TakePending(3, &senders));
  EXPECT_EQ(senders[2], 0b110u);
}

// Two real threads, one of which sleeps whenever it may: every letter arrives, and no sleep is
// missed (a missed one would leave the receiver waiting for a permit that nobody gives).
TEST(PostOffice, LosesNoWakeUpBetweenThreads) {
  constexpr int kLetters = 200'000;
  PostOffice office(2, 64);
  std::counting_semaphore<> bell(0);
  uint64_t sleeps = 0;
  std::thread receiver([&] {
    Random random(1);
    int expected = 0;
    while (expected < kLetters) {
      PostOffice::Senders senders;
      if (office.TakePending(1, &senders)) {
        Mail mail;
        while (office.TryPop(0, 1, &mail)) EXPECT_EQ(mail.place.fd, expected++);
      }
      if (expected < kLetters && office.BeginSleep(1)) {
        ++sleeps;
        bell.acquire();
        office.EndSleep(1);
      }
      if (random.Below(64) == 0) std::this_thread::yield();
    }
  });
  Random random(2);
  for (int i = 0; i < kLetters;) {
    const int batch = static_cast<int>(random.Below(4)) + 1;
    for (int n = 0; n < batch && i < kLetters; ++n) {
      while (!office.TryPush(0, 1, Letter(i))) {
        if (office.Announce(0, 1)) bell.release();
        std::this_thread::yield();
      }
      ++i;
    }
    if (office.Announce(0, 1)) bell.release();
    if (random.Below(16) == 0) std::this_thread::yield();
  }
  receiver.join();
  EXPECT_GT(sleeps, 0u);
}

}  // namespace
}  // namespace trireme
