// SPDX-License-Identifier: GPL-3.0-or-later
#include "stub/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme::bench {
namespace {

constexpr int kBacklog = 4096;
constexpr size_t kBacklogBytesMax = size_t{64} << 20;  // of a client that pipelines without reading
constexpr size_t kOwedBytesMax = size_t{1} << 20;      // then what it sends has to wait
constexpr Duration kLook = 50ms;                       // for stop

}  // namespace

StubServer::StubServer(const Options& options, const std::atomic<bool>& stop)
    : options_(options), stop_(stop), random_(options.seed) {}

StubServer::~StubServer() {
  if (listener_ >= 0) close(listener_);
  for (const auto& connection : connections_) {
    if (connection != nullptr && connection->fd >= 0) close(connection->fd);
  }
}

Status StubServer::Listen() {
  listener_ = socket(options_.address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  const bool listening = listener_ >= 0 &&
                         setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                         setsockopt(listener_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                         bind(listener_, options_.address.data(), options_.address.size()) == 0 &&
                         listen(listener_, kBacklog) == 0;
  if (listening) return OkStatus();
  return Unavailable(
      absl::StrCat("cannot listen on ", options_.address.Text(), ": ", std::strerror(errno)));
}

Status StubServer::Run() {
  Status status = PinThread(options_.cpu);
  if (!status.ok()) return status;
  WantExactTimers();
  Result<std::unique_ptr<Ring>> ring = Ring::Create({});
  if (!ring.ok()) return ring.status();
  ring_ = *std::move(ring);
  ring_->BeginAccept(listener_, Tag(0, Operation::kAccept));
  while (!stop_.load(std::memory_order_relaxed)) {
    const Time look = ring_->now() + kLook;
    ring_->Turn(timers_.empty() ? look : std::min(look, timers_.top().at),
                [this](const Completion& completion) { OnCompletion(completion); });
    RunTimers();
  }
  ring_.reset();  // ends what is in flight before its memory goes
  return OkStatus();
}

void StubServer::OnCompletion(const Completion& completion) {
  const auto index = static_cast<uint32_t>(completion.user_data >> 2);
  const auto operation = static_cast<Operation>(completion.user_data & 3);
  if (operation == Operation::kAccept) {
    OnAccept(completion);
    return;
  }
  if (!completion.more()) --connections_[index]->in_flight;
  if (operation == Operation::kReceive) {
    OnReceive(index, completion);
  } else {
    OnSent(index, completion.result);
  }
  Settle(index);
}

void StubServer::OnAccept(const Completion& completion) {
  if (!completion.more()) ring_->BeginAccept(listener_, Tag(0, Operation::kAccept));
  if (completion.result < 0) return;
  const int fd = completion.result;
  if (!options_.address.is_unix()) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  uint32_t index = static_cast<uint32_t>(connections_.size());
  if (free_.empty()) {
    connections_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  const StubSession::World world{options_.settings, random_, blocks_, counts_.sessions};
  connections_[index] = std::make_unique<Connection>(world, fd);
  connections_[index]->generation = ++generation_next_;
  counts_.open_max = std::max(counts_.open_max, ++open_);
  ++connections_[index]->in_flight;
  ring_->BeginReceive(fd, Tag(index, Operation::kReceive));
}

void StubServer::OnReceive(uint32_t index, const Completion& completion) {
  Connection& connection = *connections_[index];
  if (completion.result > 0) {
    if (!connection.gone) connection.session.Feed(ring_->Received(completion));
    ring_->Recycle(completion.buffer());
    if (connection.session.backlog() > kBacklogBytesMax) Leave(connection);
    Pump(index);
  } else if (completion.result != -ENOBUFS) {
    Leave(connection);
    return;
  }
  if (completion.more() || connection.gone) return;
  ++connection.in_flight;
  ring_->BeginReceive(connection.fd, Tag(index, Operation::kReceive));
}

// Works on what has come until it has to wait for something.
void StubServer::Pump(uint32_t index) {
  Connection& connection = *connections_[index];
  while (!connection.serving && connection.bulk_left == 0 && !connection.closing &&
         !connection.gone && connection.next.size() < kOwedBytesMax) {
    const StubSession::Next next = connection.session.Work(connection.next);
    if (next == StubSession::Next::kNeedInput) break;
    if (next == StubSession::Next::kServe) {
      connection.serving = true;
      counts_.serving_max = std::max(counts_.serving_max, ++serving_);
      timers_.push({ring_->now() + connection.session.service(), index, connection.generation});
    } else if (next == StubSession::Next::kBulk) {
      connection.bulk_left = connection.session.bulk();
    } else {
      connection.closing = true;
    }
  }
  Send(index);
}

void StubServer::Send(uint32_t index) {
  Connection& connection = *connections_[index];
  if (connection.sending || connection.gone) return;
  Bytes bytes;
  connection.sending_bulk = connection.next.empty() && connection.bulk_left > 0;
  if (connection.sending_bulk) {
    const std::string_view block = connection.session.bulk_block();
    bytes = AsBytes(block.substr(0, std::min<uint64_t>(block.size(), connection.bulk_left)));
  } else if (!connection.next.empty()) {
    connection.out.swap(connection.next);
    connection.next.clear();
    bytes = AsBytes(connection.out);
  } else {
    if (connection.closing) Leave(connection);
    return;
  }
  connection.sending = true;
  ++connection.in_flight;
  counts_.sessions.bytes_sent += bytes.size();
  ring_->BeginSend(connection.fd, bytes, Tag(index, Operation::kSend));
}

void StubServer::OnSent(uint32_t index, int32_t result) {
  Connection& connection = *connections_[index];
  connection.sending = false;
  if (result < 0) {
    Leave(connection);
    return;
  }
  if (connection.sending_bulk) {
    connection.bulk_left -= static_cast<uint32_t>(result);
    if (connection.bulk_left == 0) connection.session.BulkSent();
  }
  Pump(index);
}

void StubServer::Leave(Connection& connection) {
  if (connection.gone) return;
  connection.gone = true;
  shutdown(connection.fd, SHUT_RDWR);
}

void StubServer::Settle(uint32_t index) {
  Connection& connection = *connections_[index];
  if (!connection.gone || connection.in_flight > 0) return;
  close(connection.fd);
  if (connection.serving) --serving_;
  connections_[index].reset();
  free_.push_back(index);
  --open_;
}

void StubServer::RunTimers() {
  while (!timers_.empty() && timers_.top().at <= ring_->now()) {
    const Timer timer = timers_.top();
    timers_.pop();
    Connection* connection = connections_[timer.connection].get();
    if (connection == nullptr || connection->generation != timer.generation) continue;
    if (!connection->serving) continue;
    connection->serving = false;
    --serving_;
    connection->session.Resume();
    Pump(timer.connection);
    Settle(timer.connection);
  }
}

}  // namespace trireme::bench
