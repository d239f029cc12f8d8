// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/views.h"

#include <gtest/gtest.h>

#include <map>

namespace trireme {
namespace {

std::string TypeName(ColumnType type) {
  switch (type) {
    case ColumnType::kText:
      return "text";
    case ColumnType::kInt4:
      return "int4";
    case ColumnType::kInt8:
      return "int8";
    case ColumnType::kNumeric:
      return "numeric";
  }
  return "";
}

std::string Columns(const View& view) {
  std::string text;
  for (const Column& column : view.columns) {
    if (!text.empty()) text += ", ";
    text += std::string(column.name) + " " + TypeName(column.type);
  }
  return text;
}

// "a b c" with one type for all.
std::string Typed(const std::string& names, const std::string& type) {
  std::string text = names;
  for (size_t at = 0; (at = text.find(' ', at)) != std::string::npos;) {
    text.replace(at, 1, " " + type + ", ");
    at += type.size() + 3;
  }
  return text + " " + type;
}

// PgBouncer 1.25 as it answers, then ours.
TEST(Views, HavePgBouncersColumnsFirst) {
  const std::string socket =
      "type text, user text, database text, replication text, state text, addr text, port int4, "
      "local_addr text, local_port int4, connect_time text, request_time text, wait int4, wait_us "
      "int4, close_needed int4, ptr text, link text, remote_pid int4, tls text, application_name "
      "text, prepared_statements int4, id int4";
  struct Case {
    const char* view;
    std::string pgbouncer;
    std::string ours;
  };
  const Case cases[] = {
      {"databases",
       "name text, host text, port int4, database text, force_user text, pool_size int4, "
       "min_pool_size int4, reserve_pool_size int4, server_lifetime int4, pool_mode text, "
       "load_balance_hosts text, max_connections int4, current_connections int4, "
       "max_client_connections int4, current_client_connections int4, paused int4, disabled int4",
       ", storage text, route_user text, shared_pool text"},
      {"pools",
       "database text, user text, cl_active int4, cl_waiting int4, cl_active_cancel_req int4, "
       "cl_waiting_cancel_req int4, sv_active int4, sv_active_cancel int4, sv_being_canceled int4, "
       "sv_idle int4, sv_used int4, sv_tested int4, sv_login int4, maxwait int4, maxwait_us int4, "
       "pool_mode text, load_balance_hosts text",
       ", storage text, pool_size int4, steals int8, grants int8, sv_pinned int4, pins int8, "
       "min_pool_size int4, "
       "reserve_pool_size int4, shared_pool text"},
      {"clients", socket, ", core int4, pinned text"},
      {"servers", socket, ", core int4, times_lent int8, hand_overs int8, pinned text"},
      {"stats",
       "database text, " +
           Typed("total_server_assignment_count total_xact_count total_query_count total_received "
                 "total_sent total_xact_time total_query_time total_wait_time "
                 "total_client_parse_count total_server_parse_count total_bind_count "
                 "total_client_login_count avg_server_assignment_count avg_xact_count "
                 "avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time "
                 "avg_client_parse_count avg_server_parse_count avg_bind_count "
                 "avg_client_login_count",
                 "numeric"),
       ""},
      {"stats_totals",
       "database text, " +
           Typed("server_assignment_count xact_count query_count bytes_received bytes_sent "
                 "xact_time query_time wait_time client_parse_count server_parse_count bind_count "
                 "client_login_count",
                 "numeric"),
       ""},
      {"stats_averages",
       "database text, " +
           Typed("server_assignment_count xact_count query_count bytes_received bytes_sent "
                 "xact_time query_time wait_time avg_client_parse_count avg_server_parse_count "
                 "avg_bind_count avg_client_login_count",
                 "numeric"),
       ""},
      {"totals", "name text, value numeric", ""},
      {"lists", "list text, items int4", ""},
      {"users",
       "name text, pool_size text, reserve_pool_size text, pool_mode text, max_user_connections "
       "int4, current_connections int4, max_user_client_connections int4, "
       "current_client_connections int4",
       ""},
      {"config", "key text, value text, default text, changeable text", ""},
      {"mem", "name text, size int4, used int4, free int4, memtotal int4", ""},
      {"state", "key text, value text", ""},
      {"version", "version text", ""},
      {"peers", "peer_id int4, host text, port int4, pool_size int4", ""},
      {"peer_pools",
       "peer_id int4, cl_active_cancel_req int4, cl_waiting_cancel_req int4, sv_active_cancel "
       "int4, sv_login int4",
       ""},
      {"dns_hosts", "hostname text, ttl int8, addrs text", ""},
      {"dns_zones", "zonename text, serial int8, count int4", ""},
  };
  for (const Case& c : cases) {
    const View* view = FindView(c.view);
    ASSERT_NE(view, nullptr) << c.view;
    EXPECT_EQ(Columns(*view), c.pgbouncer + c.ours) << c.view;
  }
  EXPECT_EQ(Views().size(), std::size(cases) + 1);  // and SHARDS, which is ours
}

TEST(Views, AreFoundInAnyCase) {
  EXPECT_EQ(FindView("PoOlS"), FindView("pools"));
  EXPECT_EQ(FindView("pool"), nullptr);
  EXPECT_EQ(FindView(""), nullptr);
}

TEST(Views, GiveOneCellForEachColumn) {
  const Config config{.storages = {{.name = "s", .hosts = {{.host = "h"}}}},
                      .users = {{.name = "u"}},
                      .routes = {{}}};
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.facts.settings = {{"k", "v", "d", true}};
  fleet.clients.resize(1);
  fleet.servers.resize(1);
  fleet.pools.resize(1);
  fleet.stats.resize(1);
  fleet.shards.resize(1);
  fleet.memory.resize(1);
  for (const View& view : Views()) {
    for (const Row& row : view.rows(fleet)) EXPECT_EQ(row.size(), view.columns.size()) << view.name;
  }
}

// Rows as "a|b|c", NULL as "~".
std::string Text(const Row& row) {
  std::string text;
  for (const Cell& cell : row) {
    if (!text.empty()) text += '|';
    if (const int64_t* number = std::get_if<int64_t>(&cell)) {
      text += std::to_string(*number);
    } else if (const std::string* string = std::get_if<std::string>(&cell)) {
      text += *string;
    } else {
      text += '~';
    }
  }
  return text;
}

FleetFacts FactsAt(Time now) {
  // 2024-02-29 23:59:58.5 UTC
  return {.version = "1.2.3", .now = now, .now_wall_us = 1709251198'500000};
}

TEST(ClientView, ShowsAClientThatWaits) {
  FleetSnapshot fleet;
  fleet.facts = FactsAt(Time{100s});
  fleet.clients = {{.id = 0xabcdef0123,
                    .core = 3,
                    .user = "joe",
                    .database = "shop",
                    .replication = Replication::kLogical,
                    .state = ClientRow::State::kWaiting,
                    .peer = {"10.0.0.9", 5555},
                    .local = {"10.0.0.1", 6432},
                    .connected_at = Time{40s},
                    .request_at = Time{98s},
                    .waiting_since = Time{98s + 750ms},
                    .application_name = "psql",
                    .prepared_statements = 2}};
  EXPECT_EQ(Text(ClientRows(fleet).at(0)),
            "C|joe|shop|logical|waiting|10.0.0.9|5555|10.0.0.1|6432|2024-02-29 23:58:58 UTC|"
            "2024-02-29 23:59:56 UTC|1|250000|0|C0xabcdef0123||0||psql|2|1307509027|3|");
}

TEST(ClientView, NamesWhatIsNotKnownYet) {
  FleetSnapshot fleet;
  fleet.facts = FactsAt(Time{1s});
  fleet.clients = {{.id = 1, .peer = {"unix", 6432}, .local = {"unix", 6432}, .remote_pid = 42}};
  EXPECT_EQ(Text(ClientRows(fleet).at(0)),
            "C|(nouser)|(nodb)|none|login|unix|6432|unix|6432|||0|0|0|C0x1||42|||0|1|0|");
}

TEST(ServerView, ShowsALentServerWithItsLink) {
  FleetSnapshot fleet;
  fleet.facts = FactsAt(Time{100s});
  fleet.servers = {{.id = 7,
                    .core = 1,
                    .user = "app",
                    .database = "main",
                    .replication = Replication::kPhysical,
                    .state = ServerRow::State::kActive,
                    .peer = {"10.0.0.2", 5432},
                    .local = {"10.0.0.1", 40000},
                    .connected_at = Time{99s},
                    .request_at = Time{100s},
                    .close_needed = true,
                    .client_id = 255,
                    .remote_pid = 4711,
                    .times_lent = 9,
                    .hand_overs = 2,
                    .pinned = "LISTEN"}};
  EXPECT_EQ(Text(ServerRows(fleet).at(0)),
            "S|app|main|physical|active|10.0.0.2|5432|10.0.0.1|40000|2024-02-29 23:59:57 UTC|"
            "2024-02-29 23:59:58 UTC|0|0|1|S0x7|C0xff|4711|||0|7|1|9|2|LISTEN");
}

TEST(PoolView, ShowsCountsAndTheLongestWait) {
  const Config config{.storages = {{.name = "pg", .hosts = {{.host = "a"}, {.host = "b"}}}},
                      .routes = {{}}};
  FleetSnapshot fleet;
  fleet.facts = FactsAt(Time{100s});
  fleet.facts.config = &config;
  fleet.pools = {{.pool_index = 0,
                  .route_index = 0,
                  .database = "shop",
                  .user = "app",
                  .storage = "pg",
                  .mode = PoolMode::kStatement,
                  .size = 20,
                  .min_size = 13,
                  .reserve_size = 14,
                  .shared_pool = "web",
                  .clients_active = 1,
                  .clients_waiting = 2,
                  .clients_active_cancel = 3,
                  .clients_waiting_cancel = 4,
                  .servers_active = 5,
                  .servers_active_cancel = 6,
                  .servers_being_canceled = 7,
                  .servers_idle = 8,
                  .servers_tested = 9,
                  .servers_login = 10,
                  .oldest_waiting_since = Time{97s},
                  .steals = 11,
                  .grants = 12,
                  .servers_pinned = 13,
                  .pins = 14}};
  EXPECT_EQ(Text(PoolRows(fleet).at(0)),
            "shop|app|1|2|3|4|5|6|7|8|0|9|10|3|0|statement|disable|pg|20|11|12|13|14|13|14|web");
}

TEST(DatabaseView, ShowsRoutesWithWhatIsConnected) {
  const Config config{.storages = {{.name = "pg",
                                    .hosts = {{.host = "h", .port = 5433}},
                                    .connections_max = 90,
                                    .databases = {{.name = "main", .connections_max = 30}}}},
                      .routes = {{.database = "shop",
                                  .user = "*",
                                  .storage_database = "main",
                                  .storage_user = "app",
                                  .clients_max = 50,
                                  .pool = {.size = 7, .min_size = 2, .reserve_size = 3}},
                                 {}}};
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.pools = {
      {.pool_index = 0, .route_index = 0, .clients_active = 2, .servers_idle = 1},
      {.pool_index = 1, .route_index = 0, .clients_waiting = 3, .servers_login = 1},
      {.pool_index = kNoIndex, .route_index = kNoIndex, .clients_active = 9},
  };
  const std::vector<Row> rows = DatabaseRows(fleet);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(Text(rows[0]), "shop|h|5433|main|app|7|2|3|3600|transaction|~|30|2|50|5|0|0|pg|*|");
  EXPECT_EQ(Text(rows[1]), "*|h|5433|*|~|20|0|0|3600|transaction|~|90|0|0|0|0|0|pg|*|");
}

TEST(DatabaseView, ShowsASharedPoolAtEachOfItsRoutes) {
  Config config{
      .storages = {{.name = "pg"}},
      .shared_pools = {{.name = "web"}},
      .routes = {{.database = "a", .shared_pool = 0}, {.database = "b", .shared_pool = 0}}};
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.pools = {{.pool_index = 2, .route_index = 0, .servers_idle = 4}};
  for (const Row& row : DatabaseRows(fleet)) {
    EXPECT_NE(Text(row).find("|0|4|0|0|0|0|pg|*|web"), std::string::npos) << Text(row);
  }
}

TEST(UserView, CountsConnectionsAtTheEntryThatGoverns) {
  Config config{.users = {{.name = "*"},
                          {.name = "joe",
                           .pool_mode = PoolMode::kSession,
                           .clients_max = 3,
                           .pool_size = 4,
                           .reserve_size = 5,
                           .connections_max = 6}}};
  config.limits.user_connections_max = 7;
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.clients = {{.user = "joe"}, {.user = "ann"}, {.user = ""}};
  fleet.servers = {{.user = "joe"}, {.user = "joe"}};
  const std::vector<Row> rows = UserRows(fleet);
  EXPECT_EQ(Text(rows.at(0)), "*||||7|0|0|1");
  EXPECT_EQ(Text(rows.at(1)), "joe|4|5|session|6|2|3|1");
}

FleetSnapshot StatsFleet() {
  FleetSnapshot fleet;
  fleet.facts.stats_period = 10s;
  fleet.stats = {{.database = "shop",
                  .totals = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
                  .last_period = {.server_assignment_count = 100,
                                  .xact_count = 40,
                                  .query_count = 80,
                                  .bytes_received = 1000,
                                  .bytes_sent = 2000,
                                  .xact_time_us = 4000,
                                  .query_time_us = 4000,
                                  .wait_time_us = 500,
                                  .client_parse_count = 10,
                                  .server_parse_count = 20,
                                  .bind_count = 30,
                                  .client_login_count = 9}},
                 {.database = "idle", .totals = {}, .last_period = {}}};
  return fleet;
}

TEST(StatsView, ShowsTotalsAndAverages) {
  const std::string totals = "1|2|3|4|5|6|7|8|9|10|11|12";
  const std::string averages = "10|4|8|100|200|100|50|50|1|2|3|0";
  const FleetSnapshot fleet = StatsFleet();
  EXPECT_EQ(Text(StatsRows(fleet).at(0)), "shop|" + totals + "|" + averages);
  EXPECT_EQ(Text(StatsRows(fleet).at(1)), "idle|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0");
  EXPECT_EQ(Text(StatsTotalsRows(fleet).at(0)), "shop|" + totals);
  EXPECT_EQ(Text(StatsAveragesRows(fleet).at(0)), "shop|" + averages);
}

TEST(StatsView, SumsAllDatabasesInTotals) {
  const std::vector<Row> rows = TotalsRows(StatsFleet());
  ASSERT_EQ(rows.size(), 24u);
  EXPECT_EQ(Text(rows[0]), "total_server_assignment_count|1");
  EXPECT_EQ(Text(rows[3]), "total_client_bytes|4");
  EXPECT_EQ(Text(rows[11]), "total_client_login_count|12");
  EXPECT_EQ(Text(rows[12]), "avg_server_assignment_count|10");
  EXPECT_EQ(Text(rows[22]), "avg_ps_bind_count|3");
}

TEST(StatsView, SurvivesHugeCountsAndNoPeriod) {
  FleetSnapshot fleet;
  fleet.facts.stats_period = 0s;
  fleet.stats = {{.database = "d", .totals = {.bytes_sent = UINT64_MAX}, .last_period = {}}};
  EXPECT_EQ(std::get<int64_t>(StatsTotalsRows(fleet).at(0).at(5)), INT64_MAX);
  EXPECT_EQ(std::get<int64_t>(StatsAveragesRows(fleet).at(0).at(5)), 0);
}

TEST(ShardView, MakesTheCoresVisible) {
  FleetSnapshot fleet;
  fleet.shards = {{.core = 0,
                   .cpu = 2,
                   .clients = 3,
                   .waiting = 1,
                   .servers = 4,
                   .servers_idle = 2,
                   .steals_asked = 5,
                   .steals_received = 4,
                   .steals_given = 6,
                   .steals_denied = 7,
                   .grants_sent = 8,
                   .grants_received = 9,
                   .mails_sent = 10,
                   .mails_received = 11,
                   .wake_ups_sent = 12,
                   .wake_ups_received = 13,
                   .turns = 14,
                   .sleeps = 15,
                   .receives = 16,
                   .sends = 17,
                   .accepts = 18,
                   .clients_placed = 19,
                   .buffers_in_use = 20,
                   .buffers_total = 21,
                   .busy_us = 22,
                   .hand_over_p50_us = 23,
                   .hand_over_p99_us = 24}};
  EXPECT_EQ(Text(ShardRows(fleet).at(0)),
            "0|2|3|1|4|2|5|4|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24");
}

TEST(ListsView, HasFourteenRowsOfTwoColumns) {
  const Config config{.storages = {{}}, .users = {{}, {}}, .routes = {{}, {}, {}}};
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.pools.resize(4);
  fleet.lists = {.free_clients = 5,
                 .used_clients = 6,
                 .login_clients = 7,
                 .free_servers = 8,
                 .used_servers = 9};
  std::string text;
  for (const Row& row : ListsRows(fleet)) text += Text(row) + "\n";
  EXPECT_EQ(text,
            "databases|3\nusers|2\npeers|0\npools|4\npeer_pools|0\nfree_clients|5\nused_clients|6\n"
            "login_clients|7\nfree_servers|8\nused_servers|9\ndns_names|0\ndns_zones|0\n"
            "dns_queries|0\ndns_pending|0\n");
}

TEST(FleetViews, ShowMemorySettingsStateAndVersion) {
  FleetSnapshot fleet;
  fleet.facts = FactsAt(Time{1s});
  fleet.facts.settings = {{"limits.clients_max", "7", "10000", false},
                          {"log.level", "a", "b", true}};
  fleet.memory = {{.name = "client", .size_bytes = 512, .used = 2, .free = 1}};
  EXPECT_EQ(Text(MemoryRows(fleet).at(0)), "client|512|2|1|1536");
  EXPECT_EQ(Text(SettingRows(fleet).at(0)), "limits.clients_max|7|10000|no");
  EXPECT_EQ(Text(SettingRows(fleet).at(1)), "log.level|a|b|yes");
  EXPECT_EQ(Text(StateRows(fleet).at(0)), "active|yes");
  EXPECT_EQ(Text(VersionRows(fleet).at(0)), "Trireme 1.2.3");
}

}  // namespace
}  // namespace trireme
