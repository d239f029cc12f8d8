// SPDX-License-Identifier: GPL-3.0-or-later
//
// A SecretRandom that repeats: for tests and the simulator only, where one seed must give one
// trace. Everything it yields can be computed from the seed.
#pragma once

#include <cstdint>

#include "auth/crypto.h"
#include "base/random.h"

namespace trireme {

class SeededSecretRandom final : public SecretRandom {
 public:
  explicit SeededSecretRandom(uint64_t seed) : random_(seed) {}

  Status Fill(MutableBytes out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(random_.Next() >> 56);
    return OkStatus();
  }

 private:
  Random random_;
};

}  // namespace trireme
