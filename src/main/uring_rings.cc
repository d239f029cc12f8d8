// SPDX-License-Identifier: GPL-3.0-or-later
#include "main/uring_rings.h"

namespace trireme {

Result<std::unique_ptr<UringRings>> UringRings::Make(const LimitsConfig& limits,
                                                     uint32_t core_count) {
  auto made = std::make_unique<UringRings>();
  for (uint32_t core = 0; core < core_count; ++core) {
    made->buffers_.push_back(std::make_unique<Buffers>(
        Buffers::Options{.block_bytes = limits.buffer_bytes, .blocks_max = limits.buffers_max}));
    Result<std::unique_ptr<UringRing>> ring =
        UringRing::Create({.index = core}, *made->buffers_.back());
    if (!ring.ok()) return ring.status();
    made->fds_.push_back((*ring)->fd());
    made->features_ = (*ring)->features();
    made->rings_.push_back(*std::move(ring));
  }
  for (const auto& ring : made->rings_) ring->SetSiblings(made->fds_);
  return made;
}

Result<Ring*> UringRings::Start(uint32_t core) {
  if (Status started = rings_[core]->Start(); !started.ok()) return started;
  return rings_[core].get();
}

// The object goes; the main thread may still knock until the threads are joined, so the wake-up
// side stays with the ring until then.
void UringRings::Destroy(uint32_t) {}

void UringRings::WakeFromOutside(uint32_t core) { rings_[core]->WakeFromOutside(); }

}  // namespace trireme
