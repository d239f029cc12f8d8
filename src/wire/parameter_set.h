// SPDX-License-Identifier: GPL-3.0-or-later
//
// Session parameters by name: what a client wants, or what a backend has. Names compare without
// case (they are GUC names), values exactly. A keyed 64-bit hash makes "nothing to change" one
// comparison.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class ParameterSet {
 public:
  struct Entry {
    std::string name;  // as first written
    std::string value;
  };

  // Adds or replaces; true when that changed something.
  bool Set(std::string_view name, std::string_view value);
  bool Remove(std::string_view name);
  // nullptr when absent.
  const std::string* Find(std::string_view name) const;
  const std::vector<Entry>& entries() const { return entries_; }  // sorted by name, without case
  bool empty() const { return entries_.empty(); }
  // Of all names (lower case) and values; equal sets have equal hashes.
  uint64_t hash() const { return hash_; }
  friend bool operator==(const ParameterSet& a, const ParameterSet& b);

 private:
  std::vector<Entry> entries_;
  uint64_t hash_ = 0;  // sum of the entries' hashes: order-free, updated in place
};

// Case-insensitive comparison of GUC names, ASCII as in PostgreSQL: <0, 0, >0.
int CompareNames(std::string_view a, std::string_view b);

}  // namespace trireme
