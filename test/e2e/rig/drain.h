// SPDX-License-Identifier: GPL-3.0-or-later
//
// Results too large to keep: counts messages and bytes up to ReadyForQuery, walking from header to
// header.
#pragma once

#include <cstdint>

#include "raw_client.h"

namespace trireme::e2e {

struct Drained {
  uint64_t rows = 0;  // DataRow or CopyData
  uint64_t bytes = 0;
  uint64_t errors = 0;
  bool ready = false;  // false: the stream ended first
};
// Stops at the `times`-th ReadyForQuery; whatever came behind it in the same read is lost.
Drained DrainUntilReady(RawClient& client, int times = 1);

// Megabytes that large transfers move: $TRIREME_E2E_MEGABYTES, else `usual`.
uint64_t TransferMegabytes(uint64_t usual);

}  // namespace trireme::e2e
