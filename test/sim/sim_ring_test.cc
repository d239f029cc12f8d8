// SPDX-License-Identifier: GPL-3.0-or-later
//
// What only the simulated ring has: faults, and eyes for the mistakes of the program. What it
// shares with the real one is in test/ring.
#include "test/sim/sim_ring.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::sim {
namespace {

struct Recorder {
  Recorder()
      : op(
            [](Op& its_op, Completion& completion) {
              auto& self = *static_cast<Recorder*>(its_op.owner);
              self.results.push_back(completion.result);
              self.text += AsText(completion.slice.bytes());
              self.ended = !completion.more;
              if (self.then) self.then();
            },
            this) {}
  Op op;
  std::vector<int32_t> results;
  std::string text;
  bool ended = false;
  std::function<void()> then;
};

struct World {
  explicit World(uint64_t seed = 1)
      : kernel(seed), waiter(kernel), ring({.published_min = 4}, kernel, waiter, buffers) {
    Faults faults;
    faults.capacity_min = 1000;
    faults.capacity_max = 8000;
    kernel.set_faults(faults);
  }
  template <typename Done>
  bool RunUntil(Done done) {
    for (int turn = 0; turn < 100000 && !done(); ++turn) ring.SubmitAndReap(ring.now() + 1ms);
    return done();
  }
  struct Ends {
    int client, server;
  };
  Ends Connect() {
    const SocketAddress address = *SocketAddress::Numeric("10.0.0.1", 5432);
    const int listener = *ring.Listen(address, {});
    Recorder accept, connect;
    const int client = *ring.Open(AF_INET);
    ring.BeginAccept(accept.op, listener);
    ring.BeginConnect(connect.op, client, address);
    EXPECT_TRUE(RunUntil([&] { return connect.ended && !accept.results.empty(); }));
    ring.Cancel(accept.op);
    EXPECT_TRUE(RunUntil([&] { return accept.op.in_flight == 0; }));
    ring.Close(listener);
    return {client, accept.results[0]};
  }

  SimKernel kernel;
  InlineWaiter waiter;
  Buffers buffers{{.block_bytes = 512, .blocks_max = 64}};
  SimRing ring;
};

// Sends `size` bytes from one end to the other with whatever goes wrong on the way, as a careful
// program does: the rest of a short send again, an ended receive again.
std::string Pass(World& world, const World::Ends& ends, const std::string& text) {
  Recorder send, receive;
  size_t sent = 0;
  const bool arrived = world.RunUntil([&] {
    for (; !send.results.empty(); send.results.erase(send.results.begin())) {
      sent += static_cast<size_t>(std::max(send.results.front(), 0));
    }
    if (send.op.in_flight == 0 && sent < text.size()) {
      world.ring.BeginSend(send.op, ends.client,
                           AsBytes(std::string_view(text).substr(sent, 1500)));
    }
    if (receive.op.in_flight == 0) world.ring.BeginReceive(receive.op, ends.server);
    return receive.text.size() >= text.size() && sent == text.size();
  });
  EXPECT_TRUE(arrived);
  if (receive.op.in_flight > 0) world.ring.Cancel(receive.op);
  EXPECT_TRUE(world.RunUntil([&] { return world.ring.in_flight() == 0; }));
  return receive.text;
}

constexpr Fault kFaultsOfAStream[] = {
    Fault::kSplitRead,    Fault::kShortSend,       Fault::kClog,         Fault::kNoBuffers,
    Fault::kEndMultishot, Fault::kWithholdBuffers, Fault::kSpuriousWake, Fault::kLateCompletion};

TEST(SimRing, EveryFaultOfAStreamHappensAndLosesNothing) {
  for (const Fault fault : kFaultsOfAStream) {
    World world(7);
    const World::Ends ends = world.Connect();
    Faults faults;
    faults[fault] = 300'000;
    world.kernel.set_faults(faults);
    const std::string text(40000, 'x');
    EXPECT_EQ(Pass(world, ends, text), text) << FaultName(fault);
    EXPECT_GT(world.kernel.fault_counts()[fault], 0u) << FaultName(fault);
    world.ring.Close(ends.client);
    world.ring.Close(ends.server);
  }
}

TEST(SimRing, AllFaultsAtOnceLoseNothingAndRepeat) {
  const auto run = [](uint64_t seed) {
    World world(seed);
    const World::Ends ends = world.Connect();
    Faults faults;
    for (const Fault fault : kFaultsOfAStream) faults[fault] = 100'000;
    world.kernel.set_faults(faults);
    std::string text(20000, '\0');
    for (char& c : text) c = static_cast<char>(world.kernel.random().Next());
    EXPECT_EQ(Pass(world, ends, text), text) << seed;
    world.ring.Close(ends.client);
    world.ring.Close(ends.server);
    return world.kernel.trace_hash();
  };
  for (uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(run(seed), run(seed)) << seed;
}

TEST(SimRing, CompletionsOfDifferentOpsComeInAnyOrder) {
  World world;
  const World::Ends ends = world.Connect();
  Faults faults;
  faults[Fault::kReorderCompletions] = 1'000'000;
  world.kernel.set_faults(faults);
  std::string order;
  Recorder first, second;
  first.then = [&order] { order += "a"; };
  second.then = [&order] { order += "b"; };
  world.ring.BeginSend(first.op, ends.client, AsBytes("a"));
  world.ring.BeginSend(second.op, ends.client, AsBytes("b"));
  ASSERT_TRUE(world.RunUntil([&] { return first.ended && second.ended; }));
  EXPECT_EQ(order, "ba");
  EXPECT_EQ(world.kernel.fault_counts()[Fault::kReorderCompletions], 1u);
  world.ring.Close(ends.client);
  world.ring.Close(ends.server);
}

TEST(SimRing, RunsOutOfDescriptorsWhenTold) {
  World world;
  Faults faults;
  faults[Fault::kNoDescriptors] = 1'000'000;
  world.kernel.set_faults(faults);
  EXPECT_FALSE(world.ring.Open(AF_INET).ok());
  EXPECT_TRUE(errno == EMFILE || errno == ENFILE);
}

TEST(SimRing, HealGivesBackWithheldBuffers) {
  World world;
  const World::Ends ends = world.Connect();
  Faults faults;
  faults[Fault::kWithholdBuffers] = 1'000'000;
  faults.withhold_max = 1h;
  world.kernel.set_faults(faults);
  Recorder receive;
  for (int i = 0; i < 10; ++i) {
    if (receive.op.in_flight == 0) world.ring.BeginReceive(receive.op, ends.server);
    Recorder send;
    world.ring.BeginSend(send.op, ends.client, AsBytes("x"));
    ASSERT_TRUE(world.RunUntil([&] { return send.ended; }));
  }
  EXPECT_LT(receive.text.size(), 10u);
  world.kernel.Heal();
  ASSERT_TRUE(world.RunUntil([&] {
    if (receive.op.in_flight == 0) world.ring.BeginReceive(receive.op, ends.server);
    return receive.text.size() == 10;
  }));
  world.ring.Cancel(receive.op);
  ASSERT_TRUE(world.RunUntil([&] { return receive.op.in_flight == 0; }));
  world.ring.Close(ends.client);
  world.ring.Close(ends.server);
}

// ---- mistakes ----

void UseAClosedDescriptor() {
  World world;
  const World::Ends ends = world.Connect();
  world.ring.Close(ends.client);
  Recorder send;
  world.ring.BeginSend(send.op, ends.client, AsBytes("x"));
  world.ring.SubmitAndReap(Time{});
}
TEST(SimRingDeathTest, FindsAClosedDescriptor) {
  EXPECT_DEATH(UseAClosedDescriptor(), "seed 1, .*used after it was closed");
}

void CloseTwice() {
  World world;
  const World::Ends ends = world.Connect();
  world.ring.Close(ends.client);
  world.ring.Close(ends.client);
}
TEST(SimRingDeathTest, FindsASecondClose) {
  EXPECT_DEATH(CloseTwice(), "used after it was closed");
}

void ChangeBytesUnderASend() {
  World world;
  const World::Ends ends = world.Connect();
  Recorder send;
  std::string text = "before";
  world.ring.BeginSend(send.op, ends.client, AsBytes(text));
  text = "after!";
  world.ring.SubmitAndReap(Time{});
}
TEST(SimRingDeathTest, FindsBytesThatChangeUnderASend) {
  EXPECT_DEATH(ChangeBytesUnderASend(), "changed while they were being sent");
}

void SleepForEver() {
  World world;
  world.ring.SubmitAndReap(kNever);
}
TEST(SimRingDeathTest, FindsASleepThatNothingEnds) {
  EXPECT_DEATH(SleepForEver(), "nothing will ever wake it");
}

}  // namespace
}  // namespace trireme::sim
