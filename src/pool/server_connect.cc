// SPDX-License-Identifier: GPL-3.0-or-later
//
// From nothing to logged in: each host of the storage in order, each of its addresses in order, the
// first that accepts the connection; then the login, and the connect query. What that changes is
// how a server is from the start. storage.connect_timeout covers all of it; what
// is left of it is divided among the hosts not tried yet, so that a host that swallows packets does
// not use up the time of the next.
#include <string.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "pool/pools.h"
#include "pool/server.h"

namespace trireme {

namespace {

std::string ErrnoText(int error) {
  const char* text = strerrordesc_np(error);
  return text != nullptr ? text : absl::StrCat("error ", error);
}

bool IsSocketDirectory(const std::string& host) {
  return !host.empty() && (host[0] == '/' || host[0] == '@');
}

}  // namespace

PgError Server::CannotConnect(std::string_view why) const {
  const HostConfig& host = pool().settings().storage.hosts[host_index_];
  const std::string place =
      address_.family() == 0 ? absl::StrCat(host.host, ":", host.port) : address_.Text();
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kSqlclientUnableToEstablishSqlconnection,
          .message = absl::StrCat("cannot connect to PostgreSQL at ", place, ": ", ToAbsl(why)),
          .hint = absl::StrCat("Check storage \"", pool().settings().storage.name,
                               "\" and that PostgreSQL runs there.")};
}

void Server::BeginConnect() {
  TRIREME_ASSERT(state() == State::kConnecting);
  deadline_ = pools_.now() + pool().settings().storage.connect_timeout;
  host_index_ = 0;
  TryHost();
}

void Server::TryHost() {
  const std::vector<HostConfig>& hosts = pool().settings().storage.hosts;
  const auto hosts_left = static_cast<int64_t>(hosts.size() - host_index_);
  const Duration time_left = std::max(deadline_ - pools_.now(), Duration(0));
  StartTimer(time_left / hosts_left);
  const HostConfig& host = hosts[host_index_];
  addresses_.clear();
  address_ = {};
  if (!IsSocketDirectory(host.host)) {
    Result<SocketAddress> numeric = SocketAddress::Numeric(host.host, host.port);
    if (!numeric.ok()) return pools_.LookUp(*this, host_index_);
    addresses_.push_back(*numeric);
    return TryAddress();
  }
  Result<SocketAddress> path =
      SocketAddress::Unix(absl::StrCat(host.host, "/.s.PGSQL.", host.port));
  if (!path.ok()) return HostFailed(CannotConnect(FromAbsl(path.status().message())));
  addresses_.push_back(*path);
  TryAddress();
}

void Server::OnLookup(uint32_t host_index, const Result<std::vector<SocketAddress>>& addresses) {
  if (state() != State::kConnecting || host_index != host_index_ || connect_error_) return;
  if (!addresses.ok()) return HostFailed(CannotConnect(FromAbsl(addresses.status().message())));
  addresses_.assign(addresses->rbegin(), addresses->rend());  // taken from the back
  TryAddress();
}

void Server::TryAddress() {
  TRIREME_ASSERT(!addresses_.empty());
  address_ = addresses_.back();
  addresses_.pop_back();
  stream_->Connect(address_);
}

void Server::OnConnected(int error) {
  if (state() != State::kConnecting) return;
  if (connect_error_) return;  // too late
  if (error == 0) return BeginLogin();
  if (addresses_.empty()) return HostFailed(CannotConnect(ErrnoText(error)));
  TryAddress();
}

void Server::HostFailed(PgError error) {
  if (host_index_ + 1 == pool().settings().storage.hosts.size()) {
    // Not within BeginConnect: the pool hears of it in a step of its own.
    connect_error_ = std::move(error);
    return pools_.RetryConnect(*this);
  }
  ++host_index_;
  if (stream_->state() == Stream::State::kIdle) return TryHost();
  stream_->Abort();  // → OnClosed → OnRetryConnect
}

// At the end of a turn: the last attempt is over for good.
void Server::OnRetryConnect() {
  if (state() != State::kConnecting) return;
  if (connect_error_) return pool().OnConnectFailed(*this, *std::exchange(connect_error_, {}));
  NewStream();
  TryHost();
}

void Server::OnConnectTimeout() {
  const std::string seconds =
      absl::StrCat(Milliseconds(pool().settings().storage.connect_timeout), " ms");
  if (state() == State::kLogin) {
    return pool().OnConnectFailed(
        *this, CannotConnect(absl::StrCat("the login took longer than ", seconds)));
  }
  HostFailed(CannotConnect(absl::StrCat("no answer within ", seconds)));
}

void Server::BeginLogin() {
  StartTimer(std::max(deadline_ - pools_.now(), Duration(0)));
  pool().OnLoginBegun(*this);
  login_ =
      std::make_unique<ServerLogin>(pool().settings(), pool().pass_through(), pools_.context_.auth);
  SendText(login_->StartupPacket());
}

void Server::OnLoginBytes() {
  if (login_ == nullptr) return OnConnectQueryBytes();
  while (state() == State::kLogin && !inbox_.empty()) {
    const ServerLogin::Step step = login_->Feed(inbox_.Front());
    if (step.kind == ServerLogin::Step::Kind::kNeedMore) {
      inbox_.DropFront(step.consumed);
      if (inbox_.empty() || inbox_.size() < step.need) return;
      inbox_.Join(step.need, pools_.context_.streams.buffers());
      continue;
    }
    ActOn(step);
    if (state() == State::kClosing) return;
    inbox_.DropFront(step.consumed);
    if (step.kind != ServerLogin::Step::Kind::kDone) continue;
    return FinishLogin();
  }
}

void Server::ActOn(const ServerLogin::Step& step) {
  switch (step.kind) {
    case ServerLogin::Step::Kind::kSend:
      return SendText(step.payload);
    case ServerLogin::Step::Kind::kNeedKeys:
      return pools_.DeriveKeys(*this, login_->key_request());
    case ServerLogin::Step::Kind::kFailed: {
      if (!login_->log_detail().empty()) {
        pools_.context_.log.Warning("server login failed", {{"pool", pool().settings().name},
                                                            {"detail", login_->log_detail()}});
      }
      const PgError error = login_->error();
      return pool().OnConnectFailed(*this, error);
    }
    case ServerLogin::Step::Kind::kNeedMore:
    case ServerLogin::Step::Kind::kDone:
      return;
  }
}

void Server::FinishLogin() {
  parameters_ = std::move(login_->parameters());
  key_ = std::move(login_->key());
  baseline_ = parameters_;
  login_.reset();
  if (!inbox_.empty()) {
    return pool().OnConnectFailed(*this, CannotConnect("it spoke after its login had ended"));
  }
  const std::string& query = pool().settings().pool.connect_query;
  query.empty() ? EnterPool() : SendOwn(query);
}

void Server::OnConnectQueryBytes() {
  while (!inbox_.empty()) {
    using Event = ReplyStep::Event;
    const ReplyStep step = replies_.Next(inbox_.Front());
    // `message` points into the inbox: read it before its bytes go.
    if (step.event == Event::kParameter) SetParameter(step.message);
    if (step.event == Event::kInjectedError) {
      return OnConnectQueryFailed(ParseErrorBody(step.message));
    }
    if (step.event == Event::kBroken) {
      return pool().OnConnectFailed(
          *this, CannotConnect("what it answered to the connect_query is not the protocol"));
    }
    inbox_.DropFront(step.size);
    if (step.event != Event::kNeedMore) continue;
    if (inbox_.size() < step.need) return;
    inbox_.Join(step.need, pools_.context_.streams.buffers());
  }
  if (replies_.has_news()) TakeNews();
  if (replies_.in_copy()) {
    return OnConnectQueryFailed({.sqlstate = sqlstate::kFeatureNotSupported,
                                 .message = "COPY FROM STDIN has no data to read here"});
  }
  if (!replies_.at_rest()) return;
  if (replies_.status() != TransactionStatus::kIdle) {
    return OnConnectQueryFailed(
        {.sqlstate = sqlstate::kInvalidTransactionState, .message = "a transaction is left open"});
  }
  baseline_ = parameters_;
  EnterPool();
}

void Server::OnConnectQueryFailed(PgError error) {
  error.severity = severity::kFatal;
  error.message = absl::StrCat("the connect_query of pool \"", pool().settings().name,
                               "\" failed: ", error.message);
  pool().OnConnectFailed(*this, error);
}

void Server::EnterPool() {
  pools_.context_.timers.Cancel(timer_);
  pool().OnLogin(*this, parameters_);
}

void Server::OnKeys(const ScramKeys& keys) {
  if (state() != State::kLogin) return;
  ActOn(login_->ProvideKeys(keys));
  OnLoginBytes();
}

void Server::OnNoKeys() {
  if (state() != State::kLogin) return;
  pool().OnConnectFailed(*this, CannotConnect("the side threads are overloaded or stopping"));
}

void Server::LoginEnded(int error) {
  pool().OnConnectFailed(
      *this, CannotConnect(error == 0 ? "the server closed the connection during the login"
                                      : ErrnoText(error)));
}

}  // namespace trireme
