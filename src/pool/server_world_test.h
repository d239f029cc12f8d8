// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests: servers and their pools on one or more cores over the real ring, in one thread. The
// test plays PostgreSQL.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/seeded_secret_random.h"
#include "pool/pools.h"
#include "pool/scripted_postgres.h"
#include "ring/uring_ring.h"
#include "side/inline_crew.h"

namespace trireme {

class ServerWorld;

// One core: everything a shard gives its pools.
class Core final : public Siblings {
 public:
  Core(ServerWorld& world, uint32_t index);

  uint32_t count() const override;
  uint32_t self() const override { return index_; }
  void Send(uint32_t core, const PoolMail& mail) override;

  void Turn();
  PoolShard& pool();

  ServerWorld& world;
  Buffers buffers{{.block_bytes = 4096, .blocks_max = 256}};
  std::unique_ptr<UringRing> ring;
  Streams streams;
  TimerWheel timers;
  Random random{7};
  SeededSecretRandom secret_random{7};
  ScramKeyCache keys{16, Digest{}};
  SaltSecret salts{Digest{}};
  script::NoLog sink;
  Logger log{&sink, {}};
  std::deque<PoolMail> inbox;
  std::unique_ptr<Pools> pools;

 private:
  const uint32_t index_;
};

class ServerWorld final : public script::Turning {
 public:
  explicit ServerWorld(uint32_t core_count = 1) : directory(core_count, 16), crew({}, &doorbell) {
    config.storages = {
        {.name = "main", .hosts = {{.host = sockets.path(), .port = 5432}}, .connect_timeout = 5s}};
    config.users = {{.name = "app", .secret = {Secret::Kind::kPlaintext, "hunter2"}}};
    config.routes = {{.database = "main", .user = "app"}};
    config.routes[0].pool.reset_query = "DISCARD ALL";
    for (uint32_t i = 0; i < core_count; ++i) cores.push_back(std::make_unique<Core>(*this, i));
  }
  ~ServerWorld() {  // nothing is left behind
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
            .key = {.pool_index = 0, .storage_user = "app", .storage_database = "main"}};
  }

  Core& core(uint32_t index = 0) { return *cores[index]; }

  void Turn() override {
    for (const auto& core : cores) core->Turn();
  }

  script::TemporaryDirectory sockets;
  Config config;
  Directory directory;
  script::NoDoorbell doorbell;
  InlineCrew crew;
  std::vector<std::unique_ptr<Core>> cores;
};

inline Core::Core(ServerWorld& its_world, uint32_t index)
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

inline uint32_t Core::count() const { return world.directory.core_count(); }
inline void Core::Send(uint32_t core, const PoolMail& mail) {
  world.core(core).inbox.push_back(mail);
}

inline void Core::Turn() {
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

inline PoolShard& Core::pool() { return *std::get<PoolShard*>(pools->Find(world.TheTarget())); }

// Waits for a server, and is lent it.
class PoolClient final : public Waiter, public ServerUser {
 public:
  void OnServer(Server& its_server) override { server = &its_server; }
  void OnRefused(const PgError& error) override { refusal = error; }
  void OnServerReceive(Slice&& slice) override { received += AsText(slice.bytes()); }
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

// The usual beginning: one client of core 0 has been lent a server.
struct Lent {
  explicit Lent(
      uint32_t cores = 1, void (*configure)(PoolConfig&) = [](PoolConfig&) {})
      : world(cores), postgres(world, world.sockets.path()), backend(Connect(configure)) {}
  script::Peer Connect(void (*configure)(PoolConfig&)) {
    configure(world.config.routes[0].pool);
    return Connect(world, postgres, client);
  }
  static script::Peer Connect(ServerWorld& world, script::Postgres& postgres, PoolClient& client) {
    world.core().pool().Checkout(client, client);
    script::Peer backend = postgres.AcceptLogin();
    EXPECT_TRUE(world.Until([&] { return client.server != nullptr; }));
    return backend;
  }
  void Ask(std::string_view sql) {
    client.server->replies().Expect(Request::kQuery, Disposition::kForward);
    client.server->stream().SendCopy(AsBytes(script::Query(sql)));
    EXPECT_TRUE(backend.Expects(script::Query(sql)));
  }
  // … and has the answer.
  void Ask(std::string_view sql, const std::string& answer) {
    Ask(sql);
    backend.Send(answer);
    EXPECT_TRUE(world.Until([&] { return client.received == answer; }));
    client.server->replies().Next(AsBytes(std::exchange(client.received, {})));
  }
  void GiveBack() { pool().Return(*std::exchange(client.server, nullptr)); }
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

  ServerWorld world;
  PoolClient client;
  script::Postgres postgres;
  script::Peer backend;
};

}  // namespace trireme
