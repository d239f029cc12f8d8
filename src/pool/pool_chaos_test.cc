// SPDX-License-Identifier: GPL-3.0-or-later
//
// A pool on several cores with everything at once, from a seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "pool/fake_fleet_steps.h"

namespace trireme {
namespace {

using State = PooledServer::State;

const PgError kStarting{.severity = "FATAL", .sqlstate = "57P03", .message = "starting up"};

// Random clients on random cores, mail late and in any order, servers that die: the cap holds at
// every step, nobody shares a server, and once all is quiet nobody waits beside something free.
class Chaos {
 public:
  Chaos(uint64_t seed, Sharing policy)
      : fleet_(OptionsFor(seed, policy)), random_(seed), clients_(24) {}

  void Run() {
    for (int step = 0; step < 3000; ++step) {
      Act();
      ASSERT_LE(fleet_.board->size().open(), kSize);
      ASSERT_LE(Servers(), kSize);
    }
    for (FakeClient& client : clients_) {  // from now on everybody behaves
      if (client.server != nullptr) GiveBack(fleet_, CoreOf(client), client);
    }
    ASSERT_TRUE(fleet_.Settle());
    fleet_.Advance(20s);
    ASSERT_TRUE(fleet_.Settle());
    for (int round = 0; round < 100; ++round) {
      for (FakeClient& client : clients_) {
        if (client.server != nullptr) GiveBack(fleet_, CoreOf(client), client);
      }
      ASSERT_TRUE(fleet_.Settle());
    }
    for (FakeClient& client : clients_) ASSERT_FALSE(client.waiting());
    for (uint32_t core = 0; core < kCores; ++core) {
      ASSERT_EQ(fleet_.board->line(core).wanted, 0u);
      ASSERT_FALSE(fleet_.board->hungry_cores().Contains(core));
    }
  }

 private:
  static constexpr uint32_t kCores = 3;
  static constexpr uint32_t kSize = 4;

  static FakeFleet::Options OptionsFor(uint64_t seed, Sharing policy) {
    FakeFleet::Options options = With(kCores, kSize);
    options.seed = seed;
    options.sharing.policy = policy;
    options.settings.pool.idle_timeout = 30s;
    options.settings.pool.wait_timeout = 0s;
    options.settings.storage.connecting_max = 1;
    return options;
  }

  uint32_t CoreOf(const FakeClient& client) const {
    return static_cast<uint32_t>(&client - clients_.data()) % kCores;
  }

  size_t Servers() {
    std::set<uint64_t> ids;
    for (const auto& core : fleet_.cores) {
      for (const auto& server : core->servers) ids.insert(server->id);
    }
    for (const auto& [pair, queue] : fleet_.mail) {
      for (const PoolMail& mail : queue) {
        if (mail.kind == PoolMail::Kind::kGrant) ids.insert(mail.passport->id);
      }
    }
    return ids.size();
  }

  void Act() {
    FakeClient& client = clients_[random_.Below(clients_.size())];
    const uint32_t core = CoreOf(client);
    const auto other = static_cast<uint32_t>(random_.Below(kCores));
    switch (random_.Below(10)) {
      case 0:
      case 1:
        if (!client.waiting() && client.server == nullptr) {
          fleet_.pool(core).Checkout(client, client);
        }
        return;
      case 2:
      case 3:
        if (client.server != nullptr) GiveBack(fleet_, core, client);
        return;
      case 4:
        if (client.waiting() && random_.Below(4) == 0) fleet_.pool(core).Leave(client);
        return;
      case 5:
      case 6:
        fleet_.Deliver(core, other);
        return;
      case 7:
        fleet_.FinishAll(core);
        return;
      case 8:
        fleet_.core(core).Turn();
        return;
      case 9:
        fleet_.Advance(Duration(random_.Below(5'000'000)));
        if (random_.Below(10) == 0) Break(core);
        return;
    }
  }

  void Break(uint32_t core) {
    if (fleet_.core(core).servers.empty()) return;
    FakeServer& server =
        *fleet_.core(core).servers[random_.Below(fleet_.core(core).servers.size())];
    switch (server.state()) {
      case State::kConnecting:
        return fleet_.pool(core).OnConnectFailed(server, kStarting);
      case State::kLent:
        for (FakeClient& client : clients_) {
          if (client.server == &server) client.server = nullptr;
        }
        [[fallthrough]];
      case State::kIdle:
      case State::kLeaving:
        return fleet_.pool(core).OnBroken(server, CloseReason::kServerEnded);
      case State::kLogin:
      case State::kSettling:
      case State::kClosing:
        return;
    }
  }

  FakeFleet fleet_;
  Random random_;
  std::vector<FakeClient> clients_;
};

class PoolChaos : public testing::TestWithParam<Sharing> {};

TEST_P(PoolChaos, KeepsItsPromisesInChaos) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Chaos(seed, GetParam()).Run();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, PoolChaos,
                         testing::Values(Sharing::kSteal, Sharing::kSharedMutex));

}  // namespace
}  // namespace trireme
