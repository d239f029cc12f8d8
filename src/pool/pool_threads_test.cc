// SPDX-License-Identifier: GPL-3.0-or-later
//
// What cores share of a pool, hammered by real threads that pause at random: quotas, sets, claims,
// welcomes by themselves; and whole pools, one core a thread, with mail over the production queues.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random_pause.h"
#include "base/spsc.h"
#include "pool/fake_fleet.h"

namespace trireme {
namespace {

using std::chrono::steady_clock;

constexpr uint32_t kCores = 4;

template <typename Live>
void OnThreads(uint32_t count, Live live) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < count; ++i) threads.emplace_back([&live, i] { live(i); });
  for (std::thread& thread : threads) thread.join();
}

// Two pools under one cap that is smaller than both together: all three caps hold at every instant,
// and what a reservation that came to nothing held for an instant is home in the end.
TEST(PoolThreads, NoCapIsEverExceeded) {
  constexpr uint32_t kSize = 3;
  constexpr uint32_t kStorage = 4;
  Directory directory(kCores, 8);
  const BoardLimits limits{.size = kSize,
                           .shared = {{SharedCap::Kind::kUser, "user u", "u", kStorage},
                                      {SharedCap::Kind::kStorage, "storage s", "s", kStorage}}};
  Board* const boards[] = {directory.FindOrCreate("a", limits),
                           directory.FindOrCreate("b", limits)};
  std::atomic<uint32_t> held[2] = {0, 0};
  std::atomic<uint32_t> held_in_all{0};
  std::atomic<uint32_t> exceeded{0}, taken{0};
  OnThreads(kCores, [&](uint32_t core) {
    Random random(core + 1);
    for (int i = 0; i < 3000; ++i) {
      const uint64_t which = random.Below(2);
      if (boards[which]->TryReserve(Board::Purpose::kWaiter).outcome !=
          Board::Reservation::Outcome::kTaken) {
        RandomPause(random);
        continue;
      }
      ++taken;
      exceeded += held[which].fetch_add(1) + 1 > kSize;
      exceeded += held_in_all.fetch_add(1) + 1 > kStorage;
      exceeded += boards[which]->size().open() > kSize;
      RandomPause(random);
      held[which].fetch_sub(1);
      held_in_all.fetch_sub(1);
      boards[which]->Release();
    }
  });
  EXPECT_EQ(exceeded, 0u);
  EXPECT_GT(taken, 0u);
  EXPECT_EQ(boards[0]->size().open() + boards[1]->size().open(), 0u);
  for (const Board::Shared& shared : boards[0]->shared()) EXPECT_EQ(shared.quota->open(), 0u);
}

// A core advertises waiters; the others claim them, and give some claims back.
TEST(PoolThreads, EachWaiterIsClaimedOnce) {
  constexpr uint32_t kWaiters = 5000;
  Directory directory(kCores, 8);
  Board& board = *directory.FindOrCreate("p", {});
  board.line(0).oldest_ns = 1;
  std::atomic<uint32_t> claimed{0};
  OnThreads(kCores, [&](uint32_t core) {
    Random random(core + 1);
    if (core == 0) {
      for (uint32_t i = 0; i < kWaiters; ++i) {
        board.line(0).wanted.fetch_add(1);
        board.hungry_cores().Add(0);
        RandomPause(random);
      }
      return;
    }
    const auto patience = steady_clock::now() + std::chrono::seconds(20);
    while (claimed < kWaiters && steady_clock::now() < patience) {
      if (board.Hungriest(core, core).core != kCores && board.Claim(0)) {
        if (random.Below(4) == 0) {
          board.Unclaim(0);
        } else {
          ++claimed;
        }
      }
      RandomPause(random);
    }
  });
  EXPECT_EQ(claimed, kWaiters);
  EXPECT_EQ(board.line(0).wanted, 0u);
}

// Every core changes its own bit only, all of them in one word.
TEST(PoolThreads, ACoresBitIsItsOwn) {
  CoreSet set;
  std::atomic<uint32_t> wrong{0};
  OnThreads(kCores, [&](uint32_t core) {
    Random random(core + 1);
    for (int i = 0; i < 5000; ++i) {
      set.Add(core);
      wrong += !set.Contains(core) || set.Next(core, kCores) != core;
      RandomPause(random);
      set.Remove(core);
      wrong += set.Contains(core);
    }
  });
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(set.Next(0, kCores), kCores);
}

// Welcomes of two versions, published and read by all, of boards that all find or make.
TEST(PoolThreads, APublishedWelcomeIsWholeForAllWhoReadIt) {
  for (int round = 0; round < 40; ++round) {
    Directory directory(kCores, 8);
    std::atomic<uint32_t> wrong{0};
    OnThreads(kCores, [&](uint32_t core) {
      Random random(static_cast<uint64_t>(round) * kCores + core);
      for (int i = 0; i < 50; ++i) {
        Board& board = *directory.FindOrCreate(random.Below(2) == 0 ? "a" : "b", {.size = 1});
        const std::string version = random.Below(2) == 0 ? "15.1" : "16.2";
        ParameterSet welcome;
        welcome.Set("server_version", version);
        welcome.Set("again", version);
        board.PublishWelcome(welcome);
        RandomPause(random);
        const ParameterSet* read = board.welcome();
        wrong += read == nullptr || *read->Find("server_version") != *read->Find("again");
      }
    });
    ASSERT_EQ(wrong, 0u);
    ASSERT_EQ(directory.count(), 2u);
  }
}

// --- whole pools ---------------------------------------------------------------------------------

struct SharedWorld {
  static constexpr uint32_t kSize = 2;

  explicit SharedWorld(Sharing policy) : sharing{.policy = policy}, directory(kCores, 8) {
    settings.pool.size = kSize;
    settings.pool.wait_timeout = 0s;
    board = directory.FindOrCreate(settings.key, {.size = kSize});
    for (uint32_t i = 0; i < kCores * kCores; ++i) {
      queues.push_back(std::make_unique<SpscQueue<PoolMail>>(4));
    }
  }
  SpscQueue<PoolMail>& queue(uint32_t from, uint32_t to) { return *queues[from * kCores + to]; }

  PoolSettings settings = FakeFleet::DefaultSettings();
  const SharingConfig sharing;
  Directory directory;
  Board* board;
  std::vector<std::unique_ptr<SpscQueue<PoolMail>>> queues;
  std::atomic<uint32_t> servers{0};   // that exist
  std::atomic<uint32_t> exceeded{0};  // times there were too many
  std::atomic<uint32_t> settled{0};   // cores whose clients have come to their end, over all rounds
  std::atomic<bool> failed{false};
};

// One core on a thread of its own. Its servers do what they are told when chance says so.
class ThreadCore final : public PoolHost, public Siblings {
 public:
  ThreadCore(SharedWorld& world, uint32_t index)
      : world_(world), index_(index), random_(index + 1), timers_(now_) {
    const PoolContext context{.host = *this,
                              .now = now_,
                              .timers = timers_,
                              .random = random_,
                              .siblings = *this,
                              .sharing = world.sharing,
                              .hand_overs = hand_overs_};
    pool_ = std::make_unique<PoolShard>(context, *world.board, world.settings);
  }

  // Rounds of few requests each: at the end of a round nothing else happens that would rescue a
  // waiter whom everybody has forgotten.
  void Live(uint32_t rounds) {
    for (uint32_t round = 1; round <= rounds && !world_.failed; ++round) {
      left_ = static_cast<uint32_t>(random_.Below(3));
      bool told = false;
      const auto patience = steady_clock::now() + std::chrono::seconds(20);
      while (world_.settled < round * kCores && !world_.failed) {
        Turn();
        if (!told && left_ == 0 && client_.server == nullptr && !client_.waiting()) {
          told = true;
          ++world_.settled;
        }
        if (steady_clock::now() > patience) world_.failed = true;
      }
    }
  }
  // Nobody asks any more: all is closed, on this thread, in turns with the other cores.
  void End() {
    pool_->Stop();
    if (client_.server != nullptr) {
      pool_->Abandon(*std::exchange(client_.server, nullptr), AbandonReason::kProtocol);
    }
    Turn();
  }

  std::string Report() {
    const PoolShard::Counts counts = pool_->counts();
    return "core " + std::to_string(index_) + ": waiting " + std::to_string(counts.waiting) +
           ", idle " + std::to_string(counts.idle) + ", lent " + std::to_string(counts.lent) +
           ", connecting " + std::to_string(counts.connecting) + "\n";
  }
  const PoolShard::Counters& counters() const { return pool_->counters(); }

  // Siblings
  uint32_t count() const override { return kCores; }
  uint32_t self() const override { return index_; }
  void Send(uint32_t core, const PoolMail& mail) override { outbox_.push_back({core, mail}); }

  // PoolHost
  PooledServer* OpenServer(PoolShard&) override {
    world_.exceeded += world_.servers.fetch_add(1) + 1 > SharedWorld::kSize;
    return &NewServer();
  }
  PooledServer* AdoptServer(PoolShard&, ServerPassport&) override { return &NewServer(); }
  void DiscardPassport(ServerPassport&) override { TRIREME_UNREACHABLE(); }
  void FreeServer(PooledServer& server) override {
    std::erase_if(servers_, [&](const auto& owned) { return owned.get() == &server; });
  }
  void MarkChanged(PoolShard&) override { changed_ = true; }
  void OnPlaceReleased(Board&) override {}
  void WantPlace(Board&, const Quota&) override {}
  bool OthersWant(const Board&) override { return false; }
  void OnServerOpened(const PooledServer&) override {}
  void OnServerClosing(const PooledServer&, CloseReason) override {}
  void OnConnectFailed(const PoolShard&, const PgError&) override {}

 private:
  FakeServer& NewServer() {
    servers_.push_back(std::make_unique<FakeServer>());
    return *servers_.back();
  }

  void Turn() {
    for (uint32_t from = 0; from < kCores; ++from) {
      PoolMail mail;
      while (world_.queue(from, index_).TryPop(&mail)) pool_->OnMail(mail);
    }
    ServersAct();
    ClientActs();
    // What Pools::EndOfTurn does, and only when something has changed.
    if (std::exchange(changed_, false)) {
      pool_->RunGrants();
      RandomPause(random_);
      if (pool_->Publish()) {
        FenceBoards();
        RandomPause(random_);
        pool_->LookAgain();
      }
    }
    while (!outbox_.empty() &&
           world_.queue(index_, outbox_.front().first).TryPush(outbox_.front().second)) {
      outbox_.pop_front();
    }
    RandomPause(random_);
  }

  void ServersAct() {
    for (size_t i = servers_.size(); i-- > 0;) {
      FakeServer& server = *servers_[i];
      switch (server.state()) {
        case PooledServer::State::kConnecting:
          pool_->OnLoginBegun(server);
          break;
        case PooledServer::State::kLogin:
          pool_->OnLogin(server, ParameterSet{});
          break;
        case PooledServer::State::kIdle:
          if (random_.Below(100) == 0) pool_->OnBroken(server, CloseReason::kServerEnded);
          break;
        case PooledServer::State::kLeaving:
          if (random_.Below(10) == 0) {
            pool_->OnBroken(server, CloseReason::kServerEnded);
          } else {
            pool_->OnLeft(server, std::make_unique<ServerPassport>());
          }
          break;
        case PooledServer::State::kClosing:
          world_.servers.fetch_sub(1);
          pool_->OnClosed(server);
          break;
        case PooledServer::State::kLent:
        case PooledServer::State::kSettling:
          break;
      }
    }
  }

  void ClientActs() {
    if (client_.server != nullptr) {
      if (random_.Below(2) == 0) pool_->Return(*std::exchange(client_.server, nullptr));
    } else if (client_.waiting()) {
      if (random_.Below(8) == 0 && left_ > 0) pool_->Leave(client_);
    } else if (left_ > 0) {
      --left_;
      pool_->Checkout(client_, client_);
    }
  }

  SharedWorld& world_;
  const uint32_t index_;
  Random random_;
  const Time now_{1s};
  TimerWheel timers_;
  Histogram hand_overs_;
  std::vector<std::unique_ptr<FakeServer>> servers_;
  std::deque<std::pair<uint32_t, PoolMail>> outbox_;
  FakeClient client_;
  uint32_t left_ = 0;  // requests of this round
  bool changed_ = false;
  std::unique_ptr<PoolShard> pool_;
};

class WholePoolThreads : public testing::TestWithParam<Sharing> {};

TEST_P(WholePoolThreads, NoWaiterIsForgottenNoServerLostNoCapExceeded) {
  constexpr uint32_t kRounds = 1500;
  SharedWorld world(GetParam());
  std::vector<std::unique_ptr<ThreadCore>> cores;
  for (uint32_t i = 0; i < kCores; ++i) cores.push_back(std::make_unique<ThreadCore>(world, i));
  OnThreads(kCores, [&](uint32_t core) { cores[core]->Live(kRounds); });
  std::string report;
  uint64_t given = 0;
  for (const auto& core : cores) {
    report += core->Report();
    given += core->counters().steals_given + core->counters().grants_sent;
  }
  EXPECT_FALSE(world.failed) << "in round " << world.settled / kCores << ":\n" << report;
  EXPECT_EQ(world.exceeded, 0u);
  EXPECT_GT(given, 0u);
  for (int round = 0; round < 100; ++round) {
    for (const auto& core : cores) core->End();
  }
  EXPECT_EQ(world.servers, 0u);
  EXPECT_EQ(world.board->size().open(), 0u);
  EXPECT_EQ(world.board->alive(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Policies, WholePoolThreads,
                         testing::Values(Sharing::kSteal, Sharing::kSharedMutex));

}  // namespace
}  // namespace trireme
