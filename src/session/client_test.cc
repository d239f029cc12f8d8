// SPDX-License-Identifier: GPL-3.0-or-later
//
// Clients of one core over the real ring: the test plays both the application and PostgreSQL, byte
// by byte.
#include "session/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "auth/seeded_secret_random.h"
#include "ring/uring_ring.h"
#include "session/clients.h"
#include "session/report.h"
#include "side/inline_crew.h"
#include "wire/writer.h"

namespace trireme {
namespace {

class NoDoorbell final : public Doorbell {
  void Ring(uint32_t) override {}
};

class NoLog final : public LogSink {
  void Write(std::string_view) override {}
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "trireme-session-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Config TheConfig(const std::string& sockets) {
  Config config;
  config.listeners = {{.unix_socket_dir = sockets}};
  config.storages = {{.name = "main", .hosts = {{.host = sockets, .port = 5432}}}};
  config.users = {
      {.name = "app", .secret = {Secret::Kind::kPlaintext, "hunter2"}, .auth = AuthMethod::kTrust}};
  config.routes = {{.database = "main", .user = "app"}};
  config.routes[0].pool.size = 1;
  config.routes[0].pool.reset_query = "";
  config.timeouts.half_close = 10s;
  return config;
}

// One core with everything above the ring, alone in the world.
class World final : private Siblings, private ClientSiblings, private ConsoleHost {
 public:
  explicit World(Config its_config)
      : config(std::move(its_config)),
        directory(1, 16),
        crew({}, &doorbell),
        ring(*UringRing::Create({.completion_entries = 4096, .published_min = 4}, buffers)),
        streams(*ring, {.high_mark_bytes = config.limits.backlog_bytes_max,
                        .low_mark_bytes = config.limits.backlog_bytes_max / 4}),
        timers(ring->now()),
        counts(config.routes.size(), config.users.size()) {
    EXPECT_TRUE(ring->Start().ok());
    const AuthResources auth{secret_random, keys, salts};
    Siblings& siblings = *this;
    pools = std::make_unique<Pools>(
        PoolsContext{streams, timers, random, siblings, directory, crew, auth, log, config});
    ClientSiblings& client_siblings = *this;
    ConsoleHost& console = *this;
    clients = std::make_unique<Clients>(ClientsContext{.config = config,
                                                       .streams = streams,
                                                       .timers = timers,
                                                       .pools = *pools,
                                                       .crew = crew,
                                                       .log = log,
                                                       .auth = auth,
                                                       .cancel_ids = CancelIds(0x1234567),
                                                       .counts = counts,
                                                       .siblings = client_siblings,
                                                       .console = console,
                                                       .core = 0,
                                                       .id_secret = 0});
  }
  ~World() {  // nothing is left behind
    clients->EndAll();
    pools->Stop();
    EXPECT_TRUE(Until([&] {
      const Pools::Resources left = pools->resources();
      return clients->at_rest() && left.servers == 0 && left.cancels == 0 && left.waiters == 0;
    }));
    EXPECT_EQ(counts.total().load(), 0u);
    clients.reset();
    EXPECT_EQ(streams.open_count(), 0u);
    EXPECT_EQ(buffers.in_use(), 0u);
  }

  // Turns until `done`; false after some seconds.
  template <typename Done>
  bool Until(Done done) {
    const Time end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      Turn();
    }
    return true;
  }
  void Turn() {
    crew.Drain(0);
    timers.Advance(ring->now());
    pools->EndOfTurn();
    clients->EndOfTurn();
    streams.Flush();
    ring->SubmitAndReap(ring->now() + 1ms);
  }
  PoolShard::Counts pool_counts() { return pools->pools()[0]->counts(); }

  Config config;
  Directory directory;
  NoDoorbell doorbell;
  InlineCrew crew;
  Buffers buffers{{.block_bytes = 4096, .blocks_max = 256}};
  std::unique_ptr<UringRing> ring;
  Streams streams;
  TimerWheel timers;
  Random random{7};
  SeededSecretRandom secret_random{7};
  ScramKeyCache keys{16, Digest{}};
  SaltSecret salts{Digest{}};
  NoLog sink;
  Logger log{&sink, {}};
  ClientCounts counts;
  std::unique_ptr<Pools> pools;
  std::unique_ptr<Clients> clients;

 private:
  uint32_t count() const override { return 1; }
  uint32_t self() const override { return 0; }
  void Send(uint32_t, const PoolMail&) override {}
  void Send(uint32_t, std::unique_ptr<CancelMail>) override {}
  void Gather(SnapshotParts, Handle) override {}
  std::string_view version() const override { return "test"; }
};

// The other end of a connection.
class Peer {
 public:
  Peer(World& world, int fd) : world_(&world), fd_(fd) {}
  Peer(Peer&& other) : world_(other.world_), fd_(std::exchange(other.fd_, -1)) {}
  ~Peer() { Close(); }

  void Send(std::string bytes) {
    world_->Until([&] {
      TrySend(bytes);
      return bytes.empty();
    });
    EXPECT_TRUE(bytes.empty());
  }
  // Removes from `bytes` what the kernel takes.
  void TrySend(std::string& bytes) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) bytes.erase(0, static_cast<size_t>(sent));
  }
  void SendNoMore() { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  // Whether exactly these bytes come next.
  void Expects(const std::string& bytes) { EXPECT_EQ(Read(bytes.size()), bytes); }
  void ExpectsEnd() {
    std::string rest;
    EXPECT_TRUE(world_->Until([&] {
      char byte;
      const ssize_t count = recv(fd_, &byte, 1, MSG_DONTWAIT);
      if (count > 0) rest += byte;
      return count == 0 || (count < 0 && errno != EAGAIN);
    }));
    EXPECT_EQ(rest, "");
  }
  void ExpectsSilence() {
    for (int i = 0; i < 20; ++i) world_->Turn();
    char byte;
    EXPECT_EQ(recv(fd_, &byte, 1, MSG_DONTWAIT), -1);
  }
  std::string TryRead(size_t size) {
    char buffer[4096];
    const ssize_t count = recv(fd_, buffer, std::min(sizeof buffer, size), MSG_DONTWAIT);
    ended_ |= count == 0;
    return std::string(buffer, static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
  std::string Read(size_t size) {
    std::string got;
    world_->Until([&] {
      got += TryRead(size - got.size());
      return got.size() == size || ended_;
    });
    return got;
  }
  // One message, with its head.
  std::string ReadMessage() {
    const std::string head = Read(kHeadBytes);
    if (head.size() < kHeadBytes) return head;
    return head + Read(ReadHead(AsBytes(head).data()).body_size());
  }
  // Up to the first message of this type.
  std::string ReadUntil(char type) {
    std::string all;
    for (int i = 0; i < 100; ++i) {
      const std::string message = ReadMessage();
      all += message;
      if (message.empty() || message[0] == type) break;
    }
    return all;
  }
  PgError ReadError() {
    const std::string message = ReadMessage();
    if (message.empty() || message[0] != 'E') {
      ADD_FAILURE() << "no error but: " << message;
      return {};
    }
    return ParseErrorBody(AsBytes(message).subspan(kHeadBytes));
  }

 private:
  World* world_;
  int fd_;
  bool ended_ = false;
};

std::string Written(auto write) {
  std::string bytes;
  MessageWriter writer(bytes);
  write(writer);
  return bytes;
}

std::string Query(std::string_view sql) {
  return Written([&](auto& w) { w.Query(sql); });
}
std::string Ready(char status = 'I') {
  return Written([&](auto& w) { w.ReadyForQuery(static_cast<TransactionStatus>(status)); });
}
std::string Done(std::string_view tag, char status = 'I') {
  return Written([&](auto& w) { w.CommandComplete(tag); }) + Ready(status);
}
std::string Failed(std::string_view sqlstate, std::string_view severity = severity::kError) {
  return Written([&](auto& w) {
    w.ErrorResponse({std::string(severity), std::string(sqlstate), "no", "", ""});
  });
}
std::string Message(char type, std::string_view body = {}) {
  return Written([&](auto& w) {
    w.Begin(type);
    w.RawBytes(AsBytes(body));
    w.End();
  });
}
const std::string kParse = Message('P', std::string("\0x\0\0\0", 5));
const std::string kNamedParse = Message('P', std::string("s\0x\0\0\0", 6));
const std::string kBind = Message('B', std::string(8, '\0'));
const std::string kExecute = Message('E', std::string(5, '\0'));
const std::string kSync = Message('S');
const std::string kTerminate = Message('X');

// A pool of one server, which the test plays.
class ClientTest : public testing::Test {
 public:
  void Start() {
    world_ = std::make_unique<World>(config_);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string path = sockets_.path() + "/.s.PGSQL.5432";
    std::copy(path.begin(), path.end(), address.sun_path);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
  }
  ~ClientTest() override {
    // PostgreSQL ends first, or we would wait until the pool has lost patience.
    backend_.reset();
    close(listener_);
    world_.reset();
  }

  Peer Connect() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    world_->clients->OnAccept({.fd = ends[0], .listener_index = 0});
    return Peer(*world_, ends[1]);
  }
  static std::string Startup(std::vector<ParameterView> more = {}) {
    std::vector<ParameterView> parameters = {{"user", "app"}, {"database", "main"}};
    parameters.insert(parameters.end(), more.begin(), more.end());
    return Written([&](auto& w) { w.StartupMessage(kProtocol30, parameters); });
  }
  Peer Accept() {
    int accepted = -1;
    EXPECT_TRUE(
        world_->Until([&] { return (accepted = accept(listener_, nullptr, nullptr)) >= 0; }));
    return Peer(*world_, accepted);
  }
  Peer AcceptLogin() {
    Peer backend = Accept();
    backend.Expects(Startup());
    backend.Send(Written([&](auto& w) {
      w.AuthenticationOk();
      w.ParameterStatus({"TimeZone", "UTC"});
      w.BackendKeyData(77, AsBytes(std::string_view("\1\2\3\4", 4)));
      w.ReadyForQuery(TransactionStatus::kIdle);
    }));
    return backend;
  }
  // The first client, with the server that was opened for its login.
  Peer LogInFirst(std::vector<ParameterView> more = {}) {
    Peer client = Connect();
    client.Send(Startup(more));
    backend_ = std::make_unique<Peer>(AcceptLogin());
    welcome_ = client.ReadUntil('Z');
    EXPECT_TRUE(world_->Until([&] { return world_->pool_counts().idle == 1; }));
    return client;
  }
  Peer LogIn(std::vector<ParameterView> more = {}) {
    Peer client = Connect();
    client.Send(Startup(more));
    welcome_ = client.ReadUntil('Z');
    return client;
  }
  std::string CancelRequest() {  // of who logged in last
    const size_t at = welcome_.size() - Ready().size() - 8;
    return Written([&](auto& w) {
      w.CancelRequest(LoadBig32(AsBytes(welcome_).data() + at),
                      AsBytes(welcome_).subspan(at + 4, 4));
    });
  }
  // A client asks, the server hears it.
  void Ask(Peer& client, const std::string& bytes) {
    client.Send(bytes);
    backend_->Expects(bytes);
  }
  bool UntilIdle() {
    return world_->Until([&] { return world_->pool_counts().idle == 1; });
  }
  bool UntilNoClients() {
    return world_->Until([&] { return world_->clients->count() == 0; });
  }

  TemporaryDirectory sockets_;
  Config config_ = TheConfig(sockets_.path());
  std::unique_ptr<World> world_;
  int listener_ = -1;
  std::unique_ptr<Peer> backend_;
  std::string welcome_;
};

TEST_F(ClientTest, ReturnsTheServerOnlyWhenNothingIsOwed) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("a") + Query("b"));
  second.Send(Query("c"));
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  backend_->ExpectsSilence();
  backend_->Send(Done("B"));
  first.Expects(Done("B"));
  backend_->Expects(Query("c"));
  backend_->Send(Done("C"));
  second.Expects(Done("C"));
  const StatsTotals totals = TotalsOf(*world_->clients, *world_->clients->accounts()[0]);
  EXPECT_EQ(totals.query_count, 3u);
  EXPECT_EQ(totals.xact_count, 3u);
  EXPECT_EQ(totals.server_assignment_count, 2u);
}

TEST_F(ClientTest, KeepsTheServerInATransactionAndBeforeASync) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  second.Send(Query("c"));
  backend_->Expects(Query("c"));
  Peer& holder = second;
  first.Send(Query("d"));
  backend_->Send(Done("BEGIN", 'T'));
  holder.Expects(Done("BEGIN", 'T'));
  backend_->ExpectsSilence();
  Ask(holder, Query("commit"));
  backend_->Send(Done("COMMIT"));
  backend_->Expects(Query("d"));
  backend_->Send(Done("D"));
  first.Expects(Done("D"));
  Ask(first, kParse + kBind + Message('H'));
  second.Send(Query("e"));
  backend_->Send(Message('1') + Message('2'));
  first.Expects(Message('1') + Message('2'));
  backend_->ExpectsSilence();
  Ask(first, kSync);
  backend_->Send(Ready());
  backend_->Expects(Query("e"));
}

TEST_F(ClientTest, AnswersWhatWasAskedBeforeTerminate) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("a") + kTerminate + Query("never"));
  backend_->Expects(Query("a"));
  backend_->Send(Done("A"));
  client.Expects(Done("A"));
  client.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, AnswersAHalfClosedSlowReaderWhole) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  client.SendNoMore();
  const std::string row = Message('D', std::string(300000, 'x'));
  const std::string answer = row + row + row + Done("SELECT 3");
  std::string left = answer;
  for (int i = 0; i < 50;
       ++i) {  // nobody reads: more and more waits here, then in the server's socket
    backend_->TrySend(left);
    world_->Turn();
  }
  EXPECT_GT(left.size(), 0u);
  std::string got;
  world_->Until([&] {
    backend_->TrySend(left);
    got += client.TryRead(answer.size() - got.size());
    return got.size() == answer.size();
  });
  EXPECT_TRUE(got == answer);
  client.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, CancelsTheQueryOfAClientThatHasGone) {
  config_.timeouts.half_close = 1ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  client.Close();
  Peer cancel = Accept();
  EXPECT_EQ(cancel.Read(16).size(), 16u);
  cancel.Close();
  backend_->Send(Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, RollsBackForAClientThatHasGone) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  client.Close();
  backend_->Expects(Query("ROLLBACK"));
  backend_->Send(Done("ROLLBACK"));
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, ClosesTheServerThatWaitsForTheRestOfAMessage) {
  config_.timeouts.half_close = 1ms;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a long one").substr(0, 9));
  client.Close();
  backend_->ExpectsEnd();
}

// What came before the refused message in the pipeline must not be committed by the Sync behind it.
TEST_F(ClientTest, ARefusedMessageFailsThePipelineOnTheServerToo) {
  Start();
  Peer client = LogInFirst();
  client.Send(kParse + kBind + kExecute + kNamedParse + kBind + kExecute + kSync);
  backend_->Expects(kParse + kBind + kExecute);
  const std::string stand_in = backend_->ReadMessage();
  EXPECT_EQ(stand_in[0], 'E');
  EXPECT_NE(stand_in, kExecute);
  backend_->Expects(kSync);
  const std::string answer = Message('1') + Message('2') + Message('C', std::string("X\0", 2));
  backend_->Send(answer + Failed("34000") + Ready());
  client.Expects(answer);
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, RefusalsInOnePipelineKeepTheirOwnWords) {
  Start();
  Peer client = LogInFirst();
  client.Send(Query("a") + kNamedParse + kSync + kBind + kSync);
  backend_->Expects(Query("a"));
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->ReadMessage();
  backend_->Expects(kSync);
  backend_->Send(Done("A") + Failed("34000") + Ready() + Failed("34000") + Ready());
  client.Expects(Done("A"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.Expects(Ready());
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kInvalidSqlStatementName);
  client.Expects(Ready());
}

TEST_F(ClientTest, SetsParametersInFrontOfTheFirstMessage) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "CET"}});
  client.Send(Query("a"));
  const std::string set = Query("SET \"TimeZone\" TO 'CET';");
  backend_->Expects(set + Query("a"));
  const std::string status = Written([](auto& w) { w.ParameterStatus({"TimeZone", "CET"}); });
  backend_->Send(Written([](auto& w) { w.CommandComplete("SET"); }) + status + Ready() + Done("A"));
  client.Expects(Done("A"));
  Ask(client, Query("b"));  // nothing to set any more
  backend_->Send(Done("B"));
  client.Expects(Done("B"));
  Peer other = LogIn();
  other.Send(Query("c"));
  backend_->Expects(Query("SET \"TimeZone\" TO 'UTC';") + Query("c"));
}

TEST_F(ClientTest, ARefusedParameterEndsTheClientAndNotTheServer) {
  Start();
  Peer client = LogInFirst({{"TimeZone", "Mars"}});
  client.Send(Query("a"));
  const std::string set = Query("SET \"TimeZone\" TO 'Mars';");
  backend_->Expects(set + Query("a"));
  backend_->Send(Failed("22023"));
  const PgError error = client.ReadError();
  EXPECT_EQ(error.sqlstate, "22023");
  EXPECT_EQ(error.severity, severity::kFatal);
  client.ExpectsEnd();
  Accept().Close();  // the cancel of the query behind it
  backend_->Send(Ready() + Failed("57014") + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, SetsUnreportedParametersAgainAfterTheResetQuery) {
  config_.routes[0].pool.mode = PoolMode::kSession;
  config_.routes[0].pool.reset_query = "DISCARD ALL";
  Start();
  const std::string set = Query("SET \"statement_timeout\" TO '5s';");
  Peer first = Connect();
  first.Send(Startup({{"statement_timeout", "5s"}}));
  backend_ = std::make_unique<Peer>(AcceptLogin());
  first.ReadUntil('Z');  // only asked for its welcome, the server needs no reset
  for (int i = 0; i < 2; ++i) {
    Peer client = LogIn({{"statement_timeout", "5s"}});
    client.Send(Query("a"));
    backend_->Expects(set + Query("a"));
    backend_->Send(Done("SET") + Done("A"));
    client.Expects(Done("A"));
    client.Close();
    backend_->Expects(Query("DISCARD ALL"));
    backend_->Send(Done("DISCARD ALL"));
  }
}

TEST_F(ClientTest, HearsTheServersLastWordsOnce) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  const std::string words = Failed("25P03", severity::kFatal);
  backend_->Send(words);
  backend_->Close();
  client.Expects(words);
  client.ExpectsEnd();
}

TEST_F(ClientTest, IsToldWhenTheServerEndsWithoutAWord) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  backend_->Close();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kConnectionFailure);
  client.ExpectsEnd();
}

TEST_F(ClientTest, GetsNoErrorInTheMiddleOfARow) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  const std::string half = Message('D', "0123456789").substr(0, 9);
  backend_->Send(half);
  client.Expects(half);
  backend_->Close();
  client.ExpectsEnd();
}

TEST_F(ClientTest, LateCopyDataIsNobodysRequest) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("copy"));
  const std::string copy_in = Message('G', std::string("\0\0\0", 3));
  backend_->Send(copy_in);
  first.Expects(copy_in);
  Ask(first, Message('d', "row"));
  backend_->Send(Failed("22P02") + Ready());
  first.Expects(Failed("22P02") + Ready());
  EXPECT_TRUE(UntilIdle());
  first.Send(Message('d', "row") + Message('c'));
  Ask(second, Query("b"));
  backend_->Send(Done("B"));
  second.Expects(Done("B"));
  Ask(first, Query("c"));
}

TEST_F(ClientTest, CancelsARequestThatWaitsForAServer) {
  Start();
  Peer first = LogInFirst(), second = LogIn();
  Ask(first, Query("a"));
  second.Send(Query("b"));
  world_->Until([&] { return world_->pool_counts().waiting == 1; });
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  cancel.ExpectsEnd();
  EXPECT_EQ(second.ReadError().sqlstate, sqlstate::kQueryCanceled);
  second.Expects(Ready());
  EXPECT_EQ(world_->pool_counts().waiting, 0u);
  backend_->Send(Done("A"));
  first.Expects(Done("A"));
  Ask(second, Query("c"));
}

TEST_F(ClientTest, CancelsARequestThatRuns) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("a"));
  Peer cancel = Connect();
  cancel.Send(CancelRequest());
  Peer to_server = Accept();
  to_server.Expects(
      Written([](auto& w) { w.CancelRequest(77, AsBytes(std::string_view("\1\2\3\4", 4))); }));
  backend_->Send(Failed("57014") + Ready());
  client.Expects(Failed("57014") + Ready());
  EXPECT_EQ(world_->pool_counts().idle, 0u);  // the signal could still hit somebody else
  to_server.Close();
  cancel.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
}

TEST_F(ClientTest, TakesAPasswordThatCameWithTheStartupPacket) {
  config_.users[0].auth = AuthMethod::kPassword;
  Start();
  Peer client = Connect();
  client.Send(Startup() + Written([](auto& w) { w.PasswordMessage("hunter2"); }));
  Peer backend = AcceptLogin();
  EXPECT_EQ(client.ReadMessage(), Written([](auto& w) { w.AuthenticationCleartextPassword(); }));
  EXPECT_EQ(client.ReadMessage(), Written([](auto& w) { w.AuthenticationOk(); }));
  client.ReadUntil('Z');
}

TEST_F(ClientTest, NewClientsOfADrainingCoreAreTurnedAway) {
  Start();
  Peer client = LogInFirst();
  world_->clients->Drain();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
  Peer late = Connect();
  late.ExpectsEnd();
  EXPECT_TRUE(UntilNoClients());
}

TEST_F(ClientTest, DrainingWaitsForTheTransaction) {
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Done("BEGIN", 'T'));
  world_->clients->Drain();
  Ask(client, Query("commit"));
  backend_->Send(Done("COMMIT"));
  client.Expects(Done("COMMIT"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
}

TEST_F(ClientTest, StatementModeAllowsNoTransactionBlocks) {
  config_.routes[0].pool.mode = PoolMode::kStatement;
  Start();
  Peer client = LogInFirst();
  Ask(client, Query("begin"));
  backend_->Send(Done("BEGIN", 'T'));
  client.Expects(Written([](auto& w) { w.CommandComplete("BEGIN"); }));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kFeatureNotSupported);
  client.ExpectsEnd();
  backend_->Expects(Query("ROLLBACK"));
}

TEST_F(ClientTest, PlacesUnderTheLimitComeBack) {
  config_.limits.clients_max = 1;
  Start();
  Peer client = LogInFirst();
  Peer refused = Connect();
  refused.Send(Startup());
  EXPECT_EQ(refused.ReadError().sqlstate, sqlstate::kTooManyConnections);
  refused.ExpectsEnd();
  client.Close();
  EXPECT_TRUE(UntilNoClients());
  Peer next = LogIn();
  Ask(next, Query("a"));
}

}  // namespace
}  // namespace trireme
