// SPDX-License-Identifier: GPL-3.0-or-later
//
// The daemon under test: configuration from TriremeOptions, an own directory and port, started by
// the constructor, stopped by SIGTERM in Stop() or the destructor. Every stop checks what must hold
// after any test: exit code 0, quiet sanitizers, and "resources at rest" in the log with no client,
// server, buffer or operation left.
//
// The program is $TRIREME_BINARY. TRIREME_E2E_AGAINST=pgbouncer lets the same tests drive Debian's
// PgBouncer, TRIREME_E2E_AGAINST=postgres PostgreSQL itself (relay and copy make sense there): the
// control groups that tell a wrong test from a wrong pooler.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "connection.h"
#include "postgres.h"
#include "process.h"
#include "raw_client.h"

namespace trireme::e2e {

using Json = nlohmann::json;

struct TriremeOptions {
  int cores = 2;
  std::string auth = "trust";  // of clients, unless the user says otherwise
  std::string mode = "transaction";
  int size = 5;
  Json pool = Json::object();           // merged into the one route's "pool"
  Json patch = Json::object();          // JSON merge patch over the whole configuration
  Json more_listeners = Json::array();  // get the daemon's port
  uint16_t server_port = 0;             // 0: the shared PostgreSQL
  std::optional<rlim_t> files_max;
  std::optional<Identity> as;
  bool own_log_file = false;  // the daemon opens dir()/log itself ("log.file")
};

class Trireme {
 public:
  explicit Trireme(const TriremeOptions& options = {});
  ~Trireme();

  uint16_t port() const { return port_; }
  const std::string& dir() const { return dir_.path(); }
  Process& process() { return *process_; }
  std::string Log() const { return ReadFile(log_file_); }

  Target As(const std::string& user) const;
  Target Console() const;
  RawClient Raw() const;                                       // connected, not logged in
  RawClient LoggedIn(const LoginRequest& request = {}) const;  // trust only

  // SIGTERM, and all checks. Also for tests that ended the daemon themselves.
  void Stop();
  void CheckAfterExit(const ExitStatus& exit);
  void ExpectExit(ExitStatus expected) { expected_exit_ = expected; }

  // A console view as a list of rows, each a map from column name to text.
  std::vector<std::map<std::string, std::string>> Show(const std::string& view) const;

 private:
  std::optional<Identity> identity_;
  TempDir dir_;
  uint16_t port_ = FreeTcpPort();
  std::string log_file_;
  ExitStatus expected_exit_{0, 0};
  bool checked_ = false;
  std::unique_ptr<Process> process_;
};

// Where behaviour could depend on the number of cores. More shards than CPUs is a supported thing.
class OnShards : public ::testing::TestWithParam<int> {
 protected:
  TriremeOptions Options() const { return {.cores = GetParam()}; }
};
#define ON_1_2_4_SHARDS(suite)                                        \
  INSTANTIATE_TEST_SUITE_P(Shards, suite, ::testing::Values(1, 2, 4), \
                           ::testing::PrintToStringParamName())

// The first error a client meets from its startup packet on: at login, or answering its first
// query. Throws when there is none.
Message FirstErrorOf(RawClient client, const LoginRequest& request = {});

// The configuration of `options` as the daemon reads it.
Json TriremeConfig(const TriremeOptions& options, uint16_t port);
// The same for PgBouncer, as far as it has the notion. Returns the file to start it with.
std::string WritePgbouncerConfig(const Json& config, const std::string& dir);

bool AgainstPgbouncer();
bool AgainstPostgres();
std::string TriremeProgram();  // throws when the environment does not name it

// For what PgBouncer is known to do differently.
#define SKIP_AGAINST_PGBOUNCER(why) \
  if (::trireme::e2e::AgainstPgbouncer()) GTEST_SKIP() << "PgBouncer: " << why

}  // namespace trireme::e2e
