// SPDX-License-Identifier: GPL-3.0-or-later
//
// The first bytes of a connection: listeners, versions, requests before the startup packet,
// parameters, nonsense.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <mutex>

#include "rig/fake_server.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

// Everything the daemon says until it closes, as raw bytes.
std::string EverythingFrom(MessageStream& stream) {
  std::string all;
  while (const std::optional<std::string> byte = stream.ReadExactly(1)) all += *byte;
  return all;
}

bool LetIn(const std::string& bytes) { return bytes.find(AuthenticationOk()) != std::string::npos; }

// ---- versions

TEST(Startup, Protocol30GetsAKeyOfFourBytes) {
  Trireme trireme;
  EXPECT_EQ(trireme.LoggedIn().cancel_key().size(), 4u);
}

TEST(Startup, Protocol32GetsALongKey) {
  SKIP_AGAINST_PGBOUNCER("1.18 does not know 3.2");
  Trireme trireme;
  RawClient client = trireme.LoggedIn({.version = kProtocol32});
  EXPECT_GT(client.cancel_key().size(), 4u);
  EXPECT_LE(client.cancel_key().size(), 256u);
}

TEST(Startup, Protocol32NeedsNoNegotiation) {
  SKIP_AGAINST_PGBOUNCER("1.18 does not know 3.2");
  Trireme trireme;
  EXPECT_EQ(FindType(trireme.Raw().TryLogin({.version = kProtocol32}), 'v'), nullptr);
}

TEST(Startup, ANewerMinorVersionIsNegotiatedDownTo32) {
  SKIP_AGAINST_PGBOUNCER("1.18 does not know 3.2");
  Trireme trireme;
  RawClient client = trireme.Raw();
  const std::vector<Message> answer = client.TryLogin({.version = 196608 + 9});
  const Message* negotiate = FindType(answer, 'v');
  ASSERT_NE(negotiate, nullptr) << Types(answer);
  EXPECT_EQ(ReadBe32(negotiate->body), kProtocol32);
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST(Startup, AnUnknownProtocolExtensionIsNamedAndTheLoginGoesOn) {
  SKIP_AGAINST_PGBOUNCER("1.18 does not negotiate");
  Trireme trireme;
  RawClient client = trireme.Raw();
  const std::vector<Message> answer = client.TryLogin({.more = {{"_pq_.teleport", "on"}}});
  const Message* negotiate = FindType(answer, 'v');
  ASSERT_NE(negotiate, nullptr) << Types(answer);
  EXPECT_EQ(ReadBe32(negotiate->body), 196608);  // no more than was asked for
  EXPECT_EQ(ReadBe32(negotiate->body, 4), 1);
  EXPECT_EQ(negotiate->body.substr(8), CString("_pq_.teleport"));
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

class MajorVersion : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Startup, MajorVersion, ::testing::Values(1, 2, 4),
                         ::testing::PrintToStringParamName());

TEST_P(MajorVersion, IsRefused) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme;
  const std::vector<Message> answer =
      trireme.Raw().TryLogin({.version = int64_t{GetParam()} << 16});
  EXPECT_EQ(Types(answer), "E");
  EXPECT_EQ(ErrorField(answer.at(0), 'C'), "0A000");
}

// ---- requests before the startup packet

TEST(Startup, SslRequestIsAnsweredWithNoAndTheLoginGoesOn) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(SslRequest());
  EXPECT_EQ(client.ReadExactly(1), "N");
  client.Login();
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST(Startup, GssEncRequestThenSslRequestThenALogin) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(GssEncRequest());
  EXPECT_EQ(client.ReadExactly(1), "N");
  client.Send(SslRequest());
  EXPECT_EQ(client.ReadExactly(1), "N");
  client.Login();
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST(Startup, BytesBehindAnSslRequestAreRefused) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(SslRequest() + StartupPacket({{"user", "app"}, {"database", "app"}}));
  EXPECT_FALSE(LetIn(EverythingFrom(client)));
}

TEST(Startup, BytesBehindAGssEncRequestAreRefused) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(GssEncRequest() + StartupPacket({{"user", "app"}, {"database", "app"}}));
  EXPECT_FALSE(LetIn(EverythingFrom(client)));
}

TEST(Startup, SslRequestByteByByteIsStillOneRequest) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.SendByteByByte(SslRequest());
  EXPECT_EQ(client.ReadExactly(1), "N");
}

// ---- nonsense

struct Nonsense {
  const char* name;
  std::string bytes;
};
class StartupNonsense : public ::testing::TestWithParam<Nonsense> {};
INSTANTIATE_TEST_SUITE_P(
    Startup, StartupNonsense,
    ::testing::Values(Nonsense{"Http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
                      Nonsense{"LengthZero", Be32(0) + Be32(kProtocol30)},
                      Nonsense{"LengthSeven", Be32(7) + std::string(3, '\0')},
                      Nonsense{"LengthOfTwoGigabytes", Be32(0x7fffffff) + Be32(kProtocol30)},
                      Nonsense{
                          "TwentyThousandBytes",
                          StartupPacket({{"user", "app"}, {"database", std::string(20000, 'x')}})},
                      Nonsense{"NoTerminator", Be32(18) + Be32(kProtocol30) + CString("user") +
                                                   CString("app") + "d"},
                      Nonsense{"NameWithoutValue", Be32(13) + Be32(kProtocol30) + CString("user")},
                      Nonsense{"CancelTooShort", Be32(12) + Be32(80877102) + Be32(1)},
                      Nonsense{"QueryBeforeStartup", Query("SELECT 1")}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(StartupNonsense, IsRefusedAndHarmsNobody) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(GetParam().bytes);
  client.socket().HalfClose();
  EXPECT_FALSE(LetIn(EverythingFrom(client)));
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST(Startup, AConnectionWithoutAByteIsForgotten) {
  Trireme trireme;
  for (int i = 0; i < 20; ++i) trireme.Raw().socket().Close();
  for (int i = 0; i < 20; ++i) trireme.Raw().socket().Reset();
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST(Startup, NoUserIsRefusedWith28000) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"database", "app"}}));
  EXPECT_EQ(ErrorField(client.Read(), 'C'), "28000");
}

// ---- parameters

TEST(Startup, NoDatabaseMeansTheOneNamedLikeTheUser) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"user", "app"}}));
  client.ReadUntilReady();
  EXPECT_EQ(client.Value("SELECT current_database()"), "app");
}

TEST(Startup, TheStartupPacketMayComeByteByByte) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.SendByteByByte(StartupPacket({{"user", "app"}, {"database", "app"}}));
  EXPECT_EQ(client.ReadUntilReady().back().body, "I");
}

TEST(Startup, TheFirstQueryMayComeWithTheStartupPacket) {
  Trireme trireme;
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"user", "app"}, {"database", "app"}}) + Query("SELECT 7"));
  client.ReadUntilReady();
  EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
}

TEST(Startup, TheParametersReportedAreTheServersOwn) {
  Trireme trireme;
  RawClient direct(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
  direct.Login({.user = "app_trust"});
  RawClient through = trireme.LoggedIn({.user = "app_trust"});
  EXPECT_EQ(through.parameters(), direct.parameters());
}

// What PostgreSQL reports, it reports in its own spelling: the welcome is compared whole.
TEST(Startup, WishesAreReportedAsPostgresSpellsThem) {
  SKIP_AGAINST_PGBOUNCER("reports them as they came");
  const std::vector<Parameters> wishes = {
      {{"client_encoding", "utf8"}},
      {{"client_encoding", "'utf-8'"}},
      {{"client_encoding", "UNICODE"}},
      {{"client_encoding", "iso-8859-15"}},
      {{"client_encoding", "windows-1252"}},
      {{"client_encoding", "sql_ascii"}},
      {{"datestyle", "iso"}},
      {{"DateStyle", "german"}},
      {{"DateStyle", "sql, european"}},
      {{"DateStyle", "mdy,postgres"}},
      {{"DateStyle", "default, ymd"}},
      {{"IntervalStyle", "ISO_8601"}},
      {{"intervalstyle", "Postgres_Verbose"}},
      {{"standard_conforming_strings", "TRUE"}},
      {{"standard_conforming_strings", "0"}},
      {{"default_transaction_read_only", "YE"}},
      {{"default_transaction_read_only", "n"}},
      {{"TimeZone", "utc"}},
      {{"timezone", "gmt"}},
      {{"TimeZone", "Europe/Berlin"}},
      {{"timezone", "asia/tokyo"}},
      {{"TimeZone", "<+03>-3"}},
      {{"search_path", "b,\"A b\""}},
      {{"search_path", " public , Pg_Catalog"}},
      {{"search_path", ""}},
      {{"work_mem", "4321"}},
      {{"my.own", "It's"}},
      {{"extra_float_digits", "+2"}},
      {{"role", "app_trust"}},
      {{"application_name", "caf\xc3\xa9\t1"}},
      {{"application_name", std::string(200, 'n')}},
      {{"application_name", std::string(62, 'n') + "\xc3\xa9"}},
      {{"options", "-c DateStyle=dmy --client-encoding=latin-1"}},
  };
  Trireme trireme({.size = 1});
  for (const Parameters& wish : wishes) {
    const std::string text = wish[0].first + " = " + wish[0].second;
    RawClient direct(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
    direct.Login({.user = "app_trust", .more = wish});
    const std::string sql = "SHOW " + (wish[0].first == "options" ? "DateStyle" : wish[0].first);
    for (int login = 0; login < 2; ++login) {  // a server is asked for the first one only
      RawClient through = trireme.LoggedIn({.user = "app_trust", .more = wish});
      EXPECT_EQ(through.parameters(), direct.parameters()) << text;
      EXPECT_EQ(through.Value(sql), direct.Value(sql)) << text;
      trireme.LoggedIn({.user = "app_trust"}).Value("SELECT 1");
    }
  }
}

// A wish in another spelling is fulfilled already: nothing goes ahead of the query, no report comes
// back.
TEST(Startup, AWishThatTheServerFulfilsInOtherWordsIsNotSetAgain) {
  std::vector<std::string> asked;
  std::mutex mutex;
  FakeServer server([&](FakeSession& session) {
    session.Send(AuthenticationOk() + ParameterStatus("client_encoding", "UTF8") +
                 ParameterStatus("DateStyle", "ISO, MDY") + BackendKeyData(1, "fake") +
                 ReadyForQuery());
    for (;;) {
      const std::string sql = session.ReadQuery();
      const std::lock_guard lock(mutex);
      asked.push_back(sql);
      session.Send(CommandComplete("OK") + ReadyForQuery());
    }
  });
  Trireme trireme({.size = 1, .server_port = server.port()});
  RawClient client =
      trireme.LoggedIn({.more = {{"client_encoding", "utf-8"}, {"DateStyle", "iso"}}});
  EXPECT_EQ(Types(client.Ask("mine")), "CZ");
  const std::lock_guard lock(mutex);
  EXPECT_EQ(asked, std::vector<std::string>{"mine"});
}

class InEachMode : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Startup, InEachMode, ::testing::Values("session", "transaction"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(InEachMode, OptionsReachTheServer) {
  SKIP_AGAINST_PGBOUNCER("1.18 ignores options");
  Trireme trireme({.mode = GetParam(), .size = 1});
  RawClient client = trireme.LoggedIn({.more = {{"options", "-c work_mem=7MB --geqo=off"}}});
  EXPECT_EQ(client.Value("SELECT current_setting('work_mem') || current_setting('geqo')"),
            "7MBoff");
}

TEST_P(InEachMode, OptionsMayEscapeSpaces) {
  SKIP_AGAINST_PGBOUNCER("1.18 ignores options");
  Trireme trireme({.mode = GetParam(), .size = 1});
  RawClient client = trireme.LoggedIn({.more = {{"options", "-c application_name=two\\ words"}}});
  EXPECT_EQ(client.Value("SHOW application_name"), "two words");
}

TEST_P(InEachMode, AnyServerParameterMayBeSetAtStartup) {
  SKIP_AGAINST_PGBOUNCER("refuses untracked ones");
  Trireme trireme({.mode = GetParam(), .size = 1});
  RawClient client =
      trireme.LoggedIn({.more = {{"search_path", "pg_catalog"}, {"extra_float_digits", "3"}}});
  EXPECT_EQ(client.Value(
                "SELECT current_setting('search_path') || current_setting('extra_float_digits')"),
            "pg_catalog3");
}

TEST(Startup, EachClientOfASharedServerKeepsItsOwnParameters) {
  Trireme trireme({.size = 1});
  const std::vector<Parameters> wishes = {
      {{"application_name", "MyApp"}, {"TimeZone", "UTC"}},
      {{"application_name", "myapp"}, {"TimeZone", "Asia/Tokyo"}},
      {{"application_name", std::string(60, '\'')}, {"DateStyle", "German"}},
      {{"client_encoding", "LATIN1"}},
  };
  const std::string sql =
      "SELECT current_setting('application_name') || '|' || current_setting('TimeZone') || '|' || "
      "current_setting('DateStyle') || '|' || current_setting('client_encoding')";
  std::vector<RawClient> clients;
  std::vector<std::string> expected;
  for (const Parameters& wish : wishes) {
    RawClient direct(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
    direct.Login({.user = "app_trust", .more = wish});
    expected.push_back(direct.Value(sql));
    clients.push_back(trireme.LoggedIn({.user = "app_trust", .more = wish}));
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(clients[i].Value(sql), expected[i]) << i;
  }
}

TEST_P(InEachMode, WhatPostgresRefusesFailsTheLoginInItsWords) {
  SKIP_AGAINST_PGBOUNCER("ignores, or refuses untracked ones");
  const std::vector<Parameters> refused = {
      {{"client_encoding", "KLINGON"}},
      {{"TimeZone", "Atlantis"}},
      {{"DateStyle", "stardate"}},
      {{"IntervalStyle", "long"}},
      {{"default_transaction_read_only", "maybe"}},
      {{"extra_float_digits", "9"}},
      {{"search_path", "a,,b"}},
      {{"work_mem", "lots"}},
      {{"work_mem", "1"}},
      {{"role", "nobody_at_all"}},
      {{"role", "postgres"}},
      {{"no_such_setting", "1"}},
      {{"bad name.own", "1"}},
      {{"shared_buffers", "1GB"}},
      {{"fsync", "off"}},
      {{"server_version", "99"}},
      {{"log_min_messages", "debug1"}},
      {{"options", "-c statement_timeout=-5 -c work_mem=5MB"}},
      {{"options", "--no-such-option=1"}},
  };
  Trireme trireme({.mode = GetParam(), .size = 1});
  RawClient other = trireme.LoggedIn({.user = "app_trust"});
  for (const Parameters& wish : refused) {
    const std::string text = wish[0].first + " = " + wish[0].second;
    RawClient direct(Socket::ConnectTcp("127.0.0.1", Postgres::Shared().port()));
    const std::vector<Message> expected = direct.TryLogin({.user = "app_trust", .more = wish});
    const std::vector<Message> answer = trireme.Raw().TryLogin({.user = "app_trust", .more = wish});
    const Message* why = FindType(expected, 'E');
    const Message* told = FindType(answer, 'E');
    ASSERT_NE(why, nullptr) << text;
    ASSERT_NE(told, nullptr) << text;
    for (const char field : {'S', 'C', 'M', 'D', 'H'}) {
      EXPECT_EQ(ErrorField(*told, field), ErrorField(*why, field)) << text << " " << field;
    }
    EXPECT_EQ(FindType(answer, 'Z'), nullptr) << text;
  }
  EXPECT_EQ(other.Value("SHOW work_mem"), "4MB");
}

// PostgreSQL itself has other words for it at login than later.
TEST(Startup, AnEncodingWithoutAConversionFailsTheLogin) {
  SKIP_AGAINST_PGBOUNCER("ignores, or refuses untracked ones");
  Trireme trireme;
  const Message told =
      FirstErrorOf(trireme.Raw(), {.more = {{"client_encoding", "MULE_INTERNAL"}}});
  EXPECT_EQ(ErrorField(told, 'S'), "FATAL");
  EXPECT_EQ(ErrorField(told, 'C'), "0A000");
}

TEST_P(InEachMode, AWishIsNotLeftToTheNextClient) {
  SKIP_AGAINST_PGBOUNCER("1.18 ignores options");
  Trireme trireme({.mode = GetParam(), .size = 1});
  trireme.LoggedIn({.more = {{"options", "-c work_mem=7MB -c search_path=a,b -c TimeZone=CET"}}});
  RawClient plain = trireme.LoggedIn();
  EXPECT_EQ(plain.Value("SHOW work_mem"), "4MB");
  EXPECT_EQ(plain.Value("SHOW search_path"), "\"$user\", public");
  EXPECT_EQ(plain.Value("SHOW TimeZone"), plain.parameters().at("TimeZone"));
}

TEST(Startup, TheClientsHostMayBeAppendedToItsName) {
  Trireme trireme({.patch = {{"application_name_add_host", true}}});
  RawClient client = trireme.LoggedIn({.more = {{"application_name", "psql"}}});
  const std::string name = client.Value("SHOW application_name");
  EXPECT_EQ(name.substr(0, 17), "psql - 127.0.0.1:") << name;
  EXPECT_EQ(trireme.LoggedIn().Value("SHOW application_name").substr(0, 16), "app - 127.0.0.1:");
}

TEST(Startup, AParameterTheServerRefusesIsAnErrorForThatClientOnly) {
  Trireme trireme({.size = 1});
  const Message error = FirstErrorOf(trireme.Raw(), {.more = {{"client_encoding", "KLINGON"}}});
  EXPECT_NE(ErrorField(error, 'C'), "");
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

// ---- listeners and limits

TEST(Startup, ListensOnIpv6) {
  TempDir dir;
  if (ReadFile("/proc/net/if_inet6").empty()) GTEST_SKIP() << "no IPv6 here";
  Trireme trireme({.more_listeners = {{{"host", "::1"}}}});
  RawClient client(Socket::ConnectTcp("::1", trireme.port()));
  client.Login();
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST(Startup, ListensOnAUnixSocketWithItsMode) {
  SKIP_AGAINST_PGBOUNCER("mode not translated");
  const TempDir dir;
  Trireme trireme(
      {.more_listeners = {{{"unix_socket_dir", dir.path()}, {"unix_socket_mode", "0710"}}}});
  const std::string path = dir / (".s.PGSQL." + std::to_string(trireme.port()));
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0) << path;
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0710u);
  RawClient client(Socket::ConnectUnix(path));
  client.Login();
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST(Startup, RemovesItsUnixSocketAtTheEnd) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  Trireme trireme({.more_listeners = {{{"unix_socket_dir", dir.path()}}}});
  trireme.Stop();
  struct stat status {};
  EXPECT_NE(stat((dir / (".s.PGSQL." + std::to_string(trireme.port()))).c_str(), &status), 0);
}

TEST(Startup, AUnixSocketLeftByACrashIsReplaced) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  Trireme first({.more_listeners = {{{"unix_socket_dir", dir.path()}}}});
  first.ExpectExit({-1, SIGKILL});
  first.process().Signal(SIGKILL);
  first.CheckAfterExit(*first.process().Wait());
  // The same path: the port is part of its name.
  Json listeners = {{{"host", "127.0.0.1"}, {"port", first.port()}},
                    {{"unix_socket_dir", dir.path()}, {"port", first.port()}}};
  WriteFile(dir / "config.json",
            TriremeConfig({.patch = {{"listen", listeners}}}, first.port()).dump());
  Process second({.argv = {TriremeProgram(), dir / "config.json"}});
  const std::string path = dir / (".s.PGSQL." + std::to_string(first.port()));
  EXPECT_TRUE(Eventually([&] {
    try {
      RawClient client(Socket::ConnectUnix(path));
      client.Login();
      return client.Value("SELECT 1") == "1";
    } catch (const RigError&) {
      return false;
    }
  }));
}

TEST(Startup, MoreClientsThanTheLimitAreRefusedWith53300) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme({.patch = {{"limits", {{"clients_max", 3}}}}});
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(trireme.LoggedIn());
  EXPECT_EQ(ErrorField(FirstErrorOf(trireme.Raw()), 'C'), "53300");
  clients.pop_back();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<Message> answer = trireme.Raw().TryLogin();
    return !answer.empty() && answer.back().type == 'Z';
  }));
}

TEST(Startup, ADatabaseWithoutARouteIsRefusedWith3D000) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Json routes = {{{"database", "app"}, {"storage", "main"}}};
  Trireme trireme({.patch = {{"routes", routes}}});
  EXPECT_EQ(ErrorField(FirstErrorOf(trireme.Raw(), {.database = "other"}), 'C'), "3D000");
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST(Startup, ARouteMayRenameDatabaseAndUser) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  Json routes = {{{"database", "alias"},
                  {"storage", "main"},
                  {"storage_database", "postgres"},
                  {"storage_user", "app_trust"}}};
  Trireme trireme({.patch = {{"routes", routes}}});
  EXPECT_EQ(
      trireme.LoggedIn({.database = "alias"}).Value("SELECT current_database() || current_user"),
      "postgresapp_trust");
}

TEST(Startup, AStorageMayBeAUnixSocketDirectory) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  const Postgres& postgres = Postgres::Shared();
  const Json hosts = {postgres.socket_dir() + ":" + std::to_string(postgres.port())};
  Trireme trireme({.patch = {{"storages", {{"main", {{"hosts", hosts}}}}}}});
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT inet_server_addr() IS NULL"), "t");
}

}  // namespace
}  // namespace trireme::e2e
