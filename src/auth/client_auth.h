// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client proves to us who it is. One object per login, on the client's core; no I/O: the owner
// sends what a step says and feeds the body of each 'p' message.
//
//   Begin ──▶ kSucceeded                                          trust
//         ──▶ kFailed                                             reject
//         ──▶ kSend ── Feed ──▶ kSend ── Feed ──▶ ... ──▶ kSucceeded | kFailed
//                        └────▶ kNeedKeys ── ProvideKeys ──▶ as Feed
//
// Method and secret together decide the exchange:
//
//   method     plaintext         md5 hash          SCRAM verifier    no secret
//   password   compared          hashed, compared  keys derived      keys derived, fails
//   md5        md5               md5               SCRAM             md5, fails
//   scram      keys derived (*)  SCRAM, fails      SCRAM             SCRAM, fails
//
// (*) once: the salt is the same on every attempt, so the cache has the keys the next time.
// "fails": the exchange runs to its end with invented values that repeat, and ends as a wrong
// password does, so an outsider does not learn which users exist. The reason is in
// failure().log_detail. What remains visible: a verifier whose salt length or iteration count is
// not the configured one, and the first derivation after a start for a plaintext secret.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/auth_resources.h"
#include "auth/scram_server.h"
#include "auth/stored_secret.h"
#include "wire/errors.h"
#include "wire/messages.h"

namespace trireme {

enum class ClientAuthMethod : uint8_t { kTrust, kReject, kPassword, kMd5, kScramSha256 };

class ClientAuthenticator {
 public:
  struct Setup {
    ClientAuthMethod method;
    std::string user;
    StoredSecret secret;
    uint32_t scram_iterations = kScramIterationsDefault;  // for secrets without a verifier
  };

  struct Step {
    enum class Kind : uint8_t {
      kSend,       // Authentication message `code` with `payload`; then Feed the next 'p' body
      kNeedKeys,   // derive key_request() elsewhere, then ProvideKeys
      kSucceeded,  // first send `code`/`payload` when code is kSaslFinal; AuthenticationOk is the
                   // caller's
      kFailed,     // send failure().error and close
    };
    Kind kind;
    AuthenticationCode code = AuthenticationCode::kOk;
    Bytes payload{};  // what follows the code; valid until the next call
  };

  ClientAuthenticator(Setup setup, AuthResources resources);
  ClientAuthenticator(const ClientAuthenticator&) = delete;
  ClientAuthenticator& operator=(const ClientAuthenticator&) = delete;
  ~ClientAuthenticator();

  Step Begin();
  // After kSend. After kNeedKeys it means that the client speaks out of turn, which fails.
  Step Feed(Bytes body);
  // After kNeedKeys; not when the login has failed meanwhile.
  Step ProvideKeys(const ScramKeys& keys);

  // After kNeedKeys.
  const ScramKeyRequest& key_request() const;
  // After kFailed.
  const AuthFailure& failure() const { return failure_; }
  // After kSucceeded: keys that log in to any server whose verifier is the one we hold.
  const std::optional<ScramPassThrough>& pass_through() const { return pass_through_; }
  // After kSucceeded with the method password: what the client sent; else empty.
  std::string_view cleartext_password() const { return password_.view(); }

 private:
  enum class State : uint8_t {
    kStart,
    kAwaitPassword,
    kAwaitMd5,
    kAwaitSaslInitial,
    kAwaitClientFirst,  // the initial response was empty
    kAwaitClientFinal,
    kAwaitPasswordKeys,
    kAwaitVerifierKeys,
    kDone,
  };

  Step BeginMd5();
  Step BeginScram();
  Step FeedPassword(std::string_view password);
  Step FeedMd5(std::string_view response);
  Step FeedSaslInitial(Bytes body);
  Step FeedClientFirst(std::string_view text);
  Step FeedClientFinal(std::string_view text);
  Step FinishScram(std::string_view text);
  Step CheckPasswordKeys(const ScramKeys& keys);

  ScramVerifier VerifierOrMock() const;
  Step Send(AuthenticationCode code, std::string_view payload);
  Step Succeed();
  Step WrongPassword();
  Step Refuse(PgError error);

  const Setup setup_;
  const AuthResources resources_;
  State state_ = State::kStart;
  std::string payload_;
  Md5Salt md5_salt_{};
  ScramVerifier verifier_;  // of method password: what the sent password is checked against
  std::unique_ptr<ScramServer> scram_;
  std::string client_final_;  // kept while keys are derived
  std::optional<ScramKeyRequest> key_request_;
  SecretText password_;
  std::optional<ScramPassThrough> pass_through_;
  AuthFailure failure_;
};

}  // namespace trireme
