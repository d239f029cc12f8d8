// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme: flags → Config → Fleet. The main thread starts the cores, waits for signals, and sees to
// it that the end is orderly: exit code 0 when everything came to rest, 1 for what was refused or
// could not be finished.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "base/log_writer.h"
#include "config/load.h"
#include "config/print.h"
#include "config/schema.h"
#include "main/options.h"
#include "main/process.h"
#include "main/uring_rings.h"
#include "main/version.h"
#include "shard/fleet.h"
#include "shard/listen_addresses.h"

namespace trireme {
namespace {

constexpr Duration kLook = 10ms;  // between looks at a fleet that is coming to rest
constexpr Duration kEndNowMax =
    8s;  // longer than a stream lingers; what is left then is the kernel's

Time Now() { return std::chrono::steady_clock::now(); }

int Fail(std::string_view text) {
  std::fprintf(stderr, "trireme: %.*s\n", static_cast<int>(text.size()), text.data());
  return 1;
}

void LogReady(Logger& log, const Config& config, const UringRings& rings, const Fleet& fleet,
              uint64_t file_limit) {
  log.Info("serving", {{"version", kVersion},
                       {"cores", fleet.core_count()},
                       {"listeners", config.listeners.size()},
                       {"open_files_max", file_limit},
                       {"ring", rings.features().Text()}});
}

// Until everything is at rest, or `limit` has passed; a signal that means "now" ends the wait.
enum class Wait { kAtRest, kTimeIsUp, kNow };
Wait WaitForRest(Fleet& fleet, Signals& signals, Duration limit) {
  const Time end = limit > 0s ? Now() + limit : kNever;
  while (!fleet.AtRest()) {
    if (Now() >= end) return Wait::kTimeIsUp;
    const std::optional<int> signal = signals.Take(kLook);
    if (signal == SIGTERM || signal == SIGINT) return Wait::kNow;
  }
  return Wait::kAtRest;
}

void RemoveUnixSockets(const Config& config) {
  for (const ListenerConfig& listener : config.listeners) {
    if (listener.unix_socket_dir.empty() || listener.unix_socket_dir.front() == '@') continue;
    unlink((listener.unix_socket_dir + "/.s.PGSQL." + std::to_string(listener.port)).c_str());
  }
}

// From the first signal to the end. True: everything came to rest.
bool ShutDown(Fleet& fleet, Signals& signals, const Config& config, Logger& log, int signal) {
  Wait wait = Wait::kNow;
  if (signal == SIGTERM) {
    log.Info("shutting down: clients end as they come between transactions",
             {{"seconds_max", config.timeouts.shutdown / 1s}});
    fleet.Drain();
    wait = WaitForRest(fleet, signals, config.timeouts.shutdown);
  }
  if (wait != Wait::kAtRest) {
    log.Info("shutting down now",
             {{"reason", wait == Wait::kTimeIsUp ? "timeouts.shutdown has passed" : "signal"}});
    fleet.EndNow();
    const Time end = Now() + kEndNowMax;
    while (!fleet.AtRest()) {
      if (Now() >= end) return false;
      signals.Take(kLook);
    }
  }
  return true;
}

int Serve(const Config& config) {
  const LogStyle style{.format = config.log.format,
                       .level = config.log.level,
                       .clock = WallClock::System(),
                       .pid = getpid()};
  const uint64_t file_limit = RaiseFileLimit();
  Result<std::vector<int32_t>> cpus = ChooseCpus(config.cores);
  if (!cpus.ok()) return Fail(FromAbsl(cpus.status().message()));
  const uint32_t core_count = static_cast<uint32_t>(cpus->size());
  Result<std::unique_ptr<UringRings>> rings = UringRings::Make(config.limits, core_count);
  if (!rings.ok()) return Fail(FromAbsl(rings.status().message()));

  Signals signals;  // before any thread, so that all of them block
  Result<std::unique_ptr<LogWriter>> writer =
      LogWriter::Start({.file = config.log.file, .rings = core_count + 1, .style = style});
  if (!writer.ok()) return Fail(FromAbsl(writer.status().message()));
  Logger log((*writer)->sink(core_count), style);

  Fleet fleet(
      config,
      {.cpus = *cpus, .version = kVersion, .seed = static_cast<uint64_t>(log.style().clock.Now())},
      **rings, **writer, style);
  if (Status started = fleet.Start(); !started.ok()) {
    log.Error("cannot start", {{"reason", FromAbsl(started.message())}});
    return 1;
  }
  if (!config.run_as_user.empty()) {
    if (Status dropped = DropPrivileges(config.run_as_user); !dropped.ok()) {
      log.Error("cannot drop privileges", {{"reason", FromAbsl(dropped.message())}});
      fleet.EndNow();
      while (!fleet.AtRest()) signals.Take(kLook);
      fleet.Stop();
      return 1;
    }
  } else if (geteuid() == 0) {
    log.Warning("running as root; run_as_user in the configuration drops privileges");
  }
  LogReady(log, config, **rings, fleet, file_limit);

  std::optional<int> signal;
  while (signal != SIGTERM && signal != SIGINT) {
    signal = signals.Take(3600s);
    if (signal == SIGHUP) (*writer)->Reopen();
  }
  const bool rested = ShutDown(fleet, signals, config, log, *signal);
  RemoveUnixSockets(config);
  if (!rested) {
    log.Error("some connections could not be closed in time");
    writer->reset();  // writes what is left
    _exit(1);         // threads are still running: leave without their destructors
  }
  fleet.Stop();
  const Shard::Resources left = fleet.resources();
  log.Info("resources at rest", {{"clients", left.clients},
                                 {"servers", left.servers},
                                 {"buffers_in_use", left.buffers_in_use},
                                 {"ops_in_flight", left.ops_in_flight},
                                 {"streams", left.streams}});
  return 0;
}

int PrintVersion() {
  std::printf("Trireme %s\n%s\n", kVersion, LibraryVersions().c_str());
  Result<std::unique_ptr<UringRings>> rings =
      UringRings::Make({.buffer_bytes = 4096, .buffers_max = 64}, 1);
  std::printf("%s\n", rings.ok() ? (*rings)->features().Text().c_str()
                                 : std::string(FromAbsl(rings.status().message())).c_str());
  return 0;
}

int Main(int argc, char** argv) {
  const Result<CommandLine> line = ParseCommandLine(argc, argv);
  if (!line.ok()) return Fail(FromAbsl(line.status().message()));
  using Action = CommandLine::Action;
  switch (line->action) {
    case Action::kHelp:
      std::fputs(HelpText(), stdout);
      return 0;
    case Action::kVersion:
      return PrintVersion();
    case Action::kPrintSchema:
      std::fputs(JsonSchema().c_str(), stdout);
      return 0;
    case Action::kPrintOptions:
      std::fputs(OptionsMarkdown().c_str(), stdout);
      return 0;
    case Action::kServe:
    case Action::kCheck:
    case Action::kPrintConfig:
      break;
  }
  const LoadResult loaded = LoadFile(line->config_path, ProcessEnvironment());
  std::fputs(loaded.Report().c_str(), stderr);
  if (!loaded.config) return 1;
  if (line->action == Action::kCheck) {
    std::printf("%s: the configuration is good\n", line->config_path.c_str());
    return 0;
  }
  if (line->action == Action::kPrintConfig) {
    std::fputs(PrintConfig(*loaded.config).c_str(), stdout);
    return 0;
  }
  return Serve(*loaded.config);
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::Main(argc, argv); }
