// SPDX-License-Identifier: GPL-3.0-or-later
//
// Prepared statements in transaction mode, against a real PostgreSQL: they are the client's,
// whatever server it gets, and nobody else's.
#include <gtest/gtest.h>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

class Prepared : public OnShards {};
ON_1_2_4_SHARDS(Prepared);

std::string Use(const std::string& name) { return Bind("", name) + Execute("") + Sync(); }

std::string ValueOf(const std::vector<Message>& answer) {
  const Message* row = FindType(answer, 'D');
  return row != nullptr ? DataRowValues(*row).at(0) : "no row: " + Types(answer);
}
std::string SqlstateOf(const std::vector<Message>& answer) {
  const Message* error = FindType(answer, 'E');
  return error != nullptr ? ErrorField(*error, 'C') : "no error: " + Types(answer);
}

TEST_P(Prepared, AStatementFollowsItsClientFromServerToServer) {
  TriremeOptions options = Options();
  options.size = 3;
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 9; ++i) {
    clients.push_back(trireme.LoggedIn());
    const std::string sql = "SELECT " + std::to_string(i) + " + $1::int";
    EXPECT_EQ(Types(clients.back().Exchange(Parse("s", sql) + Sync())), "1Z");
  }
  for (int round = 0; round < 20; ++round) {
    for (RawClient& client : clients) {
      client.Send(Bind("", "s", {std::to_string(round)}) + Execute("") + Sync());
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(ValueOf(clients[i].ReadUntilReady()), std::to_string(i + round));
    }
  }
}

TEST_P(Prepared, NamesBelongToTheirClient) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient first = trireme.LoggedIn(), second = trireme.LoggedIn();
  EXPECT_EQ(Types(first.Exchange(Parse("s", "SELECT 'first'") + Sync())), "1Z");
  EXPECT_EQ(SqlstateOf(second.Exchange(Use("s"))), "26000");
  EXPECT_EQ(Types(second.Exchange(Parse("s", "SELECT 'second'") + Sync())), "1Z");
  EXPECT_EQ(SqlstateOf(second.Exchange(Parse("s", "SELECT 3") + Sync())), "42P05");
  EXPECT_EQ(ValueOf(first.Exchange(Use("s"))), "first");
  EXPECT_EQ(ValueOf(second.Exchange(Use("s"))), "second");
  EXPECT_EQ(Types(first.Exchange(CloseStatement("s") + Sync())), "3Z");
  EXPECT_EQ(SqlstateOf(first.Exchange(Use("s"))), "26000");
  EXPECT_EQ(ValueOf(second.Exchange(Use("s"))), "second");
}

TEST_P(Prepared, MoreStatementsThanAServerKeeps) {
  TriremeOptions options = Options();
  options.size = 2;
  options.pool = {{"prepared_statements_max", 3}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 10; ++i) {
    const std::string number = std::to_string(i);
    EXPECT_EQ(Types(client.Exchange(Parse("s" + number, "SELECT " + number) + Sync())), "1Z");
  }
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string number = std::to_string(i);
      EXPECT_EQ(ValueOf(client.Exchange(Use("s" + number))), number);
    }
  }
  EXPECT_LE(std::stoi(client.Value("SELECT count(*) FROM pg_prepared_statements")), 3);
}

TEST_P(Prepared, AChangedTableIsNotSeenByWhoPreparedAfterwards) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient before = trireme.LoggedIn();
  before.Ask(
      "DROP TABLE IF EXISTS stale; CREATE TABLE stale (a int); INSERT INTO stale VALUES (1)");
  EXPECT_EQ(Types(before.Exchange(Parse("s", "SELECT * FROM stale") + Sync())), "1Z");
  EXPECT_EQ(ValueOf(before.Exchange(Use("s"))), "1");
  before.Ask("ALTER TABLE stale ADD COLUMN b int DEFAULT 2");
  RawClient after = trireme.LoggedIn();
  EXPECT_EQ(Types(after.Exchange(Parse("s", "SELECT * FROM stale") + Sync())), "1Z");
  EXPECT_EQ(Types(after.Exchange(Bind("", "s") + DescribePortal("") + Execute("") + Sync())),
            "2TDCZ");
  EXPECT_EQ(Types(after.Exchange(Use("s"))), "2DCZ");
}

TEST_P(Prepared, WhatIsLostOnTheServerIsMadeAgain) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  EXPECT_EQ(Types(client.Exchange(Parse("s", "SELECT 7") + Sync())), "1Z");
  // Within a function no tag tells of it.
  other.Ask("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
  EXPECT_EQ(ValueOf(client.Exchange(Use("s"))), "7");
  other.Ask("DISCARD ALL");
  EXPECT_EQ(ValueOf(client.Exchange(Use("s"))), "7");
  client.Ask("DEALLOCATE ALL");
  EXPECT_EQ(SqlstateOf(client.Exchange(Use("s"))), "26000");
}

TEST_P(Prepared, AnUnnamedStatementOutlivesItsTransaction) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  EXPECT_EQ(Types(client.Exchange(Parse("", "SELECT 'mine'") + DescribeStatement("") + Sync())),
            "1tTZ");
  EXPECT_EQ(ValueOf(other.Exchange(Parse("", "SELECT 'other'") + Use(""))), "other");
  EXPECT_EQ(ValueOf(client.Exchange(Use(""))), "mine");
  client.Ask("SELECT 1");  // destroys it
  EXPECT_EQ(SqlstateOf(client.Exchange(Use(""))), "26000");
}

TEST_P(Prepared, PlansOfUnnamedStatementsAreKeptWhereThatIsWanted) {
  TriremeOptions options = Options();
  options.size = 1;
  options.pool = {{"plan_cache", true}, {"prepared_statements_max", 2}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(), other = trireme.LoggedIn();
  for (int round = 0; round < 3; ++round) {
    for (RawClient* each : {&client, &other}) {
      EXPECT_EQ(Types(each->Exchange(Parse("", "SELECT coalesce($1, 'none')") +
                                     DescribeStatement("") + Sync())),
                "1tTZ");
      EXPECT_EQ(ValueOf(each->Exchange(Parse("", "SELECT 'constant'") + Use(""))), "constant");
    }
  }
  EXPECT_EQ(client.Value("SELECT count(*) FROM pg_prepared_statements"), "1");
  EXPECT_EQ(SqlstateOf(client.Exchange(Parse("", "SELEKT $1") + Sync())), "42601");
  EXPECT_EQ(SqlstateOf(client.Exchange(Use(""))), "26000");
  for (const char* text : {"SELECT $1 + 1", "SELECT $1 + 2", "SELECT $1 + 3"}) {
    EXPECT_EQ(Types(client.Exchange(Parse("", text) + Sync())), "1Z");
  }
  EXPECT_EQ(client.Value("SELECT count(*) FROM pg_prepared_statements"), "2");
}

TEST_P(Prepared, AFailedPipelineLeavesNothingPrepared) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  EXPECT_EQ(SqlstateOf(client.Exchange(Parse("bad", "SELEKT") + Parse("s", "SELECT 1") + Sync())),
            "42601");
  EXPECT_EQ(SqlstateOf(client.Exchange(Use("s"))), "26000");
  EXPECT_EQ(SqlstateOf(client.Exchange(Use("bad"))), "26000");
  EXPECT_EQ(Types(client.Exchange(Parse("bad", "SELECT 2") + Use("bad"))), "12DCZ");
}

TEST_P(Prepared, RefusedWhereThePoolKeepsNone) {
  TriremeOptions options = Options();
  options.pool = {{"prepared_statements_max", 0}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  EXPECT_EQ(SqlstateOf(client.Exchange(Parse("s", "SELECT 1") + Sync())), "0A000");
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

}  // namespace
}  // namespace trireme::e2e
