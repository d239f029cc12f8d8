// SPDX-License-Identifier: GPL-3.0-or-later
//
// Small studies: the same seed gives the same numbers, and the policies differ as they must.
#include "study/study.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/marks.h"
#include "study/report.h"

namespace trireme::bench {
namespace {

Costs SomeCosts() {
  Costs costs;
  costs.turn = 50ns;
  costs.completion = 150ns;
  costs.system_call = 250ns;
  costs.send = 3us;
  costs.receive = 700ns;
  costs.begin = costs.cancel = 300ns;
  costs.close = 2us;
  costs.sleep = 1us;
  costs.sleep_latency = 5us;
  costs.wake = 800ns;
  costs.line_transfer = 100ns;
  costs.line_scan = 30ns;
  costs.mail = 30ns;
  costs.network = 5us;
  return costs;
}

// Four cores with two servers each. Nearly all of the clients are on one of the cores, if skewed.
StudyPlan SmallPlan(Sharing policy, uint32_t hot_cores) {
  StudyPlan plan;
  plan.cores = 4;
  plan.clients = 24;
  plan.servers = 8;
  plan.hot_cores = hot_cores;
  plan.hot_share = 0.9;
  plan.sharing.policy = policy;
  plan.service = *Draw::Parse("exp:1ms");
  plan.warmup_transactions = 5;
  plan.transactions = 1000;
  plan.costs = SomeCosts();
  return plan;
}

StudyResult Ran(const StudyPlan& plan) {
  StudyResult result = Study(plan).Run();
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.peers.failed, 0u);
  EXPECT_GE(result.peers.transactions, plan.transactions);
  return result;
}

uint64_t Moved(const StudyResult& result) {
  uint64_t moved = 0;
  for (const StudyResult::Core& core : result.cores) {
    moved += core.steals_received + core.grants_received;
  }
  return moved;
}

uint64_t Mails(const StudyResult& result) {
  uint64_t mails = 0;
  for (const StudyResult::Core& core : result.cores) mails += core.account.mails;
  return mails;
}

double Rate(const StudyResult& result) {
  return static_cast<double>(result.peers.transactions) /
         std::chrono::duration<double>(result.measured).count();
}

TEST(Study, TheSameSeedGivesTheSameNumbers) {
  StudyPlan plan = SmallPlan(Sharing::kSteal, 1);
  const std::string first = StudyJson(plan, Ran(plan));
  EXPECT_EQ(first, StudyJson(plan, Ran(plan)));
  plan.seed = 2;
  EXPECT_NE(first, StudyJson(plan, Ran(plan)));
}

TEST(Study, UnderSkewStealingMovesServersAndIsolatedCoresWait) {
  const StudyResult steal = Ran(SmallPlan(Sharing::kSteal, 1));
  const StudyResult isolated = Ran(SmallPlan(Sharing::kIsolated, 1));
  EXPECT_EQ(Moved(isolated), 0u);
  EXPECT_EQ(Mails(isolated), 0u);
  EXPECT_GT(Rate(steal), 1.5 * Rate(isolated));
  EXPECT_GT(isolated.peers.wait.Percentile(0.99), 2 * steal.peers.wait.Percentile(0.99));
}

TEST(Study, ServersMoveWhenAClientOfAnotherCoreHasWaitedLonger) {
  EXPECT_GT(Moved(Ran(SmallPlan(Sharing::kSteal, 0))), 0u);
}

// What costs more takes longer, and a core is never busier than the time there is.
TEST(Study, CostsAreTimeOfTheCore) {
  StudyPlan plan = SmallPlan(Sharing::kSteal, 0);
  plan.service = *Draw::Parse("10us");
  const StudyResult cheap = Ran(plan);
  plan.costs.send *= 4;
  const StudyResult dear = Ran(plan);
  EXPECT_GT(Rate(cheap), 1.5 * Rate(dear));
  for (const StudyResult::Core& core : dear.cores) {
    EXPECT_LE(core.account.busy, dear.measured + 1ms);
    EXPECT_GT(core.account.busy, dear.measured / 2);
  }
}

TEST(Study, EndsOnOneCoreThatIsNeverIdle) {
  StudyPlan plan = SmallPlan(Sharing::kSteal, 0);
  plan.cores = 1;
  plan.service = *Draw::Parse("0");
  plan.servers = plan.clients;
  EXPECT_EQ(Ran(plan).cores.size(), 1u);
}

// Mail, boards and locks cost nothing unless the program says when it uses them.
TEST(Study, IsBuiltWithMarks) {
  if (!kMarksBuilt) GTEST_SKIP() << "built without marks";
  StudyPlan plan = SmallPlan(Sharing::kSteal, 1);
  EXPECT_GT(Mails(Ran(plan)), 0u);
}

TEST(StudyCosts, SayWhatIsMissing) {
  const std::string path = testing::TempDir() + "study_costs.json";
  std::ofstream(path) << R"({"turn": {"ns": 1}})";
  EXPECT_NE(std::string(ReadCosts(path).status().message()).find("\"completion\" is missing"),
            std::string::npos);
  std::ofstream(path) << R"({"turn": 1})";
  EXPECT_NE(std::string(ReadCosts(path).status().message()).find("needs a number \"ns\""),
            std::string::npos);
  EXPECT_FALSE(ReadCosts("/nonexistent").ok());
}

}  // namespace
}  // namespace trireme::bench
