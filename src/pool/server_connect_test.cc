// SPDX-License-Identifier: GPL-3.0-or-later
//
// From nothing to logged in, or to the error that says why not.
#include "pool/server_world_test.h"

namespace trireme {
namespace {

using namespace script;

TEST(ServerConnect, LogsIn) {
  Lent lent;
  Server& server = *lent.client.server;
  EXPECT_EQ(*server.parameters().Find("server_version"), "15.4");
  EXPECT_EQ(server.baseline(), server.parameters());
  EXPECT_EQ(server.process_id(), kProcessId);
  EXPECT_EQ(server.key().secret, kSecret);
  ASSERT_NE(lent.pool().welcome(), nullptr);
  EXPECT_EQ(*lent.pool().welcome(), server.parameters());
  lent.pool().Return(server);
}

TEST(ServerConnect, LogsInByteByByte) {
  ServerWorld world;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(AppStartup()));
  for (const char byte : LoginAnswer()) {
    backend.Send(std::string(1, byte));
    world.core().Turn();
  }
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

TEST(ServerConnect, AnswersACleartextPassword) {
  ServerWorld world;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(AppStartup()));
  backend.Send(Written([](auto& w) { w.AuthenticationCleartextPassword(); }));
  ASSERT_TRUE(backend.Expects(Written([](auto& w) { w.PasswordMessage("hunter2"); })));
  backend.Send(LoginAnswer());
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

TEST(ServerConnect, ForwardsTheErrorOfALogin) {
  ServerWorld world;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.Accept();
  ASSERT_TRUE(backend.Expects(AppStartup()));
  backend.Send(Failed("3D000"));
  backend.Close();
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "3D000");
  EXPECT_EQ(client.refusal->severity, "FATAL");
}

TEST(ServerConnect, SaysWhereItCouldNotConnect) {
  ServerWorld world;
  world.config.routes[0].pool.wait_timeout = 100ms;
  PoolClient client;
  world.core().pool().Checkout(client, client);
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
  EXPECT_EQ(client.refusal->message,
            "no server could be connected to within 100 ms (wait_timeout): cannot connect to "
            "PostgreSQL at " +
                world.sockets.path() + "/.s.PGSQL.5432: No such file or directory");
}

TEST(ServerConnect, TriesTheNextHost) {
  ServerWorld world;
  TemporaryDirectory empty;
  world.config.storages[0].hosts = {{.host = empty.path()}, {.host = world.sockets.path()}};
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.AcceptLogin();
  ASSERT_TRUE(world.Until([&] { return client.server != nullptr; }));
  world.core().pool().Return(*client.server);
}

// --- the connect query ---------------------------------------------------------------------------

struct Connecting {
  explicit Connecting(const std::string& connect_query) {
    world.config.routes[0].pool.connect_query = connect_query;
    world.config.routes[0].pool.wait_timeout = 2s;
    world.core().pool().Checkout(client, client);
    backend.emplace(postgres.AcceptLogin());
    EXPECT_TRUE(backend->Expects(Query(connect_query)));
    EXPECT_EQ(client.server, nullptr);
  }
  bool UntilServed() {
    return world.Until([&] { return client.server != nullptr; });
  }
  bool UntilRefused() {
    return world.Until([&] { return client.refusal.has_value(); });
  }

  ServerWorld world;
  Postgres postgres{world, world.sockets.path()};
  PoolClient client;
  std::optional<Peer> backend;
};

TEST(ServerConnect, AsksTheConnectQueryBeforeTheFirstClient) {
  Connecting connecting("SET TimeZone = 'Asia/Tokyo'; SELECT 1");
  const std::string answer = Reported("TimeZone", "Asia/Tokyo") + Complete("SET") +
                             Written([](auto& w) { w.DataRow({}); }) + Done("SELECT 1");
  for (const char byte : answer) {
    connecting.backend->Send(std::string(1, byte));
    connecting.world.core().Turn();
  }
  ASSERT_TRUE(connecting.UntilServed());
  Server& server = *connecting.client.server;
  EXPECT_TRUE(server.replies().clean());
  EXPECT_EQ(*server.parameters().Find("TimeZone"), "Asia/Tokyo");
  EXPECT_EQ(server.baseline(), server.parameters());
  EXPECT_EQ(*connecting.world.core().pool().welcome(), server.parameters());
  PoolShard& pool = connecting.world.core().pool();
  pool.Return(server);  // once, not before each client
  pool.Checkout(connecting.client, connecting.client);
  connecting.backend->ExpectsSilence();
  pool.Return(server);
}

TEST(ServerConnect, FailsWithTheErrorOfTheConnectQuery) {
  Connecting connecting("SELECT setup()");
  connecting.backend->Send(Failed("42883") + Ready());
  ASSERT_TRUE(connecting.UntilRefused());
  EXPECT_EQ(connecting.client.refusal->severity, "FATAL");
  EXPECT_EQ(connecting.client.refusal->sqlstate, "42883");
  EXPECT_EQ(connecting.client.refusal->message,
            "the connect_query of pool \"main/app\" failed: no");
  EXPECT_TRUE(connecting.backend->ExpectsEnd());
}

TEST(ServerConnect, FailsWhenTheConnectQueryLeavesATransactionOpen) {
  Connecting connecting("BEGIN");
  connecting.backend->Send(Done("BEGIN", 'T'));
  ASSERT_TRUE(connecting.UntilRefused());
  EXPECT_EQ(connecting.client.refusal->sqlstate, "25000");
}

TEST(ServerConnect, FailsWhenTheConnectQueryWantsRows) {
  Connecting connecting("COPY t FROM STDIN");
  connecting.backend->Send(Raw("G\0\0\0\x07\0\0\0"));
  ASSERT_TRUE(connecting.UntilRefused());
  EXPECT_EQ(connecting.client.refusal->sqlstate, "0A000");
}

TEST(ServerConnect, FailsWhenTheServerEndsInTheConnectQuery) {
  Connecting connecting("SELECT 1");
  connecting.backend->Close();
  ASSERT_TRUE(connecting.UntilRefused());
  EXPECT_EQ(connecting.client.refusal->sqlstate, "08001");
}

TEST(ServerConnect, GivesUpALoginThatTakesTooLong) {
  ServerWorld world;
  world.config.storages[0].connect_timeout = 50ms;
  world.config.routes[0].pool.wait_timeout = 100ms;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.Accept();
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
}

// --- protocol 3.2 ---

std::string AppStartup32() {
  return Written([](auto& w) {
    w.StartupMessage(kProtocol32,
                     std::vector<ParameterView>{{"user", "app"}, {"database", "main"}});
  });
}

struct Asking32 {
  Asking32() {
    world.config.storages[0].protocol = ServerProtocol::k32;
    world.core().pool().Checkout(client, client);
    backend.emplace(postgres.Accept());
    EXPECT_TRUE(backend->Expects(AppStartup32()));
  }
  ServerWorld world;
  Postgres postgres{world, world.sockets.path()};
  PoolClient client;
  std::optional<Peer> backend;
};

TEST(ServerConnect, UsesTheLongCancelKeyOfProtocol32) {
  const std::string key(256, 'k');
  Asking32 asking;
  asking.backend->Send(Written([&](auto& w) {
    w.AuthenticationOk();
    w.BackendKeyData(kProcessId, AsBytes(key));
    w.ReadyForQuery(TransactionStatus::kIdle);
  }));
  ASSERT_TRUE(asking.world.Until([&] { return asking.client.server != nullptr; }));
  Server& server = *asking.client.server;
  server.replies().Expect(Request::kQuery, Disposition::kForward);
  server.stream().SendCopy(AsBytes(Query("SELECT 1")));
  server.Cancel(nullptr);
  Peer canceller = asking.postgres.Accept();
  EXPECT_TRUE(
      canceller.Expects(Written([&](auto& w) { w.CancelRequest(kProcessId, AsBytes(key)); })));
  asking.world.core().pool().Abandon(server, AbandonReason::kProtocol);
}

TEST(ServerConnect, TakesTheOlderProtocolThatIsOffered) {
  for (const uint32_t offer : {kProtocol30, uint32_t{0}, kProtocol32}) {
    Asking32 asking;
    asking.backend->Send(Written([&](auto& w) {
                           w.Begin(backend::kNegotiateProtocolVersion);
                           w.Int32(static_cast<int32_t>(offer));
                           w.Int32(0);
                           w.End();
                         }) +
                         LoginAnswer());
    ASSERT_TRUE(asking.world.Until([&] { return asking.client.server != nullptr; }));
    asking.world.core().pool().Return(*asking.client.server);
  }
}

TEST(ServerConnect, RefusesAProtocolItDidNotAskFor) {
  Asking32 asking;
  asking.backend->Send(Written([](auto& w) {
    w.Begin(backend::kNegotiateProtocolVersion);
    w.Int32(static_cast<int32_t>(ProtocolVersion(3, 3)));
    w.Int32(0);
    w.End();
  }));
  ASSERT_TRUE(asking.world.Until([&] { return asking.client.refusal.has_value(); }));
  EXPECT_EQ(asking.client.refusal->sqlstate, sqlstate::kProtocolViolation);
}

}  // namespace
}  // namespace trireme
