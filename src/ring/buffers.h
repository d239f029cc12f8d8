// SPDX-License-Identifier: GPL-3.0-or-later
//
// Buffers of one core. Received bytes are never copied: the kernel fills a Block, slices of it are
// sent on, and the block goes home when its last slice is gone.
//
//            Take()/kernel fills                    Slice copies        last Release()
//   free stack ──────────▶ Block (references = 1) ──────────▶ … ──────────▶ free stack
//      ▲  │ ring tops the kernel's buffer ring up from the stack each turn
//      └──┘
//
// The free stack is last in, first out, and only a small working set is published to the kernel, so
// a core that serves quickly cycles through a few warm blocks; memory is touched only when used.
//
// A block that is larger than the pool's, or taken when the pool is empty, lives on the heap and
// looks the same (id == kHeap). That is the way out of exhaustion: bytes that cannot be passed on
// now are moved to the heap (bounded per connection) so that the ring can go on receiving.
//
// Invariant: every block is in exactly one place: free, published to the kernel, or referenced by
// slices. in_use() counts the last kind; at rest it is 0. Owned by one core.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace trireme {

class Buffers;

struct Block {
  static constexpr uint32_t kHeap = UINT32_MAX;
  static constexpr uint32_t kPublished = UINT32_MAX;  // `references` while the kernel has it
  std::byte* data;
  uint32_t size;        // capacity in bytes
  uint32_t references;  // slices that point here
  uint32_t id;          // index in the pool, or kHeap
  Buffers* home;
};

// A counted view of a block's bytes. Move-only: whoever holds it keeps the bytes alive.
class Slice {
 public:
  Slice() = default;
  // Takes over one reference that the caller owns.
  Slice(Block* block, uint32_t offset, uint32_t size)
      : block_(block), offset_(offset), size_(size) {}
  Slice(Slice&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        offset_(other.offset_),
        size_(std::exchange(other.size_, 0)) {}
  Slice& operator=(Slice&& other) noexcept;
  Slice(const Slice&) = delete;
  Slice& operator=(const Slice&) = delete;
  ~Slice();

  const std::byte* data() const { return block_->data + offset_; }
  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Bytes bytes() const { return empty() ? Bytes{} : Bytes{data(), size_}; }
  Block* block() const { return block_; }

  // Another reference to part of the same bytes; offset + size <= this->size().
  Slice Part(uint32_t offset, uint32_t size) const;
  // Gives up the reference.
  void Clear();
  // Drops the first `count` bytes.
  void TrimFront(uint32_t count);
  // Gives up the first `count` bytes as a slice of their own (count <= size()); when that is all of
  // them, the reference simply moves.
  Slice Split(uint32_t count);

  // Takes `next` over when it follows directly in the same block (and empties it); else false.
  bool Extend(Slice& next);
  // Copies `bytes` behind this slice's own when nobody else looks at the block and it has room;
  // else false. What was there before does not move, so a send in flight is not disturbed.
  bool Append(Bytes bytes);

 private:
  Block* block_ = nullptr;
  uint32_t offset_ = 0;
  uint32_t size_ = 0;
};

class Buffers {
 public:
  struct Options {
    uint32_t block_bytes = 16384;  // power of two
    uint32_t blocks_max = 16384;   // <= 32768, the kernel's limit for one buffer ring
  };
  explicit Buffers(const Options& options);
  ~Buffers();  // all blocks are home (asserted)
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  // For the kernel side (UringRing, SimRing): a block to publish, or nullptr when none is free.
  Block* TakeToPublish();
  void ReturnUnused(Block* block);            // published, but came back without data
  Slice Filled(Block* block, uint32_t size);  // published, came back with data
  Block* ById(uint32_t id) { return &blocks_[id]; }

  // A block to write into (generated messages, joined heads), references == 1; `bytes` is the least
  // capacity wanted. From the pool when it fits and one is free, else from the heap.
  Block* Take(uint32_t bytes);
  // The same, exact, and always from the heap.
  Block* TakeOnHeap(uint32_t bytes);
  // Gives back a block of Take() that no slice was made of.
  void Return(Block* block);
  // Copies into exactly one block: `bytes` of any size.
  Slice Copy(Bytes bytes);
  // The same bytes in heap memory, the pool's block released. For bytes that must wait long.
  Slice MoveToHeap(Slice slice);

  uint32_t in_use() const { return in_use_; }  // blocks referenced by slices, heap included
  uint32_t heap_blocks() const { return heap_; }
  uint32_t free_count() const { return freed_ + untouched(); }
  uint32_t published() const { return touched_ - freed_ - (in_use_ - heap_); }  // the kernel's
  uint32_t blocks_max() const { return options_.blocks_max; }
  uint32_t block_bytes() const { return options_.block_bytes; }
  // Fewer than an eighth can be received into: bytes that cannot be passed on now should move to
  // the heap.
  bool scarce() const { return in_use_ - heap_ > options_.blocks_max - options_.blocks_max / 8; }

 private:
  friend class Slice;
  uint32_t untouched() const { return options_.blocks_max - touched_; }
  Block* TakeFree();
  void Release(Block* block);
  void ReleaseHeap(Block* block);

  // AddressSanitizer reports a touch of bytes that no slice covers; nothing in other builds.
  static void Poison(const std::byte* data, size_t size);
  static void Unpoison(const std::byte* data, size_t size);

  const Options options_;
  std::byte* memory_ = nullptr;       // blocks_max * block_bytes of reserved address space
  std::unique_ptr<Block[]> blocks_;   // set up when first touched
  std::unique_ptr<uint32_t[]> free_;  // stack of block ids
  uint32_t freed_ = 0;                // its height
  uint32_t touched_ = 0;              // blocks ever taken: ids below this
  uint32_t in_use_ = 0;
  uint32_t heap_ = 0;
};

#if defined(__SANITIZE_ADDRESS__)
#define TRIREME_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRIREME_ADDRESS_SANITIZER 1
#endif
#endif

#ifndef TRIREME_ADDRESS_SANITIZER
inline void Buffers::Poison(const std::byte*, size_t) {}
inline void Buffers::Unpoison(const std::byte*, size_t) {}
#endif

inline Block* Buffers::TakeFree() {
  if (freed_ > 0) [[likely]] {
    return &blocks_[free_[--freed_]];
  }
  if (untouched() == 0) return nullptr;
  const uint32_t id = touched_++;
  blocks_[id] = Block{.data = memory_ + size_t{id} * options_.block_bytes,
                      .size = options_.block_bytes,
                      .references = 0,
                      .id = id,
                      .home = this};
  return &blocks_[id];
}

inline Block* Buffers::TakeToPublish() {
  Block* block = TakeFree();
  if (block != nullptr) block->references = Block::kPublished;
  return block;
}

inline void Buffers::ReturnUnused(Block* block) {
  TRIREME_ASSERT(block->references == Block::kPublished);
  block->references = 0;
  free_[freed_++] = block->id;
}

inline Slice Buffers::Filled(Block* block, uint32_t size) {
  TRIREME_ASSERT(block->references == Block::kPublished && size <= block->size);
  block->references = 1;
  ++in_use_;
  Unpoison(block->data, size);
  return Slice(block, 0, size);
}

inline void Buffers::Release(Block* block) {
  if (block->id == Block::kHeap) [[unlikely]] {
    ReleaseHeap(block);
    return;
  }
  --in_use_;
  Poison(block->data, block->size);
  free_[freed_++] = block->id;
}

[[gnu::always_inline]] inline Slice::~Slice() {
  if (block_ != nullptr && --block_->references == 0) block_->home->Release(block_);
}

inline void Slice::Clear() {
  size_ = 0;
  Block* block = std::exchange(block_, nullptr);
  if (block != nullptr && --block->references == 0) block->home->Release(block);
}

[[gnu::always_inline]] inline Slice& Slice::operator=(Slice&& other) noexcept {
  if (this != &other) {
    if (block_ != nullptr && --block_->references == 0) block_->home->Release(block_);
    block_ = std::exchange(other.block_, nullptr);
    offset_ = other.offset_;
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

inline Slice Slice::Part(uint32_t offset, uint32_t size) const {
  TRIREME_ASSERT(offset <= size_ && size <= size_ - offset);
  if (size == 0) return {};
  ++block_->references;
  return Slice(block_, offset_ + offset, size);
}

inline void Slice::TrimFront(uint32_t count) {
  TRIREME_ASSERT(count <= size_);
  if (count == size_) {
    Clear();
    return;
  }
  offset_ += count;
  size_ -= count;
}

inline Slice Slice::Split(uint32_t count) {
  if (count == size_) return std::move(*this);
  Slice front = Part(0, count);
  TrimFront(count);
  return front;
}

inline bool Slice::Extend(Slice& next) {
  if (next.block_ != block_ || block_ == nullptr || next.offset_ != offset_ + size_) return false;
  size_ += next.size_;
  next.Clear();
  return true;
}

}  // namespace trireme
