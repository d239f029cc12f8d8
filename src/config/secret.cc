// SPDX-License-Identifier: GPL-3.0-or-later
//
// A malformed hash is refused instead of taken as a password: nobody would ever log in with it, and
// finding out why would take an hour.
#include "config/secret.h"

#include <charconv>
#include <optional>

#include "absl/strings/escaping.h"

namespace trireme {
namespace {

constexpr std::string_view kMd5Prefix = "md5";
constexpr std::string_view kScramPrefix = "SCRAM-SHA-256$";
constexpr size_t kMd5HexDigits = 32;
constexpr size_t kSha256Bytes = 32;
constexpr uint32_t kIterationsMax = 10'000'000;  // a login must end

bool IsMd5Hash(std::string_view digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  return digits.size() == kMd5HexDigits && digits.find_first_not_of(kHex) == digits.npos;
}

// Bytes that base64 text stands for; nothing when it is not exactly what encoding makes of them, as
// the login demands: no other padding, no stray bits.
std::optional<size_t> Base64Bytes(std::string_view text) {
  std::string bytes;
  if (!absl::Base64Unescape(ToAbsl(text), &bytes)) return std::nullopt;
  if (FromAbsl(absl::Base64Escape(ToAbsl(bytes))) != text) return std::nullopt;
  return bytes.size();
}

// Digits only: no sign, no blanks; 0 when it is no number from 1 to kIterationsMax.
uint32_t ParseIterations(std::string_view text) {
  uint32_t count = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
  return whole && count <= kIterationsMax ? count : 0;
}

// Takes `text` up to `separator` off its front; all of it when there is none.
std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view front = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + 1);
  return front;
}

// "<iterations>:<salt>$<StoredKey>:<ServerKey>", or what is wrong with it.
std::string_view ScramFault(std::string_view text) {
  const std::string_view iterations = TakeUntil(text, ':');
  const std::string_view salt = TakeUntil(text, '$');
  const std::string_view stored_key = TakeUntil(text, ':');
  if (ParseIterations(iterations) == 0) {
    return "its iteration count is not a number from 1 to 10000000";
  }
  if (Base64Bytes(salt).value_or(0) == 0) return "its salt is not base64";
  if (Base64Bytes(stored_key) != kSha256Bytes) return "its StoredKey is not 32 bytes in base64";
  if (Base64Bytes(text) != kSha256Bytes) return "its ServerKey is not 32 bytes in base64";
  return "";
}

}  // namespace

Result<Secret> ParseSecret(std::string_view text) {
  if (text.empty()) return InvalidArgument("an empty secret; leave it out when there is none");
  if (text.find('\0') != text.npos) return InvalidArgument("a secret with a NUL byte");
  if (text.starts_with(kMd5Prefix)) {
    if (!IsMd5Hash(text.substr(kMd5Prefix.size()))) {
      return InvalidArgument(
          "a malformed md5 secret: \"md5\" must be followed by 32 lower-case hex digits "
          "(a password in plain text cannot begin with \"md5\")");
    }
    return Secret{.kind = Secret::Kind::kMd5, .text = std::string(text)};
  }
  if (text.starts_with(kScramPrefix)) {
    const std::string_view fault = ScramFault(text.substr(kScramPrefix.size()));
    if (!fault.empty()) {
      return InvalidArgument(std::string("a malformed SCRAM secret: ") + std::string(fault) +
                             "; the form is SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:"
                             "<ServerKey>, as in pg_authid");
    }
    return Secret{.kind = Secret::Kind::kScram, .text = std::string(text)};
  }
  return Secret{.kind = Secret::Kind::kPlaintext, .text = std::string(text)};
}

}  // namespace trireme
