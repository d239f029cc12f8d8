// SPDX-License-Identifier: GPL-3.0-or-later
//
// The turn of a SimRing, and what answers at once.
#include "test/sim/sim_ring.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "test/sim/census.h"
#include "test/sim/hash.h"
#include "test/sim/sim_ring_request.h"

namespace trireme::sim {

SimRing::SimRing(const Options& options, SimKernel& kernel, SimWaiter& waiter, Buffers& buffers)
    : options_(options),
      kernel_(kernel),
      waiter_(waiter),
      buffers_(buffers),
      published_target_(options.published_min) {
  now_ = kernel.now();
}

SimRing::~SimRing() {
  TRIREME_ASSERT(in_flight_ == 0 && requests_.empty());
  for (Entry& entry : entries_) TRIREME_ASSERT(entry.sequence == 0);
  for (Block* block : published_) buffers_.ReturnUnused(block);
}

// ---- turn ----

uint32_t SimRing::SubmitAndReap(Time deadline) {
  const Census::Outside outside;
  waiter_.Preempt(*this);
  ++counters_.turns;
  Publish();
  Submit();
  RunTasks();
  const bool sleeps = deadline > now_ && !Runnable();
  if (sleeps && kernel_.Roll(Fault::kSpuriousWake)) {
    kernel_.At(kernel_.now() + kernel_.Within(1ms),
               [this, sleep = sleep_number_, alive = std::weak_ptr(alive_)] {
                 if (!alive.expired() && sleep_number_ == sleep) interrupted_ = true;
               });
  }
  waiter_.Wait(*this, sleeps ? deadline : Time{});
  RunTasks();
  // What was ready may have come to nothing: the wait goes on.
  while (sleeps && !Runnable() && kernel_.now() < deadline) {
    waiter_.Wait(*this, deadline);
    RunTasks();
  }
  ++sleep_number_;
  interrupted_ = false;
  now_ = kernel_.now();
  const uint32_t completed = Reap();
  waiter_.OnReaped(*this);
  return completed;
}

bool SimRing::Runnable() const {
  if (interrupted_ || !tasks_.empty()) return true;
  const Time now = kernel_.now();
  return std::any_of(entries_.begin(), entries_.end(),
                     [now](const Entry& entry) { return !entry.quiet && entry.visible <= now; });
}

void SimRing::Publish() {
  if (published_count_ >= published_target_) return;
  if (std::exchange(heals_seen_, kernel_.heals()) != kernel_.heals()) withheld_until_ = {};
  if (withheld_until_ > kernel_.now()) return;
  if (kernel_.Roll(Fault::kWithholdBuffers)) {
    withheld_until_ = kernel_.now() + kernel_.Within(kernel_.faults().withhold_max);
    return;
  }
  while (published_count_ < published_target_) {
    Block* block = buffers_.TakeToPublish();
    if (block == nullptr) return;
    published_.push_back(block);
    ++published_count_;
  }
}

void SimRing::Post(Entry entry) {
  entry.visible = kernel_.now();
  if (!entry.quiet && kernel_.Roll(Fault::kLateCompletion)) {
    entry.visible += kernel_.Within(kernel_.faults().late_max);
    kernel_.At(entry.visible, [] {});  // time stops there, so that the ring is seen to be runnable
  }
  // Completions of one op stay in order.
  for (const Entry& before : entries_) {
    if (before.op == entry.op) entry.visible = std::max(entry.visible, before.visible);
  }
  const bool quiet = entry.quiet;
  entries_.push_back(std::move(entry));
  if (!quiet) waiter_.OnRunnable(*this);
}

void SimRing::PostWake() { Post(Entry{}); }

void SimRing::WakeFromOutside() {
  const Census::Outside outside;
  PostWake();
}

uint32_t SimRing::Reap() {
  std::vector<Entry> due;
  std::vector<Entry> later;
  for (Entry& entry : entries_) {
    (entry.visible <= now_ ? due : later).push_back(std::move(entry));
  }
  entries_ = std::move(later);
  for (size_t i = 1; i < due.size(); ++i) {
    if (due[i - 1].op != due[i].op && kernel_.Roll(Fault::kReorderCompletions)) {
      std::swap(due[i - 1], due[i]);
    }
  }
  for (Entry& entry : due) Complete(entry);
  counters_.completed += due.size();
  return static_cast<uint32_t>(due.size());
}

void SimRing::Complete(Entry& entry) {
  kernel_.Trace(Mix(options_.index, entry.sequence));
  kernel_.Trace(static_cast<uint64_t>(entry.result) * 2 + entry.more);
  waiter_.OnWork(*this, SimWaiter::Work::kCompletion);
  if (entry.op == nullptr) {
    ++counters_.wakes_received;
    return;
  }
  CheckSent(entry);
  Op& op = *entry.op;
  if (op.in_flight == 0) kernel_.Violation("an op was changed while it had something in flight");
  if (!entry.more) {
    --op.in_flight;
    --in_flight_;
  }
  Completion completion{.result = entry.result, .more = entry.more, .slice = {}};
  if (entry.block != nullptr) {
    --published_count_;
    ++counters_.receives;
    completion.slice = buffers_.Filled(entry.block, static_cast<uint32_t>(entry.received.size()));
    std::memcpy(entry.block->data, entry.received.data(), entry.received.size());
  } else if (entry.result == -ENOBUFS) {
    ++counters_.no_buffers;
    published_target_ = std::min(published_target_ * 2, options_.published_max);
  }
  const Census::Inside inside;
  op.handler(op, completion);
}

// ---- at once ----

Result<int> SimRing::Listen(const SocketAddress& address, const ListenOptions& options) {
  const Census::Outside outside;
  Result<Socket*> listener = kernel_.Bind(address, options);
  if (!listener.ok()) return listener.status();
  const int fd = kernel_.descriptors().Add(**listener);
  (*listener)->Unreference();
  return fd;
}

Result<int> SimRing::Open(int family) {
  const Census::Outside outside;
  const int error = -kernel_.descriptors().CheckRoom();
  if (error == 0) return kernel_.descriptors().Add(kernel_.NewSocket(family));
  Status status = Unavailable(std::string("cannot open a socket: ") + std::strerror(error));
  errno = error;
  return status;
}

void SimRing::SetOptions(int fd, const SocketOptions&) {
  const Census::Outside outside;
  kernel_.descriptors().Get(fd);
}

SocketAddress SimRing::PeerAddress(int fd) {
  const Census::Outside outside;
  return kernel_.descriptors().Get(fd).peer();
}

SocketAddress SimRing::LocalAddress(int fd) {
  const Census::Outside outside;
  return kernel_.descriptors().Get(fd).local();
}

void SimRing::Shutdown(int fd, int how) {
  const Census::Outside outside;
  waiter_.Preempt(*this);
  ++counters_.system_calls;
  waiter_.OnWork(*this, SimWaiter::Work::kClose);
  kernel_.descriptors().Get(fd).Shutdown(how);
}

void SimRing::Close(int fd) {
  const Census::Outside outside;
  waiter_.Preempt(*this);
  ++counters_.system_calls;
  waiter_.OnWork(*this, SimWaiter::Work::kClose);
  kernel_.descriptors().Close(fd);
}

}  // namespace trireme::sim
