// SPDX-License-Identifier: GPL-3.0-or-later
//
// What only the real ring has: wakes across threads, and its system calls. The rest is in
// test/ring.
#include "ring/uring_ring.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace trireme {
namespace {

constexpr Buffers::Options kBuffers{.block_bytes = 4096, .blocks_max = 64};

std::unique_ptr<UringRing> Create(uint32_t index, Buffers& buffers) {
  return *UringRing::Create(
      {.index = index, .submission_entries = 64, .completion_entries = 256, .published_min = 4},
      buffers);
}

TEST(UringRing, AThreadWithoutARingEndsItsSleepEachTime) {
  Buffers buffers(kBuffers);
  const auto ring = Create(0, buffers);
  ASSERT_TRUE(ring->Start().ok());
  for (int round = 0; round < 20; ++round) {
    std::thread outsider([&ring] { ring->WakeFromOutside(); });
    EXPECT_GE(ring->SubmitAndReap(kNever), 1u);
    outsider.join();
  }
  EXPECT_EQ(ring->counters().wakes_received, 20u);
}

TEST(UringRing, RingsOnThreadsWakeEachOther) {
  constexpr int kRounds = 2000;
  Buffers first_buffers(kBuffers), second_buffers(kBuffers);
  const auto first = Create(0, first_buffers);
  const auto second = Create(1, second_buffers);
  const int fds[] = {first->fd(), second->fd()};
  first->SetSiblings(fds);
  second->SetSiblings(fds);
  std::atomic<bool> ready{false};
  // A ball goes to and fro; each side sleeps without limit until it comes.
  std::thread other([&] {
    ASSERT_TRUE(second->Start().ok());
    ready.store(true, std::memory_order_release);
    for (int round = 0; round < kRounds; ++round) {
      while (second->SubmitAndReap(kNever) == 0) {
      }
      second->Wake(0);
    }
    second->SubmitAndReap(Time{});
  });
  ASSERT_TRUE(first->Start().ok());
  while (!ready.load(std::memory_order_acquire)) std::this_thread::yield();
  for (int round = 0; round < kRounds; ++round) {
    first->Wake(1);
    while (first->SubmitAndReap(kNever) == 0) {
    }
  }
  other.join();
  EXPECT_EQ(first->counters().wakes_received, static_cast<uint64_t>(kRounds));
}

TEST(UringRing, MakesNoSystemCallWhenThereIsNothingToDo) {
  Buffers buffers(kBuffers);
  const auto ring = Create(0, buffers);
  ASSERT_TRUE(ring->Start().ok());
  ring->SubmitAndReap(Time{});  // arms what Start() has begun
  const uint64_t before = ring->counters().system_calls;
  for (int i = 0; i < 10; ++i) ring->SubmitAndReap(Time{});
  EXPECT_EQ(ring->counters().system_calls, before);
}

TEST(UringRing, MakesOneSystemCallATurn) {
  Buffers buffers(kBuffers);
  const auto ring = Create(0, buffers);
  ASSERT_TRUE(ring->Start().ok());
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  struct Echo {
    UringRing& ring;
    int fd;
    Op send;
    int received = 0;
    Slice slice;
  };
  Echo echo{.ring = *ring, .fd = fds[0], .send = Op([](Op&, Completion&) {}, nullptr)};
  Op receive(
      [](Op& op, Completion& completion) {
        Echo& its_echo = *static_cast<Echo*>(op.owner);
        if (completion.result <= 0) return;
        ++its_echo.received;
        its_echo.slice = std::move(completion.slice);
        its_echo.ring.BeginQuickSend(its_echo.send, its_echo.fd, its_echo.slice.bytes());
      },
      &echo);
  ring->BeginReceive(receive, fds[0]);
  ring->SubmitAndReap(Time{});
  const uint64_t before = ring->counters().system_calls;
  char byte = 'x';
  for (int i = 1; i <= 10; ++i) {
    ASSERT_EQ(write(fds[1], &byte, 1), 1);
    while (echo.received < i) ring->SubmitAndReap(kNever);        // one
    while (echo.send.in_flight > 0) ring->SubmitAndReap(Time{});  // two
    ASSERT_EQ(read(fds[1], &byte, 1), 1);
  }
  EXPECT_EQ(ring->counters().system_calls, before + 20);
  ring->Shutdown(fds[0], SHUT_RDWR);
  while (ring->in_flight() > 0) ring->SubmitAndReap(kNever);
  echo.slice = Slice{};
  close(fds[0]);
  close(fds[1]);
}

TEST(UringRing, QuickSendsHaveNoCompletionOfTheKernel) {
  Buffers buffers(kBuffers);
  const auto ring = Create(0, buffers);
  ASSERT_TRUE(ring->Start().ok());
  ring->SubmitAndReap(Time{});
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  int32_t result = 0;
  Op send(
      [](Op& op, Completion& completion) { *static_cast<int32_t*>(op.owner) = completion.result; },
      &result);
  const uint64_t before = ring->counters().system_calls;
  ring->BeginQuickSend(send, fds[0], AsBytes("hello"));
  EXPECT_EQ(ring->SubmitAndReap(Time{}), 1u);
  EXPECT_EQ(result, 5);
  EXPECT_EQ(send.in_flight, 0u);
  EXPECT_EQ(ring->in_flight(), 0u);
  EXPECT_EQ(ring->counters().system_calls, before + 1);
  char text[8];
  EXPECT_EQ(read(fds[1], text, sizeof text), 5);
  close(fds[0]);
  close(fds[1]);
}

// The queue of completions is too small for all the failures of a turn: the kernel keeps the others
// for the next one. No failure is taken for a success.
TEST(UringRing, QuickSendsThatFailAreAllToldWhenTheQueueOverflows) {
  constexpr size_t kSends = 64;
  Buffers buffers(kBuffers);
  const auto ring = *UringRing::Create(
      {.submission_entries = 16, .completion_entries = 16, .published_min = 4}, buffers);
  ASSERT_TRUE(ring->Start().ok());
  ring->SubmitAndReap(Time{});
  struct Sender {
    Sender()
        : op(
              [](Op& its_op, Completion& completion) {
                static_cast<Sender*>(its_op.owner)->results.push_back(completion.result);
              },
              this) {}
    Op op;
    std::vector<int32_t> results;
    int fds[2];
  };
  std::vector<Sender> senders(kSends);
  for (size_t i = 0; i < kSends; ++i) {
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, senders[i].fds), 0);
    if (i % 8 != 0) ring->Shutdown(senders[i].fds[0], SHUT_WR);
    ring->BeginQuickSend(senders[i].op, senders[i].fds[0], AsBytes("x"));
  }
  for (int turn = 0; turn < 100 && ring->in_flight() > 0; ++turn) {
    ring->SubmitAndReap(ring->now() + 5ms);
  }
  EXPECT_GT(ring->counters().overflows, 0u) << "else this tests nothing";
  for (size_t i = 0; i < kSends; ++i) {
    EXPECT_EQ(senders[i].results, (std::vector<int32_t>{i % 8 != 0 ? -EPIPE : 1})) << i;
    close(senders[i].fds[0]);
    close(senders[i].fds[1]);
  }
}

TEST(UringRing, PublishesMoreWhenTheKernelHasRunOut) {
  Buffers buffers({.block_bytes = 4096, .blocks_max = 512});
  const auto ring = Create(0, buffers);
  ASSERT_TRUE(ring->Start().ok());
  ring->SubmitAndReap(Time{});
  EXPECT_EQ(buffers.published(), 4u);
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  const std::string text(65536, 'x');
  ASSERT_EQ(write(fds[1], text.data(), text.size()), 65536);
  size_t received = 0;
  Op receive(
      [](Op& op, Completion& completion) {
        *static_cast<size_t*>(op.owner) += completion.slice.size();
      },
      &received);
  for (int i = 0; i < 1000 && received < text.size(); ++i) {
    if (receive.in_flight == 0) ring->BeginReceive(receive, fds[0]);
    ring->SubmitAndReap(ring->now() + 5ms);
  }
  EXPECT_EQ(received, text.size());
  EXPECT_GT(buffers.published(), 4u);
  EXPECT_LE(buffers.published(), 256u);
  close(fds[1]);
  while (ring->in_flight() > 0) ring->SubmitAndReap(kNever);
  close(fds[0]);
}

}  // namespace
}  // namespace trireme
