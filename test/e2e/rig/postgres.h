// SPDX-License-Identifier: GPL-3.0-or-later
//
// One private PostgreSQL per run of the test binary: an own data directory, Unix socket and free
// TCP port on 127.0.0.1, run as an ordinary user, gone with the test binary however that ends.
//
// Who may log in over TCP, and how (role `x` has the password "secret-x"; the Unix socket trusts
// everybody):
//   app            SCRAM, the role most tests use; owns database app
//   app_trust      trust
//   app_password   cleartext password against a stored SCRAM verifier
//   app_md5        md5 against a stored md5 hash
//   app_scram      SCRAM; its stored verifier is available for pass-through
//   app_one        SCRAM, may have one connection only
//   app_repl       SCRAM, may replicate
//   app_reject     always refused
//   postgres       trust, superuser
#pragma once

#include <memory>
#include <string>

#include "connection.h"
#include "process.h"

namespace trireme::e2e {

class Postgres {
 public:
  // Started on first use, stopped when the test program ends.
  static Postgres& Shared();
  static void StopShared();

  Postgres();
  ~Postgres();

  uint16_t port() const { return port_; }
  const std::string& socket_dir() const { return dir_.path(); }
  Target As(const std::string& user) const;  // over TCP
  Target Superuser() const;                  // over the Unix socket, past every pooler

  void Start();
  void Stop(int signal = SIGINT);  // SIGINT: fast; SIGQUIT: as a crash
  std::string Log() const { return ReadFile(dir_ / "log"); }

  // Asked over an own superuser connection.
  std::string Value(const std::string& sql);
  int Count(const std::string& condition);  // rows of pg_stat_activity, client backends only
  std::string StoredSecret(const std::string& role);
  void EndAllOthers();  // backends a former daemon may have left

 private:
  void Initialize();

  std::optional<Identity> identity_ = OrdinaryUser();
  TempDir dir_{identity_};
  uint16_t port_ = FreeTcpPort();
  std::unique_ptr<Process> process_;
  std::unique_ptr<Connection> superuser_;
};

// The directory of initdb, postgres, pgbench: $PG_BINDIR, else where Debian has them.
std::string PostgresProgram(const std::string& name);

}  // namespace trireme::e2e
