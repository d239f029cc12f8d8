// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests and benchmarks: one pool on several cores in one thread, without sockets. Servers do
// nothing by themselves; mail waits until the test delivers it, in the order the test chooses (but
// first in, first out between two cores, as the real queues are); a core takes a turn when the test
// says so, whole or step by step.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "pool/pool.h"

namespace trireme {

class FakeServer final : public PooledServer {
 public:
  uint64_t id = 0;
  std::optional<Cleaning> cleaning;  // asked for, not reported yet
  bool leaving = false;
  bool closing = false;
  CloseKind close_kind = CloseKind::kAtOnce;
  Rest at_rest = Rest::kClean;

  void MarkDirty() { dirty_ = true; }
  void Hold() { ++holds_; }
  void Unhold() { --holds_; }

  void BeginConnect() override {}
  Rest rest() const override { return at_rest; }
  void Serve(Waiter& waiter) override;
  void BeginCleaning(Cleaning what) override { cleaning = what; }
  void BeginLeaving() override { leaving = true; }
  void BeginClose(CloseKind kind) override {
    closing = true;
    close_kind = kind;
  }
};

class FakeClient final : public Waiter, public ServerUser {
 public:
  FakeServer* server = nullptr;
  std::optional<PgError> refusal;
  Time served_at{};

  void OnServer(Server&) override { TRIREME_UNREACHABLE(); }  // FakeServer::Serve
  void OnRefused(const PgError& error) override { refusal = error; }
  void OnServerReceive(Slice&&) override {}
  void OnServerEnd(int) override {}
  void OnServerDrained() override {}
};

inline void FakeServer::Serve(Waiter& waiter) { static_cast<FakeClient&>(waiter).server = this; }

class FakeFleet;

class FakeCore final : public PoolHost, public Siblings {
 public:
  FakeCore(FakeFleet& fleet, uint32_t index) : fleet_(fleet), index_(index) {}

  // Siblings
  uint32_t count() const override;
  uint32_t self() const override { return index_; }
  void Send(uint32_t core, const PoolMail& mail) override;

  // PoolHost
  PooledServer* OpenServer(PoolShard&) override { return &NewServer(next_id_++ * 1000 + index_); }
  PooledServer* AdoptServer(PoolShard&, ServerPassport& passport) override {
    return &NewServer(passport.id);
  }
  void DiscardPassport(ServerPassport&) override {}
  void FreeServer(PooledServer& server) override {
    std::erase_if(servers, [&](const auto& owned) { return owned.get() == &server; });
  }
  void MarkChanged(PoolShard&) override { changed = true; }
  void OnPlaceReleased(Board&) override {}
  void WantPlace(Board&, const Quota&) override { ++places_wanted; }
  bool OthersWant(const Board&) override { return others_want; }
  void OnServerOpened(const PooledServer&) override {}
  void OnServerClosing(const PooledServer&, CloseReason reason) override {
    closings.push_back(reason);
  }
  void OnConnectFailed(const PoolShard&, const PgError&) override {}

  // What Pools::EndOfTurn does.
  void Turn() {
    while (std::exchange(changed, false)) pool->RunGrants();
    if (pool->Publish()) {
      FenceBoards();
      pool->LookAgain();
    }
  }

  std::vector<FakeServer*> InState(PooledServer::State state) {
    std::vector<FakeServer*> found;
    for (const auto& server : servers) {
      if (server->state() == state) found.push_back(server.get());
    }
    return found;
  }

  Histogram hand_overs;
  std::unique_ptr<PoolShard> pool;
  std::vector<std::unique_ptr<FakeServer>> servers;
  std::vector<CloseReason> closings;
  bool changed = false;
  uint32_t places_wanted = 0;
  bool others_want = false;

 private:
  FakeServer& NewServer(uint64_t id) {
    servers.push_back(std::make_unique<FakeServer>());
    servers.back()->id = id;
    return *servers.back();
  }

  FakeFleet& fleet_;
  const uint32_t index_;
  uint64_t next_id_ = 1;
};

class FakeFleet {
 public:
  struct Options {
    uint32_t cores = 2;
    uint32_t storage_connections_max = 0;
    PoolSettings settings = DefaultSettings();
    SharingConfig sharing{};
    uint64_t seed = 1;
  };

  static PoolSettings DefaultSettings() {
    PoolSettings settings{.key = "0:app@main", .name = "main/app"};
    settings.pool.size = 4;
    settings.storage.name = "main";
    settings.storage.hosts = {{.host = "127.0.0.1", .port = 5432}};
    return settings;
  }

  explicit FakeFleet(Options options)
      : timers(Time{1s}), now(Time{1s}), random(options.seed), directory(options.cores, 16) {
    options.settings.limits.storage_max = options.storage_connections_max;
    board = directory.FindOrCreate(options.settings.key, options.settings.Caps());
    for (uint32_t i = 0; i < options.cores; ++i) {
      cores.push_back(std::make_unique<FakeCore>(*this, i));
    }
    for (const auto& core : cores) {
      const PoolContext context{.host = *core,
                                .now = now,
                                .timers = timers,
                                .random = random,
                                .siblings = *core,
                                .sharing = options.sharing,
                                .hand_overs = core->hand_overs};
      core->pool = std::make_unique<PoolShard>(context, *board, options.settings);
    }
  }

  // Ends every server where it stands and lets everything settle.
  ~FakeFleet() {
    for (const auto& core : cores) core->pool->Stop();
    for (int round = 0; round < 100; ++round) {
      DeliverAll();
      for (const auto& core : cores) {
        for (FakeServer* server : core->InState(PooledServer::State::kLent)) {
          core->pool->Abandon(*server, AbandonReason::kProtocol);
        }
        FinishAll(core->self());
        core->Turn();
      }
    }
    TRIREME_ASSERT(mails_waiting() == 0 && board->size().open() == 0 && board->alive() == 0);
  }

  FakeCore& core(uint32_t index) { return *cores[index]; }
  PoolShard& pool(uint32_t index) { return *cores[index]->pool; }

  void Advance(Duration duration) {
    now += duration;
    timers.Advance(now);
  }

  // Every server of the core that was told to do something has done it.
  void FinishAll(uint32_t index) {
    FakeCore& core = *cores[index];
    for (FakeServer* server : core.InState(PooledServer::State::kConnecting)) Login(index, *server);
    for (FakeServer* server : core.InState(PooledServer::State::kSettling)) {
      if (server->cleaning && !server->held()) {
        server->cleaning.reset();
        server->at_rest = PooledServer::Rest::kClean;
        core.pool->OnClean(*server);
      }
    }
    for (FakeServer* server : core.InState(PooledServer::State::kLeaving)) LeaveNow(index, *server);
    for (FakeServer* server : core.InState(PooledServer::State::kClosing)) {
      core.pool->OnClosed(*server);
    }
  }
  void Login(uint32_t index, FakeServer& server) {
    pool(index).OnLoginBegun(server);
    pool(index).OnLogin(server, ParameterSet{});
  }
  void LeaveNow(uint32_t index, FakeServer& server) {
    auto passport = std::make_unique<ServerPassport>();
    passport->id = server.id;
    passport->created = server.created();
    passport->retire_at = server.retire_at();
    passport->heard_at = server.heard_at();
    pool(index).OnLeft(server, std::move(passport));
  }

  size_t mails_waiting() const {
    size_t count = 0;
    for (const auto& [pair, queue] : mail) count += queue.size();
    return count;
  }
  // The oldest mail between the two; false when there is none.
  bool Deliver(uint32_t from, uint32_t to) {
    auto& queue = mail[{from, to}];
    if (queue.empty()) return false;
    const PoolMail letter = queue.front();
    queue.pop_front();
    pool(to).OnMail(letter);
    return true;
  }
  void DeliverAll() {
    for (uint32_t from = 0; from < cores.size(); ++from) {
      for (uint32_t to = 0; to < cores.size(); ++to) {
        while (Deliver(from, to)) {
        }
      }
    }
  }

  // Everything happens until nothing more would: mail wakes cores, cores take turns only when
  // something changed. False when that takes suspiciously long.
  bool Settle() {
    for (int round = 0; round < 200; ++round) {
      DeliverAll();
      bool quiet = true;
      for (const auto& core : cores) {
        FinishAll(core->self());
        if (!core->changed) continue;
        quiet = false;
        core->Turn();
      }
      if (quiet && mails_waiting() == 0) return true;
    }
    return false;
  }

  TimerWheel timers;
  Time now;
  Random random;
  Directory directory;
  Board* board = nullptr;
  std::vector<std::unique_ptr<FakeCore>> cores;
  std::map<std::pair<uint32_t, uint32_t>, std::deque<PoolMail>> mail;
};

inline uint32_t FakeCore::count() const { return static_cast<uint32_t>(fleet_.cores.size()); }
inline void FakeCore::Send(uint32_t core, const PoolMail& mail) {
  fleet_.mail[{index_, core}].push_back(mail);
}

}  // namespace trireme
