// SPDX-License-Identifier: GPL-3.0-or-later
//
// The price of the path below the protocol: messages between streams over a Unix socket pair, both
// ends on one ring. Two streams, so each round trip is two receives and two sends, as a pooler
// makes for each of its sides.
//
//   RoundTrip/<n>    one message to and fro on <n> pairs at once; more pairs share a turn
//
// Instructions (user space) come from the CPU's counter where the kernel permits it; else they are
// absent.
#include <benchmark/benchmark.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "net/stream.h"
#include "ring/uring_ring.h"

namespace trireme {
namespace {

// User-space instructions of this thread.
class InstructionCounter {
 public:
  InstructionCounter() {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~InstructionCounter() {
    if (fd_ >= 0) close(fd_);
  }
  bool present() const { return fd_ >= 0; }
  double Read() const {
    uint64_t count = 0;
    if (fd_ < 0 || read(fd_, &count, sizeof count) != sizeof count) return 0;
    return static_cast<double>(count);
  }

 private:
  int fd_;
};

struct Echo final : StreamOwner {
  explicit Echo(Streams& streams) : stream(streams, *this) {}
  void OnReceive(Slice&& slice) override {
    ++received;
    if (echoes) stream.Send(std::move(slice));
  }
  void OnEnd(int) override { stream.Abort(); }
  void OnDrained() override {}
  void OnConnected(int) override {}
  void OnDetached(int) override {}
  void OnClosed() override {}

  Stream stream;
  bool echoes = false;
  uint64_t received = 0;
};

void RoundTrip(benchmark::State& state) {
  const auto pairs = static_cast<size_t>(state.range(0));
  Buffers buffers({});
  std::unique_ptr<UringRing> ring = *UringRing::Create({}, buffers);
  if (!ring->Start().ok()) return;
  Streams streams(*ring, {});
  std::vector<std::unique_ptr<Echo>> near, far;
  for (size_t i = 0; i < pairs; ++i) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return;
    near.push_back(std::make_unique<Echo>(streams));
    far.push_back(std::make_unique<Echo>(streams));
    near[i]->stream.Adopt(fds[0]);
    far[i]->stream.Adopt(fds[1]);
    far[i]->echoes = true;
  }
  const std::string message(64, 'x');
  const InstructionCounter instructions;
  const Ring::Counters before = ring->counters();
  const double start = instructions.Read();
  uint64_t rounds = 0;
  for (auto _ : state) {
    ++rounds;
    for (auto& echo : near) echo->stream.SendCopy(AsBytes(message));
    bool waiting = true;
    while (waiting) {
      streams.Flush();
      ring->SubmitAndReap(kNever);
      waiting = false;
      for (auto& echo : near) waiting |= echo->received < rounds;
    }
  }
  const double trips = static_cast<double>(rounds * pairs);
  if (instructions.present()) {
    state.counters["instructions/message"] = (instructions.Read() - start) / trips / 2;
  }
  state.counters["calls/message"] =
      static_cast<double>(ring->counters().system_calls - before.system_calls) / trips / 2;
  state.SetItemsProcessed(static_cast<int64_t>(rounds * pairs * 2));
  for (auto& echo : near) echo->stream.Abort();
  for (auto& echo : far) echo->stream.Abort();
  while (streams.open_count() > 0) {
    streams.Flush();
    ring->SubmitAndReap(ring->now() + 1ms);
  }
}
BENCHMARK(RoundTrip)->Arg(1)->Arg(8)->Arg(32);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
