// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/ring.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/assert.h"

namespace trireme::bench {
namespace {

constexpr unsigned kFeatureMinimumWait = 1u << 15;  // IORING_FEAT_MIN_TIMEOUT, not in liburing 2.3
constexpr unsigned kMinimumWaitMicroseconds = 50;
constexpr Duration kSendsWait = 10ms;  // bounds a wait for sends that did not complete at once
constexpr size_t kSmallSend = 4096;

Status Failed(std::string_view what, int error) {
  return Unavailable(absl::StrCat("cannot set up io_uring (", ToAbsl(what),
                                  "): ", std::strerror(error),
                                  "; trireme --version says what this kernel lacks"));
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::Create(const Options& options) {
  std::unique_ptr<Ring> ring(new Ring(options));
  Status status = ring->SetUp();
  if (!status.ok()) return status;
  return ring;
}

Status Ring::SetUp() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                 IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = options_.completions;
  int error = -io_uring_queue_init_params(options_.submissions, &uring_, &params);
  if (error != 0) return Failed("io_uring_setup", error);
  ready_ = true;
  minimum_wait_ = (uring_.features & kFeatureMinimumWait) != 0;
  for (unsigned i = 0; i < uring_.sq.ring_entries; ++i) uring_.sq.array[i] = i;
  io_uring_register_ring_fd(&uring_);  // saves a look-up each turn; works without

  const size_t memory_bytes = size_t{options_.buffers} * options_.buffer_bytes;
  const size_t ring_bytes = options_.buffers * sizeof(io_uring_buf);
  void* memory =
      mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Failed("buffers", errno);
  memory_ = static_cast<std::byte*>(memory);
  void* entries = mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (entries == MAP_FAILED) return Failed("buffer ring", errno);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(entries);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(entries);
  registration.ring_entries = options_.buffers;
  error = -io_uring_register_buf_ring(&uring_, &registration, 0);
  if (error != 0) return Failed("buffer ring", error);
  for (uint32_t i = options_.buffers; i-- > 0;) Recycle(static_cast<uint16_t>(i));
  now_ = std::chrono::steady_clock::now();
  return OkStatus();
}

Ring::~Ring() {
  if (ready_) io_uring_queue_exit(&uring_);
  if (memory_ != nullptr) munmap(memory_, size_t{options_.buffers} * options_.buffer_bytes);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, options_.buffers * sizeof(io_uring_buf));
}

void Ring::Recycle(uint16_t buffer) {
  io_uring_buf& entry = buffer_ring_->bufs[buffer_tail_ & (options_.buffers - 1)];
  entry.addr = reinterpret_cast<uint64_t>(memory_ + size_t{buffer} * options_.buffer_bytes);
  entry.len = options_.buffer_bytes;
  entry.bid = buffer;
  io_uring_smp_store_release(&buffer_ring_->tail, ++buffer_tail_);
}

io_uring_sqe& Ring::Begin(uint64_t user_data) {
  io_uring_sq& queue = uring_.sq;
  while (queue.sqe_tail - io_uring_smp_load_acquire(queue.khead) >= queue.ring_entries) {
    Submit(0, 0, 0);
  }
  io_uring_sqe& entry = queue.sqes[queue.sqe_tail++ & queue.ring_mask];
  std::memset(&entry, 0, sizeof entry);
  entry.user_data = user_data;
  return entry;
}

void Ring::BeginAccept(int listener, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_ACCEPT;
  entry.fd = listener;
  entry.accept_flags = SOCK_CLOEXEC;
  entry.ioprio = IORING_ACCEPT_MULTISHOT;
}

void Ring::BeginConnect(int fd, const sockaddr* address, socklen_t size, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_CONNECT;
  entry.fd = fd;
  entry.addr = reinterpret_cast<uint64_t>(address);
  entry.off = size;
}

void Ring::BeginReceive(int fd, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_RECV;
  entry.fd = fd;
  entry.ioprio = IORING_RECV_MULTISHOT;
  entry.flags = IOSQE_BUFFER_SELECT;
}

void Ring::BeginReceiveInto(int fd, MutableBytes memory, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_RECV;
  entry.fd = fd;
  entry.addr = reinterpret_cast<uint64_t>(memory.data());
  entry.len = static_cast<uint32_t>(memory.size());
}

void Ring::BeginSend(int fd, Bytes bytes, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_SEND;
  entry.fd = fd;
  entry.addr = reinterpret_cast<uint64_t>(bytes.data());
  entry.len = static_cast<uint32_t>(bytes.size());
  entry.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  if (bytes.size() <= kSmallSend) ++small_sends_;
}

void Ring::BeginSendMessage(int fd, const msghdr& message, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_SENDMSG;
  entry.fd = fd;
  entry.addr = reinterpret_cast<uint64_t>(&message);
  entry.len = 1;
  entry.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
}

void Ring::BeginCancel(uint64_t target, uint64_t user_data) {
  io_uring_sqe& entry = Begin(user_data);
  entry.opcode = IORING_OP_ASYNC_CANCEL;
  entry.fd = -1;
  entry.addr = target;
}

void Ring::Enter(Time deadline) {
  ++turns_;
  const bool none_ready = *uring_.cq.khead == io_uring_smp_load_acquire(uring_.cq.ktail);
  const bool wait = none_ready && deadline > now_;
  unsigned wait_for = wait ? 1 : 0;
  unsigned minimum_wait_us = 0;
  if (wait && small_sends_ > 0 && minimum_wait_) {
    wait_for += small_sends_;
    minimum_wait_us = kMinimumWaitMicroseconds;
    deadline = std::min(deadline, now_ + kSendsWait);
  }
  small_sends_ = 0;
  __kernel_timespec timeout{};
  const bool bounded = wait && deadline != kNever;
  if (bounded) {
    // From now, not from the last turn: what was done since has taken time.
    const Duration left = deadline - std::chrono::steady_clock::now();
    const int64_t nanoseconds = std::max<int64_t>(left.count(), 0);
    timeout = {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
  }
  Submit(wait_for, bounded ? reinterpret_cast<uint64_t>(&timeout) : 0, minimum_wait_us);
  now_ = std::chrono::steady_clock::now();
}

void Ring::Submit(unsigned wait_for, uint64_t timeout_address, unsigned minimum_wait_us) {
  io_uring_sq& queue = uring_.sq;
  io_uring_smp_store_release(queue.ktail, queue.sqe_tail);
  const unsigned to_submit = queue.sqe_tail - io_uring_smp_load_acquire(queue.khead);
  // `pad` is min_wait_usec in newer headers.
  io_uring_getevents_arg argument{
      .sigmask = 0, .sigmask_sz = _NSIG / 8, .pad = minimum_wait_us, .ts = timeout_address};
  const bool registered = uring_.enter_ring_fd != uring_.ring_fd;
  const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
                         (registered ? IORING_ENTER_REGISTERED_RING : 0u);
  const int result =
      io_uring_enter2(static_cast<unsigned>(uring_.enter_ring_fd), to_submit, wait_for, flags,
                      reinterpret_cast<sigset_t*>(&argument), sizeof argument);
  TRIREME_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
                 result == -EBUSY);
}

uint64_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
  return limit.rlim_cur;
}

Status PinThread(int cpu) {
  if (cpu < 0) return OkStatus();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(static_cast<size_t>(cpu), &set);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  if (error == 0) return OkStatus();
  return InvalidArgument(
      absl::StrCat("cannot bind a thread to CPU ", cpu, ": ", std::strerror(error)));
}

void WantExactTimers() { static_cast<void>(prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)); }

}  // namespace trireme::bench
