// SPDX-License-Identifier: GPL-3.0-or-later
//
// How connections come about: connect on one side, a listener's backlog on the other. A full
// backlog drops the attempt: TCP repeats it after about 1, 2, 4 … seconds until it gives up, a Unix
// socket waits for room.
#include <cerrno>

#include "base/assert.h"
#include "test/sim/sim_kernel.h"
#include "test/sim/socket.h"

namespace trireme::sim {

void Socket::Connect(const SocketAddress& address) {
  TRIREME_ASSERT(state_ == State::kNew);
  state_ = State::kConnecting;
  peer_ = address;
  local_ = kernel_.Unnamed(address);
  if (kernel_.Roll(Fault::kRefuseConnect)) {
    AnswerConnectAt(kernel_.now() + kernel_.Latency(), ECONNREFUSED);
  } else if (!is_unix() && kernel_.Roll(Fault::kBlackHoleConnect)) {
    AnswerConnectAt(kernel_.now() + kernel_.faults().connect_timeout, ETIMEDOUT);
  } else {
    TryConnectAt(kernel_.now() + kernel_.Latency(), 0);
  }
}

int32_t Socket::connect_result() const {
  if (state_ == State::kConnecting) return -EAGAIN;
  return state_ == State::kConnected ? 0 : -error_;
}

void Socket::TryConnectAt(Time time, uint32_t attempt) {
  kernel_.At(time, [&kernel = kernel_, id = id_, attempt] {
    Socket* socket = kernel.Find(id);
    if (socket != nullptr) socket->TryConnect(attempt);
  });
}

void Socket::AnswerConnectAt(Time time, int error) {
  kernel_.At(time, [&kernel = kernel_, id = id_, error] {
    Socket* socket = kernel.Find(id);
    if (socket == nullptr) return;
    TRIREME_ASSERT(socket->state_ == State::kConnecting);
    socket->state_ = error == 0 ? State::kConnected : State::kFailed;
    if (error != 0) socket->error_ = error;
    socket->Notify();
  });
}

void Socket::TryConnect(uint32_t attempt) {
  Socket* listener = kernel_.ListenerFor(peer_);
  if (listener == nullptr) {
    const bool missing = is_unix() && !kernel_.file_exists(peer_);
    AnswerConnectAt(kernel_.now() + kernel_.Latency(), missing ? ENOENT : ECONNREFUSED);
    return;
  }
  if (listener->backlog_.size() <= listener->backlog_max_) {
    kernel_.Join(*this, *listener);
    return;
  }
  if (is_unix()) {
    TryConnectAt(kernel_.now() + 1ms, 0);
    return;
  }
  const Duration spread = 1ms * static_cast<int64_t>(id_ % 16);  // no two hosts' timers are in step
  const Time retry = kernel_.now() + 1s * (int64_t{1} << attempt) + spread;
  if (attempt < connect_retries_) {
    TryConnectAt(retry, attempt + 1);
  } else {
    AnswerConnectAt(retry, ETIMEDOUT);
  }
}

void SimKernel::Join(Socket& client, Socket& listener) {
  Socket& server = NewSocket(client.family());
  server.state_ = Socket::State::kConnected;
  server.local_ = client.is_unix() ? listener.local_ : client.peer_;
  server.peer_ = client.local_;
  server.other_id_ = client.id_;
  client.other_id_ = server.id_;
  server.capacity_ = NewCapacity();
  client.capacity_ = NewCapacity();
  server.Reference();  // the backlog's, handed on by Accept()
  listener.backlog_.push_back(server.id_);
  listener.Notify();
  // What the server sends comes after the answer.
  client.last_arrival_ = now_ + Latency();
  client.AnswerConnectAt(client.last_arrival_, 0);
}

void Socket::StartListening(const SocketAddress& local, uint32_t backlog_max, bool reuse_port) {
  TRIREME_ASSERT(state_ == State::kNew);
  state_ = State::kListening;
  local_ = local;
  backlog_max_ = backlog_max;
  reuse_port_ = reuse_port;
}

Socket* Socket::Accept() {
  if (backlog_.empty()) return nullptr;
  Socket* socket = kernel_.Find(backlog_.front());
  TRIREME_ASSERT(socket != nullptr);
  backlog_.pop_front();
  return socket;
}

void Socket::ReleaseListener() {
  while (Socket* socket = Accept()) {
    socket->Abort();
    socket->Unreference();
  }
}

}  // namespace trireme::sim
