// SPDX-License-Identifier: GPL-3.0-or-later
//
// Simulated clients against the simulated PostgreSQL itself: together they must be without fault,
// whatever the seed, or the simulation would accuse Trireme of their own mistakes.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test/sim/direct_network.h"
#include "test/sim/sim_backend.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_postgres.h"

namespace trireme::sim {
namespace {

class Verdicts final : public Verdict {
 public:
  void OnViolation(const Violation& violation) override {
    all.push_back("[" + std::string(Name(violation.rule)) + "] " + violation.text);
  }
  std::string Text() const {
    std::string text;
    for (const std::string& each : all) text += each + "\n";
    return text;
  }
  std::vector<std::string> all;
};

SocketAddress ServerAddress() { return *SocketAddress::Numeric("10.0.0.1", 5432); }

// Errors of a world with faults.
const std::set<std::string> kFaultErrors = {"57P01", "57P03", "53300"};

struct World {
  explicit World(DirectNetwork::Setup setup) : network(setup) {}

  void StartServer(PostgresHabits habits, uint32_t connections_max = 100) {
    postgres = std::make_unique<SimPostgres>(
        network, PostgresSettings{.address = ServerAddress(), .connections_max = connections_max},
        habits, nullptr);
    postgres->Start();
  }
  SimClient& StartClient(ClientHabits habits, bool faults) {
    ClientSettings settings;
    settings.id = static_cast<uint32_t>(clients.size() + 1);
    settings.address = ServerAddress();
    settings.mode = SimPoolMode::kSession;
    if (faults) settings.allowed_sqlstates = kFaultErrors;
    settings.connections_may_break = faults;
    clients.push_back(std::make_unique<SimClient>(network, settings, habits, verdicts));
    clients.back()->Start();
    return *clients.back();
  }
  ClientCounts Counts() const {
    ClientCounts counts;
    for (const auto& client : clients) counts += client->counts();
    return counts;
  }

  DirectNetwork network;
  Verdicts verdicts;
  std::unique_ptr<SimPostgres> postgres;
  std::vector<std::unique_ptr<SimClient>> clients;
};

TEST(SimPeers, PoliteClientsFindNoFaultInACalmServer) {
  World world({.seed = 1});
  world.StartServer(PostgresHabits::Calm());
  for (int i = 0; i < 10; ++i) world.StartClient(ClientHabits::Polite(), false);
  world.network.RunFor(10s);
  EXPECT_EQ(world.verdicts.Text(), "");
  const ClientCounts counts = world.Counts();
  for (const auto& client : world.clients) {
    EXPECT_FALSE(client->waiting_since() && world.network.now() - *client->waiting_since() > 1s)
        << client->Text() << ", " << client->counts().transactions << " transactions";
  }
  EXPECT_GT(counts.transactions, 2000u);
  EXPECT_GT(counts.copies, 100u);
  EXPECT_GT(counts.rows, 5000u);
  EXPECT_EQ(world.postgres->counts().protocol_errors, 0u);
}

}  // namespace
}  // namespace trireme::sim
