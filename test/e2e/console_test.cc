// SPDX-License-Identifier: GPL-3.0-or-later
//
// The admin console as monitoring tools use it: PgBouncer's columns by name, order and type, ours
// behind them; both protocols; and numbers that are true.
#include <gtest/gtest.h>

#include <sstream>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

constexpr char kConnections[] =
    "type t user t database t replication t state t addr t port i local_addr t local_port i "
    "connect_time t "
    "request_time t wait i wait_us i close_needed i ptr t link t remote_pid i tls t "
    "application_name t "
    "prepared_statements i id i";

// Names and types (t text, i int4, l int8, n numeric) as PgBouncer 1.25 sends them.
struct ViewShape {
  const char* name;
  const char* columns;
};
const ViewShape kViews[] = {
    {"DATABASES",
     "name t host t port i database t force_user t pool_size i min_pool_size i reserve_pool_size i "
     "server_lifetime i "
     "pool_mode t load_balance_hosts t max_connections i current_connections i "
     "max_client_connections i "
     "current_client_connections i paused i disabled i"},
    {"POOLS",
     "database t user t cl_active i cl_waiting i cl_active_cancel_req i cl_waiting_cancel_req i "
     "sv_active i "
     "sv_active_cancel i sv_being_canceled i sv_idle i sv_used i sv_tested i sv_login i maxwait i "
     "maxwait_us i "
     "pool_mode t load_balance_hosts t"},
    {"CLIENTS", kConnections},
    {"SERVERS", kConnections},
    {"STATS",
     "database t total_server_assignment_count n total_xact_count n total_query_count n "
     "total_received n total_sent n "
     "total_xact_time n total_query_time n total_wait_time n total_client_parse_count n "
     "total_server_parse_count n "
     "total_bind_count n total_client_login_count n avg_server_assignment_count n avg_xact_count n "
     "avg_query_count n "
     "avg_recv n avg_sent n avg_xact_time n avg_query_time n avg_wait_time n "
     "avg_client_parse_count n "
     "avg_server_parse_count n avg_bind_count n avg_client_login_count n"},
    {"LISTS", "list t items i"},
    {"CONFIG", "key t value t default t changeable t"},
    {"VERSION", "version t"},
};

std::vector<std::pair<std::string, Oid>> Columns(const char* shape) {
  std::vector<std::pair<std::string, Oid>> columns;
  std::istringstream words(shape);
  for (std::string name, type; words >> name >> type;)
    columns.emplace_back(name, type == "t" ? 25 : type == "i" ? 23 : type == "l" ? 20 : 1700);
  return columns;
}

class View : public ::testing::TestWithParam<ViewShape> {};
INSTANTIATE_TEST_SUITE_P(Console, View, ::testing::ValuesIn(kViews),
                         [](const auto& instance) { return instance.param.name; });

void ExpectShape(const Answer& answer, const ViewShape& view) {
  ASSERT_TRUE(answer.ok) << answer.text;
  const auto columns = Columns(view.columns);
  ASSERT_GE(answer.columns.size(), columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    EXPECT_EQ(answer.columns[i], columns[i].first) << "column " << i;
    EXPECT_EQ(answer.types[i], columns[i].second) << columns[i].first;
  }
}

TEST_P(View, HasPgbouncersColumnsFirst) {
  Trireme trireme;
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  Connection console(trireme.Console());
  ExpectShape(console.Ask(std::string("SHOW ") + GetParam().name), GetParam());
}

TEST_P(View, IsTheSameOverTheExtendedProtocol) {
  SKIP_AGAINST_PGBOUNCER("simple protocol only");
  Trireme trireme;
  RawClient client = trireme.LoggedIn();
  client.Value("SELECT 1");
  Connection console(trireme.Console());
  ExpectShape(console.AskExtended(std::string("SHOW ") + GetParam().name), GetParam());
}

TEST_P(View, MayBeAskedInLowerCaseWithASemicolon) {
  Trireme trireme;
  std::string sql = std::string("show ") + GetParam().name + ";";
  for (char& c : sql) c = static_cast<char>(std::tolower(c));
  Connection console(trireme.Console());
  EXPECT_TRUE(console.Ask(sql).ok);
}

// ---- who may

TEST(Console, AnswersToPgbouncerToo) {
  Trireme trireme;
  Target target = trireme.Console();
  target.database = "pgbouncer";
  EXPECT_TRUE(Connection(target).Ask("SHOW POOLS").ok);
}

TEST(Console, MayHaveAnotherName) {
  SKIP_AGAINST_PGBOUNCER("fixed name");
  Trireme trireme({.patch = {{"console", {{"database", "cockpit"}}}}});
  Target target = trireme.Console();
  target.database = "cockpit";
  EXPECT_TRUE(Connection(target).Ask("SHOW VERSION").ok);
}

TEST(Console, LetsStatsUsersLook) {
  Trireme trireme;
  Target target = trireme.Console();
  target.user = "stats";
  EXPECT_TRUE(Connection(target).Ask("SHOW POOLS").ok);
}

TEST(Console, RefusesOtherUsers) {
  Trireme trireme;
  Target target = trireme.Console();
  target.user = "app";
  EXPECT_NE(RefusalOf(target), "");
}

TEST(Console, AsksForThePassword) {
  Trireme trireme({.auth = "scram-sha-256"});
  EXPECT_TRUE(Connection(trireme.Console()).Ask("SHOW VERSION").ok);
  Target target = trireme.Console();
  target.password = "wrong";
  EXPECT_NE(RefusalOf(target), "");
}

TEST(Console, AcceptsTheStartupParametersOfDrivers) {
  Trireme trireme;
  Target target = trireme.Console();
  target.more = {{"application_name", "exporter"}, {"options", "-c extra_float_digits=2"}};
  EXPECT_TRUE(Connection(target).Ask("SHOW POOLS").ok);
}

TEST(Console, WorksWhilePostgresIsDown) {
  Trireme trireme({.server_port = FreeTcpPort()});
  EXPECT_TRUE(Connection(trireme.Console()).Ask("SHOW POOLS").ok);
}

// ---- what it says

TEST(Console, HelpComesAsANotice) {
  Trireme trireme;
  RawClient console = trireme.LoggedIn({.user = "admin", .database = "pgbouncer"});
  EXPECT_EQ(Types(console.Ask("SHOW HELP")), "NCZ");
}

TEST(Console, NonsenseIsAnErrorAndTheConnectionStays) {
  Trireme trireme;
  Connection console(trireme.Console());
  for (const char* sql : {"SELECT 1", "SHOW NOTHING", "DROP TABLE x", "BEGIN; SHOW POOLS"}) {
    const Answer answer = console.Ask(sql);
    EXPECT_FALSE(answer.ok) << sql;
    EXPECT_EQ(answer.severity, "ERROR") << sql;
  }
  EXPECT_TRUE(console.Ask("SHOW POOLS").ok);
}

TEST(Console, TheTagOfAViewIsShow) {
  Trireme trireme;
  Connection console(trireme.Console());
  EXPECT_EQ(console.Ask("SHOW LISTS").tag, "SHOW");
}

TEST(Console, ConfigShowsNoSecret) {
  Trireme trireme;
  for (const auto& row : trireme.Show("CONFIG"))
    EXPECT_EQ(row.at("value").find("secret-"), std::string::npos);
}

TEST(Console, WorksWithPsql) {
  Trireme trireme;
  const RunOutput psql = RunToEnd(
      {.argv = {"psql", "-X", "-A", "-t", "-c", "SHOW POOLS", trireme.Console().ConnInfo()}});
  EXPECT_EQ(psql.exit.code, 0) << psql.text;
}

class Numbers : public OnShards {};
ON_1_2_4_SHARDS(Numbers);

std::map<std::string, std::string> PoolOfApp(const Trireme& trireme) {
  for (const auto& row : trireme.Show("POOLS")) {
    if (row.at("database") == "app" && row.at("user") == "app") return row;
  }
  throw RigError("no pool app/app");
}

TEST_P(Numbers, OfPoolsAreTrue) {
  TriremeOptions options = Options();
  options.size = 2;
  Trireme trireme(options);
  Connection first(trireme.As("app"));
  Connection second(trireme.As("app"));
  Connection third(trireme.As("app"));
  ASSERT_TRUE(first.Ask("BEGIN").ok);
  ASSERT_TRUE(second.Ask("BEGIN").ok);
  third.Begin("SELECT 1");
  EXPECT_TRUE(Eventually([&] { return PoolOfApp(trireme).at("cl_waiting") == "1"; }));
  auto pool = PoolOfApp(trireme);
  EXPECT_EQ(pool.at("cl_active"), "2");
  EXPECT_EQ(pool.at("sv_active"), "2");
  EXPECT_EQ(pool.at("sv_idle"), "0");
  EXPECT_EQ(pool.at("pool_mode"), "transaction");
  ASSERT_TRUE(first.Ask("COMMIT").ok);
  ASSERT_TRUE(second.Ask("COMMIT").ok);
  EXPECT_TRUE(third.Finish().ok);
  EXPECT_TRUE(Eventually([&] { return PoolOfApp(trireme).at("sv_idle") == "2"; }));
  pool = PoolOfApp(trireme);
  EXPECT_EQ(pool.at("sv_active"), "0");
  EXPECT_EQ(pool.at("cl_waiting"), "0");
}

TEST_P(Numbers, OfStatsCountTransactionsAndQueries) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  for (int i = 0; i < 10; ++i) client.Value("SELECT 1");
  client.Ask("BEGIN");
  client.Ask("SELECT 1");
  client.Ask("COMMIT");
  for (const auto& row : trireme.Show("STATS")) {
    if (row.at("database") != "app") continue;
    EXPECT_EQ(row.at("total_xact_count"), "11");
    EXPECT_EQ(row.at("total_query_count"), "13");
    EXPECT_GT(std::stoll(row.at("total_received")), 0);
    EXPECT_GT(std::stoll(row.at("total_sent")), 0);
    return;
  }
  FAIL() << "no row for database app";
}

TEST_P(Numbers, OfClientsAndServersAreTrue) {
  Trireme trireme(Options());
  std::vector<RawClient> clients;
  for (int i = 0; i < 7; ++i) {
    clients.push_back(trireme.LoggedIn({.more = {{"application_name", "counted"}}}));
    clients.back().Value("SELECT 1");
  }
  int counted = 0;
  for (const auto& row : trireme.Show("CLIENTS"))
    counted += row.at("application_name") == "counted";
  EXPECT_EQ(counted, 7);
  for (const auto& row : trireme.Show("SERVERS"))
    EXPECT_EQ(Postgres::Shared().Count("pid = " + row.at("remote_pid")), 1) << row.at("remote_pid");
}

// The sum over cores of the column whose name holds all of `words`.
int64_t SumOverShards(const Trireme& trireme, const std::vector<std::string>& words) {
  int64_t sum = 0;
  bool found = false;
  for (const auto& row : trireme.Show("SHARDS")) {
    for (const auto& field : row) {
      if (!std::all_of(words.begin(), words.end(), [&](const std::string& word) {
            return field.first.find(word) != std::string::npos;
          }))
        continue;
      sum += std::stoll(field.second);
      found = true;
    }
  }
  if (!found) throw RigError("SHOW SHARDS has no column of " + words[0]);
  return sum;
}

TEST_P(Numbers, OfShardsHaveOneRowPerCore) {
  SKIP_AGAINST_PGBOUNCER("has no shards");
  Trireme trireme(Options());
  EXPECT_EQ(trireme.Show("SHARDS").size(), static_cast<size_t>(GetParam()));
}

TEST(Shards, ServersAreStolenWhenClientsOfTwoCoresShareOne) {
  SKIP_AGAINST_PGBOUNCER("has no shards");
  Trireme trireme({.cores = 2, .size = 1});
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(trireme.LoggedIn());
  for (int round = 0; round < 20; ++round) {
    for (RawClient& client : clients) client.Value("SELECT 1");
  }
  EXPECT_GT(SumOverShards(trireme, {"steal", "asked"}), 0);
  EXPECT_GT(SumOverShards(trireme, {"mail"}), 0);
}

TEST(Shards, ClientsSpreadOverTheCores) {
  SKIP_AGAINST_PGBOUNCER("has no shards");
  Trireme trireme({.cores = 4, .patch = {{"sharing", {{"placement", "least_loaded"}}}}});
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(trireme.LoggedIn());
  for (const auto& row : trireme.Show("SHARDS")) {
    EXPECT_GE(std::stoi(row.at("clients")), 8);
    EXPECT_LE(std::stoi(row.at("clients")), 13);
  }
}

}  // namespace
}  // namespace trireme::e2e
