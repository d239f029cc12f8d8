// SPDX-License-Identifier: GPL-3.0-or-later
//
// Child processes of a test. None may outlive the test binary: each asks the kernel for a signal on
// the death of its parent, and whoever owns a Process kills and reaps it at the latest in the
// destructor. Output (stdout and stderr together) goes to a file, so a child can never block on an
// unread pipe.
//
// Start children from the main thread only: the parent-death signal follows the thread that forked.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "patience.h"

namespace trireme::e2e {

struct Identity {
  uid_t uid;
  gid_t gid;
};

// Whom to be when PostgreSQL or PgBouncer refuses to run as root: "postgres", else "nobody".
// Nothing when this process already is an ordinary user.
std::optional<Identity> OrdinaryUser();

struct Command {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;  // added to the inherited environment
  std::optional<Identity> as;
  std::string output_file;  // empty: /dev/null
  int death_signal = SIGKILL;
  std::optional<rlim_t> files_max;  // soft and hard RLIMIT_NOFILE
  // io_uring_setup fails with this errno, by a seccomp filter as container runtimes install it.
  std::optional<uint16_t> io_uring_errno{};
};

struct ExitStatus {
  int code = -1;   // exit code, or -1 when ended by a signal
  int signal = 0;  // that signal, or 0
  bool operator==(const ExitStatus&) const = default;
};

class Process {
 public:
  explicit Process(const Command& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  bool Running();
  // Nothing when it still runs after `limit`.
  std::optional<ExitStatus> Wait(milliseconds limit = kPatience);

 private:
  pid_t pid_ = -1;
  std::optional<ExitStatus> exit_;
};

struct RunOutput {
  ExitStatus exit;
  std::string text;
};
// Runs to the end; throws when it does not end in time.
RunOutput RunToEnd(Command command, milliseconds limit = 3 * kPatience);

// A new directory under $TMPDIR (or /tmp), readable by `owner`, removed with all it holds by the
// destructor, and by a helper process when this one dies without getting there.
class TempDir {
 public:
  explicit TempDir(std::optional<Identity> owner = std::nullopt);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  int alive_pipe_ = -1;  // closed by our death: the janitor then removes the directory
  pid_t janitor_ = -1;
};

std::string ReadFile(const std::string& path);  // "" when absent
void WriteFile(const std::string& path, const std::string& text);
uint16_t FreeTcpPort();

// What /proc says about a process; throws when it is gone.
uint64_t ResidentKiB(pid_t pid);
uint64_t PeakResidentKiB(pid_t pid);
milliseconds CpuTime(pid_t pid);
size_t OpenFiles(pid_t pid);

}  // namespace trireme::e2e
