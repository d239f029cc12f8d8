// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/stored_secret.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"

namespace trireme {
namespace {

constexpr std::string_view kScramPrefix = "SCRAM-SHA-256$";
constexpr std::string_view kMd5Prefix = "md5";

Status BadVerifier(std::string_view what) {
  return InvalidArgument(absl::StrCat(
      "malformed SCRAM verifier: ", ToAbsl(what),
      "; expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, as in pg_authid"));
}

// The text before `separator`, which is then cut off; nullopt without one.
std::optional<std::string_view> TakeUpTo(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end + 1);
  return taken;
}

std::optional<Digest> DecodeKey(std::string_view text) {
  std::optional<std::string> bytes = Base64Decode(text);
  Digest key;
  if (!bytes || bytes->size() != key.size()) return std::nullopt;
  std::memcpy(key.data(), bytes->data(), key.size());
  SecureZero(*bytes);
  return key;
}

std::optional<Md5Hash> ParseMd5Hash(std::string_view text) {
  Md5Hash hash;
  if (!text.starts_with(kMd5Prefix)) return std::nullopt;
  text.remove_prefix(kMd5Prefix.size());
  if (text.size() != hash.digits.size()) return std::nullopt;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!std::all_of(text.begin(), text.end(), is_hex)) return std::nullopt;
  std::copy(text.begin(), text.end(), hash.digits.begin());
  return hash;
}

}  // namespace

Result<ScramVerifier> ParseScramVerifier(std::string_view text) {
  if (!text.starts_with(kScramPrefix)) return BadVerifier("it does not start with SCRAM-SHA-256$");
  text.remove_prefix(kScramPrefix.size());
  const auto iterations = TakeUpTo(text, ':');
  const auto salt = TakeUpTo(text, '$');
  const auto stored_key = TakeUpTo(text, ':');
  if (!iterations || !salt || !stored_key) return BadVerifier("a part is missing");

  ScramVerifier verifier;
  const char* const end = iterations->data() + iterations->size();
  const auto parsed = std::from_chars(iterations->data(), end, verifier.iterations);
  if (parsed.ec != std::errc() || parsed.ptr != end || verifier.iterations < 1 ||
      verifier.iterations > kScramIterationsMax) {
    return BadVerifier(
        absl::StrCat("the iteration count is not a number from 1 to ", kScramIterationsMax));
  }
  std::optional<std::string> salt_bytes = Base64Decode(*salt);
  if (!salt_bytes || salt_bytes->empty()) return BadVerifier("the salt is not base64");
  verifier.salt = std::move(*salt_bytes);
  const std::optional<Digest> stored = DecodeKey(*stored_key);
  if (!stored) return BadVerifier("StoredKey is not the base64 of 32 bytes");
  const std::optional<Digest> server = DecodeKey(text);
  if (!server) return BadVerifier("ServerKey is not the base64 of 32 bytes");
  verifier.stored_key = *stored;
  verifier.server_key = *server;
  return verifier;
}

Result<StoredSecret> ParseStoredSecret(std::string_view text) {
  if (text.empty()) return StoredSecret(NoSecret{});
  if (const auto hash = ParseMd5Hash(text)) return StoredSecret(*hash);
  if (text.starts_with(kScramPrefix)) {
    Result<ScramVerifier> verifier = ParseScramVerifier(text);
    if (!verifier.ok()) return verifier.status();
    return StoredSecret(*std::move(verifier));
  }
  return StoredSecret(PlaintextSecret{SecretText(text)});
}

}  // namespace trireme
