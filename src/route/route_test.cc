// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/route.h"

#include <gtest/gtest.h>

#include "absl/hash/hash_testing.h"
#include "config/load.h"

namespace trireme {
namespace {

RouteConfig Route(std::string database, std::string user) {
  RouteConfig route;
  route.database = std::move(database);
  route.user = std::move(user);
  return route;
}

UserConfig User(std::string name) {
  UserConfig user;
  user.name = std::move(name);
  return user;
}

// The least specific first: Match must not depend on the order.
Config FourRoutes() {
  Config config;
  config.storages = {StorageConfig{.name = "main"}, StorageConfig{.name = "archive"}};
  config.routes = {Route("*", "*"), Route("*", "app"), Route("shop", "*"), Route("shop", "app")};
  config.users = {User("*"), User("app"), User("bob")};
  return config;
}

struct MatchCase {
  std::string_view database;
  std::string_view user;
  std::string_view route_database;
  std::string_view route_user;
};

TEST(Match, TakesTheMostSpecificRoute) {
  const Config config = FourRoutes();
  constexpr MatchCase kCases[] = {
      {"shop", "app", "shop", "app"}, {"shop", "bob", "shop", "*"}, {"other", "app", "*", "app"},
      {"other", "bob", "*", "*"},     {"Shop", "APP", "*", "*"},    {"", "", "*", "*"},
      {"*", "*", "*", "*"},
  };
  for (const MatchCase& test : kCases) {
    const RouteConfig* route = Match(config, test.database, test.user);
    ASSERT_NE(route, nullptr) << test.database << " " << test.user;
    EXPECT_EQ(route->database, test.route_database) << test.database << " " << test.user;
    EXPECT_EQ(route->user, test.route_user) << test.database << " " << test.user;
  }
}

TEST(Match, PrefersTheDatabaseOverTheUser) {
  Config config = FourRoutes();
  config.routes.pop_back();
  EXPECT_EQ(Match(config, "shop", "app"), &config.routes[2]);
}

TEST(Match, FindsNothingWithoutAFallback) {
  Config config = FourRoutes();
  config.routes.erase(config.routes.begin());
  EXPECT_EQ(Match(config, "other", "bob"), nullptr);
  EXPECT_EQ(Match(Config{}, "shop", "app"), nullptr);
}

TEST(FindUser, TakesTheOwnEntryThenTheWildcard) {
  Config config = FourRoutes();
  EXPECT_EQ(FindUser(config, "bob")->name, "bob");
  EXPECT_EQ(FindUser(config, "eve")->name, "*");
  config.users.erase(config.users.begin());
  EXPECT_EQ(FindUser(config, "eve"), nullptr);
  EXPECT_EQ(FindUser(Config{}, "eve"), nullptr);
}

TEST(IsConsole, KnowsItsNameAndPgbouncers) {
  Config config;
  config.console.database = "control";
  EXPECT_TRUE(IsConsole(config, "control"));
  EXPECT_TRUE(IsConsole(config, "pgbouncer"));
  EXPECT_FALSE(IsConsole(config, "trireme"));
  EXPECT_FALSE(IsConsole(config, ""));
}

struct AuthCase {
  AuthMethod global;
  std::optional<AuthMethod> own;
  Secret::Kind stored;
  AuthMethod effective;
};

TEST(EffectiveAuth, FollowsTheUserThenTheStoredVerifier) {
  using enum AuthMethod;
  constexpr AuthCase kCases[] = {
      {kScramSha256, std::nullopt, Secret::Kind::kPlaintext, kScramSha256},
      {kScramSha256, kTrust, Secret::Kind::kNone, kTrust},
      {kTrust, kReject, Secret::Kind::kNone, kReject},
      {kMd5, std::nullopt, Secret::Kind::kMd5, kMd5},
      {kMd5, std::nullopt, Secret::Kind::kPlaintext, kMd5},
      {kMd5, std::nullopt, Secret::Kind::kScram, kScramSha256},
      {kPassword, std::nullopt, Secret::Kind::kScram, kPassword},
  };
  for (const AuthCase& test : kCases) {
    Config config;
    config.auth = test.global;
    UserConfig user = User("app");
    user.auth = test.own;
    user.secret.kind = test.stored;
    EXPECT_EQ(EffectiveAuth(config, &user), test.effective) << &test - kCases;
  }
}

TEST(EffectiveAuth, PlaysTheGlobalMethodForUnknownUsers) {
  Config config;
  EXPECT_EQ(EffectiveAuth(config, nullptr), AuthMethod::kScramSha256);
}

TEST(Resolve, UsesTheClientsNamesWhenTheRouteSaysNothing) {
  Config config = FourRoutes();
  config.users[1].secret = {.kind = Secret::Kind::kPlaintext, .text = "hunter2"};
  const Target target = Resolve(config, config.routes[0], config.users[1], {"shop", "app"});
  EXPECT_EQ(target.storage, &config.storages[0]);
  EXPECT_EQ(target.storage_user, "app");
  EXPECT_EQ(target.storage_database, "shop");
  EXPECT_EQ(target.storage_secret, &config.users[1].secret);
  EXPECT_EQ(target.mode, PoolMode::kTransaction);
  EXPECT_EQ(target.auth, AuthMethod::kScramSha256);
  EXPECT_EQ(target.key, (PoolKey{0, "app", "shop"}));
}

TEST(Resolve, UsesTheRoutesIdentityAndTheUsersSettings) {
  Config config = FourRoutes();
  RouteConfig& route = config.routes[3];
  route.storage_index = 1;
  route.storage_user = "pooler";
  route.storage_database = "shop_v2";
  route.storage_secret = {.kind = Secret::Kind::kPlaintext, .text = "hunter2"};
  UserConfig& user = config.users[1];
  user.pool_mode = PoolMode::kSession;
  user.auth = AuthMethod::kTrust;
  const Target target = Resolve(config, route, user, {"shop", "app"});
  EXPECT_EQ(target.storage, &config.storages[1]);
  EXPECT_EQ(target.storage_user, "pooler");
  EXPECT_EQ(target.storage_database, "shop_v2");
  EXPECT_EQ(target.storage_secret, &route.storage_secret);
  EXPECT_EQ(target.mode, PoolMode::kSession);
  EXPECT_EQ(target.auth, AuthMethod::kTrust);
  EXPECT_EQ(target.key, (PoolKey{3, "pooler", "shop_v2"}));
}

TEST(Resolve, GivesClientsOfOneStorageUserOnePool) {
  Config config = FourRoutes();
  config.routes[0].storage_user = "pooler";
  const Target app = Resolve(config, config.routes[0], config.users[1], {"shop", "app"});
  const Target bob = Resolve(config, config.routes[0], config.users[2], {"shop", "bob"});
  EXPECT_EQ(app.key, bob.key);
}

TEST(Resolve, GivesRoutesOfOneSharedPoolOneKeyWhereTheyLeadToTheSame) {
  Config config = FourRoutes();
  for (const size_t i : {1, 2, 3}) config.routes[i].shared_pool = 0;
  for (const size_t i : {0, 1, 2}) config.routes[i].storage_database = "shop";
  config.routes[3].storage_index = 1;
  const auto resolve = [&](size_t route) {
    return Resolve(config, config.routes[route], config.users[1], {"shop", "app"});
  };
  EXPECT_EQ(resolve(1).key, resolve(2).key);
  EXPECT_EQ(resolve(2).route_index, 1u);      // the first of them
  EXPECT_NE(resolve(0).key, resolve(1).key);  // has its own
  EXPECT_NE(resolve(3).key, resolve(1).key);  // leads elsewhere
}

TEST(Resolve, LogsASharedPoolInAsItsStorageUserWhoeverCameFirst) {
  Config config = FourRoutes();
  config.routes[0].storage_user = config.users[2].name;
  config.users[2].secret = {.kind = Secret::Kind::kPlaintext, .text = "hunter2"};
  const Target known = Resolve(config, config.routes[0], config.users[1], {"shop", "app"});
  EXPECT_EQ(known.storage_secret, &config.users[2].secret);
  config.users.pop_back();
  config.routes[0].storage_user = "nobody known";
  const Target unknown = Resolve(config, config.routes[0], config.users[1], {"shop", "app"});
  EXPECT_EQ(unknown.storage_secret->kind, Secret::Kind::kNone);
}

TEST(PoolKey, HashesAndPrintsEqualOnlyWhenEqual) {
  const std::vector<PoolKey> keys = {
      {},           {0, "a", "b"},   {1, "a", "b"},   {0, "b", "a"},
      {0, "a", ""}, {0, "a@b", "c"}, {0, "a", "b@c"}, {0, "", "a"},
  };
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(keys));
  for (const PoolKey& a : keys) {
    for (const PoolKey& b : keys) EXPECT_EQ(a == b, a.ToString() == b.ToString());
  }
  EXPECT_EQ((PoolKey{2, "app", "main"}.ToString()), "2:3:app@main");
}

}  // namespace
}  // namespace trireme
