// SPDX-License-Identifier: GPL-3.0-or-later
#include "raw_client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace trireme::e2e {
namespace {

int PollMs(milliseconds limit) { return static_cast<int>(std::max<int64_t>(0, limit.count())); }

bool WaitFor(int fd, short events, milliseconds limit) {
  pollfd entry{fd, events, 0};
  int ready = 0;
  do {
    ready = poll(&entry, 1, PollMs(limit));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

Socket Socket::ConnectTcp(const std::string& host, uint16_t port, int receive_buffer_bytes) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    throw RigError("not an address: " + host);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Before connect: it decides the window the peer is offered.
  if (receive_buffer_bytes > 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  const int connected = connect(fd, found->ai_addr, found->ai_addrlen);
  const int error = errno;
  freeaddrinfo(found);
  if (connected != 0) {
    close(fd);
    throw RigError("connect to " + host + ":" + std::to_string(port) + ": " + strerror(error));
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return Socket(fd);
}

Socket Socket::ConnectUnix(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    close(fd);
    throw RigError("connect to " + path + ": " + strerror(error));
  }
  return Socket(fd);
}

bool Socket::TrySend(std::string_view bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      if (!WaitFor(fd_, POLLOUT, left)) throw RigError("the peer does not read");
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

size_t Socket::ReadSome(char* into, size_t size, milliseconds limit) {
  if (!WaitFor(fd_, POLLIN, limit)) throw RigError("nothing to read in time");
  const ssize_t got = recv(fd_, into, size, 0);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

bool Socket::ReadableWithin(milliseconds limit) const { return WaitFor(fd_, POLLIN, limit); }
void Socket::HalfClose() { shutdown(fd_, SHUT_WR); }

void Socket::Reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  Close();
}

void Socket::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void MessageStream::Send(std::string_view bytes) {
  if (!socket_.TrySend(bytes)) throw RigError("the peer closed while we were sending");
}

void MessageStream::SendByteByByte(std::string_view bytes) {
  for (const char& byte : bytes) Send({&byte, 1});
}

bool MessageStream::Fill(size_t size, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  if (consumed_ > (1 << 20)) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  while (input_.size() - consumed_ < size) {
    char chunk[65536];
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    const size_t got = socket_.ReadSome(chunk, sizeof chunk, left);
    if (got == 0) return false;
    input_.append(chunk, got);
  }
  return true;
}

std::optional<std::string> MessageStream::ReadExactly(size_t size, milliseconds limit) {
  if (!Fill(size, limit)) return std::nullopt;
  std::string bytes = input_.substr(consumed_, size);
  consumed_ += size;
  return bytes;
}

std::optional<Message> MessageStream::NextMessage(milliseconds limit) {
  const std::optional<std::string> header = ReadExactly(5, limit);
  if (!header) return std::nullopt;
  const int64_t size = ReadBe32(*header, 1);
  if (size < 4) throw RigError("a message claims to be shorter than its length field");
  std::optional<std::string> body = ReadExactly(static_cast<size_t>(size) - 4, limit);
  if (!body) return std::nullopt;
  return Message{(*header)[0], std::move(*body)};
}

Message MessageStream::Read() {
  std::optional<Message> message = NextMessage();
  if (!message) throw RigError("the peer closed the connection");
  return std::move(*message);
}

std::optional<std::string> MessageStream::ReadUntypedPacket() {
  const std::optional<std::string> header = ReadExactly(4);
  if (!header) return std::nullopt;
  return ReadExactly(static_cast<size_t>(ReadBe32(*header)) - 4);
}

std::vector<Message> MessageStream::ReadUntil(char type) {
  std::vector<Message> messages;
  for (;;) {
    std::optional<Message> message = NextMessage();
    if (!message) {
      throw RigError("the peer closed after " +
                     (messages.empty() ? "nothing" : Describe(messages.back())));
    }
    messages.push_back(std::move(*message));
    if (messages.back().type == type) return messages;
  }
}

std::vector<Message> MessageStream::ReadUntilClosed() {
  std::vector<Message> messages;
  while (std::optional<Message> message = NextMessage()) messages.push_back(std::move(*message));
  return messages;
}

std::vector<Message> RawClient::TryLogin(const LoginRequest& request) {
  Parameters parameters{{"user", request.user}, {"database", request.database}};
  parameters.insert(parameters.end(), request.more.begin(), request.more.end());
  Send(StartupPacket(parameters, request.version));
  std::vector<Message> answer;
  while (std::optional<Message> message = NextMessage()) {
    if (message->type == 'K') {
      backend_pid_ = ReadBe32(message->body);
      cancel_key_ = message->body.substr(4);
    } else if (message->type == 'S') {
      const size_t name_end = message->body.find('\0');
      const size_t value_end = message->body.find('\0', name_end + 1);
      parameters_[message->body.substr(0, name_end)] =
          message->body.substr(name_end + 1, value_end - name_end - 1);
    }
    answer.push_back(std::move(*message));
    if (answer.back().type == 'Z') break;
  }
  return answer;
}

void RawClient::Login(const LoginRequest& request) {
  const std::vector<Message> answer = TryLogin(request);
  if (answer.empty() || answer.back().type != 'Z') {
    throw RigError("login failed: " + (answer.empty() ? "closed" : Describe(answer.back())));
  }
}

std::vector<Message> RawClient::Exchange(std::string_view bytes) {
  Send(bytes);
  return ReadUntilReady();
}

std::vector<Message> RawClient::Ask(std::string_view sql) { return Exchange(Query(sql)); }

std::string RawClient::Value(std::string_view sql) {
  const std::vector<Message> answer = Ask(sql);
  if (const Message* error = FindType(answer, 'E')) throw RigError(Describe(*error));
  const Message* row = FindType(answer, 'D');
  if (row == nullptr) throw RigError("no row from: " + std::string(sql));
  return DataRowValues(*row).at(0);
}

std::string Describe(const Message& message) {
  if (message.type == 'E' || message.type == 'N')
    return ErrorField(message, 'S') + " " + ErrorField(message, 'C') + " " +
           ErrorField(message, 'M');
  return std::string("message '") + message.type + "'";
}

}  // namespace trireme::e2e
