// SPDX-License-Identifier: GPL-3.0-or-later
//
// What goes through a stream while it is open, and its move to another ring.
#include "net/stream.h"

#include "net/stream_world_test.h"

namespace trireme {
namespace {

TEST(Stream, HandsOverWhatArrivesAndSendsWhatIsQueued) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  WriteAll(pair.fds[1], "hello");
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.text == "hello"; }));
  owner.stream.SendCopy(AsBytes("world"));
  EXPECT_EQ(owner.stream.backlog_bytes(), 5u);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.stream.backlog_bytes() == 0; }));
  owner.stream.Close();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(ReadAll(pair.fds[1]), "world");
  EXPECT_EQ(owner.stream.bytes_received(), 5u);
  EXPECT_EQ(owner.stream.bytes_sent(), 5u);
  EXPECT_EQ(core.buffers.in_use(), 0u);
  EXPECT_EQ(core.ring->in_flight(), 0u);
  EXPECT_EQ(core.streams.open_count(), 0u);
  close(pair.fds[1]);
}

TEST(Stream, SendsNothingBeforeTheEndOfTheTurnAndThenAllAtOnce) {
  Core core;
  Owner owner(core);
  Pair pair(SOCK_SEQPACKET);  // keeps the boundaries of sends visible
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  owner.stream.SendCopy(AsBytes("one "));
  owner.stream.Send(core.buffers.Copy(AsBytes(std::string(1000, 'x'))));
  owner.stream.SendCopy(AsBytes(" three"));
  char buffer[2000];
  EXPECT_EQ(recv(pair.fds[1], buffer, sizeof buffer, MSG_DONTWAIT), -1);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.stream.backlog_bytes() == 0; }));
  EXPECT_EQ(recv(pair.fds[1], buffer, sizeof buffer, MSG_DONTWAIT), 1010);
  close(pair.fds[1]);
}

TEST(Stream, SendsAFrontAndWhatIsBehindItInOrder) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  const uint32_t before = core.buffers.in_use();
  std::string expected;
  const uint32_t block = core.buffers.block_bytes();
  for (const uint32_t front_size : {1u, 40u, block / 4 - 1, block / 4, block}) {
    for (const uint32_t rest_size : {0u, 1u, 256u, 257u, 5000u}) {
      const std::string front(front_size, 'f'), rest(rest_size, 'r');
      owner.stream.SendBehind(AsBytes(front), core.buffers.Copy(AsBytes(rest)));
      expected += front + rest;
    }
  }
  EXPECT_EQ(owner.stream.backlog_bytes(), expected.size());
  owner.stream.Close();
  std::string got;
  ASSERT_TRUE(RunUntil({&core}, [&] {
    char buffer[4096];
    ssize_t size = 0;
    while ((size = recv(pair.fds[1], buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      got.append(buffer, static_cast<size_t>(size));
    }
    return owner.closed == 1 && size == 0;
  }));
  EXPECT_TRUE(got == expected);
  EXPECT_EQ(core.buffers.in_use(), before);
  // A stream that is closed drops both.
  owner.stream.SendBehind(AsBytes("front"), core.buffers.Copy(AsBytes("rest")));
  EXPECT_EQ(core.buffers.in_use(), before);
  close(pair.fds[1]);
}

TEST(Stream, CarriesTenMegabytesBothWaysInOrder) {
  for (const bool tcp : {false, true}) {
    Core core;
    Owner a(core), b(core);
    if (tcp) {
      TcpListener listener;
      a.stream.Connect(listener.address);
      ASSERT_TRUE(RunUntil({&core}, [&] { return a.connected == 1; }));
      ASSERT_EQ(a.connect_error, 0);
      b.stream.Adopt(accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC));
    } else {
      Pair pair;
      a.stream.Adopt(pair.fds[0]);
      b.stream.Adopt(pair.fds[1]);
    }
    const std::string to_b = Pattern(10 << 20);
    const std::string to_a = Pattern((10 << 20) + 17);
    size_t a_sent = 0, b_sent = 0;
    // Pieces of every size, as long as the stream is not clogged.
    const auto produce = [&core](Owner& owner, const std::string& text, size_t& sent) {
      for (size_t i = 1; sent < text.size() && !owner.stream.clogged(); ++i) {
        const size_t size = std::min(text.size() - sent, (i * 7919) % 30000 + 1);
        const Bytes piece = AsBytes(std::string_view(text).substr(sent, size));
        if (i % 3 == 0) {
          owner.stream.SendCopy(piece);
        } else {
          owner.stream.Send(core.buffers.Copy(piece));
        }
        sent += size;
      }
    };
    a.on_drained = [&] { produce(a, to_b, a_sent); };
    b.on_drained = [&] { produce(b, to_a, b_sent); };
    produce(a, to_b, a_sent);
    produce(b, to_a, b_sent);
    ASSERT_TRUE(RunUntil({&core}, [&] {
      produce(a, to_b, a_sent);
      produce(b, to_a, b_sent);
      return a.text.size() == to_a.size() && b.text.size() == to_b.size();
    }));
    EXPECT_TRUE(a.text == to_a);
    EXPECT_TRUE(b.text == to_b);
    EXPECT_EQ(core.ring->counters().overflows, 0u);
  }
}

TEST(Stream, TellsWhenASlowReaderHasCaughtUp) {
  Core core({.block_bytes = 16384, .blocks_max = 1024},
            {.high_mark_bytes = 1 << 20, .low_mark_bytes = 1 << 18});
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  const std::string text = Pattern(3 << 20);
  owner.stream.Send(core.buffers.Copy(AsBytes(text)));
  EXPECT_TRUE(owner.stream.clogged());
  for (int i = 0; i < 20; ++i) core.Turn(1ms);
  EXPECT_TRUE(owner.stream.clogged());
  EXPECT_EQ(owner.drained, 0);
  std::string got;
  char buffer[65536];
  ASSERT_TRUE(RunUntil({&core}, [&] {
    const ssize_t size = recv(pair.fds[1], buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) got.append(buffer, static_cast<size_t>(size));
    return got.size() == text.size() && owner.drained == 1;
  }));
  EXPECT_TRUE(got == text);
  EXPECT_FALSE(owner.stream.clogged());
  EXPECT_EQ(owner.stream.backlog_bytes(), 0u);
  close(pair.fds[1]);
}

TEST(Stream, PausesAndResumesReceiving) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  owner.stream.PauseReceive();
  ASSERT_TRUE(RunUntil({&core}, [&] { return core.ring->in_flight() == 0; }));
  WriteAll(pair.fds[1], "later");
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  EXPECT_EQ(owner.text, "");
  owner.stream.ResumeReceive();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.text == "later"; }));
  // Within one turn: the cancel is on its way, the wish has changed.
  owner.stream.PauseReceive();
  owner.stream.ResumeReceive();
  for (int i = 0; i < 3; ++i) core.Turn(1ms);
  WriteAll(pair.fds[1], "!");
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.text == "later!"; }));
  close(pair.fds[1]);
}

TEST(Stream, MovesToAnotherRing) {
  Core here, there;
  Pair pair;
  Owner first(here);
  Owner second(there);
  first.stream.Adopt(pair.fds[0]);
  WriteAll(pair.fds[1], "a");
  ASSERT_TRUE(RunUntil({&here}, [&] { return first.text == "a"; }));
  first.stream.Detach();
  EXPECT_EQ(first.detached, 0) << "not from inside Detach()";
  ASSERT_TRUE(RunUntil({&here}, [&] { return first.detached == 1; }));
  EXPECT_EQ(first.stream.state(), Stream::State::kIdle);
  EXPECT_EQ(first.detached_fd, pair.fds[0]);
  EXPECT_EQ(here.ring->in_flight(), 0u);
  WriteAll(pair.fds[1], "b");
  second.stream.Adopt(first.detached_fd);
  ASSERT_TRUE(RunUntil({&here, &there}, [&] { return second.text == "b"; }));
  EXPECT_EQ(first.text, "a");
  close(pair.fds[1]);
}

TEST(Stream, RecoversWhenBuffersHaveRunOut) {
  Core core({.block_bytes = 512, .blocks_max = 4});
  constexpr int kStreams = 8;
  std::vector<std::unique_ptr<Owner>> owners;
  std::vector<Slice> hoard;
  std::vector<int> peers;
  for (int i = 0; i < kStreams; ++i) {
    Pair pair;
    peers.push_back(pair.fds[1]);
    owners.push_back(std::make_unique<Owner>(core));
    owners.back()->on_receive = [&hoard](Slice slice) { hoard.push_back(std::move(slice)); };
    owners.back()->stream.Adopt(pair.fds[0]);
  }
  for (int peer : peers) WriteAll(peer, "12345678");
  ASSERT_TRUE(RunUntil({&core}, [&] { return hoard.size() == 4; }));
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  EXPECT_EQ(hoard.size(), 4u);
  EXPECT_GT(core.ring->counters().no_buffers, 0u);
  const uint64_t calls = core.ring->counters().system_calls;
  for (int i = 0; i < 5; ++i) core.Turn(0ms);
  EXPECT_EQ(core.ring->counters().system_calls, calls) << "does not spin without buffers";
  hoard.clear();
  ASSERT_TRUE(RunUntil({&core}, [&] {
    hoard.clear();
    uint64_t total = 0;
    for (const auto& owner : owners) total += owner->received;
    return total == 8u * kStreams;
  }));
  for (const auto& owner : owners) EXPECT_EQ(owner->text, "12345678");
  owners.clear();
  for (int peer : peers) close(peer);
}

// A stream whose peer does not read, with a send in flight that will not end.
void Stall(Core& core, Owner& owner) {
  for (int stuck = 0; stuck < 5; ++stuck) {
    if (owner.stream.backlog_bytes() == 0) {
      owner.stream.Send(core.buffers.Copy(AsBytes(std::string(4096, 's'))));
      stuck = 0;
    }
    core.Turn(1ms);
  }
}

TEST(Stream, ASlowReaderPinsFewBlocksForManySmallAnswers) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  Stall(core, owner);
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string answer = Pattern(300 + i);
    owner.stream.Send(core.buffers.Copy(AsBytes(answer)));  // each came in a block of its own
    expected += answer;
    core.Turn(0ms);
  }
  EXPECT_GT(owner.stream.backlog_bytes(), 60000u);
  EXPECT_LE(core.buffers.in_use(), 8u);
  owner.stream.Close();
  std::string got;
  char buffer[65536];
  ASSERT_TRUE(RunUntil({&core}, [&] {
    const ssize_t size = recv(pair.fds[1], buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) got.append(buffer, static_cast<size_t>(size));
    return owner.closed == 1;
  }));
  got += ReadAll(pair.fds[1]);
  ASSERT_GE(got.size(), expected.size());
  EXPECT_TRUE(got.substr(got.size() - expected.size()) == expected);
  close(pair.fds[1]);
}

TEST(Stream, ABacklogMovesToTheHeapWhenBlocksAreScarce) {
  Core core({.block_bytes = 512, .blocks_max = 1024});
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  Stall(core, owner);
  for (int i = 0; i < 1000; ++i) {
    owner.stream.Send(core.buffers.Copy(AsBytes(Pattern(500))));
    ASSERT_FALSE(core.buffers.scarce()) << i;
  }
  EXPECT_GT(core.buffers.heap_blocks(), 100u);
  owner.stream.Abort();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(core.buffers.in_use(), 0u);
  close(pair.fds[1]);
}

TEST(Stream, WhatIsSentWhileBlocksAreScarceHoldsNone) {
  Core core({.block_bytes = 512, .blocks_max = 1024});
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  std::vector<Slice> held;
  while (!core.buffers.scarce()) held.push_back(core.buffers.Copy(AsBytes(Pattern(500))));
  const uint32_t pinned = core.buffers.in_use() - core.buffers.heap_blocks();
  int bytes = 0;
  const auto clogged = [&] {  // the peer does not read, so a send that is begun stays
    return owner.stream.backlog_bytes() >= 4000;
  };
  for (; !clogged() && bytes < 1 << 20; bytes += 1000) {
    for (int i = 0; i < 2; ++i) owner.stream.Send(core.buffers.Copy(AsBytes(Pattern(500))));
    core.Turn(0ms);
  }
  ASSERT_TRUE(clogged()) << bytes;
  EXPECT_EQ(core.buffers.in_use() - core.buffers.heap_blocks(), pinned);
  held.clear();
  owner.stream.Abort();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(core.buffers.in_use(), 0u);
  close(pair.fds[1]);
}

TEST(Stream, MergesSmallMessagesOfOneTurnIntoOneSlice) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  const uint32_t before = core.buffers.in_use();
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string piece = "message " + std::to_string(i) + ";";
    owner.stream.SendCopy(AsBytes(piece));
    expected += piece;
  }
  EXPECT_EQ(core.buffers.in_use(), before + 1);
  owner.stream.Close();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(ReadAll(pair.fds[1]), expected);
  close(pair.fds[1]);
}

}  // namespace
}  // namespace trireme
