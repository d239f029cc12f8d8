// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/client_limits.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Source = TimeLimit::Source;

TEST(ClientLimits, AreThePoolsWhenNobodySaysOtherwise) {
  Config config;
  config.timeouts.client_idle = 9s;
  RouteConfig route;
  route.pool.wait_timeout = 1s;
  route.pool.wait_notify = 2s;
  route.pool.query_timeout = 3s;
  route.pool.transaction_timeout = 4s;
  route.pool.idle_in_transaction_timeout = 5s;
  const ClientLimits limits = ClientLimits::Of(config, route, UserConfig{});
  EXPECT_EQ(limits.wait.after, 1s);
  EXPECT_EQ(limits.wait_notify, 2s);
  EXPECT_EQ(limits.query.after, 3s);
  EXPECT_EQ(limits.query.source, Source::kRoute);
  EXPECT_EQ(limits.transaction.after, 4s);
  EXPECT_EQ(limits.idle_in_transaction.after, 5s);
  EXPECT_EQ(limits.idle.after, 9s);
  EXPECT_EQ(limits.idle.source, Source::kEverybody);
  EXPECT_EQ(limits.shortest, 3s);
}

TEST(ClientLimits, TheUsersEntryOverridesThePool) {
  RouteConfig route;
  route.pool.query_timeout = 3s;
  route.pool.transaction_timeout = 4s;
  UserConfig user;
  user.wait_timeout = 11s;
  user.query_timeout = 12s;
  user.transaction_timeout = 0s;  // switched off
  user.idle_in_transaction_timeout = 13s;
  const ClientLimits limits = ClientLimits::Of(Config{}, route, user);
  EXPECT_EQ(limits.wait.after, 11s);
  EXPECT_EQ(limits.wait.source, Source::kUser);
  EXPECT_EQ(limits.query.after, 12s);
  EXPECT_EQ(limits.query.source, Source::kUser);
  EXPECT_EQ(limits.transaction.after, 0s);
  EXPECT_EQ(limits.idle_in_transaction.after, 13s);
  EXPECT_EQ(limits.shortest, 12s);
}

TEST(ClientLimits, IdleTimeIsTheUsersThenTheRoutesThenEverybodys) {
  Config config;
  config.timeouts.client_idle = 1s;
  RouteConfig route;
  UserConfig user;
  EXPECT_EQ(ClientLimits::Of(config, route, user).idle.source, Source::kEverybody);
  route.client_idle_timeout = 2s;
  EXPECT_EQ(ClientLimits::Of(config, route, user).idle.source, Source::kRoute);
  EXPECT_EQ(ClientLimits::Of(config, route, user).idle.after, 2s);
  user.client_idle_timeout = 3s;
  EXPECT_EQ(ClientLimits::Of(config, route, user).idle.source, Source::kUser);
  EXPECT_EQ(ClientLimits::Of(config, route, user).idle.after, 3s);
}

TEST(ClientLimits, NothingHasToBeWatchedByDefault) {
  EXPECT_EQ(ClientLimits::Of(Config{}, RouteConfig{}, UserConfig{}).shortest, 0s);
}

}  // namespace
}  // namespace trireme
