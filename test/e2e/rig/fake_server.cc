// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "scram_math.h"

namespace trireme::e2e {

void FakeSession::Accept() {
  Send(AuthenticationOk());
  FinishLogin();
}

void FakeSession::FinishLogin() {
  Send(ParameterStatus("server_version", "15.0 (fake)") +
       ParameterStatus("server_encoding", "UTF8") + ParameterStatus("client_encoding", "UTF8") +
       ParameterStatus("DateStyle", "ISO, MDY") + ParameterStatus("TimeZone", "UTC") +
       ParameterStatus("integer_datetimes", "on") +
       ParameterStatus("standard_conforming_strings", "on") +
       BackendKeyData(1000 + number_, "fake") + ReadyForQuery());
}

namespace {
void Refuse(FakeSession& session) {
  session.Send(ErrorResponse("FATAL", "28P01", "password authentication failed (fake)"));
  throw RigError("refused");
}
}  // namespace

void FakeSession::DemandCleartext(const std::string& password) {
  Send(Authentication(3));
  if (Read().body != CString(password)) Refuse(*this);
  Send(AuthenticationOk());
}

void FakeSession::DemandMd5(const std::string& user, const std::string& password,
                            const std::string& salt) {
  Send(Authentication(5, salt));
  const std::string inner = Hex(Md5(password + user));
  if (Read().body != CString("md5" + Hex(Md5(inner + salt)))) Refuse(*this);
  Send(AuthenticationOk());
}

// RFC 5802 and RFC 7677, server side.
void FakeSession::DemandScram(const FakeScramOptions& options) {
  Send(Authentication(10, CString("SCRAM-SHA-256") + '\0'));
  const std::string initial = Read().body;
  const size_t bare = initial.find("n=");
  const size_t nonce_at = initial.find("r=", bare);
  if (bare == std::string::npos || nonce_at == std::string::npos) Refuse(*this);
  const std::string client_first_bare = initial.substr(bare);
  const std::string nonce = initial.substr(nonce_at + 2) + "fakefakefakefake";
  const std::string server_first =
      "r=" + nonce + ",s=" + Base64(options.salt) + ",i=" + std::to_string(options.iterations);
  Send(Authentication(11, server_first));

  const std::string final = Read().body;
  const size_t proof_at = final.find(",p=");
  if (proof_at == std::string::npos) Refuse(*this);
  const std::string without_proof = final.substr(0, proof_at);
  const ScramKeys keys = DeriveScramKeys(options.password, options.salt, options.iterations);
  const std::string signed_text = client_first_bare + "," + server_first + "," + without_proof;
  const std::string signature = HmacSha256(Sha256(keys.client_key), signed_text);
  std::string proof = keys.client_key;
  for (size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ signature[i]);
  if (final.substr(proof_at + 3) != Base64(proof)) Refuse(*this);
  std::string answer = HmacSha256(keys.server_key, signed_text);
  if (options.lie_about_signature) answer[0] = static_cast<char>(answer[0] ^ 1);
  Send(Authentication(12, "v=" + Base64(answer)));
  Send(AuthenticationOk());
}

std::string FakeSession::ReadQuery() {
  const Message message = Read();
  if (message.type != 'Q') throw RigError("not a query: " + std::string(1, message.type));
  return message.body.substr(0, message.body.size() - 1);
}

void FakeSession::EchoQueries() {
  for (;;) {
    const std::string sql = ReadQuery();
    Send(RowDescription({"echo"}) + DataRow({sql}) + CommandComplete("SELECT 1") + ReadyForQuery());
  }
}

FakeServer::FakeServer(Script script) : script_(std::move(script)) {
  listen_fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listen_fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listen_fd_, 128) != 0 ||
      getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw RigError("the fake server cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { AcceptLoop(); });
}

FakeServer::~FakeServer() {
  shutdown(listen_fd_, SHUT_RDWR);
  acceptor_.join();
  close(listen_fd_);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : session_fds_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& session : sessions_) session.join();
}

void FakeServer::AcceptLoop() {
  for (;;) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    session_fds_.push_back(fd);
    sessions_.emplace_back([this, fd] {
      try {
        Serve(Socket(fd), connections_);
      } catch (const std::exception&) {
        // The script is over: the peer left, was refused, or stalled past the deadline.
      }
    });
  }
}

void FakeServer::Serve(Socket socket, int number) {
  MessageStream stream(std::move(socket));
  const int fd = stream.socket().fd();
  // Whatever happens, forget the descriptor before it is closed and its number reused.
  struct Forget {
    FakeServer* server;
    int fd;
    ~Forget() {
      const std::lock_guard lock(server->mutex_);
      std::erase(server->session_fds_, fd);
    }
  } forget{this, fd};
  std::optional<std::string> startup = stream.ReadUntypedPacket();
  while (startup && (*startup == Be32(80877103) || *startup == Be32(80877104))) {
    stream.Send("N");  // no TLS, no GSSAPI
    startup = stream.ReadUntypedPacket();
  }
  if (!startup || startup->size() < 4) return;
  if (ReadBe32(*startup) == 80877102) {
    ++cancels_;
    return;
  }
  std::map<std::string, std::string> parameters;
  for (size_t at = 4; at < startup->size() && (*startup)[at] != '\0';) {
    const std::string name = startup->c_str() + at;
    const std::string value = startup->c_str() + at + name.size() + 1;
    parameters[name] = value;
    at += name.size() + value.size() + 2;
  }
  number = connections_++;
  ++alive_;
  struct Leave {
    std::atomic<int>& alive;
    ~Leave() { --alive; }
  } leave{alive_};
  FakeSession session(std::move(stream.socket()), std::move(parameters), number);
  script_(session);
}

}  // namespace trireme::e2e
