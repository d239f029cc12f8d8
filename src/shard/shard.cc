// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/shard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "config/print.h"
#include "session/report.h"
#include "shard/listen_addresses.h"

namespace trireme {
namespace {

Digest RandomDigest(SecretRandom& random) {
  Digest digest{};
  const Status filled = random.Fill(digest);
  TRIREME_ASSERT(filled.ok());  // it has just worked for the fleet's own secrets
  return digest;
}

Streams::Options StreamOptions(const Config& config) {
  return {.high_mark_bytes = config.limits.backlog_bytes_max,
          .low_mark_bytes = config.limits.backlog_bytes_max / 4,
          .socket = {.keepalive_idle = config.timeouts.tcp_keepalive_idle,
                     .keepalive_interval = config.timeouts.tcp_keepalive_interval,
                     .keepalive_count = config.timeouts.tcp_keepalive_count}};
}

}  // namespace

FleetShared::FleetShared(const Config& fleet_config, uint32_t core_count, const SaltSecret& salt,
                         const Secrets& secrets)
    : config(fleet_config),
      office(core_count, fleet_config.limits.mail_slots),
      directory(core_count, fleet_config.limits.pools_max),
      clients(fleet_config.routes.size()),
      salts(salt),
      cancel_ids(secrets.cancel),
      id_secret(secrets.ids),
      views(std::make_unique<View[]>(core_count)) {}

Shard::Shard(const ShardContext& context)
    : context_(context),
      config_(context.shared.config),
      core_(context.ring.index()),
      timers_(context.ring.now()),
      random_(context.seed),
      streams_(context.ring, StreamOptions(config_)),
      mailer_(context.shared.office, context.ring, core_),
      keys_(1024, RandomDigest(context.secrets)),
      pools_({.streams = streams_,
              .timers = timers_,
              .random = random_,
              .siblings = mailer_,
              .directory = context.shared.directory,
              .crew = context.crew,
              .auth = {context.secrets, keys_, context.shared.salts},
              .log = context.log,
              .config = config_}),
      clients_({.config = config_,
                .streams = streams_,
                .timers = timers_,
                .pools = pools_,
                .crew = context.crew,
                .log = context.log,
                .auth = {context.secrets, keys_, context.shared.salts},
                .cancel_ids = context.shared.cancel_ids,
                .counts = context.shared.clients,
                .siblings = mailer_,
                .console = *this,
                .core = core_,
                .id_secret = context.shared.id_secret}) {}

Shard::~Shard() = default;

// --- the turn ---

void Shard::Turn(Time latest) {
  mailer_.Receive([this](const Mail& mail) { OnMail(mail); });
  if (!own_reports_.empty()) [[unlikely]]
    MakeOwnReports();
  context_.crew.Drain(core_);
  timers_.Advance(context_.ring.now());
  pools_.EndOfTurn();
  streams_.Flush();
  clients_.EndOfTurn();  // behind Flush, where closing streams end
  PublishView();
  mailer_.Flush();

  Time deadline = NextDeadline(latest);
  const bool may_sleep = deadline > context_.ring.now();
  const bool sleeping = may_sleep && mailer_.BeginSleep();
  if (!sleeping) deadline = Time{};
  const uint32_t completed = context_.ring.SubmitAndReap(deadline);
  if (sleeping) {
    mailer_.EndSleep();
    ++sleeps_;
  }
  if (completed > 0) busy_since_ = context_.ring.now();
}

Time Shard::NextDeadline(Time latest) {
  // Closing servers end in Flush, after their room's EndOfTurn: then another turn is due.
  if (pools_.has_work() || clients_.has_work() || mailer_.backed_up() || !own_reports_.empty() ||
      left_) {
    return Time{};
  }
  const Duration spin = config_.cores.spin;
  if (spin > 0s && context_.ring.now() - busy_since_ < spin) return Time{};
  return std::min({latest, timers_.NextExpiry(), streams_.NextDeadline()});
}

void Shard::OnMail(const Mail& mail) {
  switch (mail.kind) {
    case Mail::Kind::kPool:
      pools_.OnMail(mail.pool);
      return;
    case Mail::Kind::kCancel:
      clients_.OnMail(std::unique_ptr<CancelMail>(mail.cancel));
      return;
    case Mail::Kind::kPlace:
      clients_.OnAccept({.fd = mail.place.fd, .listener_index = mail.place.listener_index});
      return;
    case Mail::Kind::kGather: {
      auto snapshot = std::make_unique<ShardSnapshot>(MakeSnapshot(mail.gather.parts()));
      mailer_.Send(mail.from_core, Mail{.kind = Mail::Kind::kReport,
                                        .report = {mail.gather.ticket, snapshot.release()}});
      return;
    }
    case Mail::Kind::kReport:
      OnReport(mail.report.ticket, std::unique_ptr<ShardSnapshot>(mail.report.snapshot));
      return;
    case Mail::Kind::kControl:
      OnControl(mail.control);
      return;
  }
  TRIREME_UNREACHABLE();
}

void Shard::OnControl(Mail::Control control) {
  switch (control) {
    case Mail::Control::kDrain:
      if (draining_) return;
      draining_ = true;
      for (const auto& listener : listeners_) listener->Close();
      clients_.Drain();
      pools_.Drain();
      return;
    case Mail::Control::kEndNow:
      OnControl(Mail::Control::kDrain);
      clients_.EndAll();
      pools_.Stop();
      return;
    case Mail::Control::kLeave:
      left_ = true;
      return;
  }
  TRIREME_UNREACHABLE();
}

// --- accept ---

Status Shard::Listen() {
  const uint32_t core_count = context_.shared.office.core_count();
  for (uint32_t i = 0; i < config_.listeners.size(); ++i) {
    const ListenerConfig& config = config_.listeners[i];
    const bool is_unix = !config.unix_socket_dir.empty();
    if (is_unix && i % core_count != core_) continue;
    Result<std::vector<SocketAddress>> addresses = ListenAddresses(config);
    if (!addresses.ok()) return addresses.status();
    for (const SocketAddress& address : *addresses) {
      Result<int> fd = context_.ring.Listen(address, {.backlog = config.backlog,
                                                      .reuse_port = !is_unix,
                                                      .unix_socket_mode = config.unix_socket_mode,
                                                      .accepted = StreamOptions(config_).socket});
      if (!fd.ok()) return fd.status();
      AcceptHandler& handler = *this;
      listeners_.push_back(std::make_unique<Listener>(context_.ring, timers_, handler, *fd, i));
      listeners_.back()->Start();
    }
  }
  pools_.Warm();
  return OkStatus();
}

void Shard::OnAccept(int fd, uint32_t listener_index) {
  ++accepts_;
  const uint32_t core = ChooseCore(listener_index);
  context_.shared.views[core].clients.fetch_add(1, std::memory_order_relaxed);
  if (core == core_) {
    clients_.OnAccept({.fd = fd, .listener_index = listener_index});
    return;
  }
  ++placed_elsewhere_;
  mailer_.Send(core, Mail{.kind = Mail::Kind::kPlace, .place = {fd, listener_index}});
}

// SO_REUSEPORT spreads by hash, and a Unix socket is accepted by one core: evened out here.
uint32_t Shard::ChooseCore(uint32_t listener_index) {
  const uint32_t core_count = context_.shared.office.core_count();
  const bool is_unix = !config_.listeners[listener_index].unix_socket_dir.empty();
  if (config_.sharing.placement == Placement::kKernel && !is_unix) return core_;
  // Ours first, so that nobody moves without need; then in turns.
  uint32_t best = core_;
  uint32_t least = context_.shared.views[core_].clients.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < core_count; ++i) {
    const uint32_t core = (next_core_ + i) % core_count;
    const uint32_t load = context_.shared.views[core].clients.load(std::memory_order_relaxed);
    if (load < least) {
      best = core;
      least = load;
    }
  }
  next_core_ = (best + 1) % core_count;
  return best;
}

void Shard::OnAcceptPaused(int error, uint32_t listener_index) {
  if (error != 0) {
    context_.log.Warning(
        "accepting paused",
        {{"core", core_}, {"listener", listener_index}, {"reason", std::strerror(error)}});
  } else {
    context_.log.Info("accepting again", {{"core", core_}, {"listener", listener_index}});
  }
}

// --- the console's questions ---

void Shard::Gather(SnapshotParts parts, Handle requester) {
  const uint64_t ticket = next_ticket_++;
  gatherings_.push_back({.ticket = ticket, .requester = requester, .reports = {}});
  for (uint32_t core = 0; core < context_.shared.office.core_count(); ++core) {
    if (core == core_) continue;
    mailer_.Send(core,
                 Mail{.kind = Mail::Kind::kGather, .gather = Mail::Gather::Of(ticket, parts)});
  }
  // Our own report takes the same path, a turn's length later, so that the answer never comes
  // inside the question.
  gatherings_.back().reports.reserve(context_.shared.office.core_count());
  own_reports_.push_back(Mail::Gather::Of(ticket, parts));
}

void Shard::MakeOwnReports() {
  for (const Mail::Gather& gather : std::exchange(own_reports_, {})) {
    OnReport(gather.ticket, std::make_unique<ShardSnapshot>(MakeSnapshot(gather.parts())));
  }
}

void Shard::OnReport(uint64_t ticket, std::unique_ptr<ShardSnapshot> snapshot) {
  const auto found =
      std::find_if(gatherings_.begin(), gatherings_.end(),
                   [ticket](const Gathering& gathering) { return gathering.ticket == ticket; });
  TRIREME_ASSERT(found != gatherings_.end());
  found->reports.push_back(std::move(*snapshot));
  if (found->reports.size() < context_.shared.office.core_count()) return;
  Gathering gathering = std::move(*found);
  gatherings_.erase(found);
  FleetFacts facts{.config = &config_,
                   .version = context_.shared.version,
                   .settings = {},
                   .now = context_.ring.now(),
                   .now_wall_us = context_.log.style().clock.Now() / 1000,
                   .stats_period = Clients::kStatsPeriod};
  for (ConfigRow& row : ConfigRows(config_)) {
    facts.settings.push_back({std::move(row.key), std::move(row.value),
                              std::move(row.default_value), /*changeable=*/false});
  }
  clients_.OnSnapshot(gathering.requester,
                      MergeSnapshots(std::move(gathering.reports), std::move(facts)));
}

ShardSnapshot Shard::MakeSnapshot(const SnapshotParts& parts) {
  ShardSnapshot snapshot;
  Report(clients_, parts, snapshot);
  if (parts.shards) snapshot.shards.push_back(MakeRow());
  return snapshot;
}

ShardRow Shard::MakeRow() {
  const PoolShard::Counters totals = pools_.Totals();
  const Ring::Counters& ring = context_.ring.counters();
  ShardRow row;
  row.core = core_;
  row.cpu = context_.cpu;
  row.clients = clients_.count();
  for (const auto& pool : pools_.pools()) {
    const PoolShard::Counts counts = pool->counts();
    row.waiting += counts.waiting;
    row.servers_idle += counts.idle;
    row.servers += counts.connecting + counts.login + counts.idle + counts.lent + counts.settling +
                   counts.leaving + counts.closing;
  }
  row.steals_asked = totals.steals_asked;
  row.steals_received = totals.steals_granted;
  row.steals_given = totals.steals_given;
  row.steals_denied = totals.steals_refused;
  row.grants_sent = totals.grants_sent;
  row.grants_received = totals.grants_received;
  row.mails_sent = mailer_.sent();
  row.mails_received = mailer_.received();
  row.wake_ups_sent = ring.wakes_sent;
  row.wake_ups_received = ring.wakes_received;
  row.turns = ring.turns;
  row.sleeps = sleeps_;
  row.receives = ring.receives;
  row.sends = ring.sends;
  row.accepts = accepts_;
  row.clients_placed = placed_elsewhere_;
  row.buffers_in_use = context_.ring.buffers().in_use();
  row.buffers_total = context_.ring.buffers().blocks_max();
  row.busy_us = static_cast<uint64_t>(Microseconds(context_.ring.cpu_time()));
  const Histogram& hand_overs = pools_.hand_overs();
  row.hand_over_p50_us = static_cast<uint64_t>(Microseconds(hand_overs.Percentile(0.5)));
  row.hand_over_p99_us = static_cast<uint64_t>(Microseconds(hand_overs.Percentile(0.99)));
  return row;
}

// --- rest ---

bool Shard::at_rest() const {
  const Pools::Resources pools = pools_.resources();
  return clients_.at_rest() && pools.servers == 0 && pools.cancels == 0 && pools.waiters == 0 &&
         pools.jobs == 0 && !mailer_.backed_up() && gatherings_.empty() &&
         std::all_of(listeners_.begin(), listeners_.end(),
                     [](const auto& listener) { return listener->closed(); });
}

Shard::Resources Shard::resources() const {
  return {.clients = clients_.count(),
          .servers = pools_.resources().servers,
          .buffers_in_use = context_.ring.buffers().in_use(),
          .ops_in_flight = context_.ring.in_flight(),
          .streams = streams_.open_count()};
}

void Shard::PublishView() {
  FleetShared::View& view = context_.shared.views[core_];
  const uint32_t gone = clients_.TakeFreedCount();
  if (gone > 0) view.clients.fetch_sub(gone, std::memory_order_relaxed);
  if (!draining_) return;
  view.mail_received.store(mailer_.received(), std::memory_order_relaxed);
  view.mail_sent.store(mailer_.sent(), std::memory_order_relaxed);
  view.at_rest.store(at_rest(), std::memory_order_release);
}

}  // namespace trireme
