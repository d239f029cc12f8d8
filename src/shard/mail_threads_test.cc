// SPDX-License-Identifier: GPL-3.0-or-later
//
// Mail between real threads that pause at random and sleep whenever they may: the production post
// office and mailers over a ring that is no more than a doorbell. Queues are tiny, so that letters
// also wait at their sender.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/random_pause.h"
#include "shard/mailer.h"

namespace trireme {
namespace {

constexpr uint32_t kCores = 4;
constexpr uint32_t kSlots = 2;
constexpr uint32_t kLettersEach = 3'000;
constexpr std::chrono::seconds kPatience(20);  // for one letter, on a machine that is busy

// A doorbell for each core; a wake leaves with the sender's next SubmitAndReap, as in a real ring.
class BellRing final : public Ring {
 public:
  BellRing(std::vector<std::unique_ptr<BellRing>>& all, uint32_t index)
      : all_(all), index_(index) {}

  uint32_t index() const override { return index_; }
  void Wake(uint32_t ring_index) override { wakes_.push_back(ring_index); }
  // 1 when it was woken, 0 when nobody rang within kPatience.
  uint32_t SubmitAndReap(Time deadline) override {
    for (const uint32_t ring : wakes_) all_[ring]->bell_.release();
    wakes_.clear();
    if (deadline == Time{}) return bell_.try_acquire() ? 1 : 0;
    return bell_.try_acquire_for(kPatience) ? 1 : 0;
  }

  Duration cpu_time() const override { TRIREME_UNREACHABLE(); }
  Buffers& buffers() override { TRIREME_UNREACHABLE(); }
  Result<int> Listen(const SocketAddress&, const ListenOptions&) override { TRIREME_UNREACHABLE(); }
  Result<int> Open(int) override { TRIREME_UNREACHABLE(); }
  void SetOptions(int, const SocketOptions&) override { TRIREME_UNREACHABLE(); }
  SocketAddress PeerAddress(int) override { TRIREME_UNREACHABLE(); }
  SocketAddress LocalAddress(int) override { TRIREME_UNREACHABLE(); }
  void Shutdown(int, int) override { TRIREME_UNREACHABLE(); }
  void Close(int) override { TRIREME_UNREACHABLE(); }
  void BeginAccept(Op&, int) override { TRIREME_UNREACHABLE(); }
  void BeginConnect(Op&, int, const SocketAddress&) override { TRIREME_UNREACHABLE(); }
  void BeginReceive(Op&, int) override { TRIREME_UNREACHABLE(); }
  void BeginSend(Op&, int, Bytes) override { TRIREME_UNREACHABLE(); }
  void BeginQuickSend(Op&, int, Bytes) override { TRIREME_UNREACHABLE(); }
  void BeginSendVector(Op&, int, const msghdr&) override { TRIREME_UNREACHABLE(); }
  void Cancel(Op&) override { TRIREME_UNREACHABLE(); }
  const Counters& counters() const override { TRIREME_UNREACHABLE(); }
  uint32_t in_flight() const override { return 0; }

 private:
  std::vector<std::unique_ptr<BellRing>>& all_;
  const uint32_t index_;
  std::vector<uint32_t> wakes_;
  std::counting_semaphore<> bell_{0};
};

// Letters of one core to one other are numbered from 0: every one, once, in order.
class Correspondence {
 public:
  Correspondence() : office_(kCores, kSlots) {
    for (uint32_t i = 0; i < kCores; ++i) rings_.push_back(std::make_unique<BellRing>(rings_, i));
  }

  void Run() {
    std::vector<std::thread> threads;
    for (uint32_t core = 0; core < kCores; ++core) threads.emplace_back([&, core] { Live(core); });
    for (std::thread& thread : threads) thread.join();
  }

  uint32_t received() const { return received_.load(); }
  uint64_t sleeps() const { return sleeps_.load(); }
  uint64_t disordered() const { return disordered_.load(); }
  const std::string& stuck() const { return stuck_; }

 private:
  // The turns of one core until all letters of all cores are read.
  void Live(uint32_t core) {
    Random random(core + 1);
    BellRing& ring = *rings_[core];
    Mailer mailer(office_, ring, core);
    std::vector<int> expected(kCores, 0);
    std::vector<int> next(kCores, 0);
    uint32_t left = kLettersEach;
    while (!over_.load()) {
      mailer.Receive([&](const Mail& mail) {
        if (mail.kind != Mail::Kind::kPlace) return;  // "all is read"
        if (mail.place.fd != expected[mail.from_core]++) ++disordered_;
        if (received_.fetch_add(1) + 1 == kCores * kLettersEach) End(core, mailer);
      });
      for (uint64_t batch = random.Below(4); batch > 0 && left > 0; --batch, --left) {
        const auto to = static_cast<uint32_t>((core + 1 + random.Below(kCores - 1)) % kCores);
        mailer.Send(to, Mail{.kind = Mail::Kind::kPlace, .place = {next[to]++, 0}});
      }
      RandomPause(random);
      mailer.Flush();
      Sleep(ring, mailer, core, left);
    }
    mailer.Flush();
    ring.SubmitAndReap(Time{});
  }

  // As Shard::Turn does. Who still has letters to write sleeps only until somebody wakes it, too:
  // then its neighbour writes for ever or not at all, so it stays awake.
  void Sleep(BellRing& ring, Mailer& mailer, uint32_t core, uint32_t left) {
    const bool sleeping = left == 0 && !mailer.backed_up() && !over_ && mailer.BeginSleep();
    const uint32_t woken = ring.SubmitAndReap(sleeping ? kNever : Time{});
    if (!sleeping) return;
    mailer.EndSleep();
    ++sleeps_;
    if (woken != 0 || over_) return;
    const std::lock_guard lock(stuck_mutex_);
    stuck_ += "core " + std::to_string(core) + " slept for " + std::to_string(kPatience.count()) +
              " s; " + std::to_string(received_) + " letters were read of " +
              std::to_string(kCores * kLettersEach) + "\n";
    over_ = true;
  }

  // Whoever reads the last letter tells the others, who may sleep.
  void End(uint32_t core, Mailer& mailer) {
    over_ = true;
    for (uint32_t to = 0; to < kCores; ++to) {
      if (to != core) mailer.Send(to, Mail{.kind = Mail::Kind::kControl, .control = {}});
    }
  }

  PostOffice office_;
  std::vector<std::unique_ptr<BellRing>> rings_;
  std::atomic<uint32_t> received_{0};
  std::atomic<uint64_t> sleeps_{0};
  std::atomic<uint64_t> disordered_{0};
  std::atomic<bool> over_{false};
  std::mutex stuck_mutex_;
  std::string stuck_;
};

TEST(MailThreads, EveryLetterIsReadOnceInOrderAndNoSleeperMissesOne) {
  Correspondence correspondence;
  correspondence.Run();
  EXPECT_EQ(correspondence.stuck(), "");
  EXPECT_EQ(correspondence.received(), kCores * kLettersEach);
  EXPECT_EQ(correspondence.disordered(), 0u);
  EXPECT_GT(correspondence.sleeps(), 0u);
}

// One letter at a time, there and back: each side sleeps for nearly every letter, so nearly every
// letter races with a core that is falling asleep.
TEST(MailThreads, NoLetterIsMissedByACoreThatFallsAsleep) {
  constexpr int kRounds = 5'000;
  PostOffice office(2, kSlots);
  std::vector<std::unique_ptr<BellRing>> rings;
  for (uint32_t i = 0; i < 2; ++i) rings.push_back(std::make_unique<BellRing>(rings, i));
  std::atomic<int> read[2] = {0, 0};
  const auto live = [&](uint32_t core) {
    Random random(core + 7);
    Mailer mailer(office, *rings[core], core);
    int wanted = core == 0 ? 0 : 1;  // letters to have read before the next is written
    for (int written = 0; read[core] < kRounds || written < kRounds;) {
      mailer.Receive([&](const Mail&) { ++read[core]; });
      if (written < kRounds && read[core] >= wanted) {
        mailer.Send(1 - core, Mail{.kind = Mail::Kind::kControl, .control = {}});
        ++written;
        ++wanted;
      }
      mailer.Flush();
      RandomPause(random);
      const bool done = read[core] == kRounds && written == kRounds;
      const bool sleeping = !done && mailer.BeginSleep();
      const uint32_t woken = rings[core]->SubmitAndReap(sleeping ? kNever : Time{});
      if (!sleeping) continue;
      mailer.EndSleep();
      if (woken == 0) return;  // the counts below say what was missed
    }
  };
  std::thread other([&] { live(1); });
  live(0);
  other.join();
  EXPECT_EQ(read[0], kRounds);
  EXPECT_EQ(read[1], kRounds);
}

}  // namespace
}  // namespace trireme
