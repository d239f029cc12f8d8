// SPDX-License-Identifier: GPL-3.0-or-later
#include "ring/sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace trireme {
namespace {

using testing::HasSubstr;

struct Directory {
  Directory() {
    char name[] = "/tmp/trireme-sockets-XXXXXX";
    path = mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  SocketAddress Socket() const { return *SocketAddress::Unix(path + "/s"); }
  std::string path;
};

std::string Message(const Result<int>& result) {
  return std::string(FromAbsl(result.status().message()));
}

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

TEST(Sockets, ListensTwiceOnOneTcpPortForTwoCores) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    const Result<int> first = ListenOn(*SocketAddress::Numeric(host, 0), {});
    ASSERT_TRUE(first.ok()) << first.status();
    const SocketAddress address = LocalAddressOf(*first);
    const Result<int> second = ListenOn(address, {});
    EXPECT_TRUE(second.ok()) << second.status();
    if (second.ok()) close(*second);
    close(*first);
  }
}

TEST(Sockets, SaysWhichAddressIsTaken) {
  const Result<int> first =
      ListenOn(*SocketAddress::Numeric("127.0.0.1", 0), {.reuse_port = false});
  ASSERT_TRUE(first.ok());
  const SocketAddress address = LocalAddressOf(*first);
  const Result<int> second = ListenOn(address, {.reuse_port = false});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(Message(second), HasSubstr("cannot listen on " + address.Text()));
  EXPECT_THAT(Message(second), HasSubstr("another program"));
  close(*first);
}

TEST(Sockets, AcceptedSocketsInheritTheOptions) {
  const Result<int> listener = ListenOn(
      *SocketAddress::Numeric("127.0.0.1", 0),
      {.accepted = {.keepalive_idle = 30s, .keepalive_interval = 5s, .keepalive_count = 3}});
  ASSERT_TRUE(listener.ok());
  const SocketAddress address = LocalAddressOf(*listener);
  const int client = *OpenSocket(AF_INET);
  ASSERT_EQ(connect(client, address.data(), address.size()), 0);
  const int accepted = accept(*listener, nullptr, nullptr);
  EXPECT_EQ(Option(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(Option(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(Option(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(Option(accepted, IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(Option(accepted, IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(PeerAddressOf(accepted).Text(), LocalAddressOf(client).Text());
  close(accepted);
  close(client);
  close(*listener);
}

TEST(Sockets, GivesTheSocketFileItsModeWhateverTheUmask) {
  const mode_t before = umask(0077);
  for (const uint32_t mode : {0777u, 0770u, 0600u}) {
    Directory directory;
    const Result<int> fd = ListenOn(directory.Socket(), {.unix_socket_mode = mode});
    ASSERT_TRUE(fd.ok()) << fd.status();
    struct stat status;
    ASSERT_EQ(stat((directory.path + "/s").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, mode);
    close(*fd);
  }
  umask(before);
}

TEST(Sockets, RemovesAStaleSocketFileAndKeepsALiveOne) {
  Directory directory;
  const Result<int> first = ListenOn(directory.Socket(), {});
  ASSERT_TRUE(first.ok());
  const Result<int> second = ListenOn(directory.Socket(), {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(Message(second), HasSubstr(directory.path));
  EXPECT_THAT(Message(second), HasSubstr("another program"));
  close(*first);  // the file stays
  const Result<int> third = ListenOn(directory.Socket(), {});
  EXPECT_TRUE(third.ok()) << third.status();
  if (third.ok()) close(*third);
}

TEST(Sockets, LeavesAFileThatIsNoSocketAlone) {
  Directory directory;
  std::ofstream(directory.path + "/s") << "precious";
  const Result<int> fd = ListenOn(directory.Socket(), {});
  ASSERT_FALSE(fd.ok());
  EXPECT_THAT(Message(fd), HasSubstr("not a socket"));
  EXPECT_TRUE(std::filesystem::exists(directory.path + "/s"));
}

TEST(Sockets, NamesTheMissingDirectory) {
  const Result<int> fd = ListenOn(*SocketAddress::Unix("/tmp/trireme-no-such-directory/s"), {});
  ASSERT_FALSE(fd.ok());
  EXPECT_THAT(Message(fd), HasSubstr("directory of the socket file does not exist"));
}

TEST(Sockets, ListensInTheAbstractNamespace) {
  const std::string name = "@trireme-test-" + std::to_string(getpid());
  const SocketAddress address = *SocketAddress::Unix(name);
  const Result<int> first = ListenOn(address, {});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(ListenOn(address, {}).ok());
  close(*first);
}

TEST(Sockets, SaysWhyASocketCannotBeOpened) {
  errno = 0;
  const Result<int> fd = OpenSocket(AF_UNSPEC);
  EXPECT_EQ(errno, EAFNOSUPPORT);
  ASSERT_FALSE(fd.ok());
  EXPECT_THAT(Message(fd), HasSubstr("cannot open a socket"));
}

}  // namespace
}  // namespace trireme
