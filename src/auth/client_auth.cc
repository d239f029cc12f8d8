// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/client_auth.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "wire/reader.h"

namespace trireme {
namespace {

PgError Fatal(std::string_view code, std::string_view message) {
  return {
      .severity = severity::kFatal, .sqlstate = std::string(code), .message = std::string(message)};
}

// The text of a PasswordMessage: all of the body up to its one zero byte, which is the last.
std::optional<std::string_view> PasswordText(Bytes body) {
  MessageReader reader(body);
  const std::string_view text = reader.String();
  if (!reader.AtEnd()) return std::nullopt;
  return text;
}

// Equal texts, in a time that tells neither where they differ nor how long ours is.
bool SecretsEqual(std::string_view left, std::string_view right) {
  return ConstantTimeEqual(Sha256({AsBytes(left)}), Sha256({AsBytes(right)}));
}

}  // namespace

ClientAuthenticator::ClientAuthenticator(Setup setup, AuthResources resources)
    : setup_(std::move(setup)), resources_(resources) {
  TRIREME_ASSERT(setup_.scram_iterations >= 1 && setup_.scram_iterations <= kScramIterationsMax);
}

ClientAuthenticator::~ClientAuthenticator() {
  if (!pass_through_) return;
  SecureZero(pass_through_->keys.client_key);
  SecureZero(pass_through_->keys.server_key);
}

ClientAuthenticator::Step ClientAuthenticator::Begin() {
  TRIREME_ASSERT(state_ == State::kStart);
  switch (setup_.method) {
    case ClientAuthMethod::kTrust:
      return Succeed();
    case ClientAuthMethod::kReject:
      return Refuse(Fatal(sqlstate::kInvalidAuthorizationSpecification,
                          absl::StrCat("login of user \"", setup_.user,
                                       "\" is rejected by the configuration of the pooler")));
    case ClientAuthMethod::kPassword:
      state_ = State::kAwaitPassword;
      return Send(AuthenticationCode::kCleartextPassword, "");
    case ClientAuthMethod::kMd5:
      // As PostgreSQL: "md5" means "a hash of the password", whichever is stored.
      if (std::holds_alternative<ScramVerifier>(setup_.secret)) return BeginScram();
      return BeginMd5();
    case ClientAuthMethod::kScramSha256:
      return BeginScram();
  }
  TRIREME_UNREACHABLE();
}

ClientAuthenticator::Step ClientAuthenticator::Feed(Bytes body) {
  switch (state_) {
    case State::kAwaitPassword:
    case State::kAwaitMd5: {
      const std::optional<std::string_view> text = PasswordText(body);
      if (!text) {
        return Refuse(Fatal(sqlstate::kProtocolViolation, "invalid password packet size"));
      }
      if (text->empty()) {
        return Refuse(Fatal(sqlstate::kInvalidPassword, "empty password returned by client"));
      }
      return state_ == State::kAwaitMd5 ? FeedMd5(*text) : FeedPassword(*text);
    }
    case State::kAwaitSaslInitial:
      return FeedSaslInitial(body);
    case State::kAwaitClientFirst:
      return FeedClientFirst(AsText(body));
    case State::kAwaitClientFinal:
      return FeedClientFinal(AsText(body));
    case State::kAwaitPasswordKeys:
    case State::kAwaitVerifierKeys:
      return Refuse(Fatal(sqlstate::kProtocolViolation,
                          "unexpected message while the password is being checked"));
    case State::kStart:
    case State::kDone:
      break;
  }
  TRIREME_UNREACHABLE();
}

ClientAuthenticator::Step ClientAuthenticator::ProvideKeys(const ScramKeys& keys) {
  if (state_ == State::kAwaitPasswordKeys) return CheckPasswordKeys(keys);
  TRIREME_ASSERT(state_ == State::kAwaitVerifierKeys);
  resources_.keys.Insert(key_request_->id, keys);
  scram_->ProvideKeys(keys);
  return FinishScram(client_final_);
}

const ScramKeyRequest& ClientAuthenticator::key_request() const {
  TRIREME_ASSERT(key_request_.has_value());
  return *key_request_;
}

// ---- password
// --------------------------------------------------------------------------------------

ClientAuthenticator::Step ClientAuthenticator::FeedPassword(std::string_view password) {
  password_ = SecretText(password);
  if (const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret)) {
    return SecretsEqual(password, plaintext->password.view()) ? Succeed() : WrongPassword();
  }
  if (const auto* stored = std::get_if<Md5Hash>(&setup_.secret)) {
    const Md5Hash hash = HashMd5Password({.user = setup_.user, .password = password});
    return SecretsEqual(hash.view(), stored->view()) ? Succeed() : WrongPassword();
  }
  verifier_ = VerifierOrMock();
  key_request_ = resources_.keys.RequestFor(password_.view(), verifier_.salt, verifier_.iterations);
  if (const ScramKeys* keys = resources_.keys.Find(key_request_->id)) {
    return CheckPasswordKeys(*keys);
  }
  state_ = State::kAwaitPasswordKeys;
  return {.kind = Step::Kind::kNeedKeys};
}

ClientAuthenticator::Step ClientAuthenticator::CheckPasswordKeys(const ScramKeys& keys) {
  const bool proven = ConstantTimeEqual(StoredKeyOf(keys.client_key), verifier_.stored_key);
  if (!proven || !std::holds_alternative<ScramVerifier>(setup_.secret)) return WrongPassword();
  pass_through_ =
      ScramPassThrough{.keys = keys, .iterations = verifier_.iterations, .salt = verifier_.salt};
  resources_.keys.Insert(key_request_->id, keys);
  return Succeed();
}

// ---- md5
// -------------------------------------------------------------------------------------------

ClientAuthenticator::Step ClientAuthenticator::BeginMd5() {
  if (const Status status = resources_.random.Fill(md5_salt_); !status.ok()) {
    return Refuse(Fatal(sqlstate::kInternalError, FromAbsl(status.message())));
  }
  state_ = State::kAwaitMd5;
  return Send(AuthenticationCode::kMd5Password, AsText(md5_salt_));
}

ClientAuthenticator::Step ClientAuthenticator::FeedMd5(std::string_view response) {
  const auto* stored = std::get_if<Md5Hash>(&setup_.secret);
  const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret);
  const std::string_view password = plaintext != nullptr ? plaintext->password.view() : "";
  const Md5Hash hash =
      stored != nullptr ? *stored : HashMd5Password({.user = setup_.user, .password = password});
  const bool proven = SecretsEqual(response, Md5Response(hash, md5_salt_));
  const bool known = stored != nullptr || plaintext != nullptr;
  return proven && known ? Succeed() : WrongPassword();
}

// ---- SCRAM
// -----------------------------------------------------------------------------------------

ClientAuthenticator::Step ClientAuthenticator::BeginScram() {
  state_ = State::kAwaitSaslInitial;
  std::string mechanisms(kScramMechanism);
  mechanisms.append(2, '\0');  // ends the name, ends the list
  return Send(AuthenticationCode::kSasl, mechanisms);
}

// SASLInitialResponse: mechanism, zero byte, length 4 (-1: no data), data.
ClientAuthenticator::Step ClientAuthenticator::FeedSaslInitial(Bytes body) {
  MessageReader reader(body);
  const std::string_view mechanism = reader.String();
  const uint32_t length = reader.Int32();
  if (!reader.ok()) {
    return Refuse(Fatal(sqlstate::kProtocolViolation, "malformed SASL initial response"));
  }
  if (mechanism != kScramMechanism) {
    return Refuse(Fatal(sqlstate::kProtocolViolation,
                        "client selected an invalid SASL authentication mechanism"));
  }
  if (length == UINT32_MAX && reader.AtEnd()) {
    state_ = State::kAwaitClientFirst;  // an empty challenge asks for what was left out
    return Send(AuthenticationCode::kSaslContinue, "");
  }
  if (length != reader.left()) {
    return Refuse(Fatal(sqlstate::kProtocolViolation, "malformed SASL initial response"));
  }
  return FeedClientFirst(AsText(reader.Take(length)));
}

ClientAuthenticator::Step ClientAuthenticator::FeedClientFirst(std::string_view text) {
  Result<std::string> nonce = MakeScramNonce(resources_.random);
  if (!nonce.ok()) {
    return Refuse(Fatal(sqlstate::kInternalError, FromAbsl(nonce.status().message())));
  }
  const bool mock = std::holds_alternative<NoSecret>(setup_.secret) ||
                    std::holds_alternative<Md5Hash>(setup_.secret);
  scram_ = std::make_unique<ScramServer>(
      ScramServer::Setup{.verifier = VerifierOrMock(),
                         .kind = mock ? ScramServer::Kind::kMock : ScramServer::Kind::kReal,
                         .nonce = *std::move(nonce)});
  PgResult<std::string> server_first = scram_->OnClientFirst(text);
  if (PgError* error = std::get_if<PgError>(&server_first)) return Refuse(std::move(*error));
  state_ = State::kAwaitClientFinal;
  return Send(AuthenticationCode::kSaslContinue, std::get<std::string>(server_first));
}

// Only now are keys of a plaintext secret needed; the client waits for our answer anyway.
ClientAuthenticator::Step ClientAuthenticator::FeedClientFinal(std::string_view text) {
  const auto* plaintext = std::get_if<PlaintextSecret>(&setup_.secret);
  if (plaintext == nullptr) return FinishScram(text);
  verifier_.salt = resources_.salts.SaltFor(setup_.user);
  key_request_ = resources_.keys.RequestFor(plaintext->password.view(), verifier_.salt,
                                            setup_.scram_iterations);
  if (const ScramKeys* keys = resources_.keys.Find(key_request_->id)) {
    scram_->ProvideKeys(*keys);
    return FinishScram(text);
  }
  client_final_ = text;
  state_ = State::kAwaitVerifierKeys;
  return {.kind = Step::Kind::kNeedKeys};
}

ClientAuthenticator::Step ClientAuthenticator::FinishScram(std::string_view text) {
  ScramServer::Verdict verdict = scram_->OnClientFinal(text);
  if (PgError* error = std::get_if<PgError>(&verdict)) return Refuse(std::move(*error));
  if (std::holds_alternative<ScramServer::WrongProof>(verdict)) return WrongPassword();
  ScramServer::Success& success = std::get<ScramServer::Success>(verdict);
  if (const auto* stored = std::get_if<ScramVerifier>(&setup_.secret)) {
    pass_through_ = ScramPassThrough{
        .keys = {.client_key = success.client_key, .server_key = stored->server_key},
        .iterations = stored->iterations,
        .salt = stored->salt};
  }
  SecureZero(success.client_key);
  payload_ = std::move(success.server_final);
  Step step = Succeed();
  step.code = AuthenticationCode::kSaslFinal;
  step.payload = AsBytes(payload_);
  return step;
}

// ---- outcomes
// --------------------------------------------------------------------------------------

ScramVerifier ClientAuthenticator::VerifierOrMock() const {
  if (const auto* stored = std::get_if<ScramVerifier>(&setup_.secret)) return *stored;
  return resources_.salts.MockVerifierFor(setup_.user, setup_.scram_iterations);
}

ClientAuthenticator::Step ClientAuthenticator::Send(AuthenticationCode code,
                                                    std::string_view payload) {
  payload_ = payload;
  return {.kind = Step::Kind::kSend, .code = code, .payload = AsBytes(payload_)};
}

ClientAuthenticator::Step ClientAuthenticator::Succeed() {
  state_ = State::kDone;
  return {.kind = Step::Kind::kSucceeded};
}

ClientAuthenticator::Step ClientAuthenticator::WrongPassword() {
  const bool md5_for_scram = std::holds_alternative<Md5Hash>(setup_.secret) && scram_ != nullptr;
  if (std::holds_alternative<NoSecret>(setup_.secret)) {
    failure_.log_detail = absl::StrCat("no secret is known for user \"", setup_.user, "\"");
  } else if (md5_for_scram) {
    failure_.log_detail = absl::StrCat(
        "the secret of user \"", setup_.user,
        "\" is an md5 hash, which cannot serve SCRAM-SHA-256; give the user the method md5, a "
        "plaintext secret or a SCRAM verifier");
  } else {
    failure_.log_detail = absl::StrCat("wrong password for user \"", setup_.user, "\"");
  }
  return Refuse(
      Fatal(sqlstate::kInvalidPassword,
            absl::StrCat("password authentication failed for user \"", setup_.user, "\"")));
}

ClientAuthenticator::Step ClientAuthenticator::Refuse(PgError error) {
  state_ = State::kDone;
  password_ = SecretText();
  failure_.error = std::move(error);
  return {.kind = Step::Kind::kFailed};
}

}  // namespace trireme
