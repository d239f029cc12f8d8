// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client that speaks the protocol byte by byte, to do what libpq never would: split, stall,
// half-close, reset, pipeline by hand. Blocking, every wait bounded by kPatience (RigError after
// it). One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages.h"
#include "patience.h"

namespace trireme::e2e {

// A connected stream socket.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { Close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;

  static Socket ConnectTcp(const std::string& host, uint16_t port, int receive_buffer_bytes = 0);
  static Socket ConnectUnix(const std::string& path);

  int fd() const { return fd_; }
  // False when the peer is gone.
  bool TrySend(std::string_view bytes);
  // Up to `size` bytes; 0 when the peer closed or reset.
  size_t ReadSome(char* into, size_t size, milliseconds limit = kPatience);
  bool ReadableWithin(milliseconds limit) const;
  void HalfClose();  // no more from us (FIN), still reading
  void Reset();      // RST, at once
  void Close();

 private:
  int fd_;
};

// Everything both ends of a conversation need: framing over a socket.
class MessageStream {
 public:
  explicit MessageStream(Socket socket) : socket_(std::move(socket)) {}

  Socket& socket() { return socket_; }
  void Send(std::string_view bytes);  // throws when the peer is gone
  void SendByteByByte(std::string_view bytes);
  // Nothing when the peer closed between two messages (or in the midst of one).
  std::optional<Message> NextMessage(milliseconds limit = kPatience);
  Message Read();  // throws at end of stream
  std::optional<std::string> ReadExactly(size_t size, milliseconds limit = kPatience);
  // Server side: a packet without type (startup, cancel, SSL request), without its length.
  std::optional<std::string> ReadUntypedPacket();

  std::vector<Message> ReadUntil(char type);  // inclusive; throws when the stream ends first
  std::vector<Message> ReadUntilReady() { return ReadUntil('Z'); }
  std::vector<Message> ReadUntilClosed();

 protected:
  bool Fill(size_t size, milliseconds limit);

  Socket socket_;
  std::string input_;
  size_t consumed_ = 0;
};

struct LoginRequest {
  std::string user = "app";
  std::string database = "app";
  Parameters more;
  int64_t version = kProtocol30;
};

class RawClient : public MessageStream {
 public:
  using MessageStream::MessageStream;

  // Sends the startup packet, expects success without a password. Throws with the server's error
  // otherwise.
  void Login(const LoginRequest& request = {});
  // The same, but returns all that was answered up to ReadyForQuery or the end of the stream.
  std::vector<Message> TryLogin(const LoginRequest& request = {});
  // Query and everything up to ReadyForQuery.
  std::vector<Message> Ask(std::string_view sql);
  // Sends bytes, then everything up to ReadyForQuery.
  std::vector<Message> Exchange(std::string_view bytes);
  // First column of the first row; throws when there is none.
  std::string Value(std::string_view sql);

  int64_t backend_pid() const { return backend_pid_; }
  const std::string& cancel_key() const { return cancel_key_; }
  const std::map<std::string, std::string>& parameters() const { return parameters_; }

 private:
  int64_t backend_pid_ = 0;
  std::string cancel_key_;
  std::map<std::string, std::string> parameters_;
};

std::string Describe(const Message& message);  // one line for a failure text

}  // namespace trireme::e2e
