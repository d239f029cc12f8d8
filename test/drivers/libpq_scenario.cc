// SPDX-License-Identifier: GPL-3.0-or-later
//
// libpq: what only its C interface reaches, and no driver above it: statements and portals
// described by hand, pipelines that are flushed and aborted, rows one by one, function calls,
// asynchronous use. Each check runs in a process of its own, is ended after kCheckSeconds, and
// prints what run.py reads.
#include <libpq-fe.h>
#include <libpq/libpq-fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kRounds = 20;  // transactions after which a client has met every server
constexpr int kCheckSeconds = 20;

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

void Must(bool condition, const std::string& otherwise) {
  if (!condition) throw std::runtime_error(otherwise);
}

void Equal(const std::string& actual, const std::string& expected) {
  Must(actual == expected, actual + ", not " + expected);
}

Connection Connect(const std::string& options = "") {
  Connection connection(PQconnectdb(options.c_str()), &PQfinish);
  Must(PQstatus(connection.get()) == CONNECTION_OK, PQerrorMessage(connection.get()));
  return connection;
}

// The first value, "" when there is none, or the SQLSTATE of an error.
std::string Told(const Result& result) {
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  if (state != nullptr) return state;
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

std::string Ask(const Connection& connection, const std::string& sql) {
  return Told(Result(PQexec(connection.get(), sql.c_str()), &PQclear));
}

void Run(const Connection& connection, const std::string& sql) {
  const Result result(PQexec(connection.get(), sql.c_str()), &PQclear);
  Must(PQresultStatus(result.get()) == PGRES_COMMAND_OK ||
           PQresultStatus(result.get()) == PGRES_TUPLES_OK,
       PQerrorMessage(connection.get()));
}

std::string Execute(const Connection& connection, const char* name, const std::string& value) {
  const char* values[] = {value.c_str()};
  return Told(
      Result(PQexecPrepared(connection.get(), name, 1, values, nullptr, nullptr, 0), &PQclear));
}

std::string Prepare(const Connection& connection, const char* name, const char* sql) {
  return Told(Result(PQprepare(connection.get(), name, sql, 0, nullptr), &PQclear));
}

void Send(const Connection& connection, const char* sql, const std::string& value) {
  const char* values[] = {value.c_str()};
  Must(PQsendQueryParams(connection.get(), sql, 1, nullptr, values, nullptr, nullptr, 0) == 1,
       PQerrorMessage(connection.get()));
}

Result Next(const Connection& connection) {
  return Result(PQgetResult(connection.get()), &PQclear);
}

// In a pipeline each query's result is followed by a null.
std::string NextTold(const Connection& connection) {
  const Result result = Next(connection);
  Must(result != nullptr, "no result");
  if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) return "sync";
  const bool aborted = PQresultStatus(result.get()) == PGRES_PIPELINE_ABORTED;
  Must(Next(connection) == nullptr, "one result too many");
  return aborted ? "aborted" : Told(result);
}

void NamedStatements() {
  const Connection a = Connect(), b = Connect();
  Equal(Prepare(a, "same", "SELECT $1::int + 1"), "");
  Equal(Prepare(b, "same", "SELECT $1::int * 100"), "");
  for (int i = 0; i < kRounds; ++i) {
    Equal(Execute(a, "same", std::to_string(i)), std::to_string(i + 1));
    Equal(Execute(b, "same", std::to_string(i)), std::to_string(i * 100));
  }
  Equal(Prepare(a, "same", "SELECT 1"), "42P05");
  Equal(Execute(a, "none", "1"), "26000");
  Equal(Ask(a, "DEALLOCATE same"), "");
  Equal(Execute(a, "same", "1"), "26000");
  Equal(Execute(b, "same", "7"), "700");
  Equal(Prepare(a, "same", "SELECT 'anew' || $1"), "");
  Equal(Execute(a, "same", "!"), "anew!");
}

void TheUnnamedStatementStays() {
  const Connection connection = Connect(), other = Connect();
  for (int i = 0; i < kRounds; ++i) {
    Equal(Prepare(connection, "", "SELECT $1::int + 5"), "");
    Run(other, "SELECT 1");
    Equal(Execute(connection, "", std::to_string(i)), std::to_string(i + 5));
    Equal(Execute(connection, "", "1"), "6");
  }
}

void StatementsAreDescribed() {
  const Connection connection = Connect();
  Equal(Prepare(connection, "described", "SELECT $1::int AS n, $2::text AS t"), "");
  for (int i = 0; i < kRounds; ++i) {
    const Result result(PQdescribePrepared(connection.get(), "described"), &PQclear);
    Equal(std::to_string(PQnparams(result.get())) + PQfname(result.get(), 1), "2t");
    Equal(std::to_string(PQparamtype(result.get(), 0)), "23");
  }
  Equal(Told(Result(PQdescribePrepared(connection.get(), "none"), &PQclear)), "26000");
}

void PortalsAreDescribed() {
  const Connection connection = Connect();
  for (int i = 0; i < 5; ++i) {
    Run(connection, "BEGIN; DECLARE walker CURSOR FOR SELECT 1 AS one, 2 AS two");
    const Result result(PQdescribePortal(connection.get(), "walker"), &PQclear);
    Equal(std::to_string(PQnfields(result.get())) + PQfname(result.get(), 0), "2one");
    Run(connection, "COMMIT");
    Equal(Told(Result(PQdescribePortal(connection.get(), "walker"), &PQclear)), "34000");
  }
}

void PipelinesAnswerInOrder() {
  const Connection connection = Connect();
  for (int turn = 0; turn < 5; ++turn) {
    Must(PQenterPipelineMode(connection.get()) == 1, "no pipeline");
    for (int i = 0; i < 100; ++i) {
      Send(connection, "SELECT $1::int", std::to_string(i));
      if (i % 10 == 9) Must(PQpipelineSync(connection.get()) == 1, "no sync");
    }
    for (int i = 0; i < 100; ++i) {
      Equal(NextTold(connection), std::to_string(i));
      if (i % 10 == 9) Equal(NextTold(connection), "sync");
    }
    Must(PQexitPipelineMode(connection.get()) == 1, PQerrorMessage(connection.get()));
    Equal(Ask(connection, "SELECT 'out'"), "out");
  }
}

void AnErrorAbortsAPipelineUpToItsSync() {
  const Connection connection = Connect();
  PQenterPipelineMode(connection.get());
  for (int turn = 0; turn < 5; ++turn) {
    for (const char* divisor : {"1", "0", "2"}) Send(connection, "SELECT 8 / $1::int", divisor);
    PQpipelineSync(connection.get());
    Send(connection, "SELECT 8 / $1::int", "4");
    PQpipelineSync(connection.get());
    for (const char* expected : {"8", "22012", "aborted", "sync", "2", "sync"})
      Equal(NextTold(connection), expected);
  }
}

void AFlushRequestIsAnsweredBeforeTheSync() {
  const Connection connection = Connect();
  PQenterPipelineMode(connection.get());
  for (int turn = 0; turn < 5; ++turn) {
    Send(connection, "SELECT $1::int", "1");
    PQsendFlushRequest(connection.get());
    PQflush(connection.get());
    Equal(NextTold(connection), "1");
    Send(connection, "SELECT $1::int", "2");
    PQpipelineSync(connection.get());
    Equal(NextTold(connection), "2");
    Equal(NextTold(connection), "sync");
  }
}

void RowsComeOneByOne() {
  const Connection connection = Connect();
  for (int turn = 0; turn < 3; ++turn) {
    Send(connection, "SELECT generate_series(1, $1::int)", "1000");
    Must(PQsetSingleRowMode(connection.get()) == 1, "no single-row mode");
    int rows = 0;
    while (const Result result = Next(connection)) rows += PQntuples(result.get());
    Equal(std::to_string(rows), "1000");
  }
}

void FunctionsAreCalled() {
  const Connection connection = Connect();
  const int oid = std::stoi(Ask(connection, "SELECT 'int4pl'::regproc::oid::int"));
  for (int i = 0; i < kRounds; ++i) {
    PQArgBlock arguments[2] = {};
    for (int a = 0; a < 2; ++a) {
      arguments[a].isint = 1;
      arguments[a].len = 4;
      arguments[a].u.integer = i;
    }
    int sum = 0;
    int length = 0;
    const Result result(PQfn(connection.get(), oid, &sum, &length, 1, arguments, 2), &PQclear);
    Must(PQresultStatus(result.get()) == PGRES_COMMAND_OK, PQerrorMessage(connection.get()));
    Equal(std::to_string(sum), std::to_string(2 * i));
  }
  int ignored = 0;
  int length = 0;
  Equal(Told(Result(PQfn(connection.get(), 4294967, &ignored, &length, 1, nullptr, 0), &PQclear)),
        "42883");
  Equal(Ask(connection, "SELECT 1"), "1");
}

void LargeObjects() {
  const Connection connection = Connect();
  const std::string content(100000, 'x');
  Run(connection, "BEGIN");
  const Oid oid = lo_create(connection.get(), 0);
  int handle = lo_open(connection.get(), oid, INV_WRITE);
  Must(lo_write(connection.get(), handle, content.data(), content.size()) == 100000, "not written");
  Run(connection, "COMMIT");
  Run(connection, "BEGIN");
  handle = lo_open(connection.get(), oid, INV_READ);
  Must(lo_lseek64(connection.get(), handle, 99000, SEEK_SET) == 99000, "no seek");
  char part[5000];
  Must(lo_read(connection.get(), handle, part, sizeof part) == 1000, "not the rest");
  Run(connection, "COMMIT");
  Must(lo_unlink(connection.get(), oid) == 1, "not unlinked");
}

void CopyInAndOut() {
  const Connection connection = Connect();
  Run(connection, "CREATE TABLE copied_c (n int)");
  for (const char* complaint : {static_cast<const char*>(nullptr), "changed my mind"}) {
    const Result in(PQexec(connection.get(), "COPY copied_c FROM STDIN"), &PQclear);
    Must(PQresultStatus(in.get()) == PGRES_COPY_IN, PQerrorMessage(connection.get()));
    for (int i = 0; i < 1000; ++i) PQputCopyData(connection.get(), "7\n", 2);
    PQputCopyEnd(connection.get(), complaint);
    Equal(Told(Next(connection)), complaint == nullptr ? "" : "57014");
    Must(Next(connection) == nullptr, "one result too many");
  }
  const Result out(PQexec(connection.get(), "COPY copied_c TO STDOUT"), &PQclear);
  int lines = 0;
  for (char* line = nullptr; PQgetCopyData(connection.get(), &line, 0) > 0; PQfreemem(line))
    ++lines;
  Equal(std::to_string(lines), "1000");
  while (Next(connection) != nullptr) {
  }
  Equal(Ask(connection, "SELECT count(*) FROM copied_c"), "1000");
}

void CancelOfARunningQuery() {
  const Connection connection = Connect(), other = Connect();
  for (int turn = 0; turn < 3; ++turn) {
    Must(PQsendQuery(connection.get(), "SELECT pg_sleep(15)") == 1, "not sent");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    PGcancel* cancel = PQgetCancel(connection.get());
    char complaint[256];
    Must(PQcancel(cancel, complaint, sizeof complaint) == 1, complaint);
    PQfreeCancel(cancel);
    Equal(Told(Next(connection)), "57014");
    Must(Next(connection) == nullptr, "one result too many");
    Equal(Ask(other, "SELECT 1") + Ask(connection, "SELECT 2"), "12");
  }
}

void AnIdleListenerIsWoken() {
  const Connection listener = Connect(), sender = Connect();
  Run(listener, "LISTEN news_c");
  for (int turn = 0; turn < 5; ++turn) {
    Run(sender, "NOTIFY news_c, 'item'");
    pollfd waiting{PQsocket(listener.get()), POLLIN, 0};
    Must(poll(&waiting, 1, 3000) == 1, "nothing came");
    PQconsumeInput(listener.get());
    PGnotify* heard = PQnotifies(listener.get());
    Must(heard != nullptr && std::strcmp(heard->extra, "item") == 0, "no notification");
    PQfreemem(heard);
  }
  Run(listener, "UNLISTEN news_c");
}

void ResetConnectsAnew() {
  const Connection connection = Connect();
  for (int turn = 0; turn < 3; ++turn) {
    Ask(connection, "SELECT pg_terminate_backend(pg_backend_pid())");
    Must(PQstatus(connection.get()) == CONNECTION_BAD, "still there");
    PQreset(connection.get());
    Equal(Ask(connection, "SELECT 'back'"), "back");
  }
}

void NoticesInOrder() {
  const Connection connection = Connect();
  std::string heard;
  PQsetNoticeProcessor(
      connection.get(), [](void* to, const char* text) { *static_cast<std::string*>(to) += text; },
      &heard);
  for (int turn = 0; turn < 3; ++turn)
    Run(connection, "DO $$ BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b'; END $$");
  Equal(heard, "NOTICE:  a\nWARNING:  b\nNOTICE:  a\nWARNING:  b\nNOTICE:  a\nWARNING:  b\n");
}

void SettingsFollowTheirClient() {
  const Connection a = Connect("application_name=a options='-c geqo_threshold=13'"),
                   b = Connect("application_name=b");
  Run(a, "SET DateStyle = 'German'");
  for (int i = 0; i < kRounds; ++i) {
    Equal(Ask(a,
              "SELECT current_setting('application_name') || DATE '2026-11-22' || "
              "current_setting('geqo_threshold')"),
          "a22.11.202613");
    Equal(Ask(b, "SELECT current_setting('application_name') || DATE '2026-11-22'"), "b2026-11-22");
    Equal(PQparameterStatus(a.get(), "DateStyle"), "German, DMY");
  }
}

struct Check {
  const char* name;
  void (*work)();
};

constexpr Check kChecks[] = {
    {"named_statements_and_their_errors", NamedStatements},
    {"the_unnamed_statement_stays", TheUnnamedStatementStays},
    {"statements_are_described", StatementsAreDescribed},
    {"portals_are_described", PortalsAreDescribed},
    {"pipelines_answer_in_order", PipelinesAnswerInOrder},
    {"an_error_aborts_a_pipeline_up_to_its_sync", AnErrorAbortsAPipelineUpToItsSync},
    {"a_flush_request_is_answered_before_the_sync", AFlushRequestIsAnsweredBeforeTheSync},
    {"rows_come_one_by_one", RowsComeOneByOne},
    {"functions_are_called", FunctionsAreCalled},
    {"large_objects_are_written_and_read", LargeObjects},
    {"copy_in_and_out", CopyInAndOut},
    {"cancel_ends_the_query_and_nothing_else", CancelOfARunningQuery},
    {"notices_come_in_order", NoticesInOrder},
    {"reset_connects_anew", ResetConnectsAnew},
    {"settings_follow_their_client", SettingsFollowTheirClient},
    {"an_idle_listener_is_woken", AnIdleListenerIsWoken},
};

// Why it failed, "" when it did not.
std::string InAProcessOfItsOwn(const Check& check) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    alarm(kCheckSeconds);
    std::string story;
    try {
      check.work();
    } catch (const std::exception& error) {
      story = error.what();
      if (story.empty()) story = "failed";
    }
    _exit(write(ends[1], story.data(), story.size()) == static_cast<ssize_t>(story.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string story;
  char part[4096];
  for (ssize_t count = 0; (count = read(ends[0], part, sizeof part)) > 0;)
    story.append(part, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    return WTERMSIG(status) == SIGALRM ? "no end in time" : strsignal(WTERMSIG(status));
  return story;
}

}  // namespace

int main() {
  const char* only = std::getenv("DRIVERS_ONLY");
  for (const Check& check : kChecks) {
    if (only != nullptr && std::strstr(check.name, only) == nullptr) continue;
    const auto begin = std::chrono::steady_clock::now();
    std::string story = InAProcessOfItsOwn(check);
    for (char& byte : story) {
      if (byte == '\n' || byte == '\t') byte = ' ';
    }
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin);
    std::printf("%s\t%s\t%lld%s%s\n", story.empty() ? "ok" : "failed", check.name,
                static_cast<long long>(spent.count()), story.empty() ? "" : "\t", story.c_str());
    std::fflush(stdout);
  }
  std::puts("done");
}
