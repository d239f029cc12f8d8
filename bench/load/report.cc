// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace trireme::bench {
namespace {

using Json = nlohmann::ordered_json;

double Microseconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

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
  Json buckets = Json::array();  // [greatest value in ns, count]; those of several runs add up
  latency.ForEachBucket([&](uint64_t upper, uint64_t count) {
    buckets.push_back(Json::array({upper, count}));
  });
  json["buckets"] = std::move(buckets);
  return json;
}

Json OfTotals(const LoadTotals& totals) {
  return {{"connections", totals.connections},
          {"transactions", totals.transactions},
          {"failed", totals.failed},
          {"statements", totals.statements},
          {"rows", totals.rows},
          {"bytes_received", totals.bytes_received},
          {"bytes_sent", totals.bytes_sent}};
}

Json OfFairness(std::vector<uint64_t> by_client) {
  const double jain = JainIndex(by_client);
  std::sort(by_client.begin(), by_client.end());
  uint64_t sum = 0;
  for (const uint64_t value : by_client) sum += value;
  const size_t count = by_client.size();
  const auto at = [&](double fraction) {
    return count == 0 ? 0
                      : by_client[static_cast<size_t>(fraction * static_cast<double>(count - 1))];
  };
  return {{"clients", count},
          {"jain", jain},
          {"min", at(0)},
          {"p10", at(0.1)},
          {"median", at(0.5)},
          {"p90", at(0.9)},
          {"max", at(1)},
          {"mean", count == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(count)}};
}

Json OfOptions(const LoadOptions& options) {
  Json scripts = Json::array();
  for (const Script& script : options.scripts) {
    scripts.push_back({{"name", script.name}, {"weight", script.weight}});
  }
  return {{"clients", options.clients},
          {"idle_clients", options.idle_clients},
          {"busy_every", options.busy_every},
          {"slow_clients", options.slow_clients},
          {"threads", options.threads},
          {"routes", options.routes},
          {"route_zipf", options.route_zipf},
          {"loop", options.rate > 0 ? "open" : "closed"},
          {"rate", options.rate},
          {"think_mean_us", options.think.MeanNs() / 1e3},
          {"reconnect", options.reconnect},
          {"seed", options.seed},
          {"scripts", std::move(scripts)}};
}

Json OfPoint(const LoadReport::Point& point) {
  return {{"at", std::round(point.at_seconds * 1000) / 1000},
          {"per_second", point.per_second},
          {"failed", point.failed},
          {"p50_us", Microseconds(point.p50_ns)},
          {"p99_us", Microseconds(point.p99_ns)},
          {"max_us", Microseconds(point.max_ns)}};
}

struct Sum {
  LoadTotals whole, measured;
  std::vector<Latency> by_script;
  Latency all, connect;
  std::map<std::string, uint64_t> errors;
  std::vector<uint64_t> by_client;
  uint64_t unfinished = 0, dropped = 0, not_connected = 0;
  double cpu_seconds = 0, busiest = 0;
};

Sum SumOf(const LoadOptions& options, const LoadReport& report) {
  Sum sum;
  sum.by_script.resize(options.scripts.size());
  for (const LoadResults& thread : report.threads) {
    sum.whole.Add(thread.whole);
    sum.measured.Add(thread.measured);
    for (size_t i = 0; i < thread.latency.size(); ++i) {
      sum.by_script[i].Merge(thread.latency[i]);
      sum.all.Merge(thread.latency[i]);
    }
    sum.connect.Merge(thread.connect);
    for (const auto& [what, count] : thread.errors) sum.errors[what] += count;
    sum.by_client.insert(sum.by_client.end(), thread.by_client.begin(), thread.by_client.end());
    sum.unfinished += thread.unfinished;
    sum.dropped += thread.dropped;
    sum.not_connected += thread.not_connected;
    sum.cpu_seconds += thread.cpu_seconds;
    sum.busiest = std::max(sum.busiest, thread.cpu_seconds);
  }
  return sum;
}

}  // namespace

std::string LoadJson(const LoadOptions& options, const LoadReport& report) {
  const Sum sum = SumOf(options, report);
  const double seconds = std::max(report.seconds, 1e-9);
  const auto per_second = [&](uint64_t count) { return static_cast<double>(count) / seconds; };
  Json json = {
      {"program", "trireme-load"},
      {"options", OfOptions(options)},
      {"seconds", report.seconds},
      {"transactions_per_second", per_second(sum.measured.transactions)},
      {"statements_per_second", per_second(sum.measured.statements)},
      {"connections_per_second", per_second(sum.measured.connections)},
      {"bytes_received_per_second", per_second(sum.measured.bytes_received)},
      {"bytes_sent_per_second", per_second(sum.measured.bytes_sent)},
      {"measured", OfTotals(sum.measured)},
      {"whole", OfTotals(sum.whole)},
      {"unfinished", sum.unfinished},
      {"dropped", sum.dropped},
      {"not_connected", sum.not_connected},
      {"errors", sum.errors},
      {"latency", OfLatency(sum.all)},
      {"connect", OfLatency(sum.connect)},
      {"fairness", OfFairness(sum.by_client)},
      {"generator",
       {{"cpu_seconds", sum.cpu_seconds}, {"busiest_thread_share", sum.busiest / seconds}}}};
  if (options.scripts.size() > 1) {
    Json scripts = Json::object();
    for (size_t i = 0; i < options.scripts.size(); ++i) {
      scripts[options.scripts[i].name] = OfLatency(sum.by_script[i]);
    }
    json["scripts"] = std::move(scripts);
  }
  Json points = Json::array();
  for (const LoadReport::Point& point : report.points) points.push_back(OfPoint(point));
  json["intervals"] = std::move(points);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ProgressLine(const LoadReport::Point& point) {
  const auto milliseconds = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
  return absl::StrFormat(
      "%7.1f s %10.0f/s   p50 %8.3f ms   p99 %8.3f ms   max %8.3f ms   failed %u", point.at_seconds,
      point.per_second, milliseconds(point.p50_ns), milliseconds(point.p99_ns),
      milliseconds(point.max_ns), static_cast<unsigned>(point.failed));
}

}  // namespace trireme::bench
