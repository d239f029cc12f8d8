// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a transaction takes from the machine once everything has been there before: no heap block,
// no lock, no copy of what passes; and what arrives together leaves together. Production shards on
// simulated cores (study.h), counted by the census of the simulator (census.h). What the ring
// itself costs is not in here: bench/guard counts that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "study/study.h"
#include "test/sim/census.h"

namespace trireme::bench {
namespace {

using sim::Census;

constexpr uint32_t kPayloadBytes = 4096;   // of a query, and of an answer
constexpr uint64_t kCopiedBytesMax = 256;  // for each transaction

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

// Four clients a core, with a server each: nobody waits, and no server changes cores.
StudyPlan SteadyPlan(Protocol protocol, uint32_t cores) {
  StudyPlan plan;
  plan.cores = cores;
  plan.clients = 4 * cores;
  plan.servers = plan.clients;
  plan.sharing.policy = Sharing::kSteal;
  plan.talk = {.protocol = protocol, .query_bytes = kPayloadBytes, .answer_bytes = kPayloadBytes};
  plan.service = *Draw::Parse("exp:100us");
  plan.warmup_transactions = 50;  // of each client
  plan.transactions = 1000;
  plan.buffer_bytes = LimitsConfig{}.buffer_bytes;
  plan.costs = SomeCosts();
  return plan;
}

StudyResult Ran(const StudyPlan& plan) {
  EXPECT_TRUE(Census::linked());
  StudyResult result = Study(plan).Run();
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.peers.failed, 0u);
  EXPECT_GE(result.peers.transactions, plan.transactions);
  return result;
}

// Servers that another core had before.
uint64_t Moved(const StudyResult& result) {
  uint64_t moved = 0;
  for (const StudyResult::Core& core : result.cores) {
    moved += core.steals_received + core.grants_received;
  }
  return moved;
}

// What must hold of `result`; else one line for each thing that does not.
std::string Faults(const StudyResult& result) {
  const Census& census = result.census;
  std::string faults;
  const auto add = [&faults](uint64_t count, const char* what) {
    if (count > 0) faults += std::to_string(count) + " " + what + "\n";
  };
  add(census.allocations, "allocations");
  add(census.locks, "locks");
  add(census.large_copies, "copies of payload");
  // Nor in small pieces: names and heads are, and they are short.
  const uint64_t copied = census.copied_bytes / std::max<uint64_t>(1, result.peers.transactions);
  if (copied > kCopiedBytesMax) add(copied, "bytes copied for each transaction");
  return faults;
}

// ---- nothing is taken ----

using Shape = std::tuple<Protocol, uint32_t>;  // cores

class Transaction : public testing::TestWithParam<Shape> {};

TEST_P(Transaction, TakesNoMemoryNoLockAndNoCopy) {
  const auto [protocol, cores] = GetParam();
  const StudyResult result = Ran(SteadyPlan(protocol, cores));
  EXPECT_EQ(Faults(result), "");
  EXPECT_EQ(Moved(result), 0u) << "not steady";
}

std::string NameOfShape(const testing::TestParamInfo<Shape>& info) {
  static constexpr const char* kNames[] = {"Simple", "Extended", "Prepared"};
  const auto [protocol, cores] = info.param;
  return std::string(kNames[static_cast<size_t>(protocol)]) + std::to_string(cores) +
         (cores == 1 ? "Core" : "Cores");
}

constexpr Protocol kProtocols[] = {Protocol::kSimple, Protocol::kExtended, Protocol::kPrepared};
INSTANTIATE_TEST_SUITE_P(Study, Transaction,
                         testing::Combine(testing::ValuesIn(kProtocols), testing::Values(1, 2, 4)),
                         NameOfShape);

TEST(Transactions, TakeNothingWhenTheAnswerHasManyBlocks) {
  for (const Protocol protocol : kProtocols) {
    StudyPlan plan = SteadyPlan(protocol, 2);
    plan.talk.answer_bytes = 3 * plan.buffer_bytes;
    EXPECT_EQ(Faults(Ran(plan)), "");
  }
}

TEST(Transactions, TakeNothingWhenTheyWaitForServers) {
  for (const Protocol protocol : kProtocols) {
    StudyPlan plan = SteadyPlan(protocol, 1);
    plan.servers = 1;
    const StudyResult result = Ran(plan);
    EXPECT_GT(result.cores[0].waits, result.peers.transactions / 2);
    EXPECT_EQ(Faults(result), "");
  }
}

// What a server is to its core travels by owned pointer. A hand-over may be under way when the
// counting begins.
TEST(Transactions, TakeOneBlockForAServerThatChangesCores) {
  StudyPlan plan = SteadyPlan(Protocol::kPrepared, 2);
  plan.hot_cores = 1;
  plan.hot_share = 0.9;
  plan.servers = 6;
  const StudyResult result = Ran(plan);
  EXPECT_GT(Moved(result), 50u);
  EXPECT_LE(result.census.allocations, Moved(result) + plan.servers);
  EXPECT_EQ(result.census.locks, 0u);
  EXPECT_EQ(result.census.large_copies, 0u);
}

// A text that does not fit into one buffer is made contiguous for whoever reads it: once.
TEST(Transactions, CopyATextThatIsLongerThanABufferOnce) {
  StudyPlan plan = SteadyPlan(Protocol::kSimple, 1);
  plan.talk.query_bytes = plan.buffer_bytes * 3 / 2;
  const StudyResult result = Ran(plan);
  const uint64_t copied = result.census.copied_bytes / result.peers.transactions;
  EXPECT_LE(copied, plan.talk.query_bytes + kCopiedBytesMax);
  EXPECT_EQ(result.census.locks, 0u);
}

// ---- what arrives together leaves together ----

struct Calls {
  uint64_t enters = 0;   // turns of the loop: one system call each, at most
  uint64_t submits = 0;  // … of those, the ones that begin something
};

// Of so many clients that all ask at the same instant, 1,000 times. Nothing takes the core any
// time, so that what arrives together is there together.
Calls CallsOf(uint32_t clients, const Draw& service) {
  StudyPlan plan = SteadyPlan(Protocol::kExtended, 1);
  plan.clients = plan.servers = clients;
  plan.service = service;
  plan.costs = {};
  plan.costs.network = 5us;
  plan.pace = Pace::kTogether;
  plan.transactions = 1000 * clients;
  const StudyResult result = Ran(plan);
  return {.enters = result.cores[0].account.turns, .submits = result.cores[0].submits};
}

TEST(Transactions, ThatArriveTogetherLeaveTogether) {
  const Draw at_once = *Draw::Parse("0");
  const Calls one = CallsOf(1, at_once);
  EXPECT_GE(one.submits, 2000u) << "a query and an answer are two";
  for (const uint32_t clients : {2, 8}) {
    const Calls many = CallsOf(clients, at_once);
    EXPECT_LE(many.enters, one.enters) << clients << " clients";
    EXPECT_LE(many.submits, one.submits) << clients << " clients";
  }
}

TEST(Transactions, ThatDoNotArriveTogetherAreSeenNotTo) {
  const Draw by_chance = *Draw::Parse("exp:100us");
  const Calls one = CallsOf(1, by_chance);
  const Calls two = CallsOf(2, by_chance);
  EXPECT_GT(two.enters, one.enters * 5 / 4);
  EXPECT_GT(two.submits, one.submits * 5 / 4);
}

// ---- the census sees what it is there to see ----

// What is said of a steady run with a fault made on purpose in each turn of a core.
std::string FaultsWith(std::function<void()> in_turn) {
  StudyPlan plan = SteadyPlan(Protocol::kSimple, 2);
  plan.in_turn = std::move(in_turn);
  return Faults(Ran(plan));
}

// Compilers leave alone what goes through here.
void* volatile kept = nullptr;
volatile size_t payload_bytes = kPayloadBytes;

// One of its lines.
MATCHER_P(Says, what, "") { return arg.find(std::string(" ") + what + "\n") != std::string::npos; }

TEST(Census, IsLinked) { EXPECT_TRUE(Census::linked()); }

TEST(Census, SeesAnAllocationInATurn) {
  EXPECT_THAT(FaultsWith([] {
                kept = std::malloc(1);
                std::free(kept);
              }),
              Says("allocations"));
  EXPECT_THAT(FaultsWith([] {
                kept = ::operator new(1);
                ::operator delete(kept);
              }),
              Says("allocations"));
}

TEST(Census, SeesALockInATurn) {
  std::mutex mutex;
  EXPECT_THAT(FaultsWith([&mutex] { const std::lock_guard<std::mutex> lock(mutex); }),
              Says("locks"));
}

TEST(Census, SeesThePolicyThatLocks) {
  StudyPlan plan = SteadyPlan(Protocol::kSimple, 2);
  plan.sharing.policy = Sharing::kSharedMutex;
  EXPECT_THAT(Faults(Ran(plan)), Says("locks"));
}

TEST(Census, SeesAPayloadCopiedInATurn) {
  const std::string from(kPayloadBytes, 'x');
  std::string to(kPayloadBytes, ' ');
  const std::string said = FaultsWith([&] { std::memcpy(to.data(), from.data(), payload_bytes); });
  EXPECT_THAT(said, Says("copies of payload"));
  EXPECT_THAT(said, Says("bytes copied for each transaction"));
  EXPECT_THAT(FaultsWith([&] { std::memmove(to.data(), from.data(), payload_bytes); }),
              Says("copies of payload"));
}

TEST(Census, SeesAPayloadCopiedInSmallPieces) {
  const std::string from(kPayloadBytes, 'x');
  std::string to(kPayloadBytes, ' ');
  EXPECT_THAT(FaultsWith([&] {
                const size_t piece = payload_bytes / 8;
                for (size_t at = 0; at < from.size(); at += piece) {
                  std::memcpy(to.data() + at, from.data() + at, piece);
                }
              }),
              Says("bytes copied for each transaction"));
}

// In the library that has std::string, as well.
TEST(Census, CountsEachByItself) {
  const auto counted = [](const std::function<void()>& act) {
    const Census before = sim::census;
    const Census::Inside inside;
    act();
    return sim::census - before;
  };
  const std::string text(kPayloadBytes, 'x');
  std::string copy;
  const Census append = counted([&] { copy.append(text.data(), payload_bytes); });
  EXPECT_EQ(append.allocations, 1u);
  EXPECT_EQ(append.large_copies, 1u);
  EXPECT_EQ(append.copied_bytes, kPayloadBytes);
  EXPECT_EQ(counted([] { kept = std::calloc(1, 100); }).allocations, 1u);
  EXPECT_EQ(counted([] { kept = std::realloc(kept, payload_bytes); }).allocations, 1u);
  EXPECT_EQ(counted([] { std::free(kept); }).allocations, 0u);
  EXPECT_EQ(counted([] { kept = std::aligned_alloc(64, payload_bytes); }).allocations, 1u);
  std::free(kept);
  std::vector<std::byte> bytes;
  EXPECT_EQ(counted([&] { bytes.assign(payload_bytes, {}); }).allocations, 1u);
  std::vector<std::byte> others(kPayloadBytes);
  EXPECT_EQ(counted([&] { std::copy(bytes.begin(), bytes.end(), others.begin()); }).large_copies,
            1u);
  std::shared_mutex shared;
  EXPECT_EQ(counted([&] { shared.lock(), shared.unlock(); }).locks, 1u);
  EXPECT_EQ(counted([&] { shared.lock_shared(), shared.unlock_shared(); }).locks, 1u);
  std::mutex mutex;
  EXPECT_EQ(counted([&] {
              if (mutex.try_lock()) mutex.unlock();
            }).locks,
            1u);
}

TEST(Census, CountsOnlyInside) {
  const auto allocate = [] {
    kept = std::malloc(1);
    std::free(kept);
  };
  const Census before = sim::census;
  allocate();
  EXPECT_EQ((sim::census - before).allocations, 0u);
  const Census::Inside inside;
  {
    const Census::Outside outside;
    allocate();
  }
  EXPECT_EQ((sim::census - before).allocations, 0u);
  allocate();
  EXPECT_EQ((sim::census - before).allocations, 1u);
}

}  // namespace
}  // namespace trireme::bench
