// SPDX-License-Identifier: GPL-3.0-or-later
//
// The conformance suite on the simulated kernel: what holds it to the real one.
#include <vector>

#include "test/ring/conformance_rig.h"
#include "test/sim/sim_ring.h"

namespace trireme {
namespace {

class SimWorld : public RingWorld {
 public:
  SimWorld(uint32_t ring_count, const Buffers::Options& options) {
    for (uint32_t i = 0; i < ring_count; ++i) {
      buffers_.push_back(std::make_unique<Buffers>(options));
      rings_.push_back(std::make_unique<sim::SimRing>(
          sim::SimRing::Options{
              .index = i, .submission_entries = 8, .published_min = 2, .published_max = 16},
          kernel_, waiter_, *buffers_[i]));
      pointers_.push_back(rings_[i].get());
    }
    for (auto& ring : rings_) ring->SetSiblings(pointers_);
  }
  ~SimWorld() override {
    EXPECT_EQ(kernel_.descriptors().open_count(), 0u);
    rings_.clear();
  }
  Ring& ring(uint32_t index) override { return *rings_[index]; }
  void HastenConnectTimeout(int fd) override {
    kernel_.descriptors().Get(fd).set_connect_retries(1);
  }
  void ForbidDescriptors() override {
    kernel_.descriptors().set_limit(kernel_.descriptors().open_count());
  }
  void AllowDescriptors() override { kernel_.descriptors().set_limit(1 << 20); }

 private:
  sim::SimKernel kernel_{1};
  sim::InlineWaiter waiter_{kernel_};
  std::vector<std::unique_ptr<Buffers>> buffers_;
  std::vector<std::unique_ptr<sim::SimRing>> rings_;
  std::vector<sim::SimRing*> pointers_;
};

class TcpWorld final : public SimWorld {
 public:
  using SimWorld::SimWorld;
  SocketAddress NewAddress() override { return *SocketAddress::Numeric("127.0.0.1", 0); }
};

class UnixWorld final : public SimWorld {
 public:
  using SimWorld::SimWorld;
  SocketAddress NewAddress() override {
    return *SocketAddress::Unix("@sim-" + std::to_string(++number_));
  }

 private:
  int number_ = 0;
};

template <typename World>
std::unique_ptr<RingWorld> Make(uint32_t ring_count, const Buffers::Options& options) {
  return std::make_unique<World>(ring_count, options);
}

INSTANTIATE_TEST_SUITE_P(Sim, RingConformance,
                         testing::Values(RingWorldKind{"Tcp", &Make<TcpWorld>},
                                         RingWorldKind{"Unix", &Make<UnixWorld>}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace trireme
