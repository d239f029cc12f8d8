// SPDX-License-Identifier: GPL-3.0-or-later
//
// Simulated clients against the simulated PostgreSQL itself: together they must be without fault,
// whatever the seed, or the simulation would accuse Trireme of their own mistakes.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
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

  void StartServer(PostgresHabits habits, uint32_t connections_max = 100,
                   BackendObserver* observer = nullptr) {
    postgres = std::make_unique<SimPostgres>(
        network, PostgresSettings{.address = ServerAddress(), .connections_max = connections_max},
        habits, observer);
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

void ExpectNobodyWaits(const World& world) {
  for (const auto& client : world.clients) {
    const auto since = client->waiting_since();
    EXPECT_FALSE(since && world.network.now() - *since > 1s) << client->Text();
  }
}

// Follows every backend, as the oracles of a world do.
class Follower final : public BackendObserver {
 public:
  void OnLogin(const SimBackend& backend) override { live[backend.id()] = ""; }
  void OnQuery(const SimBackend& backend, std::string_view tag) override {
    ASSERT_TRUE(live.contains(backend.id()));
    ASSERT_EQ(tags.count(std::string(tag)), 0u) << tag << " ran twice";
    tags.insert(std::string(tag));
  }
  void OnTransaction(const SimBackend& backend, TransactionStatus status) override {
    ASSERT_EQ(backend.status(), status);
    ++transactions;
  }
  void OnCancel(const Cancel& cancel) override { cancels += cancel.running ? 1 : 0; }
  void OnEnd(const SimBackend& backend) override { ASSERT_EQ(live.erase(backend.id()), 1u); }

  std::map<uint64_t, std::string> live;
  std::set<std::string> tags;
  uint64_t transactions = 0;
  uint64_t cancels = 0;
};

struct CalmCase {
  uint64_t piece_bytes_max;
  Duration time;
  Duration latency_max;
  uint32_t big_permille;
};

class CalmPeers : public testing::TestWithParam<CalmCase> {};

TEST_P(CalmPeers, FindNoFaultInEachOther) {
  ClientCounts counts;
  uint64_t suspended_portals = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Follower follower;
    World world({.seed = seed,
                 .piece_bytes_max = GetParam().piece_bytes_max,
                 .latency_max = GetParam().latency_max});
    PostgresHabits habits = PostgresHabits::Calm();
    static constexpr ClientAuthMethod kMethods[] = {
        ClientAuthMethod::kTrust, ClientAuthMethod::kPassword, ClientAuthMethod::kMd5,
        ClientAuthMethod::kScramSha256};
    habits.auth = kMethods[seed - 1];
    habits.reports_parameters_at_once = seed == 2;
    habits.notice_permille = 50;
    habits.standby_report_permille = 50;
    habits.idle_talk_every = 5ms;
    world.StartServer(habits, 100, &follower);
    ClientHabits client = ClientHabits::Polite();
    client.big_permille = GetParam().big_permille;
    client.session_weight = 8;
    for (int i = 0; i < 4; ++i) world.StartClient(client, false);
    world.network.RunFor(GetParam().time);
    EXPECT_EQ(world.verdicts.Text(), "");
    ExpectNobodyWaits(world);
    EXPECT_EQ(world.postgres->counts().protocol_errors, 0u);
    EXPECT_GT(follower.tags.size(), 100u);
    EXPECT_GT(follower.transactions, 10u);
    EXPECT_EQ(follower.live.size(), world.postgres->connections());
    counts += world.Counts();
    suspended_portals += world.postgres->counts().suspended_portals;
  }
  EXPECT_GT(counts.transactions, 300u);
  EXPECT_GT(counts.copies, 50u);
  EXPECT_GT(counts.rows, 1000u);
  EXPECT_GT(counts.notices, 10u);
  if (GetParam().big_permille > 0) {  // runs longer
    EXPECT_GT(counts.notifications, 0u);
  }
  EXPECT_GT(counts.errors["22012"], 1u);
  EXPECT_GT(counts.errors["25P02"], 1u);
  EXPECT_EQ(counts.connections_lost, 0u);
  EXPECT_GT(suspended_portals, 20u);
}

INSTANTIATE_TEST_SUITE_P(Pieces, CalmPeers,
                         testing::Values(CalmCase{UINT64_MAX, 1000ms, 100us, 5},
                                         CalmCase{1, 250ms, 0us, 0},  // byte by byte
                                         CalmCase{200, 800ms, 20us, 1}));

// A world of faults and rudeness; then it heals, and everybody is served again.
TEST(SimPeers, AgreeInAWorldOfFaultsAndAreServedWhenItHeals) {
  PostgresCounts postgres;
  ClientCounts counts;
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world({.seed = seed, .piece_bytes_max = seed % 3 == 0 ? 600u : UINT64_MAX});
    world.StartServer(PostgresHabits::Drawn(world.network.random()), 6);
    for (int i = 0; i < 8; ++i) {
      world.StartClient(ClientHabits::Drawn(world.network.random()), true);
    }
    world.network.RunFor(200ms);
    if (seed % 4 == 0) world.postgres->Restart(30ms);
    if (seed % 4 == 1) world.postgres->Refuse(30ms);
    world.network.RunFor(300ms);
    EXPECT_LE(world.postgres->connections(), world.postgres->connections_seen_max());
    for (const auto& client : world.clients) client->Heal();
    world.postgres->Heal();
    const uint64_t before = world.Counts().transactions;
    world.network.RunFor(300ms);
    EXPECT_GT(world.Counts().transactions, before);
    for (const auto& client : world.clients) client->Stop();
    world.network.RunFor(3s);
    for (const auto& client : world.clients) {
      EXPECT_EQ(client->state(), SimClient::State::kStopped) << client->Text();
    }
    EXPECT_EQ(world.postgres->connections(), 0u);
    EXPECT_TRUE(world.postgres->backends().empty());
    EXPECT_EQ(world.verdicts.Text(), "");
    counts += world.Counts();
    const PostgresCounts& here = world.postgres->counts();
    postgres.deaths_in_query += here.deaths_in_query;
    postgres.deaths_mid_reply += here.deaths_mid_reply;
    postgres.deaths_in_login += here.deaths_in_login;
    postgres.deaths_idle += here.deaths_idle;
    postgres.mute_logins += here.mute_logins;
    postgres.restarts += here.restarts;
    postgres.refused_full += here.refused_full;
    postgres.refused_start += here.refused_start;
    postgres.cancels_hit += here.cancels_hit;
    postgres.cancels_unknown += here.cancels_unknown;
  }
  EXPECT_GT(counts.vanished, 0u);
  EXPECT_GT(counts.half_closed, 0u);
  EXPECT_GT(counts.garbage, 0u);
  EXPECT_GT(counts.receive_pauses, 0u);
  EXPECT_GT(counts.stalled_logins, 0u);
  EXPECT_GT(counts.errors["28P01"], 0u);
  EXPECT_GT(counts.errors["57014"], 0u);
  EXPECT_GT(postgres.deaths_in_query, 0u);
  EXPECT_GT(postgres.deaths_mid_reply, 0u);
  EXPECT_GT(postgres.deaths_in_login, 0u);
  EXPECT_GT(postgres.deaths_idle, 0u);
  EXPECT_GT(postgres.mute_logins, 0u);
  EXPECT_GT(postgres.restarts, 0u);
  EXPECT_GT(postgres.refused_full, 0u);
  EXPECT_GT(postgres.refused_start, 0u);
  EXPECT_GT(postgres.cancels_hit, 0u);
  EXPECT_GT(postgres.cancels_unknown, 0u);
}

TEST(SimPeers, RepeatThemselvesFromOneSeed) {
  std::string stories[2];
  for (std::string& story : stories) {
    World world({.seed = 7});
    world.StartServer(PostgresHabits::Drawn(world.network.random()));
    for (int i = 0; i < 4; ++i) {
      world.StartClient(ClientHabits::Drawn(world.network.random()), true)
          .SetStory([&](const std::string& line) {
            story += std::to_string(Microseconds(world.network.now().time_since_epoch())) + " " +
                     line + "\n";
          });
    }
    world.network.RunFor(1s);
    story += std::to_string(world.network.random().Next());
  }
  EXPECT_GT(stories[0].size(), 200u);
  EXPECT_EQ(stories[0], stories[1]);
}

// What a broken network does to the bytes does not go unnoticed, whatever it hits.
TEST(SimPeers, NoticeEveryByteThatIsLostOrDoubledOrChanged) {
  uint32_t noticed = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world({.seed = seed});
    world.StartServer(PostgresHabits::Calm());
    ClientHabits habits = ClientHabits::Polite();
    habits.ssl_request_permille = 0;
    habits.transactions_per_login_max = 100000;
    uint64_t sends = 20 + seed;
    uint64_t kind = seed % 3;
    world.network.corrupt = [&](std::string& bytes) {
      if (sends == 0 || --sends > 0 || bytes.empty()) return;
      const size_t at = world.network.random().Below(bytes.size());
      if (kind == 0) bytes.erase(at, 1);
      if (kind == 1) bytes.insert(at, 1, bytes[at]);
      if (kind == 2) bytes[at] = static_cast<char>(bytes[at] ^ 1);
    };
    world.StartClient(habits, false);
    world.network.RunFor(500ms);
    const bool stuck = world.clients[0]->waiting_since() &&
                       world.network.now() - *world.clients[0]->waiting_since() > 100ms;
    noticed += !world.verdicts.all.empty() || stuck ? 1 : 0;
  }
  // A changed byte in the text of an error, in a name of a column says nothing to a client.
  EXPECT_GE(noticed, 26u);
}

}  // namespace
}  // namespace trireme::sim
