// SPDX-License-Identifier: GPL-3.0-or-later
//
// count_instructions: the instructions and system calls of one thread of a running process, for a
// while or until SIGINT or SIGTERM.
//
//   perf         the CPU's own counters, user and kernel, at full speed; where the machine has them
//   single-step  else: the thread runs one instruction at a time under ptrace, which counts user
//                instructions exactly but slows the thread about a thousandfold. What it serves
//                queues up meanwhile, so each of its turns finds a full batch of work: the result
//                is user instructions under saturation. Treat whatever you compare with alike.
//   no-step      counts system calls (and, where possible, instructions) without ever slowing
//
// The target runs on afterwards, whatever happens; only SIGKILL to this program may harm it.
// Prints "attached" when counting has begun, then, at the end, lines of "name value".
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "single_step.h"
#include "symbols.h"

namespace trireme::bench {
namespace {

constexpr char kUsage[] =
    "usage: count_instructions --pid P [--tid T | --thread NAME_PREFIX] [--seconds S]\n"
    "                          [--method auto|perf|single-step|no-step] [--profile N]\n"
    "\n"
    "  --pid P          the process; its main thread, unless one of these is given:\n"
    "  --tid T          its thread of that number\n"
    "  --thread PREFIX  its first thread with a name that begins so\n"
    "  --seconds S      end after so long (10); SIGINT or SIGTERM ends it earlier\n"
    "  --method M       auto: perf where the machine permits it, else single-step\n"
    "  --profile N      with single-step: also the N functions with the most instructions\n";

volatile int stop_requested = 0;

struct Options {
  pid_t pid = 0;
  pid_t tid = 0;
  std::string thread;
  double seconds = 10;
  std::string method = "auto";
  size_t profile = 0;
};

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "count_instructions: %s\n", why.c_str());
  std::exit(1);
}

double Number(const std::string& option, const char* text) {
  char* end = nullptr;
  const double value = text == nullptr ? 0 : std::strtod(text, &end);
  if (text == nullptr || end == text || *end != 0 || !(value > 0) || value > 1e9) {
    Fail(option + " needs a positive number");
  }
  return value;
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    const char* value = i + 1 < argc ? argv[++i] : nullptr;
    if (name == "--pid") {
      options.pid = static_cast<pid_t>(Number(name, value));
    } else if (name == "--tid") {
      options.tid = static_cast<pid_t>(Number(name, value));
    } else if (name == "--seconds") {
      options.seconds = Number(name, value);
    } else if (name == "--profile") {
      options.profile = static_cast<size_t>(Number(name, value));
    } else if (name == "--thread" && value != nullptr) {
      options.thread = value;
    } else if (name == "--method" && value != nullptr) {
      options.method = value;
    } else {
      Fail("unknown option or missing value: " + name + "; see --help");
    }
  }
  const std::vector<std::string> methods = {"auto", "perf", "single-step", "no-step"};
  if (std::find(methods.begin(), methods.end(), options.method) == methods.end()) {
    Fail("--method is none of auto, perf, single-step, no-step");
  }
  if (options.pid == 0) Fail("--pid is missing; see --help");
  return options;
}

pid_t FindThread(const Options& options) {
  if (options.tid != 0) return options.tid;
  if (options.thread.empty()) return options.pid;
  std::vector<pid_t> found;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(options.pid) + "/task";
  for (const auto& entry : std::filesystem::directory_iterator(tasks, error)) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm") >> std::ws, name);
    if (name.starts_with(options.thread)) {
      found.push_back(static_cast<pid_t>(std::stol(entry.path().filename().string())));
    }
  }
  if (found.empty()) Fail("no thread of " + tasks + " has a name beginning " + options.thread);
  return *std::min_element(found.begin(), found.end());
}

// A counter of the kernel for one thread; absent when the machine does not let us.
class Counter {
 public:
  enum class Of { kUser, kKernel };

  static Counter Instructions(pid_t tid, Of of) {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = of == Of::kUser;
    attributes.exclude_user = of == Of::kKernel;
    return Counter(tid, attributes);
  }
  static Counter ContextSwitches(pid_t tid) {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_CONTEXT_SWITCHES;
    return Counter(tid, attributes);
  }
  static Counter SystemCalls(pid_t tid) {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_TRACEPOINT;
    for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
      std::ifstream id(std::string(root) + "/events/raw_syscalls/sys_enter/id");
      uint64_t number = 0;
      if (id >> number) attributes.config = number;
    }
    return Counter(attributes.config == 0 ? -1 : tid, attributes);
  }

  Counter(Counter&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Counter() {
    if (fd_ >= 0) close(fd_);
  }
  bool present() const { return fd_ >= 0; }
  uint64_t Read() const {
    uint64_t value = 0;
    return read(fd_, &value, sizeof value) == sizeof value ? value : 0;
  }

 private:
  Counter(pid_t tid, perf_event_attr attributes) : fd_(-1) {
    attributes.size = sizeof attributes;
    attributes.exclude_hv = attributes.type == PERF_TYPE_HARDWARE;
    if (tid > 0) fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, tid, -1, -1, 0));
  }

  int fd_;
};

void Print(const char* name, uint64_t value) { std::printf("%s %" PRIu64 "\n", name, value); }

void SayAttached() {
  std::puts("attached");
  std::fflush(stdout);
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void CountByCounters(const Options& options, pid_t tid) {
  const std::pair<const char*, Counter> counters[] = {
      {"user_instructions", Counter::Instructions(tid, Counter::Of::kUser)},
      {"kernel_instructions", Counter::Instructions(tid, Counter::Of::kKernel)},
      {"system_calls", Counter::SystemCalls(tid)},
      {"context_switches", Counter::ContextSwitches(tid)}};
  SayAttached();
  const auto start = std::chrono::steady_clock::now();
  while (stop_requested == 0 && SecondsSince(start) < options.seconds) pause();
  const double seconds = SecondsSince(start);
  std::puts("method perf");
  for (const auto& [name, counter] : counters) {
    if (counter.present()) Print(name, counter.Read());
  }
  std::printf("seconds %.3f\n", seconds);
}

template <typename Map>
void PrintTop(const char* title, const Map& counts, size_t count, uint64_t total) {
  std::vector<std::pair<uint64_t, std::string>> rows;
  for (const auto& [name, value] : counts) rows.emplace_back(value, name);
  std::sort(rows.rbegin(), rows.rend());
  if (rows.size() > count) rows.resize(count);
  for (const auto& [value, name] : rows) {
    std::printf("%s %" PRIu64 " %.1f%% %s\n", title, value,
                100.0 * static_cast<double>(value) / static_cast<double>(total), name.c_str());
  }
}

// The calls a pooler makes; others are shown by number.
std::string SystemCallName(uint64_t number) {
  static const std::map<uint64_t, const char*> names = {{SYS_read, "read"},
                                                        {SYS_write, "write"},
                                                        {SYS_close, "close"},
                                                        {SYS_sendto, "sendto"},
                                                        {SYS_recvfrom, "recvfrom"},
                                                        {SYS_sendmsg, "sendmsg"},
                                                        {SYS_recvmsg, "recvmsg"},
                                                        {SYS_epoll_wait, "epoll_wait"},
                                                        {SYS_epoll_ctl, "epoll_ctl"},
                                                        {SYS_futex, "futex"},
                                                        {SYS_accept4, "accept4"},
                                                        {SYS_epoll_pwait, "epoll_pwait"},
                                                        {SYS_writev, "writev"},
                                                        {SYS_readv, "readv"},
                                                        {SYS_clock_gettime, "clock_gettime"},
                                                        {SYS_gettimeofday, "gettimeofday"},
                                                        {SYS_io_uring_enter, "io_uring_enter"}};
  const auto at = names.find(number);
  return at != names.end() ? at->second : "system call " + std::to_string(number);
}

void CountByStepping(const Options& options, pid_t tid) {
  SingleStep target(options.pid, tid);
  const std::string problem = target.Attach();
  if (!problem.empty()) Fail("thread " + std::to_string(tid) + ": " + problem);
  SayAttached();
  const auto start = std::chrono::steady_clock::now();
  const SingleStep::Counts counts = target.Run(options.seconds, &stop_requested);
  const double seconds = SecondsSince(start);
  std::puts("method single-step");
  Print("user_instructions", counts.instructions);
  Print("system_calls", counts.system_calls);
  std::printf("seconds %.3f\n", seconds);
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);  // it would interrupt reading what nm says
  if (options.profile > 0 && counts.instructions > 0) {
    Symbols symbols(options.pid);
    std::map<std::string, uint64_t> functions, calls;
    for (const auto& [address, count] : counts.by_address)
      functions[symbols.NameOf(address)] += count;
    for (const auto& [number, count] : counts.by_system_call)
      calls[SystemCallName(number)] += count;
    PrintTop("function", functions, options.profile, counts.instructions);
    PrintTop("call", calls, options.profile, std::max<uint64_t>(counts.system_calls, 1));
  }
  if (counts.target_ended) Fail("the target ended while it was counted");
}

void HandleSignals() {
  struct sigaction action {};  // without SA_RESTART: it must interrupt waiting
  action.sa_handler = [](int signal) {
    if (signal != SIGALRM) stop_requested = 1;
  };
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) sigaction(signal, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Repeated, so that a stop between a look and a wait is seen soon.
  const itimerval interval = {.it_interval = {0, 20'000}, .it_value = {0, 20'000}};
  setitimer(ITIMER_REAL, &interval, nullptr);
}

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  const pid_t tid = FindThread(options);
  HandleSignals();
  const bool permitted = Counter::Instructions(tid, Counter::Of::kUser).present();
  if (options.method == "perf" && !permitted) Fail("this machine offers no instruction counter");
  if (options.method == "single-step" || (options.method == "auto" && !permitted)) {
    CountByStepping(options, tid);
  } else {
    CountByCounters(options, tid);
  }
  return 0;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
