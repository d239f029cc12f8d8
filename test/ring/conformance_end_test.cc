// SPDX-License-Identifier: GPL-3.0-or-later
//
// Sends that do not simply succeed, connections that break, and wakes nobody needs.
#include <array>
#include <cerrno>

#include "test/ring/conformance_rig.h"

namespace trireme {
namespace {

// More than any socket takes while nobody reads.
const std::string& Big() {
  static const std::string text = [] {
    std::string big(8 << 20, '\0');
    for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 + i / 4096);
    return big;
  }();
  return text;
}

TEST_P(RingConformance, ASendThatIsCutShortSaysHowFarItCame) {
  Build(1);
  const Connection connection = Connect();
  Recorder send, receive;
  ring().BeginSend(send.op, connection.client, AsBytes(Big()));
  Settle();
  ASSERT_EQ(send.op.in_flight, 1u);
  CancelAndWait(ring(), send);
  ASSERT_GT(send.last_result(), 0);
  const auto sent = static_cast<size_t>(send.last_result());
  EXPECT_LT(sent, Big().size());
  ring().Close(connection.client);
  ASSERT_TRUE(RunUntil([&] {
    if (receive.op.in_flight == 0 && receive.last_result() != 0) {
      ring().BeginReceive(receive.op, connection.server);
    }
    return receive.last_result() == 0;
  }));
  EXPECT_EQ(receive.text.size(), sent);
  EXPECT_TRUE(receive.text == std::string_view(Big()).substr(0, sent));
  ring().Close(connection.server);
}

TEST_P(RingConformance, SendsOfOneTurnArriveAndCompleteInOrder) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  std::array<Recorder, 6> sends;
  std::string order;
  ring().BeginReceive(receive.op, connection.server);
  const std::string text = "abcdef";
  for (size_t i = 0; i < sends.size(); ++i) {
    sends[i].then = [&order, &text, i](Completion&) { order += text[i]; };
    ring().BeginSend(sends[i].op, connection.client, AsBytes(std::string_view(text).substr(i, 1)));
  }
  ASSERT_TRUE(RunUntil([&] { return receive.text.size() == 6 && order.size() == 6; }));
  EXPECT_EQ(order, text);
  EXPECT_EQ(receive.text, text);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ABigVectorGoesOutWholeWhileItIsRead) {
  Build(2);
  const Connection connection = Connect();
  constexpr size_t kParts = 64;
  std::array<iovec, kParts> vectors;
  const size_t part = Big().size() / kParts;
  for (size_t i = 0; i < kParts; ++i) {
    vectors[i] = {.iov_base = const_cast<char*>(Big().data()) + i * part, .iov_len = part};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = kParts;
  Recorder send, receive;
  ring(0).BeginSendVector(send.op, connection.client, message);
  ASSERT_TRUE(RunUntil([&] {
    if (receive.op.in_flight == 0) ring(1).BeginReceive(receive.op, connection.server);
    return send.ended() && receive.text.size() == Big().size();
  }));
  EXPECT_EQ(send.events, (std::vector<Event>{{8 << 20, false, 0}})) << "one completion for all";
  EXPECT_TRUE(receive.text == Big());
  if (receive.op.in_flight > 0) CancelAndWait(ring(1), receive);
  ring(0).Close(connection.client);
  ring(1).Close(connection.server);
}

// TCP takes one send more before it hears that nobody is there.
TEST_P(RingConformance, SendFailsAfterThePeerHasClosed) {
  Build(1);
  const Connection connection = Connect();
  ring().Close(connection.server);
  Settle();
  int sends = 0;
  int32_t result = 1;
  while (result > 0 && ++sends < 10) {
    Recorder send;
    ring().BeginSend(send.op, connection.client, AsBytes("x"));
    ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
    result = send.last_result();
    Settle();
  }
  EXPECT_EQ(result, -EPIPE);
  EXPECT_LE(sends, 2);
  ring().Close(connection.client);
}

TEST_P(RingConformance, AnEndIsHeardBeforeTheResetThatFollowsASend) {
  Build(1);
  const Connection connection = Connect();
  ring().Close(connection.server);
  Recorder receive;
  ring().BeginReceive(receive.op, connection.client);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), 0);
  ring().Close(connection.client);
}

TEST_P(RingConformance, AResetIsToldOnceThenTheEnd) {
  Build(1);
  const Connection connection = Connect();
  SendAll(ring(), connection.client, "unread");
  Settle();
  ring().Close(connection.server);
  Settle();
  Recorder receive, send;
  ring().BeginReceive(receive.op, connection.client);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  ring().BeginReceive(receive.op, connection.client);
  ASSERT_TRUE(RunUntil([&] { return receive.events.size() == 2; }));
  EXPECT_EQ(receive.events, (std::vector<Event>{{-ECONNRESET, false, 0}, {0, false, 0}}));
  ring().BeginSend(send.op, connection.client, AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
  EXPECT_EQ(send.last_result(), -EPIPE);
  ring().Close(connection.client);
}

TEST_P(RingConformance, WhatArrivedBeforeAResetCanBeRead) {
  Build(1);
  const Connection connection = Connect();
  SendAll(ring(), connection.client, "unread");
  SendAll(ring(), connection.server, "last words");
  Settle();
  ring().Close(connection.server);
  Settle();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.client);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.text, "last words");
  EXPECT_EQ(receive.last_result(), -ECONNRESET);
  ring().Close(connection.client);
}

TEST_P(RingConformance, AResetEndsASendInFlight) {
  Build(1);
  const Connection connection = Connect();
  Recorder send;
  ring().BeginSend(send.op, connection.client, AsBytes(Big()));
  Settle();
  ASSERT_EQ(send.op.in_flight, 1u);
  ring().Close(connection.server);
  ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
  EXPECT_GT(send.last_result(), 0) << "how far it came";
  EXPECT_LT(send.last_result(), 8 << 20);
  Recorder next;
  ring().BeginSend(next.op, connection.client, AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return next.ended(); }));
  EXPECT_EQ(next.last_result(), -EPIPE);
  ring().Close(connection.client);
}

TEST_P(RingConformance, NobodyCanSendToWhoHasShutBothWays) {
  Build(1);
  const Connection connection = Connect();
  ring().Shutdown(connection.server, SHUT_RDWR);
  Settle();
  int sends = 0;
  int32_t result = 1;
  while (result > 0 && ++sends < 10) {
    Recorder send;
    ring().BeginSend(send.op, connection.client, AsBytes("x"));
    ASSERT_TRUE(RunUntil([&] { return send.ended(); }));
    result = send.last_result();
    Settle();
  }
  EXPECT_EQ(result, -EPIPE);
  EXPECT_LE(sends, 2);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, AReceiveBeforeTheConnectIsNotConnected) {
  Build(1);
  const int fd = *ring().Open(NewAddress().family());
  Recorder receive;
  ring().BeginReceive(receive.op, fd);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), NewAddress().is_unix() ? -EINVAL : -ENOTCONN);
  ring().Close(fd);
}

TEST_P(RingConformance, AWakeThatNobodyNeedsIsOneCompletionWithoutAHandler) {
  Build(2);
  const Connection connection = Connect();
  Recorder receive;
  ring(1).BeginReceive(receive.op, connection.server);
  Settle();
  ring(0).Wake(1);
  ring(0).Wake(1);
  ring(0).SubmitAndReap(Time{});
  EXPECT_EQ(ring(1).SubmitAndReap(Time{}), 2u);
  EXPECT_EQ(ring(1).counters().wakes_received, 2u);
  EXPECT_TRUE(receive.events.empty());
  SendAll(ring(0), connection.client, "x");
  EXPECT_TRUE(RunUntil([&] { return receive.text == "x"; }));
  CancelAndWait(ring(1), receive);
  ring(0).Close(connection.client);
  ring(1).Close(connection.server);
}

}  // namespace
}  // namespace trireme
