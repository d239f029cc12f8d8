// SPDX-License-Identifier: GPL-3.0-or-later
//
// Input → the exact words a person reads. Names of files and variables come from a made-up world.
#include "config/load.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace trireme {
namespace {

class MadeUpWorld final : public Environment {
 public:
  Result<File> ReadFile(const std::string& path) const override {
    const auto file = files.find(path);
    if (file == files.end()) return Unavailable("No such file or directory");
    return file->second;
  }
  std::optional<std::string> Variable(const std::string& name) const override {
    const auto variable = variables.find(name);
    if (variable == variables.end()) return std::nullopt;
    return variable->second;
  }

  std::map<std::string, File> files;
  std::map<std::string, std::string> variables;
};

// A valid configuration of five lines; a test replaces one part of it.
constexpr std::string_view kValid = R"({"listen": [{"host": "*"}],
"storages": {"main": {"hosts": ["db:5432"]}},
"users": {"app": {"secret": "hunter2"}},
"routes": [{"storage": "main"}],
"console": {}})";

struct Part {
  std::string_view from;
  std::string_view to;
};

std::string With(Part part) {
  return absl::StrReplaceAll(ToAbsl(kValid), {{ToAbsl(part.from), ToAbsl(part.to)}});
}

std::string Problems(const std::string& text) {
  return Load(text, "c.json", MadeUpWorld()).Report();
}

TEST(Load, TakesASmallConfigurationAndFillsInDefaults) {
  const LoadResult result = Load(kValid, "c.json", MadeUpWorld());
  ASSERT_TRUE(result.config) << result.Report();
  EXPECT_EQ(result.Report(), "");
  const Config& config = *result.config;
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].host, "*");
  EXPECT_EQ(config.listeners[0].port, 6432);
  ASSERT_EQ(config.routes.size(), 1u);
  EXPECT_EQ(config.routes[0].database, "*");
  EXPECT_EQ(config.routes[0].pool.size, 20u);
  EXPECT_EQ(config.users[0].secret.kind, Secret::Kind::kPlaintext);
  EXPECT_EQ(config.users[0].secret.text, "hunter2");
  EXPECT_EQ(config.cores.kind, CoresConfig::Kind::kAuto);
}

struct ErrorCase {
  Part part;
  std::string_view report;  // without the file's name
};

void ExpectReports(std::span<const ErrorCase> cases) {
  for (const ErrorCase& test : cases) {
    const std::string text = With(test.part);
    ASSERT_NE(text, kValid) << test.part.from;
    const std::string expected =
        test.report.empty() ? "" : absl::StrCat("c.json:", ToAbsl(test.report), "\n");
    EXPECT_EQ(Problems(text), expected) << text;
  }
}

TEST(Load, SaysWhatIsWrongWithAKey) {
  const ErrorCase cases[] = {
      {{"\"console\"", "\"consol\""},
       "5:1: error: /consol: unknown key \"consol\"; did you mean \"console\"?"},
      {{"\"console\": {}", "\"console\": {\"admins\": []}"},
       "5:13: error: /console/admins: unknown key \"admins\""},
      {{"\"console\": {}", "\"default_pool_size\": 5"},
       "5:1: error: /default_pool_size: unknown key \"default_pool_size\"; what PgBouncer calls "
       "default_pool_size is \"pool.size\" here"},
      {{"\"console\": {}", "\"wait_timeout\": \"5s\""},
       "5:1: error: /wait_timeout: unknown key \"wait_timeout\"; did you mean "
       "\"pool.wait_timeout\"?"},
      {{"\"secret\": \"hunter2\"", "\"password\": \"hunter2\", \"auth\": \"trust\""},
       "3:19: error: /users/app/password: unknown key \"password\"; what PgBouncer calls password "
       "is "
       "\"users.<name>.secret\" here"},
      {{"\"hosts\": [\"db:5432\"]", ""},
       "2:22: error: /storages/main: missing key \"hosts\": tried in order, the first that accepts "
       "serves: \"127.0.0.1:5432\", \"[::1]:5432\", \"db.example:5432\", \"/run/postgresql:5432\""},
      {{"\"storage\": \"main\"", ""},
       "4:12: error: /routes/0: missing key \"storage\": the name of a storage"},
      {{"\"console\": {}", "\"console\": {}, \"console\": {}"},
       "5:16: error: /console: duplicate key \"console\": it is already set in line 5, column 1; "
       "remove one of the two"},
      {{"\"console\": {}", "\"$schema\": \"./config.schema.json\""}, ""},
  };
  ExpectReports(cases);
}

TEST(Load, SaysWhatIsWrongWithAValue) {
  const ErrorCase cases[] = {
      {{"\"console\": {}", "\"console\": []"},
       "5:12: error: /console: expected an object, found a list"},
      {{"\"console\": {}", "\"console\": null"},
       "5:12: error: /console: expected an object, found null"},
      {{"{\"host\": \"*\"}", "{\"host\": 1}"},
       "1:22: error: /listen/0/host: expected a string, found 1"},
      {{"{\"host\": \"*\"}", "{\"host\": \"\"}"},
       "1:22: error: /listen/0/host: expected a string that is not empty, found \"\""},
      {{"{\"host\": \"*\"}", "{\"host\": \"a\\u0000b\"}"},
       "1:22: error: /listen/0/host: expected a string without NUL bytes, found \"a\\u0000b\""},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\", \"port\": 0}"},
       "1:35: error: /listen/0/port: expected an integer from 1 to 65535, found 0"},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\", \"port\": \"6432\"}"},
       "1:35: error: /listen/0/port: expected an integer from 1 to 65535, found \"6432\""},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\", \"port\": 64.5}"},
       "1:35: error: /listen/0/port: expected an integer from 1 to 65535, found 64.5"},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\", \"port\": 99999999999999999999}"},
       "1:35: error: /listen/0/port: expected an integer from 1 to 65535, found "
       "99999999999999999999"},
      {{"\"host\": \"*\"", "\"unix_socket_dir\": \"run\""},
       "1:33: error: /listen/0/unix_socket_dir: expected an absolute path, or \"@name\" for an "
       "abstract socket, found \"run\""},
      {{"\"host\": \"*\"", "\"unix_socket_dir\": \"/r\", \"unix_socket_mode\": 777"},
       "1:59: error: /listen/0/unix_socket_mode: expected an octal mode in quotes such as "
       "\"0770\", "
       "found 777"},
      {{"\"console\": {}", "\"pool\": {\"wait_timeout\": 30}"},
       "5:26: error: /pool/wait_timeout: expected a duration from 0 to 365d, found 30; write the "
       "unit, as in \"30s\""},
      {{"\"console\": {}", "\"pool\": {\"wait_timeout\": \"30\"}"},
       "5:26: error: /pool/wait_timeout: expected a duration from 0 to 365d, found \"30\"; write "
       "it "
       "as \"30s\": the units are ns, us, ms, s, min, h, d"},
      {{"\"console\": {}", "\"pool\": {\"reset_timeout\": 0}"},
       "5:27: error: /pool/reset_timeout: expected a duration from 1ms to 365d, found 0"},
      {{"\"console\": {}", "\"pool\": {\"wait_timeout\": \"9999999999d\"}"},
       "5:26: error: /pool/wait_timeout: expected a duration from 0 to 365d, found "
       "\"9999999999d\""},
      {{"\"console\": {}", "\"timeouts\": {\"tcp_keepalive_idle\": \"1500ms\"}"},
       "5:36: error: /timeouts/tcp_keepalive_idle: expected a duration from 0 to 32767s in steps "
       "of "
       "1s, found \"1500ms\""},
      {{"\"console\": {}", "\"pool\": {\"wait_timeout\": 0}"}, ""},
      {{"\"console\": {}", "\"limits\": {\"buffer_bytes\": \"16kib\"}"},
       "5:28: error: /limits/buffer_bytes: expected a size from 4KiB to 1MiB, a power of two, "
       "found "
       "\"16kib\"; the units are B, kB, KiB, MB, MiB, GB, GiB"},
      {{"\"console\": {}", "\"limits\": {\"buffer_bytes\": \"20KiB\"}"},
       "5:28: error: /limits/buffer_bytes: expected a size from 4KiB to 1MiB, a power of two, "
       "found "
       "\"20KiB\""},
      {{"\"console\": {}", "\"limits\": {\"buffer_bytes\": 2048}"},
       "5:28: error: /limits/buffer_bytes: expected a size from 4KiB to 1MiB, a power of two, "
       "found "
       "2048"},
      {{"\"console\": {}", "\"limits\": {\"mail_slots\": 1000}"},
       "5:26: error: /limits/mail_slots: expected a power of two from 16 to 65536, found 1000"},
      {{"\"console\": {}", "\"pool\": {\"size\": 0}"},
       "5:18: error: /pool/size: expected an integer from 1 to 100000, found 0"},
      {{"\"console\": {}", "\"pool\": {\"mode\": \"transation\"}"},
       "5:18: error: /pool/mode: expected \"session\", \"transaction\" or \"statement\", found "
       "\"transation\"; did you mean \"transaction\"?"},
      {{"\"console\": {}", "\"log\": {\"connections\": \"yes\"}"},
       "5:24: error: /log/connections: expected true or false, found \"yes\""},
      {{"\"db:5432\"", ""},
       "2:32: error: /storages/main/hosts: expected a list of 1 to 16 hosts, found 0"},
      {{"\"db:5432\"", "\"::1\""},
       "2:33: error: /storages/main/hosts/0: expected \"host:port\" such as \"db.example:5432\" or "
       "\"/run/postgresql:5432\", found \"::1\"; an IPv6 address stands in brackets: "
       "\"[::1]:5432\""},
      {{"\"console\": {}", "\"cores\": \"all\""},
       "5:10: error: /cores: expected \"auto\", a number of cores, or a list of CPUs such as [0, "
       "2], "
       "found \"all\""},
      {{"\"console\": {}", "\"cores\": 0"},
       "5:10: error: /cores: expected an integer from 1 to 256, found 0"},
      {{"\"console\": {}", "\"cores\": [0, 2, 0]"},
       "5:17: error: /cores/2: CPU 0 is listed twice; each core has a CPU of its own"},
      {{"\"console\": {}", "\"cores\": {\"use\": 4.5}"},
       "5:18: error: /cores/use: expected \"auto\", a number of cores, or a list of CPUs such as "
       "[0, "
       "2], found 4.5"},
      {{"\"storage\": \"main\"",
        "\"storage\": \"main\", \"startup_parameters\": {\"user\": \"x\"}"},
       "4:55: error: /routes/0/startup_parameters/user: \"user\" is not a setting; use "
       "\"storage_user\" and \"storage_database\" of the route"},
  };
  ExpectReports(cases);
}

TEST(Load, ChecksWhatMustHoldBetweenFields) {
  const ErrorCase cases[] = {
      {{"{\"host\": \"*\"}", ""},
       "1:12: error: /listen: expected a list of 1 to 64 listeners, found 0"},
      {{"{\"host\": \"*\"}", "{}"},
       "1:13: error: /listen/0: expected exactly one of \"host\" and \"unix_socket_dir\", found "
       "neither"},
      {{"\"host\": \"*\"", "\"host\": \"*\", \"unix_socket_dir\": \"/r\""},
       "1:13: error: /listen/0: expected exactly one of \"host\" and \"unix_socket_dir\", found "
       "both"},
      {{"\"host\": \"*\"", "\"host\": \"*\", \"unix_socket_mode\": \"0700\""},
       "1:27: error: /listen/0: \"unix_socket_mode\" has no meaning beside \"host\"; remove it"},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\"}, {\"host\": \"*\", \"port\": 6432}"},
       "1:28: error: /listen/1: listens on * port 6432 as /listen/0 does; remove one of them"},
      {{"{\"host\": \"*\"}", "{\"host\": \"*\"}, {\"host\": \"*\", \"port\": 6433}"}, ""},
      {{"\"storage\": \"main\"", "\"storage\": \"mian\""},
       "4:24: error: /routes/0/storage: expected a storage: \"main\", found \"mian\"; did you mean "
       "\"main\"?"},
      {{"{\"storage\": \"main\"}",
        "{\"storage\": \"main\"}, {\"user\": \"*\", \"storage\": \"main\"}"},
       "4:33: error: /routes/1: database \"*\" and user \"*\" are already routed by /routes/0; "
       "remove "
       "one of them"},
      {{"{\"storage\": \"main\"}",
        "{\"storage\": \"main\"}, {\"user\": \"ap\", \"storage\": \"main\"}"},
       "4:42: error: /routes/1/user: this route can never match: there is no user \"ap\"; did you "
       "mean \"app\"?"},
      {{"{\"storage\": \"main\"}",
        "{\"storage\": \"main\"}, {\"user\": \"app\", \"storage\": \"main\"}"},
       "4:12: error: /routes/0: this route can never match: every user has a route of its own for "
       "database \"*\""},
      {{"{\"storage\": \"main\"}", "{\"database\": \"trireme\", \"storage\": \"main\"}"},
       "4:25: warning: /routes/0/database: database \"trireme\" is the console's name, so this "
       "route "
       "is never used; rename the console (\"console.database\") or the route"},
      {{"\"secret\": \"hunter2\"", ""},
       "3:18: error: /users/app: user \"app\" needs a \"secret\": nobody can pass "
       "\"scram-sha-256\" "
       "without one"},
      {{"\"secret\": \"hunter2\"", "\"auth\": \"md5\""},
       "3:18: error: /users/app: user \"app\" needs a \"secret\": nobody can pass \"md5\" without "
       "one"},
      {{"\"secret\": \"hunter2\"", "\"auth\": \"trust\""}, ""},
      {{"\"hunter2\"", "\"md5a6343a68d964ca596d9752250d54bb8a\""},
       "3:29: error: /users/app/secret: \"scram-sha-256\" cannot be checked against an md5 secret; "
       "store the password or a SCRAM verifier, or set \"auth\": \"md5\""},
      {{"\"console\": {}", "\"console\": {\"admin_users\": [\"appp\"]}"},
       "5:29: error: /console/admin_users/0: there is no user \"appp\"; did you mean \"app\"?"},
      {{"\"console\": {}", "\"console\": {\"stats_users\": [\"app\"]}"}, ""},
      {{"\"console\": {}",
        "\"pool\": {\"server_lifetime\": \"1min\", \"server_lifetime_jitter\": \"2min\"}"},
       "5:63: error: /pool/server_lifetime_jitter: expected at most \"server_lifetime\" (1min), "
       "found "
       "2min"},
      {{"\"console\": {}",
        "\"pool\": {\"server_lifetime\": 0, \"server_lifetime_jitter\": \"2min\"}"},
       ""},
      {{"\"hosts\"", "\"connect_backoff_min\": \"20s\", \"hosts\""},
       "2:22: error: /storages/main: expected \"connect_backoff_min\" (20s) to be at most "
       "\"connect_backoff_max\" (15s)"},
      {{"\"hosts\"", "\"connections_max\": 10, \"hosts\""},
       "4:12: warning: /routes/0: its pools may have 20 servers, but storage \"main\" allows 10 "
       "(\"connections_max\")"},
      {{"\"console\": {}", "\"pool\": {\"reset\": \"always\", \"reset_query\": \"\"}"},
       "5:9: error: /pool: \"reset\" is \"always\", but \"reset_query\" is empty"},
      {{"\"console\": {}", "\"pool\": {\"size\": 2, \"min_size\": 3}"},
       "5:9: error: /pool: expected \"min_size\" (3) to be at most \"size\" (2)"},
      {{"\"storage\": \"main\"", "\"storage\": \"main\", \"shared_pool\": \"web\""},
       "4:47: error: /routes/0/shared_pool: expected the name of a pool under \"shared_pools\", "
       "found \"web\""},
      {{"\"console\": {}", "\"shared_pools\": {\"web\": {}}"},
       "5:25: warning: /shared_pools/web: no route uses this pool"},
      {{"\"main\": {", "\"old\": {\"hosts\": [\"db\"]}, \"main\": {"},
       "2:21: warning: /storages/old: no route leads to this storage"},
      {{"\"storage\": \"main\"",
        "\"storage\": \"main\", \"storage_secret\": "
        "\"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\""},
       "4:50: error: /routes/0/storage_secret: a SCRAM verifier cannot log in to a server; put the "
       "password here, or leave it out to pass the client's keys through"},
  };
  ExpectReports(cases);
}

TEST(Load, NeverRepeatsASecret) {
  const ErrorCase cases[] = {
      {{"\"hunter2\"", "\"md5hunter2\""},
       "3:29: error: /users/app/secret: expected a secret, found a malformed md5 secret: \"md5\" "
       "must "
       "be followed by 32 lower-case hex digits (a password in plain text cannot begin with "
       "\"md5\")"},
      {{"\"hunter2\"", "12345678"},
       "3:29: error: /users/app/secret: expected a secret: a string, {\"file\": \"path\"} or "
       "{\"env\": \"NAME\"}, found a number"},
      {{"\"hunter2\"", "{\"text\": \"hunter2\"}"},
       "3:29: error: /users/app/secret: expected a secret: a string, {\"file\": \"path\"} or "
       "{\"env\": \"NAME\"}, found an object with \"text\""},
      {{"\"hunter2\"", "{\"file\": \"f\", \"env\": \"E\"}"},
       "3:29: error: /users/app/secret: expected a secret: a string, {\"file\": \"path\"} or "
       "{\"env\": \"NAME\"}, found an object with \"file\", \"env\""},
      {{"{\"secret\": \"hunter2\"}", "\"hunter2\""},
       "3:18: error: /users/app: expected an object, found a string"},
      {{"{\"app\": {\"secret\": \"hunter2\"}}", "\"hunter2\""},
       "3:10: error: /users: expected an object of 1 to 1000000 users by name, found a string"},
      {{"\"hunter2\"", "\"\""},
       "3:29: error: /users/app/secret: expected a secret, found an empty secret; leave it out "
       "when "
       "there is none"},
      {{"\"hunter2\"", "\"***\""},
       "3:29: warning: /users/app/secret: \"***\" is what is printed in place of a secret; put the "
       "real one here"},
  };
  ExpectReports(cases);
}

TEST(Load, ReportsEveryErrorInTheOrderOfTheText) {
  EXPECT_EQ(
      Problems(R"({"routes": [{"storage": "main", "pool": {"size": "big"}}],
"listen": [{"prot": 1}], "lisen": 1,
"storages": {"main": {"hosts": ["db"], "hosts": [1]}}})"),
      "c.json:1:1: error: missing key \"users\": who may log in, by name; \"*\" is any user "
      "without an entry\n"
      "c.json:1:50: error: /routes/0/pool/size: expected an integer from 1 to 100000, found "
      "\"big\"\n"
      "c.json:2:12: error: /listen/0: expected exactly one of \"host\" and "
      "\"unix_socket_dir\", found neither\n"
      "c.json:2:13: error: /listen/0/prot: unknown key \"prot\"; did you mean \"port\"?\n"
      "c.json:2:26: error: /lisen: unknown key \"lisen\"; did you mean \"listen\"?\n"
      "c.json:3:40: error: /storages/main/hosts: duplicate key \"hosts\": it is already set in "
      "line 3, column 23; remove one of the two\n");
}

TEST(Load, NamesWhatIsMissingFromAnEmptyConfiguration) {
  EXPECT_EQ(
      Problems("{}"),
      "c.json:1:1: error: missing key \"listen\": where clients connect; at least one\n"
      "c.json:1:1: error: missing key \"storages\": the PostgreSQL servers, by a name of your "
      "choice; at least one\n"
      "c.json:1:1: error: missing key \"users\": who may log in, by name; \"*\" is any user "
      "without an entry\n"
      "c.json:1:1: error: missing key \"routes\": which clients go to which storage; the most "
      "specific one counts, whatever the order; at least one\n");
  EXPECT_EQ(Problems("[]"), "c.json:1:1: error: expected an object, found a list\n");
}

TEST(Load, TakesSecretsFromFilesAndVariables) {
  MadeUpWorld world;
  world.files["/etc/app.secret"] = {.text = "from a file\r\nsecond line", .mode = 0600};
  world.files["conf/near"] = {.text = "beside", .mode = 0644};
  world.variables["APP"] = "from a variable";
  const auto secret = [&](std::string_view source) {
    const LoadResult result = Load(With({"\"hunter2\"", source}), "conf/c.json", world);
    return result.config ? result.config->users[0].secret.text + result.Report() : result.Report();
  };
  EXPECT_EQ(secret(R"({"file": "/etc/app.secret"})"), "from a file");
  EXPECT_EQ(secret(R"({"env": "APP"})"), "from a variable");
  EXPECT_EQ(secret(R"({"file": "near"})"),
            "besideconf/c.json:3:38: warning: /users/app/secret/file: the secret's file "
            "\"conf/near\" is open to every user of the system (mode 0644); chmod 600 it\n");
  EXPECT_EQ(secret(R"({"file": "/none"})"),
            "conf/c.json:3:38: error: /users/app/secret/file: cannot read the secret's file "
            "\"/none\": No such file or directory\n");
  EXPECT_EQ(
      secret(R"({"env": "NONE"})"),
      "conf/c.json:3:37: error: /users/app/secret/env: the environment variable \"NONE\" is not "
      "set\n");
}

TEST(Load, SortsUsersAndRoutesForLookup) {
  const LoadResult result = Load(R"({"listen": [{"host": "*"}], "auth": "trust",
    "storages": {"main": {"hosts": ["db"]}}, "users": {"b": {}, "*": {}, "a": {}},
    "routes": [{"storage": "main"}, {"user": "a", "storage": "main"},
      {"database": "d", "storage": "main"}, {"database": "d", "user": "a", "storage": "main"}]})",
                                 "c.json", MadeUpWorld());
  ASSERT_TRUE(result.config) << result.Report();
  std::string users;
  std::string routes;
  for (const UserConfig& user : result.config->users) users += user.name;
  for (const RouteConfig& route : result.config->routes)
    routes += route.database + route.user + " ";
  EXPECT_EQ(users, "*ab");
  EXPECT_EQ(routes, "da d* *a ** ");
}

TEST(Load, StartsRoutesFromThePoolWhereverItIsWritten) {
  const LoadResult result = Load(R"({"listen": [{"host": "*"}], "auth": "trust",
    "storages": {"main": {"hosts": ["db"]}}, "users": {"*": {}},
    "routes": [{"storage": "main", "pool": {"server_lifetime": "60s"}}],
    "pool": {"size": 5, "mode": "session"}})",
                                 "c.json", MadeUpWorld());
  ASSERT_TRUE(result.config) << result.Report();
  const PoolConfig& pool = result.config->routes[0].pool;
  EXPECT_EQ(pool.size, 5u);
  EXPECT_EQ(pool.mode, PoolMode::kSession);
  EXPECT_EQ(pool.server_lifetime, 60s);
  EXPECT_EQ(pool.server_lifetime_jitter, 6s);  // the default of 6min gives way
  EXPECT_EQ(result.config->pool.server_lifetime, 3600s);
}

constexpr std::string_view kTwoSharingRoutes = R"({"listen": [{"host": "*"}], "auth": "trust",
"storages": {"main": {"hosts": ["db"]}}, "users": {"*": {}},
"shared_pools": {"web": {"size": 5}}, "pool": {"mode": "session"},
"routes": [{"database": "a", "storage": "main", "shared_pool": "web"},
{"database": "b", "storage": "main", "shared_pool": "web")";

TEST(Load, GivesRoutesThePoolTheyShare) {
  const LoadResult result = Load(std::string(kTwoSharingRoutes) + "}]}", "c.json", MadeUpWorld());
  ASSERT_TRUE(result.config) << result.Report();
  for (const RouteConfig& route : result.config->routes) {
    EXPECT_EQ(route.shared_pool, 0u);
    EXPECT_EQ(route.pool.size, 5u);
    EXPECT_EQ(route.pool.mode, PoolMode::kSession);
  }
}

TEST(Load, RefusesRoutesThatShareAPoolAndDisagree) {
  const std::string text(kTwoSharingRoutes);
  EXPECT_EQ(Problems(text + R"(, "startup_parameters": {"work_mem": "1MB"}}]})"),
            "c.json:5:1: error: /routes/1: shares pool \"web\" with /routes/0, so "
            "\"startup_parameters\" must be the same there and here\n");
  EXPECT_EQ(Problems(text + R"(, "storage_secret": "x"}]})"),
            "c.json:5:1: error: /routes/1: shares pool \"web\" with /routes/0, so "
            "\"storage_secret\" must be the same there and here\n");
  EXPECT_EQ(Problems(text + R"(, "pool": {"size": 9}}]})"),
            "c.json:5:60: error: /routes/1/pool: a route has a \"pool\" of its own or a "
            "\"shared_pool\", not both; write the settings under \"shared_pools\"\n");
}

TEST(Load, RefusesATextThatIsTooLarge) {
  EXPECT_EQ(Problems(std::string(kConfigBytesMax + 1, ' ')),
            "c.json:1:1: error: larger than 16 MiB\n");
}

TEST(Load, SurvivesEveryPrefix) {
  for (size_t length = 0; length < kValid.size(); ++length) {
    EXPECT_FALSE(Load(kValid.substr(0, length), "c.json", MadeUpWorld()).config);
  }
}

TEST(LoadFile, ReadsTheRealWorld) {
  const std::string directory =
      testing::TempDir() + "trireme_load_test_" + std::to_string(getpid());
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  const std::string path = directory + "/c.json";
  const std::string secret_path = directory + "/secret";
  std::ofstream(path) << With({"\"hunter2\"", "{\"file\": \"secret\"}"});
  std::ofstream(secret_path) << "hunter2\n";
  ASSERT_EQ(chmod(secret_path.c_str(), 0600), 0);
  const LoadResult result = LoadFile(path, ProcessEnvironment());
  ASSERT_TRUE(result.config) << result.Report();
  EXPECT_EQ(result.Report(), "");
  EXPECT_EQ(result.config->users[0].secret.text, "hunter2");
  unlink(path.c_str());
  unlink(secret_path.c_str());
  EXPECT_EQ(LoadFile(path, ProcessEnvironment()).Report(),
            path + ":1:1: error: cannot read the configuration: No such file or directory\n");
  EXPECT_EQ(LoadFile(directory, ProcessEnvironment()).Report(),
            directory + ":1:1: error: cannot read the configuration: Is a directory\n");
  rmdir(directory.c_str());
  EXPECT_EQ(ProcessEnvironment().Variable("TRIREME_NO_SUCH_VARIABLE"), std::nullopt);
}

}  // namespace
}  // namespace trireme
