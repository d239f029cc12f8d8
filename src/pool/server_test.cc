// SPDX-License-Identifier: GPL-3.0-or-later
//
// Servers and pools over the real ring, against a PostgreSQL that the test plays by hand.
#include "pool/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/seeded_secret_random.h"
#include "pool/pools.h"
#include "ring/uring_ring.h"
#include "side/inline_crew.h"
#include "wire/writer.h"

namespace trireme {
namespace {

// Bytes with zeros among them.
template <size_t kSize>
std::string Raw(const char (&bytes)[kSize]) {
  return std::string(bytes, kSize - 1);
}

class NoDoorbell final : public Doorbell {
  void Ring(uint32_t) override {}
};

class NoLog final : public LogSink {
  void Write(std::string_view) override {}
};

// A directory for Unix sockets that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "trireme-pool-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class World;

// One core: everything a shard gives its pools.
class Core final : public Siblings {
 public:
  Core(World& world, uint32_t index);

  uint32_t count() const override;
  uint32_t self() const override { return index_; }
  void Send(uint32_t core, const PoolMail& mail) override;

  void Turn();
  PoolShard& pool();

  World& world;
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
  std::deque<PoolMail> inbox;
  std::unique_ptr<Pools> pools;

 private:
  const uint32_t index_;
};

class World {
 public:
  explicit World(uint32_t core_count = 1) : directory(core_count, 16), crew({}, &doorbell) {
    config.storages = {
        {.name = "main", .hosts = {{.host = sockets.path(), .port = 5432}}, .connect_timeout = 5s}};
    config.users = {{.name = "app", .secret = {Secret::Kind::kPlaintext, "hunter2"}}};
    config.routes = {{.database = "main", .user = "app"}};
    config.routes[0].pool.reset_query = "DISCARD ALL";
    for (uint32_t i = 0; i < core_count; ++i) cores.push_back(std::make_unique<Core>(*this, i));
  }
  ~World() {  // nothing is left behind
    for (const auto& core : cores) core->pools->Stop();
    EXPECT_TRUE(Until([&] {
      return std::ranges::all_of(cores, [](const auto& core) {
        const Pools::Resources resources = core->pools->resources();
        return resources.servers == 0 && resources.cancels == 0 && resources.waiters == 0;
      });
    }));
  }

  Target TheTarget() const {
    return {.route = &config.routes[0],
            .user = &config.users[0],
            .storage = &config.storages[0],
            .storage_user = "app",
            .storage_database = "main",
            .storage_secret = &config.users[0].secret,
            .mode = config.routes[0].pool.mode,
            .key = {.route_index = 0, .storage_user = "app", .storage_database = "main"}};
  }

  Core& core(uint32_t index = 0) { return *cores[index]; }

  // Turns until `done`; false after some seconds.
  template <typename Done>
  bool Until(Done done) {
    const Time end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      for (const auto& core : cores) core->Turn();
    }
    return true;
  }

  TemporaryDirectory sockets;
  Config config;
  Directory directory;
  NoDoorbell doorbell;
  InlineCrew crew;
  std::vector<std::unique_ptr<Core>> cores;
};

Core::Core(World& its_world, uint32_t index)
    : world(its_world),
      ring(*UringRing::Create({.index = index, .completion_entries = 4096, .published_min = 4},
                              buffers)),
      streams(*ring, {}),
      timers(ring->now()),
      index_(index) {
  EXPECT_TRUE(ring->Start().ok());
  pools = std::make_unique<Pools>(PoolsContext{.streams = streams,
                                               .timers = timers,
                                               .random = random,
                                               .siblings = *this,
                                               .directory = world.directory,
                                               .crew = world.crew,
                                               .auth = {secret_random, keys, salts},
                                               .log = log,
                                               .config = world.config});
}

uint32_t Core::count() const { return world.directory.core_count(); }
void Core::Send(uint32_t core, const PoolMail& mail) { world.core(core).inbox.push_back(mail); }

void Core::Turn() {
  streams.Flush();
  ring->SubmitAndReap(ring->now() + 1ms);
  timers.Advance(ring->now());
  while (!inbox.empty()) {
    const PoolMail mail = inbox.front();
    inbox.pop_front();
    pools->OnMail(mail);
  }
  if (index_ == 0) world.crew.Drain(0);
  pools->EndOfTurn();
}

PoolShard& Core::pool() { return *std::get<PoolShard*>(pools->Find(world.TheTarget())); }

class Client final : public Waiter, public ServerUser {
 public:
  void OnServer(Server& its_server) override { server = &its_server; }
  void OnRefused(const PgError& error) override { refusal = error; }
  void OnServerReceive(Slice slice) override { received += AsText(slice.bytes()); }
  void OnServerEnd(int) override {
    server = nullptr;
    ended = true;
  }
  void OnServerDrained() override {}

  Server* server = nullptr;
  std::optional<PgError> refusal;
  std::string received;
  bool ended = false;
};

// A connection as PostgreSQL sees it.
class Backend {
 public:
  Backend(World& world, int fd) : world_(world), fd_(fd) {}
  Backend(Backend&& other) : world_(other.world_), fd_(std::exchange(other.fd_, -1)) {}
  ~Backend() { Close(); }

  void Send(std::string_view bytes) {
    EXPECT_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  // Whether exactly these bytes come next.
  bool Expects(std::string_view bytes) {
    std::string got;
    world_.Until([&] {
      char buffer[512];
      const ssize_t count =
          recv(fd_, buffer, std::min(sizeof buffer, bytes.size() - got.size()), MSG_DONTWAIT);
      if (count > 0) got.append(buffer, static_cast<size_t>(count));
      return got.size() == bytes.size() || count == 0;
    });
    EXPECT_EQ(got, bytes);
    return got == bytes;
  }
  bool ExpectsEnd() {
    ssize_t count = -1;
    world_.Until([&] {
      char byte;
      count = recv(fd_, &byte, 1, MSG_DONTWAIT);
      return count >= 0 || errno != EAGAIN;
    });
    return count <= 0;
  }

 private:
  World& world_;
  int fd_;
};

std::string Written(auto write) {
  std::string bytes;
  MessageWriter writer(bytes);
  write(writer);
  return bytes;
}

std::string StartupPacket() {
  const ParameterView parameters[] = {{"user", "app"}, {"database", "main"}};
  return Written([&](auto& w) { w.StartupMessage(kProtocol30, parameters); });
}

std::string Ready(TransactionStatus status = TransactionStatus::kIdle) {
  return Written([&](auto& w) { w.ReadyForQuery(status); });
}

std::string Query(std::string_view sql) {
  return Written([&](auto& w) { w.Query(sql); });
}

std::string Done(std::string_view tag, TransactionStatus status = TransactionStatus::kIdle) {
  return Written([&](auto& w) { w.CommandComplete(tag); }) + Ready(status);
}

std::string Failed(std::string_view sqlstate) {
  return Written(
      [&](auto& w) { w.ErrorResponse({.sqlstate = std::string(sqlstate), .message = "no"}); });
}

const std::string kSecret = "\x01\x02\x03\x04";

std::string LoginAnswer() {
  return Written([&](auto& w) {
    w.AuthenticationOk();
    w.ParameterStatus({"server_version", "15.4"});
    w.ParameterStatus({"TimeZone", "UTC"});
    w.BackendKeyData(77, AsBytes(kSecret));
    w.ReadyForQuery(TransactionStatus::kIdle);
  });
}

class Postgres {
 public:
  explicit Postgres(World& world, std::string directory = "") : world_(world) {
    if (directory.empty()) directory = world.sockets.path();
    const SocketAddress address = *SocketAddress::Unix(directory + "/.s.PGSQL.5432");
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(bind(fd_, address.data(), address.size()), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
  }
  ~Postgres() { close(fd_); }

  Backend Accept() {
    int accepted = -1;
    EXPECT_TRUE(world_.Until([&] { return (accepted = accept(fd_, nullptr, nullptr)) >= 0; }));
    return Backend(world_, accepted);
  }
  Backend AcceptLogin() {
    Backend backend = Accept();
    EXPECT_TRUE(backend.Expects(StartupPacket()));
    backend.Send(LoginAnswer());
    return backend;
  }

 private:
  World& world_;
  int fd_;
};

// The usual beginning: one client of core 0 has been lent a server.
struct Lent {
  explicit Lent(uint32_t cores = 1)
      : world(cores), postgres(world), backend(Connect(world, postgres, client)) {}
  static Backend Connect(World& world, Postgres& postgres, Client& client) {
    world.core().pool().Checkout(client, client);
    Backend backend = postgres.AcceptLogin();
    EXPECT_TRUE(world.Until([&] { return client.server != nullptr; }));
    return backend;
  }
  void Ask(std::string_view sql) {
    client.server->replies().Expect(Request::kQuery, Disposition::kForward);
    client.server->stream().SendCopy(AsBytes(Query(sql)));
    EXPECT_TRUE(backend.Expects(Query(sql)));
  }
  void Abandon() {
    pool().Abandon(*std::exchange(client.server, nullptr), AbandonReason::kClientGone);
  }
  PoolShard& pool() { return world.core().pool(); }
  bool UntilIdle() {
    return world.Until([&] { return pool().counts().idle == 1; });
  }
  bool UntilGone() {
    return world.Until([&] { return pool().board().size().open() == 0; });
  }

  World world;
  Client client;
  Postgres postgres;
  Backend backend;
};

TEST(Server, LogsIn) {
  Lent lent;
  Server& server = *lent.client.server;
  EXPECT_EQ(*server.parameters().Find("server_version"), "15.4");
  EXPECT_EQ(server.baseline(), server.parameters());
  EXPECT_EQ(server.process_id(), 77u);
  EXPECT_EQ(server.key().secret, kSecret);
  ASSERT_NE(lent.pool().welcome(), nullptr);
  EXPECT_EQ(*lent.pool().welcome(), server.parameters());
  lent.pool().Return(server);
}

TEST(Server, LogsInByteByByte) {
  World world;
  Postgres postgres(world);
  Client client;
  world.core().pool().Checkout(client, client);
  Backend backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(StartupPacket()));
  for (const char byte : LoginAnswer()) {
    backend.Send(std::string(1, byte));
    world.core().Turn();
  }
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

TEST(Server, AnswersACleartextPassword) {
  World world;
  Postgres postgres(world);
  Client client;
  world.core().pool().Checkout(client, client);
  Backend backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(StartupPacket()));
  backend.Send(Written([](auto& w) { w.AuthenticationCleartextPassword(); }));
  ASSERT_TRUE(backend.Expects(Written([](auto& w) { w.PasswordMessage("hunter2"); })));
  backend.Send(LoginAnswer());
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

TEST(Server, ForwardsTheErrorOfALogin) {
  World world;
  Postgres postgres(world);
  Client client;
  world.core().pool().Checkout(client, client);
  Backend backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(StartupPacket()));
  backend.Send(Failed("3D000"));
  backend.Close();
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "3D000");
  EXPECT_EQ(client.refusal->severity, "FATAL");
}

TEST(Server, SaysWhereItCouldNotConnect) {
  World world;
  Client client;
  world.core().pool().Checkout(client, client);
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
  EXPECT_EQ(client.refusal->message, "cannot connect to PostgreSQL at " + world.sockets.path() +
                                         "/.s.PGSQL.5432: No such file or directory");
}

TEST(Server, TriesTheNextHost) {
  World world;
  TemporaryDirectory empty;
  world.config.storages[0].hosts = {{.host = empty.path()}, {.host = world.sockets.path()}};
  Postgres postgres(world);
  Client client;
  world.core().pool().Checkout(client, client);
  Backend backend = postgres.AcceptLogin();
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

TEST(Server, GivesUpALoginThatTakesTooLong) {
  World world;
  world.config.storages[0].connect_timeout = 50ms;
  Postgres postgres(world);
  Client client;
  world.core().pool().Checkout(client, client);
  Backend backend = postgres.Accept();
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
}

TEST(Server, PassesRepliesToItsUser) {
  Lent lent;
  lent.Ask("SELECT 1");
  lent.backend.Send(Done("SELECT 1"));
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.received == Done("SELECT 1"); }));
  EXPECT_EQ(lent.client.server->replies().Next(AsBytes(lent.client.received)).event,
            ReplyStep::Event::kReady);
  lent.pool().Return(*lent.client.server);
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, ReadsForItselfWhatItsUserLeftUnread) {
  Lent lent;
  Server& server = *lent.client.server;
  lent.backend.Send(Written([](auto& w) { w.ParameterStatus({"TimeZone", "Asia/Tokyo"}); }));
  ASSERT_TRUE(lent.world.Until([&] { return !lent.client.received.empty(); }));
  server.inbox().Push(lent.world.core().buffers.Copy(AsBytes(lent.client.received)));
  lent.pool().Return(server);
  ASSERT_TRUE(lent.UntilIdle());
  EXPECT_EQ(*server.parameters().Find("TimeZone"), "Asia/Tokyo");
}

TEST(Server, IsGoneForItsUserWhenPostgresCloses) {
  Lent lent;
  lent.backend.Close();
  ASSERT_TRUE(lent.world.Until([&] { return lent.client.ended; }));
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, AcceptsAChangedParameterWhileIdle) {
  Lent lent;
  Server& server = *lent.client.server;
  lent.pool().Return(server);
  const std::string message = Written([](auto& w) {
    w.ParameterStatus({"TimeZone", "Europe/Berlin"});
  });
  lent.backend.Send(message.substr(0, 7));  // in two parts: not lent between them
  ASSERT_TRUE(lent.world.Until([&] { return lent.pool().counts().settling == 1; }));
  lent.backend.Send(message.substr(7));
  ASSERT_TRUE(lent.UntilIdle());
  EXPECT_EQ(*server.parameters().Find("TimeZone"), "Europe/Berlin");
  EXPECT_EQ(*server.baseline().Find("TimeZone"), "Europe/Berlin");
}

TEST(Server, IsClosedWhenItSpeaksWhileIdle) {
  for (const std::string& bytes :
       {Done("SELECT 1"), Failed("57P01"), Raw("garbage that is long")}) {
    Lent lent;
    lent.pool().Return(*lent.client.server);
    lent.backend.Send(bytes);
    EXPECT_TRUE(lent.backend.ExpectsEnd());
    lent.backend.Close();
    EXPECT_TRUE(lent.UntilGone());
  }
}

TEST(Server, KeepsItsPlaceUntilPostgresHasEnded) {
  Lent lent;
  lent.pool().Return(*lent.client.server);
  lent.world.core().pools->Drain();
  ASSERT_TRUE(lent.backend.Expects(Written([](auto& w) { w.Terminate(); })));
  for (int i = 0; i < 20; ++i) lent.world.core().Turn();
  EXPECT_EQ(lent.pool().board().size().open(), 1u);
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, CancelsRollsBackAndResetsForAClientThatHasGone) {
  Lent lent;
  lent.Ask("BEGIN; SELECT pg_sleep(1000)");
  lent.Abandon();
  Backend cancel = lent.postgres.Accept();
  ASSERT_TRUE(cancel.Expects(Written([](auto& w) { w.CancelRequest(77, AsBytes(kSecret)); })));
  lent.backend.Send(Failed("57014") + Ready(TransactionStatus::kFailed));
  for (int i = 0; i < 20; ++i) lent.world.core().Turn();  // the cancel is still on its way
  EXPECT_EQ(lent.pool().counts().settling, 1u);
  cancel.Close();
  ASSERT_TRUE(lent.backend.Expects(Query("ROLLBACK")));
  lent.backend.Send(Done("ROLLBACK"));
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, EndsTheCopyOfAClientThatHasGone) {
  Lent lent;
  lent.Ask("COPY t FROM STDIN");
  lent.backend.Send(Raw("G\0\0\0\x07\0\0\0"));
  ASSERT_TRUE(lent.world.Until([&] { return !lent.client.received.empty(); }));
  lent.client.server->replies().Next(AsBytes(lent.client.received));
  ASSERT_TRUE(lent.client.server->replies().in_copy());
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Raw("f\0\0\0\x18the client has gone\0")));
  lent.postgres.Accept().Close();
  lent.backend.Send(Failed("57014") + Ready());
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, SendsTheSyncThatAGoneClientDidNot) {
  Lent lent;
  lent.client.server->replies().Expect(Request::kParse, Disposition::kForward);
  const std::string parse = Raw("P\0\0\0\x08\0\0\0\0");
  lent.client.server->stream().SendCopy(AsBytes(parse));
  ASSERT_TRUE(lent.backend.Expects(parse));
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Written([](auto& w) { w.Sync(); })));
  lent.postgres.Accept().Close();
  lent.backend.Send(Written([](auto& w) { w.ParseComplete(); }) + Ready());
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Done("DISCARD ALL"));
  EXPECT_TRUE(lent.UntilIdle());
}

TEST(Server, IsClosedWhenItsResetFails) {
  Lent lent;
  lent.Abandon();
  ASSERT_TRUE(lent.backend.Expects(Query("DISCARD ALL")));
  lent.backend.Send(Failed("42501") + Ready());
  EXPECT_TRUE(lent.backend.ExpectsEnd());
  lent.backend.Close();
  EXPECT_TRUE(lent.UntilGone());
}

TEST(Server, IsClosedWhenItDoesNotSettleInTime) {
  World world;
  world.config.routes[0].pool.reset_timeout = 50ms;
  Postgres postgres(world);
  Client client;
  Backend backend = Lent::Connect(world, postgres, client);
  world.core().pool().Abandon(*client.server, AbandonReason::kClientGone);
  ASSERT_TRUE(backend.Expects(Query("DISCARD ALL")));
  EXPECT_TRUE(backend.ExpectsEnd());
  backend.Close();
  EXPECT_TRUE(world.Until([&] { return world.core().pool().board().size().open() == 0; }));
}

TEST(Server, TellsWhoAskedThatACancelIsDelivered) {
  class Observer final : public CancelObserver {
   public:
    void OnCancelEnd() override { ended = true; }
    bool ended = false;
  };
  Lent lent;
  Observer observer;
  lent.client.server->Cancel(&observer);
  Backend cancel = lent.postgres.Accept();
  ASSERT_TRUE(cancel.Expects(Written([](auto& w) { w.CancelRequest(77, AsBytes(kSecret)); })));
  EXPECT_FALSE(observer.ended);
  lent.pool().Return(*std::exchange(lent.client.server, nullptr));
  EXPECT_EQ(lent.pool().counts().settling, 1u);  // held back
  cancel.Close();
  EXPECT_TRUE(lent.UntilIdle());
  EXPECT_TRUE(observer.ended);
}

TEST(Server, DoesNotHoldUpTheEndForACancelThatNobodyTakes) {
  Lent lent;
  lent.world.config.timeouts.cancel = 1h;
  lent.client.server->Cancel(nullptr);
  Backend before = lent.postgres.Accept();
  lent.Ask("SELECT pg_sleep(1000)");
  lent.world.core().pools->Stop();
  lent.Abandon();  // cancelled, too, though all ends
  Backend after = lent.postgres.Accept();
  ASSERT_TRUE(after.Expects(Written([](auto& w) { w.CancelRequest(77, AsBytes(kSecret)); })));
  EXPECT_TRUE(
      lent.world.Until([&] { return lent.world.core().pools->resources().cancels == 0; }));
}

TEST(Server, MovesToAnotherCoreAndWorksThere) {
  Lent lent(2);
  const uint64_t id = lent.client.server->id();
  lent.pool().Return(*std::exchange(lent.client.server, nullptr));
  ASSERT_TRUE(lent.UntilIdle());
  Client other;
  PoolShard& there = lent.world.core(1).pool();
  there.Checkout(other, other);
  ASSERT_TRUE(lent.world.Until([&] { return other.server != nullptr; }));
  EXPECT_EQ(other.server->id(), id);
  EXPECT_EQ(other.server->key().secret, kSecret);
  EXPECT_EQ(*other.server->baseline().Find("server_version"), "15.4");
  EXPECT_EQ(other.server->counters().hand_overs, 1u);
  EXPECT_EQ(there.board().size().open(), 1u);
  other.server->replies().Expect(Request::kQuery, Disposition::kForward);
  other.server->stream().SendCopy(AsBytes(Query("SELECT 2")));
  ASSERT_TRUE(lent.backend.Expects(Query("SELECT 2")));
  lent.backend.Send(Done("SELECT 1"));
  ASSERT_TRUE(lent.world.Until([&] { return other.received == Done("SELECT 1"); }));
  other.server->replies().Next(AsBytes(other.received));
  there.Return(*other.server);
}

}  // namespace
}  // namespace trireme
