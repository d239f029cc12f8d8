// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a server owes: one entry per request that it will answer, in order. This queue decides when
// a server is free, which of its replies are the client's, and where answers that we give ourselves
// belong.
//
//   request            entry        answered by
//   Query, FunctionCall kQuery …    everything up to ReadyForQuery
//   Parse              kParse       ParseComplete
//   Bind               kBind        BindComplete
//   Describe           kDescribe    RowDescription or NoData (after ParameterDescription)
//   Execute            kExecute     CommandComplete, EmptyQueryResponse or PortalSuspended
//   Close              kClose       CloseComplete
//   Sync               kSync        ReadyForQuery
//   CopyDone, CopyFail kCopyEnd     nothing: a mark, so that Syncs sent inside COPY can be told
//   apart
//
// Flush, CopyData and Terminate are not answered and leave no entry. After an ErrorResponse in the
// extended protocol the server ignores everything up to the next Sync, and so do we (skipping()).
//
// Entries are one byte in a ring that grows by doubling; 16 fit inside, so the common case
// allocates nothing. What a deep pipeline made it grow to is given back when nothing is owed any
// more; up to 256 stay, so that pipelines of usual depth allocate once a server. The caller bounds
// count() (limits.expected_replies_max) by not reading on from the client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/assert.h"

namespace trireme {

enum class Request : uint8_t {
  kQuery,
  kFunctionCall,
  kParse,
  kBind,
  kDescribe,
  kExecute,
  kClose,
  kSync,
  kCopyEnd,
};
inline constexpr uint32_t kRequestCount = 9;

enum class Disposition : uint8_t {
  kForward,  // the reply is the client's
  kSkip,     // we injected the request: the reply is swallowed
  kFake,     // the request never went out: we answer, when its turn has come
  kAsk,      // a question of ours: its rows are ours to read, the rest of its reply is swallowed
};

// Somebody keeps a note of the request, which must be settled when it was answered or dropped: the
// server's books of prepared statements, the client's, or both.
struct Notes {
  bool server = false;
  bool client = false;
  bool operator==(const Notes&) const = default;
};

struct ExpectedReply {
  Request request;
  Disposition disposition;
  Notes notes{};
  bool operator==(const ExpectedReply&) const = default;
};

class ExpectedReplies {
 public:
  ExpectedReplies() = default;
  ExpectedReplies(const ExpectedReplies&) = delete;
  ExpectedReplies& operator=(const ExpectedReplies&) = delete;

  bool empty() const { return head_ == tail_; }
  uint32_t count() const { return tail_ - head_; }

  ExpectedReply front() const {
    TRIREME_ASSERT(!empty());
    return Decode(cells_[head_ & mask_]);
  }
  // Nothing but this is owed.
  bool only(ExpectedReply entry) const {
    return count() == 1 && cells_[head_ & mask_] == Encode(entry);
  }
  // All are simply forwarded, nobody keeps notes of them, and the last is a Sync.
  bool plain_pipeline() const {
    if (count() < 2 || cells_[(tail_ - 1) & mask_] != Encode({Request::kSync, {}})) return false;
    uint8_t others = 0;
    for (uint32_t at = head_; at != tail_; ++at) others |= cells_[at & mask_] & kNotRequest;
    return others == 0;
  }
  // Of the n-th from the front; the caller knows that there is one.
  Request request_at(uint32_t n) const {
    return static_cast<Request>(cells_[(head_ + n) & mask_] >> 4);
  }
  // The n-th from the front.
  ExpectedReply at(uint32_t n) const {
    TRIREME_ASSERT(n < count());
    return Decode(cells_[(head_ + n) & mask_]);
  }

  void Push(ExpectedReply entry) {
    if (count() > mask_) Grow();
    cells_[tail_++ & mask_] = Encode(entry);
  }
  // All of them simply forwarded.
  template <size_t kCount>
  void PushPlain(const Request (&requests)[kCount]) {
    static_assert(kCount <= kInline);
    if (count() + kCount > mask_ + 1) Grow();
    for (const Request request : requests) {
      cells_[tail_++ & mask_] = Encode({request, Disposition::kForward});
    }
  }
  void Pop() {
    TRIREME_ASSERT(!empty());
    ++head_;
    if (mask_ >= kKept && empty()) Shrink();
  }
  // Back in front of what was popped just before.
  void PushFront(ExpectedReply entry) {
    TRIREME_ASSERT(count() <= mask_);
    cells_[--head_ & mask_] = Encode(entry);
  }
  void Clear() {
    head_ = tail_ = 0;
    if (mask_ >= kKept) Shrink();
  }

  size_t heap_bytes() const { return heap_ == nullptr ? 0 : size_t{mask_} + 1; }

 private:
  static constexpr uint32_t kInline = 16;
  static constexpr uint32_t kKept = 256;

  static constexpr uint8_t kNotRequest = 0x0f;  // bits of a cell; kForward without notes is 0
  static uint8_t Encode(ExpectedReply entry) {
    return static_cast<uint8_t>(static_cast<uint8_t>(entry.request) << 4 |
                                static_cast<uint8_t>(entry.disposition) << 2 |
                                (entry.notes.server ? 2 : 0) | (entry.notes.client ? 1 : 0));
  }
  static ExpectedReply Decode(uint8_t cell) {
    return {static_cast<Request>(cell >> 4),
            static_cast<Disposition>(cell >> 2 & 3),
            {.server = (cell & 2) != 0, .client = (cell & 1) != 0}};
  }
  void Grow();
  void Shrink();

  uint32_t head_ = 0;
  uint32_t tail_ = 0;
  uint32_t mask_ = kInline - 1;
  uint8_t* cells_ = inline_;  // or heap_'s
  uint8_t inline_[kInline];
  std::unique_ptr<uint8_t[]> heap_;
};

}  // namespace trireme
