// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections that are slow to come about, or never do: full backlogs, missing files, no
// descriptors.
#include <cerrno>

#include "test/ring/conformance_rig.h"

namespace trireme {
namespace {

TEST_P(RingConformance, AConnectThatDoesNotFitWaitsForRoom) {
  Build(1);
  const Backlog backlog = FillBacklog();
  const int second = *ring().Open(backlog.address.family());
  Recorder connect;
  ring().BeginConnect(connect.op, second, backlog.address);
  Settle();
  EXPECT_EQ(connect.op.in_flight, 1u);
  Recorder accept;
  ring().BeginAccept(accept.op, backlog.listener);
  ASSERT_TRUE(RunUntil([&] { return connect.ended() && accept.events.size() == 2; }));
  EXPECT_EQ(connect.last_result(), 0);
  CancelAndWait(ring(), accept);
  ring().Close(accept.events[0].result);
  ring().Close(accept.events[1].result);
  ring().Close(second);
  CloseBacklog(backlog);
}

TEST_P(RingConformance, CancelEndsAConnect) {
  Build(1);
  const Backlog backlog = FillBacklog();
  const int second = *ring().Open(backlog.address.family());
  Recorder connect;
  ring().BeginConnect(connect.op, second, backlog.address);
  Settle();
  CancelAndWait(ring(), connect);
  // A Unix socket waits in a thread of the kernel's, which is interrupted.
  const int32_t result = connect.last_result();
  EXPECT_TRUE(result == -ECANCELED || (backlog.address.is_unix() && result == -EINTR)) << result;
  ring().Close(second);
  CloseBacklog(backlog);
}

TEST_P(RingConformance, ATcpConnectThatNobodyAnswersTimesOut) {
  Build(1);
  const Backlog backlog = FillBacklog();
  if (backlog.address.is_unix()) {
    CloseBacklog(backlog);
    GTEST_SKIP() << "a Unix socket waits without end";
  }
  const int second = *ring().Open(backlog.address.family());
  world_->HastenConnectTimeout(second);
  Recorder connect;
  const Time start = ring().now();
  ring().BeginConnect(connect.op, second, backlog.address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended(); }));
  EXPECT_EQ(connect.events, (std::vector<Event>{{-ETIMEDOUT, false, 0}}));
  EXPECT_GE(ring().now() - start, 2s);
  ring().Close(second);
  CloseBacklog(backlog);
}

TEST_P(RingConformance, ClosingAListenerResetsWhoWaitsToBeAccepted) {
  Build(1);
  const Backlog backlog = FillBacklog();
  Recorder receive;
  ring().BeginReceive(receive.op, backlog.first);
  Settle();
  ring().Close(backlog.listener);
  ASSERT_TRUE(RunUntil([&] { return receive.ended(); }));
  EXPECT_EQ(receive.last_result(), -ECONNRESET);
  ring().Close(backlog.first);
}

TEST_P(RingConformance, AMissingSocketFileIsNoEntry) {
  Build(1);
  const SocketAddress address = *SocketAddress::Unix("/nonexistent/trireme/.s.PGSQL.5432");
  const int client = *ring().Open(address.family());
  Recorder connect;
  ring().BeginConnect(connect.op, client, address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended(); }));
  EXPECT_EQ(connect.events, (std::vector<Event>{{-ENOENT, false, 0}}));
  ring().Close(client);
}

// The descriptor is chosen before anybody has come; who comes waits in the backlog.
TEST_P(RingConformance, AcceptEndsAtOnceWhenThereIsNoDescriptor) {
  Build(1);
  const int listener = *ring().Listen(NewAddress(), {});
  const SocketAddress address = ring().LocalAddress(listener);
  const int client = *ring().Open(address.family());
  Recorder accept, connect;
  world_->ForbidDescriptors();
  ring().BeginAccept(accept.op, listener);
  ASSERT_TRUE(RunUntil([&] { return accept.ended(); }));
  EXPECT_EQ(accept.events, (std::vector<Event>{{-EMFILE, false, 0}}));
  const Result<int> another = ring().Open(address.family());
  const int error = errno;
  EXPECT_FALSE(another.ok());
  EXPECT_EQ(error, EMFILE);
  ring().BeginConnect(connect.op, client, address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended(); }));
  EXPECT_EQ(connect.last_result(), 0);

  world_->AllowDescriptors();
  ring().BeginAccept(accept.op, listener);
  ASSERT_TRUE(RunUntil([&] { return accept.events.size() == 2; }));
  ASSERT_GE(accept.last_result(), 0);
  ring().Close(accept.last_result());
  CancelAndWait(ring(), accept);
  ring().Close(client);
  ring().Close(listener);
}

TEST_P(RingConformance, CloseDoesNotEndAnArmedAccept) {
  Build(1);
  const int listener = *ring().Listen(NewAddress(), {});
  const SocketAddress address = ring().LocalAddress(listener);
  Recorder accept, connect;
  ring().BeginAccept(accept.op, listener);
  Settle();
  ring().Close(listener);
  const int client = *ring().Open(address.family());
  ring().BeginConnect(connect.op, client, address);
  ASSERT_TRUE(RunUntil([&] { return connect.ended() && !accept.events.empty(); }));
  EXPECT_EQ(connect.last_result(), 0);
  ring().Close(accept.events[0].result);
  CancelAndWait(ring(), accept);
  ring().Close(client);
}

}  // namespace
}  // namespace trireme
