// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests over the real ring: the other end of a connection, PostgreSQL's or a client's, played
// byte by byte, and the messages it says. Whatever waits here lets the cores under test take turns
// meanwhile; every wait is bounded.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "side/crew.h"
#include "wire/framer.h"
#include "wire/writer.h"

namespace trireme::script {

class NoDoorbell final : public Doorbell {
  void Ring(uint32_t) override {}
};

class NoLog final : public LogSink {
  void Write(std::string_view) override {}
};

// A directory for Unix sockets that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "trireme-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The cores under test.
class Turning {
 public:
  virtual void Turn() = 0;
  // Turns until `done`; false after some seconds.
  template <typename Done>
  bool Until(Done done) {
    const Time end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      Turn();
    }
    return true;
  }

 protected:
  ~Turning() = default;
};

// --- messages ---

inline std::string Written(auto write) {
  std::string bytes;
  MessageWriter writer(bytes);
  write(writer);
  return bytes;
}
inline std::string Message(char type, std::string_view body = {}) {
  return Written([&](auto& w) {
    w.Begin(type);
    w.RawBytes(AsBytes(body));
    w.End();
  });
}
// Bytes with zeros among them.
template <size_t kSize>
std::string Raw(const char (&bytes)[kSize]) {
  return std::string(bytes, kSize - 1);
}

inline std::string Query(std::string_view sql) {
  return Written([&](auto& w) { w.Query(sql); });
}
inline std::string Ready(char status = 'I') {
  return Written([&](auto& w) { w.ReadyForQuery(static_cast<TransactionStatus>(status)); });
}
inline std::string Complete(std::string_view tag) {
  return Written([&](auto& w) { w.CommandComplete(tag); });
}
inline std::string Done(std::string_view tag, char status = 'I') {
  return Complete(tag) + Ready(status);
}
inline std::string Failed(std::string_view sqlstate, std::string_view severity = severity::kError) {
  return Written([&](auto& w) {
    w.ErrorResponse(
        {.severity = std::string(severity), .sqlstate = std::string(sqlstate), .message = "no"});
  });
}
inline std::string Reported(std::string_view name, std::string_view value) {
  return Written([&](auto& w) { w.ParameterStatus({name, value}); });
}

inline constexpr uint32_t kProcessId = 77;
inline constexpr std::string_view kSecret = "\x01\x02\x03\x04";

// Of user app for database main; `more` are further parameters.
inline std::string AppStartup(const std::vector<ParameterView>& more = {}) {
  std::vector<ParameterView> parameters = {{"user", "app"}, {"database", "main"}};
  parameters.insert(parameters.end(), more.begin(), more.end());
  return Written([&](auto& w) { w.StartupMessage(kProtocol30, parameters); });
}
inline std::string LoginAnswer() {
  return Written([&](auto& w) {
    w.AuthenticationOk();
    w.ParameterStatus({"server_version", "15.4"});
    w.ParameterStatus({"TimeZone", "UTC"});
    w.BackendKeyData(kProcessId, AsBytes(kSecret));
    w.ReadyForQuery(TransactionStatus::kIdle);
  });
}
// As it reaches the server that answered LoginAnswer().
inline std::string CancelPacket() {
  return Written([](auto& w) { w.CancelRequest(kProcessId, AsBytes(kSecret)); });
}

// --- connections ---

class Peer {
 public:
  Peer(Turning& world, int fd) : world_(&world), fd_(fd) {}
  Peer(Peer&& other) noexcept
      : world_(other.world_), fd_(std::exchange(other.fd_, -1)), ended_(other.ended_) {}
  Peer& operator=(Peer&&) = delete;
  ~Peer() { Close(); }

  void Send(std::string bytes) {
    world_->Until([&] {
      TrySend(bytes);
      return bytes.empty();
    });
    EXPECT_TRUE(bytes.empty());
  }
  // Removes from `bytes` what the kernel takes.
  void TrySend(std::string& bytes) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) bytes.erase(0, static_cast<size_t>(sent));
  }
  void SendNoMore() { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  // Whether exactly these bytes come next.
  bool Expects(std::string_view bytes) {
    const std::string got = Read(bytes.size());
    EXPECT_EQ(got, bytes);
    return got == bytes;
  }
  // Whether nothing comes any more, but the end.
  bool ExpectsEnd() {
    std::string rest;
    const bool ended = world_->Until([&] {
      char byte;
      const ssize_t count = recv(fd_, &byte, 1, MSG_DONTWAIT);
      if (count > 0) rest += byte;
      return count == 0 || (count < 0 && errno != EAGAIN);
    });
    EXPECT_TRUE(ended);
    EXPECT_EQ(rest, "");
    return ended && rest.empty();
  }
  void ExpectsSilence() {
    for (int i = 0; i < 20; ++i) world_->Turn();
    char byte;
    EXPECT_EQ(recv(fd_, &byte, 1, MSG_DONTWAIT), -1);
  }

  std::string TryRead(size_t size) {
    char buffer[4096];
    const ssize_t count = recv(fd_, buffer, std::min(sizeof buffer, size), MSG_DONTWAIT);
    ended_ |= count == 0;
    return std::string(buffer, static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
  std::string Read(size_t size) {
    std::string got;
    world_->Until([&] {
      got += TryRead(size - got.size());
      return got.size() == size || ended_;
    });
    return got;
  }
  // One message, with its head.
  std::string ReadMessage() {
    const std::string head = Read(kHeadBytes);
    if (head.size() < kHeadBytes) return head;
    return head + Read(ReadHead(AsBytes(head).data()).body_size());
  }
  // Up to the first message of this type.
  std::string ReadUntil(char type) {
    std::string all;
    for (int i = 0; i < 100; ++i) {
      const std::string message = ReadMessage();
      all += message;
      if (message.empty() || message[0] == type) break;
    }
    return all;
  }
  PgError ReadError() {
    const std::string message = ReadMessage();
    if (message.empty() || message[0] != 'E') {
      ADD_FAILURE() << "no error but: " << message;
      return {};
    }
    return ParseErrorBody(AsBytes(message).subspan(kHeadBytes));
  }

 private:
  Turning* world_;
  int fd_;
  bool ended_ = false;
};

// Listens on the Unix socket of port 5432 in a directory.
class Postgres {
 public:
  Postgres(Turning& world, const std::string& directory) : world_(world) {
    const SocketAddress address = *SocketAddress::Unix(directory + "/.s.PGSQL.5432");
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(bind(fd_, address.data(), address.size()), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
  }
  ~Postgres() { close(fd_); }
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;

  Peer Accept() {
    int accepted = -1;
    EXPECT_TRUE(world_.Until([&] { return (accepted = accept(fd_, nullptr, nullptr)) >= 0; }));
    return Peer(world_, accepted);
  }
  bool SomebodyWaits() {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, 0) > 0;
  }
  Peer AcceptLogin() {
    Peer backend = Accept();
    backend.Expects(AppStartup());
    backend.Send(LoginAnswer());
    return backend;
  }

 private:
  Turning& world_;
  int fd_;
};

}  // namespace trireme::script
