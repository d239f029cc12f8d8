// SPDX-License-Identifier: GPL-3.0-or-later
//
// The table of fields against config.h: every option is read into its own member, printed from it,
// and has the default that config.h says.
#include "config/fields.h"

#include <gtest/gtest.h>

#include <set>

#include "config/load.h"

namespace trireme {
namespace {

class NoWorld final : public Environment {
 public:
  Result<File> ReadFile(const std::string&) const override { return Unavailable("no files here"); }
  std::optional<std::string> Variable(const std::string&) const override { return std::nullopt; }
};

// Every option, none with its default, no two of one section alike.
constexpr std::string_view kEverything = R"({
  "listen": [
    {"host": "127.0.0.1", "port": 7001, "backlog": 11},
    {"unix_socket_dir": "/run/trireme", "port": 7002, "unix_socket_mode": "0750", "backlog": 12}
  ],
  "cores": {"use": [2, 0], "pin": false, "spin": "50us"},
  "sharing": {
    "policy": "isolated", "victim": "random", "fairness_window": "2ms", "placement": "kernel"
  },
  "auth": "md5",
  "scram_iterations": 5000,
  "storages": {
    "main": {
      "hosts": ["127.0.0.1:5433", "[::1]:5434", "/var/run/postgresql:5435"],
      "protocol": "3.2",
      "connections_max": 101, "database_connections_max": 102,
      "databases": {"shop": {"connections_max": 103}},
      "cancels_max": 6, "connect_timeout": "3s", "connecting_max": 5,
      "connect_backoff_min": "200ms", "connect_backoff_max": "16s"
    }
  },
  "users": {
    "app": {
      "secret": "hunter2", "auth": "password", "pool_mode": "session", "clients_max": 7,
      "connections_max": 71, "pool_size": 72, "reserve_size": 73, "wait_timeout": "74s",
      "query_timeout": "75s", "transaction_timeout": "76s", "idle_in_transaction_timeout": "77s",
      "client_idle_timeout": "78s"
    }
  },
  "pool": {
    "mode": "statement", "size": 21, "min_size": 3, "reserve_size": 4, "reserve_timeout": "31s",
    "idle_timeout": "1s", "server_lifetime": "10s",
    "server_lifetime_jitter": "3s", "wait_timeout": "4s", "wait_notify": "32s",
    "query_timeout": "33s", "transaction_timeout": "34s", "idle_in_transaction_timeout": "35s",
    "connect_query": "SELECT 1", "reset": "when_dirty", "reset_query": "RESET ALL",
    "reset_timeout": "5s", "cancel_on_disconnect": false, "rollback_on_disconnect": false,
    "check_query": ";", "check_delay": "36s", "deferred_begin": true,
    "prepared_statements_max": 55, "plan_cache": true,
    "on_session_state": "allow"
  },
  "shared_pools": {
    "web": {
      "mode": "session", "size": 41, "min_size": 40, "reserve_size": 43, "reserve_timeout": "44s",
      "idle_timeout": "45s", "server_lifetime": "46s",
      "server_lifetime_jitter": "3s", "wait_timeout": "47s", "wait_notify": "48s",
      "query_timeout": "49s", "transaction_timeout": "50s", "idle_in_transaction_timeout": "51s",
      "connect_query": "SELECT 2", "reset": "always", "reset_query": "RESET ALL",
      "reset_timeout": "52s", "cancel_on_disconnect": true, "rollback_on_disconnect": false,
      "check_query": "SELECT 3", "check_delay": "53s", "deferred_begin": true,
      "prepared_statements_max": 56, "plan_cache": false,
      "on_session_state": "pin"
    }
  },
  "routes": [
    {
      "database": "shop", "user": "app", "storage": "main", "storage_database": "shop_v2",
      "storage_user": "pooler", "storage_secret": "sesame", "clients_max": 8,
      "client_idle_timeout": "9s",
      "pool": {
        "mode": "session", "size": 22, "min_size": 0, "reserve_size": 61, "reserve_timeout": "62s",
        "idle_timeout": "11s", "server_lifetime": "12s",
        "server_lifetime_jitter": "0", "wait_timeout": "14s", "wait_notify": "0",
        "query_timeout": "63s", "transaction_timeout": "64s",
        "idle_in_transaction_timeout": "65s", "connect_query": "", "reset": "session",
        "reset_query": "", "reset_timeout": "15s", "cancel_on_disconnect": false,
        "rollback_on_disconnect": true, "check_query": "", "check_delay": "0",
        "deferred_begin": false,
        "prepared_statements_max": 0, "plan_cache": true, "on_session_state": "reject"
      },
      "startup_parameters": {"search_path": "shop", "work_mem": "64MB"}, "replication": "refuse"
    },
    {
      "database": "*", "user": "*", "storage": "main", "storage_database": "",
      "storage_user": "", "clients_max": 0, "shared_pool": "web", "startup_parameters": {},
      "replication": "allow"
    }
  ],
  "limits": {
    "clients_max": 201, "user_clients_max": 204, "database_clients_max": 205,
    "user_connections_max": 206, "pools_max": 202, "startup_packet_bytes_max": "2KiB",
    "auth_packet_bytes_max": "3KiB", "message_bytes_max": "1MiB", "backlog_bytes_max": "128KiB",
    "expected_replies_max": 203, "client_statements_max": 204,
    "client_statement_bytes_max": "1MiB", "buffer_bytes": "8KiB", "buffers_max": 256, "mail_slots": 512
  },
  "timeouts": {
    "client_login": "21s", "client_idle": "22s", "half_close": "28s", "cancel": "23s",
    "shutdown": "24s",
    "tcp_keepalive_idle": "25s", "tcp_keepalive_interval": "26s", "tcp_keepalive_count": 27
  },
  "log": {
    "format": "json", "level": "warning", "file": "/var/log/trireme.log", "connections": false,
    "disconnections": false
  },
  "console": {"database": "control", "admin_users": ["app"], "stats_users": ["app", "app"]},
  "run_as_user": "nobody",
  "ignore_startup_parameters": ["extra_float_digits", "options"],
  "application_name_add_host": true
}
)";

Config Everything() {
  LoadResult result = Load(kEverything, "c.json", NoWorld());
  EXPECT_EQ(result.Report(), "");
  return result.config.value_or(Config{});
}

TEST(Fields, ReadListenersIntoTheirMembers) {
  const Config config = Everything();
  ASSERT_EQ(config.listeners.size(), 2u);
  const ListenerConfig& tcp = config.listeners[0];
  EXPECT_EQ(tcp.host, "127.0.0.1");
  EXPECT_EQ(tcp.unix_socket_dir, "");
  EXPECT_EQ(tcp.port, 7001);
  EXPECT_EQ(tcp.backlog, 11u);
  const ListenerConfig& unix_socket = config.listeners[1];
  EXPECT_EQ(unix_socket.host, "");
  EXPECT_EQ(unix_socket.unix_socket_dir, "/run/trireme");
  EXPECT_EQ(unix_socket.port, 7002);
  EXPECT_EQ(unix_socket.unix_socket_mode, 0750u);
  EXPECT_EQ(unix_socket.backlog, 12u);
}

TEST(Fields, ReadCoresAndSharingIntoTheirMembers) {
  const Config config = Everything();
  EXPECT_EQ(config.cores.kind, CoresConfig::Kind::kList);
  EXPECT_EQ(config.cores.cpus, (std::vector<uint32_t>{2, 0}));
  EXPECT_FALSE(config.cores.pin);
  EXPECT_EQ(config.cores.spin, 50us);
  EXPECT_EQ(config.sharing.policy, Sharing::kIsolated);
  EXPECT_EQ(config.sharing.victim, VictimChoice::kRandom);
  EXPECT_EQ(config.sharing.fairness_window, 2ms);
  EXPECT_EQ(config.sharing.placement, Placement::kKernel);
}

TEST(Fields, ReadCoresInEveryForm) {
  const auto cores = [](std::string_view form) {
    std::string text(kEverything);
    const std::string_view object = R"({"use": [2, 0], "pin": false, "spin": "50us"})";
    text.replace(text.find(object), object.size(), form);
    const LoadResult result = Load(text, "c.json", NoWorld());
    EXPECT_EQ(result.Report(), "");
    return result.config.value_or(Config{}).cores;
  };
  EXPECT_EQ(cores("\"auto\"").kind, CoresConfig::Kind::kAuto);
  EXPECT_EQ(cores("4").kind, CoresConfig::Kind::kCount);
  EXPECT_EQ(cores("4").count, 4u);
  EXPECT_EQ(cores("[1]").cpus, (std::vector<uint32_t>{1}));
  EXPECT_EQ(cores("{\"use\": 4}").count, 4u);
  EXPECT_EQ(cores("{\"spin\": \"1us\"}").kind, CoresConfig::Kind::kAuto);
}

TEST(Fields, ReadStoragesAndUsersIntoTheirMembers) {
  const Config config = Everything();
  EXPECT_EQ(config.auth, AuthMethod::kMd5);
  EXPECT_EQ(config.scram_iterations, 5000u);
  ASSERT_EQ(config.storages.size(), 1u);
  const StorageConfig& storage = config.storages[0];
  EXPECT_EQ(storage.name, "main");
  ASSERT_EQ(storage.hosts.size(), 3u);
  EXPECT_EQ(storage.hosts[1].host, "::1");
  EXPECT_EQ(storage.hosts[2].host, "/var/run/postgresql");
  EXPECT_EQ(storage.hosts[2].port, 5435);
  EXPECT_EQ(storage.protocol, ServerProtocol::k32);
  EXPECT_EQ(storage.connections_max, 101u);
  EXPECT_EQ(storage.database_connections_max, 102u);
  ASSERT_EQ(storage.databases.size(), 1u);
  EXPECT_EQ(storage.databases[0].name, "shop");
  EXPECT_EQ(storage.databases[0].connections_max, 103u);
  EXPECT_EQ(storage.connect_timeout, 3s);
  EXPECT_EQ(storage.connecting_max, 5u);
  EXPECT_EQ(storage.cancels_max, 6u);
  EXPECT_EQ(storage.connect_backoff_min, 200ms);
  EXPECT_EQ(storage.connect_backoff_max, 16s);
  ASSERT_EQ(config.users.size(), 1u);
  const UserConfig& user = config.users[0];
  EXPECT_EQ(user.name, "app");
  EXPECT_EQ(user.secret.kind, Secret::Kind::kPlaintext);
  EXPECT_EQ(user.secret.text, "hunter2");
  EXPECT_EQ(user.auth, AuthMethod::kPassword);
  EXPECT_EQ(user.pool_mode, PoolMode::kSession);
  EXPECT_EQ(user.clients_max, 7u);
  EXPECT_EQ(user.connections_max, 71u);
  EXPECT_EQ(user.pool_size, 72u);
  EXPECT_EQ(user.reserve_size, 73u);
  EXPECT_EQ(user.wait_timeout, 74s);
  EXPECT_EQ(user.query_timeout, 75s);
  EXPECT_EQ(user.transaction_timeout, 76s);
  EXPECT_EQ(user.idle_in_transaction_timeout, 77s);
  EXPECT_EQ(user.client_idle_timeout, 78s);
}

TEST(Fields, ReadPoolsAndRoutesIntoTheirMembers) {
  const Config config = Everything();
  EXPECT_EQ(config.pool.mode, PoolMode::kStatement);
  EXPECT_EQ(config.pool.size, 21u);
  EXPECT_EQ(config.pool.idle_timeout, 1s);
  EXPECT_EQ(config.pool.server_lifetime, 10s);
  EXPECT_EQ(config.pool.server_lifetime_jitter, 3s);
  EXPECT_EQ(config.pool.min_size, 3u);
  EXPECT_EQ(config.pool.reserve_size, 4u);
  EXPECT_EQ(config.pool.reserve_timeout, 31s);
  EXPECT_EQ(config.pool.wait_timeout, 4s);
  EXPECT_EQ(config.pool.wait_notify, 32s);
  EXPECT_EQ(config.pool.query_timeout, 33s);
  EXPECT_EQ(config.pool.transaction_timeout, 34s);
  EXPECT_EQ(config.pool.idle_in_transaction_timeout, 35s);
  EXPECT_EQ(config.pool.connect_query, "SELECT 1");
  EXPECT_EQ(config.pool.reset, ResetPolicy::kWhenDirty);
  EXPECT_EQ(config.pool.reset_query, "RESET ALL");
  EXPECT_EQ(config.pool.reset_timeout, 5s);
  EXPECT_FALSE(config.pool.cancel_on_disconnect);
  EXPECT_FALSE(config.pool.rollback_on_disconnect);
  EXPECT_EQ(config.pool.check_query, ";");
  EXPECT_EQ(config.pool.check_delay, 36s);
  EXPECT_TRUE(config.pool.deferred_begin);
  EXPECT_EQ(config.pool.prepared_statements_max, 55u);
  EXPECT_TRUE(config.pool.plan_cache);
  EXPECT_EQ(config.pool.on_session_state, OnSessionState::kAllow);
  ASSERT_EQ(config.shared_pools.size(), 1u);
  EXPECT_EQ(config.shared_pools[0].name, "web");
  EXPECT_EQ(config.shared_pools[0].pool.size, 41u);
  ASSERT_EQ(config.routes.size(), 2u);
  EXPECT_EQ(config.routes[1].shared_pool, 0u);
  EXPECT_EQ(config.routes[1].pool.query_timeout, 49s);  // what is written for the shared one
  const RouteConfig& route = config.routes[0];
  EXPECT_EQ(route.database, "shop");
  EXPECT_EQ(route.user, "app");
  EXPECT_EQ(route.storage_index, 0u);
  EXPECT_EQ(route.storage_database, "shop_v2");
  EXPECT_EQ(route.storage_user, "pooler");
  EXPECT_EQ(route.storage_secret.text, "sesame");
  EXPECT_EQ(route.clients_max, 8u);
  EXPECT_EQ(route.client_idle_timeout, 9s);
  EXPECT_FALSE(route.shared_pool);
  EXPECT_EQ(route.pool.size, 22u);
  EXPECT_EQ(route.pool.server_lifetime_jitter, 0s);
  EXPECT_EQ(route.pool.reset_query, "");
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(route.replication, ReplicationPolicy::kRefuse);
  EXPECT_EQ(route.startup_parameters, (Pairs{{"search_path", "shop"}, {"work_mem", "64MB"}}));
}

TEST(Fields, ReadLimitsAndTimeoutsIntoTheirMembers) {
  const Config config = Everything();
  EXPECT_EQ(config.limits.clients_max, 201u);
  EXPECT_EQ(config.limits.user_clients_max, 204u);
  EXPECT_EQ(config.limits.database_clients_max, 205u);
  EXPECT_EQ(config.limits.user_connections_max, 206u);
  EXPECT_EQ(config.limits.pools_max, 202u);
  EXPECT_EQ(config.limits.startup_packet_bytes_max, 2048u);
  EXPECT_EQ(config.limits.auth_packet_bytes_max, 3072u);
  EXPECT_EQ(config.limits.message_bytes_max, 1u << 20);
  EXPECT_EQ(config.limits.backlog_bytes_max, 128u << 10);
  EXPECT_EQ(config.limits.expected_replies_max, 203u);
  EXPECT_EQ(config.limits.client_statements_max, 204u);
  EXPECT_EQ(config.limits.client_statement_bytes_max, 1u << 20);
  EXPECT_EQ(config.limits.buffer_bytes, 8192u);
  EXPECT_EQ(config.limits.buffers_max, 256u);
  EXPECT_EQ(config.limits.mail_slots, 512u);
  EXPECT_EQ(config.timeouts.client_login, 21s);
  EXPECT_EQ(config.timeouts.client_idle, 22s);
  EXPECT_EQ(config.timeouts.half_close, 28s);
  EXPECT_EQ(config.timeouts.cancel, 23s);
  EXPECT_EQ(config.timeouts.shutdown, 24s);
  EXPECT_EQ(config.timeouts.tcp_keepalive_idle, 25s);
  EXPECT_EQ(config.timeouts.tcp_keepalive_interval, 26s);
  EXPECT_EQ(config.timeouts.tcp_keepalive_count, 27u);
}

TEST(Fields, ReadTheRestIntoTheirMembers) {
  const Config config = Everything();
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  EXPECT_EQ(config.log.level, LogLevel::kWarning);
  EXPECT_EQ(config.log.file, "/var/log/trireme.log");
  EXPECT_FALSE(config.log.connections);
  EXPECT_FALSE(config.log.disconnections);
  EXPECT_EQ(config.console.database, "control");
  EXPECT_EQ(config.console.admin_users, (std::vector<std::string>{"app"}));
  EXPECT_EQ(config.console.stats_users, (std::vector<std::string>{"app", "app"}));
  EXPECT_EQ(config.run_as_user, "nobody");
  EXPECT_EQ(config.ignore_startup_parameters,
            (std::vector<std::string>{"extra_float_digits", "options"}));
}

// A new option that the text above does not set fails here.
TEST(Fields, EveryOptionIsCoveredByThisTest) {
  for (const SectionView& section : AllSections().sections) {
    for (const OptionView& option : section.options) {
      const std::string quoted = "\"" + std::string(option.info.key) + "\":";
      if (option.info.key == "$schema") continue;
      EXPECT_NE(kEverything.find(quoted), kEverything.npos) << section.path << " " << quoted;
    }
  }
}

TEST(Print, RoundTripsEverything) {
  const Json written = Json::parse(kEverything);
  const std::string printed = PrintConfig(Everything());
  Json expected = written;
  expected["users"]["app"]["secret"] = "***";
  expected["routes"][0]["storage_secret"] = "***";
  EXPECT_EQ(Json::parse(printed).dump(2), expected.dump(2));
  EXPECT_EQ(printed.find("hunter2"), printed.npos);
  EXPECT_EQ(printed.find("sesame"), printed.npos);

  const LoadResult again = Load(printed, "printed.json", NoWorld());
  ASSERT_TRUE(again.config) << again.Report();
  EXPECT_EQ(again.warnings.size(), 2u) << again.Report();  // one a secret
  EXPECT_EQ(PrintConfig(*again.config), printed);
}

TEST(Print, WritesDefaultsOutAndLoadsThemAgain) {
  const LoadResult small = Load(R"({"listen": [{"unix_socket_dir": "@trireme"}], "auth": "trust",
    "storages": {"main": {"hosts": ["db"]}}, "users": {"*": {}}, "routes": [{"storage": "main"}]})",
                                "c.json", NoWorld());
  ASSERT_TRUE(small.config) << small.Report();
  const std::string printed = PrintConfig(*small.config);
  const Json json = Json::parse(printed);
  EXPECT_EQ(json["cores"]["use"], "auto");
  EXPECT_EQ(json["pool"]["size"], 20);
  EXPECT_EQ(json["routes"][0]["pool"]["wait_timeout"], "2min");
  EXPECT_EQ(json["limits"]["buffer_bytes"], "16KiB");
  EXPECT_EQ(json["users"]["*"].dump(), "{}");
  const LoadResult again = Load(printed, "printed.json", NoWorld());
  ASSERT_TRUE(again.config) << again.Report();
  EXPECT_EQ(again.Report(), "");
  EXPECT_EQ(PrintConfig(*again.config), printed);
}

TEST(ConfigRows, NameEveryOptionOnceWithItsDefault) {
  std::set<std::string> keys;
  std::vector<std::string> shown;
  for (const ConfigRow& row : ConfigRows(Everything())) {
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
    EXPECT_EQ(row.value.find("hunter2"), row.value.npos);
    shown.push_back(row.key + "=" + row.value + " (" + row.default_value + ")");
  }
  for (const std::string_view row : {
           "listen.0.host=127.0.0.1 ()",
           "listen.1.unix_socket_mode=0750 (0777)",
           "cores.use=2,0 (auto)",
           "cores.spin=50us (0)",
           "sharing.policy=isolated (steal)",
           "storages.main.hosts=127.0.0.1:5433,[::1]:5434,/var/run/postgresql:5435 ()",
           "users.app.secret=*** ()",
           "users.app.pool_mode=session ()",
           "pool.size=21 (20)",
           "users.app.query_timeout=75s ()",
           "shared_pools.web.size=41 (21)",
           "routes.1.shared_pool=web ()",
           "routes.0.storage=main (main)",
           "routes.0.pool.size=22 (21)",
           "routes.0.startup_parameters={\"search_path\":\"shop\",\"work_mem\":\"64MB\"} ({})",
           "limits.buffer_bytes=8KiB (16KiB)",
           "log.connections=false (true)",
           "console.stats_users=app,app ()",
           "ignore_startup_parameters=extra_float_digits,options ()",
       }) {
    EXPECT_NE(std::find(shown.begin(), shown.end(), row), shown.end()) << row;
  }
}

TEST(ConfigRows, ShowDefaultsAsDefaults) {
  for (const ConfigRow& row : ConfigRows(Config{}))
    EXPECT_EQ(row.value, row.default_value) << row.key;
}

}  // namespace
}  // namespace trireme
