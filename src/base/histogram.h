// SPDX-License-Identifier: GPL-3.0-or-later
//
// Distribution of durations in fixed memory (5 KiB): log-linear buckets of nanoseconds, so that the
// error of a percentile is at most 1/16 of it at any magnitude. Below 16 ns buckets are exact; from
// about 73 minutes upwards everything counts in the last one, while the maximum stays exact.
//
//     bucket = | position of the highest bit | the 4 bits after it |
//
// Plain integers of one core. Another core asks for a copy by mail and merges.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/time.h"

namespace trireme {

class Histogram {
 public:
  // A negative duration counts as zero.
  void Record(Duration duration) {
    const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(duration.count(), 0));
    ++buckets_[BucketOf(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  void Merge(const Histogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }

  uint64_t count() const { return count_; }
  Duration sum() const { return Nanoseconds(sum_); }
  Duration max() const { return Nanoseconds(max_); }
  Duration Mean() const { return Nanoseconds(count_ == 0 ? 0 : sum_ / count_); }

  // The least duration that `fraction` (0 to 1) of all records do not exceed, rounded up to the end
  // of its bucket; zero when nothing was recorded.
  Duration Percentile(double fraction) const {
    TRIREME_ASSERT(fraction >= 0 && fraction <= 1);
    if (count_ == 0) return Duration(0);
    const double wanted = std::ceil(fraction * static_cast<double>(count_));
    const uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(wanted));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank) return Nanoseconds(i + 1 == kBuckets ? max_ : std::min(max_, LastOf(i)));
    }
    return max();
  }

  // Records in buckets that lie wholly at or below `duration`: the cumulative count metrics want.
  uint64_t CountAtMost(Duration duration) const {
    uint64_t seen = 0;
    const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(duration.count(), 0));
    for (size_t i = 0; i + 1 < kBuckets && LastOf(i) <= value; ++i) seen += buckets_[i];
    return value >= max_ ? count_ : seen;
  }

 private:
  static constexpr int kFineBits = 4;  // 16 buckets for each power of two
  static constexpr int kValueBits = 42;
  static constexpr size_t kBuckets = size_t{kValueBits - kFineBits + 1} << kFineBits;

  static constexpr size_t BucketOf(uint64_t value) {
    value = std::min(value, (uint64_t{1} << kValueBits) - 1);
    if (value < (1u << kFineBits)) return value;
    const int shift = 63 - std::countl_zero(value) - kFineBits;
    return (static_cast<size_t>(shift) << kFineBits) + (value >> shift);
  }
  // The greatest value of a bucket.
  static constexpr uint64_t LastOf(size_t bucket) {
    static_assert(BucketOf(UINT64_MAX) == kBuckets - 1);
    if (bucket < (1u << kFineBits)) return bucket;
    const size_t shift = (bucket >> kFineBits) - 1;
    return (((bucket - (shift << kFineBits)) + 1) << shift) - 1;
  }
  static Duration Nanoseconds(uint64_t value) { return Duration(static_cast<int64_t>(value)); }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace trireme
