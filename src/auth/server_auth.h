// SPDX-License-Identifier: GPL-3.0-or-later
//
// We prove to a PostgreSQL server who we are. One object per server login, on the core that opens
// the connection; no I/O: the owner feeds each Authentication message and sends what a step says as
// a 'p' message.
//
//   what we hold           cleartext   md5   SCRAM-SHA-256
//   plaintext              yes         yes   yes (keys derived once, then cached)
//   md5 hash               no          yes   no
//   SCRAM verifier         no          no    with the keys of a client that logged in
//   (pass-through) nothing                no          no    no
//
// A server that asks for nothing is fine. AuthenticationOk in the middle of a SCRAM exchange is
// not: the server has not proven that it knows the user. Each login answers one method once; a
// server that asks again is refused. An ErrorResponse is the owner's to read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/auth_resources.h"
#include "auth/scram_client.h"
#include "auth/stored_secret.h"
#include "wire/messages.h"

namespace trireme {

class ServerAuthenticator {
 public:
  struct Setup {
    std::string user;
    StoredSecret secret;
    std::optional<ScramPassThrough> pass_through;
  };

  struct Step {
    enum class Kind : uint8_t {
      kSend,  // a 'p' message with the body `payload`; then Feed the next Authentication message
      kWait,  // nothing to send; Feed the next one
      kNeedKeys,   // derive key_request() elsewhere, then ProvideKeys
      kSucceeded,  // AuthenticationOk
      kFailed,     // see failure(); close
    };
    Kind kind;
    Bytes payload{};  // valid until the next call
  };

  ServerAuthenticator(Setup setup, AuthResources resources);
  ServerAuthenticator(const ServerAuthenticator&) = delete;
  ServerAuthenticator& operator=(const ServerAuthenticator&) = delete;
  ~ServerAuthenticator();

  // `payload` is the body of an Authentication message after its code. After kNeedKeys it means
  // that the server speaks out of turn, which fails.
  Step Feed(AuthenticationCode code, Bytes payload);
  // The body of an Authentication message as it came.
  Step FeedBody(Bytes body);
  // After kNeedKeys; not when the login has failed meanwhile.
  Step ProvideKeys(const ScramKeys& keys);

  // After kNeedKeys.
  const ScramKeyRequest& key_request() const;
  // After kFailed. The error is worded for our own clients and log: it says what to configure.
  const AuthFailure& failure() const { return failure_; }

 private:
  enum class State : uint8_t {
    kStart,
    kAnswered,  // password or md5 sent
    kAwaitServerFirst,
    kAwaitKeys,
    kAwaitServerFinal,
    kProven,  // the server knows the verifier
    kDone,
  };

  Step OnOk();
  Step OnCleartextPassword();
  Step OnMd5Password(Bytes payload);
  Step OnSasl(Bytes payload);
  Step OnSaslContinue(Bytes payload);
  Step OnSaslFinal(Bytes payload);

  Step Send(std::string_view payload);
  Step SendString(std::string_view text);
  Step SendClientFinal(const ScramKeys& keys);
  Step Fail(PgError error);
  Step CannotAnswer(std::string_view asked, std::string_view advice);
  Step Unsupported(std::string_view method);
  Step BadMessage(std::string_view what);
  std::string Held() const;

  Setup setup_;
  const AuthResources resources_;
  State state_ = State::kStart;
  std::string payload_;  // may hold the password: overwritten at the end
  std::unique_ptr<ScramClient> scram_;
  std::string salt_;
  std::optional<ScramKeyRequest> key_request_;
  AuthFailure failure_;
};

}  // namespace trireme
