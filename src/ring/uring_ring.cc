// SPDX-License-Identifier: GPL-3.0-or-later
//
// The turn of a UringRing, and how operations become submission entries.
#include "ring/uring_ring.h"

#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "ring/errno_table.h"
#include "ring/sockets.h"

namespace trireme {
namespace {

// user_data that names no Op: smaller than any address.
constexpr uint64_t kWake = 1;       // a sibling's MSG_RING
constexpr uint64_t kOutside = 2;    // WakeFromOutside()
constexpr uint64_t kUnwatched = 3;  // our own cancel or wake, when it had nothing to do
constexpr int64_t kInternalEnd = 8;

// Marks a quick send in user_data, above any address: below 0 as a signed number.
constexpr uint64_t kQuick = uint64_t{1} << 63;

// What is longer than this a socket often does not take at once.
constexpr size_t kQuickSendBytes = 16384;

uint64_t Name(Op& op) { return reinterpret_cast<uint64_t>(&op); }
bool IsQuick(uint64_t user_data) { return static_cast<int64_t>(user_data) < 0; }

}  // namespace

int UringRing::fd() const { return uring_->ring_fd; }

inline io_uring_sqe& UringRing::SubmissionQueue::at(unsigned index) const {
  return entries[index & (size - 1)];
}

// ---- begin ----

inline io_uring_sqe& UringRing::NextEntry() {
  if (submission_.next - submission_.seen == submission_.size) [[unlikely]]
    SubmitEarly();
  return submission_.at(submission_.next++);
}

inline io_uring_sqe& UringRing::Begin(const Request& request) {
  io_uring_sqe& sqe = NextEntry();
  std::memset(&sqe, 0, sizeof sqe);
  sqe.opcode = request.opcode;
  sqe.fd = request.fd;
  sqe.addr = reinterpret_cast<uint64_t>(request.address);
  sqe.len = request.size;
  sqe.user_data = kUnwatched;
  return sqe;
}

inline io_uring_sqe& UringRing::Begin(Op& op, const Request& request) {
  io_uring_sqe& sqe = Begin(request);
  sqe.user_data = Name(op);
  ++op.in_flight;
  ++in_flight_;
  return sqe;
}

void UringRing::BeginAccept(Op& op, int listener_fd) {
  io_uring_sqe& sqe =
      Begin(op, {.opcode = IORING_OP_ACCEPT, .fd = listener_fd, .address = nullptr, .size = 0});
  sqe.ioprio = IORING_ACCEPT_MULTISHOT;
  sqe.accept_flags = SOCK_CLOEXEC;
}

void UringRing::BeginConnect(Op& op, int fd, const SocketAddress& address) {
  io_uring_sqe& sqe =
      Begin(op, {.opcode = IORING_OP_CONNECT, .fd = fd, .address = address.data(), .size = 0});
  sqe.off = address.size();
}

void UringRing::BeginReceive(Op& op, int fd) {
  io_uring_sqe& sqe =
      Begin(op, {.opcode = IORING_OP_RECV, .fd = fd, .address = nullptr, .size = 0});
  sqe.ioprio = IORING_RECV_MULTISHOT;
  sqe.flags = IOSQE_BUFFER_SELECT;  // of group 0, the only one
}

Duration UringRing::cpu_time() const {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + Duration(used.tv_nsec);
}

// MSG_WAITALL: the kernel goes on by itself after a short send, so that a slow reader costs one
// completion and not one for each window.
void UringRing::BeginSend(Op& op, int fd, Bytes bytes) {
  // The kernel's limit for one transfer is a little below 2 GiB; the rest is the next send.
  constexpr size_t kSendBytesMax = size_t{1} << 30;
  const auto size = static_cast<uint32_t>(std::min(bytes.size(), kSendBytesMax));
  io_uring_sqe& sqe =
      Begin(op, {.opcode = IORING_OP_SEND, .fd = fd, .address = bytes.data(), .size = size});
  sqe.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  ++counters_.sends;
}

// Tried once, when it is submitted: with MSG_DONTWAIT the kernel takes a short send for a failure,
// and a failure is told.
void UringRing::BeginQuickSend(Op& op, int fd, Bytes bytes) {
  if (bytes.size() > kQuickSendBytes) [[unlikely]]
    return BeginSend(op, fd, bytes);
  io_uring_sqe& sqe = Begin({.opcode = IORING_OP_SEND,
                             .fd = fd,
                             .address = bytes.data(),
                             .size = static_cast<uint32_t>(bytes.size())});
  sqe.user_data = Name(op) | kQuick;
  sqe.msg_flags = MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT;
  sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
  ++op.in_flight;
  ++in_flight_;
  ++quick_sends_;
  ++counters_.sends;
}

void UringRing::BeginSendVector(Op& op, int fd, const msghdr& message) {
  io_uring_sqe& sqe =
      Begin(op, {.opcode = IORING_OP_SENDMSG, .fd = fd, .address = &message, .size = 1});
  sqe.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  ++counters_.sends;
}

// The kernel handles entries in order, so this reaches only what was begun before, and an op that
// is freed meanwhile is not mistaken for the next one at its address.
void UringRing::Cancel(Op& op) {
  if (op.in_flight == 0) return;
  if (quick_sends_ > 0) cancelled_.push_back(&op);
  io_uring_sqe& sqe =
      Begin({.opcode = IORING_OP_ASYNC_CANCEL, .fd = -1, .address = &op, .size = 0});
  sqe.cancel_flags = IORING_ASYNC_CANCEL_ALL;
  sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
}

void UringRing::Wake(uint32_t ring_index) {
  TRIREME_ASSERT(ring_index < siblings_.size());
  io_uring_sqe& sqe = Begin({.opcode = IORING_OP_MSG_RING,
                             .fd = siblings_[ring_index],
                             .address = nullptr,  // IORING_MSG_DATA
                             .size = 0});
  sqe.off = kWake;
  // A failure is of no interest: a full queue over there is no sleeping one.
  sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
  ++counters_.wakes_sent;
}

void UringRing::WakeFromOutside() {
  const uint64_t one = 1;
  // Fails only when 2^64 - 1 wakes are pending.
  static_cast<void>(!write(outside_fd_, &one, sizeof one));
}

// The counter is never read: each write is an event of its own for a poll that stays armed.
void UringRing::ArmOutside() {
  io_uring_sqe& sqe = Begin({.opcode = IORING_OP_POLL_ADD,
                             .fd = outside_fd_,
                             .address = nullptr,
                             .size = IORING_POLL_ADD_MULTI});
  sqe.poll32_events = __io_uring_prep_poll_mask(POLLIN);
  sqe.user_data = kOutside;
}

// ---- turn ----

uint32_t UringRing::SubmitAndReap(Time deadline) {
  TRIREME_ASSERT(started_);
  ++counters_.turns;
  Publish();
  Enter(deadline);
  now_ = std::chrono::steady_clock::now();
  // What comes behind that is for the next turn: handlers may submit early.
  const unsigned tail = io_uring_smp_load_acquire(completion_.tail);
  const uint32_t sent = CompleteQuickSends(tail);
  return sent + Reap(tail);
}

void UringRing::Publish() {
  if (published_ >= published_target_) return;
  const uint32_t mask = options_.published_max - 1;
  do {
    Block* block = buffers_.TakeToPublish();
    if (block == nullptr) break;
    // Not io_uring_buf_ring_add: the kernel's tail shares memory with entry 0's last field.
    io_uring_buf& entry = buffer_ring_->bufs[buffer_tail_ & mask];
    entry.addr = reinterpret_cast<uint64_t>(block->data);
    entry.len = block->size;
    entry.bid = static_cast<uint16_t>(block->id);
    ++buffer_tail_;
    ++published_;
  } while (published_ < published_target_);
  io_uring_smp_store_release(&buffer_ring_->tail, buffer_tail_);
}

void UringRing::Enter(Time deadline) {
  const unsigned to_submit = submission_.next - IO_URING_READ_ONCE(*submission_.head);
  const bool none_ready = *completion_.head == io_uring_smp_load_acquire(completion_.tail);
  const bool wait = deadline > now_ && none_ready;
  constexpr unsigned kWork = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  const bool work = (IO_URING_READ_ONCE(*submission_.flags) & kWork) != 0;
  if (!wait && to_submit == 0 && !work) return;

  io_uring_smp_store_release(submission_.tail, submission_.next);
  __kernel_timespec timeout;
  io_uring_getevents_arg argument{.sigmask = 0, .sigmask_sz = _NSIG / 8, .pad = 0, .ts = 0};
  if (wait && deadline != kNever) {
    const int64_t nanoseconds = (deadline - now_).count();
    timeout = {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
    argument.ts = reinterpret_cast<uint64_t>(&timeout);
  }
  // Not waiting, too: what the kernel has deferred runs only when events are asked for.
  const int result = io_uring_enter2(enter_fd_, to_submit, wait ? 1 : 0,
                                     enter_flags_ | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                     reinterpret_cast<sigset_t*>(&argument), sizeof argument);
  ++counters_.system_calls;
  if (result < 0) [[unlikely]] {
    EnterFailed(-result);
  } else {
    counters_.submitted += static_cast<uint32_t>(result);
  }
}

// What was not submitted stays in the queue for the next turn.
[[gnu::cold]] void UringRing::EnterFailed(int error) {
  TRIREME_ASSERT(Classify(Operation::kEnter, error) == Verdict::kExpected);
}

[[gnu::cold]] void UringRing::SubmitEarly() {
  // More than one attempt only when the kernel is out of memory for requests.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    io_uring_smp_store_release(submission_.tail, submission_.next);
    const int result = io_uring_enter(enter_fd_, submission_.size, 0, enter_flags_, nullptr);
    ++counters_.system_calls;
    if (result < 0) EnterFailed(-result);
    if (result > 0) counters_.submitted += static_cast<uint32_t>(result);
    const unsigned submitted = IO_URING_READ_ONCE(*submission_.head);
    for (; submission_.seen != submitted; ++submission_.seen) {
      const io_uring_sqe& sqe = submission_.at(submission_.seen);
      if (IsQuick(sqe.user_data)) early_sends_.push_back(sqe);
    }
    if (submission_.next - submitted < submission_.size) return;
    std::this_thread::yield();
  }
  TRIREME_UNREACHABLE();
}

// ---- quick sends ----

// A quick send is over when it has been submitted, and has succeeded unless a completion says
// otherwise. That one is in the queue by then; or the queue has overflown, and some are still with
// the kernel: the next turn brings them.
uint32_t UringRing::CompleteQuickSends(unsigned tail) {
  const unsigned submitted = IO_URING_READ_ONCE(*submission_.head);
  if (quick_sends_ == 0) {
    submission_.seen = submitted;
    cancelled_.clear();
    return 0;
  }
  uint64_t names = 0;
  for (unsigned at = *completion_.head; at != tail; ++at) {
    names |= completion_.entries[at & completion_.mask].user_data;
  }
  if (IsQuick(names)) [[unlikely]]
    NoteFailedSends(tail);
  if ((IO_URING_READ_ONCE(*submission_.flags) & IORING_SQ_CQ_OVERFLOW) != 0) [[unlikely]]
    return 0;
  cancelled_.clear();
  const uint64_t completed = counters_.completed;
  Completion completion{.result = 0, .more = false, .slice = {}};
  if (!early_sends_.empty()) [[unlikely]] {
    const std::vector<io_uring_sqe> sends = std::exchange(early_sends_, {});
    for (const io_uring_sqe& sqe : sends) {
      if (IsQuick(sqe.user_data)) CompleteQuickSend(sqe, completion);
    }
  }
  // Handlers begin operations, and may submit early.
  while (static_cast<int>(submitted - submission_.seen) > 0) {
    const io_uring_sqe& sqe = submission_.at(submission_.seen++);
    if (IsQuick(sqe.user_data)) CompleteQuickSend(sqe, completion);
  }
  return static_cast<uint32_t>(counters_.completed - completed);
}

inline void UringRing::CompleteQuickSend(const io_uring_sqe& sqe, Completion& completion) {
  Op& op = *reinterpret_cast<Op*>(sqe.user_data & ~kQuick);
  completion.result = static_cast<int32_t>(sqe.len);
  --quick_sends_;
  --op.in_flight;
  --in_flight_;
  ++counters_.completed;
  op.handler(op, completion);
}

// Linux 6.1 tells of those that cannot be sent now before it tells of others, so they are looked
// for anywhere; newer ones tell in the order of submission. The result goes where the size was; who
// does not take anything now is waited for.
[[gnu::cold]] void UringRing::NoteFailedSends(unsigned tail) {
  const size_t queued = IO_URING_READ_ONCE(*submission_.head) - submission_.seen;
  const size_t count = early_sends_.size() + queued;
  size_t next = 0;
  const auto find = [&](uint64_t user_data) -> io_uring_sqe& {
    for (size_t looked_at = 0; looked_at < count; ++looked_at) {
      const size_t index = next++ % count;
      io_uring_sqe& sqe = index < early_sends_.size()
                              ? early_sends_[index]
                              : submission_.at(submission_.seen +
                                               static_cast<unsigned>(index - early_sends_.size()));
      const bool noted = (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) == 0;
      if (sqe.user_data == user_data && !noted) return sqe;
    }
    TRIREME_UNREACHABLE();
  };
  std::vector<io_uring_sqe> waiting;
  for (unsigned at = *completion_.head; at != tail; ++at) {
    const io_uring_cqe& failure = completion_.entries[at & completion_.mask];
    if (!IsQuick(failure.user_data)) continue;
    io_uring_sqe& sqe = find(failure.user_data);
    sqe.flags = 0;  // noted
    const auto* op = reinterpret_cast<const Op*>(sqe.user_data & ~kQuick);
    if (failure.res != -EAGAIN) {
      sqe.len = static_cast<uint32_t>(failure.res);
    } else if (std::find(cancelled_.begin(), cancelled_.end(), op) != cancelled_.end()) {
      sqe.len = static_cast<uint32_t>(-ECANCELED);
    } else {
      waiting.push_back(sqe);
      sqe.user_data = kUnwatched;
      --quick_sends_;
    }
  }
  for (io_uring_sqe& sqe : waiting) {
    sqe.user_data &= ~kQuick;
    sqe.msg_flags &= ~static_cast<uint32_t>(MSG_DONTWAIT);
    NextEntry() = sqe;
  }
}

uint32_t UringRing::Reap(unsigned tail) {
  unsigned head = *completion_.head;
  uint32_t count = tail - head;
  while (head != tail) {
    const io_uring_cqe& place = completion_.entries[head & completion_.mask];
    const Entry entry{.user_data = place.user_data, .result = place.res, .flags = place.flags};
    // The place is given back before the handler runs: what it submits early needs it.
    io_uring_smp_store_release(completion_.head, ++head);
    if (static_cast<int64_t>(entry.user_data) >= kInternalEnd) [[likely]] {
      Complete(entry);
    } else if (IsQuick(entry.user_data)) {
      --count;  // NoteFailedSends has seen it
    } else {
      CompleteInternal(entry);
    }
  }
  counters_.completed += count;
  if ((IO_URING_READ_ONCE(*submission_.flags) & IORING_SQ_CQ_OVERFLOW) != 0) [[unlikely]] {
    CheckOverflow();
  }
  return count;
}

inline Slice UringRing::TakeFilled(const Entry& entry) {
  Block* block = buffers_.ById(entry.flags >> IORING_CQE_BUFFER_SHIFT);
  --published_;
  if (entry.result > 0) [[likely]] {
    ++counters_.receives;
    return buffers_.Filled(block, static_cast<uint32_t>(entry.result));
  }
  buffers_.ReturnUnused(block);
  return {};
}

inline void UringRing::Complete(const Entry& entry) {
  Op& op = *reinterpret_cast<Op*>(entry.user_data);
  const bool more = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (!more) {
    --op.in_flight;
    --in_flight_;
  }
  if ((entry.flags & IORING_CQE_F_BUFFER) != 0) {
    Completion completion{.result = entry.result, .more = more, .slice = TakeFilled(entry)};
    op.handler(op, completion);
    return;
  }
  if (entry.result == -ENOBUFS) [[unlikely]] {
    ++counters_.no_buffers;
    published_target_ = std::min(published_target_ * 2, options_.published_max);
  }
  Completion completion{.result = entry.result, .more = more, .slice = {}};
  op.handler(op, completion);
}

void UringRing::CompleteInternal(const Entry& entry) {
  if (entry.user_data == kUnwatched) return;
  ++counters_.wakes_received;
  // A poll that cannot be armed would end in a busy loop.
  TRIREME_ASSERT(entry.user_data != kOutside || entry.result > 0);
  const bool armed = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (entry.user_data == kOutside && !armed) ArmOutside();
}

// The kernel keeps what did not fit and ends multishots; they are armed again. Lost completions
// would be the end: somebody would wait for one forever.
[[gnu::cold]] void UringRing::CheckOverflow() {
  ++counters_.overflows;
  TRIREME_ASSERT(IO_URING_READ_ONCE(*completion_.overflow) == 0);
}

// ---- at once ----

Result<int> UringRing::Listen(const SocketAddress& address, const ListenOptions& options) {
  return ListenOn(address, options);
}
Result<int> UringRing::Open(int family) { return OpenSocket(family); }
void UringRing::SetOptions(int fd, const SocketOptions& options) { SetSocketOptions(fd, options); }
SocketAddress UringRing::PeerAddress(int fd) { return PeerAddressOf(fd); }
SocketAddress UringRing::LocalAddress(int fd) { return LocalAddressOf(fd); }

void UringRing::Shutdown(int fd, int how) {
  ++counters_.system_calls;
  // ENOTCONN: the peer was faster.
  static_cast<void>(shutdown(fd, how));
}

void UringRing::Close(int fd) {
  ++counters_.system_calls;
  // EINTR: the fd is gone all the same on Linux.
  const int result = close(fd);
  TRIREME_ASSERT(result == 0 || errno != EBADF);
}

}  // namespace trireme
