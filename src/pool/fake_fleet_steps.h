// SPDX-License-Identifier: GPL-3.0-or-later
//
// For tests: the steps that most of them take on a FakeFleet.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "pool/fake_fleet.h"

namespace trireme {

inline FakeFleet::Options With(uint32_t cores, uint32_t size) {
  FakeFleet::Options options{.cores = cores};
  options.settings.pool.size = size;
  return options;
}

// A client of each core that has asked for a server and got one.
inline FakeServer& Served(FakeFleet& fleet, uint32_t core, FakeClient& client) {
  fleet.pool(core).Checkout(client, client);
  EXPECT_TRUE(fleet.Settle());
  EXPECT_NE(client.server, nullptr);
  return *client.server;
}

inline void GiveBack(FakeFleet& fleet, uint32_t core, FakeClient& client) {
  fleet.pool(core).Return(*std::exchange(client.server, nullptr));
}

}  // namespace trireme
