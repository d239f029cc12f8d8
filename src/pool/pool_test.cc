// SPDX-License-Identifier: GPL-3.0-or-later
//
// The decisions of a pool on its own core, on fake servers and fake mail; those between cores are
// in sharing_test.cc.
#include "pool/pool.h"

#include <gtest/gtest.h>

#include "pool/fake_fleet_steps.h"

namespace trireme {
namespace {

using State = PooledServer::State;

TEST(Pool, ServesFromTheIdleListBeforeCheckoutReturns) {
  FakeFleet fleet(With(1, 1));
  FakeClient client;
  FakeServer& server = Served(fleet, 0, client);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.pool(0).Checkout(client, client);
  EXPECT_EQ(client.server, &server);
  EXPECT_EQ(server.user(), &client);
}

TEST(Pool, LendsTheServerThatWasUsedLast) {
  FakeFleet fleet(With(1, 2));
  FakeClient a, b;
  FakeServer& first = Served(fleet, 0, a);
  FakeServer& second = Served(fleet, 0, b);
  ASSERT_NE(&first, &second);
  GiveBack(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  EXPECT_EQ(&Served(fleet, 0, b), &first);
}

TEST(Pool, OpensNoMoreThanItsSize) {
  FakeFleet fleet(With(2, 3));
  FakeClient clients[8];
  for (uint32_t i = 0; i < 8; ++i) fleet.pool(i % 2).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 3u);
  EXPECT_EQ(std::ranges::count_if(clients, [](auto& c) { return c.server != nullptr; }), 3);
  for (uint32_t i = 0; i < 8; ++i) {
    if (clients[i].waiting()) fleet.pool(i % 2).Leave(clients[i]);
  }
}

TEST(Pool, OpensOnlySoManyConnectionsAtOnce) {
  FakeFleet::Options options = With(1, 20);
  options.settings.storage.connecting_max = 2;
  FakeFleet fleet(options);
  FakeClient clients[6];
  for (FakeClient& client : clients) fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.core(0).InState(State::kConnecting).size(), 2u);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 6u);
}

TEST(Pool, ServesWaitersInOrderOfArrival) {
  FakeFleet fleet(With(1, 1));
  FakeClient holder, first, second;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(first, first);
  fleet.pool(0).Checkout(second, second);
  GiveBack(fleet, 0, holder);
  fleet.pool(0).Checkout(holder, holder);  // within the same turn: behind the others
  EXPECT_EQ(holder.server, nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(first.server, nullptr);
  EXPECT_EQ(second.server, nullptr);
  fleet.pool(0).Leave(second);
  fleet.pool(0).Leave(holder);
}

// --- checks --------------------------------------------------------------------------------------

FakeFleet::Options Checking(uint32_t cores, uint32_t size) {
  FakeFleet::Options options = With(cores, size);
  options.settings.pool.check_query = ";";
  options.settings.pool.check_delay = 30s;
  return options;
}

TEST(Pool, ChecksOneServerForEachWaiterAndOpensNone) {
  FakeFleet fleet(Checking(1, 8));
  FakeClient clients[3];
  for (FakeClient& client : clients) Served(fleet, 0, client);
  for (FakeClient& client : clients) GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.Advance(31s);
  fleet.pool(0).Checkout(clients[0], clients[0]);
  fleet.pool(0).Checkout(clients[1], clients[1]);
  EXPECT_EQ(clients[0].server, nullptr);
  fleet.core(0).Turn();
  const std::vector<FakeServer*> checked = fleet.core(0).InState(State::kSettling);
  ASSERT_EQ(checked.size(), 2u);
  EXPECT_EQ(checked[0]->cleaning, PooledServer::Cleaning::kCheck);
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  EXPECT_EQ(fleet.pool(0).counts().connecting, 0u);
  EXPECT_FALSE(fleet.core(0).changed);  // and does not look again before one is done
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(clients[0].server, nullptr);
  EXPECT_NE(clients[1].server, nullptr);
  EXPECT_EQ(fleet.board->size().open(), 3u);
  fleet.pool(0).Checkout(clients[2], clients[2]);
  ASSERT_TRUE(fleet.Settle());
  GiveBack(fleet, 0, clients[0]);
  fleet.pool(0).Checkout(clients[0], clients[0]);  // it was in use just now
  EXPECT_NE(clients[0].server, nullptr);
}

TEST(Pool, OpensAnotherServerWhenTheCheckFails) {
  FakeFleet fleet(Checking(1, 8));
  FakeClient client;
  FakeServer& first = Served(fleet, 0, client);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.Advance(31s);
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  fleet.pool(0).OnBroken(first, CloseReason::kCheckFailed);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.pool(0).counts().connecting, 1u);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
}

TEST(Pool, AServerThatWasCheckedForAWaiterWhoHasLeftIsIdle) {
  FakeFleet fleet(Checking(1, 8));
  FakeClient client;
  Served(fleet, 0, client);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.Advance(31s);
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  fleet.pool(0).Leave(client);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  fleet.pool(0).Checkout(client, client);
  EXPECT_NE(client.server, nullptr);
}

TEST(Pool, ADirtyServerIsResetAndCleanWhenItIsLentAgain) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.reset = ResetPolicy::kWhenDirty;
  FakeFleet fleet(options);
  FakeClient client;
  FakeServer& server = Served(fleet, 0, client);
  server.MarkDirty();
  GiveBack(fleet, 0, client);
  EXPECT_EQ(server.cleaning, PooledServer::Cleaning::kReset);
  ASSERT_TRUE(fleet.Settle());
  Served(fleet, 0, client);
  EXPECT_FALSE(server.dirty());
  GiveBack(fleet, 0, client);
  EXPECT_FALSE(server.cleaning);
}

// --- connecting ----------------------------------------------------------------------------------

const PgError kRefused{.severity = "FATAL", .sqlstate = "28P01", .message = "password wrong"};
const PgError kStarting{.severity = "FATAL", .sqlstate = "57P03", .message = "starting up"};

const PgError kNobody{.severity = "FATAL", .sqlstate = "08001", .message = "nobody listens"};

void FailConnect(FakeFleet& fleet, const PgError& error) {
  for (FakeServer* server : fleet.core(0).InState(State::kConnecting)) {
    fleet.pool(0).OnConnectFailed(*server, error);
  }
}

TEST(Pool, TellsWaitersTheServersOwnErrorWhenNoServerIsAlive) {
  FakeFleet fleet(With(1, 1));
  FakeClient client, late;
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  FailConnect(fleet, kRefused);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(*client.refusal, kRefused);
  fleet.pool(0).Checkout(late, late);  // within the back-off: at once
  EXPECT_FALSE(late.refusal);          // but not within the call
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(late.refusal, kRefused);
  EXPECT_EQ(fleet.board->size().open(), 0u);
}

TEST(Pool, KeepsWaitersWhileTheServerIsStartingUpOrNotThere) {
  for (const PgError& error : {kStarting, kNobody}) {
    FakeFleet fleet(With(1, 1));
    FakeClient client, late;
    fleet.pool(0).Checkout(client, client);
    fleet.core(0).Turn();
    FailConnect(fleet, error);
    ASSERT_TRUE(fleet.Settle());
    EXPECT_TRUE(client.waiting());
    fleet.pool(0).Checkout(late, late);  // who comes within the back-off waits as well
    ASSERT_TRUE(fleet.Settle());
    EXPECT_TRUE(late.waiting());
    fleet.pool(0).Leave(late);
    fleet.Advance(200ms);
    ASSERT_TRUE(fleet.Settle());
    EXPECT_NE(client.server, nullptr);
  }
}

TEST(Pool, TellsWhoHasWaitedInVainWhyThereIsNoServer) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.wait_timeout = 3s;
  FakeFleet fleet(options);
  FakeClient client;
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  for (int i = 0; i < 31 && !client.refusal; ++i) {
    fleet.Advance(100ms);
    fleet.core(0).Turn();
    FailConnect(fleet, kNobody);
    for (FakeServer* server : fleet.core(0).InState(State::kClosing)) {
      fleet.pool(0).OnClosed(*server);
    }
  }
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(client.refusal->sqlstate, "08001");
  EXPECT_EQ(client.refusal->message,
            "no server could be connected to within 3 s (wait_timeout): nobody listens");
}

TEST(Pool, KeepsWaitersWhileAnotherServerIsAlive) {
  FakeFleet fleet(With(1, 2));
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  fleet.core(0).Turn();
  FailConnect(fleet, kRefused);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_TRUE(client.waiting());
  GiveBack(fleet, 0, holder);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
}

TEST(Pool, DoublesItsBackOffUpToTheMaximum) {
  FakeFleet::Options options = With(1, 1);
  options.settings.storage.connect_backoff_min = 100ms;
  options.settings.storage.connect_backoff_max = 400ms;
  FakeFleet fleet(options);
  FakeClient client;
  fleet.pool(0).Checkout(client, client);
  for (const Duration backoff : {100ms, 200ms, 400ms, 400ms}) {
    fleet.core(0).Turn();
    ASSERT_EQ(fleet.core(0).InState(State::kConnecting).size(), 1u) << backoff.count();
    FailConnect(fleet, kStarting);
    for (FakeServer* server : fleet.core(0).InState(State::kClosing)) {
      fleet.pool(0).OnClosed(*server);
    }
    fleet.Advance(backoff / 2 - 1ms);  // jitter takes off at most half
    fleet.core(0).Turn();
    EXPECT_TRUE(fleet.core(0).InState(State::kConnecting).empty()) << backoff.count();
    fleet.Advance(backoff / 2 + 2ms);
  }
  fleet.pool(0).Leave(client);
}

// --- time ----------------------------------------------------------------------------------------

TEST(Pool, SaysWhyNobodyWasServedInTime) {
  FakeFleet::Options options = With(2, 1);
  options.settings.pool.wait_timeout = 3s;
  FakeFleet fleet(options);
  FakeClient holder, first, second;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(first, first);
  fleet.pool(1).Checkout(second, second);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(2999ms);
  EXPECT_FALSE(first.refusal);
  fleet.Advance(2ms);
  ASSERT_TRUE(first.refusal);
  EXPECT_EQ(first.refusal->sqlstate, "53300");
  EXPECT_EQ(first.refusal->message,
            "no server connection became free within 3 s: pool \"main/app\" has 1 of 1 servers in "
            "use, 2 clients wait");
  ASSERT_TRUE(second.refusal);
}

TEST(Pool, ClosesServersThatAreIdleTooLong) {
  FakeFleet::Options options = With(1, 2);
  options.settings.pool.idle_timeout = 10s;
  FakeFleet fleet(options);
  FakeClient a, b;
  Served(fleet, 0, a);
  Served(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  fleet.Advance(6s);
  GiveBack(fleet, 0, b);
  fleet.core(0).Turn();
  fleet.Advance(5s);
  EXPECT_EQ(fleet.core(0).closings, std::vector{CloseReason::kIdleTimeout});
  EXPECT_EQ(fleet.pool(0).counts().idle, 1u);
  fleet.Advance(6s);
  EXPECT_EQ(fleet.pool(0).counts().idle, 0u);
}

TEST(Pool, DoesNotLendAServerBeyondItsLifetime) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.server_lifetime = 100s;
  options.settings.pool.server_lifetime_jitter = 0s;
  FakeFleet fleet(options);
  FakeClient client;
  const uint64_t old = Served(fleet, 0, client).id;
  fleet.Advance(101s);
  EXPECT_NE(client.server, nullptr);  // nobody loses a server that is in use
  GiveBack(fleet, 0, client);
  EXPECT_EQ(fleet.core(0).closings, std::vector{CloseReason::kLifetime});
  EXPECT_NE(Served(fleet, 0, client).id, old);
  GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  fleet.Advance(101s);
  EXPECT_EQ(fleet.core(0).closings.size(), 2u);  // idle: when its time comes
}

TEST(Pool, ServersOpenedTogetherDoNotEndTogether) {
  FakeFleet::Options options = With(1, 8);
  options.settings.pool.idle_timeout = 0s;
  options.settings.pool.server_lifetime = 100s;
  options.settings.pool.server_lifetime_jitter = 50s;
  FakeFleet fleet(options);
  FakeClient clients[8];
  for (FakeClient& client : clients) Served(fleet, 0, client);
  for (FakeClient& client : clients) GiveBack(fleet, 0, client);
  fleet.core(0).Turn();
  const std::vector<CloseReason>& closings = fleet.core(0).closings;
  fleet.Advance(49s);
  EXPECT_EQ(closings.size(), 0u);
  int moments = 0;
  for (int i = 0; i < 52; ++i) {
    const size_t before = closings.size();
    fleet.Advance(1s);
    moments += closings.size() > before ? 1 : 0;
  }
  EXPECT_EQ(closings.size(), 8u);
  EXPECT_GE(moments, 4);
}

// --- cleaning ------------------------------------------------------------------------------------

TEST(Pool, ResetsAfterASession) {
  FakeFleet::Options options = With(1, 1);
  options.settings.mode = PoolMode::kSession;
  FakeFleet fleet(options);
  FakeClient first, second;
  FakeServer& server = Served(fleet, 0, first);
  fleet.pool(0).Checkout(second, second);
  GiveBack(fleet, 0, first);
  fleet.core(0).Turn();
  EXPECT_EQ(server.cleaning, PooledServer::Cleaning::kReset);
  EXPECT_EQ(second.server, nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(second.server, &server);
}

TEST(Pool, HoldsAServerBackWhileACancelIsOnItsWay) {
  FakeFleet fleet(With(1, 1));
  FakeClient first, second;
  FakeServer& server = Served(fleet, 0, first);
  server.Hold();
  GiveBack(fleet, 0, first);
  fleet.pool(0).Checkout(second, second);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(second.server, nullptr);
  server.Unhold();
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(second.server, nullptr);
}

TEST(Pool, SettlesTheServerOfAClientThatHasGone) {
  FakeFleet fleet(With(1, 1));
  FakeClient client;
  FakeServer& server = Served(fleet, 0, client);
  server.at_rest = PooledServer::Rest::kDirty;
  fleet.pool(0).Abandon(server, AbandonReason::kClientGone);
  EXPECT_EQ(server.cleaning, PooledServer::Cleaning::kAll);
  EXPECT_EQ(server.user(), nullptr);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(server.state(), State::kIdle);
}

// --- policies, shutdown --------------------------------------------------------------------------

TEST(Pool, DividesItsSizeWhenIsolated) {
  FakeFleet::Options options = With(2, 3);
  options.sharing.policy = Sharing::kIsolated;
  FakeFleet fleet(options);
  FakeClient clients[6];
  for (uint32_t i = 0; i < 6; ++i) fleet.pool(i % 2).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 2u);
  EXPECT_EQ(fleet.pool(1).counts().lent, 1u);
  GiveBack(fleet, 0, clients[0]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.pool(0).counts().lent, 2u);  // to its own waiter, never to the other core
  EXPECT_EQ(fleet.pool(0).counters().steals_asked + fleet.pool(1).counters().grants_received, 0u);
  for (uint32_t i = 0; i < 6; ++i) {
    if (clients[i].waiting()) fleet.pool(i % 2).Leave(clients[i]);
  }
}

TEST(Pool, SaysThatAnIsolatedCoreHasNoShare) {
  FakeFleet::Options options = With(2, 1);
  options.sharing.policy = Sharing::kIsolated;
  FakeFleet fleet(options);
  FakeClient client;
  fleet.pool(1).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(client.refusal->sqlstate, "53400");
}

TEST(Pool, ClosesAnIdleServerOfAnIsolatedCoreThatHoldsTheLastPlace) {
  FakeFleet::Options options = With(2, 2);
  options.sharing.policy = Sharing::kIsolated;
  options.storage_connections_max = 1;
  FakeFleet fleet(options);
  FakeClient here, there;
  Served(fleet, 0, here);
  GiveBack(fleet, 0, here);
  ASSERT_TRUE(fleet.Settle());
  Served(fleet, 1, there);
  EXPECT_EQ(fleet.core(0).closings, std::vector{CloseReason::kEvicted});
  GiveBack(fleet, 1, there);
}

TEST(Pool, TellsAnIsolatedCoreWhyItHasNoServerThoughOthersHave) {
  FakeFleet::Options options = With(2, 2);
  options.sharing.policy = Sharing::kIsolated;
  FakeFleet fleet(options);
  FakeClient here, there;
  Served(fleet, 0, here);
  fleet.pool(1).Checkout(there, there);
  fleet.core(1).Turn();
  fleet.pool(1).OnConnectFailed(*fleet.core(1).InState(State::kConnecting)[0],
                                {.sqlstate = "53300", .message = "too many clients"});
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(there.refusal);
  EXPECT_EQ(there.refusal->sqlstate, "53300");
  GiveBack(fleet, 0, here);
}

TEST(Pool, AsksForAPlaceThatAnotherPoolOfTheStorageHolds) {
  FakeFleet::Options options = With(1, 4);
  options.storage_connections_max = 1;
  FakeFleet fleet(options);
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.core(0).places_wanted, 1u);
  fleet.Advance(150ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.core(0).places_wanted, 2u);
  fleet.pool(0).Leave(client);
}

TEST(Pool, DrainsIdleServersNowAndLentOnesWhenReturned) {
  FakeFleet fleet(With(1, 2));
  FakeClient a, b, late;
  Served(fleet, 0, a);
  Served(fleet, 0, b);
  GiveBack(fleet, 0, a);
  fleet.core(0).Turn();
  fleet.pool(0).Drain();
  EXPECT_EQ(fleet.pool(0).counts().closing, 1u);
  GiveBack(fleet, 0, b);
  EXPECT_EQ(fleet.pool(0).counts().closing, 2u);
  fleet.pool(0).Checkout(late, late);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(late.refusal);
  EXPECT_EQ(late.refusal->sqlstate, "57P01");
}

}  // namespace
}  // namespace trireme
