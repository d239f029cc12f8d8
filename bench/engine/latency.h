// SPDX-License-Identifier: GPL-3.0-or-later
//
// Distribution of latencies, fine enough to compare policies: 128 buckets for each power of two of
// nanoseconds, so a percentile is at most 0.8 % too high (base/histogram.h, 6 %, is for counters
// that every core carries). 37 KiB. From about 73 minutes upwards all counts in the last bucket,
// while the maximum stays exact. Owned by one thread; others get a copy and merge.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace trireme::bench {

class Latency {
 public:
  void Record(Duration duration) {
    const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(duration.count(), 0));
    ++buckets_[BucketOf(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
    min_ = std::min(min_, value);
  }

  void Merge(const Latency& other) {
    for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
    min_ = std::min(min_, other.min_);
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }  // nanoseconds, as all below
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  double Mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  // The least value that `fraction` of the records do not exceed, rounded up to its bucket's end.
  uint64_t Percentile(double fraction) const {
    if (count_ == 0) return 0;
    const double wanted = std::ceil(fraction * static_cast<double>(count_));
    const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
    uint64_t seen = 0;
    for (size_t i = 0; i + 1 < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank) return std::min(max_, LastOf(i));
    }
    return max_;
  }

  // `visit(greatest value of the bucket, count)` for each that is not empty, from the least.
  template <typename Visit>
  void ForEachBucket(Visit&& visit) const {
    for (size_t i = 0; i < kBuckets; ++i) {
      if (buckets_[i] > 0) visit(i + 1 == kBuckets ? max_ : LastOf(i), buckets_[i]);
    }
  }

 private:
  static constexpr int kFineBits = 7;
  static constexpr int kValueBits = 42;
  static constexpr size_t kBuckets = size_t{kValueBits - kFineBits + 1} << kFineBits;

  static constexpr size_t BucketOf(uint64_t value) {
    value = std::min(value, (uint64_t{1} << kValueBits) - 1);
    if (value < (1u << kFineBits)) return value;
    const int shift = 63 - std::countl_zero(value) - kFineBits;
    return (static_cast<size_t>(shift) << kFineBits) + (value >> shift);
  }
  static constexpr uint64_t LastOf(size_t bucket) {
    static_assert(BucketOf(UINT64_MAX) == kBuckets - 1);
    if (bucket < (1u << kFineBits)) return bucket;
    const size_t shift = (bucket >> kFineBits) - 1;
    return (((bucket - (shift << kFineBits)) + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
  uint64_t min_ = UINT64_MAX;
};

}  // namespace trireme::bench
