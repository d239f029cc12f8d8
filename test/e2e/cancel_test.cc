// SPDX-License-Identifier: GPL-3.0-or-later
//
// CancelRequest arrives on a connection of its own, on whatever core the kernel picks, and must
// reach exactly the query of the client whose key it carries.
#include <gtest/gtest.h>

#include <set>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

class Cancel : public OnShards {};
ON_1_2_4_SHARDS(Cancel);

void SendCancel(const Trireme& trireme, int64_t pid, const std::string& key) {
  RawClient canceller = trireme.Raw();
  canceller.Send(CancelRequest(pid, key));
  canceller.ReadUntilClosed();  // the daemon closes without a word
}

bool Sleeping(int clients) {
  return Postgres::Shared().Count("state = 'active' AND query LIKE '%pg_sleep%'") == clients;
}

TEST_P(Cancel, EndsARunningQueryWith57014) {
  Trireme trireme(Options());
  for (int i = 0; i < 8; ++i) {  // the canceller lands on a core at random
    Connection connection(trireme.As("app"));
    connection.Begin("SELECT pg_sleep(60)");
    ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
    ASSERT_TRUE(connection.Cancel());
    EXPECT_EQ(connection.Finish().sqlstate, "57014");
    EXPECT_EQ(connection.Value("SELECT 1"), "1");
  }
}

TEST_P(Cancel, EndsAQueryThatStillWaitsForAServer) {
  SKIP_AGAINST_PGBOUNCER("ignores it");
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  for (int i = 0; i < 4; ++i) {
    Connection waiter(trireme.As("app"));
    waiter.Begin("SELECT 1");
    ASSERT_TRUE(
        Throughout(milliseconds(100), [&] { return !waiter.FinishedWithin(milliseconds(0)); }));
    ASSERT_TRUE(waiter.Cancel());
    EXPECT_EQ(waiter.Finish().sqlstate, "57014");
    ASSERT_TRUE(waiter.FinishedWithin(milliseconds(0)));
  }
  EXPECT_TRUE(holder.Ask("COMMIT").ok);
}

TEST_P(Cancel, AQueuedClientThatCancelledIsServedNextTime) {
  SKIP_AGAINST_PGBOUNCER("ignores it");
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  Connection holder(trireme.As("app"));
  ASSERT_TRUE(holder.Ask("BEGIN").ok);
  Connection waiter(trireme.As("app"));
  waiter.Begin("SELECT 1");
  ASSERT_TRUE(Eventually([&] { return trireme.Show("POOLS").at(0).at("cl_waiting") == "1"; }));
  ASSERT_TRUE(waiter.Cancel());
  EXPECT_EQ(waiter.Finish().sqlstate, "57014");
  EXPECT_TRUE(holder.Ask("COMMIT").ok);
  EXPECT_EQ(waiter.Value("SELECT 2"), "2");
}

TEST_P(Cancel, HitsOnlyTheClientWhoseKeyItCarries) {
  Trireme trireme(Options());
  Connection victim(trireme.As("app"));
  Connection bystander(trireme.As("app"));
  victim.Begin("SELECT pg_sleep(60)");
  bystander.Begin("SELECT pg_sleep(2)");
  ASSERT_TRUE(Eventually([] { return Sleeping(2); }));
  ASSERT_TRUE(victim.Cancel());
  EXPECT_EQ(victim.Finish().sqlstate, "57014");
  EXPECT_TRUE(bystander.Finish().ok);
}

TEST_P(Cancel, OfAnIdleClientDoesNotHitWhoUsesItsFormerServer) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  Connection idle(trireme.As("app"));
  EXPECT_EQ(idle.Value("SELECT 1"), "1");
  Connection busy(trireme.As("app"));
  busy.Begin("SELECT pg_sleep(1)");
  ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(idle.Cancel());
  EXPECT_TRUE(busy.Finish().ok);
}

TEST_P(Cancel, WithAWrongKeyDoesNothing) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  client.Send(Query("SELECT pg_sleep(1)"));
  ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
  std::string key = client.cancel_key();
  key[0] = static_cast<char>(key[0] ^ 1);
  SendCancel(trireme, client.backend_pid(), key);
  SendCancel(trireme, client.backend_pid() ^ 1, client.cancel_key());
  SendCancel(trireme, client.backend_pid(), client.cancel_key() + "more");
  SendCancel(trireme, client.backend_pid(), "");
  EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
}

TEST_P(Cancel, WithTheKeyOfAClientThatLeftDoesNothing) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  int64_t pid = 0;
  std::string key;
  {
    RawClient gone = trireme.LoggedIn();
    gone.Value("SELECT 1");
    pid = gone.backend_pid();
    key = gone.cancel_key();
    gone.Send(Terminate());
    gone.ReadUntilClosed();
  }
  RawClient successor = trireme.LoggedIn();
  successor.Send(Query("SELECT pg_sleep(1)"));
  ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
  SendCancel(trireme, pid, key);
  EXPECT_EQ(Types(successor.ReadUntilReady()), "TDCZ");
}

TEST_P(Cancel, WorksWithALongKey) {
  SKIP_AGAINST_PGBOUNCER("1.18 does not know 3.2");
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn({.version = kProtocol32});
  client.Send(Query("SELECT pg_sleep(60)"));
  ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
  SendCancel(trireme, client.backend_pid(), client.cancel_key());
  const std::vector<Message> answer = client.ReadUntilReady();
  ASSERT_NE(FindType(answer, 'E'), nullptr) << Types(answer);
  EXPECT_EQ(ErrorField(*FindType(answer, 'E'), 'C'), "57014");
}

TEST_P(Cancel, OfAQueryInATransactionLeavesTheTransactionToItsClient) {
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  connection.Begin("SELECT pg_sleep(60)");
  ASSERT_TRUE(Eventually([] { return Sleeping(1); }));
  ASSERT_TRUE(connection.Cancel());
  EXPECT_EQ(connection.Finish().sqlstate, "57014");
  EXPECT_EQ(connection.Ask("SELECT 1").sqlstate, "25P02");
  EXPECT_EQ(connection.Ask("ROLLBACK").tag, "ROLLBACK");
}

TEST(CancelKey, DiffersFromClientToClient) {
  Trireme trireme;
  std::set<std::string> keys;
  for (int i = 0; i < 50; ++i) {
    RawClient client = trireme.LoggedIn();
    keys.insert(Be32(client.backend_pid()) + client.cancel_key());
  }
  EXPECT_EQ(keys.size(), 50u);
}

TEST(CancelKey, IsShownNeitherInLogNorConsole) {
  Trireme trireme({.patch = {{"log", {{"level", "debug"}}}}});
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  const int64_t key = ReadBe32(client.cancel_key());
  std::string shown = trireme.Log();
  for (const char* view : {"CLIENTS", "SERVERS"}) {
    for (const auto& row : trireme.Show(view)) {
      for (const auto& [column, value] : row) shown += value + "\n";
    }
  }
  char hex[16];
  std::snprintf(hex, sizeof hex, "%08lx", static_cast<unsigned long>(key));
  EXPECT_EQ(shown.find(std::to_string(key)), std::string::npos);
  EXPECT_EQ(shown.find(hex), std::string::npos);
}

}  // namespace
}  // namespace trireme::e2e
