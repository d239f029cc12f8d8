// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"

namespace trireme {
namespace {

constexpr Time kStart = Time(Duration(123'456'789));

// A timer that notes when it fired and then does what the test says.
struct Probe {
  Probe() = default;
  explicit Probe(std::function<void()> then_do) : then(std::move(then_do)) {}
  Timer timer{[](void* owner) { static_cast<Probe*>(owner)->Fired(); }, this};
  std::function<void()> then;
  int fired = 0;
  void Fired() {
    ++fired;
    if (then) then();
  }
};

struct ExpiryCase {
  Duration after;     // expiry, after the start
  Duration fires_at;  // the first Advance, in steps of 1 ns around it, that fires it
};

TEST(TimerWheel, FiresAtTheFirstTickNotBeforeTheExpiry) {
  const ExpiryCase cases[] = {
      {1ns, 1ms},
      {999'999ns, 1ms},
      {1ms, 1ms},
      {1ms + 1ns, 2ms},
      {63ms, 63ms},
      {64ms, 64ms},
      {65ms, 65ms},
      {4095ms, 4095ms},
      {4096ms, 4096ms},
      {4097ms, 4097ms},
      {262'143ms, 262'143ms},
      {262'144ms, 262'144ms},
      {262'145ms, 262'145ms},
      {16'777'215ms, 16'777'215ms},
      {16'777'216ms, 16'777'216ms},
      {16'777'217ms, 16'777'217ms},
      {100'000'000ms, 100'000'000ms},
      {24h * 365, 24h * 365},
      {24h * 365 * 100 + 1ns, 24h * 365 * 100 + 1ms},
  };
  for (const ExpiryCase& c : cases) {
    TimerWheel wheel(kStart);
    Probe probe;
    wheel.Schedule(probe.timer, kStart + c.after);
    EXPECT_EQ(probe.timer.expiry(), kStart + c.after);
    wheel.Advance(kStart + c.fires_at - 1ns);
    EXPECT_EQ(probe.fired, 0) << c.after.count();
    EXPECT_EQ(wheel.NextExpiry(), kStart + c.fires_at) << c.after.count();
    wheel.Advance(kStart + c.fires_at);
    EXPECT_EQ(probe.fired, 1) << c.after.count();
    EXPECT_EQ(wheel.count(), 0u);
    EXPECT_EQ(wheel.NextExpiry(), kNever);
  }
}

// Sleeping until NextExpiry() again and again reaches each expiry in a bounded number of turns.
TEST(TimerWheel, NextExpiryLeadsToTheExpiryInFewSteps) {
  const Duration cases[] = {1ms, 63ms, 64ms, 5s, 77s, 1h, 4h, 5h, 24h};
  for (const Duration offset : {0ms, 1ms, 63ms, 16'777'215ms}) {
    for (const Duration after : cases) {
      TimerWheel wheel(kStart);
      Probe probe;
      wheel.Advance(kStart + offset);
      const Time expiry = kStart + offset + after;
      wheel.Schedule(probe.timer, expiry);
      int steps = 0;
      while (probe.fired == 0 && steps < 20) {
        const Time next = wheel.NextExpiry();
        EXPECT_LE(next, expiry);
        wheel.Advance(next);
        ++steps;
      }
      EXPECT_EQ(probe.fired, 1);
      EXPECT_LE(steps, 4 + after / (4h + 30min)) << after.count();
    }
  }
}

TEST(TimerWheel, APastExpiryFiresAtTheNextAdvanceEvenInTheSameTick) {
  TimerWheel wheel(kStart);
  wheel.Advance(kStart + 10ms);
  for (const Time expiry : {Time{}, kStart, kStart + 5ms, kStart + 10ms}) {
    Probe probe;
    wheel.Schedule(probe.timer, expiry);
    EXPECT_LE(wheel.NextExpiry(), kStart + 10ms);
    wheel.Advance(kStart + 10ms);
    EXPECT_EQ(probe.fired, 1);
  }
}

TEST(TimerWheel, NeverNeverFires) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.Schedule(probe.timer, kNever);
  wheel.Advance(kStart + 24h * 365 * 50);
  EXPECT_EQ(probe.fired, 0);
  wheel.Cancel(probe.timer);
}

TEST(TimerWheel, NextExpiryAtTheEndOfTimeIsNotBeyondIt) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.Advance(kNever - 500us);
  wheel.Schedule(probe.timer, kNever);
  EXPECT_LE(wheel.NextExpiry(), kNever);
  wheel.Advance(kNever);
  wheel.Cancel(probe.timer);
}

TEST(TimerWheel, FiresInOrderOfTickAcrossLevels) {
  TimerWheel wheel(kStart);
  std::vector<int> order;
  Probe probes[] = {
      Probe([&] { order.push_back(0); }), Probe([&] { order.push_back(1); }),
      Probe([&] { order.push_back(2); }), Probe([&] { order.push_back(3); }),
      Probe([&] { order.push_back(4); }),
  };
  const Duration after[] = {20h, 70ms, 300s, 3ms, 5s};
  for (int i = 0; i < 5; ++i) wheel.Schedule(probes[i].timer, kStart + after[i]);
  EXPECT_EQ(wheel.count(), 5u);
  wheel.Advance(kStart + 24h);
  EXPECT_EQ(order, (std::vector<int>{3, 1, 4, 2, 0}));
}

TEST(TimerWheel, ReschedulingMovesATimer) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.Schedule(probe.timer, kStart + 10ms);
  wheel.Schedule(probe.timer, kStart + 10s);
  EXPECT_EQ(wheel.count(), 1u);
  wheel.Advance(kStart + 9s);
  EXPECT_EQ(probe.fired, 0);
  wheel.Schedule(probe.timer, kStart + 9s + 1ms);
  wheel.Advance(kStart + 9s + 1ms);
  EXPECT_EQ(probe.fired, 1);
  wheel.Advance(kStart + 20s);
  EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, CancelIsSafeInEveryState) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.Cancel(probe.timer);
  for (const Time expiry : {Time{}, kStart + 1ms, kStart + 1h, kStart + 24h}) {
    wheel.Schedule(probe.timer, expiry);
    EXPECT_TRUE(probe.timer.scheduled());
    wheel.Cancel(probe.timer);
    EXPECT_FALSE(probe.timer.scheduled());
    EXPECT_EQ(wheel.NextExpiry(), kNever);
  }
  wheel.Advance(kStart + 48h);
  EXPECT_EQ(probe.fired, 0);
}

TEST(TimerWheel, ACallbackMayCancelATimerOfItsOwnTick) {
  TimerWheel wheel(kStart);
  Probe second;
  Probe first([&] { wheel.Cancel(second.timer); });
  wheel.Schedule(first.timer, kStart + 5ms);
  wheel.Schedule(second.timer, kStart + 5ms);
  wheel.Advance(kStart + 5ms);
  EXPECT_EQ(first.fired, 1);
  EXPECT_EQ(second.fired, 0);
  EXPECT_EQ(wheel.count(), 0u);
}

TEST(TimerWheel, ACallbackMayRescheduleItselfAndCatchesUp) {
  TimerWheel wheel(kStart);
  Probe probe;
  probe.then = [&] { wheel.Schedule(probe.timer, probe.timer.expiry() + 10ms); };
  wheel.Schedule(probe.timer, kStart + 10ms);
  wheel.Advance(kStart + 100ms);
  EXPECT_EQ(probe.fired, 10);
  wheel.Cancel(probe.timer);
}

TEST(TimerWheel, ACallbackThatSchedulesForThePastDoesNotHoldAdvance) {
  TimerWheel wheel(kStart);
  Probe probe;
  probe.then = [&] { wheel.Schedule(probe.timer, kStart); };
  wheel.Schedule(probe.timer, kStart + 10ms);
  wheel.Advance(kStart + 100ms);
  EXPECT_EQ(probe.fired, 1);
  wheel.Advance(kStart + 100ms);
  EXPECT_EQ(probe.fired, 2);
  wheel.Cancel(probe.timer);
}

TEST(TimerWheel, ACallbackMayDestroyItsTimer) {
  TimerWheel wheel(kStart);
  auto probe = std::make_unique<Probe>();
  probe->then = [&] { probe.reset(); };
  wheel.Schedule(probe->timer, kStart + 1ms);
  wheel.Advance(kStart + 1ms);
  EXPECT_EQ(probe, nullptr);
}

TEST(TimerWheel, WhatACallbackSchedulesWithinTheSameAdvanceFires) {
  TimerWheel wheel(kStart);
  Probe second;
  Probe first([&] { wheel.Schedule(second.timer, kStart + 200ms); });
  wheel.Schedule(first.timer, kStart + 5ms);
  wheel.Advance(kStart + 300ms);
  EXPECT_EQ(second.fired, 1);
}

// Against a sorted map: thousands of random schedules, cancels and steps of random size.
TEST(TimerWheel, AgreesWithASortedMap) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    TimerWheel wheel(kStart);
    std::vector<Probe> probes(50);
    std::map<int, int64_t> due;  // probe → tick
    Time now = kStart;
    const auto random_span = [&] {
      return Duration(random.Below(uint64_t{1} << random.Below(46)));
    };
    for (int step = 0; step < 500; ++step) {
      const int chosen = static_cast<int>(random.Below(probes.size()));
      Timer& timer = probes[chosen].timer;
      if (random.Below(4) == 0) {
        wheel.Cancel(timer);
        due.erase(chosen);
      } else {
        const Time expiry = now + random_span();
        wheel.Schedule(timer, expiry);
        due[chosen] = ((expiry - kStart).count() + 999'999) / 1'000'000;
      }
      ASSERT_EQ(wheel.count(), due.size()) << "seed " << seed;
      for (const auto& [probe, tick] : due) {
        ASSERT_LE(wheel.NextExpiry(), std::max(now, kStart + tick * Duration(1ms)))
            << "seed " << seed;
      }
      now += random.Below(2) == 0 ? Duration(0) : random_span() / 16;
      wheel.Advance(now);
      for (auto it = due.begin(); it != due.end();) {
        const bool is_due = kStart + it->second * Duration(1ms) <= now;
        ASSERT_EQ(probes[it->first].timer.scheduled(), !is_due) << "seed " << seed;
        it = is_due ? due.erase(it) : std::next(it);
      }
    }
    for (Probe& probe : probes) wheel.Cancel(probe.timer);
  }
}

}  // namespace
}  // namespace trireme
