// SPDX-License-Identifier: GPL-3.0-or-later
//
// The kernel between two peers: order, repetition, bounds, and faults that heal.
#include "test/sim/sim_kernel.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace trireme::sim {
namespace {

// Writes down what it is told.
struct Talker : PeerHandler, PeerAcceptor {
  PeerHandler& OnAccept(PeerSocket& accepted) override {
    socket = &accepted;
    if (!greeting.empty()) accepted.Send(AsBytes(greeting));
    return *this;
  }
  void OnConnect(PeerSocket&) override { connected = true; }
  void OnReceive(PeerSocket& from, Bytes bytes) override {
    text += AsText(bytes);
    ++receives;
    if (echo) from.Send(bytes);
  }
  void OnEnd(PeerSocket&, int error) override { ends.push_back(error); }

  PeerSocket* socket = nullptr;
  std::string greeting;
  std::string text;
  int receives = 0;
  bool connected = false;
  bool echo = false;
  std::vector<int> ends;
};

SocketAddress Address() { return *SocketAddress::Numeric("10.0.0.1", 5432); }

struct Pair {
  explicit Pair(uint64_t seed, const Faults& faults = {}) : kernel(seed) {
    kernel.set_faults(faults);
    kernel.Listen(Address(), server);
    client.socket = &kernel.Connect(Address(), client);
    Run(1s);
  }
  void Run(Duration duration) { kernel.AdvanceTo(kernel.now() + duration); }

  Talker server;
  Talker client;
  SimKernel kernel;
};

TEST(SimKernel, RunsEventsInOrderOfTimeThenOfMaking) {
  SimKernel kernel(1);
  std::string order;
  kernel.At(kernel.now() + 2ms, [&] { order += "c"; });
  kernel.At(kernel.now() + 1ms, [&] { order += "a"; });
  kernel.At(kernel.now() + 1ms, [&] { order += "b"; });
  kernel.AdvanceTo(kernel.now() + 2ms);
  EXPECT_EQ(order, "abc");
}

TEST(SimKernel, PeersTalk) {
  Pair pair(1);
  EXPECT_TRUE(pair.client.connected);
  ASSERT_NE(pair.server.socket, nullptr);
  pair.client.socket->Send(AsBytes("question"));
  pair.server.socket->Send(AsBytes("answer"));
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, "question");
  EXPECT_EQ(pair.client.text, "answer");
}

TEST(SimKernel, NothingArrivesInNoTime) {
  Pair pair(1);
  pair.client.socket->Send(AsBytes("x"));
  pair.Run(0ns);
  EXPECT_EQ(pair.server.text, "");
}

TEST(SimKernel, HalfCloseAndClose) {
  Pair pair(1);
  pair.client.socket->Send(AsBytes("last"));
  pair.client.socket->ShutdownWrite();
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, "last");
  EXPECT_EQ(pair.server.ends, std::vector<int>{0});
  pair.server.socket->Send(AsBytes("answer"));
  pair.server.socket->Close();
  pair.Run(1ms);
  EXPECT_EQ(pair.client.text, "answer");
  EXPECT_EQ(pair.client.ends, std::vector<int>{0});
  pair.client.socket->Close();
  pair.Run(1ms);
  EXPECT_EQ(pair.kernel.open_sockets(), 1u) << "the listener";
}

TEST(SimKernel, ClosingWithUnreadBytesIsAReset) {
  Pair pair(1);
  pair.server.socket->PauseReceive();
  pair.client.socket->Send(AsBytes("unread"));
  pair.Run(1ms);
  pair.server.socket->Close();
  pair.Run(1ms);
  EXPECT_EQ(pair.client.ends, std::vector<int>{ECONNRESET});
}

TEST(SimKernel, WhatComesToAClosedSocketIsAResetEvenWhileItStillSends) {
  Pair pair(1);
  pair.server.socket->PauseReceive();
  pair.client.socket->Send(AsBytes(std::string(10'000'000, 'x')));
  pair.Run(1s);
  pair.client.socket->Close();
  pair.Run(1s);
  EXPECT_TRUE(pair.server.ends.empty());
  pair.server.socket->Send(AsBytes("answer"));
  pair.Run(1s);
  pair.server.socket->ResumeReceive();
  pair.Run(1s);
  EXPECT_EQ(pair.server.ends, (std::vector<int>{ECONNRESET}));
  pair.server.socket->Close();
}

TEST(SimKernel, AResetIsHeardAfterTheEnd) {
  Pair pair(1);
  pair.client.socket->ShutdownWrite();
  pair.Run(1ms);
  pair.client.socket->Reset();
  pair.Run(1ms);
  EXPECT_EQ(pair.server.ends, (std::vector<int>{0, EPIPE}));
}

TEST(SimKernel, RefusesWhereNobodyListens) {
  Pair pair(1);
  Talker late;
  pair.kernel.StopListening(Address());
  pair.kernel.Connect(Address(), late);
  pair.Run(1ms);
  EXPECT_EQ(late.ends, std::vector<int>{ECONNREFUSED});
  pair.client.socket->Send(AsBytes("x"));
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, "x") << "what was accepted lives on";
}

TEST(SimKernel, AConnectionHoldsSoMuchAndNoMore) {
  Faults faults;
  faults.capacity_min = faults.capacity_max = 1000;
  Pair pair(1, faults);
  pair.server.socket->PauseReceive();
  const std::string text(5000, 'x');
  pair.client.socket->Send(AsBytes(text));
  pair.Run(1s);
  EXPECT_EQ(pair.client.socket->unsent(), 4000u);
  pair.server.socket->ResumeReceive();
  pair.Run(1s);
  EXPECT_EQ(pair.client.socket->unsent(), 0u);
  EXPECT_EQ(pair.server.text, text);
}

TEST(SimKernel, ClogsAndHeals) {
  Faults faults;
  Pair pair(1);
  faults[Fault::kClog] = 1'000'000;
  faults.clog_max = 1h;
  pair.kernel.set_faults(faults);
  pair.client.socket->Send(AsBytes("a"));
  pair.client.socket->ShutdownWrite();
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, "");
  EXPECT_TRUE(pair.server.ends.empty()) << "the end waits its turn";
  EXPECT_GE(pair.kernel.fault_counts()[Fault::kClog], 1u);
  pair.kernel.Heal();
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, "a");
  EXPECT_EQ(pair.server.ends, std::vector<int>{0});
}

TEST(SimKernel, AMadeUpResetReachesBothEnds) {
  Faults faults;
  Pair pair(1);
  faults[Fault::kReset] = 1'000'000;
  pair.kernel.set_faults(faults);
  pair.client.socket->Send(AsBytes("a"));
  pair.Run(1ms);
  ASSERT_EQ(pair.client.ends.size(), 1u);
  EXPECT_NE(pair.client.ends[0], 0);
  EXPECT_EQ(pair.server.ends, pair.client.ends);
  EXPECT_EQ(pair.kernel.fault_counts()[Fault::kReset], 1u);
}

TEST(SimKernel, SplitReadsLoseNothing) {
  Faults faults;
  faults[Fault::kSplitRead] = 900'000;
  Pair pair(1, faults);
  const std::string text = "0123456789abcdefghijklmnopqrstuvwxyz";
  pair.client.socket->Send(AsBytes(text));
  pair.Run(1ms);
  EXPECT_EQ(pair.server.text, text);
  EXPECT_GT(pair.server.receives, 1);
}

TEST(SimKernel, ConnectFaults) {
  for (const auto& [fault, error] : {std::pair(Fault::kRefuseConnect, ECONNREFUSED),
                                     std::pair(Fault::kBlackHoleConnect, ETIMEDOUT)}) {
    Faults faults;
    faults[fault] = 1'000'000;
    Pair pair(1, faults);
    pair.Run(faults.connect_timeout);
    EXPECT_EQ(pair.client.ends, std::vector<int>{error}) << FaultName(fault);
    EXPECT_EQ(pair.kernel.fault_counts()[fault], 1u);
  }
}

TEST(SimKernel, ReusePortSpreadsOverAllListeners) {
  SimKernel kernel(1);
  Socket* listeners[] = {*kernel.Bind(Address(), {}), *kernel.Bind(Address(), {})};
  EXPECT_FALSE(kernel.Bind(Address(), {.reuse_port = false}).ok());
  Talker clients[40];
  for (Talker& client : clients) kernel.Connect(Address(), client);
  kernel.AdvanceTo(kernel.now() + 1s);
  for (Socket* listener : listeners) {
    int accepted = 0;
    while (Socket* socket = listener->Accept()) {
      ++accepted;
      socket->Unreference();
    }
    EXPECT_GT(accepted, 5);
    EXPECT_LT(accepted, 35);
  }
}

// Every fault at once, and an echo between them.
uint64_t HashOfARun(uint64_t seed) {
  Faults faults;
  for (uint32_t& chance : faults.per_million) chance = 50'000;
  faults[Fault::kReset] = 500;
  Pair pair(seed, faults);
  pair.server.echo = true;
  for (int i = 0; i < 100; ++i) {
    if (pair.client.connected && pair.client.ends.empty()) {
      pair.client.socket->Send(AsBytes(std::string(static_cast<size_t>(i * 37), 'q')));
    }
    pair.Run(1ms);
  }
  return pair.kernel.trace_hash();
}

TEST(SimKernel, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(HashOfARun(seed), HashOfARun(seed)) << seed;
  EXPECT_NE(HashOfARun(1), HashOfARun(2));
}

}  // namespace
}  // namespace trireme::sim
