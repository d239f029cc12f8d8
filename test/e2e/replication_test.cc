// SPDX-License-Identifier: GPL-3.0-or-later
//
// Replication connections: PostgreSQL's own tools through the daemon, and raw bytes where they say
// too little. pg_stat_activity is the witness of whose walsender is there.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

namespace fs = std::filesystem;

const LoginRequest kPhysical{
    .user = "app_repl", .database = "replication", .more = {{"replication", "true"}}};
const LoginRequest kLogical{.user = "app_repl", .more = {{"replication", "database"}}};

int Walsenders() {
  return std::stoi(Postgres::Shared().Value(
      "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'"));
}

std::string CurrentLsn() { return Postgres::Shared().Value("SELECT pg_current_wal_insert_lsn()"); }

class Replication : public OnShards {
 protected:
  void SetUp() override { SKIP_AGAINST_PGBOUNCER("Debian's version has no replication"); }
  void TearDown() override {
    EXPECT_TRUE(Eventually([] { return Walsenders() == 0; }));
  }

  // The tool's command line, with where to connect.
  std::vector<std::string> Tool(const Trireme& trireme, const std::string& name,
                                const std::vector<std::string>& more) const {
    std::vector<std::string> argv{PostgresProgram(name),          "-h", "127.0.0.1", "-p",
                                  std::to_string(trireme.port()), "-U", "app_repl"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  void Run(const Trireme& trireme, const std::string& name, const std::vector<std::string>& more) {
    const RunOutput run = RunToEnd({.argv = Tool(trireme, name, more)});
    EXPECT_EQ(run.exit.code, 0) << name << ": " << run.text;
  }
  TempDir dir_;
};
ON_1_2_4_SHARDS(Replication);

// Its WAL comes over a second connection meanwhile.
TEST_P(Replication, BaseBackupIsWhole) {
  Trireme trireme(Options());
  const std::string backup = dir_ / "backup";
  Run(trireme, "pg_basebackup", {"-D", backup, "-X", "stream", "-c", "fast", "--no-sync"});
  const RunOutput verified = RunToEnd({.argv = {PostgresProgram("pg_verifybackup"), backup}});
  EXPECT_EQ(verified.exit.code, 0) << verified.text;
  EXPECT_TRUE(fs::exists(backup + "/PG_VERSION"));
}

TEST_P(Replication, ReceivesWalAndTellsHowFarItHasCome) {
  Trireme trireme(Options());
  Run(trireme, "pg_receivewal", {"--slot", "wal", "--create-slot"});
  const std::string segments = dir_ / "wal";
  fs::create_directory(segments);
  Process receiver({.argv = Tool(trireme, "pg_receivewal",
                                 {"-D", segments, "--slot", "wal", "--synchronous", "--no-loop"}),
                    .output_file = dir_ / "log"});
  Postgres& postgres = Postgres::Shared();
  EXPECT_TRUE(Eventually([&] {
    return postgres.Value(
               "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
               "'pg_receivewal' AND state = 'streaming'") == "1";
  })) << ReadFile(dir_ / "log");
  postgres.Value("SELECT pg_logical_emit_message(false, 'e2e', 'something to receive')");
  const std::string name = postgres.Value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())");
  const std::string end = postgres.Value("SELECT pg_switch_wal()");
  EXPECT_TRUE(Eventually([&] { return fs::exists(segments + "/" + name); }))
      << ReadFile(dir_ / "log");
  EXPECT_TRUE(ReadFile(segments + "/" + name) ==
              ReadFile(postgres.socket_dir() + "/data/pg_wal/" + name));
  EXPECT_TRUE(Eventually([&] {
    return postgres.Value("SELECT restart_lsn >= '" + end +
                          "' FROM pg_replication_slots WHERE slot_name = 'wal'") == "t";
  }));
  receiver.Signal(SIGINT);
  const std::optional<ExitStatus> exit = receiver.Wait();
  EXPECT_TRUE(exit && exit->code == 0) << ReadFile(dir_ / "log");
  Run(trireme, "pg_receivewal", {"--slot", "wal", "--drop-slot"});
}

TEST_P(Replication, ReceivesLogicalChanges) {
  Trireme trireme(Options());
  RawClient ordinary = trireme.LoggedIn();
  ordinary.Ask("DROP TABLE IF EXISTS changes; CREATE TABLE changes (n int PRIMARY KEY)");
  Run(trireme, "pg_recvlogical", {"-d", "app", "--slot", "changes", "--create-slot"});
  ordinary.Ask("INSERT INTO changes SELECT generate_series(1, 5000)");
  ordinary.Ask("DELETE FROM changes WHERE n = 7");
  const std::string file = dir_ / "changes";
  Run(trireme, "pg_recvlogical",
      {"-d", "app", "--slot", "changes", "--start", "--endpos", CurrentLsn(), "--no-loop", "-f",
       file});
  const std::string changes = ReadFile(file);
  EXPECT_NE(changes.find("public.changes: INSERT: n[integer]:5000"), changes.npos);
  EXPECT_NE(changes.find("public.changes: DELETE: n[integer]:7"), changes.npos);
  Run(trireme, "pg_recvlogical", {"-d", "app", "--slot", "changes", "--drop-slot"});
  ordinary.Ask("DROP TABLE changes");
}

TEST_P(Replication, LogicalConnectionsTakeSqlAndCommands) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn(kLogical);
  EXPECT_EQ(client.Value("SELECT current_database()"), "app");
  EXPECT_EQ(Types(client.Ask("IDENTIFY_SYSTEM")), "TDCZ");
  client.Ask("SET work_mem = '5MB'");
  EXPECT_EQ(client.Value("SHOW work_mem"), "5MB");
  EXPECT_EQ(Types(client.Ask("SELECT 1; SELECT 2")), "TDCTDCZ");
  const std::vector<Message> extended = client.Exchange(Parse("", "SELECT 1") + Sync());
  EXPECT_EQ(Types(extended), "EZ");
  EXPECT_EQ(ErrorField(extended[0], 'C'), "08P01");
  EXPECT_EQ(client.Value("SELECT 3"), "3");
}

// A pooler that lends servers for transactions would lose all of this.
TEST_P(Replication, KeepsOneServerForOneClient) {
  Trireme trireme(Options());
  RawClient one = trireme.LoggedIn(kLogical);
  RawClient other = trireme.LoggedIn(kLogical);
  const std::string pid = one.Value("SELECT pg_backend_pid()");
  EXPECT_NE(other.Value("SELECT pg_backend_pid()"), pid);
  EXPECT_EQ(one.Value("SELECT pg_backend_pid()"), pid);
  RawClient ordinary = trireme.LoggedIn({.user = "app_repl"});
  EXPECT_NE(ordinary.Value("SELECT pg_backend_pid()"), pid);
  EXPECT_EQ(Walsenders(), 2);
  one.Send(Terminate());
  EXPECT_TRUE(Eventually([] { return Walsenders() == 1; }));
  EXPECT_EQ(ordinary.Value("SELECT 1"), "1");
}

TEST_P(Replication, TakesNoPlaceInThePool) {
  TriremeOptions options = Options();
  options.size = 1;
  Trireme trireme(options);
  RawClient ordinary = trireme.LoggedIn({.user = "app_repl"});
  const std::string pid = ordinary.Value("SELECT pg_backend_pid()");
  RawClient one = trireme.LoggedIn(kLogical);
  RawClient other = trireme.LoggedIn(kLogical);
  EXPECT_EQ(Walsenders(), 2);
  EXPECT_EQ(ordinary.Value("SELECT pg_backend_pid()"), pid);  // nor is anybody's server closed
  EXPECT_EQ(one.Value("SELECT 1"), "1");
}

TEST_P(Replication, TellsTheServerTheStartupParametersOfTheClient) {
  Trireme trireme(Options());
  LoginRequest request = kPhysical;
  request.more.push_back({"application_name", "standby1"});
  request.more.push_back({"options", "-c datestyle=German -c wal_sender_timeout=7s"});
  RawClient client = trireme.LoggedIn(request);
  EXPECT_EQ(client.parameters().at("DateStyle"), "German, DMY");
  EXPECT_EQ(client.Value("SHOW wal_sender_timeout"), "7s");
  EXPECT_EQ(client.Value("SHOW application_name"), "standby1");
}

TEST_P(Replication, StreamsAndEndsInOrder) {
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn(kPhysical);
  client.Send(Query("START_REPLICATION PHYSICAL " + CurrentLsn()));
  EXPECT_EQ(client.Read().type, 'W');
  Postgres::Shared().Value("SELECT pg_logical_emit_message(false, 'e2e', 'here I am')");
  std::string wal;
  while (wal.find("here I am") == wal.npos) {
    const Message message = client.Read();
    ASSERT_EQ(message.type, 'd');
    wal += message.body;
  }
  client.Send(CopyDone());
  std::string types;
  for (const Message& message : client.ReadUntilReady()) {
    if (message.type != 'd') types += message.type;
  }
  EXPECT_TRUE(std::regex_match(types, std::regex("cC+Z"))) << types;
  EXPECT_EQ(Types(client.Ask("IDENTIFY_SYSTEM")), "TDCZ");
}

TEST_P(Replication, AClientThatVanishesLeavesNoWalsender) {
  Trireme trireme(Options());
  RawClient streaming = trireme.LoggedIn(kPhysical);
  streaming.Send(Query("START_REPLICATION PHYSICAL " + CurrentLsn()));
  EXPECT_EQ(streaming.Read().type, 'W');
  RawClient idle = trireme.LoggedIn(kLogical);
  RawClient busy = trireme.LoggedIn(kLogical);
  busy.Send(Query("SELECT pg_sleep(600)"));
  EXPECT_TRUE(Eventually([] {
    return Postgres::Shared().Value(
               "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND "
               "query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'") == "1";
  }));
  EXPECT_EQ(Walsenders(), 3);
  for (RawClient* client : {&streaming, &idle, &busy}) client->socket().Reset();
  EXPECT_TRUE(Eventually([] { return Walsenders() == 0; }));
}

TEST_P(Replication, IsRefusedInPostgresWords) {
  Trireme trireme(Options());
  const Message none = FirstErrorOf(trireme.Raw(), {.more = {{"replication", "database"}}});
  EXPECT_EQ(ErrorField(none, 'C'), "42501") << Describe(none);
  const Message parameter = FirstErrorOf(
      trireme.Raw(),
      {.user = "app_repl", .more = {{"replication", "true"}, {"options", "-c work_mem=lots"}}});
  EXPECT_EQ(ErrorField(parameter, 'C'), "22023") << Describe(parameter);
}

TEST_P(Replication, IsRefusedByARouteThatSaysSo) {
  TriremeOptions options = Options();
  options.patch["routes"] = Json::array();
  options.patch["routes"].push_back(
      {{"database", "*"}, {"user", "*"}, {"storage", "main"}, {"replication", "refuse"}});
  Trireme trireme(options);
  const Message error = FirstErrorOf(trireme.Raw(), kPhysical);
  EXPECT_EQ(ErrorField(error, 'C'), "28000") << Describe(error);
  EXPECT_EQ(trireme.LoggedIn({.user = "app_repl"}).Value("SELECT 1"), "1");
}

TEST_P(Replication, CanBeCancelled) {
  Trireme trireme(Options());
  Target target = trireme.As("app_repl");
  target.more = {{"replication", "database"}};
  Connection connection(target);
  connection.Begin("SELECT pg_sleep(600)");
  EXPECT_TRUE(Eventually([] {
    return Postgres::Shared().Value(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1";
  }));
  EXPECT_TRUE(connection.Cancel());
  EXPECT_EQ(connection.Finish().sqlstate, "57014");
  EXPECT_EQ(connection.Value("SELECT 1"), "1");
}

TEST_P(Replication, IsShownByTheConsole) {
  Trireme trireme(Options());
  RawClient logical = trireme.LoggedIn(kLogical);
  RawClient physical = trireme.LoggedIn(kPhysical);
  for (const char* view : {"CLIENTS", "SERVERS"}) {
    std::string kinds;
    for (const auto& row : trireme.Show(view)) {
      if (row.at("user") == "app_repl") kinds += row.at("replication") + ' ';
    }
    EXPECT_TRUE(kinds == "logical physical " || kinds == "physical logical ") << kinds;
  }
}

// A stream has no end to wait for.
TEST_P(Replication, AShutdownDoesNotWaitForAStream) {
  TriremeOptions options = Options();
  options.patch = {{"timeouts", {{"shutdown", "0"}}}};  // for ever
  Trireme trireme(options);
  RawClient client = trireme.LoggedIn(kPhysical);
  client.Send(Query("START_REPLICATION PHYSICAL " + CurrentLsn()));
  EXPECT_EQ(client.Read().type, 'W');
  trireme.Stop();
}

}  // namespace
}  // namespace trireme::e2e
