// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/oracles.h"

#include <algorithm>
#include <utility>

namespace trireme::sim {
namespace {

std::string_view ClientOf(std::string_view tag) { return tag.substr(0, tag.find('.')); }

std::string NameOf(const SimBackend& backend) {
  return "server " + std::to_string(backend.process_id());
}

}  // namespace

Oracles::Oracles(const WorldPlan& plan, SimKernel& kernel, OnBroken on_broken)
    : plan_(plan), kernel_(kernel), on_broken_(std::move(on_broken)) {}

void Oracles::Watch(std::string name, const SimPostgres& postgres) {
  clusters_.push_back({.name = std::move(name), .postgres = &postgres});
}

void Oracles::Broken(std::string_view promise, const std::string& what) {
  on_broken_(std::string(promise) + ": " + what);
}

void Oracles::OnViolation(const Violation& violation) {
  Broken(Name(violation.rule), violation.text);
}

// --- servers -------------------------------------------------------------------------------------

uint64_t Oracles::PoolCap(size_t cluster_index, const SimBackend& backend) const {
  uint64_t cap = 0;
  bool shared_counted = false;
  for (const RouteConfig& route : plan_.config.routes) {
    if (route.storage_index != cluster_index) continue;
    const std::string& database =
        route.storage_database.empty() ? route.database : route.storage_database;
    if (database != backend.database()) continue;
    if (!route.storage_user.empty() && route.storage_user != backend.user()) continue;
    // What is shared counts once.
    if (route.shared_pool && std::exchange(shared_counted, true)) continue;
    cap += route.pool.size + route.pool.reserve_size;
  }
  return cap;
}

void Oracles::OnLogin(const SimBackend& backend) {
  if (kernel_.has_story()) kernel_.Tell(NameOf(backend) + " is logged in: " + backend.Text());
  for (size_t i = 0; i < clusters_.size(); ++i) {
    const auto backends = clusters_[i].postgres->backends();
    if (std::find(backends.begin(), backends.end(), &backend) == backends.end()) continue;
    const auto count = static_cast<uint64_t>(
        std::count_if(backends.begin(), backends.end(), [&](const SimBackend* other) {
          return other->connected() && !other->paused() && other->logged_in() &&
                 other->user() == backend.user() && other->database() == backend.database();
        }));
    if (count <= PoolCap(i, backend)) continue;
    Broken("cap", clusters_[i].name + " has " + std::to_string(count) + " servers of " +
                      backend.user() + " in " + backend.database() + ", the pools allow " +
                      std::to_string(PoolCap(i, backend)));
  }
}

void Oracles::OnQuery(const SimBackend& backend, std::string_view tag) {
  const std::string_view client = ClientOf(tag);
  Stay& stay = stays_[&backend];
  if (stay.in_transaction) {
    if (!stay.owner.empty() && stay.owner != client) {
      Broken("lent twice", NameOf(backend) + " runs " + std::string(tag) +
                               " within the transaction of " + stay.owner);
    }
    stay.owner = client;
  }
  hand_overs_ += stay.client.empty() || stay.client == client ? 0 : 1;
  stay.client = client;
  if (kernel_.has_story()) kernel_.Tell(NameOf(backend) + " runs " + std::string(tag));
}

void Oracles::OnTransaction(const SimBackend& backend, TransactionStatus status) {
  Stay& stay = stays_[&backend];
  stay.in_transaction = status != TransactionStatus::kIdle;
  if (!stay.in_transaction) stay.owner.clear();
  if (!kernel_.has_story()) return;
  kernel_.Tell(NameOf(backend) + (status == TransactionStatus::kIdle ? " is idle"
                                  : status == TransactionStatus::kInTransaction
                                      ? " is in a transaction"
                                      : " is in a failed transaction"));
}

void Oracles::OnCancel(const Cancel& cancel) {
  if (!kernel_.has_story()) return;
  if (cancel.backend == nullptr) return kernel_.Tell("a cancel request has no server");
  kernel_.Tell(NameOf(*cancel.backend) + " is told to cancel " +
               (cancel.running ? std::string(cancel.tag) : "nothing"));
}

void Oracles::OnEnd(const SimBackend& backend) {
  stays_.erase(&backend);
  if (kernel_.has_story()) kernel_.Tell(NameOf(backend) + " ends");
}

// --- caps ----------------------------------------------------------------------------------------

void Oracles::CheckCaps() {
  for (size_t i = 0; i < clusters_.size(); ++i) {
    const uint32_t cap = plan_.config.storages[i].connections_max;
    Cluster& cluster = clusters_[i];
    if (cap == 0 || cluster.postgres->connections() <= cap) {
      cluster.over_since = kNever;
      continue;
    }
    // A reset may be on its way behind the next connection's startup packet, and a busy backend is
    // given a second only: PostgreSQL's view lags behind, the boards' does not.
    cluster.over_since = std::min(cluster.over_since, kernel_.now());
    if (kernel_.now() - cluster.over_since <= kLagMax) continue;
    Broken("cap", cluster.name + " has " + std::to_string(cluster.postgres->connections()) +
                      " connections, its connections_max is " + std::to_string(cap));
  }
  directory_->ForEach([this](Board& board) {
    const Quota& size = board.size();
    const uint32_t reserve = board.reserve_size();
    if (size.cap() != 0 && size.open() > size.cap() + reserve) {
      Broken("cap", "pool " + board.key() + " holds " + std::to_string(size.open()) +
                        " places of " + std::to_string(size.cap()) + " and " +
                        std::to_string(reserve) + " in reserve");
    }
    for (const Board::Shared& shared : board.shared()) {
      const bool pool = shared.cap.kind == SharedCap::Kind::kPool;
      if (shared.quota->open() <= shared.quota->cap() + (pool ? reserve : 0)) continue;
      Broken("cap", "pool " + board.key() + " shares " + shared.cap.key + ", which holds " +
                        std::to_string(shared.quota->open()) + " places of " +
                        std::to_string(shared.quota->cap()));
    }
  });
}

// --- waiting -------------------------------------------------------------------------------------

// A steal or a grant is mail there and back, and an operation or two that must end.
Duration Oracles::LongestWaitInVain() const {
  const Faults& faults = kernel_.faults();
  Duration longest = 10ms;
  if (faults[Fault::kStarve] > 0) longest += 3 * faults.starve_max;
  if (faults[Fault::kPreempt] > 0) longest += 10 * faults.preempt_max;
  return longest;
}

void Oracles::CheckNobodyWaitsInVain() {
  if (plan_.core_count == 1 || kernel_.now() < next_look_) return;
  // A few cores are seen at each step, also the last one before nothing happens for long.
  next_look_ = kernel_.now() + (plan_.core_count <= 4 ? 0us : 100us);
  // What was late may come now.
  if (std::exchange(heals_seen_, kernel_.heals()) != kernel_.heals()) shown_.clear();
  const Duration longest = LongestWaitInVain();
  directory_->ForEach([&](Board& board) { CheckBoard(board, longest); });
}

void Oracles::CheckBoard(Board& board, Duration longest) {
  const Time now = kernel_.now();
  std::vector<Shown>& cores = shown_[&board];
  cores.resize(board.core_count());
  for (uint32_t core = 0; core < board.core_count(); ++core) {
    const Board::Line& line = board.line(core);
    Shown& shown = cores[core];
    shown.waiting_since = line.waiting.load() > 0 ? std::min(shown.waiting_since, now) : kNever;
    // A line may still show what was lent since: who is hungry asks. By the book nobody asks.
    const uint32_t idle = plan_.config.sharing.policy == Sharing::kSharedMutex
                              ? OpenBook(board.MakeBook(), core).idle()
                              : line.idle.load();
    shown.idle_since = idle > 0 ? std::min(shown.idle_since, now) : kNever;
  }
  for (uint32_t hungry = 0; hungry < cores.size(); ++hungry) {
    if (cores[hungry].waiting_since == kNever || now - cores[hungry].waiting_since <= longest) {
      continue;
    }
    for (uint32_t idle = 0; idle < cores.size(); ++idle) {
      if (cores[idle].idle_since == kNever || now - cores[idle].idle_since <= longest) continue;
      if (idle != hungry && plan_.config.sharing.policy == Sharing::kIsolated) continue;
      Broken("waits in vain",
             "pool " + board.key() + ": core " + std::to_string(hungry) + " has had waiters for " +
                 std::to_string(Microseconds(now - cores[hungry].waiting_since)) + " us, core " +
                 std::to_string(idle) + " idle servers for " +
                 std::to_string(Microseconds(now - cores[idle].idle_since)) + " us");
    }
  }
}

void Oracles::OnQueue(QueueEvent event, const void* pool, const void* waiter) {
  std::vector<const void*>& queue = queues_[pool];
  if (event == QueueEvent::kWaits) return queue.push_back(waiter);
  const auto found = std::find(queue.begin(), queue.end(), waiter);
  if (found == queue.end()) return Broken("queue", "who was served did not wait");
  if (event == QueueEvent::kServed && found != queue.begin()) {
    Broken("queue", "a waiter is served before " + std::to_string(found - queue.begin()) +
                        " who came before it to the same pool of the same core");
  }
  queue.erase(found);
}

// --- rest ----------------------------------------------------------------------------------------

void Oracles::CheckRest(uint32_t core, const Shard::Resources& left) {
  const auto want_none = [this, core](uint64_t count, std::string_view what) {
    if (count == 0) return;
    Broken("rest", "core " + std::to_string(core) + " ends with " + std::to_string(count) + " " +
                       std::string(what));
  };
  want_none(left.clients, "clients");
  want_none(left.servers, "servers");
  want_none(left.buffers_in_use, "buffers in use");
  want_none(left.ops_in_flight, "operations in flight");
  want_none(left.streams, "streams");
}

void Oracles::CheckNothingLeft() {
  if (const uint32_t count = kernel_.descriptors().open_count(); count > 0) {
    Broken("rest", std::to_string(count) + " descriptors are left open");
  }
  directory_->ForEach([this](Board& board) {
    const auto want_none = [this, &board](uint64_t count, std::string_view what) {
      if (count == 0) return;
      Broken("rest", "pool " + board.key() + " ends with " + std::to_string(count) + " " +
                         std::string(what));
    };
    want_none(board.size().open(), "places held");
    for (const Board::Shared& shared : board.shared()) {
      want_none(shared.quota->open(), "places held under " + shared.cap.key);
      want_none(shared.quota->alive(), "servers alive under " + shared.cap.key);
    }
    want_none(board.alive(), "servers alive");
    for (uint32_t core = 0; core < board.core_count(); ++core) {
      want_none(board.line(core).idle.load(), "idle servers on a core");
      want_none(board.line(core).waiting.load(), "waiters on a core");
      want_none(board.line(core).wanted.load(), "servers wanted by a core");
    }
  });
}

}  // namespace trireme::sim
