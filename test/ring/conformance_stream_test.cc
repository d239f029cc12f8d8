// SPDX-License-Identifier: GPL-3.0-or-later
//
// Bytes: received in order into buffers that may run out, sent to readers fast and slow.
#include <cerrno>

#include "test/ring/conformance_rig.h"

namespace trireme {
namespace {

// ---- receive ----

TEST_P(RingConformance, ReceiveIsMultishotAndInOrder) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  std::string expected;
  for (const char* text : {"one", "two", "three"}) {
    SendAll(ring(), connection.client, text);
    expected += text;
    ASSERT_TRUE(RunUntil([&] { return receive.text == expected; }));
  }
  EXPECT_EQ(receive.op.in_flight, 1u);
  for (const Event& event : receive.events) EXPECT_TRUE(event.more);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ReceiveDeliversWhatCameBeforeItWasArmed) {
  Build(1);
  const Connection connection = Connect();
  SendAll(ring(), connection.client, "early");
  Settle();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  EXPECT_TRUE(RunUntil([&] { return receive.text == "early"; }));
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, EndOfStreamIsZeroAndTheOtherWayStaysOpen) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive, back;
  ring().BeginReceive(receive.op, connection.server);
  ring().BeginReceive(back.op, connection.client);
  SendAll(ring(), connection.client, "bye");
  ring().Shutdown(connection.client, SHUT_WR);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.text, "bye");
  EXPECT_EQ(receive.events.back(), (Event{0, false, 0}));
  SendAll(ring(), connection.server, "answer");
  EXPECT_TRUE(RunUntil([&] { return back.text == "answer"; }));
  CancelAndWait(ring(), back);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, AnIdleReceiveHoldsNoBuffer) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  EXPECT_EQ(ring().buffers().in_use(), 0u);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ReceiveFailsAtOnceWhenThereIsNoBuffer) {
  Build(1, {.block_bytes = 512, .blocks_max = 2});
  const Connection connection = Connect();
  const Connection other = Connect();
  Recorder receive, starved;
  receive.hoard = true;
  ring().BeginReceive(receive.op, connection.server);
  for (size_t i = 1; i <= 2; ++i) {
    SendAll(ring(), connection.client, "x");
    ASSERT_TRUE(RunUntil([&] { return receive.slices.size() == i; }));
  }
  ring().BeginReceive(starved.op, other.server);
  ASSERT_TRUE(RunUntil([&] { return starved.ended(); }));
  EXPECT_EQ(starved.events, (std::vector<Event>{{-ENOBUFS, false, 0}})) << "nothing was sent";
  EXPECT_GE(ring().counters().no_buffers, 1u);

  receive.slices.clear();
  ring().BeginReceive(starved.op, other.server);
  SendAll(ring(), other.client, "y");
  EXPECT_TRUE(RunUntil([&] { return starved.text == "y"; }));
  if (receive.op.in_flight > 0) CancelAndWait(ring(), receive);
  CancelAndWait(ring(), starved);
  for (int fd : {connection.client, connection.server, other.client, other.server})
    ring().Close(fd);
}

TEST_P(RingConformance, NoBuffersEndsAMultishotAndLosesNothing) {
  Build(1, {.block_bytes = 512, .blocks_max = 4});
  const Connection connection = Connect();
  const std::string text = Pattern(20 * 512);
  Recorder receive, send;
  receive.hoard = true;
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  ring().BeginSend(send.op, connection.client, AsBytes(text));
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), -ENOBUFS);
  EXPECT_GE(receive.slices.size(), 1u);
  EXPECT_LE(receive.slices.size(), 4u);
  ASSERT_TRUE(RunUntil([&] {
    receive.slices.clear();
    if (receive.op.in_flight == 0) ring().BeginReceive(receive.op, connection.server);
    return receive.text.size() == text.size() && send.ended();
  }));
  EXPECT_TRUE(receive.text == text);
  if (receive.op.in_flight > 0) CancelAndWait(ring(), receive);
  receive.slices.clear();
  ring().Close(connection.client);
  ring().Close(connection.server);
}

// ---- send ----

TEST_P(RingConformance, SendToASlowReaderCompletesWhenItReads) {
  Build(2);
  const Connection connection = Connect();
  const std::string text = Pattern(8 << 20);
  Recorder send, receive;
  size_t sent = 0;
  send.then = [&](Completion& completion) {
    // May be short: the rest is another send.
    ASSERT_GT(completion.result, 0);
    sent += static_cast<size_t>(completion.result);
    if (sent < text.size()) {
      ring(0).BeginSend(send.op, connection.client, AsBytes(std::string_view(text).substr(sent)));
    }
  };
  ring(0).BeginSend(send.op, connection.client, AsBytes(text));
  Settle();
  EXPECT_LT(sent, text.size()) << "nobody reads yet";
  EXPECT_EQ(send.op.in_flight, 1u);
  ring(1).BeginReceive(receive.op, connection.server);
  ASSERT_TRUE(RunUntil([&] {
    if (receive.op.in_flight == 0) ring(1).BeginReceive(receive.op, connection.server);
    return receive.text.size() == text.size() && sent == text.size();
  }));
  EXPECT_TRUE(receive.text == text);
  CancelAndWait(ring(1), receive);
  ring(0).Close(connection.client);
  ring(1).Close(connection.server);
}

// ---- quick sends ----

TEST_P(RingConformance, QuickSendsToASlowReaderWaitUntilItReads) {
  Build(2);
  const Connection connection = Connect();
  const std::string text = Pattern(8 << 20);
  constexpr size_t kPiece = 5000;
  Recorder send, receive;
  size_t sent = 0;
  const auto begin = [&] {
    const std::string_view piece = std::string_view(text).substr(sent, kPiece);
    if (!piece.empty()) ring(0).BeginQuickSend(send.op, connection.client, AsBytes(piece));
  };
  send.then = [&](Completion& completion) {
    ASSERT_GT(completion.result, 0);
    sent += static_cast<size_t>(completion.result);
    begin();
  };
  begin();
  size_t before = SIZE_MAX;
  ASSERT_TRUE(RunUntil([&] {
    Settle();
    return std::exchange(before, sent) == sent;
  }));
  EXPECT_LT(sent, text.size()) << "nobody reads yet";
  EXPECT_EQ(send.op.in_flight, 1u);
  ring(1).BeginReceive(receive.op, connection.server);
  ASSERT_TRUE(RunUntil([&] {
    if (receive.op.in_flight == 0) ring(1).BeginReceive(receive.op, connection.server);
    return receive.text.size() == text.size() && sent == text.size();
  }));
  EXPECT_TRUE(receive.text == text);
  CancelAndWait(ring(1), receive);
  ring(0).Close(connection.client);
  ring(1).Close(connection.server);
}

// Many at once, more than a submission queue holds; some of them find their socket full.
TEST_P(RingConformance, QuickSendsOfOneTurnFailAndSucceedEachForItself) {
  Build(1);
  constexpr size_t kConnections = 12;
  enum class Kind : uint8_t { kFree, kFull, kShut };
  const auto kind = [](size_t i) { return static_cast<Kind>(i % 3); };
  std::vector<Connection> connections(kConnections);
  std::vector<Recorder> sends(kConnections), receives(kConnections);
  std::vector<size_t> filled(kConnections);
  for (size_t i = 0; i < kConnections; ++i) {
    connections[i] = Connect();
    if (kind(i) == Kind::kFull) filled[i] = Fill(connections[i].client);
    if (kind(i) == Kind::kShut) ring().Shutdown(connections[i].client, SHUT_WR);
  }
  for (size_t i = 0; i < kConnections; ++i) {
    ring().BeginQuickSend(sends[i].op, connections[i].client, AsBytes("small"));
  }
  Settle();
  for (size_t i = 0; i < kConnections; ++i) {
    const std::vector<Event> events = kind(i) == Kind::kFull ? std::vector<Event>{}
                                      : kind(i) == Kind::kFree
                                          ? std::vector<Event>{{5, false, 0}}
                                          : std::vector<Event>{{-EPIPE, false, 0}};
    EXPECT_EQ(sends[i].events, events) << i;
    EXPECT_EQ(sends[i].op.in_flight, kind(i) == Kind::kFull ? 1u : 0u) << i;
  }
  for (size_t i = 0; i < kConnections; ++i) {
    if (kind(i) != Kind::kFull) continue;
    ASSERT_TRUE(RunUntil([&] {
      if (receives[i].op.in_flight == 0) ring().BeginReceive(receives[i].op, connections[i].server);
      return sends[i].ended() && receives[i].text.size() >= filled[i] + 5;
    })) << i;
    EXPECT_EQ(sends[i].events, (std::vector<Event>{{5, false, 0}})) << i;
    EXPECT_EQ(receives[i].text.size(), filled[i] + 5) << i;
    EXPECT_TRUE(receives[i].text.ends_with("small")) << i;
    CancelAndWait(ring(), receives[i]);
  }
  for (const Connection& connection : connections) {
    ring().Close(connection.client);
    ring().Close(connection.server);
  }
}

TEST_P(RingConformance, AQuickSendEndsNoWaitAndIsToldAtItsEnd) {
  Build(1);
  const Connection connection = Connect();
  Recorder send, receive;
  ring().BeginQuickSend(send.op, connection.client, AsBytes("x"));
  const Time until = ring().now() + 20ms;
  EXPECT_EQ(ring().SubmitAndReap(until), 1u);
  EXPECT_GE(ring().now(), until);
  EXPECT_EQ(send.events, (std::vector<Event>{{1, false, 0}}));
  ring().BeginQuickSend(send.op, connection.client, AsBytes("y"));
  EXPECT_EQ(ring().SubmitAndReap(Time{}), 1u) << "nor does it wait without one";
  EXPECT_EQ(send.events.size(), 2u);
  ring().BeginReceive(receive.op, connection.server);
  ASSERT_TRUE(RunUntil([&] { return receive.text == "xy"; }));
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

// That one has failed does.
TEST_P(RingConformance, AQuickSendThatFailsEndsTheWait) {
  Build(1);
  const Connection connection = Connect();
  ring().Shutdown(connection.client, SHUT_WR);
  Recorder send;
  ring().BeginQuickSend(send.op, connection.client, AsBytes("x"));
  EXPECT_EQ(ring().SubmitAndReap(kNever), 1u);
  EXPECT_EQ(send.events, (std::vector<Event>{{-EPIPE, false, 0}}));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CancelInItsTurnEndsAQuickSendThatWouldWait) {
  Build(1);
  const Connection connection = Connect();
  Fill(connection.client);
  Recorder send;
  ring().BeginQuickSend(send.op, connection.client, AsBytes("small"));
  ring().Cancel(send.op);
  ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
  EXPECT_EQ(send.events, (std::vector<Event>{{-ECANCELED, false, 0}}));
  ring().BeginQuickSend(send.op, connection.client, AsBytes("small"));
  Settle();
  EXPECT_EQ(send.op.in_flight, 1u) << "only that one was canceled";
  CancelAndWait(ring(), send);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, SendVectorGathersInOrder) {
  Build(1);
  const Connection connection = Connect();
  std::string parts[] = {"one,", "", "two,", "three"};
  iovec vectors[4];
  for (int i = 0; i < 4; ++i)
    vectors[i] = {.iov_base = parts[i].data(), .iov_len = parts[i].size()};
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = 4;
  Recorder send, receive;
  ring().BeginReceive(receive.op, connection.server);
  ring().BeginSendVector(send.op, connection.client, message);
  ASSERT_TRUE(RunUntil([&] { return send.ended() && receive.text == "one,two,three"; }));
  EXPECT_EQ(send.last_result(), 13);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, SendFailsAfterShutdown) {
  Build(1);
  const Connection connection = Connect();
  ring().Shutdown(connection.client, SHUT_WR);
  Recorder send;
  ring().BeginSend(send.op, connection.client, AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
  EXPECT_EQ(send.events, (std::vector<Event>{{-EPIPE, false, 0}}));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ShutdownEndsASendInFlight) {
  Build(1);
  const Connection connection = Connect();
  const std::string text = Pattern(8 << 20);
  Recorder send;
  ring().BeginSend(send.op, connection.client, AsBytes(text));
  Settle();
  ASSERT_EQ(send.op.in_flight, 1u);
  ring().Shutdown(connection.client, SHUT_RDWR);
  ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
  EXPECT_TRUE(send.last_result() == -EPIPE ||
              (send.last_result() > 0 && send.last_result() < 8 << 20));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ClosingWithUnreadBytesResetsThePeer) {
  Build(1);
  const Connection connection = Connect();
  SendAll(ring(), connection.client, "unread");
  Settle();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.client);
  ring().Close(connection.server);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), -ECONNRESET);
  ring().Close(connection.client);
}

}  // namespace
}  // namespace trireme
