// SPDX-License-Identifier: GPL-3.0-or-later
//
// What texts do to a session, remembered by their hash: a text that comes again costs a hash and a
// lookup instead of a parse. Least recently used texts make room, by count and by bytes. The texts
// themselves are not kept; the hash is keyed and 128 bits wide, so that no client can make one text
// pass for another.
//
// Owned by one core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "sql/statement_effects.h"
#include "sql/text_hash.h"

namespace trireme {

class EffectsCache {
 public:
  struct Limits {
    size_t texts = 4096;
    size_t bytes = 4 << 20;  // of effects and what holds them, about
  };
  EffectsCache(Limits limits, TextHashKey key) : limits_(limits), key_(key) {}
  EffectsCache(const EffectsCache&) = delete;
  EffectsCache& operator=(const EffectsCache&) = delete;

  // AnalyzeStatements of `text`, remembered or made now. Valid until the next call.
  const SessionEffects& Find(std::string_view text, TextRules rules);

  size_t count() const { return by_hash_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  struct Entry {
    TextHash hash;
    size_t bytes = 0;
    SessionEffects effects;
  };
  using Entries = std::list<Entry>;
  struct LowBits {  // it is a hash already
    size_t operator()(const TextHash& hash) const { return hash.low; }
  };

  void MakeRoom();

  const Limits limits_;
  const TextHashKey key_;
  Entries entries_;  // used last first; never empty once asked
  absl::flat_hash_map<TextHash, Entries::iterator, LowBits> by_hash_;
  size_t bytes_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace trireme
