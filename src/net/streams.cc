// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the streams of a core share: turns to wait for buffers, linger deadlines, memory for small
// messages.
#include "base/marks.h"
#include "net/stream.h"

namespace trireme {
namespace {

// Backlogs are bounded in bytes by their owners; these bounds only say that memory is not the
// limit.
constexpr uint32_t kNodesMax = 1u << 26;
constexpr uint32_t kBatchesMax = 1u << 20;

}  // namespace

Streams::Streams(Ring& ring, const Options& options)
    : ring_(ring), options_(options), nodes_(kNodesMax), batches_(kBatchesMax) {
  TRIREME_ASSERT(options.low_mark_bytes <= options.high_mark_bytes);
}

Streams::~Streams() {
  TRIREME_ASSERT(open_count_ == 0 && starved_.empty() && lingering_.empty());
  if (scratch_ != nullptr) DropScratch();
}

// As many as there are buffers, oldest first; the others would only fail again.
void Streams::ArmStarved() {
  if (TRIREME_MUTATION(kEnobufsNotRetried)) return;
  uint32_t buffers_left = buffers().free_count() + buffers().published();
  while (buffers_left-- > 0) {
    Stream* stream = starved_.PopFront();
    if (stream == nullptr) return;
    stream->receive_ = Stream::Receive::kOff;
    stream->SettleReceive();
  }
}

void Streams::StartLingering(Stream& stream) {
  stream.linger_deadline_ = ring_.now() + options_.linger;
  lingering_.PushBack(stream);
  next_linger_ = lingering_.front()->linger_deadline_;
}

void Streams::StopLingering(Stream& stream) {
  lingering_.Erase(stream);
  next_linger_ = lingering_.empty() ? kNever : lingering_.front()->linger_deadline_;
}

void Streams::EndLingering() {
  while (Stream* stream = lingering_.front()) {
    if (stream->linger_deadline_ > ring_.now() || TRIREME_MUTATION(kLingerForEver)) return;
    TRIREME_COVER(kLingerExpired);
    StopLingering(*stream);
    stream->Abort();
  }
}

Stream::SendBatch* Streams::NewBatch() {
  Stream::SendBatch* batch = batches_.New();
  TRIREME_ASSERT(batch != nullptr);
  return batch;
}

// Messages of one turn share a block, so that many small answers do not pin a block each; those
// that follow each other on one stream even become one slice.
Slice Streams::CopyToScratch(Bytes bytes, Bytes more) {
  TRIREME_ASSERT(bytes.size() + more.size() <= UINT32_MAX);
  const auto size = static_cast<uint32_t>(bytes.size() + more.size());
  if (size > buffers().block_bytes() / 4) {
    Block* block = buffers().Take(size);
    std::memcpy(block->data, bytes.data(), bytes.size());
    if (!more.empty()) std::memcpy(block->data + bytes.size(), more.data(), more.size());
    return Slice(block, 0, size);
  }
  if (scratch_ == nullptr || size > scratch_->size - scratch_used_) {
    if (scratch_ != nullptr) DropScratch();
    scratch_ = buffers().Take(buffers().block_bytes());
    scratch_used_ = 0;
  }
  std::byte* place = scratch_->data + scratch_used_;
  std::memcpy(place, bytes.data(), bytes.size());
  if (!more.empty()) std::memcpy(place + bytes.size(), more.data(), more.size());
  ++scratch_->references;
  Slice slice(scratch_, scratch_used_, size);
  scratch_used_ += size;
  return slice;
}

// The slices keep it from here.
void Streams::DropScratch() {
  Slice own(std::exchange(scratch_, nullptr), 0, 0);
  own.Clear();
}

}  // namespace trireme
