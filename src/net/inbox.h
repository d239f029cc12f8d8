// SPDX-License-Identifier: GPL-3.0-or-later
//
// Received bytes that are not consumed yet: the tail of a message head that was split, or requests
// of a client that waits for a server. Usually empty or one slice; further slices are nodes of a
// small list.
//
// A reader works on Front(), consumes a prefix, and when a head or a small message straddles two
// slices asks Join(n) to make its first n bytes contiguous: the missing bytes are copied behind the
// first slice when its block has room and no other reader, else all n into a new block.
//
// Small slices that arrive while others wait are copied behind them, so that a client which
// trickles bytes cannot pin a block with each of them.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "ring/buffers.h"

namespace trireme {

class Inbox {
 public:
  Inbox() = default;
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  bool empty() const { return size_ == 0; }
  uint32_t size() const { return size_; }  // bytes in all slices
  uint32_t slice_count() const;

  void Push(Slice&& slice);                       // ignores empty slices
  Bytes Front() const { return first_.bytes(); }  // the first contiguous run
  // Another reference to that run.
  Slice ShareFront() const { return first_.Part(0, first_.size()); }
  // Removes and returns the first `count` bytes of Front(); count <= Front().size().
  Slice TakeFront(uint32_t count);
  void DropFront(uint32_t count);
  // Makes the first `count` bytes contiguous; count <= size().
  void Join(uint32_t count, Buffers& buffers);
  void Clear();
  // Moves everything to exact-size heap memory (see Buffers::scarce()).
  void MoveToHeap(Buffers& buffers);

 private:
  static constexpr uint32_t kCopyBytesMax = 512;
  struct Node {
    Slice slice;
    std::unique_ptr<Node> next;
  };
  void Advance();
  void DropSecond();
  // Removes the first `count` bytes into memory.
  void CopyOut(std::byte* to, uint32_t count);
  void PushFront(Slice slice);

  Slice first_;
  std::unique_ptr<Node> rest_;
  Node* last_ = nullptr;
  uint32_t size_ = 0;
};

}  // namespace trireme
