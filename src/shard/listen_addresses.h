// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where a listener binds: "*" is every IPv4 and IPv6 address, a name is everything it resolves to.
// Blocks on name lookup, so it is called before the first turn only.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "config/config.h"

namespace trireme {

Result<std::vector<SocketAddress>> ListenAddresses(const ListenerConfig& listener);

}  // namespace trireme
