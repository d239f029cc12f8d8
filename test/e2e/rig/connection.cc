// SPDX-License-Identifier: GPL-3.0-or-later
#include "connection.h"

#include <poll.h>

#include <algorithm>

namespace trireme::e2e {
namespace {

bool WaitOn(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
  pollfd entry{fd, events, 0};
  return poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, left.count()))) > 0;
}

PGconn* Open(const Target& target) {
  PGconn* connection = PQconnectStart(target.ConnInfo().c_str());
  const auto deadline = Clock::now() + kPatience;
  for (PostgresPollingStatusType step = PGRES_POLLING_WRITING;
       step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED;) {
    const short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (PQstatus(connection) == CONNECTION_BAD) break;
    if (!WaitOn(PQsocket(connection), events, deadline)) {
      PQfinish(connection);
      throw RigError("the login hangs: " + target.ConnInfo());
    }
    step = PQconnectPoll(connection);
  }
  return connection;
}

std::string Text(const char* text) { return text != nullptr ? text : ""; }

std::string Field(const PGresult* result, int code) {
  return Text(PQresultErrorField(result, code));
}

Answer ToAnswer(const PGresult* result, PGconn* connection) {
  Answer answer;
  const ExecStatusType status = PQresultStatus(result);
  answer.ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
              status == PGRES_EMPTY_QUERY || status == PGRES_COPY_IN || status == PGRES_COPY_OUT;
  if (!answer.ok) {
    answer.sqlstate = Field(result, PG_DIAG_SQLSTATE);
    answer.severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    answer.text = Field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (answer.text.empty()) answer.text = PQerrorMessage(connection);
  }
  answer.tag = Text(PQcmdStatus(const_cast<PGresult*>(result)));
  for (int column = 0; column < PQnfields(result); ++column) {
    answer.columns.push_back(Text(PQfname(result, column)));  // null for COPY
    answer.types.push_back(PQftype(result, column));
  }
  for (int row = 0; row < PQntuples(result); ++row) {
    answer.rows.emplace_back();
    for (int column = 0; column < PQnfields(result); ++column)
      answer.rows.back().emplace_back(PQgetvalue(result, row, column));
  }
  return answer;
}

}  // namespace

std::string Target::ConnInfo() const {
  std::string text = "host=" + host + " port=" + std::to_string(port) + " user='" + user +
                     "' dbname='" + database + "' password='" + password +
                     "' gssencmode=disable client_encoding=UTF8";
  for (const auto& [name, value] : more) text += " " + name + "='" + value + "'";
  return text;
}

Connection::Connection(const Target& target) : connection_(Open(target)) {
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  if (PQstatus(connection_) == CONNECTION_OK) return;
  const std::string why = PQerrorMessage(connection_);
  PQfinish(connection_);
  throw RigError(why);
}

Connection::~Connection() { PQfinish(connection_); }

Answer Connection::Ask(const std::string& sql) {
  Begin(sql);
  return Finish();
}

Answer Connection::AskExtended(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  if (PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) != 1) {
    throw RigError(PQerrorMessage(connection_));
  }
  return Finish();
}

std::string Connection::Value(const std::string& sql) {
  const Answer answer = Ask(sql);
  if (!answer.ok) throw RigError(sql + ": " + answer.sqlstate + " " + answer.text);
  if (answer.rows.empty()) throw RigError("no row from: " + sql);
  return answer.rows[0].at(0);
}

void Connection::Begin(const std::string& sql) {
  if (PQsendQuery(connection_, sql.c_str()) != 1) throw RigError(PQerrorMessage(connection_));
}

bool Connection::FinishedWithin(milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (PQisBusy(connection_) == 1) {
    if (!WaitOn(PQsocket(connection_), POLLIN, deadline)) return false;
    if (PQconsumeInput(connection_) == 0) return true;  // broken: an error result is there
  }
  return true;
}

PGresult* Connection::NextResult(Clock::time_point deadline) {
  while (PQflush(connection_) == 1) {
    if (!WaitOn(PQsocket(connection_), POLLOUT | POLLIN, deadline)) throw RigError("query hangs");
    PQconsumeInput(connection_);
  }
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
  if (!FinishedWithin(left)) throw RigError("the answer to a query does not come");
  return PQgetResult(connection_);
}

Answer Connection::Finish(milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  Answer last;
  while (PGresult* result = NextResult(deadline)) {
    // The first error is the one to report; what follows a broken connection only repeats it.
    if (last.ok || last.sqlstate.empty()) last = ToAnswer(result, connection_);
    const ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) break;
  }
  return last;
}

bool Connection::Cancel() {
  PGcancel* cancel = PQgetCancel(connection_);
  char error[256];
  const bool sent = PQcancel(cancel, error, sizeof error) == 1;
  PQfreeCancel(cancel);
  return sent;
}

std::string RefusalOf(const Target& target) {
  PGconn* connection = Open(target);
  std::string why;
  if (PQstatus(connection) != CONNECTION_OK) why = PQerrorMessage(connection);
  PQfinish(connection);
  return why;
}

}  // namespace trireme::e2e
