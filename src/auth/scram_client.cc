// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_client.h"

#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme {
namespace {

// saslname: "," and "=" are written as =2C and =3D.
std::string EscapeUser(std::string_view user) {
  std::string escaped;
  for (const char c : user) {
    if (c == ',') {
      escaped += "=2C";
    } else if (c == '=') {
      escaped += "=3D";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Digits only, 1 to kScramIterationsMax; 0 otherwise.
uint32_t ParseIterations(std::string_view text) {
  uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value > kScramIterationsMax) return 0;
  return value;
}

// What may be quoted of a server's text in an error: printable, and not much of it.
std::string Printable(std::string_view text) {
  std::string printable;
  for (const char c : text.substr(0, 64)) printable += c >= 0x20 && c <= 0x7e ? c : '?';
  return printable;
}

}  // namespace

ScramClient::ScramClient(Setup setup)
    : client_nonce_(std::move(setup.nonce)),
      client_first_bare_(absl::StrCat("n=", EscapeUser(setup.user), ",r=", client_nonce_)) {
  TRIREME_ASSERT(IsScramNonce(client_nonce_));
}

ScramClient::~ScramClient() { SecureZero(server_key_); }

PgResult<ScramClient::Challenge> ScramClient::OnServerFirst(std::string_view text) {
  if (state_ != State::kAwaitServerFirst) return Fail("it came a second time or out of order");
  PgResult<Challenge> challenge = ParseServerFirst(text);
  if (std::holds_alternative<Challenge>(challenge)) {
    server_first_ = text;
    state_ = State::kAwaitKeys;
  }
  return challenge;
}

PgResult<ScramClient::Challenge> ScramClient::ParseServerFirst(std::string_view text) {
  if (text.size() > kScramMessageBytesMax) return Fail("it is too long");
  ScramAttributes attributes(text);
  if (attributes.Take('m')) return Fail("it demands an extension that is not supported");
  const auto nonce = attributes.Take('r');
  if (!nonce || !IsScramNonce(*nonce)) return Fail("the nonce is missing or malformed");
  if (!nonce->starts_with(client_nonce_) || nonce->size() == client_nonce_.size()) {
    return Fail("its nonce does not continue ours");
  }
  const auto salt = attributes.Take('s');
  if (!salt) return Fail("the salt is missing");
  std::optional<std::string> salt_bytes = Base64Decode(*salt);
  if (!salt_bytes) return Fail("the salt is not base64");
  const auto iterations = attributes.Take('i');
  if (!iterations) return Fail("the iteration count is missing");
  const uint32_t count = ParseIterations(*iterations);
  if (count == 0) {
    return Fail(absl::StrCat("the iteration count ", Printable(*iterations),
                             " is not a number from 1 to ", kScramIterationsMax));
  }
  // RFC 5802 lets optional extensions follow; PostgreSQL sends none and libpq refuses them too.
  if (!attributes.done()) return Fail("there is text after the iteration count");
  full_nonce_ = *nonce;
  return Challenge{.salt = std::move(*salt_bytes), .iterations = count};
}

std::string ScramClient::ProvideKeys(const ScramKeys& keys) {
  TRIREME_ASSERT(state_ == State::kAwaitKeys);
  const std::string without_proof = absl::StrCat("c=biws,r=", full_nonce_);  // biws = base64 "n,,"
  auth_message_ = absl::StrCat(client_first_bare_, ",", server_first_, ",", without_proof);
  server_key_ = keys.server_key;
  const Digest proof =
      ScramClientProof(keys.client_key, StoredKeyOf(keys.client_key), auth_message_);
  state_ = State::kAwaitServerFinal;
  return absl::StrCat(without_proof, ",p=", Base64Encode(proof));
}

std::optional<PgError> ScramClient::OnServerFinal(std::string_view text) {
  if (state_ != State::kAwaitServerFinal) return Fail("it came out of order");
  if (text.size() > kScramMessageBytesMax) return Fail("it is too long");
  ScramAttributes attributes(text);
  if (const auto error = attributes.Take('e')) {
    return Fail(absl::StrCat("the server reports \"", Printable(*error), "\""));
  }
  const auto signature = attributes.Take('v');
  if (!signature || !attributes.done()) return Fail("it is not a server signature");
  const std::optional<std::string> bytes = Base64Decode(*signature);
  if (!bytes || bytes->size() != sizeof(Digest)) return Fail("the signature is not base64");
  if (!ConstantTimeEqual(AsBytes(*bytes), ScramServerSignature(server_key_, auth_message_))) {
    return Fail("the server's signature is wrong: it does not know this user's SCRAM verifier");
  }
  state_ = State::kVerified;
  return std::nullopt;
}

PgError ScramClient::Fail(std::string_view what) {
  state_ = State::kFailed;
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kProtocolViolation,
          .message = absl::StrCat("SCRAM message of the server refused: ", ToAbsl(what))};
}

}  // namespace trireme
