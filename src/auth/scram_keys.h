// SPDX-License-Identifier: GPL-3.0-or-later
//
// The keys of SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677) and what is made of them:
//
//   SaltedPassword = PBKDF2(SASLprep(password), salt, iterations)      slow: a side thread
//   ClientKey      = HMAC(SaltedPassword, "Client Key")                proves the client
//   StoredKey      = SHA-256(ClientKey)                                checks that proof
//   ServerKey      = HMAC(SaltedPassword, "Server Key")                proves the server
//
// A verifier {iterations, salt, StoredKey, ServerKey} is what pg_authid stores. Who has ClientKey
// and ServerKey can log in without the password, wherever salt and iterations are the same: that is
// pass-through. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "auth/crypto.h"

namespace trireme {

// PostgreSQL uses 4096 unless told otherwise. The upper bound keeps a peer from choosing how long
// our side threads compute: at this bound a derivation takes seconds.
inline constexpr uint32_t kScramIterationsDefault = 4096;
inline constexpr uint32_t kScramIterationsMax = kPbkdf2IterationsMax;

struct ScramKeys {
  Digest client_key;
  Digest server_key;

  bool operator==(const ScramKeys&) const = default;
};
static_assert(std::is_trivially_copyable_v<ScramKeys>, "travels in mail");

struct ScramVerifier {
  uint32_t iterations = 0;
  std::string salt;  // raw bytes, any length
  Digest stored_key{};
  Digest server_key{};

  bool operator==(const ScramVerifier&) const = default;
};

// Keys recovered from a client's own login, and for which salt and iterations they hold.
struct ScramPassThrough {
  ScramKeys keys{};
  uint32_t iterations = 0;
  std::string salt;

  bool operator==(const ScramPassThrough&) const = default;
};

// Identifies (password, salt, iterations) within one ScramKeyCache; says nothing about them
// outside.
using ScramKeyId = Digest;

// "Derive these, off the shard, and call ProvideKeys." Views live in the machine that asks, until
// it is fed again or destroyed: copy them into a ScramKeyJob. Requests with one id have one answer.
struct ScramKeyRequest {
  ScramKeyId id;
  std::string_view password;
  std::string_view salt;
  uint32_t iterations;
};

ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, uint32_t iterations);

// A request that owns its inputs and can cross to a side thread.
class ScramKeyJob {
 public:
  explicit ScramKeyJob(const ScramKeyRequest& request)
      : id_(request.id),
        password_(request.password),
        salt_(request.salt),
        iterations_(request.iterations) {}

  const ScramKeyId& id() const { return id_; }
  ScramKeys Run() const { return DeriveScramKeys(password_.view(), salt_, iterations_); }

 private:
  ScramKeyId id_;
  SecretText password_;
  std::string salt_;
  uint32_t iterations_;
};

Digest StoredKeyOf(const Digest& client_key);

// ClientProof = ClientKey xor HMAC(StoredKey, AuthMessage); the same call with a proof in the place
// of the key gives the key back.
Digest ScramClientProof(const Digest& client_key, const Digest& stored_key,
                        std::string_view auth_message);
Digest ScramServerSignature(const Digest& server_key, std::string_view auth_message);

// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", as in pg_authid.
std::string FormatScramVerifier(const ScramVerifier& verifier);

// Salts and keys for users that have none of their own, derived from one secret of the process: the
// same user gets the same salt on every attempt and on every core, as a stored verifier would.
// The secret should outlive a restart where the configuration can keep it; else the salts of such
// users change with each start, which a patient observer can tell from a stored one.
class SaltSecret {
 public:
  explicit SaltSecret(const Digest& secret) : secret_(secret) {}
  static Result<SaltSecret> Make(SecretRandom& random);

  // 16 bytes, as PostgreSQL's own salts.
  std::string SaltFor(std::string_view user) const;
  // Looks like a verifier; no password is known to satisfy it.
  ScramVerifier MockVerifierFor(std::string_view user, uint32_t iterations) const;

 private:
  Digest Derive(std::string_view purpose, std::string_view user) const;

  Digest secret_;
};

}  // namespace trireme
