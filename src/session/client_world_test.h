// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests: the clients of one core over the real ring, with a pool of one server. The test plays
// both the application and PostgreSQL, byte by byte.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/seeded_secret_random.h"
#include "pool/scripted_postgres.h"
#include "ring/uring_ring.h"
#include "session/clients.h"
#include "side/inline_crew.h"

namespace trireme {

inline Config TheConfig(const std::string& sockets) {
  Config config;
  config.listeners = {{.unix_socket_dir = sockets}};
  config.storages = {{.name = "main", .hosts = {{.host = sockets, .port = 5432}}}};
  config.users = {
      {.name = "app", .secret = {Secret::Kind::kPlaintext, "hunter2"}, .auth = AuthMethod::kTrust}};
  config.routes = {{.database = "main", .user = "app"}};
  config.routes[0].pool.size = 1;
  config.routes[0].pool.reset_query = "";
  config.routes[0].pool.wait_notify = 0s;
  config.timeouts.half_close = 10s;
  config.limits.buffer_bytes = 4096;
  config.limits.buffers_max = 256;
  return config;
}

// One core with everything above the ring, alone in the world.
class World final : public script::Turning,
                    private Siblings,
                    private ClientSiblings,
                    private ConsoleHost {
 public:
  explicit World(Config its_config)
      : config(std::move(its_config)),
        directory(1, 16),
        crew({}, &doorbell),
        buffers(
            {.block_bytes = config.limits.buffer_bytes, .blocks_max = config.limits.buffers_max}),
        ring(*UringRing::Create({.completion_entries = 4096, .published_min = 4}, buffers)),
        streams(*ring, {.high_mark_bytes = config.limits.backlog_bytes_max,
                        .low_mark_bytes = config.limits.backlog_bytes_max / 4}),
        timers(ring->now()),
        counts(config.routes.size()) {
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

  void Turn() override {
    crew.Drain(0);
    timers.Advance(ring->now());
    pools->EndOfTurn();
    streams.Flush();
    clients->EndOfTurn();
    ring->SubmitAndReap(ring->now() + 1ms);
  }
  PoolShard::Counts pool_counts() { return pools->pools()[0]->counts(); }

  Config config;
  Directory directory;
  script::NoDoorbell doorbell;
  InlineCrew crew;
  Buffers buffers;
  std::unique_ptr<UringRing> ring;
  Streams streams;
  TimerWheel timers;
  Random random{7};
  SeededSecretRandom secret_random{7};
  ScramKeyCache keys{16, Digest{}};
  SaltSecret salts{Digest{}};
  script::NoLog sink;
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

// A pool of one server, which the test plays.
class ClientTest : public testing::Test {
 public:
  using Peer = script::Peer;

  void Start() {
    world_ = std::make_unique<World>(config_);
    postgres_ = std::make_unique<script::Postgres>(*world_, sockets_.path());
  }
  ~ClientTest() override {
    // PostgreSQL ends first, or we would wait until the pool has lost patience.
    backend_.reset();
    postgres_.reset();
    world_.reset();
  }

  Peer Connect() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    world_->clients->OnAccept({.fd = ends[0], .listener_index = 0});
    return Peer(*world_, ends[1]);
  }
  Peer Accept() { return postgres_->Accept(); }
  // The first client, with the server that was opened for its login.
  Peer LogInFirst(std::vector<ParameterView> more = {}) {
    Peer client = Connect();
    client.Send(script::AppStartup(more));
    backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
    welcome_ = client.ReadUntil('Z');
    EXPECT_TRUE(world_->Until([&] { return world_->pool_counts().idle == 1; }));
    return client;
  }
  Peer LogIn(std::vector<ParameterView> more = {}) {
    Peer client = Connect();
    client.Send(script::AppStartup(more));
    welcome_ = client.ReadUntil('Z');
    return client;
  }
  std::string CancelRequest() {  // of who logged in last
    const size_t at = welcome_.size() - script::Ready().size() - 8;
    return script::Written([&](auto& w) {
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

  script::TemporaryDirectory sockets_;
  Config config_ = TheConfig(sockets_.path());
  std::unique_ptr<World> world_;
  std::unique_ptr<script::Postgres> postgres_;
  std::unique_ptr<Peer> backend_;
  std::string welcome_;
};

}  // namespace trireme
