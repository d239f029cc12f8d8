// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every promise of ring/ring.h and every fact of the kernel that the rooms above build on, for any
// ring.
#include "test/ring/conformance_rig.h"

#include <cerrno>

namespace trireme {
namespace {

// ---- turns ----

TEST_P(RingConformance, TimeMovesOnlyInSubmitAndReap) {
  Build(1);
  const Time start = ring().now();
  EXPECT_GT(start, Time{});
  EXPECT_EQ(ring().now(), start);
  EXPECT_EQ(ring().SubmitAndReap(start + 2ms), 0u);
  EXPECT_GE(ring().now(), start + 2ms) << "waits until the deadline when nothing completes";
}

TEST_P(RingConformance, DoesNotWaitWithoutADeadline) {
  Build(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ring().SubmitAndReap(Time{}), 0u);
  EXPECT_EQ(ring().counters().turns, 3u);
}

TEST_P(RingConformance, ReapsWithoutWaiting) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive, send;
  ring().BeginReceive(receive.op, connection.server);
  ring().BeginSend(send.op, connection.client, AsBytes("x"));
  for (int i = 0; i < 20000 && receive.text.empty(); ++i) ring().SubmitAndReap(Time{});
  EXPECT_EQ(receive.text, "x");
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CallsHandlersOnlyInSubmitAndReapAndCountsThem) {
  Build(1);
  const Connection connection = Connect();
  Recorder send;
  ring().BeginSend(send.op, connection.client, AsBytes("x"));
  EXPECT_TRUE(send.events.empty());
  EXPECT_EQ(send.op.in_flight, 1u);
  EXPECT_EQ(ring().in_flight(), 1u);
  uint32_t handled = 0;
  for (int i = 0; i < 1000 && handled == 0; ++i) handled = ring().SubmitAndReap(ring().now() + 5ms);
  EXPECT_EQ(handled, 1u);
  EXPECT_EQ(send.events, (std::vector<Event>{{1, false, 0}}));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, HandlersMayBeginOperations) {
  Build(1);
  const Connection connection = Connect();
  Recorder send, receive;
  int sends = 0;
  send.then = [&](Completion&) {
    if (++sends < 5) ring().BeginSend(send.op, connection.client, AsBytes("x"));
  };
  ring().BeginReceive(receive.op, connection.server);
  ring().BeginSend(send.op, connection.client, AsBytes("x"));
  EXPECT_TRUE(RunUntil([&] { return receive.text == "xxxxx"; }));
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, TakesMoreOperationsThanTheSubmissionQueueHolds) {
  Build(1);
  constexpr size_t kConnections = 30;
  std::vector<Connection> connections;
  for (size_t i = 0; i < kConnections; ++i) connections.push_back(Connect());
  std::vector<Recorder> sends(kConnections), receives(kConnections);
  for (size_t i = 0; i < kConnections; ++i) {
    ring().BeginReceive(receives[i].op, connections[i].server);
    ring().BeginSend(sends[i].op, connections[i].client, AsBytes("x"));
  }
  EXPECT_EQ(ring().in_flight(), 2 * kConnections);
  for (const Recorder& send : sends) EXPECT_TRUE(send.events.empty()) << "completes in a turn only";
  ASSERT_TRUE(RunUntil([&] {
    // Buffers may have run out on the way: flow control, arm again.
    size_t arrived = 0;
    for (size_t i = 0; i < kConnections; ++i) {
      arrived += receives[i].text.size();
      if (receives[i].op.in_flight == 0) ring().BeginReceive(receives[i].op, connections[i].server);
    }
    return arrived == kConnections;
  }));
  for (Recorder& receive : receives) ring().Cancel(receive.op);
  ASSERT_TRUE(RunUntil([&] { return ring().in_flight() == 0; }));
  for (const Connection& connection : connections) {
    ring().Close(connection.client);
    ring().Close(connection.server);
  }
}

TEST_P(RingConformance, DoesNotTouchAnOpAfterItsLastCompletion) {
  Build(1);
  const Connection connection = Connect();
  bool done = false;
  struct Context {
    std::unique_ptr<Op> op;  // freed by its own handler
    bool* done;
  };
  Context context{.op = nullptr, .done = &done};
  context.op = std::make_unique<Op>(
      [](Op& its_op, Completion&) {
        auto* its_context = static_cast<Context*>(its_op.owner);
        *its_context->done = true;
        its_context->op.reset();
      },
      &context);
  ring().BeginSend(*context.op, connection.client, AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return done; }));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

// ---- accept, connect ----

TEST_P(RingConformance, AcceptIsMultishot) {
  Build(1);
  const int listener = *ring().Listen(NewAddress(), {});
  const SocketAddress address = ring().LocalAddress(listener);
  Recorder accept;
  ring().BeginAccept(accept.op, listener);
  std::vector<int> clients;
  for (size_t i = 1; i <= 3; ++i) {
    Recorder connect;
    clients.push_back(*ring().Open(address.family()));
    ring().BeginConnect(connect.op, clients.back(), address);
    ASSERT_TRUE(RunUntil([&] { return connect.ended() && accept.events.size() == i; }));
    EXPECT_EQ(connect.events, (std::vector<Event>{{0, false, 0}}));
    EXPECT_GE(accept.last_result(), 0);
    EXPECT_TRUE(accept.events.back().more);
    EXPECT_EQ(accept.op.in_flight, 1u);
  }
  CancelAndWait(ring(), accept);
  EXPECT_EQ(accept.last_result(), -ECANCELED);
  for (int fd : clients) ring().Close(fd);
  for (size_t i = 0; i < 3; ++i) ring().Close(accept.events[i].result);
  ring().Close(listener);
}

TEST_P(RingConformance, KnowsBothAddresses) {
  Build(1);
  const int listener = *ring().Listen(NewAddress(), {});
  const SocketAddress address = ring().LocalAddress(listener);
  Recorder accept, connect;
  ring().BeginAccept(accept.op, listener);
  const int client = *ring().Open(address.family());
  ring().BeginConnect(connect.op, client, address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended() && !accept.events.empty(); }));
  const int server = accept.events[0].result;
  EXPECT_EQ(ring().PeerAddress(client).Text(), address.Text());
  EXPECT_EQ(ring().LocalAddress(server).Text(), address.Text());
  EXPECT_EQ(ring().PeerAddress(server).Text(), ring().LocalAddress(client).Text());
  CancelAndWait(ring(), accept);
  ring().Close(client);
  ring().Close(server);
  ring().Close(listener);
}

TEST_P(RingConformance, RefusesAConnectWhereNobodyListens) {
  Build(1);
  const int listener = *ring().Listen(NewAddress(), {});
  const SocketAddress address = ring().LocalAddress(listener);
  ring().Close(listener);
  const int client = *ring().Open(address.family());
  Recorder connect;
  ring().BeginConnect(connect.op, client, address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended(); }));
  EXPECT_EQ(connect.events, (std::vector<Event>{{-ECONNREFUSED, false, 0}}));
  ring().Close(client);
}

TEST_P(RingConformance, ListenSaysWhichAddressIsTaken) {
  Build(1);
  const ListenOptions alone{.reuse_port = false};
  const int listener = *ring().Listen(NewAddress(), alone);
  const SocketAddress address = ring().LocalAddress(listener);
  const Result<int> second = ring().Listen(address, alone);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(FromAbsl(second.status().message()).find(address.Text()), std::string_view::npos);
  ring().Close(listener);
}

// ---- the end ----

TEST_P(RingConformance, ShutdownEndsAnArmedReceiveWithZero) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  ring().Shutdown(connection.server, SHUT_RDWR);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.events, (std::vector<Event>{{0, false, 0}}));
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, ShutdownOfTheReadSideDeliversWhatHasArrivedFirst) {
  Build(1);
  const Connection connection = Connect();
  SendAll(ring(), connection.client, "last words");
  Settle();
  ring().Shutdown(connection.server, SHUT_RD);
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.text, "last words");
  EXPECT_EQ(receive.last_result(), 0);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CloseDoesNotEndAnArmedReceive) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  ring().Close(connection.server);
  Settle();
  EXPECT_EQ(receive.op.in_flight, 1u);
  SendAll(ring(), connection.client, "still delivered");
  EXPECT_TRUE(RunUntil([&] { return receive.text == "still delivered"; }));
  EXPECT_EQ(receive.op.in_flight, 1u);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
}

TEST_P(RingConformance, CancelEndsAReceiveOnce) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  ring().Cancel(receive.op);
  ring().Cancel(receive.op);  // finds nothing: no harm
  EXPECT_EQ(receive.op.in_flight, 1u) << "cancels are not counted";
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  Settle();
  EXPECT_EQ(receive.events, (std::vector<Event>{{-ECANCELED, false, 0}}));
  ring().Cancel(receive.op);  // nothing in flight: no effect
  Settle();
  EXPECT_EQ(receive.events.size(), 1u);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CancelInTheTurnOfTheBeginWorks) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  ring().BeginReceive(receive.op, connection.server);
  ring().Cancel(receive.op);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), -ECANCELED);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CancelDoesNotReachWhatIsBegunAfterwards) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  receive.then = [&](Completion& completion) {
    if (completion.result == -ECANCELED && receive.events.size() == 1) {
      // A second cancel is still on its way when this begins.
      ring().Cancel(receive.op);
      ring().BeginReceive(receive.op, connection.server);
    }
  };
  ring().BeginReceive(receive.op, connection.server);
  Settle();
  ring().Cancel(receive.op);
  Settle();
  EXPECT_EQ(receive.op.in_flight, 1u);
  SendAll(ring(), connection.client, "alive");
  EXPECT_TRUE(RunUntil([&] { return receive.text == "alive"; }));
  receive.then = nullptr;
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CancelLosesNoBytes) {
  Build(1);
  const Connection connection = Connect();
  Recorder receive;
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    ring().BeginReceive(receive.op, connection.server);
    if (i % 2 == 0) TurnAll();
    const std::string piece = Pattern(static_cast<size_t>(i) * 13 + 1);
    expected += piece;
    Recorder send;
    ring().BeginSend(send.op, connection.client, AsBytes(piece));
    ring().Cancel(receive.op);
    ASSERT_TRUE(RunUntil([&] { return send.ended() && receive.op.in_flight == 0; }));
  }
  ring().BeginReceive(receive.op, connection.server);
  ASSERT_TRUE(RunUntil([&] { return receive.text.size() >= expected.size(); }));
  EXPECT_TRUE(receive.text == expected);
  CancelAndWait(ring(), receive);
  ring().Close(connection.client);
  ring().Close(connection.server);
}

TEST_P(RingConformance, CancelEndsASendInFlight) {
  Build(1);
  const Connection connection = Connect();
  const std::string text = Pattern(8 << 20);
  Recorder send;
  ring().BeginSend(send.op, connection.client, AsBytes(text));
  Settle();
  ASSERT_EQ(send.op.in_flight, 1u);
  CancelAndWait(ring(), send);
  EXPECT_TRUE(send.last_result() == -ECANCELED || send.last_result() > 0) << send.last_result();
  ring().Close(connection.client);
  ring().Close(connection.server);
}

// ---- more rings than one ----

TEST_P(RingConformance, WakeEndsTheSleepOfAnotherRing) {
  Build(2);
  EXPECT_EQ(ring(1).index(), 1u);
  ring(0).Wake(1);
  ring(0).SubmitAndReap(Time{});
  EXPECT_EQ(ring(1).SubmitAndReap(kNever), 1u);
  EXPECT_EQ(ring(0).counters().wakes_sent, 1u);
  EXPECT_EQ(ring(1).counters().wakes_received, 1u);
  EXPECT_EQ(ring(1).SubmitAndReap(Time{}), 0u);
  EXPECT_EQ(ring(0).SubmitAndReap(Time{}), 0u) << "the sender hears nothing of it";
}

TEST_P(RingConformance, AConnectionMovesBetweenRings) {
  Build(2);
  const Connection connection = Connect();
  Recorder here, there;
  ring(0).BeginReceive(here.op, connection.server);
  SendAll(ring(0), connection.client, "a");
  ASSERT_TRUE(RunUntil([&] { return here.text == "a"; }));
  CancelAndWait(ring(0), here);
  SendAll(ring(0), connection.client, "b");
  ring(1).BeginReceive(there.op, connection.server);
  ASSERT_TRUE(RunUntil([&] { return there.text == "b"; }));
  EXPECT_EQ(here.text, "a");
  CancelAndWait(ring(1), there);
  ring(0).Close(connection.client);
  ring(1).Close(connection.server);
}

}  // namespace
}  // namespace trireme
