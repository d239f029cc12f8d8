// SPDX-License-Identifier: GPL-3.0-or-later
//
// trireme-floor: the least a process between client and server can do on this kernel. One upstream
// connection for each client, bytes passed as they come, no protocol, no pool. The same io_uring
// operations as Trireme: multishot receives into provided buffers, sends straight from these (what
// has queued up in one), one system call a turn. What a pooler costs above it is the pooler.
//
// Each thread has its own ring and accept socket. A pair of sockets is one Pair; a side that ends
// ends both, after what is queued for the other has been sent.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/socket_address.h"
#include "engine/flags.h"
#include "engine/ring.h"

namespace trireme::bench {
namespace {

std::atomic<bool> stop{false};

constexpr char kUsage[] =
    "trireme-floor: passes bytes between clients and a server, one connection each; the physical\n"
    "floor of any pooler on this kernel. Runs until SIGINT or SIGTERM.\n"
    "\n"
    "usage: trireme-floor [--name VALUE]...\n"
    "\n";

struct Options {
  std::string host = "127.0.0.1";
  uint64_t port = 6433;
  std::string to_host = "127.0.0.1";
  uint64_t to_port = 5432;
  uint64_t threads = 1;
  std::vector<int> cpus;
};

class Relay {
 public:
  Relay(SocketAddress upstream, int listener) : upstream_(upstream), listener_(listener) {}

  Status Run(int cpu) {
    Status status = PinThread(cpu);
    if (!status.ok()) return status;
    Result<std::unique_ptr<Ring>> ring = Ring::Create({.buffers = 1024});
    if (!ring.ok()) return ring.status();
    ring_ = *std::move(ring);
    ring_->BeginAccept(listener_, Tag(0, 0, Operation::kAccept));
    while (!stop.load(std::memory_order_relaxed)) {
      ring_->Turn(ring_->now() + 100ms, [this](const Completion& c) { OnCompletion(c); });
    }
    ring_.reset();
    return OkStatus();
  }

 private:
  enum class Operation : uint8_t { kAccept, kConnect, kReceive, kSend };
  struct Piece {
    uint16_t buffer;
    Bytes bytes;
  };
  static constexpr size_t kGatherMax = 32;
  struct Side {  // a socket, and what is to be sent to it
    int fd = -1;
    bool sending = false;
    bool starved = false;  // wants to receive, and no buffer is free
    std::deque<Piece> queue;
    size_t sent_pieces = 0;  // of the queue, that are on their way
    msghdr message{};
    iovec vector[kGatherMax];
  };
  struct Pair {
    Side sides[2];  // client, server
    uint32_t in_flight = 0;
    bool connected = false;
    bool ending = false;
  };

  static uint64_t Tag(uint32_t pair, uint32_t side, Operation operation) {
    return uint64_t{pair} << 3 | uint64_t{side} << 2 | static_cast<uint64_t>(operation);
  }

  void OnCompletion(const Completion& completion) {
    const auto index = static_cast<uint32_t>(completion.user_data >> 3);
    const uint32_t side = completion.user_data >> 2 & 1;
    const auto operation = static_cast<Operation>(completion.user_data & 3);
    if (operation == Operation::kAccept) {
      OnAccept(completion);
      return;
    }
    Pair& pair = *pairs_[index];
    if (!completion.more()) --pair.in_flight;
    switch (operation) {
      case Operation::kAccept:
        break;
      case Operation::kConnect:
        OnConnected(index, completion.result);
        break;
      case Operation::kReceive:
        OnReceive(index, side, completion);
        break;
      case Operation::kSend:
        OnSent(index, side, completion.result);
        break;
    }
    Settle(index);
  }

  void OnAccept(const Completion& completion) {
    if (!completion.more()) ring_->BeginAccept(listener_, Tag(0, 0, Operation::kAccept));
    if (completion.result < 0) return;
    auto pair = std::make_unique<Pair>();
    pair->sides[0].fd = completion.result;
    pair->sides[1].fd = socket(upstream_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    for (const Side& side : pair->sides) {
      setsockopt(side.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    uint32_t index = static_cast<uint32_t>(pairs_.size());
    if (free_.empty()) {
      pairs_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    ++pair->in_flight;
    ring_->BeginConnect(pair->sides[1].fd, upstream_.data(), upstream_.size(),
                        Tag(index, 1, Operation::kConnect));
    pairs_[index] = std::move(pair);
  }

  void OnConnected(uint32_t index, int32_t result) {
    Pair& pair = *pairs_[index];
    if (result < 0) {
      End(pair);
      return;
    }
    pair.connected = true;
    for (uint32_t side = 0; side < 2; ++side) BeginReceive(index, side);
  }

  void BeginReceive(uint32_t index, uint32_t side) {
    ++pairs_[index]->in_flight;
    ring_->BeginReceive(pairs_[index]->sides[side].fd, Tag(index, side, Operation::kReceive));
  }

  void OnReceive(uint32_t index, uint32_t side, const Completion& completion) {
    Pair& pair = *pairs_[index];
    if (completion.result > 0) {
      if (pair.ending) {
        ring_->Recycle(completion.buffer());
        return;
      }
      Side& other = pair.sides[1 - side];
      other.queue.push_back({completion.buffer(), ring_->Received(completion)});
      Send(index, 1 - side);
    } else if (completion.result == -ENOBUFS && !pair.ending) {
      pair.sides[side].starved = true;
      starved_.push_back({index, side});
      return;
    } else {
      End(pair);
    }
    if (!completion.more() && !pair.ending) BeginReceive(index, side);
  }

  // All buffers are with sends; each that ends lets one side go on.
  void FeedStarved() {
    while (!starved_.empty()) {
      const auto [index, side] = starved_.back();
      starved_.pop_back();
      Pair* pair = pairs_[index].get();
      if (pair == nullptr || pair->ending || !pair->sides[side].starved) continue;
      pair->sides[side].starved = false;
      BeginReceive(index, side);
      return;
    }
  }

  void Send(uint32_t index, uint32_t side) {
    Pair& pair = *pairs_[index];
    Side& target = pair.sides[side];
    if (target.sending || target.queue.empty()) return;
    target.sending = true;
    ++pair.in_flight;
    const uint64_t tag = Tag(index, side, Operation::kSend);
    target.sent_pieces = std::min(target.queue.size(), kGatherMax);
    if (target.sent_pieces == 1) {
      ring_->BeginSend(target.fd, target.queue.front().bytes, tag);
      return;
    }
    for (size_t i = 0; i < target.sent_pieces; ++i) {
      const Bytes bytes = target.queue[i].bytes;
      target.vector[i] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
    target.message.msg_iov = target.vector;
    target.message.msg_iovlen = target.sent_pieces;
    ring_->BeginSendMessage(target.fd, target.message, tag);
  }

  void OnSent(uint32_t index, uint32_t side, int32_t result) {
    Pair& pair = *pairs_[index];
    Side& target = pair.sides[side];
    target.sending = false;
    for (; target.sent_pieces > 0; --target.sent_pieces) {
      ring_->Recycle(target.queue.front().buffer);
      target.queue.pop_front();
      FeedStarved();
    }
    if (result < 0) End(pair);
    Send(index, side);
  }

  void End(Pair& pair) {
    if (pair.ending) return;
    pair.ending = true;
    // Sends that are queued still go out: both sides are shut for receiving first.
    for (const Side& side : pair.sides) shutdown(side.fd, SHUT_RD);
  }

  void Settle(uint32_t index) {
    Pair& pair = *pairs_[index];
    if (!pair.ending || pair.in_flight > 0) return;
    for (Side& side : pair.sides) {
      for (const Piece& piece : side.queue) ring_->Recycle(piece.buffer);
      if (side.fd >= 0) close(side.fd);
    }
    pairs_[index].reset();
    free_.push_back(index);
  }

  const SocketAddress upstream_;
  const int listener_;
  std::unique_ptr<Ring> ring_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<uint32_t> free_;
  std::vector<std::pair<uint32_t, uint32_t>> starved_;  // pair and side; some may be over
};

int Fail(std::string_view message, int code) {
  std::fprintf(stderr, "trireme-floor: %s\n", std::string(message).c_str());
  return code;
}

int Listen(const SocketAddress& address) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  const bool listening = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                         setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                         bind(fd, address.data(), address.size()) == 0 && listen(fd, 4096) == 0;
  return listening ? fd : -1;
}

int Serve(const Options& options, const SocketAddress& address, const SocketAddress& upstream) {
  RaiseFileLimit();
  struct sigaction action {};
  action.sa_handler = [](int) { stop.store(true); };
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::vector<Status> statuses(options.threads);
  std::vector<std::thread> threads;
  std::vector<int> listeners;
  for (uint64_t i = 0; i < options.threads; ++i) {
    listeners.push_back(Listen(address));
    if (listeners.back() < 0) return Fail("cannot listen on " + address.Text(), 1);
  }
  for (uint64_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&, i] {
      const int cpu = options.cpus.empty() ? -1 : options.cpus[i % options.cpus.size()];
      statuses[i] = Relay(upstream, listeners[i]).Run(cpu);
      if (!statuses[i].ok()) stop.store(true);
      close(listeners[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses) {
    if (!status.ok()) return Fail(FromAbsl(status.message()), 1);
  }
  return 0;
}

int Main(int argc, char** argv) {
  Options options;
  Flags flags(kUsage);
  flags.AddText("host", "address to listen on (127.0.0.1)", options.host);
  flags.AddCount("port", "(6433)", options.port, 1, 65535);
  flags.AddText("to-host", "address of the server (127.0.0.1)", options.to_host);
  flags.AddCount("to-port", "(5432)", options.to_port, 1, 65535);
  flags.AddCount("threads", "(1)", options.threads, 1, 256);
  flags.AddCpus("cpus", "bind threads to these: 0,1 (wherever)", options.cpus);
  const Status status = flags.Parse(argc, argv);
  if (!status.ok()) return Fail(FromAbsl(status.message()), 2);
  if (flags.help_asked()) {
    std::fputs(flags.Help().c_str(), stdout);
    return 0;
  }
  const auto address = SocketAddress::Numeric(options.host, static_cast<uint16_t>(options.port));
  const auto upstream =
      SocketAddress::Numeric(options.to_host, static_cast<uint16_t>(options.to_port));
  if (!address.ok()) return Fail(FromAbsl(address.status().message()), 2);
  if (!upstream.ok()) return Fail(FromAbsl(upstream.status().message()), 2);
  return Serve(options, *address, *upstream);
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::Main(argc, argv); }
