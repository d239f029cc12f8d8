// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/expected_replies.h"

#include <utility>

namespace trireme {

void ExpectedReplies::Grow() {
  const uint32_t size = mask_ + 1;
  auto bigger = std::make_unique<uint8_t[]>(size_t{2} * size);
  for (uint32_t i = 0; i < size; ++i) bigger[i] = cells_[(head_ + i) & mask_];
  heap_ = std::move(bigger);
  cells_ = heap_.get();
  tail_ = tail_ - head_;
  head_ = 0;
  mask_ = 2 * size - 1;
}

void ExpectedReplies::Shrink() {
  heap_.reset();
  cells_ = inline_;
  head_ = tail_ = 0;
  mask_ = kInline - 1;
}

}  // namespace trireme
