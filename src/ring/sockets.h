// SPDX-License-Identifier: GPL-3.0-or-later
//
// Socket calls that answer at once and need no ring: what Ring's immediate half is made of. Sockets
// are in blocking mode (see ring.h) and closed on exec. Errors name the address and what to do.
#pragma once

#include "base/result.h"
#include "base/socket_address.h"
#include "ring/ring.h"

namespace trireme {

Result<int> ListenOn(const SocketAddress& address, const ListenOptions& options);
Result<int> OpenSocket(int family);
void SetSocketOptions(int fd, const SocketOptions& options);
SocketAddress PeerAddressOf(int fd);
SocketAddress LocalAddressOf(int fd);

}  // namespace trireme
