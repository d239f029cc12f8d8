// SPDX-License-Identifier: GPL-3.0-or-later
//
// Stops the shared PostgreSQL after the last test, while GoogleTest can still tell of a failure.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "rig/postgres.h"

namespace {

class SharedPostgres : public ::testing::Environment {
  void TearDown() override { trireme::e2e::Postgres::StopShared(); }
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  ::testing::AddGlobalTestEnvironment(new SharedPostgres);
  return RUN_ALL_TESTS();
}
