// SPDX-License-Identifier: GPL-3.0-or-later
#include "postgres.h"

#include <cstdlib>
#include <filesystem>

namespace trireme::e2e {
namespace {

std::unique_ptr<Postgres>& SharedSlot() {
  static std::unique_ptr<Postgres> shared;
  return shared;
}

constexpr char kHostRules[] = R"(
local all all          trust
host  all postgres     127.0.0.1/32 trust
host  all app_trust    127.0.0.1/32 trust
host  all app_password 127.0.0.1/32 password
host  all app_md5      127.0.0.1/32 md5
host  all app_reject   127.0.0.1/32 reject
host  all all          127.0.0.1/32 scram-sha-256
host  replication app_repl 127.0.0.1/32 scram-sha-256
)";

constexpr char kSettings[] = R"(
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
wal_level = logical
huge_pages = off
log_min_messages = warning
log_min_error_statement = panic
)";

constexpr char kRoles[] = R"(
SET password_encryption = 'scram-sha-256';
CREATE ROLE app LOGIN PASSWORD 'secret-app';
CREATE ROLE app_trust LOGIN PASSWORD 'secret-app_trust';
CREATE ROLE app_password LOGIN PASSWORD 'secret-app_password';
CREATE ROLE app_scram LOGIN PASSWORD 'secret-app_scram';
CREATE ROLE app_repl LOGIN REPLICATION PASSWORD 'secret-app_repl';
CREATE ROLE app_one LOGIN PASSWORD 'secret-app_one' CONNECTION LIMIT 1;
CREATE ROLE app_reject LOGIN PASSWORD 'secret-app_reject';
SET password_encryption = 'md5';
CREATE ROLE app_md5 LOGIN PASSWORD 'secret-app_md5';
)";

}  // namespace

std::string PostgresProgram(const std::string& name) {
  namespace fs = std::filesystem;
  if (const char* dir = std::getenv("PG_BINDIR")) return std::string(dir) + "/" + name;
  for (const char* version : {"15", "16", "17", "18"}) {
    const std::string path = std::string("/usr/lib/postgresql/") + version + "/bin/" + name;
    if (fs::exists(path)) return path;
  }
  return name;
}

Postgres& Postgres::Shared() {
  if (!SharedSlot()) SharedSlot() = std::make_unique<Postgres>();
  return *SharedSlot();
}

void Postgres::StopShared() { SharedSlot().reset(); }

Postgres::Postgres() { Initialize(); }

Postgres::~Postgres() {
  superuser_.reset();
  if (process_ && process_->Running()) Stop(SIGQUIT);
}

void Postgres::Initialize() {
  const std::string data = dir_ / "data";
  const RunOutput init =
      RunToEnd({.argv = {PostgresProgram("initdb"), "-D", data, "-U", "postgres", "-A", "trust",
                         "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                .as = identity_});
  if (init.exit.code != 0) throw RigError("initdb failed:\n" + init.text);
  const char* against = std::getenv("TRIREME_E2E_AGAINST");
  const bool direct = against != nullptr && std::string(against) == "postgres";
  WriteFile(data + "/pg_hba.conf",
            direct ? "local all all trust\nhost all all all trust\nhost replication all all trust\n"
                   : kHostRules);
  WriteFile(data + "/postgresql.conf", kSettings + std::string("port = ") + std::to_string(port_) +
                                           "\nunix_socket_directories = '" + dir_.path() + "'\n");
  Start();
  Connection superuser(Superuser());
  const Answer roles = superuser.Ask(kRoles);
  if (!roles.ok) throw RigError(roles.text);
  superuser.Value("SELECT 1");
  if (!superuser.Ask("CREATE DATABASE app OWNER app").ok) throw RigError("no database app");
  Target in_app = Superuser();
  in_app.database = "app";
  if (!Connection(in_app).Ask("GRANT ALL ON SCHEMA public TO PUBLIC").ok)
    throw RigError("no grant on schema public");
}

void Postgres::Start() {
  // SIGQUIT asks the postmaster for an immediate shutdown of itself and all backends.
  process_ =
      std::make_unique<Process>(Command{.argv = {PostgresProgram("postgres"), "-D", dir_ / "data"},
                                        .as = identity_,
                                        .output_file = dir_ / "log",
                                        .death_signal = SIGQUIT});
  const bool up = Eventually([&] { return !process_->Running() || RefusalOf(Superuser()).empty(); },
                             3 * kPatience);
  if (!up || !process_->Running()) throw RigError("PostgreSQL does not start:\n" + Log());
}

void Postgres::Stop(int signal) {
  superuser_.reset();
  process_->Signal(signal);
  if (!process_->Wait(3 * kPatience)) throw RigError("PostgreSQL does not stop:\n" + Log());
}

Target Postgres::As(const std::string& user) const {
  return {.port = port_, .user = user, .password = "secret-" + user};
}

Target Postgres::Superuser() const {
  return {.host = dir_.path(), .port = port_, .user = "postgres", .database = "postgres"};
}

std::string Postgres::Value(const std::string& sql) {
  if (!superuser_ || PQstatus(superuser_->handle()) != CONNECTION_OK)
    superuser_ = std::make_unique<Connection>(Superuser());
  return superuser_->Value(sql);
}

int Postgres::Count(const std::string& condition) {
  return std::stoi(
      Value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
            "'client backend' AND pid <> pg_backend_pid() AND (" +
            condition + ")"));
}

void Postgres::EndAllOthers() {
  const bool ended = Eventually([&] {
    Value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = "
        "'client backend' AND pid <> pg_backend_pid()");
    return Count("true") == 0;
  });
  if (!ended) throw RigError("backends do not end");
}

std::string Postgres::StoredSecret(const std::string& role) {
  return Value("SELECT rolpassword FROM pg_authid WHERE rolname = '" + role + "'");
}

}  // namespace trireme::e2e
