// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/crypto.h"

#ifndef WOLFSSL_USER_SETTINGS
#include <wolfssl/options.h>
#endif
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/md5.h>
#include <wolfssl/wolfcrypt/pwdbased.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme {
namespace {

// wolfCrypt counts in 32 bits, in places signed. Messages are far below.
word32 Size(Bytes bytes) {
  TRIREME_ASSERT(bytes.size() <= std::numeric_limits<int32_t>::max());
  return static_cast<word32>(bytes.size());
}

// Never a null pointer: some calls refuse one even for no bytes.
const byte* In(Bytes bytes) {
  static constexpr byte kNothing = 0;
  return bytes.empty() ? &kNothing : reinterpret_cast<const byte*>(bytes.data());
}

template <size_t N>
byte* Out(std::array<std::byte, N>& bytes) {
  return reinterpret_cast<byte*>(bytes.data());
}

bool IsBase64Digit(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

// Digits in groups of four, one or two '=' at the very end at most.
bool HasBase64Shape(std::string_view text) {
  if (text.size() % 4 != 0) return false;
  size_t digits = text.size();
  for (int padding = 0; padding < 2 && digits > 0 && text[digits - 1] == '='; ++padding) --digits;
  for (const char c : text.substr(0, digits)) {
    if (!IsBase64Digit(c)) return false;
  }
  return true;
}

class WolfSecretRandom final : public SecretRandom {
 public:
  WolfSecretRandom() = default;
  WolfSecretRandom(const WolfSecretRandom&) = delete;
  WolfSecretRandom& operator=(const WolfSecretRandom&) = delete;
  ~WolfSecretRandom() override {
    SecureZero(stock_);
    if (open_) wc_FreeRng(&generator_);
  }

  Status Open() {
    const int code = wc_InitRng(&generator_);
    if (code != 0) {
      return Unavailable(absl::StrCat("cannot start the random generator (wolfCrypt error ", code,
                                      "); the kernel's getrandom or /dev/urandom must be usable"));
    }
    open_ = true;
    return OkStatus();
  }

  Status Fill(MutableBytes out) override {
    if (out.size() > kFromStockMax) return Generate(out);
    if (out.size() > left_) {
      left_ = 0;
      if (Status status = Generate(stock_); !status.ok()) return status;
      left_ = kStockBytes;
    }
    const MutableBytes taken = MutableBytes(stock_).subspan(kStockBytes - left_, out.size());
    std::copy(taken.begin(), taken.end(), out.begin());
    SecureZero(taken);
    left_ -= out.size();
    return OkStatus();
  }

 private:
  // A generator's work is in its beginning and end: a cancel key or a nonce is taken from a stock.
  // Nobody sees a byte twice, and what was given away is overwritten at once. Who could read what
  // is left could read the generator's state as well.
  static constexpr size_t kStockBytes = 512;
  static constexpr size_t kFromStockMax = 64;

  Status Generate(MutableBytes out) {
    const int code =
        wc_RNG_GenerateBlock(&generator_, reinterpret_cast<byte*>(out.data()), Size(out));
    if (code == 0) return OkStatus();
    SecureZero(out);
    return Unavailable(absl::StrCat("the random generator failed (wolfCrypt error ", code, ")"));
  }

  WC_RNG generator_;
  bool open_ = false;
  std::array<std::byte, kStockBytes> stock_{};
  size_t left_ = 0;  // at its end
};

}  // namespace

Md5Digest Md5(std::initializer_list<Bytes> parts) {
  Md5Digest digest;
  wc_Md5 state;
  TRIREME_ASSERT(wc_InitMd5(&state) == 0);
  for (const Bytes part : parts) TRIREME_ASSERT(wc_Md5Update(&state, In(part), Size(part)) == 0);
  TRIREME_ASSERT(wc_Md5Final(&state, Out(digest)) == 0);
  wc_Md5Free(&state);
  return digest;
}

Digest Sha256(std::initializer_list<Bytes> parts) {
  Digest digest;
  wc_Sha256 state;
  TRIREME_ASSERT(wc_InitSha256(&state) == 0);
  for (const Bytes part : parts) {
    TRIREME_ASSERT(wc_Sha256Update(&state, In(part), Size(part)) == 0);
  }
  TRIREME_ASSERT(wc_Sha256Final(&state, Out(digest)) == 0);
  wc_Sha256Free(&state);
  return digest;
}

Digest HmacSha256(Bytes key, std::initializer_list<Bytes> parts) {
  Digest digest;
  Hmac state;
  TRIREME_ASSERT(wc_HmacInit(&state, nullptr, INVALID_DEVID) == 0);
  TRIREME_ASSERT(wc_HmacSetKey(&state, WC_SHA256, In(key), Size(key)) == 0);
  for (const Bytes part : parts) TRIREME_ASSERT(wc_HmacUpdate(&state, In(part), Size(part)) == 0);
  TRIREME_ASSERT(wc_HmacFinal(&state, Out(digest)) == 0);
  wc_HmacFree(&state);
  return digest;
}

Digest Pbkdf2HmacSha256(const Pbkdf2Input& input) {
  TRIREME_ASSERT(input.iterations >= 1 && input.iterations <= kPbkdf2IterationsMax);
  Digest key;
  const int code = wc_PBKDF2(Out(key), In(input.password), static_cast<int>(Size(input.password)),
                             In(input.salt), static_cast<int>(Size(input.salt)),
                             static_cast<int>(input.iterations), sizeof key, WC_SHA256);
  TRIREME_ASSERT(code == 0);
  return key;
}

std::string Base64Encode(Bytes bytes) {
  if (bytes.empty()) return {};
  word32 size = (Size(bytes) + 2) / 3 * 4 + 1;  // some versions write a terminating zero
  std::string text(size, '\0');
  TRIREME_ASSERT(
      Base64_Encode_NoNl(In(bytes), Size(bytes), reinterpret_cast<byte*>(text.data()), &size) == 0);
  text.resize((bytes.size() + 2) / 3 * 4);
  return text;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.empty()) return std::string();
  if (!HasBase64Shape(text)) return std::nullopt;
  word32 size = Size(AsBytes(text));
  std::string bytes(size, '\0');
  if (Base64_Decode(In(AsBytes(text)), Size(AsBytes(text)), reinterpret_cast<byte*>(bytes.data()),
                    &size) != 0) {
    return std::nullopt;
  }
  bytes.resize(size);
  // wolfCrypt ignores bits beyond the last byte; one value must have one text.
  if (Base64Encode(AsBytes(bytes)) != text) return std::nullopt;
  return bytes;
}

bool ConstantTimeEqual(Bytes left, Bytes right) {
  if (left.size() != right.size()) return false;
  volatile unsigned difference = 0;  // volatile: no early way out for the optimiser to find
  for (size_t i = 0; i < left.size(); ++i) {
    difference = difference | static_cast<unsigned>(left[i] ^ right[i]);
  }
  return difference == 0;
}

void SecureZero(MutableBytes memory) {
  if (!memory.empty()) explicit_bzero(memory.data(), memory.size());
}

void SecureZero(std::string& text) {
  explicit_bzero(text.data(), text.size());
  text.clear();
}

Result<std::unique_ptr<SecretRandom>> OpenSecretRandom() {
  auto random = std::make_unique<WolfSecretRandom>();
  if (Status status = random->Open(); !status.ok()) return status;
  return std::unique_ptr<SecretRandom>(std::move(random));
}

}  // namespace trireme
