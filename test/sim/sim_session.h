// SPDX-License-Identifier: GPL-3.0-or-later
//
// A session of the simulated PostgreSQL as a value: parameters, transaction, statements, portals,
// temporary tables, channels, and how each statement changes them. The server holds one for each
// backend; each client runs the same model beside it, and expects in every row what the model says.
//
//   message ─▶ Begin ─▶ Run(statement) ... ─▶ End          one Query, or up to Sync
//                          └ error: Fail()
//
// Pure, no time, no bytes; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "test/sim/sim_sql.h"
#include "wire/errors.h"
#include "wire/messages.h"
#include "wire/parameter_set.h"

namespace trireme::sim {

class SimSession {
 public:
  // After login: what a new server has, then what the startup packet says. False: a value was
  // refused (22023), and the session is none.
  explicit SimSession(std::string_view user);
  [[nodiscard]] bool SetAtStartup(std::string_view name, std::string_view value);

  // What a statement wants besides its answer.
  struct Effect {
    std::optional<PgError> error;    // refused: call Fail()
    std::optional<PgError> warning;  // a notice, then it goes on
    std::string_view command;        // of CommandComplete
    bool notify = false;             // the channel has a listener: this session
  };
  // One statement; opens the transaction that all of a message share.
  Effect Run(const SimStatement& statement);
  // An error: the implicit transaction is undone, the explicit one has failed.
  void Fail();
  // ReadyForQuery is due: the implicit transaction is committed.
  void EndMessage();

  TransactionStatus status() const { return status_; }
  const ParameterSet& parameters() const { return parameters_; }

  // Prepared statements and portals, by name; "" is the unnamed one.
  struct Prepared {
    std::vector<SimStatement> statements;  // none or one
  };
  struct Portal {
    std::vector<SimStatement> statements;
    uint32_t next_row = 0;
    bool begun = false;
    bool done = false;
  };
  std::map<std::string, Prepared, std::less<>>& prepared() { return prepared_; }
  std::map<std::string, Portal, std::less<>>& portals() { return portals_; }

  // What a row tells of the session, readable:
  //   "TimeZone=UTC|work_mem=1MB statements=s1,s2 temp=t1 listen=news block=T"
  // Parameters: those reported and settable, and all others that differ from a new server's.
  // kNotHere: the server keeps them under other names.
  enum class Statements : uint8_t { kNamed, kNotHere };
  std::string Digest(Statements statements = Statements::kNamed) const;
  // One item of a question (SimStatement::Kind::kQuestion); nullopt = NULL.
  std::optional<std::string> AnswerTo(std::string_view item) const;
  // Nothing of an earlier user is left: what a pooled server must look like.
  bool clean() const;

 private:
  void Open();
  void Commit();
  void Rollback();
  Effect Set(const SimStatement& statement);
  Effect Reset(std::string_view name);

  // What a transaction can undo.
  struct Undo {
    ParameterSet parameters;
    std::set<std::string> temp;
    std::set<std::string> channels;
    std::set<std::string> set_here;
  };
  ParameterSet baseline_;           // after login: what RESET returns to
  ParameterSet parameters_;         // in force
  ParameterSet kept_;               // without SET LOCAL: in force after COMMIT
  std::set<std::string> set_here_;  // parameters whose source is "session"
  std::set<std::string> temp_;
  std::set<std::string> temp_of_transaction_;  // ON COMMIT DROP
  std::set<std::string> channels_;
  std::map<std::string, Prepared, std::less<>> prepared_;
  std::map<std::string, Portal, std::less<>> portals_;
  TransactionStatus status_ = TransactionStatus::kIdle;
  mutable uint64_t parameters_hash_ = 0;  // those that the text below is made of
  mutable std::string parameters_text_;
  std::optional<Undo> undo_;  // a transaction, implicit or explicit, is open
};

}  // namespace trireme::sim
