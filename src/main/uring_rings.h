// SPDX-License-Identifier: GPL-3.0-or-later
//
// The io_uring rings of the fleet: made on the main thread, so that what forbids them is known
// before anything starts, then started and destroyed on their cores' threads.
#pragma once

#include <memory>
#include <vector>

#include "config/config.h"
#include "ring/uring_ring.h"
#include "shard/fleet.h"

namespace trireme {

class UringRings final : public RingFactory {
 public:
  static Result<std::unique_ptr<UringRings>> Make(const LimitsConfig& limits, uint32_t core_count);

  Result<Ring*> Start(uint32_t core) override;
  void Destroy(uint32_t core) override;
  void WakeFromOutside(uint32_t core) override;
  const UringFeatures& features() const { return features_; }

 private:
  std::vector<std::unique_ptr<Buffers>> buffers_;
  std::vector<std::unique_ptr<UringRing>> rings_;
  std::vector<int> fds_;
  UringFeatures features_;
};

}  // namespace trireme
