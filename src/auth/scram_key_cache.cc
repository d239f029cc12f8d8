// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/scram_key_cache.h"

#include <cstring>

#include "base/assert.h"

namespace trireme {
namespace {

void Wipe(ScramKeys& keys) {
  SecureZero(keys.client_key);
  SecureZero(keys.server_key);
}

}  // namespace

size_t ScramKeyCache::HashId::operator()(const ScramKeyId& id) const {
  size_t hash;  // an id is an HMAC: any of its bytes spread evenly
  std::memcpy(&hash, id.data(), sizeof hash);
  return hash;
}

ScramKeyCache::ScramKeyCache(size_t entries_max, const Digest& id_key)
    : entries_max_(entries_max), id_key_(id_key) {
  TRIREME_ASSERT(entries_max > 0);
}

ScramKeyCache::~ScramKeyCache() {
  for (Entry& entry : entries_) Wipe(entry.keys);
  SecureZero(id_key_);
}

ScramKeyRequest ScramKeyCache::RequestFor(std::string_view password, std::string_view salt,
                                          uint32_t iterations) const {
  // Fixed-size prefix, so that no two (password, salt) pairs join to the same bytes.
  std::array<std::byte, 8> prefix;
  StoreBig32(prefix.data(), iterations);
  StoreBig32(prefix.data() + 4, static_cast<uint32_t>(password.size()));
  return {.id = HmacSha256(id_key_, {prefix, AsBytes(password), AsBytes(salt)}),
          .password = password,
          .salt = salt,
          .iterations = iterations};
}

const ScramKeys* ScramKeyCache::Find(const ScramKeyId& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &found->second->keys;
}

void ScramKeyCache::Insert(const ScramKeyId& id, const ScramKeys& keys) {
  if (Find(id) != nullptr) return;  // two logins asked at once; the answer is the same
  if (entries_.size() == entries_max_) DropOldest();
  entries_.push_front({.id = id, .keys = keys});
  by_id_.emplace(id, entries_.begin());
  TRIREME_ASSERT(entries_.size() == by_id_.size());
}

void ScramKeyCache::DropOldest() {
  Entry& oldest = entries_.back();
  by_id_.erase(oldest.id);
  Wipe(oldest.keys);
  entries_.pop_back();
}

}  // namespace trireme
