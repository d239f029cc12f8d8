// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/server_auth.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/assert.h"
#include "wire/reader.h"

namespace trireme {
namespace {

// Mechanism names, each with its zero byte, and an empty one at the end.
std::optional<std::vector<std::string_view>> ParseMechanisms(Bytes payload) {
  std::vector<std::string_view> mechanisms;
  MessageReader reader(payload);
  while (true) {
    const std::string_view mechanism = reader.String();
    if (!reader.ok()) return std::nullopt;
    if (mechanism.empty()) break;
    mechanisms.push_back(mechanism);
  }
  if (!reader.AtEnd()) return std::nullopt;
  return mechanisms;
}

// The name of a method we never answer.
std::string MethodName(AuthenticationCode code) {
  switch (code) {
    case AuthenticationCode::kKerberosV5:
      return "Kerberos V5";
    case AuthenticationCode::kScmCredential:
      return "SCM credentials";
    case AuthenticationCode::kGss:
    case AuthenticationCode::kGssContinue:
      return "GSSAPI";
    case AuthenticationCode::kSspi:
      return "SSPI";
    case AuthenticationCode::kOk:
    case AuthenticationCode::kCleartextPassword:
    case AuthenticationCode::kMd5Password:
    case AuthenticationCode::kSasl:
    case AuthenticationCode::kSaslContinue:
    case AuthenticationCode::kSaslFinal:
      break;
  }
  return absl::StrCat("authentication request ", static_cast<uint32_t>(code));
}

}  // namespace

ServerAuthenticator::ServerAuthenticator(Setup setup, AuthResources resources)
    : setup_(std::move(setup)), resources_(resources) {}

ServerAuthenticator::~ServerAuthenticator() {
  SecureZero(payload_);
  if (!setup_.pass_through) return;
  SecureZero(setup_.pass_through->keys.client_key);
  SecureZero(setup_.pass_through->keys.server_key);
}

ServerAuthenticator::Step ServerAuthenticator::FeedBody(Bytes body) {
  MessageReader reader(body);
  const uint32_t code = reader.Int32();
  if (!reader.ok()) return BadMessage("it is shorter than its code");
  return Feed(static_cast<AuthenticationCode>(code), reader.Take(reader.left()));
}

ServerAuthenticator::Step ServerAuthenticator::Feed(AuthenticationCode code, Bytes payload) {
  TRIREME_ASSERT(state_ != State::kDone);
  if (state_ == State::kAwaitKeys) return BadMessage("it came before we answered the last one");
  switch (code) {
    case AuthenticationCode::kOk:
      return payload.empty() ? OnOk() : BadMessage("AuthenticationOk carries data");
    case AuthenticationCode::kCleartextPassword:
      return payload.empty() ? OnCleartextPassword()
                             : BadMessage("AuthenticationCleartextPassword carries data");
    case AuthenticationCode::kMd5Password:
      return OnMd5Password(payload);
    case AuthenticationCode::kSasl:
      return OnSasl(payload);
    case AuthenticationCode::kSaslContinue:
      return OnSaslContinue(payload);
    case AuthenticationCode::kSaslFinal:
      return OnSaslFinal(payload);
    case AuthenticationCode::kKerberosV5:
    case AuthenticationCode::kScmCredential:
    case AuthenticationCode::kGss:
    case AuthenticationCode::kGssContinue:
    case AuthenticationCode::kSspi:
      break;
  }
  return Unsupported(MethodName(code));
}

ServerAuthenticator::Step ServerAuthenticator::OnOk() {
  if (state_ == State::kAwaitServerFirst || state_ == State::kAwaitServerFinal) {
    return BadMessage("it accepts the login without having proven that it knows the user's secret");
  }
  state_ = State::kDone;
  return {.kind = Step::Kind::kSucceeded};
}

ServerAuthenticator::Step ServerAuthenticator::OnCleartextPassword() {
  if (state_ != State::kStart) return BadMessage("it asks for a password a second time");
  const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret);
  if (plaintext == nullptr) {
    return CannotAnswer("the cleartext password", "configure the user's plaintext password");
  }
  state_ = State::kAnswered;
  return SendString(plaintext->password.view());
}

ServerAuthenticator::Step ServerAuthenticator::OnMd5Password(Bytes payload) {
  if (state_ != State::kStart) return BadMessage("it asks for a password a second time");
  Md5Salt salt;
  if (payload.size() != salt.size()) return BadMessage("the md5 salt is not 4 bytes long");
  std::copy(payload.begin(), payload.end(), salt.begin());
  const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret);
  const auto* stored = std::get_if<Md5Hash>(&setup_.secret);
  if (plaintext == nullptr && stored == nullptr) {
    return CannotAnswer("an md5 password", "configure the user's plaintext password or md5 hash");
  }
  state_ = State::kAnswered;
  const Md5Hash hash =
      stored != nullptr
          ? *stored
          : HashMd5Password({.user = setup_.user, .password = plaintext->password.view()});
  return SendString(Md5Response(hash, salt));
}

ServerAuthenticator::Step ServerAuthenticator::OnSasl(Bytes payload) {
  if (state_ != State::kStart) return BadMessage("it asks for a password a second time");
  const auto mechanisms = ParseMechanisms(payload);
  if (!mechanisms) return BadMessage("the list of SASL mechanisms is malformed");
  if (std::find(mechanisms->begin(), mechanisms->end(), kScramMechanism) == mechanisms->end()) {
    const std::string names =
        absl::StrJoin(*mechanisms, ", ", [](std::string* out, auto name) { out->append(name); });
    return Unsupported(absl::StrCat("SASL with ", names.empty() ? "no mechanism" : names));
  }
  if (!std::holds_alternative<PlaintextSecret>(setup_.secret) && !setup_.pass_through) {
    return CannotAnswer(
        "SCRAM-SHA-256",
        "configure the user's plaintext password, or the server's own verifier (pg_authid) "
        "and let clients log in with SCRAM, whose keys then serve here");
  }
  Result<std::string> nonce = MakeScramNonce(resources_.random);
  if (!nonce.ok()) {
    return Fail({.severity = severity::kFatal,
                 .sqlstate = sqlstate::kInternalError,
                 .message = std::string(FromAbsl(nonce.status().message()))});
  }
  scram_ = std::make_unique<ScramClient>(ScramClient::Setup{.nonce = *std::move(nonce)});
  const std::string first = scram_->client_first();
  std::string body(kScramMechanism);
  body.append(5, '\0');  // ends the name; room for the length
  StoreBig32(reinterpret_cast<std::byte*>(body.data() + body.size() - 4),
             static_cast<uint32_t>(first.size()));
  body += first;
  state_ = State::kAwaitServerFirst;
  return Send(body);
}

ServerAuthenticator::Step ServerAuthenticator::OnSaslContinue(Bytes payload) {
  if (state_ != State::kAwaitServerFirst) return BadMessage("SASLContinue is out of order");
  PgResult<ScramClient::Challenge> parsed = scram_->OnServerFirst(AsText(payload));
  if (PgError* error = std::get_if<PgError>(&parsed)) return Fail(std::move(*error));
  ScramClient::Challenge& challenge = std::get<ScramClient::Challenge>(parsed);

  const auto& ours = setup_.pass_through;
  if (ours && ours->salt == challenge.salt && ours->iterations == challenge.iterations) {
    return SendClientFinal(ours->keys);
  }
  const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret);
  if (plaintext == nullptr) {
    return CannotAnswer(
        "SCRAM-SHA-256 with another salt or iteration count than the clients' own",
        "configure the server's own verifier (pg_authid) or the plaintext password");
  }
  salt_ = std::move(challenge.salt);
  key_request_ =
      resources_.keys.RequestFor(plaintext->password.view(), salt_, challenge.iterations);
  if (const ScramKeys* keys = resources_.keys.Find(key_request_->id)) return SendClientFinal(*keys);
  state_ = State::kAwaitKeys;
  return {.kind = Step::Kind::kNeedKeys};
}

ServerAuthenticator::Step ServerAuthenticator::ProvideKeys(const ScramKeys& keys) {
  TRIREME_ASSERT(state_ == State::kAwaitKeys);
  resources_.keys.Insert(key_request_->id, keys);
  return SendClientFinal(keys);
}

ServerAuthenticator::Step ServerAuthenticator::OnSaslFinal(Bytes payload) {
  if (state_ != State::kAwaitServerFinal) return BadMessage("SASLFinal is out of order");
  if (std::optional<PgError> error = scram_->OnServerFinal(AsText(payload))) {
    return Fail(*std::move(error));
  }
  state_ = State::kProven;
  return {.kind = Step::Kind::kWait};
}

const ScramKeyRequest& ServerAuthenticator::key_request() const {
  TRIREME_ASSERT(key_request_.has_value());
  return *key_request_;
}

ServerAuthenticator::Step ServerAuthenticator::SendClientFinal(const ScramKeys& keys) {
  state_ = State::kAwaitServerFinal;
  return Send(scram_->ProvideKeys(keys));
}

ServerAuthenticator::Step ServerAuthenticator::Send(std::string_view payload) {
  SecureZero(payload_);
  payload_ = payload;
  return {.kind = Step::Kind::kSend, .payload = AsBytes(payload_)};
}

// PasswordMessage: text and its zero byte.
ServerAuthenticator::Step ServerAuthenticator::SendString(std::string_view text) {
  SecureZero(payload_);
  payload_.reserve(text.size() + 1);  // no copy of the password left behind by growing
  payload_ += text;
  payload_ += '\0';
  return {.kind = Step::Kind::kSend, .payload = AsBytes(payload_)};
}

ServerAuthenticator::Step ServerAuthenticator::Fail(PgError error) {
  state_ = State::kDone;
  failure_.error = std::move(error);
  return {.kind = Step::Kind::kFailed};
}

std::string ServerAuthenticator::Held() const {
  struct Names {
    std::string_view operator()(const NoSecret&) const { return "no secret"; }
    std::string_view operator()(const PlaintextSecret&) const { return "the plaintext password"; }
    std::string_view operator()(const Md5Hash&) const { return "only an md5 hash"; }
    std::string_view operator()(const ScramVerifier&) const { return "only a SCRAM verifier"; }
  };
  return absl::StrCat(ToAbsl(std::visit(Names{}, setup_.secret)), " is known for user \"",
                      setup_.user, "\"");
}

ServerAuthenticator::Step ServerAuthenticator::CannotAnswer(std::string_view asked,
                                                            std::string_view advice) {
  return Fail({.severity = severity::kFatal,
               .sqlstate = sqlstate::kInvalidAuthorizationSpecification,
               .message = absl::StrCat("cannot log in to the server: it asks for ", ToAbsl(asked),
                                       ", but ", Held()),
               .hint = std::string(advice)});
}

ServerAuthenticator::Step ServerAuthenticator::Unsupported(std::string_view method) {
  return Fail(
      {.severity = severity::kFatal,
       .sqlstate = sqlstate::kFeatureNotSupported,
       .message = absl::StrCat("cannot log in to the server as user \"", setup_.user,
                               "\": it asks for ", ToAbsl(method), ", which is not supported"),
       .hint = "let the server's pg_hba.conf ask the pooler for scram-sha-256, md5, "
               "password or trust"});
}

ServerAuthenticator::Step ServerAuthenticator::BadMessage(std::string_view what) {
  return Fail(
      {.severity = severity::kFatal,
       .sqlstate = sqlstate::kProtocolViolation,
       .message = absl::StrCat("authentication message of the server refused: ", ToAbsl(what))});
}

}  // namespace trireme
