// SPDX-License-Identifier: GPL-3.0-or-later
//
// The rig of the conformance suite: rings that turn until something has happened, ops that write
// down what they see, connections between two rings.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "test/ring/ring_world.h"

namespace trireme {

// Bytes that tell where they belong.
inline std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

struct Event {
  int32_t result;
  bool more;
  uint32_t in_flight;  // of the op, as its handler saw it
  friend bool operator==(const Event&, const Event&) = default;
};

// An op and all it was told.
struct Recorder {
  Recorder()
      : op(
            [](Op& its_op, Completion& completion) {
              static_cast<Recorder*>(its_op.owner)->OnCompletion(its_op, completion);
            },
            this) {}

  void OnCompletion(Op& its_op, Completion& completion) {
    events.push_back({completion.result, completion.more, its_op.in_flight});
    EXPECT_EQ(completion.slice.empty(), completion.slice.block() == nullptr);
    if (!completion.slice.empty()) {
      EXPECT_EQ(static_cast<uint32_t>(completion.result), completion.slice.size());
      text += AsText(completion.slice.bytes());
      if (hoard) slices.push_back(std::move(completion.slice));
    }
    if (then) then(completion);
  }
  bool ended() const { return !events.empty() && !events.back().more; }
  int32_t last_result() const { return events.empty() ? INT32_MIN : events.back().result; }

  Op op;
  std::vector<Event> events;
  std::string text;
  bool hoard = false;  // keeps the slices
  std::vector<Slice> slices;
  std::function<void(Completion&)> then;
};

class RingConformance : public testing::TestWithParam<RingWorldKind> {
 protected:
  static constexpr Buffers::Options kBuffers{.block_bytes = 4096, .blocks_max = 64};

  void Build(uint32_t ring_count, const Buffers::Options& buffers = kBuffers) {
    world_ = GetParam().make(ring_count, buffers);
    ring_count_ = ring_count;
  }
  Ring& ring(uint32_t index = 0) { return world_->ring(index); }
  SocketAddress NewAddress() { return world_->NewAddress(); }

  void TurnAll() {
    for (uint32_t i = 0; i < ring_count_; ++i) {
      ring(i).SubmitAndReap(ring(i).now() + (ring_count_ == 1 ? 5ms : 500us));
    }
  }
  // Turns all rings until `done`; bounded.
  template <typename Done>
  bool RunUntil(Done done) {
    for (int turn = 0; turn < 20000; ++turn) {
      if (done()) return true;
      TurnAll();
    }
    return done();
  }
  // For what must not happen: time enough for it to happen.
  void Settle() {
    for (int turn = 0; turn < 20; ++turn) TurnAll();
  }

  struct Connection {
    int client = -1;
    int server = -1;
  };
  // Both ends belong to whichever ring begins operations on them.
  Connection Connect() {
    Recorder accept, connect;
    const Result<int> listener = ring().Listen(NewAddress(), {});
    EXPECT_TRUE(listener.ok()) << listener.status();
    const SocketAddress address = ring().LocalAddress(*listener);
    Connection connection;
    connection.client = *ring().Open(address.family());
    ring().BeginAccept(accept.op, *listener);
    ring().BeginConnect(connect.op, connection.client, address);
    EXPECT_TRUE(RunUntil([&] { return connect.ended() && !accept.events.empty(); }));
    EXPECT_EQ(connect.last_result(), 0);
    connection.server = accept.events.front().result;
    ring().Cancel(accept.op);
    EXPECT_TRUE(RunUntil([&] { return accept.ended(); }));
    ring().Close(*listener);
    return connection;
  }
  // A listener that nobody accepts from, filled: a backlog of 0 has room for one.
  struct Backlog {
    int listener = -1;
    int first = -1;  // connected
    SocketAddress address;
  };
  Backlog FillBacklog() {
    Backlog backlog{.listener = *ring().Listen(NewAddress(), {.backlog = 0})};
    backlog.address = ring().LocalAddress(backlog.listener);
    backlog.first = *ring().Open(backlog.address.family());
    Recorder connect;
    ring().BeginConnect(connect.op, backlog.first, backlog.address);
    EXPECT_TRUE(RunUntil([&] { return connect.ended(); }));
    EXPECT_EQ(connect.last_result(), 0) << "without an accept";
    return backlog;
  }
  void CloseBacklog(const Backlog& backlog) {
    ring().Close(backlog.first);
    ring().Close(backlog.listener);
  }
  void SendAll(Ring& from, int fd, std::string_view text) {
    Recorder send;
    from.BeginSend(send.op, fd, AsBytes(text));
    ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
    ASSERT_EQ(send.last_result(), static_cast<int32_t>(text.size()));
  }
  // Sends until the socket takes nothing more; how much that was.
  size_t Fill(int fd) {
    static const std::string kPiece = Pattern(5);
    size_t filled = 0;
    const std::string filling = Pattern(8 << 20);
    Recorder send;
    for (const std::string_view text : {std::string_view(filling), std::string_view(kPiece)}) {
      do {
        ring().BeginSend(send.op, fd, AsBytes(text));
        Settle();
        if (send.op.in_flight > 0) CancelAndWait(ring(), send);
        filled += static_cast<size_t>(std::max(send.last_result(), 0));
      } while (send.last_result() > 0);
    }
    return filled;
  }
  void CancelAndWait(Ring& its_ring, Recorder& recorder) {
    its_ring.Cancel(recorder.op);
    ASSERT_TRUE(RunUntil([&] { return recorder.op.in_flight == 0; }));
  }

  // At rest every operation and every block is home.
  void TearDown() override {
    for (uint32_t i = 0; i < ring_count_; ++i) {
      EXPECT_EQ(ring(i).in_flight(), 0u);
      EXPECT_EQ(ring(i).buffers().in_use(), 0u);
      EXPECT_EQ(ring(i).counters().overflows, 0u);
    }
  }

  std::unique_ptr<RingWorld> world_;
  uint32_t ring_count_ = 0;
};

}  // namespace trireme
