// SPDX-License-Identifier: GPL-3.0-or-later
//
// Parameter values that clients asked for at login and a server of their pool has accepted, in the
// server's words. The first client with a value waits until a server has tried it; the next ones
// are let in at once. What was refused is not kept: it is refused again, in the server's own words.
//
// An answer may go stale (a role is dropped, a right revoked): it counts for a while only. When the
// limit is reached all answers go, and are found again one question at a time.
//
// Owned by one core.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/time.h"
#include "wire/messages.h"

namespace trireme {

class TriedValues {
 public:
  static constexpr Duration kFreshFor = 300s;
  static constexpr size_t kBytesMax = size_t{1} << 20;

  struct Answer {
    std::string value;         // as the server spells it
    std::string is_superuser;  // reported with it, where the value says who acts; else ""
  };

  // `pool` is PoolSettings::key. nullptr: no server has been asked lately.
  const Answer* Find(std::string_view pool, ParameterView wanted, Time now) const;
  void Note(std::string_view pool, ParameterView wanted, Answer answer, Time now);

  size_t count() const { return answers_.size(); }

 private:
  struct Entry {
    Answer answer;
    Time until{};
  };
  static std::string KeyOf(std::string_view pool, ParameterView wanted);

  absl::flat_hash_map<std::string, Entry> answers_;
  size_t bytes_ = 0;  // of keys and answers
};

}  // namespace trireme
