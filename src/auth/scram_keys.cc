// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_keys.h"

#include "absl/strings/str_cat.h"
#include "auth/saslprep.h"

namespace trireme {

ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, uint32_t iterations) {
  const SecretText prepared = Saslprep(password);
  Digest salted = Pbkdf2HmacSha256(
      {.password = AsBytes(prepared.view()), .salt = AsBytes(salt), .iterations = iterations});
  const ScramKeys keys{.client_key = HmacSha256(salted, {AsBytes("Client Key")}),
                       .server_key = HmacSha256(salted, {AsBytes("Server Key")})};
  SecureZero(salted);
  return keys;
}

Digest StoredKeyOf(const Digest& client_key) { return Sha256({client_key}); }

Digest ScramClientProof(const Digest& client_key, const Digest& stored_key,
                        std::string_view auth_message) {
  Digest proof = HmacSha256(stored_key, {AsBytes(auth_message)});
  for (size_t i = 0; i < proof.size(); ++i) proof[i] ^= client_key[i];
  return proof;
}

Digest ScramServerSignature(const Digest& server_key, std::string_view auth_message) {
  return HmacSha256(server_key, {AsBytes(auth_message)});
}

std::string FormatScramVerifier(const ScramVerifier& verifier) {
  return absl::StrCat("SCRAM-SHA-256$", verifier.iterations, ":",
                      Base64Encode(AsBytes(verifier.salt)), "$", Base64Encode(verifier.stored_key),
                      ":", Base64Encode(verifier.server_key));
}

Result<SaltSecret> SaltSecret::Make(SecretRandom& random) {
  Digest secret;
  if (Status status = random.Fill(secret); !status.ok()) return status;
  return SaltSecret(secret);
}

std::string SaltSecret::SaltFor(std::string_view user) const {
  const Digest derived = Derive("salt", user);
  return std::string(AsText(Bytes(derived).first(16)));
}

ScramVerifier SaltSecret::MockVerifierFor(std::string_view user, uint32_t iterations) const {
  return {.iterations = iterations,
          .salt = SaltFor(user),
          .stored_key = Derive("stored key", user),
          .server_key = Derive("server key", user)};
}

Digest SaltSecret::Derive(std::string_view purpose, std::string_view user) const {
  static constexpr std::byte kSeparator[1] = {};
  return HmacSha256(secret_, {AsBytes(purpose), kSeparator, AsBytes(user)});
}

}  // namespace trireme
