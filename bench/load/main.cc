// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme-load: thousands of PostgreSQL clients over io_uring, closed or open loop, from scripts.
// The main thread starts the workers, tells them when all are connected, prints progress, and
// writes one JSON report. Exit code: 0 = measured (errors of the other side are in the report),
// 1 = could not measure, 2 = wrong options.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "load/report.h"
#include "load/worker.h"

namespace trireme::bench {
namespace {

std::atomic<bool>* stop_flag = nullptr;

// Ends the measurement in order: what was seen so far is reported.
void HandleSignals(LoadPhase& phase) {
  stop_flag = &phase.stop;
  struct sigaction action {};
  action.sa_handler = [](int) { stop_flag->store(true); };
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

class Run {
 public:
  explicit Run(const LoadOptions& options) : options_(options) {}

  int Main() {
    HandleSignals(phase_);
    const uint64_t files = RaiseFileLimit();
    if (options_.connections() + 64 > files) {
      std::fprintf(stderr,
                   "trireme-load: %llu connections need more than the %llu open files this "
                   "process may have (ulimit -n)\n",
                   static_cast<unsigned long long>(options_.connections()),
                   static_cast<unsigned long long>(files));
      return 1;
    }
    for (uint32_t i = 0; i < options_.threads; ++i) {
      workers_.push_back(std::make_unique<Worker>(options_, i, phase_));
    }
    statuses_.resize(workers_.size());
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < workers_.size(); ++i) {
      threads.emplace_back([this, i] {
        statuses_[i] = workers_[i]->Run();
        ended_.fetch_add(1);
      });
    }
    Conduct();
    for (std::thread& thread : threads) thread.join();
    return Finish();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void Conduct() {
    while (phase_.connected.load() < workers_.size() && ended_.load() == 0) {
      std::this_thread::sleep_for(1ms);
    }
    const bool nobody = phase_.clients.load() == 0;
    if (ended_.load() > 0 || nobody) phase_.stop.store(true);  // there is nothing to measure
    if (options_.choose && !phase_.stop.load()) Choose();
    const Time start = Clock::now() + 5ms;
    phase_.start.store(start.time_since_epoch().count(), std::memory_order_release);
    const Time instants[] = {start + options_.warmup, start + options_.warmup + options_.duration};
    size_t announced = 0;
    Time last = start;
    while (ended_.load() < workers_.size()) {
      std::this_thread::sleep_for(announced < 2 ? 1ms : 5ms);
      if (options_.announce && announced < 2 && Clock::now() >= instants[announced]) {
        std::fputs(announced++ == 0 ? "measuring\n" : "measured\n", stderr);
      }
      const Duration every = options_.progress > 0s ? options_.progress : Duration(1s);
      if (Clock::now() - last >= every) {
        const Time at = Clock::now();
        Take(start, last, at);
        last = at;
      }
    }
  }

  void Choose() {
    std::fputs("choose\n", stderr);
    std::string line;
    std::getline(std::cin, line);
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      uint32_t port = 0;
      if (absl::SimpleAtoi(word, &port)) phase_.chosen.insert(static_cast<uint16_t>(port));
    }
  }

  // One point of the time series out of what the workers have published.
  void Take(Time start, Time last, Time at) {
    Latency latency;
    uint64_t transactions = 0, failed = 0;
    for (const auto& worker : workers_) {
      Interval& interval = worker->interval();
      const std::lock_guard lock(interval.mutex);
      latency.Merge(interval.latency);
      transactions += interval.transactions;
      failed += interval.failed;
      interval.latency = Latency();
      interval.transactions = interval.failed = 0;
    }
    const auto seconds = [](Duration d) { return static_cast<double>(d.count()) * 1e-9; };
    report_.points.push_back({.at_seconds = seconds(at - start),
                              .per_second = static_cast<double>(transactions) / seconds(at - last),
                              .failed = failed,
                              .p50_ns = latency.Percentile(0.5),
                              .p99_ns = latency.Percentile(0.99),
                              .max_ns = latency.max()});
    if (options_.progress > 0s) {
      std::fprintf(stderr, "%s\n", ProgressLine(report_.points.back()).c_str());
    }
  }

  int Finish() {
    for (const Status& status : statuses_) {
      if (status.ok()) continue;
      std::fprintf(stderr, "trireme-load: %s\n", std::string(status.message()).c_str());
      return 1;
    }
    uint64_t connected = 0;
    for (const auto& worker : workers_) {
      connected += worker->results().whole.connections;
      report_.seconds = std::max(report_.seconds, worker->results().seconds);
      report_.threads.push_back(std::move(worker->results()));
    }
    const std::string json = LoadJson(options_, report_);
    if (options_.json.empty()) {
      std::printf("%s\n", json.c_str());
    } else if (!(std::ofstream(options_.json) << json << '\n')) {
      std::fprintf(stderr, "trireme-load: cannot write %s\n", options_.json.c_str());
      return 1;
    }
    if (connected > 0) return 0;
    for (const auto& [what, count] : report_.threads[0].errors) {
      std::fprintf(stderr, "trireme-load: nobody could log in: %s\n", what.c_str());
    }
    return 1;
  }

  const LoadOptions& options_;
  LoadPhase phase_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Status> statuses_;
  std::atomic<uint32_t> ended_{0};
  LoadReport report_;
};

int Main(int argc, char** argv) {
  const Result<LoadOptions> options = ParseLoadOptions(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "trireme-load: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  if (options->help) {
    std::fputs(LoadHelp().c_str(), stdout);
    return 0;
  }
  return Run(*options).Main();
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
