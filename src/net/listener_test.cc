// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/listener.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "ring/uring_ring.h"

namespace trireme {
namespace {

struct Handler final : AcceptHandler {
  void OnAccept(int fd, uint32_t index) override {
    fds.push_back(fd);
    last_index = index;
    if (close_on_accept != nullptr) close_on_accept->Close();
  }
  void OnAcceptPaused(int error, uint32_t) override { pauses.push_back(error); }
  ~Handler() {
    for (int fd : fds) close(fd);
  }
  std::vector<int> fds;
  std::vector<int> pauses;
  uint32_t last_index = 0;
  Listener* close_on_accept = nullptr;
};

class ListenerTest : public testing::Test {
 protected:
  ListenerTest()
      : buffers_({.block_bytes = 4096, .blocks_max = 16}),
        ring_(*UringRing::Create(
            {.submission_entries = 64, .completion_entries = 256, .published_min = 1}, buffers_)),
        timers_(Time{}) {
    EXPECT_TRUE(ring_->Start().ok());
    fd_ = *ring_->Listen(*SocketAddress::Numeric("127.0.0.1", 0), {});
    address_ = ring_->LocalAddress(fd_);
  }
  ~ListenerTest() override {
    for (int fd : clients_) close(fd);
  }

  void Dial() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(fd, address_.data(), address_.size()), 0);
    clients_.push_back(fd);
  }

  template <typename Done>
  bool RunUntil(Done done) {
    const Time end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      ring_->SubmitAndReap(std::min(ring_->now() + 10ms, timers_.NextExpiry()));
      timers_.Advance(ring_->now());
    }
    return true;
  }

  void CloseAndWait(Listener& listener) {
    listener.Close();
    ASSERT_TRUE(RunUntil([&] { return listener.closed(); }));
    EXPECT_EQ(ring_->in_flight(), 0u);
  }

  Buffers buffers_;
  std::unique_ptr<UringRing> ring_;
  TimerWheel timers_;
  Handler handler_;
  SocketAddress address_;
  int fd_ = -1;
  std::vector<int> clients_;
};

TEST_F(ListenerTest, AcceptsManyWithOneOperation) {
  Listener listener(*ring_, timers_, handler_, fd_, 7);
  listener.Start();
  for (int i = 0; i < 20; ++i) Dial();
  ASSERT_TRUE(RunUntil([&] { return handler_.fds.size() == 20; }));
  EXPECT_EQ(handler_.last_index, 7u);
  EXPECT_EQ(ring_->in_flight(), 1u);
  CloseAndWait(listener);
}

TEST_F(ListenerTest, StopsWhenClosedFromItsCallback) {
  Listener listener(*ring_, timers_, handler_, fd_, 0);
  handler_.close_on_accept = &listener;
  listener.Start();
  for (int i = 0; i < 5; ++i) Dial();
  ASSERT_TRUE(RunUntil([&] { return listener.closed(); }));
  EXPECT_EQ(handler_.fds.size(), 1u);
  EXPECT_EQ(ring_->in_flight(), 0u);
}

TEST_F(ListenerTest, ClosesWithoutEverStarting) {
  Listener listener(*ring_, timers_, handler_, fd_, 0);
  listener.Close();
  EXPECT_TRUE(listener.closed());
}

TEST_F(ListenerTest, PausesWithoutDescriptorsAndGoesOn) {
  Listener listener(*ring_, timers_, handler_, fd_, 0);
  for (int i = 0; i < 3; ++i) Dial();
  // The lowest free number is the first that is not allowed. The kernel takes the limit when the
  // operation begins.
  const int next = dup(0);
  close(next);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  listener.Start();
  EXPECT_TRUE(RunUntil([&] { return !handler_.pauses.empty(); }));
  const uint64_t calls = ring_->counters().system_calls;
  for (int i = 0; i < 10; ++i) ring_->SubmitAndReap(Time{});
  EXPECT_LE(ring_->counters().system_calls, calls + 1) << "does not spin";
  // Two retries later it has still been said only once.
  const Time later = ring_->now() + 250ms;
  EXPECT_TRUE(RunUntil([&] { return ring_->now() > later; }));
  EXPECT_EQ(handler_.pauses, std::vector<int>{EMFILE});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(RunUntil([&] { return handler_.fds.size() == 3; }));
  EXPECT_EQ(handler_.pauses, (std::vector<int>{EMFILE, 0}));
  CloseAndWait(listener);
}

}  // namespace
}  // namespace trireme
