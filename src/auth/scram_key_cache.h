// SPDX-License-Identifier: GPL-3.0-or-later
//
// Derived SCRAM keys of one core, least recently used first out, so that a password that logs in a
// thousand times is derived once. Owned and used by one core.
//
// Holds no password: an entry is found by an HMAC over (password, salt, iterations) under a key
// that never leaves this object. The keys themselves are secrets and are overwritten when they go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>
#include <unordered_map>

#include "auth/scram_keys.h"

namespace trireme {

class ScramKeyCache {
 public:
  // entries_max > 0; about 200 bytes each. `id_key` is random.
  ScramKeyCache(size_t entries_max, const Digest& id_key);
  ScramKeyCache(const ScramKeyCache&) = delete;
  ScramKeyCache& operator=(const ScramKeyCache&) = delete;
  ~ScramKeyCache();

  // The request of these inputs; `password` and `salt` are kept as views.
  ScramKeyRequest RequestFor(std::string_view password, std::string_view salt,
                             uint32_t iterations) const;

  // nullptr when not known. Valid until the next Insert.
  const ScramKeys* Find(const ScramKeyId& id);
  // Only keys of passwords that are ours or were proven right: guesses of strangers must not push
  // out what is in use.
  void Insert(const ScramKeyId& id, const ScramKeys& keys);
  size_t count() const { return entries_.size(); }

 private:
  struct Entry {
    ScramKeyId id;
    ScramKeys keys;
  };
  struct HashId {
    size_t operator()(const ScramKeyId& id) const;
  };

  void DropOldest();

  const size_t entries_max_;
  Digest id_key_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<ScramKeyId, std::list<Entry>::iterator, HashId> by_id_;
};

}  // namespace trireme
