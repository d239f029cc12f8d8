// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/effects_cache.h"

namespace trireme {
namespace {

// What an entry takes, about: its nodes in list and map, its effects, strings that are not inline.
size_t BytesOf(const SessionEffects& effects) {
  constexpr size_t kNodes = 128;
  constexpr size_t kInline = 15;
  const auto text = [](const std::string& s) {
    return s.capacity() > kInline ? s.capacity() + 1 : 0;
  };
  size_t bytes = kNodes + sizeof effects + effects.effects.capacity() * sizeof(Effect);
  for (const Effect& effect : effects.effects) {
    bytes += text(effect.schema) + text(effect.name) + text(effect.value);
    for (const std::string& type : effect.types) bytes += sizeof type + text(type);
  }
  return bytes;
}

}  // namespace

const SessionEffects& EffectsCache::Find(std::string_view text, TextRules rules) {
  // The rules are part of what is asked.
  TextHash hash = HashText(text, key_);
  hash.high ^=
      (rules.standard_conforming_strings ? 1u : 0u) | (rules.encoding_embeds_ascii ? 2u : 0u);
  const auto found = by_hash_.find(hash);
  if (found != by_hash_.end()) {
    ++hits_;
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front().effects;
  }
  ++misses_;
  entries_.push_front({.hash = hash, .effects = AnalyzeStatements(text, rules)});
  Entry& entry = entries_.front();
  entry.bytes = BytesOf(entry.effects);
  by_hash_.emplace(hash, entries_.begin());
  bytes_ += entry.bytes;
  MakeRoom();
  return entry.effects;
}

// The newest stays, whatever its size: the caller is about to read it.
void EffectsCache::MakeRoom() {
  while (entries_.size() > 1 && (entries_.size() > limits_.texts || bytes_ > limits_.bytes)) {
    bytes_ -= entries_.back().bytes;
    by_hash_.erase(entries_.back().hash);
    entries_.pop_back();
  }
}

}  // namespace trireme
