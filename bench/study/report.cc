// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "config/names.h"

namespace trireme::bench {
namespace {

using Json = nlohmann::ordered_json;

double Microseconds(uint64_t ns) { return std::round(static_cast<double>(ns) / 10) / 100; }

double Seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

Json OfLatency(const Latency& latency) {
  Json json = {{"count", latency.count()},
               {"mean_us", latency.Mean() / 1e3},
               {"min_us", Microseconds(latency.min())}};
  static constexpr std::pair<const char*, double> kPercentiles[] = {
      {"p50_us", 0.5},  {"p90_us", 0.9},     {"p95_us", 0.95},
      {"p99_us", 0.99}, {"p99_9_us", 0.999}, {"p99_99_us", 0.9999}};
  for (const auto& [name, fraction] : kPercentiles) {
    json[name] = Microseconds(latency.Percentile(fraction));
  }
  json["max_us"] = Microseconds(latency.max());
  Json buckets = Json::array();
  latency.ForEachBucket([&](uint64_t upper, uint64_t count) {
    buckets.push_back(Json::array({upper, count}));
  });
  json["buckets"] = std::move(buckets);
  return json;
}

// Jain's index, and the ends of the distribution.
Json OfFairness(const std::vector<uint64_t>& by_client) {
  double sum = 0;
  double squares = 0;
  for (const uint64_t value : by_client) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto count = static_cast<double>(by_client.size());
  return {{"clients", by_client.size()},
          {"jain", squares == 0 ? 1 : sum * sum / (count * squares)},
          {"min", *std::min_element(by_client.begin(), by_client.end())},
          {"max", *std::max_element(by_client.begin(), by_client.end())},
          {"mean", sum / count}};
}

Json OfCore(const StudyResult::Core& core) {
  const Clocks::Account& account = core.account;
  return {{"busy_s", Seconds(account.busy)},
          {"turns", account.turns},
          {"system_calls", account.system_calls},
          {"sleeps", account.sleeps},
          {"sends", account.sends},
          {"receives", account.receives},
          {"checkouts", core.checkouts},
          {"waits", core.waits},
          {"steals_asked", core.steals_asked},
          {"steals_received", core.steals_received},
          {"grants_received", core.grants_received},
          {"hand_over_p50_us", Seconds(core.hand_over_p50) * 1e6},
          {"hand_over_p99_us", Seconds(core.hand_over_p99) * 1e6},
          {"mails_sent", account.mails},
          {"wake_ups_sent", account.wakes},
          {"locks", account.locks},
          {"lock_waits", account.lock_waits},
          {"lock_waited_s", Seconds(account.lock_waited)}};
}

Json OfLoad(const StudyPlan& plan, const StudyResult& result) {
  const StudyPeers::Results& peers = result.peers;
  const double seconds = std::max(Seconds(result.measured), 1e-9);
  const double rate = static_cast<double>(peers.transactions) / seconds;
  return {{"program", "trireme-study"},
          {"options",
           {{"clients", plan.clients},
            {"idle_clients", 0},
            {"servers", plan.servers},
            {"cores", plan.cores},
            {"policy", NameOf(plan.sharing.policy)},
            {"hot_cores", plan.hot_cores},
            {"hot_share", plan.hot_share},
            {"service_mean_us", plan.service.MeanNs() / 1e3},
            {"seed", plan.seed}}},
          {"seconds", seconds},
          {"transactions_per_second", rate},
          {"statements_per_second", rate},
          {"connections_per_second", 0},
          {"bytes_received_per_second", 0},
          {"bytes_sent_per_second", 0},
          {"measured",
           {{"connections", 0},
            {"transactions", peers.transactions},
            {"failed", peers.failed},
            {"statements", peers.transactions},
            {"rows", peers.transactions},
            {"bytes_received", 0},
            {"bytes_sent", 0}}},
          {"latency", OfLatency(peers.latency)},
          {"connect", {{"count", 0}}},
          {"fairness", OfFairness(peers.by_client)},
          {"errors", Json::object()},
          {"unfinished", 0},
          {"dropped", 0},
          {"not_connected", 0},
          {"generator", {{"busiest_thread_share", 0}}}};
}

}  // namespace

std::string StudyJson(const StudyPlan& plan, const StudyResult& result) {
  Json cores = Json::array();
  Duration busy{0};
  for (const StudyResult::Core& core : result.cores) {
    busy += core.account.busy;
    cores.push_back(OfCore(core));
  }
  const Json json = {{"load", OfLoad(plan, result)},
                     {"wait", OfLatency(result.peers.wait)},
                     {"usage", {{"pooler", {{"run_s", Seconds(busy)}}}}},
                     {"shards", std::move(cores)}};
  return json.dump();
}

}  // namespace trireme::bench
