// SPDX-License-Identifier: GPL-3.0-or-later
//
// Log lines of one thread on their way to the writer: a ring of bytes between exactly one producing
// and one consuming thread. Lines need no frame: the tail is published after each whole line, so
// what the consumer finds ends in a newline. A line that does not fit is dropped and counted; the
// producer never waits.
//
//   producer: tail_ (release) ──▶ writer reads tail_ (acquire), then the bytes below it
//   writer:   head_ (release) ──▶ producer reads head_ (acquire), then reuses the bytes below it
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/assert.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/spsc.h"

namespace trireme {

class LogRing final : public LogSink {
 public:
  // `writer` is woken when there is something to read. `bytes` is a power of two.
  LogRing(size_t bytes, SleepFlag* writer)
      : mask_(bytes - 1),
        writer_(writer),
        bytes_(std::make_unique_for_overwrite<char[]>(bytes)) {  // pages unused stay untouched
    TRIREME_ASSERT(std::has_single_bit(bytes));
  }

  // Producer.
  void Write(std::string_view line) override {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);  // only we write it
    const uint64_t head = head_.load(std::memory_order_acquire);  // partner: the release in Consume
    if (line.size() > mask_ + 1 - (tail - head)) {
      // Only we write it; the writer reads it for its report.
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      const size_t offset = tail & mask_;
      const size_t until_end = std::min(line.size(), mask_ + 1 - offset);
      std::memcpy(bytes_.get() + offset, line.data(), until_end);
      std::memcpy(bytes_.get(), line.data() + until_end, line.size() - until_end);
      tail_.store(tail + line.size(), std::memory_order_release);  // partner: the acquire in Peek
    }
    writer_->Wake();
  }

  // Writer: what is there, in order, as two pieces; the second is empty unless the ring wraps.
  struct Pieces {
    std::string_view first;
    std::string_view second;
    size_t size() const { return first.size() + second.size(); }
  };
  Pieces Peek() const {
    const uint64_t head = head_.load(std::memory_order_relaxed);  // only the writer writes it
    const uint64_t tail = tail_.load(std::memory_order_acquire);  // partner: the release in Write
    const size_t offset = head & mask_;
    const size_t size = tail - head;
    const size_t until_end = std::min(size, mask_ + 1 - offset);
    return {.first = {bytes_.get() + offset, until_end},
            .second = {bytes_.get(), size - until_end}};
  }
  void Consume(size_t size) {
    // Partner: the acquire in Write.
    head_.store(head_.load(std::memory_order_relaxed) + size, std::memory_order_release);
  }

  // Any thread: lines dropped since the start.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const size_t mask_;
  SleepFlag* const writer_;
  const std::unique_ptr<char[]> bytes_;
  alignas(kCacheLine) std::atomic<uint64_t> tail_{0};  // written by the producer
  std::atomic<uint64_t> dropped_{0};                   // likewise
  alignas(kCacheLine) std::atomic<uint64_t> head_{0};  // written by the writer
};

}  // namespace trireme
