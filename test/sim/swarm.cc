// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/swarm.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/marks.h"

#if defined(__SANITIZE_ADDRESS__)
#define TRIREME_SWARM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRIREME_SWARM_SANITIZED 1
#endif
#endif
#ifdef TRIREME_SWARM_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

namespace trireme::sim {
namespace {

using WallClock = std::chrono::steady_clock;

// What a child says to its parent begins so; everything else is for people.
constexpr std::string_view kMark = "@@";
constexpr int kBad = 3;

// --- the child -----------------------------------------------------------------------------------

Story* child_story = nullptr;  // where the end of the process finds it

void TellStory() {
  if (child_story == nullptr) return;
  const std::string text = std::exchange(child_story, nullptr)->Text();
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

[[noreturn]] void EndBadly(const std::string& what) {
  std::printf("%.*sbroken %s\n", static_cast<int>(kMark.size()), kMark.data(),
              what.substr(0, what.find('\n')).c_str());
  std::printf("%s\n", what.c_str());
  TellStory();
  std::fflush(stdout);
  _exit(kBad);
}

void OnSignal(int signal) {
  std::printf("%.*sbroken %s\n", static_cast<int>(kMark.size()), kMark.data(),
              signal == SIGPROF ? "does not come to an end" : "an assert failed");
  TellStory();
  std::fflush(stdout);
  _exit(kBad);
}

[[noreturn]] void RunChild(uint64_t seed, const SeedOptions& options) {
  using enum SeedOptions::Telling;
  std::signal(SIGABRT, OnSignal);
  std::signal(SIGPROF, OnSignal);
#ifdef TRIREME_MARKS
  for (size_t i = 0; i < std::size(kMutationNames); ++i) {
    if (options.mutation == kMutationNames[i]) planted = static_cast<Mutation>(i);
  }
#endif
  // Of its own time: a busy machine is not a world without end.
  const itimerval time_max{.it_interval = {}, .it_value = {.tv_sec = options.time_max.count()}};
  setitimer(ITIMER_PROF, &time_max, nullptr);
  std::unique_ptr<Story> story;
  if (options.telling != kNone) {
    story = std::make_unique<Story>(
        Story::Options{.lines_max = 400, .at_once = options.telling == kAlways});
    if (options.telling == kWhenBad) child_story = story.get();
#ifdef TRIREME_SWARM_SANITIZED
    __sanitizer_set_death_callback(TellStory);
#endif
  }
  const WorldPlan plan = WorldPlan::Draw(seed);
  if (story != nullptr) story->Tell(Time{}, "plan", plan.Text());
  World world(plan, EndBadly, story.get());
  world.Run();
  for (const auto& [name, count] : world.Counts()) {
    std::printf("%.*scount %llu %s\n", static_cast<int>(kMark.size()), kMark.data(),
                static_cast<unsigned long long>(count), name.c_str());
  }
  std::printf("%.*shash %llu\n", static_cast<int>(kMark.size()), kMark.data(),
              static_cast<unsigned long long>(world.trace_hash()));
  std::fflush(stdout);
  _exit(0);
}

// --- the parent ----------------------------------------------------------------------------------

uint64_t Number(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A world under way.
struct Child {
  uint64_t seed;
  pid_t pid;
  int fd;
  std::string said;
};

Child Begin(uint64_t seed, const SeedOptions& options) {
  std::fflush(stdout);
  std::fflush(stderr);
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t pid = fork();
  if (pid < 0) std::abort();
  if (pid == 0) {
    close(ends[0]);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    RunChild(seed, options);
  }
  close(ends[1]);
  return {.seed = seed, .pid = pid, .fd = ends[0], .said = {}};
}

// False: it has said all.
bool ReadSome(Child& child) {
  char bytes[65536];
  const ssize_t size = read(child.fd, bytes, sizeof bytes);
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  child.said.append(bytes, static_cast<size_t>(size));
  return true;
}

SeedResult Finish(Child& child) {
  close(child.fd);
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  SeedResult result{.seed = child.seed};
  bool has_hash = false;
  std::string_view said = child.said;
  while (!said.empty()) {
    const size_t end = std::min(said.find('\n'), said.size() - 1) + 1;
    std::string_view line = said.substr(0, end);
    said.remove_prefix(end);
    if (!line.starts_with(kMark)) {
      result.output += line;
      continue;
    }
    line.remove_prefix(kMark.size());
    if (line.back() == '\n') line.remove_suffix(1);
    const size_t space = std::min(line.find(' '), line.size() - 1);
    const std::string_view word = line.substr(0, space);
    const std::string_view rest = line.substr(space + 1);
    if (word == "hash") {
      result.trace_hash = Number(rest);
      has_hash = true;
    } else if (word == "count") {
      result.counts[std::string(rest.substr(rest.find(' ') + 1))] = Number(rest);
    } else if (word == "broken") {
      result.what = rest;
    }
  }
  result.good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && has_hash;
  if (result.good) return result;
  if (result.what.empty()) {
    result.what = WIFSIGNALED(status) ? "died of signal " + std::to_string(WTERMSIG(status))
                                      : "exit code " + std::to_string(WEXITSTATUS(status));
  }
  return result;
}

// --- many ----------------------------------------------------------------------------------------

class Run {
 public:
  explicit Run(const Swarm::Options& options)
      : options_(options), start_(WallClock::now()), next_(options.first_seed) {}

  Swarm::Result All() {
    while (MayBegin() || !children_.empty()) {
      while (MayBegin() && children_.size() < options_.at_once) BeginNext();
      WaitForOne();
    }
    std::sort(result_.bad.begin(), result_.bad.end(),
              [](const SeedResult& a, const SeedResult& b) { return a.seed < b.seed; });
    if (!result_.bad.empty()) Retell(result_.bad.front());
    return std::move(result_);
  }

 private:
  bool MayBegin() const {
    if (result_.bad.size() >= options_.bad_max) return false;
    if (!again_.empty() || next_ < options_.first_seed + options_.seeds_least) return true;
    return next_ < options_.first_seed + options_.seeds &&
           WallClock::now() - start_ < options_.time;
  }

  SeedOptions seed_options() const {
    // A planted bug that makes a world hang need not be waited for.
    return {.telling = SeedOptions::Telling::kNone,
            .time_max = std::chrono::seconds(options_.mutation.empty() ? 120 : 15),
            .mutation = options_.mutation};
  }

  void BeginNext() {
    uint64_t seed = next_;
    if (!again_.empty()) {
      seed = again_.back();
      again_.pop_back();
    } else {
      ++next_;
    }
    children_.push_back(Begin(seed, seed_options()));
  }

  void WaitForOne() {
    std::vector<pollfd> fds;
    for (const Child& child : children_) fds.push_back({child.fd, POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) return;
    for (size_t i = fds.size(); i-- > 0;) {
      if (fds[i].revents == 0 || ReadSome(children_[i])) continue;
      SeedResult done = Finish(children_[i]);
      children_.erase(children_.begin() + static_cast<ptrdiff_t>(i));
      Take(std::move(done));
    }
  }

  void Take(SeedResult done) {
    if (!done.good) {
      if (options_.progress) {
        std::fprintf(stderr, "bad seed %llu: %s\n", static_cast<unsigned long long>(done.seed),
                     done.what.c_str());
      }
      result_.bad.push_back(std::move(done));
      return;
    }
    if (const auto before = hashes_.find(done.seed); before != hashes_.end()) {
      ++result_.repeated;
      if (before->second == done.trace_hash) return;
      done.good = false;
      done.what = "repeat: the same seed ran differently: " + std::to_string(before->second) +
                  ", then " + std::to_string(done.trace_hash);
      result_.bad.push_back(std::move(done));
      return;
    }
    ++result_.seeds_run;
    for (const auto& [name, count] : done.counts) result_.counts[name] += count;
    if (options_.repeat_every > 0 && done.seed % options_.repeat_every == 0) {
      hashes_[done.seed] = done.trace_hash;
      again_.push_back(done.seed);
    }
    Progress(done);
  }

  void Progress(const SeedResult& done) {
    if (!options_.progress || WallClock::now() - told_ < std::chrono::seconds(5)) return;
    told_ = WallClock::now();
    std::fprintf(stderr, "seed %llu, %llu good, %llu transactions\n",
                 static_cast<unsigned long long>(done.seed),
                 static_cast<unsigned long long>(result_.seeds_run),
                 static_cast<unsigned long long>(result_.counts["transactions"]));
  }

  void Retell(SeedResult& bad) {
    if (bad.what.starts_with("repeat") || !options_.mutation.empty()) return;
    SeedOptions options = seed_options();
    options.telling = SeedOptions::Telling::kWhenBad;
    SeedResult told = RunSeed(bad.seed, options);
    if (!told.good) bad = std::move(told);
  }

  const Swarm::Options options_;
  const WallClock::time_point start_;
  uint64_t next_;
  std::vector<uint64_t> again_;
  std::map<uint64_t, uint64_t> hashes_;
  std::vector<Child> children_;
  Swarm::Result result_;
  WallClock::time_point told_{};
};

}  // namespace

SeedResult RunSeed(uint64_t seed, const SeedOptions& options) {
  Child child = Begin(seed, options);
  size_t printed = 0;
  while (ReadSome(child)) {
    if (options.telling != SeedOptions::Telling::kAlways) continue;
    // Whole lines, as they come.
    const size_t end = child.said.rfind('\n');
    if (end == std::string::npos || end < printed) continue;
    std::fwrite(child.said.data() + printed, 1, end + 1 - printed, stdout);
    printed = end + 1;
  }
  return Finish(child);
}

Swarm::Result Swarm::Run(const Options& options) { return sim::Run(options).All(); }

MutationResult FindMutation(std::string_view name, Swarm::Options options) {
  TRIREME_ASSERT(kMarksBuilt);
  options.mutation = name;
  options.repeat_every = 0;
  const Swarm::Result result = Swarm::Run(options);
  MutationResult found{.name = std::string(name), .seeds = result.seeds_run};
  if (result.bad.empty()) return found;
  found.found = true;
  found.seeds = result.bad.front().seed - options.first_seed + 1;
  found.what = result.bad.front().what;
  return found;
}

std::string MutationResult::Text() const {
  std::string text = name;
  text.resize(std::max<size_t>(text.size() + 1, 26), ' ');
  if (!found) return text + "NOT FOUND in " + std::to_string(seeds) + " seeds";
  const std::string count = std::to_string(seeds);
  return text + std::string(count.size() < 4 ? 4 - count.size() : 0, ' ') + count + "  " +
         what.substr(0, 100);
}

std::string Text(const WorldCounts& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    std::string line = "  " + name;
    line.resize(std::max<size_t>(line.size() + 1, 40), ' ');
    text += line + std::to_string(count) + "\n";
  }
  return text;
}

}  // namespace trireme::sim
