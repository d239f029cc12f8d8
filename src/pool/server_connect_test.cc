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
  PoolClient client;
  world.core().pool().Checkout(client, client);
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
  EXPECT_EQ(client.refusal->message, "cannot connect to PostgreSQL at " + world.sockets.path() +
                                         "/.s.PGSQL.5432: No such file or directory");
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

TEST(ServerConnect, GivesUpALoginThatTakesTooLong) {
  ServerWorld world;
  world.config.storages[0].connect_timeout = 50ms;
  Postgres postgres(world, world.sockets.path());
  PoolClient client;
  world.core().pool().Checkout(client, client);
  Peer backend = postgres.Accept();
  ASSERT_TRUE(world.Until([&] { return client.refusal.has_value(); }));
  EXPECT_EQ(client.refusal->sqlstate, "08001");
}

}  // namespace
}  // namespace trireme
