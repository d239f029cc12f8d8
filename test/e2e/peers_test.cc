// SPDX-License-Identifier: GPL-3.0-or-later
//
// Lessons of other poolers that no other subject tests: each case is a defect that one of them had,
// or has. ../peers.md lists all of them, and where each is tested.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "rig/fake_server.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

class Peers : public OnShards {
 protected:
  void SetUp() override { SKIP_AGAINST_PGBOUNCER("has some of these defects"); }

  TriremeOptions With(int size, const Json& pool = Json::object()) const {
    TriremeOptions options = Options();
    options.size = size;
    options.pool = pool;
    return options;
  }
};
ON_1_2_4_SHARDS(Peers);

std::string Use(const std::string& name) { return Bind("", name) + Execute(""); }

std::string FieldOf(const std::vector<Message>& messages, char type, char field) {
  const Message* found = FindType(messages, type);
  return found != nullptr ? ErrorField(*found, field) : "none in " + Types(messages);
}

std::vector<std::string> ValuesOf(const std::vector<Message>& messages) {
  std::vector<std::string> values;
  for (const Message& message : messages) {
    if (message.type == 'D') values.push_back(DataRowValues(message).at(0));
  }
  return values;
}

// What a scripted server was asked, by all its connections.
class Questions {
 public:
  void Add(const std::string& sql) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(sql);
  }
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
};

// A server that notes every query, and has no rows.
FakeServer::Script Noting(Questions& questions) {
  return [&questions](FakeSession& session) {
    session.Accept();
    for (;;) {
      const std::string sql = session.ReadQuery();
      questions.Add(sql);
      const bool opens = sql == "BEGIN";
      session.Send(CommandComplete(opens ? "BEGIN" : "OK") + ReadyForQuery(opens ? 'T' : 'I'));
    }
  };
}

// ---- settings

// A round trip of one's own in each transaction: a reset behind it, or settings ahead of it.
TEST_P(Peers, NothingIsSentThatNoClientHasSaid) {
  Questions questions;
  FakeServer server(Noting(questions));
  TriremeOptions options = With(1);
  options.server_port = server.port();
  Trireme trireme(options);
  RawClient first = trireme.LoggedIn(), second = trireme.LoggedIn();
  std::vector<std::string> said;
  for (int round = 0; round < 3; ++round) {
    for (RawClient* client : {&first, &second}) {
      for (const std::string sql : {"one", "BEGIN", "COMMIT"}) {
        client->Ask(sql);
        said.push_back(sql);
      }
    }
  }
  EXPECT_EQ(questions.asked(), said);
}

// The server does not report it, so it can be known only from what was sent.
TEST_P(Peers, ASettingThatIsNotReportedIsNotSentWithEachTransaction) {
  Questions questions;
  FakeServer server(Noting(questions));
  TriremeOptions options = With(1);
  options.server_port = server.port();
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn({.more = {{"work_mem", "3MB"}}});
  client.Ask("first");
  const std::vector<std::string> before = questions.asked();
  EXPECT_EQ(before.back(), "first");
  EXPECT_TRUE(std::any_of(before.begin(), before.end(), [](const std::string& sql) {
    return sql.find("work_mem") != std::string::npos;
  }));
  for (int i = 0; i < 3; ++i) client.Ask("again");
  EXPECT_EQ(questions.asked().size(), before.size() + 3);
}

// Fixed buffers for settings: what did not fit was left out without a word, or written past.
TEST_P(Peers, ManyLongSettingsAllFollowTheirClient) {
  constexpr int kSettings = 20;
  Trireme trireme(With(1));
  std::vector<RawClient> clients;
  std::vector<std::string> expected;
  std::string sql = "SELECT ";
  for (int i = 0; i < kSettings; ++i) {
    sql += "current_setting('my.setting" + std::to_string(i) + "') || ";
  }
  sql += "current_setting('search_path')";
  // They differ in case only.
  for (const char letter : {'a', 'A'}) {
    LoginRequest login;
    expected.emplace_back();
    for (int i = 0; i < kSettings; ++i) {
      login.more.push_back({"my.setting" + std::to_string(i),
                            std::string(150, letter) + std::string(50, '\'') + std::to_string(i)});
      expected.back() += login.more.back().second;
    }
    login.more.push_back({"search_path", std::string("\"") + letter + " x\", public"});
    expected.back() += login.more.back().second;
    clients.push_back(trireme.LoggedIn(login));
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(clients[i].Value(sql), expected[i]) << i;
  }
}

// What goes ahead, and a message that fills the buffer, or does not fit.
TEST_P(Peers, SettingsGoAheadOfAStatementOfAnySize) {
  Trireme trireme(With(1));
  RawClient first = trireme.LoggedIn({.more = {{"application_name", "first"}}});
  RawClient second = trireme.LoggedIn({.more = {{"application_name", "second"}}});
  for (const size_t size : {2048, 4096, 8192, 16384, 32768, 65536, 131072}) {
    for (size_t length = size - 12; length <= size + 2; ++length) {
      for (RawClient* client : {&first, &second}) {
        std::string sql = "SELECT current_setting('application_name') --";
        sql.resize(length, 'x');
        const std::string text = "length " + std::to_string(length);
        EXPECT_EQ(ValuesOf(client->Exchange(Parse("", sql) + Use("") + Sync())),
                  std::vector<std::string>{client == &first ? "first" : "second"})
            << text;
      }
    }
  }
}

// ---- statements

TEST_P(Peers, StatementsClosedForRoomAreThereForEachBindOfAPipeline) {
  Trireme trireme(With(1, {{"prepared_statements_max", 1}}));
  RawClient client = trireme.LoggedIn();
  std::vector<std::string> names, expected;
  for (int i = 0; i < 5; ++i) {
    names.push_back("s" + std::to_string(i));
    client.Exchange(Parse(names.back(), "SELECT " + std::to_string(i)) + Sync());
  }
  std::string pipeline, types;
  for (int round = 0; round < 4; ++round) {
    for (size_t i = 0; i < names.size(); ++i) {
      pipeline += Use(names[i]);
      types += "2DC";
      expected.push_back(std::to_string(i));
    }
  }
  std::vector<Message> answer = client.Exchange(pipeline + Sync());
  EXPECT_EQ(Types(answer), types + "Z");
  EXPECT_EQ(ValuesOf(answer), expected);
  // The same with Flush: no CloseComplete and no ReadyForQuery of ours may come, now or later.
  client.Send(pipeline + Flush());
  answer.clear();
  while (answer.size() < types.size()) answer.push_back(client.Read());
  EXPECT_EQ(Types(answer), types);
  EXPECT_TRUE(Throughout(milliseconds(100),
                         [&] { return !client.socket().ReadableWithin(milliseconds(0)); }));
  EXPECT_EQ(Types(client.Exchange(Sync())), "Z");
  EXPECT_EQ(Types(client.Ask("SELECT 1")), "TDCZ");
  EXPECT_LE(std::stoi(client.Value("SELECT count(*) FROM pg_prepared_statements")), 1);
}

TEST_P(Peers, AnAnswerOfOursComesBeforeTheErrorThatEndsThePipeline) {
  Trireme trireme(With(1));
  RawClient known = trireme.LoggedIn(), client = trireme.LoggedIn();
  known.Exchange(Parse("s", "SELECT $1::int") + Sync());
  EXPECT_EQ(Types(client.Exchange(Parse("s", "SELECT $1::int") + Use("s") +
                                  Parse("t", "SELECT $1::int") + Sync())),
            "1EZ");
  EXPECT_EQ(ValuesOf(client.Exchange(Bind("", "s", {"7"}) + Execute("") + Sync())),
            std::vector<std::string>{"7"});
  EXPECT_EQ(FieldOf(client.Exchange(Use("t") + Sync()), 'E', 'C'), "26000");
}

// ---- pipelines

// A Sync of the pooler's own, ahead of the client's: an answer before the work was committed.
TEST_P(Peers, TheClientsSyncEndsItsPipelineAndNothingElse) {
  Trireme trireme(With(1));
  RawClient client = trireme.LoggedIn();
  client.Ask("DROP TABLE IF EXISTS flushed; CREATE TABLE flushed (n int)");
  const auto rows = [] {
    Target target = Postgres::Shared().Superuser();
    target.database = "app";
    return Connection(target).Value("SELECT count(*) FROM flushed");
  };
  client.Send(Parse("s", "INSERT INTO flushed VALUES (1)") + DescribeStatement("s") + Flush());
  client.ReadUntil('n');
  client.Send(Use("s") + Flush());
  client.ReadUntil('C');
  RawClient other = trireme.LoggedIn();
  other.Send(Query("SELECT 'other'"));
  EXPECT_TRUE(Throughout(milliseconds(200), [&] {
    return !client.socket().ReadableWithin(milliseconds(0)) &&
           !other.socket().ReadableWithin(milliseconds(0));
  }));
  EXPECT_EQ(rows(), "0");
  EXPECT_EQ(Types(client.Exchange(Sync())), "Z");
  EXPECT_EQ(rows(), "1");
  EXPECT_EQ(Types(other.ReadUntilReady()), "TDCZ");
  client.Ask("DROP TABLE flushed");
}

// The first piece of a pipeline is refused: what follows it must not find a server.
TEST_P(Peers, TheRestOfARefusedPipelineReachesNobody) {
  Trireme trireme(With(1, {{"wait_timeout", "200ms"}}));
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  RawClient refused = trireme.LoggedIn();
  refused.Send(Parse("", "SELECT 'of the first piece'") + Bind("", ""));
  const Message error = refused.ReadUntil('E').back();
  EXPECT_EQ(ErrorField(error, 'S') + ErrorField(error, 'C'), "FATAL53300");
  refused.socket().TrySend(Execute("") + Sync() + Query("SELECT 'of the second piece'"));
  RawClient next = trireme.LoggedIn();
  holder.Ask("COMMIT");
  EXPECT_EQ(next.Value("SELECT 'next'"), "next");
  EXPECT_EQ(Types(refused.ReadUntilClosed()), "");
  EXPECT_EQ(Postgres::Shared().Count("query LIKE '%of the % piece%'"), 0);
  EXPECT_EQ(holder.Value("SELECT 'holder'"), "holder");
}

// A limit counted from row to row never ends a query that has rows.
TEST_P(Peers, AQueryWhoseRowsTrickleTakesTooLongAllTheSame) {
  Trireme trireme(With(1, {{"query_timeout", "500ms"}}));
  RawClient client = trireme.LoggedIn();
  const std::vector<Message> answer =
      client.Ask("SELECT repeat('x', 9000), pg_sleep(0.05) FROM generate_series(1, 1000)");
  EXPECT_EQ(Types(answer).substr(0, 2), "TD");
  EXPECT_EQ(FieldOf(answer, 'E', 'C'), "57014");
  EXPECT_EQ(client.Value("SELECT 1"), "1");
}

// ---- turns

TEST_P(Peers, WhoHasWaitedForMoreThanASecondIsStillTheFirst) {
  TriremeOptions options = With(1);
  options.patch = {{"sharing", {{"fairness_window", "0s"}}}};
  Trireme trireme(options);
  RawClient holder = trireme.LoggedIn();
  holder.Ask("BEGIN");
  const auto wait = [&](RawClient& client, const std::string& waiting) {
    client.Send(Query("SELECT extract(epoch FROM clock_timestamp())"));
    return Eventually([&] { return trireme.Show("POOLS").at(0).at("cl_waiting") == waiting; });
  };
  RawClient first = trireme.LoggedIn(), second = trireme.LoggedIn(), third = trireme.LoggedIn();
  ASSERT_TRUE(wait(first, "1"));
  ASSERT_TRUE(Throughout(milliseconds(1300), [&] { return holder.Value("SELECT 1") == "1"; }));
  ASSERT_TRUE(wait(second, "2"));
  ASSERT_TRUE(wait(third, "3"));
  holder.Ask("COMMIT");
  std::vector<double> times;
  for (RawClient* client : {&first, &second, &third}) {
    times.push_back(std::stod(ValuesOf(client->ReadUntilReady()).at(0)));
  }
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
}

TEST_P(Peers, AResultWithoutEndLeavesTurnsToOthers) {
  Trireme trireme(With(8));
  std::atomic<bool> enough{false};
  std::atomic<uint64_t> bytes{0};
  std::vector<RawClient> greedy;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    greedy.push_back(trireme.LoggedIn());
    greedy.back().Send(Query("SELECT repeat('x', 8000), generate_series(1, 100000000)"));
  }
  for (RawClient& client : greedy) {
    readers.emplace_back([&] {
      std::vector<char> chunk(1 << 20);
      while (!enough) {
        if (!client.socket().ReadableWithin(milliseconds(100))) continue;
        bytes += client.socket().ReadSome(chunk.data(), chunk.size());
      }
    });
  }
  EXPECT_TRUE(Eventually([&] { return bytes > (1 << 20); }));
  RawClient modest = trireme.LoggedIn();
  for (int i = 0; i < 50; ++i) {
    const uint64_t before = bytes;
    const auto start = Clock::now();
    EXPECT_EQ(modest.Value("SELECT 1"), "1");
    EXPECT_LT(Clock::now() - start, seconds(5));
    EXPECT_TRUE(Eventually([&] { return bytes > before; })) << "theirs goes on";
  }
  enough = true;
  for (std::thread& reader : readers) reader.join();
  for (RawClient& client : greedy) client.socket().Reset();
}

// All idle servers of the others went, since nobody counted again after the first.
TEST_P(Peers, MakingRoomForOneTakesOneServer) {
  TriremeOptions options = With(5);
  options.patch = {{"storages", {{"main", {{"database_connections_max", 5}}}}}};
  Trireme trireme(options);
  const auto servers_of = [](const std::string& user) {
    return Postgres::Shared().Count("usename = '" + user + "'");
  };
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(trireme.LoggedIn());
    clients.back().Ask("BEGIN");
  }
  for (RawClient& client : clients) client.Ask("COMMIT");
  EXPECT_EQ(servers_of("app"), 5);
  RawClient other = trireme.LoggedIn({.user = "app_trust"});
  EXPECT_EQ(other.Value("SELECT 1"), "1");
  EXPECT_TRUE(Throughout(milliseconds(400),
                         [&] { return servers_of("app") == 4 && servers_of("app_trust") == 1; }));
}

// Zero for everybody was compared with the time of everybody.
TEST_P(Peers, OneUsersIdleLimitIsNobodyElses) {
  TriremeOptions options = With(2);
  options.patch = {{"users", {{"app_trust", {{"client_idle_timeout", "200ms"}}}}}};
  Trireme trireme(options);
  RawClient other = trireme.LoggedIn(), limited = trireme.LoggedIn({.user = "app_trust"});
  EXPECT_EQ(FieldOf(limited.ReadUntilClosed(), 'E', 'C'), "57P05");
  EXPECT_TRUE(Throughout(milliseconds(500),
                         [&] { return !other.socket().ReadableWithin(milliseconds(0)); }));
  EXPECT_EQ(other.Value("SELECT 1"), "1");
}

// ---- logins

// Nothing of it may fit the buffer that ordinary messages have.
TEST_P(Peers, ALoginMayBeLarge) {
  TriremeOptions options = With(1);
  options.auth = "password";
  Trireme trireme(options);
  const std::string startup =
      StartupPacket({{"user", "app"}, {"database", "app"}, {"my.setting", std::string(9000, 'x')}});
  RawClient client = trireme.Raw();
  client.Send(startup.substr(0, 5000));
  client.Send(startup.substr(5000));
  client.ReadUntil('R');
  client.Send(PasswordMessage("secret-app"));
  client.ReadUntilReady();
  EXPECT_EQ(client.Value("SELECT length(current_setting('my.setting'))"), "9000");
  RawClient wrong = trireme.Raw();
  wrong.Send(startup);
  wrong.ReadUntil('R');
  wrong.Send(PasswordMessage(std::string(60000, 'p')));
  EXPECT_EQ(FieldOf(wrong.ReadUntilClosed(), 'E', 'C'), "28P01");
}

TEST_P(Peers, AProbeOfThePortIsNotLogged) {
  Trireme trireme(With(1));
  const auto lines = [&] {
    const std::string log = trireme.Log();
    return std::count(log.begin(), log.end(), '\n');
  };
  const auto clients = [&] { return trireme.LoggedIn().Value("SELECT 1"); };
  clients();
  EXPECT_TRUE(
      Eventually([&] { return trireme.Log().find("client disconnected") != std::string::npos; }));
  const auto before = lines();
  for (int i = 0; i < 10; ++i) trireme.Raw().socket().Close();
  clients();
  EXPECT_TRUE(Eventually([&] { return lines() >= before + 2; }));
  EXPECT_EQ(lines(), before + 2) << trireme.Log();  // came and went: the one who logged in
}

// Parameters of the login came from the first server there ever was.
TEST_P(Peers, ALoginIsToldOfTheServerThatIsThereNow) {
  FakeServer server([](FakeSession& session) {
    session.Send(AuthenticationOk() +
                 ParameterStatus("server_version", std::to_string(15 + session.number())) +
                 BackendKeyData(1, "fake") + ReadyForQuery());
    while (session.ReadQuery() != "die") session.Send(CommandComplete("OK") + ReadyForQuery());
  });
  TriremeOptions options = With(1);
  options.server_port = server.port();
  Trireme trireme(options);
  RawClient before = trireme.LoggedIn();
  EXPECT_EQ(before.parameters().at("server_version"), "15");
  before.Send(Query("die"));
  before.ReadUntilClosed();
  RawClient meanwhile = trireme.LoggedIn();
  EXPECT_EQ(Types(meanwhile.Ask("SELECT 1")).back(), 'Z');
  const std::string now = std::to_string(15 + server.connections() - 1);
  EXPECT_EQ(trireme.LoggedIn().parameters().at("server_version"), now);
}

// ---- cancel

TEST_P(Peers, ACancelGoesToTheHostThatRunsTheQuery) {
  std::atomic<bool> over{false};
  FakeServer second([&over](FakeSession& session) {
    session.Accept();
    session.ReadQuery();
    Eventually([&over] { return over.load(); });
    session.Send(ErrorResponse("ERROR", "57014", "canceled") + ReadyForQuery());
    session.Read();
  });
  const uint16_t first = FreeTcpPort();
  TriremeOptions options = With(1);
  const Json hosts = {"127.0.0.1:" + std::to_string(first),
                      "127.0.0.1:" + std::to_string(second.port())};
  options.patch = {{"storages", {{"main", {{"hosts", hosts}}}}}};
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn();
  client.Send(Query("SELECT 'for long'"));
  EXPECT_TRUE(
      Eventually([&] { return trireme.Show("SERVERS").at(0).at("state").find("active") == 0; }));
  // The host that was down is there again; it is the first one a new connection would go to.
  const Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(first);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.fd(), 8), 0);
  trireme.Raw().Send(CancelRequest(client.backend_pid(), client.cancel_key()));
  EXPECT_TRUE(Eventually([&] { return second.cancels() == 1; }));
  over = true;
  EXPECT_EQ(FieldOf(client.ReadUntilReady(), 'E', 'C'), "57014");
  EXPECT_EQ(accept(listener.fd(), nullptr, nullptr), -1);
}

// One connection for each, and PostgreSQL runs out of them.
TEST_P(Peers, ManyCancelsAtOnceTakeOneConnectionAfterTheOther) {
  TriremeOptions options = With(12);
  options.patch = {{"storages", {{"main", {{"cancels_max", 1}}}}}};
  Trireme trireme(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(trireme.LoggedIn());
    clients.back().Send(Query("SELECT pg_sleep(60)"));
  }
  ASSERT_TRUE(Eventually([] {
    return Postgres::Shared().Count("state = 'active' AND query LIKE '%sleep(60)%'") == 12;
  }));
  std::vector<RawClient> cancellers;
  for (RawClient& client : clients) {
    cancellers.push_back(trireme.Raw());
    cancellers.back().Send(CancelRequest(client.backend_pid(), client.cancel_key()));
  }
  for (RawClient& client : clients) EXPECT_EQ(FieldOf(client.ReadUntilReady(), 'E', 'C'), "57014");
  for (RawClient& canceller : cancellers) EXPECT_EQ(Types(canceller.ReadUntilClosed()), "");
  for (RawClient& client : clients) EXPECT_EQ(client.Value("SELECT 1"), "1");
}

// ---- outages

// Fifteen seconds of errors after one failure; or none at all, and a wait in vain.
TEST_P(Peers, AnOutageIsWaitedOut) {
  std::atomic<bool> up{false};
  FakeServer server([&up](FakeSession& session) {
    if (!up) return;
    session.Accept();
    session.EchoQueries();
  });
  TriremeOptions options = With(1);
  options.server_port = server.port();
  options.patch = {{"storages", {{"main", {{"connect_backoff_max", "200ms"}}}}}};
  Trireme trireme(options);
  RawClient first = trireme.Raw();
  first.Send(StartupPacket({{"user", "app"}, {"database", "app"}}));
  EXPECT_TRUE(Eventually([&] { return server.connections() >= 3; }));
  RawClient second = trireme.Raw();
  second.Send(StartupPacket({{"user", "app"}, {"database", "app"}}));
  up = true;
  for (RawClient* client : {&first, &second}) {
    EXPECT_EQ(Types(client->ReadUntilReady()).back(), 'Z');
    EXPECT_EQ(client->Value("hello"), "hello");
  }
}

// ---- console

TEST_P(Peers, TheConsoleShowsPoolsOfEveryMode) {
  TriremeOptions options = With(2);
  const auto route = [](const char* database, const char* mode) {
    return Json{{"database", database},
                {"storage", "main"},
                {"storage_database", "app"},
                {"pool", {{"size", 2}, {"mode", mode}}}};
  };
  options.patch = {
      {"routes",
       {route("one", "session"), route("two", "transaction"), route("three", "statement")}}};
  Trireme trireme(options);
  for (const char* database : {"one", "two", "three"}) {
    EXPECT_EQ(trireme.LoggedIn({.database = database}).Value("SELECT 1"), "1");
  }
  for (const char* view : {"DATABASES", "POOLS"}) {
    std::vector<std::string> modes;
    for (const auto& row : trireme.Show(view)) modes.push_back(row.at("pool_mode"));
    for (const char* mode : {"session", "transaction", "statement"}) {
      EXPECT_EQ(std::count(modes.begin(), modes.end(), mode), 1) << view << " " << mode;
    }
  }
}

}  // namespace
}  // namespace trireme::e2e
