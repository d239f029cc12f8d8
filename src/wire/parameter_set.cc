// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/parameter_set.h"

#include <algorithm>
#include <random>

namespace trireme {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Of this process alone: clients choose values, and none may find two sets with one hash.
struct HashKey {
  uint64_t point;
  uint64_t mask;
};
uint64_t Random64(std::random_device& random) { return uint64_t{random()} << 32 | random(); }
HashKey MakeHashKey() {
  std::random_device random;  // getrandom, or the processor's
  return {.point = Random64(random) >> 4 | 1, .mask = Random64(random)};
}

// The lower-case name, a separator and the value as a polynomial modulo 2^61 - 1 at a secret point;
// then mixed, so that what two entries share does not cancel out in a sum.
uint64_t HashEntry(std::string_view name, std::string_view value) {
  static const HashKey key = MakeHashKey();
  __extension__ using Wide = unsigned __int128;
  constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
  uint64_t hash = 1;
  const auto mix = [&hash](char c) {
    hash = static_cast<uint64_t>((Wide{hash} * key.point + static_cast<uint8_t>(c) + 1) % kPrime);
  };
  for (char c : name) mix(Lower(c));
  mix('\0');
  for (char c : value) mix(c);
  hash ^= key.mask;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

template <typename Entries>
auto LowerBound(Entries& entries, std::string_view name) {
  return std::lower_bound(entries.begin(), entries.end(), name,
                          [](const auto& entry, std::string_view wanted) {
                            return CompareNames(entry.name, wanted) < 0;
                          });
}

}  // namespace

int CompareNames(std::string_view a, std::string_view b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    const int difference = static_cast<uint8_t>(Lower(a[i])) - static_cast<uint8_t>(Lower(b[i]));
    if (difference != 0) return difference;
  }
  return a.size() == b.size() ? 0 : (a.size() < b.size() ? -1 : 1);
}

bool ParameterSet::Set(std::string_view name, std::string_view value) {
  const auto at = LowerBound(entries_, name);
  if (at != entries_.end() && CompareNames(at->name, name) == 0) {
    if (at->value == value) return false;
    hash_ -= HashEntry(at->name, at->value);
    at->value = value;
  } else {
    entries_.insert(at, Entry{std::string(name), std::string(value)});
  }
  hash_ += HashEntry(name, value);
  return true;
}

bool ParameterSet::Remove(std::string_view name) {
  const auto at = LowerBound(entries_, name);
  if (at == entries_.end() || CompareNames(at->name, name) != 0) return false;
  hash_ -= HashEntry(at->name, at->value);
  entries_.erase(at);
  return true;
}

const std::string* ParameterSet::Find(std::string_view name) const {
  const auto at = LowerBound(entries_, name);
  if (at == entries_.end() || CompareNames(at->name, name) != 0) return nullptr;
  return &at->value;
}

bool operator==(const ParameterSet& a, const ParameterSet& b) {
  if (a.hash_ != b.hash_ || a.entries_.size() != b.entries_.size()) return false;
  for (size_t i = 0; i < a.entries_.size(); ++i) {
    if (CompareNames(a.entries_[i].name, b.entries_[i].name) != 0 ||
        a.entries_[i].value != b.entries_[i].value) {
      return false;
    }
  }
  return true;
}

}  // namespace trireme
