// SPDX-License-Identifier: GPL-3.0-or-later
//
// What trireme-load was asked to do: flags → one value, read by all threads and changed by none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "engine/draw.h"
#include "load/script.h"

namespace trireme::bench {

struct LoadOptions {
  // Where.
  std::string host = "127.0.0.1";
  uint64_t port = 6432;
  std::string user = "postgres";
  std::string password;
  std::string database = "postgres";
  uint64_t routes = 1;  // %d in user and database is the route's number
  double route_zipf = 0;
  SocketAddress address;
  // Who.
  uint64_t clients = 32;
  uint64_t idle_clients = 0;
  uint64_t busy_every = 1;
  uint64_t slow_clients = 0;
  uint64_t slow_rate = 65536;  // bytes a second
  uint64_t threads = 1;
  std::vector<int> cpus;
  uint64_t connecting_max = 64;
  // What.
  std::vector<Script> scripts;
  Draw think;
  double rate = 0;  // 0 = closed loop
  Arrivals::Burst burst;
  uint64_t waiting_max = 1'000'000;
  double reconnect = 0;
  // How long.
  Duration warmup = 1s;
  Duration duration = 10s;
  Duration drain = 5s;
  Duration connect_timeout = 30s;
  // Else.
  uint64_t seed = 1;
  Duration progress = 1s;  // 0 = quiet
  std::string json;        // "" = standard output
  bool announce = false;
  bool choose = false;
  bool help = false;

  uint64_t connections() const { return clients + idle_clients; }
};

Result<LoadOptions> ParseLoadOptions(int argc, char** argv);
std::string LoadHelp();

}  // namespace trireme::bench
