// SPDX-License-Identifier: GPL-3.0-or-later
//
// PostgreSQL's md5 authentication. What is stored and what is sent (protocol chapter,
// AuthenticationMD5Password):
//
//   stored    "md5" + hex(md5(password + user))
//   response  "md5" + hex(md5(hex(md5(password + user)) + salt))
//
// The stored hash is as good as the password for this method: it is a secret. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace trireme {

using Md5Salt = std::array<std::byte, 4>;

struct Md5Credential {
  std::string_view user;
  std::string_view password;
};

// A stored md5 secret: 32 lower-case hex digits, without the leading "md5".
struct Md5Hash {
  std::array<char, 32> digits;

  std::string_view view() const { return {digits.data(), digits.size()}; }
  bool operator==(const Md5Hash&) const = default;
};

Md5Hash HashMd5Password(const Md5Credential& credential);

// What the client sends for this hash and the server's salt (35 characters, no terminating zero).
std::string Md5Response(const Md5Hash& hash, const Md5Salt& salt);

}  // namespace trireme
