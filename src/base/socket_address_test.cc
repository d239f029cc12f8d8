// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/socket_address.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include <string>

namespace trireme {
namespace {

std::string Text(const Result<SocketAddress>& address) {
  return address.ok() ? address->Text() : std::string(FromAbsl(address.status().message()));
}

TEST(SocketAddress, ParsesNumericHostsOnly) {
  struct Case {
    std::string_view host;
    int family;
    const char* text;
  };
  const Case cases[] = {
      {"127.0.0.1", AF_INET, "127.0.0.1:5432"},
      {"::1", AF_INET6, "[::1]:5432"},
      {"[::1]", AF_INET6, "[::1]:5432"},
      {"2001:DB8::0:1", AF_INET6, "[2001:db8::1]:5432"},
      {"localhost", AF_UNSPEC, "\"localhost\" is not an IPv4 or IPv6 address"},
      {"", AF_UNSPEC, "\"\" is not an IPv4 or IPv6 address"},
      {"[]", AF_UNSPEC, "\"\" is not an IPv4 or IPv6 address"},
      {"127.1", AF_UNSPEC, "\"127.1\" is not an IPv4 or IPv6 address"},
  };
  for (const Case& c : cases) {
    const auto address = SocketAddress::Numeric(c.host, 5432);
    EXPECT_EQ(Text(address), c.text);
    if (!address.ok()) continue;
    EXPECT_EQ(address->family(), c.family);
    EXPECT_EQ(address->port(), 5432);
    EXPECT_FALSE(address->is_unix());
  }
}

TEST(SocketAddress, KeepsUnixPathsAndAbstractNames) {
  const auto path = SocketAddress::Unix("/run/x/.s.PGSQL.5432");
  EXPECT_EQ(Text(path), "/run/x/.s.PGSQL.5432");
  EXPECT_TRUE(path->is_unix());
  EXPECT_EQ(path->port(), 0);
  EXPECT_EQ(Text(SocketAddress::Unix("@trireme")), "@trireme");
}

TEST(SocketAddress, SaysHowLongAUnixPathMayBe) {
  const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'x');
  EXPECT_EQ(Text(SocketAddress::Unix(longest)), longest);
  EXPECT_EQ(Text(SocketAddress::Unix(longest + "x")),
            "Unix socket path \"" + longest + "x\" must have 1 to 107 bytes");
  EXPECT_EQ(Text(SocketAddress::Unix("")), "Unix socket path \"\" must have 1 to 107 bytes");
}

TEST(SocketAddress, RefusesNulBytesInsteadOfCuttingThere) {
  EXPECT_FALSE(SocketAddress::Numeric(std::string_view("127.0.0.1\0x", 11), 5432).ok());
  EXPECT_FALSE(SocketAddress::Numeric(std::string_view("::1\0x", 5), 5432).ok());
  EXPECT_EQ(Text(SocketAddress::Unix(std::string_view("/run/x\0y", 8))),
            "Unix socket path with a NUL byte; the kernel would cut it there");
}

TEST(SocketAddress, SurvivesTheKernelsUnnamedPeer) {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const SocketAddress address(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t));
  EXPECT_EQ(address.Text(), "unix");
}

}  // namespace
}  // namespace trireme
