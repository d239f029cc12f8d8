// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme-stub: answers as PostgreSQL would, in a set time, with results of a set size. Runs until
// SIGINT or SIGTERM; then writes what it has counted as one JSON value.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/flags.h"
#include "stub/server.h"

namespace trireme::bench {
namespace {

constexpr char kUsage[] =
    "trireme-stub: a server that speaks PostgreSQL's protocol and knows no SQL; for measuring "
    "what\n"
    "stands before it. Trusts everybody. bench/README.md explains it.\n"
    "\n"
    "usage: trireme-stub [--name VALUE]...\n"
    "\n"
    "Times may be drawn: 1ms, exp:1ms, uniform:1ms,9ms, lognormal:5ms,0.7 (median, sigma),\n"
    "bimodal:1ms,50ms,0.05. A statement may say itself what is wanted:\n"
    "/*stub rows=1000 bytes=100 service=exp:2ms error=40001*/ SELECT 1\n"
    "\n";

struct Options {
  std::string host = "127.0.0.1";
  uint64_t port = 5433;
  uint64_t threads = 1;
  uint64_t seed = 1;
  uint64_t rows = 1;
  uint64_t bytes = 10;
  std::vector<int> cpus;
  StubSettings settings;
  std::string json;
};

Flags MakeFlags(Options& o) {
  Flags flags(kUsage);
  flags.AddText("host", "address to listen on (127.0.0.1)", o.host);
  flags.AddCount("port", "(5433)", o.port, 1, 65535);
  flags.AddCount("threads", "(1)", o.threads, 1, 256);
  flags.AddCpus("cpus", "bind threads to these: 0,1 (wherever)", o.cpus);
  flags.AddDraw("service", "how long a statement takes (0)", o.settings.service);
  flags.AddDraw("login", "how long a login takes (0)", o.settings.login);
  flags.AddCount("rows", "of a SELECT (1)", o.rows, 0, 1'000'000'000);
  flags.AddCount("bytes", "of a row (10)", o.bytes, 0, 1u << 20);
  flags.AddCount("seed", "of everything drawn (1)", o.seed, 0, UINT64_MAX);
  flags.AddText("json", "write the counts to this file (standard output)", o.json);
  return flags;
}

std::atomic<bool> stop{false};

std::string CountsJson(const std::vector<std::unique_ptr<StubServer>>& servers) {
  ServerCounts sum;
  for (const auto& server : servers) {
    const ServerCounts& c = server->counts();
    sum.open_max += c.open_max;
    sum.serving_max += c.serving_max;
    sum.sessions.connections += c.sessions.connections;
    sum.sessions.cancels += c.sessions.cancels;
    sum.sessions.statements += c.sessions.statements;
    sum.sessions.sets += c.sessions.sets;
    sum.sessions.transactions += c.sessions.transactions;
    sum.sessions.errors += c.sessions.errors;
    sum.sessions.rows += c.sessions.rows;
    sum.sessions.parses += c.sessions.parses;
    sum.sessions.bytes_received += c.sessions.bytes_received;
    sum.sessions.bytes_sent += c.sessions.bytes_sent;
  }
  const nlohmann::ordered_json json = {{"program", "trireme-stub"},
                                       {"connections", sum.sessions.connections},
                                       {"open_max", sum.open_max},
                                       {"serving_max", sum.serving_max},
                                       {"statements", sum.sessions.statements},
                                       {"sets", sum.sessions.sets},
                                       {"transactions", sum.sessions.transactions},
                                       {"errors", sum.sessions.errors},
                                       {"rows", sum.sessions.rows},
                                       {"parses", sum.sessions.parses},
                                       {"cancels", sum.sessions.cancels},
                                       {"bytes_received", sum.sessions.bytes_received},
                                       {"bytes_sent", sum.sessions.bytes_sent}};
  return json.dump();
}

int Fail(const Status& status, int code) {
  std::fprintf(stderr, "trireme-stub: %s\n", std::string(status.message()).c_str());
  return code;
}

int Serve(const Options& options, const SocketAddress& address) {
  RaiseFileLimit();
  struct sigaction action {};
  action.sa_handler = [](int) { stop.store(true); };
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);

  std::vector<std::unique_ptr<StubServer>> servers;
  for (uint64_t i = 0; i < options.threads; ++i) {
    const int cpu = options.cpus.empty() ? -1 : options.cpus[i % options.cpus.size()];
    servers.push_back(std::make_unique<StubServer>(
        StubServer::Options{address, options.settings, cpu, options.seed + i}, stop));
    const Status status = servers.back()->Listen();
    if (!status.ok()) return Fail(status, 1);
  }
  std::vector<Status> statuses(servers.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < servers.size(); ++i) {
    threads.emplace_back([&, i] {
      statuses[i] = servers[i]->Run();
      if (!statuses[i].ok()) stop.store(true);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses) {
    if (!status.ok()) return Fail(status, 1);
  }
  const std::string json = CountsJson(servers);
  if (options.json.empty()) {
    std::printf("%s\n", json.c_str());
  } else if (!(std::ofstream(options.json) << json << '\n')) {
    return Fail(Unavailable("cannot write " + options.json), 1);
  }
  return 0;
}

int Main(int argc, char** argv) {
  Options options;
  Flags flags = MakeFlags(options);
  const Status status = flags.Parse(argc, argv);
  if (!status.ok()) return Fail(status, 2);
  if (flags.help_asked()) {
    std::fputs(flags.Help().c_str(), stdout);
    return 0;
  }
  options.settings.answers = {.rows = static_cast<uint32_t>(options.rows),
                              .bytes = static_cast<uint32_t>(options.bytes)};
  const Result<SocketAddress> address =
      SocketAddress::Numeric(options.host, static_cast<uint16_t>(options.port));
  if (!address.ok()) return Fail(address.status(), 2);
  return Serve(options, *address);
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
