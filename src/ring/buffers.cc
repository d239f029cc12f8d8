// SPDX-License-Identifier: GPL-3.0-or-later
//
// The cold half of Buffers: the memory itself, blocks on the heap, copies.
#include "ring/buffers.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <new>

#ifdef TRIREME_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace trireme {

#ifdef TRIREME_ADDRESS_SANITIZER
void Buffers::Poison(const std::byte* data, size_t size) { ASAN_POISON_MEMORY_REGION(data, size); }
void Buffers::Unpoison(const std::byte* data, size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(data, size);
}
#endif

Buffers::Buffers(const Options& options) : options_(options) {
  TRIREME_ASSERT(std::has_single_bit(options.block_bytes));
  TRIREME_ASSERT(options.blocks_max > 0 && options.blocks_max <= 32768);
  const size_t size = size_t{options.blocks_max} * options.block_bytes;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Address space, not memory: it fails only where a limit on it was set below any sane value.
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
  // A huge page would make every core pay 2 MiB for its first block.
  madvise(memory, size, MADV_NOHUGEPAGE);
  blocks_ = std::make_unique_for_overwrite<Block[]>(options.blocks_max);
  free_ = std::make_unique_for_overwrite<uint32_t[]>(options.blocks_max);
  Poison(memory_, size);
}

Buffers::~Buffers() {
  TRIREME_ASSERT(in_use_ == 0 && heap_ == 0 && free_count() == options_.blocks_max);
  const size_t size = size_t{options_.blocks_max} * options_.block_bytes;
  Unpoison(memory_, size);
  munmap(memory_, size);
}

Block* Buffers::Take(uint32_t bytes) {
  Block* block = bytes <= options_.block_bytes ? TakeFree() : nullptr;
  if (block == nullptr) return TakeOnHeap(bytes);
  block->references = 1;
  ++in_use_;
  Unpoison(block->data, block->size);
  return block;
}

void Buffers::Return(Block* block) {
  TRIREME_ASSERT(block->references == 1);
  block->references = 0;
  Release(block);
}

Slice Buffers::Copy(Bytes bytes) {
  if (bytes.empty()) return {};
  TRIREME_ASSERT(bytes.size() <= UINT32_MAX);
  const auto size = static_cast<uint32_t>(bytes.size());
  Block* block = Take(size);
  std::memcpy(block->data, bytes.data(), size);
  return Slice(block, 0, size);
}

Slice Buffers::MoveToHeap(Slice slice) {
  if (slice.empty() || slice.block()->id == Block::kHeap) return slice;
  Block* block = TakeOnHeap(slice.size());
  std::memcpy(block->data, slice.data(), slice.size());
  return Slice(block, 0, slice.size());
}

Block* Buffers::TakeOnHeap(uint32_t bytes) {
  void* memory = std::malloc(sizeof(Block) + bytes);
  if (memory == nullptr) throw std::bad_alloc();
  auto* block = new (memory) Block{.data = static_cast<std::byte*>(memory) + sizeof(Block),
                                   .size = bytes,
                                   .references = 1,
                                   .id = Block::kHeap,
                                   .home = this};
  ++heap_;
  ++in_use_;
  return block;
}

void Buffers::ReleaseHeap(Block* block) {
  --heap_;
  --in_use_;
  std::free(block);
}

bool Slice::Append(Bytes bytes) {
  if (block_ == nullptr || block_->references != 1) return false;
  const uint32_t end = offset_ + size_;
  if (bytes.size() > block_->size - end) return false;
  Buffers::Unpoison(block_->data + end, bytes.size());
  std::memcpy(block_->data + end, bytes.data(), bytes.size());
  size_ += static_cast<uint32_t>(bytes.size());
  return true;
}

}  // namespace trireme
