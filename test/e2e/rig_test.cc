// SPDX-License-Identifier: GPL-3.0-or-later
//
// The rig against PostgreSQL itself: when these fail, no other end-to-end failure means anything.
#include <gtest/gtest.h>

#include "rig/fake_server.h"
#include "rig/postgres.h"
#include "rig/raw_client.h"
#include "rig/scram_math.h"

namespace trireme::e2e {
namespace {

RawClient DirectClient() {
  RawClient client(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
  client.Login({.user = "app_trust"});
  return client;
}

TEST(Rig, RawClientTalksToPostgres) {
  RawClient client = DirectClient();
  EXPECT_EQ(client.Value("SELECT 40 + 2"), "42");
  EXPECT_EQ(client.cancel_key().size(), 4u);
  EXPECT_EQ(client.parameters().at("server_encoding"), "UTF8");
}

TEST(Rig, RawClientTalksByteByByte) {
  RawClient client = DirectClient();
  client.SendByteByByte(Parse("", "SELECT $1::text") + Bind("", "", {"x"}) + DescribePortal("") +
                        Execute("") + Sync());
  EXPECT_EQ(Types(client.ReadUntilReady()), "12TDCZ");
}

TEST(Rig, RawClientSeesTheErrorOfAWrongLogin) {
  RawClient client(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
  const std::vector<Message> answer = client.TryLogin({.user = "app_trust", .database = "nowhere"});
  EXPECT_EQ(Types(answer), "RE");
  EXPECT_EQ(ErrorField(answer.back(), 'C'), "3D000");
}

class PostgresRole : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Rig, PostgresRole,
                         ::testing::Values("app", "app_trust", "app_password", "app_md5",
                                           "app_scram", "postgres"));

TEST_P(PostgresRole, LogsIn) {
  Connection connection(Postgres::Shared().As(GetParam()));
  EXPECT_EQ(connection.Value("SELECT current_user"), GetParam());
}

TEST(Rig, PostgresRefusesAWrongPassword) {
  Target target = Postgres::Shared().As("app");
  target.password = "wrong";
  EXPECT_NE(RefusalOf(target).find("password authentication failed"), std::string::npos);
}

TEST(Rig, PostgresComesBackAfterARestart) {
  Postgres& postgres = Postgres::Shared();
  postgres.Stop(SIGQUIT);
  EXPECT_NE(RefusalOf(postgres.As("app")), "");
  postgres.Start();
  EXPECT_EQ(postgres.Value("SELECT 1"), "1");
}

TEST(Rig, KnowsTheScramVectorOfRfc7677) {
  const std::string salt("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", 16);
  const ScramKeys keys = DeriveScramKeys("pencil", salt, 4096);
  const std::string text =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,"
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  EXPECT_EQ(Base64(HmacSha256(keys.server_key, text)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Rig, FakeServerDemandsEveryKindOfPassword) {
  FakeServer server([](FakeSession& session) {
    const std::string kind = session.startup().at("database");
    if (kind == "cleartext") session.DemandCleartext("secret-app");
    if (kind == "md5") session.DemandMd5("app", "secret-app", "salt");
    if (kind == "scram") session.DemandScram({});
    session.FinishLogin();
    session.EchoQueries();
  });
  for (const char* kind : {"cleartext", "md5", "scram"}) {
    Target target{.port = server.port(), .database = kind};
    EXPECT_EQ(Connection(target).Value("hello"), "hello") << kind;
    target.password = "wrong";
    EXPECT_NE(RefusalOf(target), "") << kind;
  }
}

TEST(Rig, FakeServerMaySpeakByteByByte) {
  FakeServer server([](FakeSession& session) {
    session.SendByteByByte(AuthenticationOk() + BackendKeyData(1, "fake") + ReadyForQuery());
    session.ReadQuery();
    session.SendByteByByte(RowDescription({"c"}) + DataRow({"v"}) + CommandComplete("SELECT 1") +
                           ReadyForQuery());
    session.Read();
  });
  EXPECT_EQ(Connection({.port = server.port()}).Value("anything"), "v");
}

TEST(Rig, FakeServerCountsCancels) {
  FakeServer server([](FakeSession& session) {
    session.Accept();
    session.EchoQueries();
  });
  Connection connection({.port = server.port()});
  EXPECT_TRUE(connection.Cancel());
  EXPECT_TRUE(Eventually([&] { return server.cancels() == 1; }));
}

TEST(Rig, ReadsWhatAProcessUses) {
  EXPECT_GT(ResidentKiB(getpid()), 1000u);
  EXPECT_GE(PeakResidentKiB(getpid()), 1000u);
  EXPECT_GE(CpuTime(getpid()), milliseconds(0));
  EXPECT_GT(OpenFiles(getpid()), 3u);
}

}  // namespace
}  // namespace trireme::e2e
