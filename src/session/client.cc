// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/client.h"

#include <utility>

#include "auth/crypto.h"
#include "base/assert.h"
#include "base/marks.h"
#include "session/cancel_key.h"
#include "session/clients.h"
#include "session/console_session.h"
#include "session/login.h"
#include "session/parameters.h"
#include "wire/writer.h"

namespace trireme {

Client::Client(Clients& clients, uint64_t id)
    : clients_(clients),
      stream_(clients.streams(), *this),
      id_(id),
      timer_([](void* owner) { static_cast<Client*>(owner)->OnTimer(); }, this) {}

Client::~Client() {
  TRIREME_ASSERT(state_ == State::kClosed && server_ == nullptr && !waiting());
  clients_.timers().Cancel(timer_);
}

void Client::Begin(Arrival arrival) {
  listener_index_ = static_cast<uint16_t>(arrival.listener_index);
  connected_at_ = idle_since_ = clients_.now();
  const Duration limit = clients_.config().timeouts.client_login;
  if (limit > 0s) clients_.timers().Schedule(timer_, connected_at_ + limit);
  stream_.Adopt(arrival.fd);
}

Client::Rare& Client::rare() {
  if (rare_ == nullptr) rare_ = std::make_unique<Rare>();
  return *rare_;
}

void Client::FreeRare() {
  if (rare_ != nullptr && rare_->empty()) rare_.reset();
}

// Made when there is something for it to do: of thousands that connect at once, those that have yet
// to speak take no more than an idle client.
Login& Client::NeedLogin() {
  auto& login = rare().login;
  if (login == nullptr) login = std::make_unique<Login>(*this, clients_);
  return *login;
}

// We may be inside a call of it: it dies at the end of the turn.
void Client::DropLogin() {
  if (login() == nullptr) return;
  login()->Cancel();
  clients_.Bury(std::move(rare_->login));
  FreeRare();
}

void Client::EnterPool(WishRef wish) {
  wish_ = std::move(wish);
  startup_ = wish_.Share();
  watched_ = !replicates() && (!keeps_server() || resets_when_dirty() || !startup_->empty());
  OnWishChanged();
  idle_since_ = clients_.now();
  clients_.timers().Cancel(timer_);
  DropLogin();
  if (server_ == nullptr) state_ = State::kIdle;
  if (draining_) return CloseWith(clients_.ShutdownError(), "shutdown");
  Watch();
  if (clients_.config().log.connections && clients_.log().Enabled(LogLevel::kInfo)) {
    const char* event = replicates() ? "replication client logged in" : "client logged in";
    clients_.log().Info(event, {{"client", id_},
                                {"user", account_->user},
                                {"database", account_->database},
                                {"address", stream_.PeerAddress().Text()}});
  }
  if (!inbox_.empty()) PumpRequests();
}

void Client::BeginConsole(ConsoleRole role, std::string_view name) {
  clients_.timers().Cancel(timer_);
  DropLogin();
  state_ = State::kConsole;
  rare().console = std::make_unique<ConsoleSession>(*this, clients_, role, name);
  rare_->console->Begin();
}

// --- bytes and ends ---

void Client::OnReceive(Slice&& slice) {
  if (peer_done_) return;  // it has said goodbye
  if (state_ == State::kIdle && inbox_.empty() && !stream_.clogged() &&
      requests_.IsWholeQuery(slice.bytes(), clients_.request_limits()) &&
      MayPassUnseen(slice.bytes())) [[likely]] {
    return PassWholeQuery(std::move(slice));
  }
  if (state_ == State::kIdle && inbox_.empty() && !stream_.clogged() && PassWholePipeline(slice)) {
    return;
  }
  if (state_ == State::kLogin && login() == nullptr && inbox_.empty() &&
      Login::EnterAtOnce(*this, clients_, slice.bytes())) {
    return;
  }
  inbox_.Push(std::move(slice));
  switch (state_) {
    case State::kLogin:
      NeedLogin().OnBytes();
      return;
    case State::kConsole:
      console_session()->OnBytes();
      return;
    case State::kWaiting:
      if (clients_.streams().buffers().scarce()) inbox_.MoveToHeap(clients_.streams().buffers());
      UpdateReceiving();
      return;
    case State::kIdle:
    case State::kLinked:
      PumpRequests();
      return;
    case State::kClosing:
    case State::kClosed:
      inbox_.Clear();
      return;
  }
}

void Client::OnEnd(int error) {
  if (error != 0) {
    Close("client connection broke", Farewell::kDrop);
  } else {
    OnPeerDone();
  }
}

// The client sends no more. It may have gone, or only closed its sending side (or said Terminate)
// and still read: what it asked for before is answered if that takes no longer than
// timeouts.half_close, the wait for a server included; then it gives up its place in the queue, or
// its query is cancelled.
void Client::OnPeerDone() {
  if (peer_done_) return;
  peer_done_ = true;
  switch (state_) {
    case State::kIdle:
    case State::kWaiting:
    case State::kLinked:
      clients_.timers().Schedule(timer_, clients_.now() + clients_.config().timeouts.half_close);
      PumpRequests();  // closes when nothing is owed
      return;
    case State::kConsole:
      Close("client closed its connection", Farewell::kFlush);
      return;
    case State::kLogin:
      Close("client closed its connection", Farewell::kDrop);
      return;
    case State::kClosing:
    case State::kClosed:
      return;
  }
}

void Client::OnConnected(int) { TRIREME_UNREACHABLE(); }  // clients come to us
void Client::OnDetached(int) { TRIREME_UNREACHABLE(); }   // and stay on their core

void Client::OnRefused(const PgError& error) {
  TRIREME_ASSERT(state_ == State::kWaiting);
  state_ = State::kIdle;
  CloseWith(error, "no server");
}

void Client::OnServerEnd(int error) {
  // A walsender whose PostgreSQL ends says CommandComplete and closes; a standby goes by that.
  const bool told = server_->replies().error_forwarded() || replicates();
  const bool mid_reply = server_->replies().mid_message();
  clients_.log().Warning("server connection ended while in use",
                         {{"client", id_}, {"server", server_->id()}, {"errno", error}});
  server_ = nullptr;
  state_ = State::kIdle;
  if (told || mid_reply) {  // the server's own words were the last, or no words fit here
    Close("server connection ended", Farewell::kFlush);
    return;
  }
  CloseWith({.severity = severity::kFatal,
             .sqlstate = sqlstate::kConnectionFailure,
             .message = "server closed the connection unexpectedly",
             .detail = "This probably means the server terminated abnormally before or while "
                       "processing the request."},
            "server connection ended");
}

// --- ending ---

void Client::CloseWith(const PgError& error, std::string_view reason) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  // No words fit behind the server's last ones, or into the middle of a message.
  if (server_ != nullptr &&
      (server_->replies().last_words_forwarded() || server_->replies().mid_message())) {
    return Close(reason, Farewell::kFlush);
  }
  std::string text;
  MessageWriter(text).ErrorResponse(error);
  SendText(text);
  if (clients_.config().log.disconnections) {
    clients_.log().Info("client error", {{"client", id_},
                                         {"severity", error.severity},
                                         {"sqlstate", error.sqlstate},
                                         {"text", error.message}});
  }
  Close(reason, Farewell::kFlush);
}

void Client::Close(std::string_view reason, Farewell farewell) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  LetGoOfServer();
  clients_.OnClientClosing(*this, reason);
  state_ = State::kClosing;
  DropLogin();
  if (console_session() != nullptr) clients_.Bury(std::move(rare_->console));
  FreeRare();
  inbox_.Clear();
  clients_.timers().Cancel(timer_);
  if (farewell == Farewell::kFlush) {
    stream_.Close();
  } else {
    stream_.Abort();
  }
}

// The queue, or the server: clean goes back, anything else is the pool's to settle.
void Client::LetGoOfServer() {
  if (state_ == State::kWaiting) account_->pool->Leave(*this);
  if (state_ != State::kLinked) return;
  Server& server = *std::exchange(server_, nullptr);
  state_ = State::kIdle;
  if (replicates()) return EndReplication(server);
  if (server.stream().receive_paused()) server.stream().ResumeReceive();
  const bool clean = server.replies().clean() && server.inbox().empty();
  // The reset query runs next: what it did to parameters that the server does not report, nobody
  // knows.
  const bool left = kept_traces() != nullptr && !kept_traces()->free();
  const bool lasting = (pins() & pin::kLasting) != 0;
  DropTraces();
  if (keeps_server() || !clean || left) ForgetUnreported(server.baseline(), server.parameters());
  if (requests_.mid_forward()) {
    account_->pool->Abandon(server, AbandonReason::kBrokenMidMessage);
  } else if (lasting) {
    account_->pool->Abandon(server, AbandonReason::kTraces);
  } else if (clean && !left) {
    account_->pool->Return(server, account_->mode);
  } else {
    account_->pool->Abandon(server, AbandonReason::kClientGone);
  }
}

// Nobody else can have that server. What runs on it is cancelled, for it may take hours (a slot
// waits for transactions to end); a stream ends when it hears that its client has gone.
void Client::EndReplication(Server& server) {
  const Replies& replies = server.replies();
  if (!replies.owed().empty() && !replies.in_copy()) server.Cancel(nullptr);
  server.pool().Abandon(server, requests_.mid_forward() ? AbandonReason::kBrokenMidMessage
                                                        : AbandonReason::kReplicationOver);
}

// A stream in both directions has no end that a client who says no more could wait for.
bool Client::EndsWithPeer() const {
  return replicates() && server_ != nullptr && server_->replies().copy_is_open();
}

void Client::OnClosed() {
  TRIREME_ASSERT(state_ == State::kClosing);
  state_ = State::kClosed;
  clients_.Bury(*this);
}

void Client::EndNow(const PgError& error) {
  if (stream_.backlog_bytes() == 0) {
    CloseWith(error, "ended");
  } else if (state_ == State::kClosing) {
    stream_.Abort();
  } else {
    Close("ended", Farewell::kDrop);
  }
}

void Client::Drain() {
  draining_ = true;
  switch (state_) {
    case State::kLogin:
    case State::kIdle:
    case State::kWaiting:
      CloseWith(clients_.ShutdownError(), "shutdown");
      return;
    case State::kLinked:
      if (!EndsWithPeer()) return ReturnIfFree();
      CloseWith(clients_.ShutdownError(), "shutdown");
      return;
    case State::kConsole:
      console_session()->EndIfDraining();
      return;
    case State::kClosing:
    case State::kClosed:
      return;
  }
}

std::string_view Client::console_user() const {
  return console_session() != nullptr ? std::string_view(console_session()->user())
                                      : std::string_view();
}

// --- cancel ---

bool Client::ProvesKey(Bytes secret) const {
  if (account_ == nullptr) return false;
  if (rare_ != nullptr && rare_->cancel_secret_long != nullptr) {
    return ConstantTimeEqual(secret, {rare_->cancel_secret_long.get(), kLongCancelSecretBytes});
  }
  std::byte expected[4];
  StoreBig32(expected, cancel_secret_);
  return ConstantTimeEqual(secret, expected);
}

bool Client::CancelRequest(CancelObserver* observer) {
  if (state_ == State::kLinked && !server_->replies().owed().empty()) {
    if (OwnWorkRuns()) {  // it would hit our work, and not what the client asked
      cancel_due_ = AnythingOfClientOwed();
      return false;
    }
    server_->Cancel(observer);
    return observer != nullptr;
  }
  if (state_ != State::kWaiting) return false;  // idle: nothing to cancel, as in PostgreSQL
  TRIREME_COVER(kCancelledInQueue);
  account_->pool->Leave(*this);
  state_ = State::kIdle;
  idle_since_ = clients_.now();
  Watch();
  FailDeferred();
  const auto ready = requests_.PassOver(inbox_.Front());
  std::string text;
  MessageWriter writer(text);
  writer.ErrorResponse({.sqlstate = sqlstate::kQueryCanceled,
                        .message = "canceling statement due to user request",
                        .detail = "It was still waiting for a server connection."});
  if (ready == Requests::ReadyIsOwed::kNow) writer.ReadyForQuery(StatusWithoutServer());
  SendText(text);
  PumpRequests();
  return false;
}

}  // namespace trireme
