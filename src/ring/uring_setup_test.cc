// SPDX-License-Identifier: GPL-3.0-or-later
#include "ring/uring_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "ring/errno_table.h"
#include "ring/uring_ring.h"

namespace trireme {
namespace {

using testing::HasSubstr;

TEST(UringSetup, SaysWhatForbidsIoUring) {
  struct Case {
    int error;
    std::vector<const char*> says;
  };
  const Case cases[] = {
      {EPERM, {"kernel.io_uring_disabled is 2", "seccomp profile", "Linux 6.1.7"}},
      {ENOSYS, {"seccomp profile", "io_uring_setup", "Linux 6.1.7"}},
      {ENOMEM, {"RLIMIT_MEMLOCK is 65536 bytes", "LimitMEMLOCK", "Linux 6.1.7"}},
      {EINVAL, {"too old", "Linux 6.1 or newer", "Linux 6.1.7"}},
      {EMFILE, {"ulimit -n", "Linux 6.1.7"}},
      {EIO, {"Linux 6.1.7"}},
  };
  for (const Case& a_case : cases) {
    const std::string text{FromAbsl(UringSetupError({.what = "io_uring_setup",
                                                     .error = a_case.error,
                                                     .kernel = "6.1.7",
                                                     .io_uring_disabled = "2",
                                                     .memory_lock_limit = "65536 bytes"})
                                        .message())};
    for (const char* part : a_case.says) EXPECT_THAT(text, HasSubstr(part));
    EXPECT_THAT(text, HasSubstr("io_uring_setup"));
  }
}

TEST(UringSetup, TellsTheFeaturesInOneLine) {
  EXPECT_EQ((UringFeatures{.kernel = "6.1.0"}).Text(),
            "io_uring on Linux 6.1.0, offers: the floor");
  EXPECT_EQ((UringFeatures{.kernel = "6.18.4", .bundles = true, .busy_poll = true}).Text(),
            "io_uring on Linux 6.18.4, offers: bundles, busy polling");
}

TEST(UringSetup, LeavesNothingBehindWhenNeverStarted) {
  Buffers buffers({.block_bytes = 4096, .blocks_max = 16});
  auto ring = UringRing::Create({}, buffers);
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_THAT((*ring)->features().Text(), HasSubstr("io_uring on Linux "));
}

TEST(ErrnoTable, ClassifiesPerOperation) {
  static_assert(Classify(Operation::kReceive, ENOBUFS) == Verdict::kExpected);
  static_assert(Classify(Operation::kSend, ENOBUFS) == Verdict::kCloseConnection);
  static_assert(Classify(Operation::kReceive, ECONNRESET) == Verdict::kCloseConnection);
  static_assert(Classify(Operation::kReceive, EBADF) == Verdict::kStopProgram);
  static_assert(Classify(Operation::kAccept, EMFILE) == Verdict::kExpected);
  static_assert(Classify(Operation::kConnect, EAGAIN) == Verdict::kCloseConnection);
  static_assert(Classify(Operation::kEnter, ETIME) == Verdict::kExpected);
  static_assert(Classify(Operation::kEnter, EIO) == Verdict::kStopProgram);
}

}  // namespace
}  // namespace trireme
