// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/known_startups.h"

#include <utility>

namespace trireme {
namespace {

// What one takes, roughly.
size_t BytesOf(const KnownStartup& startup) {
  return sizeof(KnownStartup) + 2 * startup.packet.size() + startup.told.size();
}

}  // namespace

KnownStartups::Ref KnownStartups::Find(Bytes packet) const {
  if (packet.size() > kPacketBytesMax) return nullptr;
  const std::string_view text = AsText(packet);
  const auto found = startups_.find(absl::string_view(text.data(), text.size()));
  return found != startups_.end() ? *found : nullptr;
}

void KnownStartups::Note(KnownStartup startup) {
  if (startup.packet.size() > kPacketBytesMax) return;
  if (const auto known = startups_.find(absl::string_view(startup.packet));
      known != startups_.end()) {
    bytes_ -= BytesOf(**known);
    startups_.erase(known);
  }
  const size_t bytes = BytesOf(startup);
  if (bytes_ + bytes > kBytesMax) {
    startups_.clear();
    bytes_ = 0;
  }
  bytes_ += bytes;
  startups_.insert(std::make_shared<const KnownStartup>(std::move(startup)));
}

}  // namespace trireme
