// SPDX-License-Identifier: GPL-3.0-or-later
#include "process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace trireme::e2e {
namespace {

std::string Errno(const std::string& what) { return what + ": " + std::strerror(errno); }

std::vector<std::string> Environment(const Command& command) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(command.env.begin(), command.env.end(),
                                      [&](const auto& pair) { return pair.first == name; });
    // PG* of the caller's shell would redirect psql and pgbench.
    if (!replaced && name.rfind("PG", 0) != 0) result.push_back(std::move(text));
  }
  for (const auto& [name, value] : command.env) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Between fork and exec, too.
bool RefuseIoUring(uint16_t error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// Between fork and exec: system calls only.
[[noreturn]] void BecomeChild(const Command& command, char* const* argv, char* const* envp,
                              int output, pid_t parent) {
  if (command.as) {
    if (setgroups(0, nullptr) != 0 || setgid(command.as->gid) != 0 || setuid(command.as->uid) != 0)
      _exit(126);
  }
  // After setuid, which would clear it.
  prctl(PR_SET_PDEATHSIG, command.death_signal);
  if (getppid() != parent) _exit(126);
  const int null_input = open("/dev/null", O_RDONLY);
  dup2(null_input, 0);
  dup2(output, 1);
  dup2(output, 2);
  if (command.files_max) {
    const rlimit limit{*command.files_max, *command.files_max};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (command.io_uring_errno && !RefuseIoUring(*command.io_uring_errno)) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execvpe(argv[0], argv, envp);
  _exit(127);
}

std::string StatusField(pid_t pid, const std::string& name) {
  std::istringstream lines(ReadFile("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name + ":", 0) == 0) return line.substr(name.size() + 1);
  }
  throw RigError("process " + std::to_string(pid) + " has no " + name);
}

}  // namespace

std::optional<Identity> OrdinaryUser() {
  if (geteuid() != 0) return std::nullopt;
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* entry = getpwnam(name)) return Identity{entry->pw_uid, entry->pw_gid};
  }
  throw RigError("running as root, and neither user postgres nor nobody exists");
}

Process::Process(const Command& command) {
  std::vector<std::string> arguments = command.argv;
  std::vector<std::string> environment = Environment(command);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  const std::string file = command.output_file.empty() ? "/dev/null" : command.output_file;
  const int output = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) throw RigError(Errno("open " + file));
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) BecomeChild(command, argv.data(), envp.data(), output, parent);
  close(output);
  if (pid_ < 0) throw RigError(Errno("fork"));
}

Process::~Process() {
  if (!Running()) return;
  kill(pid_, SIGKILL);
  Wait();
}

void Process::Signal(int signal) const { kill(pid_, signal); }

bool Process::Running() { return !Wait(milliseconds(0)).has_value(); }

std::optional<ExitStatus> Process::Wait(milliseconds limit) {
  if (exit_) return exit_;
  Eventually(
      [&] {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
        exit_ = WIFEXITED(status) ? ExitStatus{WEXITSTATUS(status), 0}
                                  : ExitStatus{-1, WTERMSIG(status)};
        return true;
      },
      limit);
  return exit_;
}

RunOutput RunToEnd(Command command, milliseconds limit) {
  const TempDir dir;
  if (command.output_file.empty()) command.output_file = dir / "output";
  Process process(command);
  const std::optional<ExitStatus> exit = process.Wait(limit);
  if (!exit) throw RigError(command.argv[0] + " did not end:\n" + ReadFile(command.output_file));
  return {*exit, ReadFile(command.output_file)};
}

TempDir::TempDir(std::optional<Identity> owner) {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/trireme-e2e-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw RigError(Errno("mkdtemp " + path_));
  if (owner && chown(path_.c_str(), owner->uid, owner->gid) != 0) throw RigError(Errno("chown"));
  chmod(path_.c_str(), 0755);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw RigError(Errno("pipe"));
  alive_pipe_ = ends[1];
  std::vector<std::string> words{"sh", "-c", "cat >/dev/null; rm -rf \"$0\"", path_};
  const std::vector<char*> argv = Pointers(words);
  janitor_ = fork();
  if (janitor_ == 0) {
    setpgid(0, 0);  // survives a Ctrl-C that ends the test
    dup2(ends[0], 0);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(ends[0]);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  close(alive_pipe_);
  waitpid(janitor_, nullptr, 0);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  if (!file) throw RigError("cannot write " + path);
}

uint16_t FreeTcpPort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  if (!bound) throw RigError(Errno("no free port"));
  return ntohs(address.sin_port);
}

uint64_t ResidentKiB(pid_t pid) { return std::stoull(StatusField(pid, "VmRSS")); }
uint64_t PeakResidentKiB(pid_t pid) { return std::stoull(StatusField(pid, "VmHWM")); }

milliseconds CpuTime(pid_t pid) {
  const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) throw RigError("process is gone");
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;  // state .. cmajflt
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return milliseconds((user + system) * 1000 / sysconf(_SC_CLK_TCK));
}

size_t OpenFiles(pid_t pid) {
  const auto entries = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace trireme::e2e
