// SPDX-License-Identifier: GPL-3.0-or-later
//
// How streams connect, end and close.
#include <vector>

#include "net/stream_world_test.h"

namespace trireme {
namespace {

TEST(StreamLife, ReportsAnOrderlyEndOnceAndCanStillSend) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  WriteAll(pair.fds[1], "last words");
  shutdown(pair.fds[1], SHUT_WR);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
  EXPECT_EQ(owner.end_error, 0);
  EXPECT_EQ(owner.text, "last words");
  owner.stream.SendCopy(AsBytes("answer"));
  owner.stream.Close();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(ReadAll(pair.fds[1]), "answer");
  EXPECT_EQ(owner.ends, 1);
  close(pair.fds[1]);
}

TEST(StreamLife, ReportsAReset) {
  Core core;
  TcpListener listener;
  Owner owner(core);
  owner.stream.Connect(listener.address);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 1; }));
  const int peer = accept(listener.fd, nullptr, nullptr);
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(peer);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
  EXPECT_EQ(owner.end_error, ECONNRESET);
}

TEST(StreamLife, HandsOverTheLastWordsOfAPeerThatNoLongerReads) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  WriteAll(pair.fds[1], "FATAL: going down");
  close(pair.fds[1]);
  owner.stream.SendCopy(AsBytes("query"));
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
  EXPECT_EQ(owner.text, "FATAL: going down");
  EXPECT_EQ(owner.end_error, EPIPE);
  EXPECT_EQ(owner.stream.backlog_bytes(), 0u);
}

TEST(StreamLife, ReportsAFailedSendWhileReceivingIsPaused) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.PauseReceive();
  owner.stream.Adopt(pair.fds[0]);
  close(pair.fds[1]);
  owner.stream.SendCopy(AsBytes("query"));
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
  EXPECT_EQ(owner.end_error, EPIPE);
}

// A send that the end of our own side has cut off says nothing of the peer.
TEST(StreamLife, EndsItsOwnSideAndHearsThePeerOut) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  owner.stream.Send(core.buffers.Copy(AsBytes(std::string(2 << 20, 'x'))));
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  ASSERT_GT(owner.stream.backlog_bytes(), 0u);
  owner.stream.EndSending();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.stream.backlog_bytes() == 0; }));
  std::vector<char> block(1 << 20);
  while (read(pair.fds[1], block.data(), block.size()) > 0) core.Turn(0ms);
  EXPECT_EQ(owner.ends, 0);
  WriteAll(pair.fds[1], "bye");
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.text == "bye"; }));
  close(pair.fds[1]);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
  EXPECT_EQ(owner.end_error, 0);
}

TEST(StreamLife, EndsItsOwnSideWithNothingQueued) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  owner.stream.SendCopy(AsBytes("all"));
  core.Turn(0ms);
  owner.stream.EndSending();
  core.Turn(0ms);
  char text[8] = {};
  EXPECT_EQ(read(pair.fds[1], text, sizeof text), 3);
  EXPECT_EQ(read(pair.fds[1], text, sizeof text), 0);
  EXPECT_EQ(owner.ends, 0);
  close(pair.fds[1]);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1; }));
}

TEST(StreamLife, CountsAsDrainedWhenThePeerIsGone) {
  Core core({}, {.high_mark_bytes = 1000, .low_mark_bytes = 100});
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  owner.stream.Send(core.buffers.Copy(AsBytes(std::string(2 << 20, 'x'))));
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  EXPECT_TRUE(owner.stream.clogged());
  close(pair.fds[1]);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.ends == 1 && owner.drained == 1; }));
  EXPECT_NE(owner.end_error, 0);
}

TEST(StreamLife, ClosesWithAnArmedReceive) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  for (int i = 0; i < 3; ++i) core.Turn(1ms);
  EXPECT_EQ(core.ring->in_flight(), 1u);
  owner.stream.Close();
  EXPECT_EQ(owner.closed, 0) << "not from inside Close()";
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(core.ring->in_flight(), 0u);
  EXPECT_EQ(ReadAll(pair.fds[1]), "");
  close(pair.fds[1]);
}

TEST(StreamLife, CallsNobodyButOnClosedAfterClose) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  for (int i = 0; i < 3; ++i) core.Turn(1ms);
  WriteAll(pair.fds[1], "unread");
  shutdown(pair.fds[1], SHUT_WR);
  owner.stream.Close();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  for (int i = 0; i < 3; ++i) core.Turn(1ms);
  EXPECT_EQ(owner.text, "");
  EXPECT_EQ(owner.ends, 0);
  EXPECT_EQ(owner.closed, 1);
  EXPECT_EQ(core.buffers.in_use(), 0u);
  close(pair.fds[1]);
}

TEST(StreamLife, ClosesWithoutAResetAlthoughThePeerHasSentMore) {
  Core core;
  TcpListener listener;
  Owner owner(core);
  owner.stream.PauseReceive();
  owner.stream.Connect(listener.address);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 1; }));
  const int peer = accept(listener.fd, nullptr, nullptr);
  WriteAll(peer, "pipelined");
  owner.stream.SendCopy(AsBytes("FATAL"));
  owner.stream.Close();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  char buffer[16];
  EXPECT_EQ(recv(peer, buffer, sizeof buffer, 0), 5);
  EXPECT_EQ(recv(peer, buffer, sizeof buffer, 0), 0) << "an orderly end, not ECONNRESET";
  close(peer);
}

TEST(StreamLife, AbortsWithASendInFlight) {
  Core core;
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  for (int i = 0; i < 80; ++i) {
    owner.stream.Send(core.buffers.Copy(AsBytes(std::string(16384, 'x'))));
  }
  for (int i = 0; i < 3; ++i) core.Turn(1ms);
  EXPECT_EQ(core.ring->in_flight(), 2u);
  owner.stream.Abort();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(core.buffers.in_use(), 0u);
  EXPECT_EQ(owner.stream.backlog_bytes(), 0u);
  close(pair.fds[1]);
}

TEST(StreamLife, GivesUpLingeringOnAPeerThatDoesNotRead) {
  Core core({}, {.linger = 50ms});
  Owner owner(core);
  Pair pair;
  owner.stream.Adopt(pair.fds[0]);
  owner.stream.Send(core.buffers.Copy(AsBytes(std::string(4 << 20, 'x'))));
  core.Turn(0ms);
  owner.stream.Close();
  core.Turn(0ms);
  EXPECT_EQ(owner.closed, 0);
  EXPECT_GT(core.streams.NextDeadline(), core.ring->now());
  EXPECT_LT(core.streams.NextDeadline(), kNever);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(core.streams.NextDeadline(), kNever);
  close(pair.fds[1]);
}

// What a quick send has taken along is told at the end of a wait. A stream that is closed right
// behind one, within the same Flush, does not wait for whatever ends that wait.
TEST(StreamLife, IsClosedSoonBehindAQuickSend) {
  Core core;
  Pair pairs[2];
  Owner last(core);
  struct First final : StreamOwner {
    First(Core& core, Stream& its_other) : stream(core.streams, *this), other(its_other) {}
    void OnReceive(Slice&&) override {}
    void OnEnd(int) override { ended = true; }
    void OnDrained() override {}
    void OnConnected(int) override {}
    void OnDetached(int) override {}
    void OnClosed() override { other.Close(); }
    Stream stream;
    Stream& other;
    bool ended = false;
  };
  First first(core, last.stream);
  first.stream.Adopt(pairs[0].fds[0]);
  last.stream.Adopt(pairs[1].fds[0]);
  close(pairs[0].fds[1]);
  ASSERT_TRUE(RunUntil({&core}, [&] { return first.ended; }));
  core.Turn(0ms);  // now nothing of it is in flight, and it need not settle
  const Time begun_at = core.ring->now();
  last.stream.SendCopy(AsBytes("bye"));
  first.stream.Close();
  for (int turn = 0; turn < 5; ++turn) {
    core.streams.Flush();
    if (last.closed > 0) break;
    core.ring->SubmitAndReap(std::min(core.ring->now() + 10s, core.streams.NextDeadline()));
  }
  EXPECT_EQ(last.closed, 1);
  EXPECT_LT(core.ring->now() - begun_at, 5s) << "it has waited for the deadline";
  close(pairs[1].fds[1]);
}

TEST(StreamLife, ClosesInTheMiddleOfADetach) {
  Core core;
  Pair pair;
  Owner owner(core);
  owner.stream.Adopt(pair.fds[0]);
  core.Turn(0ms);
  owner.stream.Detach();
  owner.stream.Abort();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(owner.detached, 0);
  close(pair.fds[1]);
}

TEST(StreamLife, ReportsARefusedConnectAndTriesTheNextAddress) {
  Core core;
  TcpListener listener;
  SocketAddress closed_address;
  {
    TcpListener gone;
    closed_address = gone.address;
  }
  Owner owner(core);
  std::vector<int> errors;
  owner.on_connected = [&] {
    errors.push_back(owner.connect_error);
    if (owner.connect_error != 0) owner.stream.Connect(listener.address);
  };
  owner.stream.Connect(closed_address);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 2; }));
  EXPECT_EQ(errors, (std::vector<int>{ECONNREFUSED, 0}));
  EXPECT_TRUE(owner.stream.open());
  EXPECT_EQ(owner.stream.PeerAddress().Text(), listener.address.Text());
  EXPECT_EQ(core.streams.open_count(), 1u);
}

TEST(StreamLife, ReportsAConnectThatCannotBegin) {
  Core core;
  Owner owner(core);
  owner.stream.Connect(SocketAddress{});  // no family
  EXPECT_EQ(owner.connected, 0) << "not from inside Connect()";
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 1; }));
  EXPECT_EQ(owner.connect_error, EAFNOSUPPORT);
  EXPECT_EQ(owner.stream.state(), Stream::State::kIdle);
}

TEST(StreamLife, AbortsAConnectInFlight) {
  Core core;
  Owner owner(core);
  TcpListener listener;
  // A full backlog: further connects wait for an answer.
  ASSERT_EQ(listen(listener.fd, 0), 0);
  std::vector<std::unique_ptr<Owner>> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(std::make_unique<Owner>(core));
    fillers.back()->stream.Connect(listener.address);
  }
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  owner.stream.Connect(listener.address);
  for (int i = 0; i < 5; ++i) core.Turn(1ms);
  EXPECT_EQ(owner.stream.state(), Stream::State::kConnecting);
  owner.stream.Abort();
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(owner.connected, 0);
}

TEST(StreamLife, MayBeClosedFromAnyCallback) {
  Core core;
  Pair pair;
  Owner owner(core);
  owner.on_receive = [&](Slice slice) {
    owner.stream.Send(std::move(slice));
    owner.stream.Close();
  };
  owner.stream.Adopt(pair.fds[0]);
  WriteAll(pair.fds[1], "echo");
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
  EXPECT_EQ(ReadAll(pair.fds[1]), "echo");
  close(pair.fds[1]);

  Pair other;
  Owner second(core);
  second.on_end = [&] { second.stream.Abort(); };
  second.stream.Adopt(other.fds[0]);
  close(other.fds[1]);
  ASSERT_TRUE(RunUntil({&core}, [&] { return second.closed == 1; }));
}

TEST(StreamLife, ClosesWhenItNeverHadASocket) {
  Core core;
  Owner owner(core);
  owner.stream.Close();
  EXPECT_EQ(owner.closed, 0);
  EXPECT_EQ(core.streams.NextDeadline(), Time{}) << "do not sleep";
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
}

TEST(StreamLife, SetsTheOptionsOfConnectedSockets) {
  Core core({},
            {.socket = {.keepalive_idle = 30s, .keepalive_interval = 5s, .keepalive_count = 3}});
  TcpListener listener;
  Owner owner(core);
  owner.stream.Connect(listener.address);
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 1; }));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt(owner.stream.fd(), level, name, &value, &size);
    return value;
  };
  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
}

}  // namespace
}  // namespace trireme
