// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_text.h"

#include <algorithm>

namespace trireme {

std::optional<ScramAttribute> ScramAttributes::Peek() const {
  if (rest_.size() < 2 || rest_[1] != '=') return std::nullopt;
  const char name = rest_[0];
  if (!((name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z'))) return std::nullopt;
  return ScramAttribute{.name = name, .value = rest_.substr(2, rest_.find(',') - 2)};
}

std::optional<std::string_view> ScramAttributes::Take(char name) {
  const std::optional<ScramAttribute> next = Peek();
  if (!next || next->name != name) return std::nullopt;
  return TakeAny()->value;
}

std::optional<ScramAttribute> ScramAttributes::TakeAny() {
  const std::optional<ScramAttribute> next = Peek();
  if (!next) return std::nullopt;
  rest_.remove_prefix(2 + next->value.size());
  more_ = !rest_.empty();
  if (more_) rest_.remove_prefix(1);  // the comma; another attribute must follow it
  return next;
}

bool IsScramNonce(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

Result<std::string> MakeScramNonce(SecretRandom& random) {
  std::array<std::byte, 18> raw;
  if (Status status = random.Fill(raw); !status.ok()) return status;
  return Base64Encode(raw);
}

}  // namespace trireme
