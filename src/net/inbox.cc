// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/inbox.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/marks.h"

namespace trireme {

Inbox::~Inbox() { Clear(); }

uint32_t Inbox::slice_count() const {
  uint32_t count = first_.empty() ? 0 : 1;
  for (const Node* node = rest_.get(); node != nullptr; node = node->next.get()) ++count;
  return count;
}

void Inbox::Push(Slice&& slice) {
  if (slice.empty()) return;
  TRIREME_ASSERT(slice.size() <= UINT32_MAX - size_);
  size_ += slice.size();
  if (first_.empty()) {
    first_ = std::move(slice);
    return;
  }
  Slice& back = last_ == nullptr ? first_ : last_->slice;
  if (back.Extend(slice)) return;
  if (slice.size() <= kCopyBytesMax && back.Append(slice.bytes())) return;
  auto node = std::make_unique<Node>(Node{.slice = std::move(slice), .next = nullptr});
  Node* added = node.get();
  (last_ == nullptr ? rest_ : last_->next) = std::move(node);
  last_ = added;
}

Slice Inbox::TakeFront(uint32_t count) {
  TRIREME_ASSERT(count <= first_.size());
  size_ -= count;
  Slice front = first_.Split(count);
  if (first_.empty()) Advance();
  return front;
}

void Inbox::DropFront(uint32_t count) {
  TRIREME_ASSERT(count <= first_.size());
  size_ -= count;
  first_.TrimFront(count);
  if (first_.empty()) Advance();
}

// The next slice becomes the first.
void Inbox::Advance() {
  if (rest_ == nullptr) return;
  std::unique_ptr<Node> node = std::move(rest_);
  first_ = std::move(node->slice);
  rest_ = std::move(node->next);
  if (rest_ == nullptr) last_ = nullptr;
}

void Inbox::Join(uint32_t count, Buffers& buffers) {
  TRIREME_ASSERT(count <= size_);
  if (count <= first_.size()) return;
  // Usually the first slice has its block for itself, and the missing bytes fit behind it.
  const uint32_t missing = count - first_.size();
  if (rest_ != nullptr && missing <= rest_->slice.size() &&
      first_.Append(rest_->slice.bytes().first(missing))) {
    rest_->slice.TrimFront(missing);
    if (rest_->slice.empty()) DropSecond();
    return;
  }
  Block* block = buffers.Take(count);
  CopyOut(block->data, count);
  PushFront(Slice(block, 0, count));
}

void Inbox::DropSecond() {
  std::unique_ptr<Node> node = std::move(rest_);
  rest_ = std::move(node->next);
  if (rest_ == nullptr) last_ = nullptr;
}

void Inbox::CopyOut(std::byte* to, uint32_t count) {
  while (count > 0) {
    const uint32_t part = std::min(count, first_.size());
    std::memcpy(to, first_.data(), part);
    DropFront(part);
    to += part;
    count -= part;
  }
}

void Inbox::PushFront(Slice slice) {
  size_ += slice.size();
  if (!first_.empty()) {
    rest_ = std::make_unique<Node>(Node{.slice = std::move(first_), .next = std::move(rest_)});
    if (last_ == nullptr) last_ = rest_.get();
  }
  first_ = std::move(slice);
}

void Inbox::Clear() {
  first_ = Slice{};
  // One by one: a long list must not be destroyed by recursion.
  while (rest_ != nullptr) DropSecond();
  size_ = 0;
}

void Inbox::MoveToHeap(Buffers& buffers) {
  if (empty()) return;
  TRIREME_COVER(kMovedToHeap);
  if (rest_ == nullptr) {
    first_ = buffers.MoveToHeap(std::move(first_));
    return;
  }
  const uint32_t size = size_;
  Block* block = buffers.TakeOnHeap(size);
  CopyOut(block->data, size);
  PushFront(Slice(block, 0, size));
}

}  // namespace trireme
