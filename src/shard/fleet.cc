// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/fleet.h"

#include <pthread.h>
#include <sched.h>

#include <string>

#include "base/assert.h"

namespace trireme {
namespace {

void NameThread(uint32_t core) {
  const std::string name = "trireme/" + std::to_string(core);
  pthread_setname_np(pthread_self(), name.c_str());
}

void Pin(int32_t cpu, Logger& log) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  if (error != 0) log.Warning("could not pin a core to its CPU", {{"cpu", cpu}, {"errno", error}});
}

}  // namespace

Fleet::Fleet(const Config& config, Options options, RingFactory& rings, LogWriter& log_writer,
             LogStyle log_style)
    : config_(config),
      options_(std::move(options)),
      rings_(rings),
      log_writer_(log_writer),
      log_style_(log_style),
      statuses_(options_.cpus.size()),
      left_(options_.cpus.size()) {}

Fleet::~Fleet() { TRIREME_ASSERT(threads_.empty()); }

Status Fleet::Start() {
  Result<std::unique_ptr<SecretRandom>> secrets = OpenSecretRandom();
  if (!secrets.ok()) return secrets.status();
  Result<SaltSecret> salts = SaltSecret::Make(**secrets);
  if (!salts.ok()) return salts.status();
  std::byte bytes[12];
  if (Status filled = (*secrets)->Fill(bytes); !filled.ok()) return filled;
  const FleetShared::Secrets scramblers{
      .cancel = LoadBig32(bytes),
      .ids = uint64_t{LoadBig32(bytes + 4)} << 32 | LoadBig32(bytes + 8)};
  shared_ = std::make_unique<FleetShared>(config_, core_count(), *salts, scramblers);
  shared_->version = options_.version;
  Doorbell* doorbell = this;
  crew_ = std::make_unique<ThreadCrew>(ThreadCrew::Options{.threads = 2, .shards = core_count()},
                                       doorbell);
  for (uint32_t core = 0; core < core_count(); ++core) {
    threads_.emplace_back([this, core] { Run(core); });
  }
  for (uint32_t seen = listening_.load(std::memory_order_acquire); seen < core_count();
       seen = listening_.load(std::memory_order_acquire)) {
    listening_.wait(seen, std::memory_order_acquire);
  }
  for (const Status& status : statuses_) {
    if (status.ok()) continue;
    Status first = status;
    EndNow();
    // Mail to a core that never came up is never taken: only rest counts here.
    while (!Count().rest) std::this_thread::sleep_for(1ms);
    Stop();
    return first;
  }
  return OkStatus();
}

void Fleet::Run(uint32_t core) {
  NameThread(core);
  const Status status = RunCore(core);
  if (status.ok()) return;
  // Never got as far as serving: say so, and count as at rest.
  statuses_[core] = status;
  shared_->views[core].at_rest.store(true, std::memory_order_release);
  listening_.fetch_add(1, std::memory_order_release);
  listening_.notify_one();
}

Status Fleet::RunCore(uint32_t core) {
  Logger log(log_writer_.sink(core), log_style_);
  Pin(options_.cpus[core], log);
  Result<std::unique_ptr<SecretRandom>> secrets = OpenSecretRandom();
  if (!secrets.ok()) return secrets.status();
  Result<trireme::Ring*> ring = rings_.Start(core);
  if (!ring.ok()) return ring.status();
  {
    Shard shard({.shared = *shared_,
                 .ring = **ring,
                 .crew = *crew_,
                 .log = log,
                 .secrets = **secrets,
                 .seed = options_.seed + core,
                 .cpu = options_.cpus[core]});
    statuses_[core] = shard.Listen();
    listening_.fetch_add(1, std::memory_order_release);  // partner: the acquire in Start
    listening_.notify_one();
    while (!shard.left()) shard.Turn();
    left_[core] = shard.resources();
  }
  rings_.Destroy(core);
  return OkStatus();
}

void Fleet::Tell(Mail::Control control) {
  const uint32_t from = shared_->office.outsider();
  for (uint32_t core = 0; core < core_count(); ++core) {
    Mail mail{.kind = Mail::Kind::kControl, .from_core = from, .control = control};
    while (!shared_->office.TryPush(from, core, mail)) std::this_thread::yield();
    // The bell is the eventfd: this thread has no ring to send a message with.
    if (shared_->office.Announce(from, core)) rings_.WakeFromOutside(core);
  }
}

Fleet::Census Fleet::Count() const {
  Census census{.rest = true, .sent = 0, .received = 0};
  for (uint32_t core = 0; core < core_count(); ++core) {
    const FleetShared::View& view = shared_->views[core];
    census.rest &= view.at_rest.load(std::memory_order_acquire);
    census.received += view.mail_received.load(std::memory_order_relaxed);
    census.sent += view.mail_sent.load(std::memory_order_relaxed);
  }
  return census;
}

bool Fleet::AtRest() {
  const Census census = Count();
  const bool again = census == last_census_;
  last_census_ = census;
  return again && census.rest && census.sent == census.received;
}

void Fleet::Stop() {
  Tell(Mail::Control::kLeave);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  crew_->Stop();
  resources_ = {};
  for (const Shard::Resources& left : left_) {
    resources_.clients += left.clients;
    resources_.servers += left.servers;
    resources_.buffers_in_use += left.buffers_in_use;
    resources_.ops_in_flight += left.ops_in_flight;
    resources_.streams += left.streams;
  }
}

}  // namespace trireme
