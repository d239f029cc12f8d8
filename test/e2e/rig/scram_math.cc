// SPDX-License-Identifier: GPL-3.0-or-later
#include "scram_math.h"

#ifndef WOLFSSL_USER_SETTINGS
#include <wolfssl/options.h>
#endif
#include <wolfssl/wolfcrypt/md5.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include <cstdint>

namespace trireme::e2e {
namespace {

const byte* Raw(std::string_view bytes) { return reinterpret_cast<const byte*>(bytes.data()); }

void XorInto(std::string& target, std::string_view source) {
  for (size_t i = 0; i < target.size(); ++i) target[i] = static_cast<char>(target[i] ^ source[i]);
}

}  // namespace

std::string Md5(std::string_view bytes) {
  wc_Md5 md5;
  std::string digest(WC_MD5_DIGEST_SIZE, '\0');
  wc_InitMd5(&md5);
  wc_Md5Update(&md5, Raw(bytes), static_cast<word32>(bytes.size()));
  wc_Md5Final(&md5, reinterpret_cast<byte*>(digest.data()));
  return digest;
}

std::string Sha256(std::string_view bytes) {
  wc_Sha256 sha;
  std::string digest(WC_SHA256_DIGEST_SIZE, '\0');
  wc_InitSha256(&sha);
  wc_Sha256Update(&sha, Raw(bytes), static_cast<word32>(bytes.size()));
  wc_Sha256Final(&sha, reinterpret_cast<byte*>(digest.data()));
  return digest;
}

std::string HmacSha256(std::string_view key, std::string_view bytes) {
  std::string block(key.size() > 64 ? Sha256(key) : std::string(key));
  block.resize(64, '\0');
  std::string inner = block;
  std::string outer = block;
  for (char& byte : inner) byte = static_cast<char>(byte ^ 0x36);
  for (char& byte : outer) byte = static_cast<char>(byte ^ 0x5c);
  return Sha256(outer + Sha256(inner + std::string(bytes)));
}

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j)
      text += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, int iterations) {
  std::string round = HmacSha256(password, std::string(salt) + std::string("\0\0\0\1", 4));
  std::string salted = round;
  for (int i = 1; i < iterations; ++i) {
    round = HmacSha256(password, round);
    XorInto(salted, round);
  }
  return {HmacSha256(salted, "Client Key"), HmacSha256(salted, "Server Key")};
}

}  // namespace trireme::e2e
