// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/known_startups.h"

#include <utility>

#include "absl/strings/string_view.h"

namespace trireme {
namespace {

absl::string_view Key(std::string_view packet) { return {packet.data(), packet.size()}; }

// What one takes, roughly.
size_t BytesOf(std::string_view packet, const KnownStartup& startup) {
  return sizeof(KnownStartup) + packet.size() + startup.told.size();
}

}  // namespace

const KnownStartup* KnownStartups::Find(std::string_view packet) const {
  if (last_ != nullptr && last_->first == packet) return &last_->second;
  if (packet.size() > kPacketBytesMax) return nullptr;
  const auto found = startups_.find(Key(packet));
  if (found == startups_.end()) return nullptr;
  last_ = &*found;
  return &found->second;
}

void KnownStartups::Note(std::string_view packet, KnownStartup startup) {
  if (packet.size() > kPacketBytesMax) return;
  last_ = nullptr;
  if (const auto known = startups_.find(Key(packet)); known != startups_.end()) {
    bytes_ -= BytesOf(packet, known->second);
    startups_.erase(known);
  }
  const size_t bytes = BytesOf(packet, startup);
  if (bytes_ + bytes > kBytesMax) {
    startups_.clear();
    bytes_ = 0;
  }
  bytes_ += bytes;
  startups_.emplace(packet, std::move(startup));
}

}  // namespace trireme
