// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/md5.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

constexpr Md5Salt kSalt = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{0xff}};

TEST(Md5Auth, HashesPasswordThenUser) {
  EXPECT_EQ(HashMd5Password({.user = "alice", .password = "hunter2"}).view(),
            "f1d6e2da5767fddc60c941cf0fa924cf");
}

TEST(Md5Auth, ResponseIsTheSaltedHashOfTheHexHash) {
  EXPECT_EQ(Md5Response(HashMd5Password({.user = "alice", .password = "hunter2"}), kSalt),
            "md582c07d7984f5c73cfe8e17a20bf39746");
}

}  // namespace
}  // namespace trireme
