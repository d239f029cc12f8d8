// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_session.h"

#include <array>
#include <utility>

#include "wire/command.h"
#include "wire/parameters.h"
#include "wire/statement_name.h"

namespace trireme::sim {
namespace {

using Kind = SimStatement::Kind;

constexpr std::array kNewServer = std::to_array<ParameterView>({
    {"application_name", ""},
    {"client_encoding", "UTF8"},
    {"DateStyle", "ISO, MDY"},
    {"default_transaction_read_only", "off"},
    {"in_hot_standby", "off"},
    {"integer_datetimes", "on"},
    {"IntervalStyle", "postgres"},
    {"is_superuser", "off"},
    {"scram_iterations", "4096"},
    {"search_path", "\"$user\", public"},
    {"server_encoding", "UTF8"},
    {"server_version", "18.0"},
    {"standard_conforming_strings", "on"},
    {"TimeZone", "Etc/UTC"},
});

PgError Refused(std::string_view name, std::string_view value) {
  return {.sqlstate = sqlstate::kInvalidParameterValue,
          .message = "invalid value for parameter \"" + std::string(name) + "\": \"" +
                     std::string(value) + "\""};
}

PgError Warning(std::string_view sqlstate, std::string_view message) {
  return {.severity = severity::kWarning,
          .sqlstate = std::string(sqlstate),
          .message = std::string(message)};
}

std::string Joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

}  // namespace

SimSession::SimSession(std::string_view user) {
  for (const ParameterView& parameter : kNewServer) baseline_.Set(parameter.name, parameter.value);
  baseline_.Set("session_authorization", user);
  parameters_ = kept_ = baseline_;
}

bool SimSession::SetAtStartup(std::string_view name, std::string_view value) {
  const std::optional<std::string> normal = NormalValue(name, value);
  if (!normal) return false;
  baseline_.Set(name, *normal);
  parameters_ = kept_ = baseline_;
  return true;
}

void SimSession::Open() {
  if (!undo_) undo_ = Undo{kept_, temp_, channels_, set_here_};
}

void SimSession::Commit() {
  parameters_ = kept_;
  for (const std::string& name : temp_of_transaction_) temp_.erase(name);
  temp_of_transaction_.clear();
  portals_.clear();
  undo_.reset();
  status_ = TransactionStatus::kIdle;
}

void SimSession::Rollback() {
  if (undo_) {
    kept_ = undo_->parameters;
    temp_ = undo_->temp;
    channels_ = undo_->channels;
    set_here_ = undo_->set_here;
  }
  Commit();
}

void SimSession::Fail() {
  const bool block = status_ != TransactionStatus::kIdle;
  if (!block) return Rollback();
  // What the block did is undone now; that it is over, COMMIT or ROLLBACK says.
  Rollback();
  Open();
  status_ = TransactionStatus::kFailed;
}

void SimSession::EndMessage() {
  if (status_ == TransactionStatus::kIdle) Commit();
}

SimSession::Effect SimSession::Set(const SimStatement& statement) {
  const std::optional<std::string> value = NormalValue(statement.name, statement.value);
  const ReportedParameter* reported = FindReportedParameter(statement.name);
  if (reported != nullptr && !reported->settable) {
    return {.error = PgError{.sqlstate = sqlstate::kCantChangeRuntimeParam,
                             .message = "parameter \"" + statement.name + "\" cannot be changed"}};
  }
  if (!value) return {.error = Refused(statement.name, statement.value)};
  Effect effect{.command = "SET"};
  parameters_.Set(statement.name, *value);
  if (!statement.local) {
    kept_.Set(statement.name, *value);
    set_here_.insert(AsciiLower(statement.name));
  } else if (status_ == TransactionStatus::kIdle) {
    effect.warning = Warning("25P01", "SET LOCAL can only be used in transaction blocks");
  }
  return effect;
}

SimSession::Effect SimSession::Reset(std::string_view name) {
  const std::string* value = baseline_.Find(name);
  set_here_.erase(AsciiLower(name));
  for (ParameterSet* set : {&parameters_, &kept_}) {
    if (value != nullptr) {
      set->Set(name, *value);
    } else {
      set->Remove(name);
    }
  }
  return {.command = "RESET"};
}

SimSession::Effect SimSession::Run(const SimStatement& statement) {
  const bool ends = statement.kind == Kind::kCommit || statement.kind == Kind::kRollback;
  if (status_ == TransactionStatus::kFailed && !ends) {
    return {.error = PgError{.sqlstate = sqlstate::kInFailedSqlTransaction,
                             .message = "current transaction is aborted, commands ignored until "
                                        "end of transaction block"}};
  }
  Open();
  Effect effect{.command = statement.Command()};
  switch (statement.kind) {
    case Kind::kSelect:
    case Kind::kQuestion:
    case Kind::kShow:
    case Kind::kCopyFrom:
    case Kind::kCopyTo:
      return effect;
    case Kind::kBegin:
      if (status_ != TransactionStatus::kIdle) {
        effect.warning =
            Warning(sqlstate::kActiveSqlTransaction, "there is already a transaction in progress");
      }
      status_ = TransactionStatus::kInTransaction;
      return effect;
    case Kind::kCommit:
    case Kind::kRollback: {
      const bool failed = status_ == TransactionStatus::kFailed;
      if (status_ == TransactionStatus::kIdle) {
        effect.warning = Warning("25P01", "there is no transaction in progress");
      }
      if (failed || statement.kind == Kind::kRollback) {
        Rollback();
        effect.command = "ROLLBACK";
      } else {
        Commit();
      }
      return effect;
    }
    case Kind::kSet:
      return Set(statement);
    case Kind::kReset:
      return Reset(statement.name);
    case Kind::kResetAll:
      parameters_ = kept_ = baseline_;
      set_here_.clear();
      return effect;
    case Kind::kDiscardAll:
      if (status_ != TransactionStatus::kIdle) {
        return {.error = PgError{.sqlstate = sqlstate::kActiveSqlTransaction,
                                 .message = "DISCARD ALL cannot run inside a transaction block"}};
      }
      parameters_ = kept_ = baseline_;
      set_here_.clear();
      temp_.clear();
      channels_.clear();
      prepared_.clear();
      portals_.clear();
      undo_.reset();
      return effect;
    case Kind::kDeallocate:
      if (statement.name.empty()) {
        std::erase_if(prepared_, [](const auto& prepared) { return !prepared.first.empty(); });
      } else if (prepared_.erase(statement.name) == 0) {
        return {.error = PgError{
                    .sqlstate = sqlstate::kInvalidSqlStatementName,
                    .message = "prepared statement \"" + statement.name + "\" does not exist"}};
      }
      return effect;
    case Kind::kCreateTemp:
      if (!temp_.insert(statement.name).second) {
        return {.error = PgError{.sqlstate = "42P07",
                                 .message = "relation \"" + statement.name + "\" already exists"}};
      }
      if (statement.local) temp_of_transaction_.insert(statement.name);
      return effect;
    case Kind::kListen:
      channels_.insert(statement.name);
      return effect;
    case Kind::kUnlisten:
      channels_.erase(statement.name);
      return effect;
    case Kind::kNotify:
      effect.notify = channels_.contains(statement.name);
      return effect;
  }
  return effect;
}

std::string SimSession::Digest(Statements statements) const {
  if (parameters_text_.empty() || parameters_.hash() != parameters_hash_) {
    parameters_hash_ = parameters_.hash();
    parameters_text_.clear();
    for (const ParameterSet::Entry& entry : parameters_.entries()) {
      const ReportedParameter* reported = FindReportedParameter(entry.name);
      if (reported != nullptr && !reported->settable) continue;
      parameters_text_ += (parameters_text_.empty() ? "" : "|") + entry.name + "=" + entry.value;
    }
  }
  std::string text = parameters_text_;
  std::set<std::string> names;
  for (const auto& [name, prepared] : prepared_) {
    // What a pooler keeps there under its own names is no client's state.
    if (statements == Statements::kNotHere || name.empty()) continue;
    if (!name.starts_with(kStatementNamePrefix)) names.insert(name);
  }
  text += " statements=" + Joined(names) + " temp=" + Joined(temp_) +
          " listen=" + Joined(channels_) + " block=";
  text += static_cast<char>(status_);
  return text;
}

std::optional<std::string> SimSession::AnswerTo(std::string_view item) const {
  const auto asks_for = [item](std::string_view what) {
    return item.find(what) != std::string_view::npos;
  };
  if (asks_for("pg_my_temp_schema")) return temp_.empty() ? "f" : "t";
  if (asks_for("pg_listening_channels")) return channels_.empty() ? "f" : "t";
  if (asks_for("EXISTS")) return "f";  // locks, held cursors, PREPARE: there are none here
  if (asks_for("pg_settings")) {
    std::string all;
    for (const std::string& name : set_here_) {
      all += name + "\x01" + *parameters_.Find(name) + "\x02";
    }
    return all + "role\x01none";
  }
  const size_t begin = item.find('\'') + 1;
  const std::string* value = parameters_.Find(item.substr(begin, item.find('\'', begin) - begin));
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

bool SimSession::clean() const {
  if (status_ != TransactionStatus::kIdle || !temp_.empty() || !channels_.empty()) return false;
  for (const auto& [name, prepared] : prepared_) {
    if (!name.empty() && !name.starts_with(kStatementNamePrefix)) return false;
  }
  return parameters_ == baseline_;
}

}  // namespace trireme::sim
