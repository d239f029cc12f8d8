// SPDX-License-Identifier: GPL-3.0-or-later
#include "trireme.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <regex>
#include <sstream>

namespace trireme::e2e {
namespace {

constexpr const char* kUsers[] = {"app",       "app_trust", "app_password", "app_md5",
                                  "app_scram", "app_one",   "app_reject",   "app_repl",
                                  "admin",     "stats",     "postgres"};

// The last line that says what is left, or "".
std::string RestLine(const std::string& log) {
  std::istringstream lines(log);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("resources at rest") != std::string::npos) found = line;
  }
  return found;
}

void ExpectNothingLeft(const std::string& log) {
  const std::string line = RestLine(log);
  EXPECT_NE(line, "") << "the daemon did not report its resources at rest";
  for (const char* resource : {"clients", "servers", "buffers_in_use", "ops_in_flight"}) {
    std::smatch match;
    const bool told =
        std::regex_search(line, match, std::regex(std::string(resource) + "\"?[=:] ?(\\d+)"));
    EXPECT_TRUE(told) << "no count of " << resource << " in: " << line;
    if (!told) continue;
    EXPECT_EQ(match[1], "0") << resource << " left: " << line;
  }
}

void ExpectQuietSanitizers(const std::string& log) {
  for (const char* alarm : {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                            "runtime error:", "WARNING: ThreadSanitizer"}) {
    EXPECT_EQ(log.find(alarm), std::string::npos) << alarm;
  }
}

Command StartCommand(const TriremeOptions& options, const std::string& dir, uint16_t port) {
  Json config = TriremeConfig(options, port);
  if (options.own_log_file) config["log"]["file"] = dir + "/log";
  Command command{.env = {{"ASAN_OPTIONS", "exitcode=99:detect_leaks=1"},
                          {"UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99"},
                          {"TSAN_OPTIONS", "halt_on_error=1:exitcode=99"}},
                  .as = options.as,
                  .files_max = options.files_max};
  if (AgainstPgbouncer()) {
    command.argv = {"/usr/sbin/pgbouncer", WritePgbouncerConfig(config, dir)};
  } else {
    WriteFile(dir + "/config.json", config.dump(2));
    command.argv = {TriremeProgram(), dir + "/config.json"};
  }
  return command;
}

}  // namespace

namespace {
std::string Against() {
  const char* name = std::getenv("TRIREME_E2E_AGAINST");
  return name != nullptr ? name : "trireme";
}
}  // namespace

bool AgainstPgbouncer() { return Against() == "pgbouncer"; }
bool AgainstPostgres() { return Against() == "postgres"; }

std::string TriremeProgram() {
  const char* path = std::getenv("TRIREME_BINARY");
  if (path == nullptr) throw RigError("TRIREME_BINARY does not name the daemon");
  return path;
}

Json TriremeConfig(const TriremeOptions& options, uint16_t port) {
  const uint16_t server_port =
      options.server_port != 0 ? options.server_port : Postgres::Shared().port();
  Json users = Json::object();
  for (const std::string name : kUsers) users[name] = {{"secret", "secret-" + name}};
  Json pool = {{"mode", options.mode}, {"size", options.size}};
  pool.merge_patch(options.pool);
  Json config = {
      {"listen", {{{"host", "127.0.0.1"}, {"port", port}}}},
      {"cores", options.cores},
      {"auth", options.auth},
      {"storages", {{"main", {{"hosts", {"127.0.0.1:" + std::to_string(server_port)}}}}}},
      {"users", users},
      {"routes", {{{"database", "*"}, {"user", "*"}, {"storage", "main"}, {"pool", pool}}}},
      {"console",
       {{"database", "trireme"}, {"admin_users", {"admin"}}, {"stats_users", {"stats"}}}},
      {"timeouts", {{"shutdown", "10s"}}},
  };
  config.merge_patch(options.patch);
  for (Json listener : options.more_listeners) {
    listener["port"] = port;
    config["listen"].push_back(listener);
  }
  return config;
}

Message FirstErrorOf(RawClient client, const LoginRequest& request) {
  std::vector<Message> answer = client.TryLogin(request);
  if (!answer.empty() && answer.back().type == 'Z') {
    if (client.socket().TrySend(Query("SELECT 1"))) {
      while (std::optional<Message> message = client.NextMessage()) {
        answer.push_back(*message);
        if (message->type == 'Z') break;
      }
    }
  }
  const Message* error = FindType(answer, 'E');
  if (error == nullptr) throw RigError("no error, but: " + Types(answer));
  return *error;
}

Trireme::Trireme(const TriremeOptions& options)
    : identity_(AgainstPgbouncer() ? OrdinaryUser() : options.as), dir_(identity_) {
  if (options.server_port == 0) Postgres::Shared().EndAllOthers();
  if (AgainstPostgres()) {
    port_ = Postgres::Shared().port();
    process_ = std::make_unique<Process>(Command{.argv = {"sleep", "1000"}});
    return;
  }
  TriremeOptions own = options;
  own.as = identity_;
  Command command = StartCommand(own, dir_.path(), port_);
  log_file_ = dir_ / "log";
  command.output_file = log_file_;
  WriteFile(log_file_, "");
  process_ = std::make_unique<Process>(command);
  const bool accepts = Eventually([&] {
    if (!process_->Running()) return true;
    // It says so when all its listeners are there; the kernel accepts on the first one before that.
    if (!AgainstPgbouncer() && Log().find("serving") == std::string::npos) return false;
    try {
      Socket::ConnectTcp("127.0.0.1", port_);
      return true;
    } catch (const RigError&) {
      return false;
    }
  });
  if (!accepts || !process_->Running()) {
    checked_ = true;
    throw RigError("the daemon does not start:\n" + Log());
  }
}

Trireme::~Trireme() {
  try {
    if (!checked_) Stop();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

void Trireme::Stop() {
  process_->Signal(SIGTERM);
  const std::optional<ExitStatus> exit = process_->Wait(2 * kPatience);
  if (!exit) {
    checked_ = true;
    ADD_FAILURE() << "the daemon does not stop after SIGTERM:\n" << Log();
    return;
  }
  CheckAfterExit(*exit);
}

void Trireme::CheckAfterExit(const ExitStatus& exit) {
  checked_ = true;
  const std::string log = Log();
  if (AgainstPgbouncer() || AgainstPostgres()) return;
  EXPECT_EQ(exit.code, expected_exit_.code) << log;
  EXPECT_EQ(exit.signal, expected_exit_.signal) << log;
  ExpectQuietSanitizers(log);
  if (exit.code == 0) ExpectNothingLeft(log);
  if (::testing::Test::HasFailure() || std::getenv("TRIREME_E2E_SHOW_LOG") != nullptr)
    std::fprintf(stderr, "--- log ---\n%s-----------\n", log.c_str());
}

Target Trireme::As(const std::string& user) const {
  return {.port = port_, .user = user, .password = "secret-" + user};
}

Target Trireme::Console() const {
  Target target = As("admin");
  target.database = AgainstPgbouncer() ? "pgbouncer" : "trireme";
  return target;
}

RawClient Trireme::Raw() const { return RawClient(Socket::ConnectTcp("127.0.0.1", port_)); }

RawClient Trireme::LoggedIn(const LoginRequest& request) const {
  RawClient client = Raw();
  client.Login(request);
  return client;
}

std::vector<std::map<std::string, std::string>> Trireme::Show(const std::string& view) const {
  Connection console(Console());
  const Answer answer = console.Ask("SHOW " + view);
  if (!answer.ok) throw RigError("SHOW " + view + ": " + answer.text);
  std::vector<std::map<std::string, std::string>> rows;
  for (const auto& values : answer.rows) {
    rows.emplace_back();
    for (size_t i = 0; i < values.size(); ++i) rows.back()[answer.columns[i]] = values[i];
  }
  return rows;
}

}  // namespace trireme::e2e
