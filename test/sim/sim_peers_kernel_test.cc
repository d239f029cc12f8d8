// SPDX-License-Identifier: GPL-3.0-or-later
//
// The same peers over the simulated kernel: its sockets split, delay, clog and break what passes,
// and the peers still find no fault in each other.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test/sim/sim_backend.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/sim_postgres.h"

namespace trireme::sim {
namespace {

class Verdicts final : public Verdict {
 public:
  void OnViolation(const Violation& violation) override {
    text += "[" + std::string(Name(violation.rule)) + "] " + violation.text + "\n";
  }
  std::string text;
};

Faults Drawn(Random& random) {
  Faults faults;
  for (const Fault fault : {Fault::kSplitRead, Fault::kShortSend, Fault::kClog}) {
    faults[fault] = static_cast<uint32_t>(random.Below(2) * random.Below(100'000));
  }
  for (const Fault fault : {Fault::kRefuseConnect, Fault::kReset}) {
    faults[fault] = static_cast<uint32_t>(random.Below(2) * random.Below(2'000));
  }
  faults.capacity_min = 1 + static_cast<uint32_t>(random.Below(5000));
  return faults;
}

struct Outcome {
  uint64_t trace_hash = 0;
  ClientCounts counts;
};

Outcome RunWorld(uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  SimKernel kernel(seed);
  kernel.set_faults(Drawn(kernel.random()));
  Verdicts verdicts;
  const SocketAddress address = *SocketAddress::Numeric("10.0.0.1", 5432);
  SimPostgres postgres(kernel, {.address = address, .connections_max = 6},
                       PostgresHabits::Drawn(kernel.random()), nullptr);
  postgres.Start();
  std::vector<std::unique_ptr<SimClient>> clients;
  for (uint32_t id = 1; id <= 6; ++id) {
    clients.push_back(
        std::make_unique<SimClient>(kernel,
                                    ClientSettings{.id = id,
                                                   .address = address,
                                                   .mode = SimPoolMode::kSession,
                                                   .route_parameters = {},
                                                   .allowed_sqlstates = {"57P01", "57P03", "53300"},
                                                   .connections_may_break = true},
                                    ClientHabits::Drawn(kernel.random()), verdicts));
    clients.back()->Start();
  }
  kernel.AdvanceTo(kernel.now() + 300ms);
  kernel.Heal();
  postgres.Heal();
  for (const auto& client : clients) client->Heal();
  kernel.AdvanceTo(kernel.now() + 200ms);
  for (const auto& client : clients) client->Stop();
  kernel.AdvanceTo(kernel.now() + 5s);
  EXPECT_EQ(verdicts.text, "");
  Outcome outcome{.trace_hash = kernel.trace_hash()};
  for (const auto& client : clients) {
    EXPECT_EQ(client->state(), SimClient::State::kStopped) << client->Text();
    outcome.counts += client->counts();
  }
  EXPECT_TRUE(postgres.backends().empty())
      << (postgres.backends().empty() ? "" : postgres.backends()[0]->Text());
  return outcome;
}

TEST(SimPeersOverTheKernel, FindNoFaultInEachOther) {
  ClientCounts counts;
  for (uint64_t seed = 1; seed <= 8; ++seed) counts += RunWorld(seed).counts;
  EXPECT_GT(counts.transactions, 200u);
}

TEST(SimPeersOverTheKernel, RepeatThemselvesFromOneSeed) {
  EXPECT_EQ(RunWorld(11).trace_hash, RunWorld(11).trace_hash);
}

}  // namespace
}  // namespace trireme::sim
