// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme-costs: measures on this machine what bench/study/costs.json says of the kernel and of
// cache lines, and prints it in that form. Medians of many short rounds, so that what else the
// machine does shows in few of them; CPU time of the thread where only that is meant. Our own
// instructions are not measured here but counted (bench/README.md).
//
// Sends and receives go over loopback TCP, as a pooler on one machine sees them: a send then
// includes the kernel's work of the receiving side.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "engine/flags.h"
#include "ring/uring_ring.h"

namespace trireme::bench {
namespace {

constexpr int kRounds = 2000;
constexpr int kPairs = 32;
constexpr size_t kMessageBytes = 70;

int64_t ClockNs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
int64_t CpuNs() { return ClockNs(CLOCK_THREAD_CPUTIME_ID); }
int64_t WallNs() { return ClockNs(CLOCK_MONOTONIC); }

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Of what `round` returns.
template <typename Round>
double MedianOf(const Round& round) {
  for (int i = 0; i < kRounds / 10; ++i) round();
  std::vector<double> values;
  for (int i = 0; i < kRounds; ++i) values.push_back(round());
  return Median(std::move(values));
}

struct Pair {
  int near = -1;
  int far = -1;
};

Pair LoopbackPair() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  Pair pair;
  pair.near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, any, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, any, &size) != 0 || connect(pair.near, any, size) != 0) {
    std::perror("trireme-costs: loopback");
    std::exit(1);
  }
  pair.far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  const int on = 1;
  for (const int fd : {pair.near, pair.far}) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return pair;
}

// A ring with connections to itself: what one end sends the other receives.
class Loop {
 public:
  Loop() : buffers_({}), ring_(*UringRing::Create({}, buffers_)) {
    ring_->SetSiblings({&fd_, 1});
    if (!ring_->Start().ok()) std::exit(1);
    for (int i = 0; i < kPairs; ++i) {
      pairs_.push_back(LoopbackPair());
      sends_.push_back(std::make_unique<Op>(&Loop::OnSend, this));
      receives_.push_back(std::make_unique<Op>(&Loop::OnReceive, this));
    }
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    for (const Pair& pair : pairs_) {
      setsockopt(pair.far, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
  }

  double SystemCall() {
    const int64_t start = CpuNs();
    constexpr int kCalls = 16;
    for (int i = 0; i < kCalls; ++i) {
      ring_->Wake(0);  // to itself: one entry, so that there is something to call for
      ring_->SubmitAndReap(Time{});
    }
    return static_cast<double>(CpuNs() - start) / kCalls;
  }

  // A message on each connection, read by plain calls that are not timed.
  double Send() {
    const int64_t start = CpuNs();
    for (int i = 0; i < kPairs; ++i) ring_->BeginSend(*sends_[i], pairs_[i].near, Message());
    sent_ = 0;
    while (sent_ < kPairs) ring_->SubmitAndReap(Time{});
    const double each = static_cast<double>(CpuNs() - start) / kPairs;
    char sink[256];
    for (const Pair& pair : pairs_) (void)!read(pair.far, sink, sizeof sink);
    return each;
  }

  void Arm() {
    for (int i = 0; i < kPairs; ++i) ring_->BeginReceive(*receives_[i], pairs_[i].near);
    ring_->SubmitAndReap(Time{});
  }
  // Sent by plain calls that are not timed.
  double Receive() {
    for (const Pair& pair : pairs_) (void)!write(pair.far, Message().data(), Message().size());
    received_ = 0;
    const int64_t start = CpuNs();
    while (received_ < kPairs) ring_->SubmitAndReap(Time{});
    return static_cast<double>(CpuNs() - start) / kPairs;
  }
  // Armed and cancelled, without anything to receive.
  std::pair<double, double> ArmAndCancel() {
    const int64_t start = CpuNs();
    Arm();
    const int64_t armed = CpuNs();
    for (int i = 0; i < kPairs; ++i) ring_->Cancel(*receives_[i]);
    while (ring_->in_flight() > 0) ring_->SubmitAndReap(Time{});
    return {static_cast<double>(armed - start) / kPairs,
            static_cast<double>(CpuNs() - armed) / kPairs};
  }
  double Close() {
    const Pair pair = LoopbackPair();
    const int64_t start = CpuNs();
    ring_->Shutdown(pair.near, SHUT_WR);
    ring_->Close(pair.near);
    const double each = static_cast<double>(CpuNs() - start) / 2;
    close(pair.far);
    return each;
  }
  UringRing& ring() { return *ring_; }

 private:
  static void OnSend(Op& op, Completion&) { ++static_cast<Loop*>(op.owner)->sent_; }
  static void OnReceive(Op& op, Completion& completion) {
    if (completion.result > 0) ++static_cast<Loop*>(op.owner)->received_;
  }
  static Bytes Message() {
    static const std::vector<std::byte> bytes(kMessageBytes, std::byte{'x'});
    return bytes;
  }

  Buffers buffers_;
  std::unique_ptr<UringRing> ring_;
  const int fd_ = ring_->fd();
  std::vector<Pair> pairs_;
  std::vector<std::unique_ptr<Op>> sends_, receives_;
  int sent_ = 0;
  int received_ = 0;
};

// Two rings on two threads wake each other in turns.
struct Wakes {
  double sender_cpu_ns, latency_ns, sleep_cpu_ns;
};

Wakes MeasureWakes() {
  Buffers buffers[2] = {Buffers({}), Buffers({})};
  std::unique_ptr<UringRing> rings[2];
  for (uint32_t i = 0; i < 2; ++i) rings[i] = *UringRing::Create({.index = i}, buffers[i]);
  const int fds[2] = {rings[0]->fd(), rings[1]->fd()};
  for (auto& ring : rings) ring->SetSiblings(fds);
  std::atomic<bool> stop{false};
  std::atomic<bool> started{false};
  std::atomic<int64_t> woken_at{0};
  std::atomic<int64_t> other_cpu{0};
  std::thread other([&] {
    if (!rings[1]->Start().ok()) std::exit(1);
    started = true;
    while (!stop) {
      rings[1]->SubmitAndReap(kNever);
      woken_at = WallNs();
      other_cpu = CpuNs();
    }
  });
  if (!rings[0]->Start().ok()) std::exit(1);
  while (!started) std::this_thread::yield();
  std::vector<double> senders, latencies, sleeps;
  for (int i = 0; i < kRounds; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));  // it sleeps by then
    woken_at = 0;
    const int64_t cpu_before = other_cpu;
    const int64_t cpu = CpuNs();
    const int64_t start = WallNs();
    rings[0]->Wake(1);
    rings[0]->SubmitAndReap(Time{});
    senders.push_back(static_cast<double>(CpuNs() - cpu));
    while (woken_at == 0) std::this_thread::yield();
    latencies.push_back(static_cast<double>(woken_at - start));
    sleeps.push_back(static_cast<double>(other_cpu - cpu_before));
  }
  stop = true;
  rings[0]->Wake(1);
  rings[0]->SubmitAndReap(Time{});
  other.join();
  return {Median(senders), Median(latencies), Median(sleeps)};
}

// A line that goes to and fro between two threads: half of a round trip is one transfer. The
// rounds are short, and the least of many is taken: on a machine with two CPUs a thread that waits
// for the other's time slice is the rule.
double LineTransfer() {
  struct alignas(64) Line {
    std::atomic<uint64_t> value{0};
  } line;
  constexpr uint64_t kTrips = 200;
  std::vector<double> rounds;
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      const uint64_t value = line.value.load(std::memory_order_acquire);
      if (value % 2 == 1) line.value.store(value + 1, std::memory_order_release);
    }
  });
  for (int round = 0; round < 500; ++round) {
    const int64_t start = WallNs();
    for (uint64_t i = 0; i < kTrips; ++i) {
      const uint64_t value = line.value.load(std::memory_order_relaxed);
      line.value.store(value + 1, std::memory_order_release);
      while (line.value.load(std::memory_order_acquire) != value + 2) {
      }
    }
    rounds.push_back(static_cast<double>(WallNs() - start) / kTrips / 2);
  }
  stop = true;
  other.join();
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 10];
}

// Many lines that another thread has just written, read one after the other.
double LineScan() {
  constexpr size_t kLines = 128;
  struct alignas(64) Line {
    std::atomic<uint64_t> value{0};
  };
  std::vector<Line> lines(kLines);
  alignas(64) std::atomic<uint64_t> turn{0};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    uint64_t next = 1;
    while (!stop.load(std::memory_order_relaxed)) {
      if (turn.load(std::memory_order_acquire) != next) continue;
      for (Line& line : lines) line.value.store(next, std::memory_order_relaxed);
      turn.store(next + 1, std::memory_order_release);
      next += 2;
    }
  });
  std::vector<double> rounds;
  uint64_t sum = 0;
  for (int round = 0; round < 2000; ++round) {
    const uint64_t now = turn.load(std::memory_order_relaxed) + 1;
    turn.store(now, std::memory_order_release);
    while (turn.load(std::memory_order_acquire) != now + 1) {
    }
    const int64_t start = WallNs();
    for (Line& line : lines) sum += line.value.load(std::memory_order_relaxed);
    rounds.push_back(static_cast<double>(WallNs() - start) / kLines);
  }
  stop = true;
  other.join();
  if (sum == 1) std::puts("");  // the sum is used
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 10];
}

int Main(int argc, char** argv) {
  Flags flags(
      "trireme-costs: what operations of the kernel and transfers of cache lines cost here, as\n"
      "parameters of the scaling study (bench/study/costs.json).\n\nusage: trireme-costs\n\n");
  const Status parsed = flags.Parse(argc, argv);
  if (!parsed.ok() || flags.help_asked()) {
    std::fprintf(parsed.ok() ? stdout : stderr, "%s%s", flags.Help().c_str(),
                 parsed.ok() ? "" : std::string(parsed.message()).c_str());
    return parsed.ok() ? 0 : 2;
  }
  nlohmann::ordered_json json;
  const auto put = [&json](const char* key, double ns, const char* how) {
    json[key] = {{"ns", std::round(ns)}, {"how", how}};
  };
  Loop loop;
  const double call = MedianOf([&] { return loop.SystemCall(); });
  put("system_call", call, "CPU of one io_uring_enter with one entry that does next to nothing");
  put("send", MedianOf([&] { return loop.Send(); }) - call / kPairs,
      "CPU of a 70-byte message over loopback TCP, of 32 in one call");
  std::vector<double> armed, cancelled;
  for (int i = 0; i < kRounds / 4; ++i) {
    const auto [arm, cancel] = loop.ArmAndCancel();
    armed.push_back(arm);
    cancelled.push_back(cancel);
  }
  put("begin", Median(armed), "CPU of arming a receive, of 32 in one call");
  put("cancel", Median(cancelled), "CPU of cancelling one, of 32 in one call");
  loop.Arm();
  put("receive", MedianOf([&] { return loop.Receive(); }) - call / kPairs,
      "CPU of a message that has arrived, into a provided buffer, of 32 in one call");
  put("close", MedianOf([&] { return loop.Close(); }), "CPU of shutdown or close, their mean");
  loop.ArmAndCancel();  // nothing is in flight at the end
  const Wakes wakes = MeasureWakes();
  put("wake", wakes.sender_cpu_ns, "CPU of the sender, IORING_OP_MSG_RING, its call included");
  put("sleep_latency", wakes.latency_ns, "from the wake-up until the sleeper runs");
  put("sleep", wakes.sleep_cpu_ns, "CPU of the sleeper: falling asleep and coming back");
  put("line_transfer", LineTransfer(),
      "half of a round trip between two threads, tenth percentile");
  put("line_scan", LineScan(), "each of 128 lines that another thread has written, read in a row");
  std::printf("%s\n", json.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
