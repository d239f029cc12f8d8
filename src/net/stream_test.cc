// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "ring/uring_ring.h"

namespace trireme {
namespace {

// A core: what a shard has of rings and streams.
struct Core {
  explicit Core(const Buffers::Options& options = {.block_bytes = 16384, .blocks_max = 1024},
                const Streams::Options& stream_options = {})
      : buffers(options),
        ring(*UringRing::Create({.completion_entries = 4096, .published_min = 4}, buffers)),
        streams(*ring, stream_options) {
    EXPECT_TRUE(ring->Start().ok());
  }

  void Turn(Duration wait = 10ms) {
    streams.Flush();
    ring->SubmitAndReap(std::min(ring->now() + wait, streams.NextDeadline()));
  }

  Buffers buffers;
  std::unique_ptr<UringRing> ring;
  Streams streams;
};

// Turns until `done`; false after some seconds.
template <typename Done>
bool RunUntil(std::vector<Core*> cores, Done done) {
  const Time end = std::chrono::steady_clock::now() + 20s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    for (Core* core : cores) core->Turn(cores.size() == 1 ? 10ms : 0ms);
  }
  return true;
}

struct Owner final : StreamOwner {
  explicit Owner(Core& its_core) : core(its_core), stream(its_core.streams, *this) {}
  ~Owner() {
    if (stream.state() == Stream::State::kIdle || stream.state() == Stream::State::kClosed) return;
    stream.Abort();
    EXPECT_TRUE(RunUntil({&core}, [this] { return closed > 0; }));
  }

  void OnReceive(Slice slice) override {
    EXPECT_EQ(closed, 0);
    received += slice.size();
    if (keep_text) text += AsText(slice.bytes());
    if (on_receive) on_receive(std::move(slice));
  }
  void OnEnd(int error) override {
    ++ends;
    end_error = error;
    if (on_end) on_end();
  }
  void OnDrained() override {
    ++drained;
    if (on_drained) on_drained();
  }
  void OnConnected(int error) override {
    ++connected;
    connect_error = error;
    if (on_connected) on_connected();
  }
  void OnDetached(int fd) override {
    ++detached;
    detached_fd = fd;
  }
  void OnClosed() override { ++closed; }

  Core& core;
  Stream stream;
  bool keep_text = true;
  std::string text;
  uint64_t received = 0;
  int ends = 0, end_error = -1, drained = 0, connected = 0, connect_error = -1;
  int detached = 0, detached_fd = -1, closed = 0;
  std::function<void(Slice)> on_receive;
  std::function<void()> on_end, on_drained, on_connected;
};

struct Pair {
  explicit Pair(int type = SOCK_STREAM) {
    EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
  }
  int fds[2];
};

// A blocking TCP listener of the test's own, on a port that the kernel chooses.
struct TcpListener {
  TcpListener() {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(listen(fd, 16), 0);
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size), 0);
    address = SocketAddress(reinterpret_cast<sockaddr*>(&storage), size);
  }
  ~TcpListener() {
    if (fd >= 0) close(fd);
  }
  int fd;
  SocketAddress address;
};

std::string ReadAll(int fd) {
  std::string all;
  char buffer[4096];
  ssize_t size;
  while ((size = read(fd, buffer, sizeof buffer)) > 0)
    all.append(buffer, static_cast<size_t>(size));
  return all;
}

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 12345;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(fd, text.data(), text.size());
    ASSERT_GT(size, 0);
    text.remove_prefix(static_cast<size_t>(size));
  }
}

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

TEST(Stream, ReportsAnOrderlyEndOnceAndCanStillSend) {
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

TEST(Stream, ReportsAReset) {
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

TEST(Stream, HandsOverTheLastWordsOfAPeerThatNoLongerReads) {
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

TEST(Stream, ReportsAFailedSendWhileReceivingIsPaused) {
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

TEST(Stream, CountsAsDrainedWhenThePeerIsGone) {
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

TEST(Stream, ClosesWithAnArmedReceive) {
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

TEST(Stream, CallsNobodyButOnClosedAfterClose) {
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

TEST(Stream, ClosesWithoutAResetAlthoughThePeerHasSentMore) {
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

TEST(Stream, AbortsWithASendInFlight) {
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

TEST(Stream, GivesUpLingeringOnAPeerThatDoesNotRead) {
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

TEST(Stream, ClosesInTheMiddleOfADetach) {
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

TEST(Stream, ReportsARefusedConnectAndTriesTheNextAddress) {
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

TEST(Stream, ReportsAConnectThatCannotBegin) {
  Core core;
  Owner owner(core);
  owner.stream.Connect(SocketAddress{});  // no family
  EXPECT_EQ(owner.connected, 0) << "not from inside Connect()";
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.connected == 1; }));
  EXPECT_EQ(owner.connect_error, EAFNOSUPPORT);
  EXPECT_EQ(owner.stream.state(), Stream::State::kIdle);
}

TEST(Stream, AbortsAConnectInFlight) {
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

TEST(Stream, MayBeClosedFromAnyCallback) {
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

TEST(Stream, ClosesWhenItNeverHadASocket) {
  Core core;
  Owner owner(core);
  owner.stream.Close();
  EXPECT_EQ(owner.closed, 0);
  EXPECT_EQ(core.streams.NextDeadline(), Time{}) << "do not sleep";
  ASSERT_TRUE(RunUntil({&core}, [&] { return owner.closed == 1; }));
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

TEST(Stream, SetsTheOptionsOfConnectedSockets) {
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
