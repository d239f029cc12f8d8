// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/options.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/flags.h"

namespace trireme::bench {
namespace {

constexpr char kUsage[] =
    "trireme-load: load for PostgreSQL, poolers and trireme-stub; bench/README.md explains the "
    "numbers.\n"
    "\n"
    "usage: trireme-load [--name VALUE]...\n"
    "\n"
    "Durations are 250us, 5ms, 1.5s, 2min; drawn ones also exp:5ms, uniform:1ms,9ms,\n"
    "lognormal:5ms,0.7 (median, sigma) and bimodal:1ms,50ms,0.05. Sizes are 4096, 64k, 1M.\n"
    "\n";

Status AddScript(LoadOptions& options, std::string_view name, std::string_view text,
                 double weight) {
  uint32_t statement_next = 0;
  for (const Script& script : options.scripts) statement_next += CountPrepared(script);
  Result<Script> script = ParseScript(name, text, statement_next);
  if (!script.ok()) return script.status();
  script->weight = weight;
  options.scripts.push_back(*std::move(script));
  return OkStatus();
}

// "name@3" is the name and a weight of 3.
Result<double> TakeWeight(std::string_view& text) {
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos) return 1.0;
  const std::string number(text.substr(at + 1));
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != 0 || !(weight > 0 && weight <= 1e9)) {
    return InvalidArgument(absl::StrCat("\"", number, "\" is not a weight; expected NAME@3"));
  }
  text = text.substr(0, at);
  return weight;
}

Status AddNamed(LoadOptions& options, std::string_view text) {
  const Result<double> weight = TakeWeight(text);
  if (!weight.ok()) return weight.status();
  const std::string_view script = BuiltInScript(text);
  if (!script.empty()) return AddScript(options, text, script, *weight);
  return InvalidArgument(
      absl::StrCat("no script is called \"", ToAbsl(text), "\"; there are ", BuiltInScriptNames()));
}

Status AddFile(LoadOptions& options, std::string_view text) {
  const Result<double> weight = TakeWeight(text);
  if (!weight.ok()) return weight.status();
  std::ifstream file{std::string(text)};
  if (!file) return InvalidArgument(absl::StrCat("cannot read ", ToAbsl(text)));
  std::ostringstream content;
  content << file.rdbuf();
  return AddScript(options, text, content.str(), *weight);
}

Flags MakeFlags(LoadOptions& o) {
  Flags flags(kUsage);
  flags.AddText("host", "address, or a directory with the Unix socket (127.0.0.1)", o.host);
  flags.AddCount("port", "(6432)", o.port, 1, 65535);
  flags.AddText("user", "(postgres)", o.user);
  flags.AddText("password", "for clear text, md5 and SCRAM; also from PGPASSWORD", o.password);
  flags.AddText("database", "(postgres)", o.database);
  flags.AddCount("routes", "%d in user and database becomes 0 to N-1 (1)", o.routes, 1, 100'000);
  flags.AddNumber("route-zipf", "exponent by which clients prefer the first routes (0 = evenly)",
                  o.route_zipf, 0, 20);
  flags.AddCount("clients", "connections that work (32)", o.clients, 1, 1'000'000);
  flags.AddCount("idle-clients", "further ones that run a script once, then are silent (0)",
                 o.idle_clients, 0, 1'000'000);
  flags.AddCount("busy-every", "only every Nth connection works, the others are idle (1)",
                 o.busy_every, 1, 1'000'000);
  flags.AddCount("slow-clients",
                 "of the working ones, how many read slowly (0); latency and fairness\nare those "
                 "of the others",
                 o.slow_clients, 0, 1'000'000);
  flags.AddCount("slow-rate", "bytes a second that these read (64k)", o.slow_rate, 256, 1u << 30);
  flags.AddCount("threads", "(1)", o.threads, 1, 256);
  flags.AddCpus("cpus", "bind threads to these: 0,1 (wherever)", o.cpus);
  flags.AddCount("connecting-max", "connections being opened at once at the beginning (64)",
                 o.connecting_max, 1, 100'000);
  flags.Add("script",
            absl::StrCat("NAME or NAME@WEIGHT, more than once to mix them (simple):\n",
                         BuiltInScriptNames()),
            [&o](std::string_view text) { return AddNamed(o, text); });
  flags.Add("script-text", "a script itself, lines separated by newlines or ;;",
            [&o](std::string_view text) {
              const std::string lines = absl::StrReplaceAll(ToAbsl(text), {{";;", "\n"}});
              return AddScript(o, absl::StrCat("text", o.scripts.size() + 1), lines, 1);
            });
  flags.Add("script-file", "FILE or FILE@WEIGHT",
            [&o](std::string_view text) { return AddFile(o, text); });
  flags.AddDraw("think", "pause of a client between runs, closed loop (0)", o.think);
  flags.AddNumber("rate",
                  "runs a second, arriving by chance (Poisson): open loop (0 = closed loop)",
                  o.rate, 0, 1e9);
  flags.AddNumber("burst-factor", "open loop: the rate is so many times higher (1)", o.burst.factor,
                  0, 1e6);
  flags.AddDuration("burst-length", "… for so long", o.burst.length);
  flags.AddDuration("burst-period", "… in every such span", o.burst.period);
  flags.AddCount("waiting-max",
                 "open loop: arrivals that wait for a free client, for each thread;\n"
                 "more are dropped and counted (1M)",
                 o.waiting_max, 1, 100'000'000);
  flags.AddNumber("reconnect", "probability of a new connection after a run (0)", o.reconnect, 0,
                  1);
  flags.AddDuration("warmup", "before measuring (1s)", o.warmup);
  flags.AddDuration("duration", "of measuring (10s)", o.duration);
  flags.AddDuration("drain", "how long to wait at the end for what was begun (5s)", o.drain);
  flags.AddDuration("connect-timeout", "for all to be connected (30s)", o.connect_timeout);
  flags.AddCount("seed", "of everything drawn (1)", o.seed, 0, UINT64_MAX);
  flags.AddDuration("progress", "a line on standard error so often; 0 = none (1s)", o.progress);
  flags.Add("announce",
            "1: say \"measuring\" and \"measured\" on standard error when that begins and ends",
            [&o](std::string_view text) {
              o.announce = text == "1";
              return OkStatus();
            });
  flags.Add("choose",
            "1: when all are connected, say \"choose\" on standard error and read one line from\n"
            "standard input: the local ports of those that shall work, or nothing for all",
            [&o](std::string_view text) {
              o.choose = text == "1";
              return OkStatus();
            });
  flags.AddText("json", "write the report to this file (standard output)", o.json);
  return flags;
}

Result<SocketAddress> AddressOf(const LoadOptions& options) {
  const auto port = static_cast<uint16_t>(options.port);
  if (options.host.starts_with('/')) {
    return SocketAddress::Unix(absl::StrCat(options.host, "/.s.PGSQL.", port));
  }
  return SocketAddress::Numeric(options.host == "localhost" ? "127.0.0.1" : options.host, port);
}

Status Check(LoadOptions& o) {
  if (o.slow_clients > o.clients) return InvalidArgument("--slow-clients is more than --clients");
  if (o.duration <= 0s) return InvalidArgument("--duration must be more than 0");
  const bool bursts = o.burst.period > 0s || o.burst.length > 0s || o.burst.factor != 1;
  if (bursts && (o.rate <= 0 || o.burst.period <= 0s || o.burst.length > o.burst.period)) {
    return InvalidArgument(
        "bursts need --rate, --burst-period, and a --burst-length of at most that");
  }
  if (o.rate > 0 && !o.think.is_zero()) {
    return InvalidArgument("--think is for the closed loop; with --rate clients do not think");
  }
  Result<SocketAddress> address = AddressOf(o);
  if (!address.ok()) return address.status();
  o.address = *address;
  return OkStatus();
}

}  // namespace

Result<LoadOptions> ParseLoadOptions(int argc, char** argv) {
  LoadOptions options;
  if (const char* password = std::getenv("PGPASSWORD")) options.password = password;
  Flags flags = MakeFlags(options);
  Status status = flags.Parse(argc, argv);
  if (!status.ok()) return status;
  options.help = flags.help_asked();
  if (options.scripts.empty()) status = AddNamed(options, "simple");
  if (status.ok()) status = Check(options);
  if (!status.ok()) return status;
  return options;
}

std::string LoadHelp() {
  LoadOptions options;
  return MakeFlags(options).Help();
}

}  // namespace trireme::bench
