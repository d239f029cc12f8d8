// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/md5.h"

#include "auth/crypto.h"

namespace trireme {
namespace {

Md5Hash Hex(const Md5Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  Md5Hash hex;
  for (size_t i = 0; i < digest.size(); ++i) {
    const auto value = static_cast<unsigned>(digest[i]);
    hex.digits[2 * i] = kDigits[value >> 4];
    hex.digits[2 * i + 1] = kDigits[value & 15];
  }
  return hex;
}

}  // namespace

Md5Hash HashMd5Password(const Md5Credential& credential) {
  return Hex(Md5({AsBytes(credential.password), AsBytes(credential.user)}));
}

std::string Md5Response(const Md5Hash& hash, const Md5Salt& salt) {
  std::string response = "md5";
  response += Hex(Md5({AsBytes(hash.view()), salt})).view();
  return response;
}

}  // namespace trireme
