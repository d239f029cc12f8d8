// SPDX-License-Identifier: GPL-3.0-or-later
//
// libpq with deadlines: what ordinary applications do. A Connection is open from constructor to
// destructor; errors of the server are values (Answer), a connection that cannot be made or that
// hangs is a RigError.
#pragma once

#include <libpq-fe.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "patience.h"

namespace trireme::e2e {

struct Target {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string user = "app";
  std::string password = "secret-app";
  std::string database = "app";
  std::vector<std::pair<std::string, std::string>> more;  // further libpq keywords

  std::string ConnInfo() const;  // as psql and libpq take it
};

struct Answer {
  bool ok = false;
  std::string sqlstate;  // "" when ok
  std::string severity;
  std::string text;  // the error's message
  std::string tag;   // of CommandComplete
  std::vector<std::string> columns;
  std::vector<Oid> types;
  std::vector<std::vector<std::string>> rows;
};

class Connection {
 public:
  explicit Connection(const Target& target);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  PGconn* handle() { return connection_; }
  int backend_pid() { return PQbackendPID(connection_); }

  Answer Ask(const std::string& sql);  // simple protocol; the last statement's answer
  Answer AskExtended(const std::string& sql, const std::vector<std::string>& parameters = {});
  std::string Value(const std::string& sql);  // first column, first row; throws on error

  void Begin(const std::string& sql);             // sends, does not wait
  Answer Finish(milliseconds limit = kPatience);  // waits for what Begin started
  bool FinishedWithin(milliseconds limit);        // Finish() would not wait any more
  bool Cancel();                                  // PQcancel; true when it could be sent

 private:
  PGresult* NextResult(Clock::time_point deadline);
  PGconn* connection_;
};

// Why a connection is refused; "" when it is not.
std::string RefusalOf(const Target& target);

}  // namespace trireme::e2e
