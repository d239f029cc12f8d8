// SPDX-License-Identifier: GPL-3.0-or-later
#include "main/process.h"

#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace trireme {
namespace {

constexpr size_t kCoresMax = 256;  // as many as the configuration may ask for by number

}  // namespace

uint64_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlimit wanted = limit;
  wanted.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &wanted) == 0 ? wanted.rlim_cur : limit.rlim_cur;
}

Result<std::vector<int32_t>> ChooseCpus(const CoresConfig& cores) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return Internal(std::string("cannot read the CPU affinity: ") + std::strerror(errno));
  }
  std::vector<int32_t> mine;
  for (int32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) mine.push_back(cpu);
  }
  std::vector<int32_t> chosen;
  switch (cores.kind) {
    case CoresConfig::Kind::kAuto:
      chosen = mine;
      if (chosen.size() > kCoresMax) chosen.resize(kCoresMax);
      break;
    case CoresConfig::Kind::kCount:
      for (uint32_t i = 0; i < cores.count; ++i) {
        // More shards than CPUs share them, unpinned.
        chosen.push_back(cores.count <= mine.size() ? mine[i] : -1);
      }
      break;
    case CoresConfig::Kind::kList:
      for (uint32_t cpu : cores.cpus) {
        if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed)) {
          return InvalidArgument("/cores names CPU " + std::to_string(cpu) +
                                 ", which this process may not use");
        }
        chosen.push_back(static_cast<int32_t>(cpu));
      }
      break;
  }
  if (!cores.pin) {
    for (int32_t& cpu : chosen) cpu = -1;
  }
  return chosen;
}

Status DropPrivileges(const std::string& user) {
  errno = 0;
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) {
    return InvalidArgument("/run_as_user names \"" + user + "\", and there is no such user");
  }
  if (entry->pw_uid == geteuid()) return OkStatus();
  if (initgroups(user.c_str(), entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 ||
      setuid(entry->pw_uid) != 0) {
    return Internal("cannot become user \"" + user + "\": " + std::strerror(errno) +
                    " (start as root, or leave run_as_user out)");
  }
  return OkStatus();
}

Signals::Signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&set_);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

std::optional<int> Signals::Take(Duration wait) {
  const timespec limit{.tv_sec = wait / 1s, .tv_nsec = (wait % 1s).count()};
  const int signal = sigtimedwait(&set_, nullptr, &limit);
  if (signal < 0) return std::nullopt;
  return signal;
}

}  // namespace trireme
