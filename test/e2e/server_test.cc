// SPDX-License-Identifier: GPL-3.0-or-later
//
// When PostgreSQL goes away: idle, lent, in login, in the middle of a word. The client it concerns
// gets the server's own error, once; nobody else notices.
#include <gtest/gtest.h>

#include <thread>

#include "rig/fake_server.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

// Ends the only backend of user app, and waits until it is gone.
void EndBackend() {
  Postgres& postgres = Postgres::Shared();
  const std::string backend =
      postgres.Value("SELECT min(pid) FROM pg_stat_activity WHERE usename = 'app'");
  postgres.Value("SELECT pg_terminate_backend(" + backend + ")");
  Eventually([&] { return postgres.Count("pid = " + backend) == 0; });
}

int Errors(const std::vector<Message>& messages) {
  return static_cast<int>(
      std::count_if(messages.begin(), messages.end(),
                    [](const Message& message) { return message.type == 'E'; }));
}

class ServerDies : public OnShards {
 protected:
  TriremeOptions With(const std::string& mode) const {
    return {.cores = GetParam(), .mode = mode, .size = 1};
  }
};
ON_1_2_4_SHARDS(ServerDies);

TEST_P(ServerDies, IdleAndNobodyNotices) {
  Trireme trireme(With("transaction"));
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  EndBackend();
  EXPECT_EQ(client.Value("SELECT 2"), "2");
}

TEST_P(ServerDies, InAQueryAndTheClientGetsTheServersErrorOnce) {
  Trireme trireme(With("transaction"));
  RawClient client = trireme.LoggedIn();
  client.Send(Query("SELECT pg_sleep(60)"));
  ASSERT_TRUE(
      Eventually([] { return Postgres::Shared().Count("query LIKE '%pg_sleep(60)%'") == 1; }));
  EndBackend();
  const std::vector<Message> answer = client.ReadUntilClosed();
  EXPECT_EQ(Errors(answer), 1) << Types(answer);
  ASSERT_NE(FindType(answer, 'E'), nullptr);
  EXPECT_EQ(ErrorField(*FindType(answer, 'E'), 'C'), "57P01");
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST_P(ServerDies, InATransactionAndTheClientGetsTheServersErrorOnce) {
  Trireme trireme(With("transaction"));
  RawClient client = trireme.LoggedIn();
  client.Ask("BEGIN");
  EndBackend();
  client.socket().TrySend(Query("SELECT 1"));
  const std::vector<Message> answer = client.ReadUntilClosed();
  EXPECT_EQ(Errors(answer), 1) << Types(answer);
  ASSERT_NE(FindType(answer, 'E'), nullptr);
  EXPECT_EQ(ErrorField(*FindType(answer, 'E'), 'C'), "57P01");
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST_P(ServerDies, InASessionAndTheClientGetsTheServersErrorOnce) {
  Trireme trireme(With("session"));
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  EndBackend();
  const std::vector<Message> answer = client.ReadUntilClosed();
  EXPECT_EQ(Errors(answer), 1) << Types(answer);
  ASSERT_NE(FindType(answer, 'E'), nullptr);
  EXPECT_EQ(ErrorField(*FindType(answer, 'E'), 'C'), "57P01");
}

TEST_P(ServerDies, InACopyAndTheClientGetsTheServersErrorOnce) {
  Trireme trireme(With("transaction"));
  RawClient client = trireme.LoggedIn();
  client.Ask("CREATE TABLE IF NOT EXISTS dying (n int)");
  client.Send(Query("COPY dying FROM STDIN"));
  EXPECT_EQ(client.Read().type, 'G');
  EndBackend();
  client.socket().TrySend(CopyData("1\n"));
  const std::vector<Message> answer = client.ReadUntilClosed();
  EXPECT_EQ(Errors(answer), 1) << Types(answer);
  trireme.LoggedIn().Ask("DROP TABLE dying");
}

TEST_P(ServerDies, AndWhoWaitsForItGetsANewOne) {
  Trireme trireme(With("transaction"));
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  std::vector<RawClient> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(trireme.LoggedIn());
    waiters.back().Send(Query("SELECT 'served'"));
  }
  EndBackend();
  for (RawClient& waiter : waiters) EXPECT_EQ(Types(waiter.ReadUntilReady()), "TDCZ");
}

TEST_P(ServerDies, AndClientsOfOtherServersGoOn) {
  TriremeOptions options = With("transaction");
  options.size = 4;
  Trireme trireme(options);
  RawClient victim = trireme.LoggedIn();
  victim.Ask("BEGIN");
  const std::string backend = victim.Value("SELECT pg_backend_pid()");
  std::vector<RawClient> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(trireme.LoggedIn());
    others.back().Ask("BEGIN");
  }
  Postgres::Shared().Value("SELECT pg_terminate_backend(" + backend + ")");
  victim.ReadUntilClosed();
  for (RawClient& other : others) EXPECT_EQ(Types(other.Ask("COMMIT")), "CZ");
}

TEST_P(ServerDies, WithACrashOfPostgresAndEveryClientInAQueryIsTold) {
  TriremeOptions options = With("transaction");
  options.size = 4;
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(trireme.LoggedIn());
    clients.back().Send(Query("SELECT pg_sleep(60)"));
  }
  ASSERT_TRUE(
      Eventually([] { return Postgres::Shared().Count("query LIKE '%pg_sleep(60)%'") == 4; }));
  Postgres::Shared().Stop(SIGQUIT);
  for (RawClient& client : clients) EXPECT_EQ(Errors(client.ReadUntilClosed()), 1);
  Postgres::Shared().Start();
}

// ---- in login

struct Refusal {
  const char* name;
  LoginRequest request;
  const char* sqlstate;
};
class ServerRefuses : public ::testing::TestWithParam<Refusal> {};
INSTANTIATE_TEST_SUITE_P(
    Login, ServerRefuses,
    ::testing::Values(Refusal{"UnknownDatabase", {.database = "nowhere"}, "3D000"},
                      Refusal{"Rejected", {.user = "app_reject"}, "28000"}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ServerRefuses, AndTheClientSeesItsSqlstate) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme;
  const Message error = FirstErrorOf(trireme.Raw(), GetParam().request);
  EXPECT_EQ(ErrorField(error, 'C'), GetParam().sqlstate) << Describe(error);
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST_P(ServerRefuses, AndEveryWaiterIsTold) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme;
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(ErrorField(FirstErrorOf(trireme.Raw(), GetParam().request), 'C'),
              GetParam().sqlstate);
}

TEST(ServerLogin, ARoleWithOneConnectionIsUsedWithOne) {
  Trireme trireme({.size = 5});
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(trireme.LoggedIn({.user = "app_one"}));
    EXPECT_EQ(clients.back().Value("SELECT 1"), "1");
  }
}

TEST(ServerLogin, NobodyListeningIsAConnectionError) {
  SKIP_AGAINST_PGBOUNCER("waits");
  Trireme trireme({.pool = {{"wait_timeout", "2s"}}, .server_port = FreeTcpPort()});
  const Message error = FirstErrorOf(trireme.Raw());
  EXPECT_EQ(ErrorField(error, 'C').substr(0, 2), "08") << Describe(error);
}

struct Misbehaviour {
  const char* name;
  FakeServer::Script script;
};
class ServerMisbehaves : public ::testing::TestWithParam<Misbehaviour> {};
INSTANTIATE_TEST_SUITE_P(
    Login, ServerMisbehaves,
    ::testing::Values(
        Misbehaviour{"ClosesAtOnce", [](FakeSession&) {}},
        Misbehaviour{"ResetsAtOnce", [](FakeSession& session) { session.socket().Reset(); }},
        Misbehaviour{"ClosesInAHeader", [](FakeSession& session) { session.Send("R\0\0"); }},
        Misbehaviour{"ClosesAfterTheDemand",
                     [](FakeSession& session) { session.Send(Authentication(3)); }},
        Misbehaviour{"ClosesAfterOk",
                     [](FakeSession& session) { session.Send(AuthenticationOk()); }},
        Misbehaviour{"SpeaksHttp",
                     [](FakeSession& session) {
                       session.Send("HTTP/1.1 400 Bad Request\r\n\r\nNo, thanks.\r\n");
                     }},
        Misbehaviour{"SendsZeros",
                     [](FakeSession& session) { session.Send(std::string(1000, '\0')); }},
        Misbehaviour{"SendsAHugeLength",
                     [](FakeSession& session) { session.Send("R\x7f\xff\xff\xff"); }},
        Misbehaviour{"AnswersQueriesNobodyAsked",
                     [](FakeSession& session) {
                       session.Send(AuthenticationOk() + DataRow({"x"}) + CommandComplete("X") +
                                    ReadyForQuery());
                     }},
        Misbehaviour{
            "SendsARoundTripTooFew",
            [](FakeSession& session) { session.Send(Authentication(11, "r=x,s=eA==,i=1")); }},
        Misbehaviour{"SendsMalformedScram",
                     [](FakeSession& session) {
                       session.Send(Authentication(10, CString("SCRAM-SHA-256") + '\0'));
                       session.Read();
                       session.Send(Authentication(11, "nonsense"));
                       session.Read();
                     }}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ServerMisbehaves, InLoginAndTheClientIsTold) {
  SKIP_AGAINST_PGBOUNCER("waits");
  FakeServer server(GetParam().script);
  Trireme trireme({.pool = {{"wait_timeout", "2s"}}, .server_port = server.port()});
  EXPECT_NE(ErrorField(FirstErrorOf(trireme.Raw()), 'C'), "");
}

struct DyingAnswer {
  const char* name;
  std::string bytes;
};
class ServerFallsSilent : public ::testing::TestWithParam<DyingAnswer> {};
INSTANTIATE_TEST_SUITE_P(
    Query, ServerFallsSilent,
    ::testing::Values(DyingAnswer{"BeforeTheAnswer", ""}, DyingAnswer{"InAHeader", "T\0"},
                      DyingAnswer{"InARow",
                                  RowDescription({"c"}) + DataRow({"value"}).substr(0, 9)},
                      DyingAnswer{"BetweenRows", RowDescription({"c"}) + DataRow({"value"})},
                      DyingAnswer{"BeforeReadyForQuery", CommandComplete("SELECT 0")}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ServerFallsSilent, AndTheClientIsToldAtMostOnceThenLetGo) {
  FakeServer server([](FakeSession& session) {
    session.Accept();
    session.ReadQuery();
    session.Send(GetParam().bytes);
  });
  Trireme trireme({.server_port = server.port()});
  RawClient client = trireme.LoggedIn();
  client.Send(Query("SELECT 1"));
  EXPECT_LE(Errors(client.ReadUntilClosed()), 1);
}

TEST(ServerLies, AnAnswerNobodyAskedForEndsTheServerNotTheDaemon) {
  FakeServer server([](FakeSession& session) {
    session.Accept();
    session.Send(session.number() == 0 ? ReadyForQuery() + DataRow({"stray"}) : "");
    session.EchoQueries();
  });
  Trireme trireme({.size = 1, .server_port = server.port()});
  EXPECT_TRUE(Eventually([&] {
    try {
      return trireme.LoggedIn().Value("hello") == "hello";
    } catch (const RigError&) {
      return false;
    }
  }));
}

TEST(ServerLies, AnImpossibleLengthInAnAnswerEndsTheServerNotTheDaemon) {
  FakeServer server([](FakeSession& session) {
    session.Accept();
    if (session.number() == 0) {
      session.ReadQuery();
      session.Send("D" + Be32(2));
    }
    session.EchoQueries();
  });
  Trireme trireme({.size = 1, .server_port = server.port()});
  RawClient client = trireme.LoggedIn();
  client.Send(Query("SELECT 1"));
  client.ReadUntilClosed();
  EXPECT_EQ(trireme.LoggedIn().Value("hello"), "hello");
}

}  // namespace
}  // namespace trireme::e2e
