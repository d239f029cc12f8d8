// SPDX-License-Identifier: GPL-3.0-or-later
//
// The daemon as a process: signals, command line, files it may open, memory and CPU at rest, and
// pgbench as the load that everybody knows.
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <cerrno>
#include <filesystem>
#include <regex>

#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

// ---- signals

class Signals : public OnShards {};
ON_1_2_4_SHARDS(Signals);

TEST_P(Signals, SigtermLetsATransactionFinish) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  trireme.process().Signal(SIGTERM);
  EXPECT_TRUE(Throughout(milliseconds(300), [&] { return trireme.process().Running(); }));
  EXPECT_EQ(connection.Value("SELECT 1"), "1");
  EXPECT_EQ(connection.Ask("COMMIT").tag, "COMMIT");
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigtermLetsAQueryFinish) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  connection.Begin("SELECT pg_sleep(0.5), 'done'");
  ASSERT_TRUE(Eventually([] { return Postgres::Shared().Count("query LIKE '%pg_sleep%'") == 1; }));
  trireme.process().Signal(SIGTERM);
  EXPECT_TRUE(connection.Finish().ok);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigtermSendsIdleClientsAwayWith57P01) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  RawClient client = trireme.LoggedIn();
  trireme.process().Signal(SIGTERM);
  const std::vector<Message> farewell = client.ReadUntilClosed();
  ASSERT_EQ(Types(farewell), "E");
  EXPECT_EQ(ErrorField(farewell[0], 'C'), "57P01");
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigtermTakesNoNewClients) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  trireme.process().Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] {
    try {
      const std::vector<Message> answer = trireme.Raw().TryLogin();
      return FindType(answer, 'Z') == nullptr;
    } catch (const RigError&) {
      return true;  // refused, or reset
    }
  }));
  EXPECT_TRUE(connection.Ask("COMMIT").ok);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, ASecondSigtermEndsNow) {
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  trireme.process().Signal(SIGTERM);
  if (!AgainstPgbouncer()) {
    EXPECT_TRUE(Throughout(milliseconds(200), [&] { return trireme.process().Running(); }));
  }
  trireme.process().Signal(SIGTERM);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigintEndsNow) {
  SKIP_AGAINST_PGBOUNCER("SIGINT is the gentle one there");
  Trireme trireme(Options());
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  connection.Begin("SELECT pg_sleep(60)");
  // A cancel that is there before the query hits nothing.
  ASSERT_TRUE(Eventually(
      [] { return Postgres::Shared().Count("usename = 'app' AND state = 'active'") == 1; }));
  trireme.process().Signal(SIGINT);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
  EXPECT_TRUE(Eventually(
      [] { return Postgres::Shared().Count("usename = 'app' AND state <> 'idle'") == 0; }));
}

TEST_P(Signals, SigtermGivesUpWaitingAfterTheShutdownTimeout) {
  SKIP_AGAINST_PGBOUNCER("has none");
  TriremeOptions options = Options();
  options.patch = {{"timeouts", {{"shutdown", "500ms"}}}};
  Trireme trireme(options);
  Connection connection(trireme.As("app"));
  ASSERT_TRUE(connection.Ask("BEGIN").ok);
  trireme.process().Signal(SIGTERM);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigtermSendsIdleConsoleClientsAwayWith57P01) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  std::vector<RawClient> consoles;  // on all cores
  for (int i = 0; i < 4; ++i) {
    consoles.push_back(trireme.LoggedIn({.user = "admin", .database = "trireme"}));
    EXPECT_NE(FindType(consoles.back().Ask("SHOW POOLS"), 'C'), nullptr);
  }
  trireme.process().Signal(SIGTERM);
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  for (RawClient& console : consoles) {
    const std::vector<Message> farewell = console.ReadUntilClosed();
    ASSERT_EQ(Types(farewell), "E");
    EXPECT_EQ(ErrorField(farewell[0], 'S'), "FATAL");
    EXPECT_EQ(ErrorField(farewell[0], 'C'), "57P01");
  }
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SigtermLetsAConsoleAnswerBeWhole) {
  SKIP_AGAINST_PGBOUNCER("1.18 ends at once");
  Trireme trireme(Options());
  RawClient console = trireme.LoggedIn({.user = "admin", .database = "trireme"});
  std::string questions;
  for (int i = 0; i < 200; ++i) questions += Query("SHOW CLIENTS");
  console.Send(questions);
  trireme.process().Signal(SIGTERM);
  // Any number of whole answers, and the end.
  const std::string types = Types(console.ReadUntilClosed());
  EXPECT_TRUE(std::regex_match(types, std::regex("(TD+CZ)*E"))) << types;
  const auto exit = trireme.process().Wait(seconds(5));
  ASSERT_TRUE(exit.has_value());
  trireme.CheckAfterExit(*exit);
}

TEST_P(Signals, SighupOpensTheLogFileAnew) {
  SKIP_AGAINST_PGBOUNCER("log.file is not translated");
  TriremeOptions options = Options();
  options.own_log_file = true;
  Trireme trireme(options);
  const std::string log = trireme.dir() + "/log";
  const std::string rotated = trireme.dir() + "/log.1";
  const auto log_in = [&trireme](const std::string& name) {
    trireme.LoggedIn({.user = name}).Value("SELECT 1");
  };
  const auto tells_of = [](const std::string& file, const std::string& name) {
    return std::regex_search(ReadFile(file), std::regex("client logged in .*user=" + name + " "));
  };
  log_in("app");
  ASSERT_TRUE(Eventually([&] { return tells_of(log, "app"); }));
  std::filesystem::rename(log, rotated);
  log_in("app_trust");  // still written where the file has gone
  ASSERT_TRUE(Eventually([&] { return tells_of(rotated, "app_trust"); }));
  EXPECT_FALSE(std::filesystem::exists(log));
  trireme.process().Signal(SIGHUP);
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(log); }));
  log_in("app_scram");
  EXPECT_TRUE(Eventually([&] { return tells_of(log, "app_scram"); }));
  EXPECT_FALSE(tells_of(rotated, "app_scram"));
  EXPECT_FALSE(tells_of(log, "app_trust"));
}

// ---- files

class Files : public OnShards {};
ON_1_2_4_SHARDS(Files);

TEST_P(Files, RunningOutPausesAcceptingAndRecovers) {
  SKIP_AGAINST_PGBOUNCER("not measured");
  TriremeOptions options = Options();
  options.files_max = 90;
  Trireme trireme(options);
  RawClient first = trireme.LoggedIn();
  EXPECT_EQ(first.Value("SELECT 1"), "1");
  std::vector<RawClient> crowd;
  for (int i = 0; i < 150; ++i) {
    crowd.push_back(trireme.Raw());
    crowd.back().socket().TrySend(StartupPacket({{"user", "app"}, {"database", "app"}}));
  }
  EXPECT_TRUE(Throughout(milliseconds(300), [&] { return trireme.process().Running(); }));
  const milliseconds before = CpuTime(trireme.process().pid());
  std::this_thread::sleep_for(milliseconds(1000));  // nothing happens: CPU use over a known time
  EXPECT_LT(CpuTime(trireme.process().pid()) - before, milliseconds(400)) << "it spins";
  EXPECT_EQ(first.Value("SELECT 2"), "2");
  crowd.clear();
  EXPECT_TRUE(Eventually([&] {
    try {
      return trireme.LoggedIn().Value("SELECT 3") == "3";
    } catch (const RigError&) {
      return false;
    }
  }));
}

TEST(FilesMax, IsToldInTheLog) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme({.files_max = 500});
  EXPECT_TRUE(std::regex_search(trireme.Log(), std::regex("open_files_max=500\\b")))
      << trireme.Log();
}

// ---- at rest

TEST(Rest, IdleClientsUseNoCpu) {
  Trireme trireme({.cores = 2});
  std::vector<RawClient> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(trireme.LoggedIn());
    clients.back().Value("SELECT 1");
  }
  const milliseconds before = CpuTime(trireme.process().pid());
  std::this_thread::sleep_for(milliseconds(2000));  // nothing happens: CPU use over a known time
  EXPECT_LE(CpuTime(trireme.process().pid()) - before, milliseconds(50));
}

TEST(Rest, NoFileIsLeftOpenBehindClientsThatCameAndWent) {
  Trireme trireme({.size = 2});
  trireme.LoggedIn().Value("SELECT 1");
  trireme.LoggedIn().Value("SELECT 1");
  const pid_t pid = trireme.process().pid();
  Eventually([&] { return trireme.Show("CLIENTS").size() == 1; });
  const size_t before = OpenFiles(pid);
  for (int i = 0; i < 200; ++i) trireme.LoggedIn().Value("SELECT 1");
  EXPECT_TRUE(Eventually([&] { return OpenFiles(pid) <= before + 2; }));
}

// ---- the process

TEST(Process, RunsAsAnOrdinaryUser) {
  const auto ordinary = OrdinaryUser();
  if (!ordinary) GTEST_SKIP() << "already is one";
  Trireme trireme({.as = ordinary});
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST(Process, DropsPrivilegesWhenTold) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  if (!OrdinaryUser()) GTEST_SKIP() << "not root";
  Trireme trireme({.patch = {{"run_as_user", "nobody"}}});
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
  const std::string status =
      ReadFile("/proc/" + std::to_string(trireme.process().pid()) + "/status");
  EXPECT_TRUE(std::regex_search(status, std::regex("\nUid:\t65534\t65534\t65534"))) << status;
}

TEST(Process, LogsJsonLines) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme({.patch = {{"log", {{"format", "json"}}}}});
  trireme.LoggedIn().Value("SELECT 1");
  std::istringstream lines(trireme.Log());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(Json::accept(line)) << line;
  EXPECT_GT(count, 0);
}

TEST(Process, LogShowsNoSecret) {
  Trireme trireme({.auth = "scram-sha-256", .patch = {{"log", {{"level", "debug"}}}}});
  Connection connection(trireme.As("app"));
  EXPECT_EQ(connection.Value("SELECT 1"), "1");
  EXPECT_EQ(trireme.Log().find("secret-"), std::string::npos);
}

TEST(Process, APortInUseIsAnErrorThatNamesIt) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  Json config = TriremeConfig({}, Postgres::Shared().port());
  WriteFile(dir / "config.json", config.dump());
  const RunOutput run = RunToEnd({.argv = {TriremeProgram(), dir / "config.json"}});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.text.find(std::to_string(Postgres::Shared().port())), std::string::npos)
      << run.text;
}

// What a container's seccomp profile answers: EPERM, or ENOSYS as if io_uring did not exist.
class ForbiddenIoUring : public ::testing::TestWithParam<uint16_t> {};
INSTANTIATE_TEST_SUITE_P(Process, ForbiddenIoUring, ::testing::Values(EPERM, ENOSYS),
                         [](const auto& instance) {
                           return instance.param == EPERM ? "Denied" : "Missing";
                         });

TEST_P(ForbiddenIoUring, IsAnErrorThatSaysWhatToAllow) {
  SKIP_AGAINST_PGBOUNCER("has no use for it");
  const TempDir dir;
  WriteFile(dir / "config.json", TriremeConfig({}, FreeTcpPort()).dump());
  const RunOutput run =
      RunToEnd({.argv = {TriremeProgram(), dir / "config.json"}, .io_uring_errno = GetParam()});
  EXPECT_EQ(run.exit, (ExitStatus{.code = 1})) << run.text;
  utsname kernel{};
  uname(&kernel);
  std::vector<std::string> parts = {"seccomp profile", "io_uring_setup",
                                    std::string("Linux ") + kernel.release};
  if (GetParam() == EPERM) parts.push_back("kernel.io_uring_disabled");
  for (const std::string& part : parts) {
    EXPECT_NE(run.text.find(part), std::string::npos) << part << " is not in: " << run.text;
  }
}

TEST(CommandLine, CheckAcceptsAGoodFile) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  WriteFile(dir / "config.json", TriremeConfig({}, 6432).dump(2));
  EXPECT_EQ(RunToEnd({.argv = {TriremeProgram(), "--check", dir / "config.json"}}).exit.code, 0);
}

TEST(CommandLine, CheckNamesEveryError) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  WriteFile(dir / "config.json",
            TriremeConfig({.patch = {{"auht", "trust"}, {"cores", "many"}}}, 6432).dump(2));
  const RunOutput run = RunToEnd({.argv = {TriremeProgram(), "--check", dir / "config.json"}});
  EXPECT_EQ(run.exit.code, 1);
  EXPECT_NE(run.text.find("/auht"), std::string::npos) << run.text;
  EXPECT_NE(run.text.find("/cores"), std::string::npos) << run.text;
}

TEST(CommandLine, PrintedConfigIsAcceptedAgainAndShowsNoSecret) {
  SKIP_AGAINST_PGBOUNCER("");
  const TempDir dir;
  WriteFile(dir / "config.json", TriremeConfig({}, 6432).dump(2));
  const RunOutput run =
      RunToEnd({.argv = {TriremeProgram(), "--print-config", dir / "config.json"}});
  EXPECT_EQ(run.exit.code, 0);
  EXPECT_NE(run.text.find("idle_timeout"), std::string::npos);
  EXPECT_EQ(run.text.find("secret-"), std::string::npos);
}

TEST(CommandLine, AMissingFileIsAnError) {
  SKIP_AGAINST_PGBOUNCER("");
  const RunOutput run = RunToEnd({.argv = {TriremeProgram(), "/nowhere/config.json"}});
  EXPECT_NE(run.exit.code, 0);
  EXPECT_NE(run.text.find("/nowhere/config.json"), std::string::npos) << run.text;
}

TEST(CommandLine, VersionAndHelpSucceed) {
  SKIP_AGAINST_PGBOUNCER("");
  for (const char* flag : {"--version", "--help"})
    EXPECT_EQ(RunToEnd({.argv = {TriremeProgram(), flag}}).exit.code, 0) << flag;
}

// ---- pgbench

struct Load {
  const char* name;
  const char* mode;
  std::vector<std::string> arguments;
};
class Pgbench : public ::testing::TestWithParam<std::tuple<Load, int>> {};
INSTANTIATE_TEST_SUITE_P(
    Run, Pgbench,
    ::testing::Combine(
        ::testing::Values(
            Load{"Simple", "transaction", {"-M", "simple"}},
            Load{"SimpleSelect", "transaction", {"-M", "simple", "-S"}},
            Load{"Extended", "transaction", {"-M", "extended"}},
            Load{"ExtendedSelect", "transaction", {"-M", "extended", "-S"}},
            // It prepares within its one thread: more clients than servers would block each other.
            Load{"Prepared", "transaction", {"-M", "prepared", "-c", "8"}},
            Load{"PreparedSelect", "transaction", {"-M", "prepared", "-S"}},
            Load{"PreparedInSessions", "session", {"-M", "prepared", "-c", "8"}},
            Load{"NewConnections", "transaction", {"-M", "simple", "-S", "-C"}},
            Load{"NewSessions", "session", {"-M", "simple", "-S", "-C"}}),
        ::testing::Values(1, 2, 4)),
    [](const auto& instance) {
      return std::get<0>(instance.param).name + std::string("On") +
             std::to_string(std::get<1>(instance.param));
    });

void InitializePgbench() {
  static bool done = false;
  if (done) return;
  const Target app = Postgres::Shared().As("app");
  const RunOutput run =
      RunToEnd({.argv = {PostgresProgram("pgbench"), "-i", "-q", "-s", "2", app.ConnInfo()}});
  if (run.exit.code != 0) throw RigError(run.text);
  done = true;
}

TEST_P(Pgbench, RunsWithoutAnError) {
  InitializePgbench();
  const Load& load = std::get<0>(GetParam());
  Trireme trireme(
      {.cores = std::get<1>(GetParam()), .auth = "scram-sha-256", .mode = load.mode, .size = 8});
  std::vector<std::string> argv = {
      PostgresProgram("pgbench"), "-n", "-c", "16", "-j", "2", "-T", "2"};
  argv.insert(argv.end(), load.arguments.begin(), load.arguments.end());
  argv.push_back(trireme.As("app").ConnInfo());
  const RunOutput run = RunToEnd({.argv = argv});
  EXPECT_EQ(run.exit.code, 0) << run.text;
  EXPECT_NE(run.text.find("number of failed transactions: 0 "), std::string::npos) << run.text;
  EXPECT_EQ(run.text.find("error"), std::string::npos) << run.text;
}

}  // namespace
}  // namespace trireme::e2e
