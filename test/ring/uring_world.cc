// SPDX-License-Identifier: GPL-3.0-or-later
//
// The conformance suite on the real kernel: over TCP and over Unix sockets.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ring/uring_ring.h"
#include "test/ring/conformance_rig.h"

namespace trireme {
namespace {

class UringWorld : public RingWorld {
 public:
  UringWorld(uint32_t ring_count, const Buffers::Options& options) {
    for (uint32_t i = 0; i < ring_count; ++i) {
      buffers_.push_back(std::make_unique<Buffers>(options));
      auto ring = UringRing::Create({.index = i,
                                     .submission_entries = 8,
                                     .completion_entries = 1024,
                                     .published_min = 2,
                                     .published_max = 16},
                                    *buffers_[i]);
      EXPECT_TRUE(ring.ok()) << ring.status();
      rings_.push_back(std::move(*ring));
      fds_.push_back(rings_[i]->fd());
    }
    for (auto& ring : rings_) {
      ring->SetSiblings(fds_);
      const Status started = ring->Start();
      EXPECT_TRUE(started.ok()) << started;
    }
  }
  ~UringWorld() override {
    AllowDescriptors();
    rings_.clear();
  }
  Ring& ring(uint32_t index) override { return *rings_[index]; }
  // One repetition: 1 s and 2 s later.
  void HastenConnectTimeout(int fd) override {
    const int repetitions = 1;
    EXPECT_EQ(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &repetitions, sizeof repetitions), 0);
  }
  // The lowest number that is free becomes the first that is forbidden.
  void ForbidDescriptors() override {
    const int lowest_free = dup(fds_[0]);
    ASSERT_GE(lowest_free, 0);
    close(lowest_free);
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    allowed_ = limit.rlim_cur;
    limit.rlim_cur = static_cast<rlim_t>(lowest_free);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  void AllowDescriptors() override {
    if (allowed_ == 0) return;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::exchange(allowed_, 0);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

 private:
  std::vector<std::unique_ptr<Buffers>> buffers_;
  std::vector<std::unique_ptr<UringRing>> rings_;
  std::vector<int> fds_;
  rlim_t allowed_ = 0;
};

class TcpWorld final : public UringWorld {
 public:
  using UringWorld::UringWorld;
  SocketAddress NewAddress() override { return *SocketAddress::Numeric("127.0.0.1", 0); }
};

class UnixWorld final : public UringWorld {
 public:
  using UringWorld::UringWorld;
  SocketAddress NewAddress() override {
    static int number = 0;
    return *SocketAddress::Unix(absl::StrCat("@trireme-ring-", getpid(), "-", ++number));
  }
};

template <typename World>
std::unique_ptr<RingWorld> Make(uint32_t ring_count, const Buffers::Options& options) {
  return std::make_unique<World>(ring_count, options);
}

INSTANTIATE_TEST_SUITE_P(Uring, RingConformance,
                         testing::Values(RingWorldKind{"Tcp", &Make<TcpWorld>},
                                         RingWorldKind{"Unix", &Make<UnixWorld>}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace trireme
