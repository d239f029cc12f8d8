// SPDX-License-Identifier: GPL-3.0-or-later
//
// The cryptography that PostgreSQL logins need, as thin wrappers over wolfCrypt: MD5, SHA-256,
// HMAC, PBKDF2, strict base64, secret randomness, comparison in constant time, memory wiping.
//
// Hashes cannot fail on input: a failure inside wolfCrypt is a broken build or exhausted memory and
// stops the program instead of yielding a weak result. What input can break (base64) and what the
// system can refuse (randomness) says so in its type. All functions are pure; a SecretRandom
// belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace trireme {

using Digest = std::array<std::byte, 32>;  // SHA-256
using Md5Digest = std::array<std::byte, 16>;

// The hash of the parts in a row, without joining them first.
Md5Digest Md5(std::initializer_list<Bytes> parts);
Digest Sha256(std::initializer_list<Bytes> parts);
Digest HmacSha256(Bytes key, std::initializer_list<Bytes> parts);

struct Pbkdf2Input {
  Bytes password;
  Bytes salt;
  uint32_t iterations;  // 1 to kPbkdf2IterationsMax
};
inline constexpr uint32_t kPbkdf2IterationsMax = 10'000'000;

// One block (32 bytes) of PBKDF2-HMAC-SHA-256: about 0.5 ms to 3 ms for 4096 iterations, so never
// on a shard.
Digest Pbkdf2HmacSha256(const Pbkdf2Input& input);

// RFC 4648 section 4, with padding. Decoding takes exactly what encoding makes: no blanks, no line
// breaks, no missing padding, no stray bits; nullopt otherwise.
std::string Base64Encode(Bytes bytes);
std::optional<std::string> Base64Decode(std::string_view text);

// Looks at every byte whatever it finds. Lengths are no secret: unequal lengths are unequal.
bool ConstantTimeEqual(Bytes left, Bytes right);

// Overwrites, in a way the compiler keeps. The string is empty afterwards.
void SecureZero(MutableBytes memory);
void SecureZero(std::string& text);

// Text that is overwritten when it goes: passwords on their way through.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string_view text) : text_(text) {}
  SecretText(const SecretText&) = default;
  SecretText(SecretText&& source) : text_(source.text_) { SecureZero(source.text_); }
  SecretText& operator=(const SecretText& source) {
    if (this == &source) return *this;
    SecureZero(text_);
    text_ = source.text_;
    return *this;
  }
  SecretText& operator=(SecretText&& source) {
    if (this == &source) return *this;
    *this = static_cast<const SecretText&>(source);
    SecureZero(source.text_);
    return *this;
  }
  ~SecretText() { SecureZero(text_); }

  std::string_view view() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

// Bytes nobody can guess: nonces, salts, cancel keys. One object a core. An interface, so that a
// simulated run can repeat exactly (auth/seeded_secret_random.h).
class SecretRandom {
 public:
  virtual ~SecretRandom() = default;
  // On failure the bytes must not be used; the login that needed them fails.
  virtual Status Fill(MutableBytes out) = 0;
};

// The real one: wolfCrypt's DRBG, seeded by the kernel.
Result<std::unique_ptr<SecretRandom>> OpenSecretRandom();

}  // namespace trireme
