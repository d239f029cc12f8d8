// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/server_limits.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

Config OneRoute() {
  Config config;
  config.storages = {StorageConfig{.name = "main"}};
  config.routes = {RouteConfig{}};
  config.routes[0].pool.size = 10;
  config.routes[0].pool.min_size = 4;
  config.routes[0].pool.reserve_size = 2;
  return config;
}

UserConfig User(std::string name) {
  UserConfig user;
  user.name = std::move(name);
  return user;
}

TEST(ServerLimits, AreTheRoutesAndHaveNoCapsByDefault) {
  const Config config = OneRoute();
  const ServerLimits limits = ServerLimits::Of(config, config.routes[0], {"app", "shop"});
  EXPECT_EQ(limits.size, 10u);
  EXPECT_EQ(limits.min_size, 4u);
  EXPECT_EQ(limits.reserve_size, 2u);
  EXPECT_EQ(limits.storage_max, 0u);
  EXPECT_EQ(limits.database_max, 0u);
  EXPECT_EQ(limits.user_max, 0u);
}

TEST(ServerLimits, TheUserWhoLogsInThereOverridesTheRoute) {
  Config config = OneRoute();
  config.limits.user_connections_max = 9;
  config.users = {User("*"), User("app")};
  config.users[0].connections_max = 7;
  config.users[1].pool_size = 3;
  config.users[1].reserve_size = 1;
  const ServerLimits own = ServerLimits::Of(config, config.routes[0], {"app", "shop"});
  EXPECT_EQ(own.size, 3u);
  EXPECT_EQ(own.min_size, 3u);  // no more than there may be
  EXPECT_EQ(own.reserve_size, 1u);
  EXPECT_EQ(own.user_max, 9u);
  EXPECT_EQ(ServerLimits::Of(config, config.routes[0], {"eve", "shop"}).user_max, 7u);
}

TEST(ServerLimits, ADatabasesEntryOverridesItsStorage) {
  Config config = OneRoute();
  config.storages[0].connections_max = 50;
  config.storages[0].database_connections_max = 5;
  config.storages[0].databases = {{.name = "all"}, {.name = "shop", .connections_max = 8}};
  const auto of = [&](std::string_view database) {
    return ServerLimits::Of(config, config.routes[0], {"app", database}).database_max;
  };
  EXPECT_EQ(of("shop"), 8u);
  EXPECT_EQ(of("all"), 0u);
  EXPECT_EQ(of("other"), 5u);
  EXPECT_EQ(ServerLimits::Of(config, config.routes[0], {"app", "shop"}).storage_max, 50u);
}

TEST(ServerLimits, ASharedPoolHasOneSizeForAllUsers) {
  Config config = OneRoute();
  config.users = {User("app")};
  config.users[0].pool_size = 3;
  config.routes[0].shared_pool = 0;
  EXPECT_EQ(ServerLimits::Of(config, config.routes[0], {"app", "shop"}).size, 10u);
}

}  // namespace
}  // namespace trireme
