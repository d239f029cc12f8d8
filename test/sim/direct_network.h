// SPDX-License-Identifier: GPL-3.0-or-later
//
// Peers face to face, without a kernel in between: what one sends the other receives, in order, a
// little later, in pieces of a size the test chooses. For tests of the peers themselves. What the
// bytes are changed by on their way, a test may choose as well.
#pragma once

#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "test/sim/peer.h"

namespace trireme::sim {

class DirectNetwork final : public Network {
 public:
  struct Setup {
    uint64_t seed = 1;
    uint64_t piece_bytes_max = UINT64_MAX;  // pieces are of 1 to so many bytes
    Duration latency_max = 100us;
  };
  explicit DirectNetwork(Setup setup) : setup_(setup), random_(setup.seed) {}

  Time now() const override { return now_; }
  Random& random() override { return random_; }
  void At(Time time, std::function<void()> event) override {
    events_.emplace(std::pair(std::max(time, now_), ++last_event_), std::move(event));
  }

  PeerSocket& Connect(const SocketAddress& address, PeerHandler& handler) override {
    Socket& near = NewSocket(&handler);
    At(now_ + Latency(), [this, &near, text = address.Text()] {
      const auto listener = listeners_.find(text);
      if (near.closed) return;
      if (listener == listeners_.end()) return near.handler->OnEnd(near, ECONNREFUSED);
      Socket& far = NewSocket(nullptr);
      near.other = &far;
      far.other = &near;
      far.handler = &listener->second->OnAccept(far);
      near.handler->OnConnect(near);
    });
    return near;
  }
  void Listen(const SocketAddress& address, PeerAcceptor& acceptor) override {
    listeners_[address.Text()] = &acceptor;
  }
  void StopListening(const SocketAddress& address) override { listeners_.erase(address.Text()); }

  // Runs until `end`, or until nothing happens any more; false: the latter.
  bool RunUntil(Time end) {
    while (!events_.empty() && events_.begin()->first.first <= end) {
      now_ = events_.begin()->first.first;
      auto event = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      event();
    }
    now_ = std::max(now_, end);
    return !events_.empty();
  }
  void RunFor(Duration time) { RunUntil(now_ + time); }

  // Of what accepted sockets send: may change the bytes.
  std::function<void(std::string&)> corrupt;

 private:
  struct Socket final : PeerSocket {
    DirectNetwork* network;
    PeerHandler* handler;
    Socket* other = nullptr;
    std::string pending;  // sent to us, not given to the handler yet
    bool paused = false;
    bool closed = false;
    bool shut = false;  // we send no more
    bool end_told = false;
    bool pumping = false;

    void Send(Bytes bytes) override {
      if (closed || shut || other == nullptr || other->closed) return;
      std::string text(AsText(bytes));
      if (network->corrupt && accepted()) network->corrupt(text);
      other->pending += text;
      network->Pump(*other);
    }
    bool accepted() const { return this->is_accepted; }
    bool is_accepted = false;
    uint64_t unsent() const override { return other == nullptr ? 0 : other->pending.size(); }
    void PauseReceive() override { paused = true; }
    void ResumeReceive() override {
      paused = false;
      network->Pump(*this);
    }
    void ShutdownWrite() override {
      shut = true;
      if (other != nullptr) network->Pump(*other);
    }
    void Close() override {
      closed = shut = true;
      if (other != nullptr) network->Pump(*other);
    }
    void Reset() override {
      closed = shut = true;
      if (other == nullptr || other->closed) return;
      Socket* them = other;
      them->pending.clear();
      network->At(network->now(), [them] {
        if (!them->closed) them->handler->OnEnd(*them, ECONNRESET);
      });
    }
  };

  Socket& NewSocket(PeerHandler* handler) {
    sockets_.push_back(std::make_unique<Socket>());
    sockets_.back()->network = this;
    sockets_.back()->handler = handler;
    sockets_.back()->is_accepted = handler == nullptr;
    return *sockets_.back();
  }

  Duration Latency() {
    return Duration(random_.Below(static_cast<uint64_t>(setup_.latency_max.count()) + 1));
  }

  void Pump(Socket& socket) {
    if (socket.pumping) return;
    socket.pumping = true;
    At(now_ + Latency(), [this, &socket] {
      socket.pumping = false;
      if (socket.closed || socket.paused) return;
      if (socket.pending.empty()) {
        if (socket.other->shut && !std::exchange(socket.end_told, true)) {
          socket.handler->OnEnd(socket, 0);
        }
        return;
      }
      const uint64_t most = std::min<uint64_t>(socket.pending.size(), setup_.piece_bytes_max);
      const std::string piece = socket.pending.substr(0, 1 + random_.Below(most));
      socket.pending.erase(0, piece.size());
      Pump(socket);
      socket.handler->OnReceive(socket, AsBytes(piece));
    });
  }

  const Setup setup_;
  Random random_;
  Time now_{};
  uint64_t last_event_ = 0;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> events_;
  std::map<std::string, PeerAcceptor*> listeners_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

}  // namespace trireme::sim
