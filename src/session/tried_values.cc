// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/tried_values.h"

#include <utility>

#include "wire/command.h"

namespace trireme {

// Neither names nor values have a zero byte inside.
std::string TriedValues::KeyOf(std::string_view pool, ParameterView wanted) {
  std::string key = AsciiLower(wanted.name);
  key += '\0';
  key += wanted.value;
  key += '\0';
  key += pool;
  return key;
}

const TriedValues::Answer* TriedValues::Find(std::string_view pool, ParameterView wanted,
                                             Time now) const {
  const auto found = answers_.find(KeyOf(pool, wanted));
  if (found == answers_.end() || found->second.until <= now) return nullptr;
  return &found->second.answer;
}

void TriedValues::Note(std::string_view pool, ParameterView wanted, Answer answer, Time now) {
  if (bytes_ > kBytesMax) {
    answers_.clear();
    bytes_ = 0;
  }
  std::string key = KeyOf(pool, wanted);
  const size_t bytes = key.size() + answer.value.size();
  const auto [at, added] = answers_.try_emplace(std::move(key));
  if (added) bytes_ += bytes;
  at->second = {.answer = std::move(answer), .until = now + kFreshFor};
}

}  // namespace trireme
