// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection of the load, from connect() to close(): the second half of Worker.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/assert.h"
#include "load/worker.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

constexpr Duration kBackoffMin = 10ms;
constexpr Duration kBackoffMax = 1s;
constexpr size_t kCopyBlockBytes = 65536;
constexpr size_t kSlowBufferMax = 65536;

// The types whose bodies are read.
bool Wants(char type) {
  return type == backend::kReadyForQuery || type == backend::kErrorResponse ||
         type == backend::kAuthentication;
}

std::string OfRoute(const std::string& name, uint32_t route) {
  return absl::StrReplaceAll(name, {{"%d", absl::StrCat(route)}});
}

}  // namespace

void Worker::OnCompletion(const Completion& completion) {
  Client& client = clients_[completion.user_data >> 2];
  const auto operation = static_cast<Operation>(completion.user_data & 3);
  if (!completion.more()) --client.in_flight;
  switch (operation) {
    case Operation::kConnect:
      OnConnected(client, completion.result);
      break;
    case Operation::kReceive:
      OnReceive(client, completion);
      break;
    case Operation::kSend:
      OnSent(client, completion.result);
      break;
  }
  Settle(client);
}

void Worker::BeginConnect(Client& client) {
  TRIREME_ASSERT(client.state == State::kClosed && client.in_flight == 0);
  ++connecting_;
  client.state = State::kConnecting;
  client.begun = now();
  client.scanner.Reset();
  client.known_statements = 0;
  client.status = 'I';
  client.lost_is_told = client.copying = client.rolling_back = false;
  client.next.clear();
  client.fd = socket(options_.address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client.fd < 0) {
    const int error = errno;
    ++open_;  // FinishClose counts it away
    Lose(client, absl::StrCat("socket: ", std::strerror(error)));
    Settle(client);
    return;
  }
  ++open_;
  if (client.slow) {
    const int small = 4096;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
  ++client.in_flight;
  ring_->BeginConnect(client.fd, options_.address.data(), options_.address.size(),
                      Tag(client, Operation::kConnect));
}

void Worker::OnConnected(Client& client, int32_t result) {
  if (client.state == State::kClosing) return;
  if (result < 0) {
    Lose(client, absl::StrCat("connect: ", std::strerror(-result)));
    return;
  }
  if (!options_.address.is_unix()) {
    const int on = 1;
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  client.state = State::kLogin;
  const std::string user = OfRoute(options_.user, client.route);
  const std::string database = OfRoute(options_.database, client.route);
  if (!options_.password.empty()) {
    client.authenticator = std::make_unique<ServerAuthenticator>(
        ServerAuthenticator::Setup{user, PlaintextSecret{SecretText(options_.password)},
                                   std::nullopt},
        AuthResources{*secret_random_, *keys_, *salts_});
  }
  const ParameterView parameters[] = {
      {"user", user}, {"database", database}, {"application_name", "trireme-load"}};
  MessageWriter(client.next).StartupMessage(kProtocol30, parameters);
  BeginReceive(client);
  Send(client);
}

void Worker::BeginReceive(Client& client) {
  client.receiving = true;
  ++client.in_flight;
  if (!client.slow) {
    ring_->BeginReceive(client.fd, Tag(client, Operation::kReceive));
    return;
  }
  const size_t size = std::clamp<size_t>(options_.slow_rate / 100, 256, kSlowBufferMax);
  if (client.slow_buffer == nullptr) client.slow_buffer = std::make_unique<std::byte[]>(size);
  ring_->BeginReceiveInto(client.fd, {client.slow_buffer.get(), size},
                          Tag(client, Operation::kReceive));
}

void Worker::OnReceive(Client& client, const Completion& completion) {
  if (!completion.more()) client.receiving = false;
  const bool open = client.state != State::kClosing;
  if (completion.result > 0) {
    const auto size = static_cast<size_t>(completion.result);
    const Bytes bytes =
        client.slow ? Bytes{client.slow_buffer.get(), size} : ring_->Received(completion);
    if (open) {
      totals_.bytes_received += size;
      client.scanner.Feed(bytes, Wants,
                          [&](char type, Bytes body) { return OnMessage(client, type, body); });
    }
    if (completion.has_buffer()) ring_->Recycle(completion.buffer());
    if (open && client.scanner.broken()) Lose(client, "not the protocol");
  } else if (open && completion.result != -ENOBUFS) {
    Lose(client, completion.result == 0 ? "connection closed by the other side"
                                        : std::strerror(-completion.result));
  }
  if (client.state == State::kClosing || client.receiving || client.fd < 0) return;
  if (!client.slow) {
    BeginReceive(client);
    return;
  }
  const double pause = static_cast<double>(std::max(completion.result, 1)) /
                       static_cast<double>(options_.slow_rate) * 1e9;
  timers_.push({now() + Duration(static_cast<int64_t>(pause)), IndexOf(client), 0, true});
}

// False: the connection is no more, and what else came is of no interest.
bool Worker::OnMessage(Client& client, char type, Bytes body) {
  if (client.state == State::kClosing) return false;
  if (client.state == State::kLogin) return OnLoginMessage(client, type, body);
  switch (type) {
    case backend::kReadyForQuery:
      client.status = body.empty() ? 'I' : static_cast<char>(body[0]);
      if (client.state == State::kRunning) OnReady(client);
      break;
    case backend::kErrorResponse:
      OnError(client, body);
      break;
    case backend::kCommandComplete:
    case backend::kEmptyQueryResponse:
    case backend::kPortalSuspended:
      ++totals_.statements;
      break;
    case backend::kDataRow:
    case backend::kCopyData:
      ++totals_.rows;
      break;
    case backend::kCopyInResponse:
      client.copying = true;
      if (!client.sending) SendCopy(client);
      break;
    default:
      break;
  }
  return client.state != State::kClosing;
}

bool Worker::OnLoginMessage(Client& client, char type, Bytes body) {
  switch (type) {
    case backend::kAuthentication:
      if (client.authenticator != nullptr) {
        Authenticate(client, client.authenticator->FeedBody(body));
      } else if (body.size() < 4 || LoadBig32(body.data()) != 0) {
        Lose(client, "login: a password is asked for; give --password or PGPASSWORD");
      }
      break;
    case backend::kErrorResponse:
      OnError(client, body);
      Lose(client, "");
      break;
    case backend::kReadyForQuery:
      --connecting_;
      ++totals_.connections;
      client.authenticator.reset();
      client.backoff = 0ns;
      if (measuring_) results_.connect.Record(now() - client.begun);
      client.state = State::kResting;
      if (client.works || client.was_ready) {
        Rest(client);
      } else {
        BeginRun(client, now());
      }
      break;
    default:
      break;
  }
  return client.state != State::kClosing;
}

void Worker::Authenticate(Client& client, ServerAuthenticator::Step step) {
  using Kind = ServerAuthenticator::Step::Kind;
  if (step.kind == Kind::kNeedKeys) {  // derived once for each salt
    const ScramKeyRequest& request = client.authenticator->key_request();
    const ScramKeys keys = DeriveScramKeys(request.password, request.salt, request.iterations);
    keys_->Insert(request.id, keys);
    step = client.authenticator->ProvideKeys(keys);
  }
  switch (step.kind) {
    case Kind::kSend: {
      MessageWriter writer(client.next);
      writer.Begin(frontend::kPasswordMessage);
      writer.RawBytes(step.payload);
      writer.End();
      Send(client);
      break;
    }
    case Kind::kFailed:
      Lose(client, absl::StrCat("login: ", client.authenticator->failure().error.message));
      break;
    case Kind::kNeedKeys:
    case Kind::kWait:
    case Kind::kSucceeded:
      break;
  }
}

// Ready for the next run: by itself, by an arrival, or never.
void Worker::Rest(Client& client) {
  client.state = State::kResting;
  if (!client.was_ready) {
    client.was_ready = true;
    ++ready_;
  }
  if (!client.works || !started_) return;
  if (options_.rate > 0) {
    if (waiting_.empty()) {
      resting_.push_back(IndexOf(client));
      return;
    }
    const Time intended = waiting_.front();
    waiting_.pop_front();
    BeginRun(client, intended);
  } else if (!options_.think.is_zero()) {
    SetTimer(client, options_.think.Next(random_));
  } else if (MayStart()) {
    BeginRun(client, now());
  }
}

void Worker::BeginRun(Client& client, Time intended) {
  ++running_;
  client.state = State::kRunning;
  client.begun = intended;
  client.script = PickScript();
  client.step = 0;
  client.failed = false;
  BeginStep(client);
}

void Worker::BeginStep(Client& client) {
  const Step& step = options_.scripts[client.script].steps[client.step];
  if (step.kind == Step::Kind::kSleep) {
    client.state = State::kSleeping;
    SetTimer(client, step.sleep.Next(random_));
    return;
  }
  client.replies_left = step.replies();
  client.copy_left = step.copy_bytes;
  const uint64_t bit = uint64_t{1} << step.statement;
  const bool prepared = step.kind == Step::Kind::kPrepared;
  RenderStep(step, (client.known_statements & bit) != 0,
             {.random = random_, .client = client.number}, client.next);
  if (prepared) client.known_statements |= bit;
  Send(client);
}

void Worker::OnReady(Client& client) {
  if (client.replies_left == 0 || --client.replies_left > 0) return;
  client.copying = false;
  const std::vector<Step>& steps = options_.scripts[client.script].steps;
  if (client.failed && !client.rolling_back) {
    const Step& step = steps[client.step];
    if (step.kind == Step::Kind::kPrepared) {
      client.known_statements &= ~(uint64_t{1} << step.statement);
    }
    if (client.status != 'I') {
      client.rolling_back = true;
      client.replies_left = 1;
      MessageWriter(client.next).Query("ROLLBACK");
      Send(client);
      return;
    }
  }
  client.rolling_back = false;
  if (client.failed || ++client.step == steps.size()) {
    FinishRun(client);
  } else {
    BeginStep(client);
  }
}

void Worker::OnError(Client& client, Bytes body) {
  const PgError error = ParseErrorBody(body);
  CountError(error.sqlstate);
  client.failed = true;
  client.copy_left = 0;
  client.copying = false;
  if (error.severity == severity::kFatal || error.severity == severity::kPanic) {
    client.lost_is_told = true;
  }
}

void Worker::FinishRun(Client& client) {
  --running_;
  if (client.failed) {
    ++totals_.failed;
    ++interval_failed_;
  } else {
    ++totals_.transactions;
    if (started_) {
      const Duration latency = now() - client.begun;
      ++interval_transactions_;
      interval_latency_.Record(latency);
      // What slow readers wait for is their own doing: the report is about the others.
      if (Measuring(client.begun) && !client.slow) {
        results_.latency[client.script].Record(latency);
      }
      if (measuring_) ++client.done;
    }
  }
  const bool again = started_ && options_.reconnect > 0 && client.works;
  if (again && Unit(random_) < options_.reconnect) {
    client.state = State::kResting;
    BeginClose(client, AfterClose::kConnect);
    return;
  }
  Rest(client);
}

void Worker::Send(Client& client) {
  if (!client.sending) SendNext(client);
}

void Worker::SendNext(Client& client) {
  client.out.swap(client.next);
  client.next.clear();
  client.sending = true;
  ++client.in_flight;
  totals_.bytes_sent += client.out.size();
  ring_->BeginSend(client.fd, AsBytes(client.out), Tag(client, Operation::kSend));
}

void Worker::SendCopy(Client& client) {
  const Step& step = options_.scripts[client.script].steps[client.step];
  if (client.copy_left == 0) {
    client.copying = false;
    MessageWriter writer(client.next);
    writer.Begin(frontend::kCopyDone);
    writer.End();
    SendNext(client);
    return;
  }
  const std::string& block = CopyBlock(step.copy_row_bytes);
  const uint64_t message = step.copy_row_bytes + kHeadBytes;
  const uint64_t rows = std::min(client.copy_left / step.copy_row_bytes, block.size() / message);
  client.copy_left -= rows * step.copy_row_bytes;
  client.sending = true;
  ++client.in_flight;
  totals_.bytes_sent += rows * message;
  ring_->BeginSend(client.fd, AsBytes(std::string_view(block).substr(0, rows * message)),
                   Tag(client, Operation::kSend));
}

const std::string& Worker::CopyBlock(uint32_t row_bytes) {
  std::string& block = copy_blocks_[row_bytes];
  while (block.empty() || block.size() + row_bytes + kHeadBytes <= kCopyBlockBytes) {
    MessageWriter writer(block);
    writer.Begin(frontend::kCopyData);
    writer.RawBytes(AsBytes(std::string(row_bytes - 1, 'x') + '\n'));
    writer.End();
  }
  return block;
}

void Worker::OnSent(Client& client, int32_t result) {
  client.sending = false;
  if (client.state == State::kClosing) {
    shutdown(client.fd, SHUT_RDWR);
  } else if (result < 0) {
    // What the other side had to say about it may still be on its way: the receive will tell.
    if (!client.receiving) Lose(client, absl::StrCat("send: ", std::strerror(-result)));
  } else if (!client.next.empty()) {
    SendNext(client);
  } else if (client.copying) {
    SendCopy(client);
  }
}

// The connection is of no use any more. `why` "" = was counted.
void Worker::Lose(Client& client, const std::string& why) {
  if (client.state == State::kClosing) return;
  if (!client.lost_is_told && !why.empty() && !ending_) CountError(why);
  if (client.state == State::kConnecting || client.state == State::kLogin) --connecting_;
  if (client.state == State::kRunning || client.state == State::kSleeping) {
    --running_;
    ++totals_.failed;
    ++interval_failed_;
  }
  client.backoff = std::clamp(client.backoff * 2, kBackoffMin, kBackoffMax);
  client.state = State::kLogin;  // nothing to say goodbye to
  BeginClose(client, AfterClose::kBackOff);
}

void Worker::BeginClose(Client& client, AfterClose after) {
  const bool polite = client.state == State::kResting && !client.sending;
  if (client.state == State::kRunning || client.state == State::kSleeping) --running_;
  client.state = State::kClosing;
  client.after_close = after;
  ++client.timer;
  if (client.fd < 0) return;
  if (polite) {
    MessageWriter(client.next).Terminate();
    SendNext(client);  // then the end
  } else {
    shutdown(client.fd, SHUT_RDWR);
  }
}

void Worker::FinishClose(Client& client) {
  if (client.fd >= 0) close(client.fd);
  client.fd = -1;
  client.state = State::kClosed;
  client.authenticator.reset();
  --open_;
  if (ending_) return;
  switch (client.after_close) {
    case AfterClose::kConnect:
      BeginConnect(client);
      break;
    case AfterClose::kBackOff:
      SetTimer(client, client.backoff);
      break;
    case AfterClose::kStay:
      break;
  }
}

}  // namespace trireme::bench
