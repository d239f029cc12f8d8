// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_server.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme {
namespace {

PgError ProtocolError(std::string_view message, std::string_view detail) {
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kProtocolViolation,
          .message = std::string(message),
          .detail = std::string(detail)};
}

}  // namespace

ScramServer::ScramServer(Setup setup)
    : verifier_(std::move(setup.verifier)),
      kind_(setup.kind),
      server_nonce_(std::move(setup.nonce)) {
  TRIREME_ASSERT(IsScramNonce(server_nonce_));
  TRIREME_ASSERT(verifier_.iterations >= 1);
}

ScramServer::~ScramServer() {
  SecureZero(verifier_.stored_key);
  SecureZero(verifier_.server_key);
}

PgResult<std::string> ScramServer::OnClientFirst(std::string_view text) {
  TRIREME_ASSERT(state_ == State::kAwaitClientFirst);
  state_ = State::kDone;
  if (text.size() > kScramMessageBytesMax) return Malformed("The message is too long.");
  const std::string_view whole = text;
  if (std::optional<PgError> error = ReadGs2Header(text)) return *std::move(error);
  gs2_header_ = whole.substr(0, whole.size() - text.size());
  client_first_bare_ = text;

  ScramAttributes attributes(text);
  if (attributes.Take('m')) {
    return ProtocolError("client requires an unsupported SCRAM extension", "");
  }
  if (!attributes.Take('n')) return Malformed("The user name attribute is missing.");
  const auto nonce = attributes.Take('r');
  if (!nonce || !IsScramNonce(*nonce)) return Malformed("The nonce is missing or not printable.");
  while (!attributes.done()) {  // optional extensions are passed over, as PostgreSQL does
    if (!attributes.TakeAny()) return Malformed("An attribute is malformed.");
  }
  full_nonce_ = absl::StrCat(ToAbsl(*nonce), server_nonce_);
  server_first_ = absl::StrCat("r=", full_nonce_, ",s=", Base64Encode(AsBytes(verifier_.salt)),
                               ",i=", verifier_.iterations);
  state_ = State::kAwaitClientFinal;
  return server_first_;
}

// gs2-header: channel binding flag, "," , authorization identity, ",". `text` moves behind it.
std::optional<PgError> ScramServer::ReadGs2Header(std::string_view& text) {
  if (text.starts_with("p=")) {
    return ProtocolError("channel binding is not supported on this connection",
                         "The client selected SCRAM-SHA-256 with channel binding.");
  }
  // 'y': the client could bind but believes we cannot, which is true.
  if (!text.starts_with("n,") && !text.starts_with("y,")) {
    return Malformed("The channel-binding flag is not one of n, y and p.");
  }
  text.remove_prefix(2);
  if (text.starts_with("a=")) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kFeatureNotSupported,
                   .message = "client uses authorization identity, but it is not supported"};
  }
  if (!text.starts_with(","))
    return Malformed("A comma is missing after the channel-binding flag.");
  text.remove_prefix(1);
  return std::nullopt;
}

void ScramServer::ProvideKeys(const ScramKeys& keys) {
  TRIREME_ASSERT(state_ != State::kDone);
  verifier_.stored_key = StoredKeyOf(keys.client_key);
  verifier_.server_key = keys.server_key;
}

ScramServer::Verdict ScramServer::OnClientFinal(std::string_view text) {
  TRIREME_ASSERT(state_ == State::kAwaitClientFinal);
  state_ = State::kDone;
  const PgResult<ClientFinal> parsed = ParseClientFinal(text);
  if (const PgError* error = std::get_if<PgError>(&parsed)) return *error;
  const ClientFinal& message = std::get<ClientFinal>(parsed);

  const std::string auth_message =
      absl::StrCat(client_first_bare_, ",", server_first_, ",", ToAbsl(message.without_proof));
  Digest client_key = ScramClientProof(message.proof, verifier_.stored_key, auth_message);
  const bool proven = ConstantTimeEqual(StoredKeyOf(client_key), verifier_.stored_key);
  // Computed in every case: a failure takes as long as a success.
  const Digest signature = ScramServerSignature(verifier_.server_key, auth_message);
  if (!proven || kind_ == Kind::kMock) {
    SecureZero(client_key);
    return WrongProof{};
  }
  return Success{.server_final = absl::StrCat("v=", Base64Encode(signature)),
                 .client_key = client_key};
}

PgResult<ScramServer::ClientFinal> ScramServer::ParseClientFinal(std::string_view text) {
  if (text.size() > kScramMessageBytesMax) return Malformed("The message is too long.");
  ScramAttributes attributes(text);
  const auto binding = attributes.Take('c');
  if (!binding) return Malformed("The channel-binding attribute is missing.");
  if (*binding != Base64Encode(AsBytes(gs2_header_))) {  // biws or eSws
    return ProtocolError("unexpected SCRAM channel-binding attribute in client-final-message", "");
  }
  const auto nonce = attributes.Take('r');
  if (!nonce) return Malformed("The nonce is missing.");
  if (*nonce != full_nonce_)
    return ProtocolError("invalid SCRAM response", "Nonce does not match.");
  while (true) {
    const std::string_view before = attributes.rest();
    const std::optional<ScramAttribute> attribute = attributes.TakeAny();
    if (!attribute) return Malformed("The proof is missing or an attribute is malformed.");
    if (attribute->name != 'p') continue;  // an optional extension
    if (!attributes.done()) return Malformed("Garbage found at the end of client-final-message.");
    const std::optional<std::string> proof = Base64Decode(attribute->value);
    if (!proof || proof->size() != sizeof(Digest)) return Malformed("The proof is malformed.");
    ClientFinal message;
    message.without_proof = text.substr(0, text.size() - before.size() - 1);  // and its comma
    std::memcpy(message.proof.data(), proof->data(), message.proof.size());
    return message;
  }
}

PgError ScramServer::Malformed(std::string_view detail) {
  return ProtocolError("malformed SCRAM message", detail);
}

}  // namespace trireme
