// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/worker.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>

#include "base/assert.h"

namespace trireme::bench {
namespace {

constexpr Duration kPublishAtMost = 200ms;
constexpr Duration kHopeless = 3s;  // nobody could log in, and they were told why
constexpr Duration kLook = 1ms;     // for what other threads may have decided
constexpr Duration kCloseAtMost = 5s;

double ThreadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Time FromNanoseconds(int64_t value) { return Time(Duration(value)); }

}  // namespace

Worker::Worker(const LoadOptions& options, uint32_t index, LoadPhase& phase)
    : options_(options), index_(index), phase_(phase), random_(options.seed * 1000003 + index) {
  for (const Script& script : options.scripts) weights_ += script.weight;
  results_.latency.resize(options.scripts.size());
}

Worker::~Worker() = default;

Status Worker::SetUp() {
  if (!options_.cpus.empty()) {
    const Status status = PinThread(options_.cpus[index_ % options_.cpus.size()]);
    if (!status.ok()) return status;
  }
  WantExactTimers();
  Result<std::unique_ptr<Ring>> ring = Ring::Create({});
  if (!ring.ok()) return ring.status();
  ring_ = *std::move(ring);
  Result<std::unique_ptr<SecretRandom>> secret = OpenSecretRandom();
  if (!secret.ok()) return secret.status();
  secret_random_ = *std::move(secret);
  Result<SaltSecret> salts = SaltSecret::Make(*secret_random_);
  if (!salts.ok()) return salts.status();
  salts_ = std::make_unique<SaltSecret>(*std::move(salts));
  keys_ = std::make_unique<ScramKeyCache>(1024, Digest{});
  MakeClients();
  return OkStatus();
}

// Connection i of all belongs to thread i modulo threads. Which work, which read slowly and which
// route each takes follows from i alone, whatever the number of threads.
void Worker::MakeClients() {
  const Zipf routes(options_.routes, options_.route_zipf);
  Random route_choice(options_.seed);
  std::vector<uint32_t> route_of(options_.connections());
  for (uint32_t i = 0; i < route_of.size(); ++i) {
    route_of[i] = static_cast<uint32_t>(options_.route_zipf > 0 ? routes.Next(route_choice)
                                                                : i % options_.routes);
  }
  const auto mine = [&](uint64_t number) { return number % options_.threads == index_; };
  size_t count = 0;
  for (uint64_t i = 0; i < options_.connections(); ++i) count += mine(i) ? 1 : 0;
  clients_ = std::vector<Client>(count);
  size_t next = 0;
  for (uint64_t i = 0; i < options_.connections(); ++i) {
    if (!mine(i)) continue;
    Client& client = clients_[next++];
    client.number = static_cast<uint32_t>(i);
    client.route = route_of[i];
    client.works = i < options_.clients && i % options_.busy_every == 0;
    client.slow = client.works && i / options_.busy_every < options_.slow_clients;
  }
}

Status Worker::Run() {
  const Status status = SetUp();
  if (!status.ok()) return status;
  ConnectAll();
  AwaitStart();
  if (started_) {
    Measure();
    Drain();
    CountUnfinished();
  }
  CloseAll();
  Publish();
  results_.whole = totals_;
  for (const Client& client : clients_) {
    if (client.works && !client.slow) results_.by_client.push_back(client.done);
  }
  return OkStatus();
}

void Worker::ConnectAll() {
  const uint64_t at_once = std::max<uint64_t>(1, options_.connecting_max / options_.threads);
  const Time begin = now();
  const Time give_up = begin + options_.connect_timeout;
  while (ready_ < clients_.size() && now() < give_up && !phase_.stop) {
    if (ready_ == 0 && !results_.errors.empty() && now() > begin + kHopeless) break;
    while (connecting_ < at_once && connect_next_ < clients_.size()) {
      BeginConnect(clients_[connect_next_++]);
    }
    TurnOnce(std::min(give_up, now() + 100ms));
  }
  connect_next_ = static_cast<uint32_t>(clients_.size());
  results_.not_connected = clients_.size() - ready_;
}

void Worker::AwaitStart() {
  phase_.clients.fetch_add(ready_, std::memory_order_relaxed);
  phase_.connected.fetch_add(1, std::memory_order_acq_rel);
  while (phase_.start.load(std::memory_order_acquire) == 0) {
    if (phase_.stop) return;
    TurnOnce(now() + kLook);
  }
  ObeyChoice();
  started_ = true;
  const Time start = FromNanoseconds(phase_.start.load(std::memory_order_acquire));
  measure_from_ = start + options_.warmup;
  measure_until_ = measure_from_ + options_.duration;
  if (options_.rate > 0) {
    arrivals_.emplace(options_.rate / static_cast<double>(options_.threads), options_.burst, start);
    next_arrival_ = arrivals_->Next(random_);
  }
  for (Client& client : clients_) {
    if (client.state != State::kResting || !client.works) continue;
    if (options_.think.is_zero()) {
      Rest(client);
    } else {  // not all at once
      SetTimer(client, options_.think.Next(random_));
    }
  }
}

void Worker::ObeyChoice() {
  if (phase_.chosen.empty()) return;
  for (Client& client : clients_) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const bool known = getsockname(client.fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    const SocketAddress local(reinterpret_cast<const sockaddr*>(&address), size);
    client.works = client.works && known && phase_.chosen.contains(local.port());
  }
}

void Worker::Measure() {
  while (now() < measure_from_ && !phase_.stop) TurnOnce(measure_from_);
  const LoadTotals before = totals_;
  const double cpu_before = ThreadCpuSeconds();
  measuring_ = true;
  while (now() < measure_until_ && !phase_.stop) TurnOnce(measure_until_);
  measuring_ = false;
  if (phase_.stop) measure_until_ = std::min(measure_until_, now());
  results_.measured = totals_.Since(before);
  results_.cpu_seconds = ThreadCpuSeconds() - cpu_before;
  const Duration measured = std::max<Duration>(measure_until_ - measure_from_, 0ns);
  results_.seconds = static_cast<double>(measured.count()) * 1e-9;
}

void Worker::Drain() {
  next_arrival_ = kNever;
  const Time give_up = now() + options_.drain;
  while ((running_ > 0 || !waiting_.empty()) && now() < give_up) TurnOnce(give_up);
}

// What should have ended long ago is part of the distribution, with the age it has reached.
void Worker::CountUnfinished() {
  for (const Client& client : clients_) {
    const bool running = client.state == State::kRunning || client.state == State::kSleeping;
    if (!running || !client.works || client.slow || !Measuring(client.begun)) continue;
    ++results_.unfinished;
    results_.latency[client.script].Record(now() - client.begun);
  }
  for (const Time intended : waiting_) {
    if (!Measuring(intended)) continue;
    ++results_.unfinished;
    results_.latency[0].Record(now() - intended);
  }
  waiting_.clear();
}

void Worker::CloseAll() {
  ending_ = true;
  for (Client& client : clients_) {
    if (client.state == State::kClosed || client.state == State::kClosing) continue;
    BeginClose(client, AfterClose::kStay);
    Settle(client);
  }
  const Time give_up = now() + kCloseAtMost;
  while (open_ > 0 && now() < give_up) TurnOnce(give_up);
}

void Worker::TurnOnce(Time deadline) {
  ring_->Turn(std::min({deadline, NextDeadline(), now() + 100ms}),
              [this](const Completion& completion) { OnCompletion(completion); });
  RunTimers();
  RunArrivals();
  if (now() >= publish_at_) Publish();
}

Time Worker::NextDeadline() const {
  return timers_.empty() ? next_arrival_ : std::min(timers_.top().at, next_arrival_);
}

void Worker::SetTimer(Client& client, Duration after) {
  timers_.push({now() + after, IndexOf(client), ++client.timer, false});
}

void Worker::RunTimers() {
  while (!timers_.empty() && timers_.top().at <= now()) {
    const Timer timer = timers_.top();
    timers_.pop();
    Client& client = clients_[timer.client];
    if (timer.read) {
      const bool may_read = client.fd >= 0 && client.state != State::kClosing;
      if (may_read && !client.receiving) BeginReceive(client);
    } else if (timer.id == client.timer) {
      OnTimer(client);
      Settle(client);
    }
  }
}

void Worker::OnTimer(Client& client) {
  switch (client.state) {
    case State::kClosed:
      if (!ending_) BeginConnect(client);
      break;
    case State::kResting:
      if (MayStart()) BeginRun(client, now());
      break;
    case State::kSleeping:
      client.state = State::kRunning;
      if (++client.step == options_.scripts[client.script].steps.size()) {
        FinishRun(client);
      } else {
        BeginStep(client);
      }
      break;
    case State::kConnecting:
    case State::kLogin:
    case State::kRunning:
    case State::kClosing:
      break;
  }
}

void Worker::RunArrivals() {
  while (next_arrival_ <= now() && next_arrival_ < measure_until_) {
    const Time intended = next_arrival_;
    next_arrival_ = arrivals_->Next(random_);
    while (!resting_.empty() && clients_[resting_.front()].state != State::kResting) {
      resting_.pop_front();  // it has lost its connection since
    }
    if (!resting_.empty()) {
      Client& client = clients_[resting_.front()];
      resting_.pop_front();
      BeginRun(client, intended);
    } else if (waiting_.size() < options_.waiting_max) {
      waiting_.push_back(intended);
    } else if (Measuring(intended)) {
      ++results_.dropped;
    }
  }
}

uint32_t Worker::PickScript() {
  if (options_.scripts.size() == 1) return 0;
  double left = Unit(random_) * weights_;
  for (uint32_t i = 0; i + 1 < options_.scripts.size(); ++i) {
    left -= options_.scripts[i].weight;
    if (left < 0) return i;
  }
  return static_cast<uint32_t>(options_.scripts.size() - 1);
}

void Worker::Publish() {
  const Duration wanted = options_.progress > 0ns ? options_.progress / 8 : kPublishAtMost;
  publish_at_ = now() + std::clamp<Duration>(wanted, 5ms, kPublishAtMost);
  if (interval_transactions_ + interval_failed_ == 0) return;
  {
    const std::lock_guard lock(interval_.mutex);
    interval_.latency.Merge(interval_latency_);
    interval_.transactions += interval_transactions_;
    interval_.failed += interval_failed_;
  }
  interval_latency_ = Latency();
  interval_transactions_ = interval_failed_ = 0;
}

}  // namespace trireme::bench
