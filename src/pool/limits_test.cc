// SPDX-License-Identifier: GPL-3.0-or-later
//
// How many servers a pool has when it is asked for more, or less, than its size: kept warm, in
// reserve, and how long who waits is patient. On fake servers and fake mail.
#include <gtest/gtest.h>

#include "pool/fake_fleet_steps.h"

namespace trireme {
namespace {

using State = PooledServer::State;

FakeFleet::Options Warm(uint32_t cores, uint32_t size, uint32_t min_size) {
  FakeFleet::Options options = With(cores, size);
  options.settings.pool.min_size = min_size;
  return options;
}

FakeFleet::Options Reserve(uint32_t cores, uint32_t size, uint32_t reserve_size) {
  FakeFleet::Options options = With(cores, size);
  options.settings.pool.reserve_size = reserve_size;
  options.settings.pool.reserve_timeout = 5s;
  options.settings.pool.wait_timeout = 60s;
  return options;
}

// --- min_size ------------------------------------------------------------------------------------

TEST(WarmServers, AreOpenedWithoutAClientAndOnceForAllCores) {
  FakeFleet fleet(Warm(3, 8, 5));
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 5u);
  EXPECT_EQ(fleet.board->alive(), 5u);
}

TEST(WarmServers, AreNotClosedForBeingIdle) {
  FakeFleet::Options options = Warm(2, 8, 2);
  options.settings.pool.idle_timeout = 10s;
  options.settings.pool.server_lifetime = 0s;
  options.settings.pool.wait_timeout = 0s;
  FakeFleet fleet(options);
  ASSERT_TRUE(fleet.Settle());
  std::vector<FakeClient> clients(6);
  for (uint32_t i = 0; i < 6; ++i) fleet.pool(i % 2).Checkout(clients[i], clients[i]);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 6u);
  for (uint32_t i = 0; i < 6; ++i) GiveBack(fleet, i % 2, clients[i]);
  ASSERT_TRUE(fleet.Settle());
  for (int i = 0; i < 5; ++i) {
    fleet.Advance(11s);
    ASSERT_TRUE(fleet.Settle());
  }
  EXPECT_EQ(fleet.board->size().open(), 2u);
  EXPECT_EQ(fleet.timers.count(), 0u);  // they rest without a tick
}

TEST(WarmServers, AreReplacedWhenTheirLifetimeIsOver) {
  FakeFleet::Options options = Warm(1, 4, 2);
  options.settings.pool.idle_timeout = 0s;
  options.settings.pool.server_lifetime = 10s;
  options.settings.pool.server_lifetime_jitter = 0s;
  FakeFleet fleet(options);
  ASSERT_TRUE(fleet.Settle());
  const uint64_t old = fleet.core(0).servers[0]->id;
  fleet.Advance(11s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->alive(), 2u);
  EXPECT_NE(fleet.core(0).servers[0]->id, old);
}

TEST(WarmServers, AreReplacedWhenTheyDie) {
  FakeFleet fleet(Warm(2, 4, 1));
  ASSERT_TRUE(fleet.Settle());
  for (uint32_t core = 0; core < 2; ++core) {
    for (FakeServer* server : fleet.core(core).InState(State::kIdle)) {
      fleet.pool(core).OnBroken(*server, CloseReason::kServerEnded);
    }
  }
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->alive(), 1u);
}

TEST(WarmServers, ServeTheFirstClientAtOnce) {
  FakeFleet fleet(Warm(1, 4, 1));
  ASSERT_TRUE(fleet.Settle());
  FakeClient client;
  fleet.pool(0).Checkout(client, client);
  EXPECT_NE(client.server, nullptr);
  GiveBack(fleet, 0, client);
}

TEST(WarmServers, GiveWayToWhoWaitsUnderASharedCap) {
  FakeFleet::Options options = Warm(1, 4, 2);
  options.storage_connections_max = 2;
  FakeFleet fleet(options);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_TRUE(fleet.pool(0).Evict());  // for another pool
  fleet.core(0).others_want = true;
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(2s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
  fleet.core(0).others_want = false;
  fleet.Advance(2s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 2u);
}

TEST(WarmServers, AreTriedAgainAfterAPause) {
  FakeFleet fleet(Warm(1, 4, 1));
  fleet.core(0).Turn();
  ASSERT_EQ(fleet.core(0).InState(State::kConnecting).size(), 1u);
  fleet.pool(0).OnConnectFailed(*fleet.core(0).InState(State::kConnecting)[0],
                                {.sqlstate = "08001", .message = "no"});
  fleet.pool(0).OnClosed(*fleet.core(0).InState(State::kClosing)[0]);
  fleet.core(0).Turn();
  EXPECT_EQ(fleet.core(0).InState(State::kConnecting).size(), 0u);
  fleet.Advance(200ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->alive(), 1u);
}

TEST(WarmServers, WaitForTheKeysOfAClientWhereThereIsNoPassword) {
  FakeFleet::Options options = Warm(1, 4, 1);
  options.settings.secret.kind = Secret::Kind::kScram;
  FakeFleet fleet(options);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 0u);
  fleet.pool(0).SetPassThrough({});
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
}

// --- the reserve ---------------------------------------------------------------------------------

TEST(Reserve, IsForWhoHasWaitedLong) {
  FakeFleet fleet(Reserve(2, 1, 1));
  FakeClient holder, first, second;
  Served(fleet, 0, holder);
  fleet.pool(1).Checkout(first, first);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(4s);
  fleet.pool(1).Checkout(second, second);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(first.server, nullptr);
  fleet.Advance(1100ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(first.server, nullptr);
  EXPECT_EQ(second.server, nullptr);
  EXPECT_EQ(fleet.board->size().open(), 2u);
  fleet.Advance(6s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(second.server, nullptr);  // the reserve is used up
  GiveBack(fleet, 1, first);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(second.server, nullptr);
}

TEST(Reserve, OpensOneForEachWhoHasWaitedLong) {
  FakeFleet fleet(Reserve(1, 1, 5));
  FakeClient holder, a, b, late;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(a, a);
  fleet.pool(0).Checkout(b, b);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(4s);
  fleet.pool(0).Checkout(late, late);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(1100ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_NE(a.server, nullptr);
  EXPECT_NE(b.server, nullptr);
  EXPECT_EQ(late.server, nullptr);
  EXPECT_EQ(fleet.board->size().open(), 3u);
  fleet.pool(0).Leave(late);
}

TEST(Reserve, IsGivenUpWhenTheRushIsOver) {
  FakeFleet fleet(Reserve(1, 1, 1));
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_EQ(fleet.board->size().open(), 2u);
  GiveBack(fleet, 0, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
}

TEST(Reserve, TakesNoOtherServerWithItWhenItGoes) {
  FakeFleet fleet(Reserve(1, 2, 1));
  FakeClient a, b, c;
  Served(fleet, 0, a);
  Served(fleet, 0, b);
  fleet.pool(0).Checkout(c, c);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_EQ(fleet.board->size().open(), 3u);
  for (FakeClient* client : {&a, &b, &c}) GiveBack(fleet, 0, *client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);  // all have been idle for as long
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 2u);
}

// What is closing still has its place: without counting it off, each core would close its own.
TEST(Reserve, TakesNoServerOfAnotherCoreWithItWhenItGoes) {
  FakeFleet fleet(Reserve(2, 1, 1));
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(1).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  ASSERT_EQ(fleet.board->size().open(), 2u);
  GiveBack(fleet, 0, holder);
  GiveBack(fleet, 1, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
}

TEST(Reserve, LeavesTheRestToTheIdleTimeout) {
  FakeFleet::Options options = Reserve(2, 1, 1);
  options.settings.pool.idle_timeout = 60s;
  options.settings.pool.server_lifetime = 0s;
  FakeFleet fleet(options);
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(1).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  GiveBack(fleet, 0, holder);
  GiveBack(fleet, 1, client);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(5100ms);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 1u);
  fleet.Advance(56s);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.board->size().open(), 0u);
}

TEST(Reserve, IsNotSetATimerForWhereThereIsNone) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.wait_timeout = 0s;
  options.settings.pool.idle_timeout = 0s;
  options.settings.pool.server_lifetime = 0s;
  FakeFleet fleet(options);
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(fleet.timers.count(), 0u);
  fleet.pool(0).Leave(client);
}

// --- patience ------------------------------------------------------------------------------------

TEST(Patience, IsEachWaitersOwn) {
  FakeFleet::Options options = With(1, 1);
  options.settings.pool.wait_timeout = 10s;
  FakeFleet fleet(options);
  FakeClient holder, patient, hasty, endless;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(patient, patient);
  fleet.pool(0).Checkout(endless, endless, 0s);
  fleet.pool(0).Checkout(hasty, hasty, 2s);
  ASSERT_TRUE(fleet.Settle());
  fleet.Advance(2100ms);
  ASSERT_TRUE(hasty.refusal);
  EXPECT_NE(hasty.refusal->message.find("within 2 s"), std::string::npos);
  EXPECT_FALSE(patient.refusal);
  fleet.Advance(8s);
  EXPECT_TRUE(patient.refusal);
  fleet.Advance(1000s);
  EXPECT_FALSE(endless.refusal);
  fleet.pool(0).Leave(endless);
}

TEST(Patience, NamesTheCapThatIsFull) {
  FakeFleet::Options options = With(1, 4);
  options.settings.pool.wait_timeout = 1s;
  options.settings.storage_user = "app";
  options.settings.limits.user_max = 1;
  FakeFleet fleet(options);
  FakeClient holder, client;
  Served(fleet, 0, holder);
  fleet.pool(0).Checkout(client, client);
  ASSERT_TRUE(fleet.Settle());
  EXPECT_EQ(
      fleet.pool(0).WaitNotice(client).detail,
      "It waits for at most 1 s (wait_timeout). User \"app\" has all 1 of its connections_max "
      "in use, over all pools.");
  fleet.Advance(1100ms);
  ASSERT_TRUE(client.refusal);
  EXPECT_EQ(client.refusal->detail,
            "User \"app\" has all 1 of its connections_max in use, over all pools.");
}

}  // namespace
}  // namespace trireme
