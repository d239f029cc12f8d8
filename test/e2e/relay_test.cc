// SPDX-License-Identifier: GPL-3.0-or-later
//
// Bytes in, bytes out: whatever PostgreSQL's protocol allows passes unchanged, in order, in bounded
// memory, to the client it belongs to.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "rig/drain.h"
#include "rig/fake_server.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

// What one daemon may grow by while it relays, however much passes.
constexpr uint64_t kGrowthKiB = 48 * 1024;

class Relay : public OnShards {};
ON_1_2_4_SHARDS(Relay);

std::string OneSelect(const std::string& sql) {
  return Parse("", sql) + Bind("", "") + DescribePortal("") + Execute("");
}

// ---- whose answer is it

TEST_P(Relay, NoClientEverSeesAnothersAnswer) {
  TriremeOptions options = Options();
  options.size = 2;
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(trireme.LoggedIn());
  for (int round = 0; round < 60; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) {
      const std::string name = std::to_string(i) + "-" + std::to_string(round);
      clients[i].Send(Query("SELECT 'a" + name + "'") + OneSelect("SELECT 'b" + name + "'") +
                      Sync() + Query("SELECT 'c" + name + "'"));
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      const std::string name = std::to_string(i) + "-" + std::to_string(round);
      for (const char* prefix : {"a", "b", "c"}) {
        const std::vector<Message> answer = clients[i].ReadUntilReady();
        ASSERT_NE(FindType(answer, 'D'), nullptr) << Types(answer);
        ASSERT_EQ(DataRowValues(*FindType(answer, 'D')).at(0), prefix + name);
      }
    }
  }
}

TEST_P(Relay, AClientWithAnswersStillOwedKeepsItsServer) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient pipelining = trireme.LoggedIn();
  RawClient other = trireme.LoggedIn();
  pipelining.Send(Query("SELECT 1") + Query("SELECT pg_sleep(0.3)") + Query("SELECT 3"));
  EXPECT_EQ(Types(pipelining.ReadUntilReady()), "TDCZ");
  other.Send(Query("SELECT 4"));
  pipelining.ReadUntilReady();
  EXPECT_EQ(DataRowValues(*FindType(pipelining.ReadUntilReady(), 'D')).at(0), "3");
  EXPECT_EQ(DataRowValues(*FindType(other.ReadUntilReady(), 'D')).at(0), "4");
}

// ---- simple protocol

struct SimpleCase {
  const char* name;
  const char* sql;
  const char* types;
};
class SimpleProtocol : public ::testing::TestWithParam<SimpleCase> {};
INSTANTIATE_TEST_SUITE_P(
    Relay, SimpleProtocol,
    ::testing::Values(SimpleCase{"OneRow", "SELECT 1", "TDCZ"},
                      SimpleCase{"NoRow", "SELECT 1 WHERE false", "TCZ"},
                      SimpleCase{"Empty", "", "IZ"}, SimpleCase{"Semicolons", ";;", "IZ"},
                      SimpleCase{"Command", "SET LOCAL work_mem = '1MB'", "NCZ"},
                      SimpleCase{"TwoStatements", "SELECT 1; SELECT 2", "TDCTDCZ"},
                      SimpleCase{"ErrorInTheSecond", "SELECT 1; SELECT 1/0; SELECT 3", "TDCEZ"},
                      SimpleCase{"SyntaxError", "SELEC", "EZ"},
                      SimpleCase{"Notice", "DO $$BEGIN RAISE NOTICE 'hear'; END$$", "NCZ"},
                      SimpleCase{"WholeTransaction", "BEGIN; SELECT 1; COMMIT", "CTDCCZ"}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(SimpleProtocol, IsAnsweredAsByPostgres) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Types(client.Ask(GetParam().sql)), GetParam().types);
}

// ---- extended protocol

struct ExtendedCase {
  const char* name;
  std::string bytes;
  const char* types;
};
class ExtendedProtocol : public ::testing::TestWithParam<ExtendedCase> {};
INSTANTIATE_TEST_SUITE_P(
    Relay, ExtendedProtocol,
    ::testing::Values(
        ExtendedCase{"OneSelect", OneSelect("SELECT 1") + Sync(), "12TDCZ"},
        ExtendedCase{"Parameter",
                     Parse("", "SELECT $1::int + 1") + Bind("", "", {"41"}) + Execute("") + Sync(),
                     "12DCZ"},
        ExtendedCase{"DescribeStatement",
                     Parse("", "SELECT $1::int") + DescribeStatement("") + Sync(), "1tTZ"},
        ExtendedCase{"NoData", Parse("", "BEGIN") + Bind("", "") + DescribePortal("") + Sync(),
                     "12nZ"},
        ExtendedCase{"EmptyQuery", Parse("", "") + Bind("", "") + Execute("") + Sync(), "12IZ"},
        ExtendedCase{"SyncAlone", Sync(), "Z"},
        ExtendedCase{"CloseOfNothing", CloseStatement("") + ClosePortal("") + Sync(), "33Z"},
        ExtendedCase{"TwoSelectsOneSync", OneSelect("SELECT 1") + OneSelect("SELECT 2") + Sync(),
                     "12TDC12TDCZ"},
        ExtendedCase{"ErrorSkipsToSync", OneSelect("SELECT 1/0") + OneSelect("SELECT 2") + Sync(),
                     "1EZ"},
        ExtendedCase{"ParseError", OneSelect("SELEC") + Sync(), "EZ"},
        ExtendedCase{"PortalInThreeParts",
                     Parse("", "SELECT generate_series(1,5)") + Bind("", "") + Execute("", 2) +
                         Execute("", 2) + Execute("", 0) + Sync(),
                     "12DDsDDsDCZ"},
        ExtendedCase{"NamedPortal",
                     Parse("", "SELECT generate_series(1,3)") + Bind("p", "") + Execute("p", 2) +
                         ClosePortal("p") + Sync(),
                     "12DDs3Z"}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ExtendedProtocol, IsAnsweredAsByPostgres) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Types(client.Exchange(GetParam().bytes)), GetParam().types);
}

TEST_P(Relay, LibpqExtendedQueriesWork) {
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  for (int i = 0; i < 20; ++i) {
    const Answer answer = connection.AskExtended("SELECT $1::int * 2", {std::to_string(i)});
    ASSERT_TRUE(answer.ok) << answer.text;
    EXPECT_EQ(answer.rows[0][0], std::to_string(i * 2));
  }
}

TEST_P(Relay, FlushBringsWhatIsDoneWithoutASync) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  client.Send(Parse("", "SELECT $1::int") + DescribeStatement("") + Flush());
  EXPECT_EQ(Types(client.ReadUntil('T')), "1tT");
  RawClient other = trireme.LoggedIn();
  other.Send(Query("SELECT 2"));
  client.Send(Bind("", "", {"7"}) + Execute("") + Flush());
  EXPECT_EQ(Types(client.ReadUntil('C')), "2DC");
  EXPECT_FALSE(other.socket().ReadableWithin(milliseconds(100)))
      << "the server was given away before Sync";
  client.Send(Sync());
  EXPECT_EQ(Types(client.ReadUntilReady()), "Z");
  EXPECT_EQ(Types(other.ReadUntilReady()), "TDCZ");
}

TEST_P(Relay, APortalIsFetchedInPartsAcrossSyncsInATransaction) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  client.Ask("BEGIN");
  client.Exchange(Parse("", "SELECT generate_series(1,5)") + Bind("p", "") + Sync());
  EXPECT_EQ(Types(client.Exchange(Execute("p", 2) + Sync())), "DDsZ");
  EXPECT_EQ(Types(client.Exchange(Execute("p", 2) + Sync())), "DDsZ");
  EXPECT_EQ(Types(client.Exchange(Execute("p", 2) + Sync())), "DCZ");
  EXPECT_EQ(Types(client.Ask("COMMIT")), "CZ");
}

TEST_P(Relay, NamedStatementsWorkInSessionMode) {
  TriremeOptions options = Options();
  options.mode = "session";
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  EXPECT_EQ(Types(client.Exchange(Parse("s", "SELECT 1") + Sync())), "1Z");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(Types(client.Exchange(Bind("", "s") + Execute("") + Sync())), "2DCZ");
  EXPECT_EQ(Types(client.Exchange(CloseStatement("s") + Sync())), "3Z");
}

// ---- pipelines

TEST_P(Relay, AThousandPipelinedSimpleQueriesAreAnsweredInOrder) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += Query("SELECT " + std::to_string(i));
  client.Send(bytes);
  for (int i = 0; i < 1000; ++i) {
    const std::vector<Message> answer = client.ReadUntilReady();
    ASSERT_EQ(Types(answer), "TDCZ");
    ASSERT_EQ(DataRowValues(answer[1]).at(0), std::to_string(i));
  }
}

TEST_P(Relay, ALibpqPipelineWithErrorsInItIsAnsweredInOrder) {
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  PGconn* pg = connection.handle();
  ASSERT_EQ(PQenterPipelineMode(pg), 1);
  for (int i = 0; i < 200; ++i) {
    const std::string sql = i % 10 == 7 ? "SELECT 1/0" : "SELECT " + std::to_string(i);
    ASSERT_EQ(PQsendQueryParams(pg, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
    ASSERT_EQ(PQpipelineSync(pg), 1);
  }
  for (int i = 0; i < 200; ++i) {
    const Answer answer = connection.Finish();  // up to the null between query and sync
    EXPECT_EQ(answer.sqlstate, i % 10 == 7 ? "22012" : "") << i;
    PGresult* sync = PQgetResult(pg);
    ASSERT_EQ(PQresultStatus(sync), PGRES_PIPELINE_SYNC) << i;
    PQclear(sync);
  }
  EXPECT_EQ(PQexitPipelineMode(pg), 1);
}

TEST_P(Relay, APipelineLargerThanAllBuffersDoesNotDeadlock) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  constexpr int kQueries = 20000;
  std::string bytes;
  for (int i = 0; i < kQueries; ++i) bytes += OneSelect("SELECT repeat('x', 500)") + Sync();
  std::jthread writer([&] { client.socket().TrySend(bytes); });
  EXPECT_EQ(DrainUntilReady(client, kQueries).rows, static_cast<uint64_t>(kQueries));
  writer.join();
}

TEST_P(Relay, AWholeTransactionInOnePipelineReleasesItsServer) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient first = trireme.LoggedIn();
  RawClient second = trireme.LoggedIn();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Types(first.Exchange(OneSelect("BEGIN") + OneSelect("SELECT 1") +
                                   OneSelect("COMMIT") + Sync())),
              "12nC12TDC12nCZ");
    EXPECT_EQ(second.Value("SELECT 1"), "1");
  }
}

// ---- sizes and splits

class MessageBytes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Relay, MessageBytes,
                         ::testing::Values(1, 2, 1000, 16383, 16384, 16385, 32768, 65536, 1 << 20,
                                           16 << 20, 64 << 20),
                         ::testing::PrintToStringParamName());

TEST_P(MessageBytes, GoThereAndBackUnchanged) {
  Trireme trireme;
  RawClient client = trireme.LoggedIn();
  std::string value(static_cast<size_t>(GetParam()), 'x');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>('a' + i % 23);
  const std::string request =
      Parse("", "SELECT $1::text") + Bind("", "", {value}) + Execute("") + Sync();
  std::jthread writer([&] { client.socket().TrySend(request); });
  const std::vector<Message> answer = client.ReadUntilReady();
  writer.join();
  ASSERT_EQ(Types(answer), "12DCZ");
  EXPECT_TRUE(DataRowValues(answer[2]).at(0) == value);
}

TEST(RelaySizes, EveryLengthAroundABufferPasses) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  for (size_t bytes = 16384 - 40; bytes <= 16384 + 40; ++bytes) {
    const std::string request = Query("SELECT 1 --" + std::string(bytes - 17, 'x'));
    ASSERT_EQ(request.size(), bytes);
    ASSERT_EQ(Types(client.Exchange(request)), "TDCZ") << bytes;
    ASSERT_EQ(client.Value("SELECT repeat('y', " + std::to_string(bytes) + ")").size(), bytes);
  }
}

TEST(RelaySizes, ManyDifferentRowSizesArriveWhole) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  const std::vector<Message> answer =
      client.Ask("SELECT n, repeat('z', n) FROM generate_series(0, 3000) n");
  int rows = 0;
  for (const Message& message : answer) {
    if (message.type != 'D') continue;
    const std::vector<std::string> values = DataRowValues(message);
    ASSERT_EQ(values.at(0), std::to_string(rows));
    ASSERT_EQ(values.at(1).size(), static_cast<size_t>(rows));
    ++rows;
  }
  EXPECT_EQ(rows, 3001);
}

TEST(RelaySplits, ARequestSplitAtEveryByteIsStillTheSame) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  const std::string request = OneSelect("SELECT 1") + Sync() + Query("SELECT 2");
  for (size_t at = 1; at < request.size(); ++at) {
    client.Send(request.substr(0, at));
    std::this_thread::sleep_for(milliseconds(1));  // lets the first part travel alone
    client.Send(request.substr(at));
    ASSERT_EQ(Types(client.ReadUntilReady()), "12TDCZ") << at;
    ASSERT_EQ(Types(client.ReadUntilReady()), "TDCZ") << at;
  }
}

TEST(RelaySplits, RequestsMayComeByteByByte) {
  Trireme trireme({.size = 1});
  RawClient client = trireme.LoggedIn();
  client.SendByteByByte(OneSelect("SELECT 1") + Sync() + Query("SELECT 2"));
  EXPECT_EQ(Types(client.ReadUntilReady()), "12TDCZ");
  EXPECT_EQ(Types(client.ReadUntilReady()), "TDCZ");
}

TEST(RelaySplits, AReplySplitAtEveryByteIsStillTheSame) {
  const std::string reply =
      RowDescription({"c"}) + DataRow({"value"}) + CommandComplete("SELECT 1") + ReadyForQuery();
  FakeServer server([&](FakeSession& session) {
    session.Accept();
    for (;;) {
      const std::string sql = session.ReadQuery();
      if (sql.rfind("split ", 0) != 0) {
        session.Send(reply);
        continue;
      }
      const size_t at = std::stoul(sql.substr(6));
      session.Send(reply.substr(0, at));
      std::this_thread::sleep_for(milliseconds(1));  // lets the first part travel alone
      session.Send(reply.substr(at));
    }
  });
  Trireme trireme({.size = 1, .server_port = server.port()});
  RawClient client = trireme.LoggedIn();
  for (size_t at = 1; at < reply.size(); ++at) {
    const std::vector<Message> answer = client.Ask("split " + std::to_string(at));
    ASSERT_EQ(Types(answer), "TDCZ") << at;
    ASSERT_EQ(DataRowValues(answer[1]).at(0), "value");
  }
}

TEST(RelaySplits, RepliesMayComeByteByByteFromLoginOn) {
  FakeServer server([](FakeSession& session) {
    session.SendByteByByte(AuthenticationOk() + ParameterStatus("server_version", "15.0") +
                           ParameterStatus("client_encoding", "UTF8") + BackendKeyData(1, "fake") +
                           ReadyForQuery());
    for (;;) {
      session.ReadQuery();
      session.SendByteByByte(RowDescription({"c"}) + DataRow({"v"}) + CommandComplete("SELECT 1") +
                             ReadyForQuery());
    }
  });
  Trireme trireme({.size = 1, .server_port = server.port()});
  RawClient client = trireme.LoggedIn();
  EXPECT_EQ(Types(client.Ask("anything")), "TDCZ");
}

// ---- memory

TEST_P(Relay, ALargeResultStreamsInBoundedMemory) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  const uint64_t before = ResidentKiB(trireme.process().pid());
  const uint64_t rows = TransferMegabytes(256) << 10;
  client.Send(
      Query("SELECT repeat('x', 1000) FROM generate_series(1, " + std::to_string(rows) + ")"));
  const Drained drained = DrainUntilReady(client);
  EXPECT_EQ(drained.rows, rows);
  EXPECT_TRUE(drained.ready);
  EXPECT_LT(PeakResidentKiB(trireme.process().pid()), before + kGrowthKiB);
}

TEST_P(Relay, ClientsThatDoNotReadCostBoundedMemoryAndLoseNothing) {
  TriremeOptions options = Options();
  options.size = 16;
  Trireme trireme(options);
  std::vector<RawClient> slow;
  for (int i = 0; i < 12; ++i) {
    slow.emplace_back(Socket::ConnectTcp("127.0.0.1", trireme.port(), 4096));
    slow.back().Login();
  }
  RawClient brisk = trireme.LoggedIn();
  brisk.Value("SELECT 1");
  const uint64_t before = ResidentKiB(trireme.process().pid());
  for (RawClient& client : slow)
    client.Send(Query("SELECT repeat('x', 1000) FROM generate_series(1, 16384)"));
  EXPECT_TRUE(Throughout(milliseconds(1000), [&] { return brisk.Value("SELECT 1") == "1"; }));
  EXPECT_LT(PeakResidentKiB(trireme.process().pid()), before + kGrowthKiB);
  for (RawClient& client : slow) EXPECT_EQ(DrainUntilReady(client).rows, 16384u);
}

TEST_P(Relay, AServerThatDoesNotReadHoldsUpItsClientInBoundedMemory) {
  std::atomic<bool> reads{false};
  FakeServer server([&reads](FakeSession& session) {
    session.Accept();
    Eventually([&reads] { return reads.load(); });
    std::vector<char> chunk(1 << 20);
    for (size_t left = Query(std::string(64 << 20, 'x')).size(); left > 0;)
      left -= session.socket().ReadSome(chunk.data(), std::min(left, chunk.size()));
    session.Send(CommandComplete("DONE") + ReadyForQuery());
    session.EchoQueries();
  });
  TriremeOptions options = Options();
  options.server_port = server.port();
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  const uint64_t before = ResidentKiB(trireme.process().pid());
  const std::string query = Query(std::string(64 << 20, 'x'));
  size_t sent = 0;
  const auto send_some = [&] {
    const ssize_t count = send(client.socket().fd(), query.data() + sent, query.size() - sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += static_cast<size_t>(std::max<ssize_t>(count, 0));
    return count > 0;
  };
  // Until the client is held up: for a while nothing more is taken.
  EXPECT_TRUE(
      Eventually([&] { return Throughout(milliseconds(200), [&] { return !send_some(); }); }));
  EXPECT_LT(sent, query.size());
  reads = true;
  client.Send(std::string_view(query).substr(sent));
  EXPECT_EQ(Types(client.ReadUntilReady()), "CZ");
  EXPECT_LT(PeakResidentKiB(trireme.process().pid()), before + kGrowthKiB);
}

TEST_P(Relay, AServerIsReturnedThoughItsClientHasNotReadTheEnd) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient slow(Socket::ConnectTcp("127.0.0.1", trireme.port(), 4096));
  slow.Login();
  slow.Send(Query("SELECT repeat('x', 50000)"));
  RawClient other = trireme.LoggedIn();
  EXPECT_EQ(other.Value("SELECT 1"), "1");
  EXPECT_EQ(Types(slow.ReadUntilReady()), "TDCZ");
}

// ---- sockets half gone

TEST_P(Relay, AHalfClosedClientStillGetsItsAnswer) {
  SKIP_AGAINST_PGBOUNCER("drops it");
  Trireme trireme(Options());
  for (const char* rows : {"1", "20000"}) {
    RawClient client = trireme.LoggedIn();
    client.Send(
        Query(std::string("SELECT repeat('x', 1000) FROM generate_series(1, ") + rows + ")"));
    client.socket().HalfClose();
    EXPECT_EQ(DrainUntilReady(client).rows, std::stoull(rows));
    EXPECT_EQ(client.NextMessage(), std::nullopt);
  }
}

TEST_P(Relay, AHalfClosedIdleClientIsLetGo) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  client.socket().HalfClose();
  EXPECT_EQ(Types(client.ReadUntilClosed()), "");
}

// ---- the rarer messages

TEST_P(Relay, FunctionCallIsAnswered) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  const std::string int4pl =
      Be32(177) + Be16(1) + Be16(1) + Be16(2) + Be32(4) + Be32(40) + Be32(4) + Be32(2) + Be16(1);
  const std::vector<Message> answer = client.Exchange(Bytes('F', int4pl));
  ASSERT_EQ(Types(answer), "VZ");
  EXPECT_EQ(ReadBe32(answer[0].body, 4), 42);
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

TEST_P(Relay, NotificationsReachAListenerInSessionMode) {
  TriremeOptions options = Options();
  options.mode = "session";
  Trireme trireme(options);
  RawClient listener = trireme.LoggedIn();
  EXPECT_EQ(Types(listener.Ask("LISTEN news")), "CZ");
  RawClient sender = trireme.LoggedIn();
  for (const char* text : {"one", "two", "three"}) {
    EXPECT_EQ(Types(sender.Ask(std::string("NOTIFY news, '") + text + "'")), "CZ");
    const Message news = listener.Read();
    EXPECT_EQ(news.type, 'A');
    EXPECT_EQ(news.body.substr(4), CString("news") + CString(text));
  }
}

TEST_P(Relay, AReportedParameterThatAClientSetsIsReportedAndStaysWithIt) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient first = trireme.LoggedIn();
  RawClient second = trireme.LoggedIn();
  EXPECT_NE(FindType(first.Ask("SET application_name = 'first'"), 'S'), nullptr);
  second.Ask("SET application_name = 'second'");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(first.Value("SHOW application_name"), "first");
    EXPECT_EQ(second.Value("SHOW application_name"), "second");
  }
}

TEST_P(Relay, AnUnknownMessageTypeEndsOnlyItsOwnConnection) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient other = trireme.LoggedIn();
  RawClient client = trireme.LoggedIn();
  client.Send(Bytes('y', "what?"));
  const std::vector<Message> answer = client.ReadUntilClosed();
  ASSERT_EQ(Types(answer), "E");
  EXPECT_EQ(ErrorField(answer[0], 'C'), "08P01");
  EXPECT_EQ(other.Value("SELECT 1"), "1");
}

TEST_P(Relay, AMessageWithAnImpossibleLengthEndsOnlyItsOwnConnection) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient other = trireme.LoggedIn();
  for (const int64_t length : {int64_t{0}, int64_t{3}, int64_t{0xffffffff}, int64_t{0x7fffffff}}) {
    RawClient client = trireme.LoggedIn();
    client.Send("Q" + Be32(length) + "SELECT 1");
    client.socket().HalfClose();
    client.ReadUntilClosed();
    EXPECT_EQ(other.Value("SELECT 1"), "1") << length;
  }
}

}  // namespace
}  // namespace trireme::e2e
