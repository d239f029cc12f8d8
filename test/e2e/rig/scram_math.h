// SPDX-License-Identifier: GPL-3.0-or-later
//
// The arithmetic of PostgreSQL's password methods for the fake server, independent of src/auth.
#pragma once

#include <string>
#include <string_view>

namespace trireme::e2e {

std::string Md5(std::string_view bytes);
std::string Sha256(std::string_view bytes);
std::string HmacSha256(std::string_view key, std::string_view bytes);
std::string Hex(std::string_view bytes);
std::string Base64(std::string_view bytes);

struct ScramKeys {
  std::string client_key;
  std::string server_key;
};
ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, int iterations);

}  // namespace trireme::e2e
