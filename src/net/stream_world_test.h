// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests: streams over the real ring, an owner that remembers what it was told, and the other
// end as plain blocking sockets.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/stream.h"
#include "ring/uring_ring.h"

namespace trireme {

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

  void OnReceive(Slice&& slice) override {
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

inline std::string ReadAll(int fd) {
  std::string all;
  char buffer[4096];
  ssize_t size;
  while ((size = read(fd, buffer, sizeof buffer)) > 0)
    all.append(buffer, static_cast<size_t>(size));
  return all;
}

inline std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 12345;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

inline void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(fd, text.data(), text.size());
    ASSERT_GT(size, 0);
    text.remove_prefix(static_cast<size_t>(size));
  }
}

}  // namespace trireme
