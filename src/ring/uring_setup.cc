// SPDX-License-Identifier: GPL-3.0-or-later
//
// Set-up of a UringRing: what the kernel must offer, what else it offers, and what to tell the
// person whose kernel or container forbids it.
#include "ring/uring_setup.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ring/uring_ring.h"

namespace trireme {
namespace {

// Newer than the headers of liburing 2.3 (include/uapi/linux/io_uring.h).
constexpr unsigned kFeatureBundle = 1u << 14;       // IORING_FEAT_RECVSEND_BUNDLE
constexpr unsigned kFeatureMinimumWait = 1u << 15;  // IORING_FEAT_MIN_TIMEOUT
constexpr uint16_t kBufferRingIncremental = 2;      // IOU_PBUF_RING_INC
constexpr unsigned kUnregisterNapi = 28;            // IORING_UNREGISTER_NAPI

struct Napi {  // struct io_uring_napi
  uint32_t busy_poll_to;
  uint8_t prefer_busy_poll;
  uint8_t pad[3];
  uint64_t reserved;
};

constexpr uint16_t kProbeGroup = 1;

std::string KernelRelease() {
  utsname name{};
  return uname(&name) == 0 ? std::string(name.release) : std::string("unknown");
}

// "2", or "" where the setting does not exist (before Linux 6.6).
std::string IoUringDisabled() {
  const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char digit = 0;
  const ssize_t size = read(fd, &digit, 1);
  close(fd);
  return size == 1 ? std::string(1, digit) : "";
}

std::string MemoryLockLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit.rlim_cur, " bytes");
}

void* MapPages(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

bool SupportsIncrementalBuffers(io_uring* uring) {
  const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = MapPages(size);
  if (memory == nullptr) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = 8;
  registration.bgid = kProbeGroup;
  registration.pad =
      kBufferRingIncremental;  // `flags` since Linux 6.4; not zero was an error before
  const bool supported = io_uring_register_buf_ring(uring, &registration, 0) == 0;
  if (supported) io_uring_unregister_buf_ring(uring, kProbeGroup);
  munmap(memory, size);
  return supported;
}

}  // namespace

std::string UringFeatures::Text() const {
  std::string list;
  const auto add = [&list](bool present, const char* name) {
    if (present) absl::StrAppend(&list, list.empty() ? "" : ", ", name);
  };
  add(bundles, "bundles");
  add(incremental_buffers, "incremental buffers");
  add(minimum_wait, "minimum wait");
  add(busy_poll, "busy polling");
  return absl::StrCat("io_uring on Linux ", kernel,
                      ", offers: ", list.empty() ? "the floor" : list);
}

Status UringSetupError(const UringSetupFailure& failure) {
  std::string text =
      absl::StrCat("cannot set up io_uring (", failure.what, "): ", std::strerror(failure.error),
                   ". Running kernel: Linux ", failure.kernel, ". ");
  switch (failure.error) {
    case ENOSYS:
      absl::StrAppend(
          &text,
          "io_uring is missing: the kernel was built without it, or the seccomp profile "
          "of the container hides it (Docker's and containerd's default does). Allow "
          "io_uring_setup, io_uring_enter and io_uring_register there.");
      break;
    case EPERM:
    case EACCES:
      absl::StrAppend(&text, "io_uring is forbidden: sysctl kernel.io_uring_disabled is ",
                      failure.io_uring_disabled.empty() ? "not present" : failure.io_uring_disabled,
                      " (0 = allowed, 1 = for kernel.io_uring_group and CAP_SYS_ADMIN, 2 = for "
                      "nobody); or the seccomp profile of the container denies io_uring_setup, "
                      "io_uring_enter and io_uring_register.");
      break;
    case ENOMEM:
      absl::StrAppend(&text, "Not enough memory that may be locked: RLIMIT_MEMLOCK is ",
                      failure.memory_lock_limit,
                      " (ulimit -l, LimitMEMLOCK= in a systemd unit); or the memory limit of the "
                      "container is too small.");
      break;
    case EINVAL:
      absl::StrAppend(&text, "The kernel is too old: Linux 6.1 or newer is needed.");
      break;
    case EMFILE:
    case ENFILE:
      absl::StrAppend(&text, "Out of file descriptors: raise the limit (ulimit -n).");
      break;
    default:
      break;
  }
  return Unavailable(text);
}

static Status Failed(const char* what, int error) {
  return UringSetupError({.what = what,
                          .error = error,
                          .kernel = KernelRelease(),
                          .io_uring_disabled = IoUringDisabled(),
                          .memory_lock_limit = MemoryLockLimit()});
}

Result<std::unique_ptr<UringRing>> UringRing::Create(const Options& options, Buffers& buffers) {
  std::unique_ptr<UringRing> ring(new UringRing(options, buffers));
  Status status = ring->SetUp();
  if (!status.ok()) return status;
  return ring;
}

UringRing::UringRing(const Options& options, Buffers& buffers)
    : options_(options), buffers_(buffers), published_target_(options.published_min) {
  TRIREME_ASSERT(std::has_single_bit(options.published_max) && options.published_max <= 32768);
  TRIREME_ASSERT(options.published_min > 0 && options.published_min <= options.published_max);
}

Status UringRing::SetUp() {
  Status status = SetUpQueues();
  if (status.ok()) status = SetUpBufferRing();
  if (!status.ok()) return status;
  outside_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (outside_fd_ < 0) return Failed("eventfd", errno);
  Probe();
  return OkStatus();
}

Status UringRing::SetUpQueues() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
  params.cq_entries = std::max(options_.completion_entries, options_.submission_entries);
  auto uring = std::make_unique<io_uring>();
  const int error = -io_uring_queue_init_params(options_.submission_entries, uring.get(), &params);
  if (error != 0) return Failed("io_uring_setup", error);
  uring_ = std::move(uring);
  constexpr unsigned kNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
  if ((uring_->features & kNeeded) != kNeeded) return Failed("io_uring_setup", EINVAL);
  // Entry i is always submission i: the indirection is filled in once.
  const io_uring_sq& sq = uring_->sq;
  const io_uring_cq& cq = uring_->cq;
  for (unsigned i = 0; i < sq.ring_entries; ++i) sq.array[i] = i;
  submission_ = {.head = sq.khead,
                 .tail = sq.ktail,
                 .flags = sq.kflags,
                 .entries = sq.sqes,
                 .size = sq.ring_entries,
                 .next = 0};
  completion_ = {.head = cq.khead,
                 .tail = cq.ktail,
                 .overflow = cq.koverflow,
                 .entries = cq.cqes,
                 .mask = cq.ring_mask};
  return OkStatus();
}

Status UringRing::SetUpBufferRing() {
  void* memory = MapPages(options_.published_max * sizeof(io_uring_buf));
  if (memory == nullptr) return Failed("buffer ring", errno);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = options_.published_max;
  const int error = -io_uring_register_buf_ring(uring_.get(), &registration, 0);
  return error == 0 ? OkStatus() : Failed("buffer ring", error);
}

void UringRing::Probe() {
  features_.kernel = KernelRelease();
  features_.bundles = (uring_->features & kFeatureBundle) != 0;
  features_.minimum_wait = (uring_->features & kFeatureMinimumWait) != 0;
  features_.incremental_buffers = SupportsIncrementalBuffers(uring_.get());
  Napi napi{};
  features_.busy_poll =
      io_uring_register(static_cast<unsigned>(uring_->ring_fd), kUnregisterNapi, &napi, 1) == 0;
}

Status UringRing::Start() {
  TRIREME_ASSERT(!started_);
  // Not io_uring_enable_rings: the shared library of 2.3 declares it and does not export it.
  int error = -io_uring_register(static_cast<unsigned>(uring_->ring_fd),
                                 IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error != 0) return Failed("enabling", error);
  owner_ = std::this_thread::get_id();
  started_ = true;
  // Saves the kernel a look-up each turn. Returns the number registered.
  error = -io_uring_register_ring_fd(uring_.get());
  if (error > 0) return Failed("registering the ring", error);
  enter_fd_ = static_cast<unsigned>(uring_->enter_ring_fd);
  enter_flags_ = uring_->enter_ring_fd == uring_->ring_fd ? 0 : IORING_ENTER_REGISTERED_RING;
  now_ = std::chrono::steady_clock::now();
  ArmOutside();
  return OkStatus();
}

UringRing::~UringRing() {
  TRIREME_ASSERT(in_flight_ == 0);
  if (uring_ != nullptr) {
    // On another thread the number would name a ring of that thread.
    if (owner_ != std::this_thread::get_id()) uring_->int_flags = 0;
    io_uring_queue_exit(uring_.get());
  }
  if (buffer_ring_ != nullptr) {
    const uint32_t mask = options_.published_max - 1;
    for (; published_ > 0; --published_) {
      const auto position = static_cast<uint16_t>(buffer_tail_ - published_);
      buffers_.ReturnUnused(buffers_.ById(buffer_ring_->bufs[position & mask].bid));
    }
    munmap(buffer_ring_, options_.published_max * sizeof(io_uring_buf));
  }
  if (outside_fd_ >= 0) close(outside_fd_);
}

}  // namespace trireme
