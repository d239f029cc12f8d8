// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_script.h"

#include <algorithm>
#include <utility>

#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::sim {

using Statement = SimStatement::Kind;

ScriptWriter::ScriptWriter(Setup setup, Random& random, SimSession& session)
    : setup_(setup), habits_(setup.habits), random_(random), session_(session) {}

SimScript ScriptWriter::Write() {
  if (Chance(habits_.stale_statement_permille)) {
    StaleStatement();
    return std::move(script_);
  }
  if (Chance(habits_.named_statement_permille)) {
    if (Below(4) == 0) {
      Deallocate();
    } else {
      NamedStatement();
    }
    return std::move(script_);
  }
  const bool blocks = setup_.mode != SimPoolMode::kStatement;
  const bool session = setup_.mode == SimPoolMode::kSession;
  const std::pair<uint32_t, void (ScriptWriter::*)()> kinds[] = {
      {habits_.simple_weight + habits_.extended_weight + habits_.set_weight +
           habits_.function_call_weight,
       &ScriptWriter::AnyStatement},
      {habits_.pipeline_weight, &ScriptWriter::Pipeline},
      {blocks ? habits_.block_weight : 0, &ScriptWriter::Block},
      {habits_.copy_in_weight, &ScriptWriter::CopyIn},
      {habits_.copy_out_weight, &ScriptWriter::CopyOut},
      {habits_.portal_weight, &ScriptWriter::Portal},
      {session ? habits_.session_weight : 0, &ScriptWriter::Session},
  };
  uint64_t total = 0;
  for (const auto& [weight, write] : kinds) total += weight;
  uint64_t drawn = total == 0 ? 0 : random_.Below(total);
  for (const auto& [weight, write] : kinds) {
    if (drawn < weight) {
      (this->*write)();
      break;
    }
    drawn -= weight;
  }
  if (script_.empty()) AnyStatement();
  return std::move(script_);
}

// One statement, as a step of its own unless a pipeline is being written.
void ScriptWriter::AnyStatement() {
  NextStep();
  const uint32_t simple = habits_.simple_weight;
  const uint32_t extended = simple + habits_.extended_weight;
  const uint32_t set = extended + habits_.set_weight;
  const uint32_t drawn = Below(set + habits_.function_call_weight + 1);
  if (drawn < simple) {
    std::vector<SimStatement> statements;
    if (Below(30) != 0) statements.push_back(Select());  // else an empty query
    while (!statements.empty() && Below(4) == 0) {
      statements.push_back(Below(5) == 0 ? Set() : Select());
    }
    Query(std::move(statements));
  } else if (drawn < extended) {
    Extended(Select());
    Sync();
  } else if (drawn < set) {
    SimStatement statement = Set();
    if (Below(4) == 0) {
      statement = {.kind = Statement::kShow, .tag = Tag(), .name = "TimeZone"};
    } else if (setup_.may_reset && Below(4) == 0) {
      statement = {.kind = Statement::kReset, .tag = MaybeTag(), .name = statement.name};
      if (Below(3) == 0) statement = {.kind = Statement::kResetAll, .tag = MaybeTag()};
    }
    if (Below(2) == 0) {
      Query({statement});
    } else {
      Extended(statement);
      Sync();
    }
  } else {
    FunctionCall();
  }
}

// Parse to Execute, without the Sync.
void ScriptWriter::Extended(SimStatement statement) {
  SimStatement parsed = statement;
  if (!statement.tag.empty() && Below(2) == 0) {
    parsed.tag = "$1";
    statement.tag_by_bind = parsed.tag_by_bind = true;
  }
  Parse("", parsed);
  if (Below(3) == 0) DescribeStatement("", parsed);
  if (Below(10) == 0) Flush();
  Bind("", "", statement);
  if (Below(2) == 0) DescribePortal("", statement);
  Execute("", statement, 0);
}

void ScriptWriter::Pipeline() {
  NextStep();
  in_pipeline_ = true;
  const uint32_t requests = 1 + Below(habits_.pipeline_max);
  for (uint32_t i = 0; i < requests; ++i) {
    if (Below(4) == 0) {
      AnyStatement();
    } else {
      Extended(Below(8) == 0 ? Set() : Select());
      if (Below(3) == 0) Sync();
    }
  }
  Sync();
  in_pipeline_ = false;
}

void ScriptWriter::Block() {
  NextStep();
  in_block_ = true;
  const bool hurried = Below(4) == 0;  // the whole block at once
  in_pipeline_ = hurried;
  if (Below(3) == 0) {
    Extended(Plain(Statement::kBegin));
    Sync();
  } else {
    Query({Plain(Statement::kBegin)});
  }
  const uint32_t statements = Below(habits_.statements_max + 1);
  for (uint32_t i = 0; i < statements; ++i) {
    const uint32_t drawn = Below(10);
    if (drawn == 0 && !hurried) {
      CopyIn();
    } else if (drawn == 1) {
      CopyOut();
    } else if (drawn == 2 && !hurried) {
      Portal();
    } else if (drawn == 3) {
      NextStep();
      Query({{.kind = Statement::kCreateTemp,
              .tag = MaybeTag(),
              .name = "t" + std::to_string(Below(3)),
              .local = true}});
    } else {
      AnyStatement();
    }
  }
  NextStep();
  const SimStatement end = Plain(Below(4) == 0 ? Statement::kRollback : Statement::kCommit);
  if (Below(3) == 0) {
    Extended(end);
    Sync();
  } else {
    Query({end});
  }
  in_block_ = in_pipeline_ = false;
}

// COPY FROM STDIN: the data at once, or when the server asks for it; ended or given up.
void ScriptWriter::CopyIn() {
  NextStep();
  SimStatement s{.kind = Statement::kCopyFrom, .tag = Tag()};
  if (Chance(habits_.error_permille)) s.error = "22P04";
  const bool extended = Below(2) == 0;
  const bool eager = Below(3) == 0;
  const bool syncs = extended && habits_.syncs_in_copy && habits_.cancel_permille == 0;
  const bool as_libpq = syncs && !eager && Below(2) == 0;
  const uint32_t syncs_within = syncs && eager ? Below(3) : 0;
  SimRequest data;
  std::string bytes;
  MessageWriter writer(bytes);
  const uint32_t messages = Below(habits_.rows_max + 1);
  for (uint32_t i = 0; i < messages; ++i) {
    const bool big = Chance(habits_.big_permille);
    const std::string payload =
        Payload(s.tag, i, Below(big ? habits_.big_bytes_max : habits_.row_bytes_max + 1));
    data.copy_digest = Digest64(data.copy_digest, payload);
    writer.Begin(frontend::kCopyData);
    writer.RawBytes(AsBytes(payload));
    writer.End();
  }
  data.copy_messages = messages;
  data.copy_fails = Below(8) == 0;
  std::string end;
  MessageWriter end_writer(end);
  end_writer.Begin(data.copy_fails ? frontend::kCopyFail : frontend::kCopyDone);
  if (data.copy_fails) end_writer.String("changed my mind");
  end_writer.End();

  const size_t asked_in = script_.size() - 1;
  if (extended) {
    Extended(s);
  } else {
    Query({s});
  }
  const size_t asked_at = script_[asked_in].requests.size() - 1;
  if (as_libpq) {
    Sync();
    script_.back().requests.back().ignored_in_copy = true;
  } else if (extended && !eager) {
    Flush();
  }
  if (!eager) {
    script_.emplace_back();
    script_.back().when = SimStep::When::kInCopy;
    script_.back().think = habits_.think.Draw(random_);
  }
  script_.back().bytes += bytes;
  for (uint32_t i = 0; i < syncs_within; ++i) {
    Sync();
    script_.back().requests.back().ignored_in_copy = s.error.empty() || messages == 0;
  }
  script_.back().bytes += end;
  if (extended) Sync();
  if (extended && !eager) {  // it has failed before its data was sent
    script_.emplace_back();
    script_.back().when = SimStep::When::kSkipping;
    Sync();
  }
  SimRequest& asked = script_[asked_in].requests[asked_at];
  asked.copy_messages = data.copy_messages;
  asked.copy_digest = data.copy_digest;
  asked.copy_fails = data.copy_fails;
  asked.copy_eager = eager;
}

void ScriptWriter::CopyOut() {
  NextStep();
  SimStatement s{.kind = Statement::kCopyTo, .tag = Tag()};
  s.rows = Below(habits_.rows_max * 4 + 1);
  s.size = Below(Chance(habits_.big_permille) ? habits_.big_bytes_max / 10 + 1
                                              : habits_.row_bytes_max + 1);
  if (Chance(habits_.error_permille)) s.error = "22P04";
  if (Below(2) == 0) {
    Query({s});
  } else {
    Extended(s);
    Sync();
  }
}

// Rows in portions: all Executes at once, or each when the one before has been answered.
void ScriptWriter::Portal() {
  NextStep();
  SimStatement s = Select();
  s.rows = 1 + Below(habits_.rows_max * 3 + 1);
  const uint32_t limit = 1 + Below(habits_.rows_max + 1);
  const std::string portal = Below(2) == 0 ? "" : "p";
  const bool at_once = in_pipeline_ || Below(2) == 0;
  Parse("", s);
  Bind(portal, "", s);
  for (uint32_t rows = 0; rows < s.rows; rows += limit) {
    Execute(portal, s, limit);
    if (Below(6) == 0) break;  // it has seen enough
    if (at_once) continue;
    Flush();
    script_.emplace_back();
    script_.back().think = habits_.think.Draw(random_);
  }
  Sync();
}

// What outlives the transaction, where the client keeps its server.
void ScriptWriter::Session() {
  const uint32_t drawn = Below(6);
  if (drawn == 0 && Below(2) == 0) return Deallocate();
  if (drawn < 3) return NamedStatement();
  NextStep();
  const std::string number = std::to_string(Below(3));
  SimStatement s{.tag = MaybeTag()};
  if (drawn == 3) {
    s.kind = Statement::kCreateTemp;
    s.name = "s" + number;
  } else if (drawn == 4) {
    s.kind = Below(3) == 0 ? Statement::kUnlisten : Statement::kListen;
    s.name = "news";
  } else {
    s.kind = Statement::kNotify;
    s.tag = Tag();
    s.name = "news";
    s.value = s.tag;
  }
  if (setup_.may_reset && Below(10) == 0) s = {.kind = Statement::kDiscardAll};
  Query({s});
}

// Prepared once, used from then on; refused where the pool keeps none.
void ScriptWriter::NamedStatement() {
  NextStep();
  const std::string name = "s" + std::to_string(Below(4));
  const auto found = session_.prepared().find(name);
  SimStatement parsed;
  if (found == session_.prepared().end()) {
    parsed = Select();
    parsed.error.clear();
    parsed.tag = "$1";
    parsed.tag_by_bind = true;
    Parse(name, parsed);
    if (!setup_.keeps_statements) {
      script_.back().requests.back().refusal = sqlstate::kFeatureNotSupported;
    }
  } else {
    parsed = found->second.statements[0];
  }
  SimStatement bound = parsed;
  bound.tag = Tag();
  Bind("", name, bound);
  if (Below(3) == 0) DescribePortal("", bound);
  Execute("", bound, 0);
  if (Below(5) == 0) Close(name);
  Sync();
}

// Prepared by the protocol, deallocated by SQL, then it is gone. Its name is not used again: a
// pooler may have forgotten it also when the DEALLOCATE of a pipeline was never run.
void ScriptWriter::Deallocate() {
  NextStep();
  SimStatement parsed = Select();
  const std::string name = "d" + std::to_string(setup_.last_query);
  parsed.error.clear();
  parsed.tag = "$1";
  parsed.tag_by_bind = true;
  SimStatement bound = parsed;
  bound.tag = Tag();
  Parse(name, parsed);
  if (!setup_.keeps_statements) {
    script_.back().requests.back().refusal = sqlstate::kFeatureNotSupported;
  }
  Bind("", name, bound);
  Execute("", bound, 0);
  Sync();
  NextStep();
  const bool all = Below(4) == 0;
  const SimStatement s{.kind = Statement::kDeallocate, .name = all ? "" : name};
  if (all || Below(2) == 0) {
    Query({s});
  } else {
    Extended(s);
    Sync();
  }
  NextStep();
  bound.tag = Tag();
  Bind("", name, bound);
  script_.back().requests.back().refusal = sqlstate::kInvalidSqlStatementName;
  Execute("", bound, 0);
  Sync();
}

// Binds what an earlier transaction has prepared without a name.
void ScriptWriter::StaleStatement() {
  NextStep();
  SimStatement parsed = Select();
  constexpr uint32_t kKeptBytesMax = 64'000;  // a pooler keeps no longer ones
  parsed.error.clear();
  parsed.pad = std::min(parsed.pad, kKeptBytesMax);
  parsed.tag = "$1";
  parsed.tag_by_bind = true;
  Parse("", parsed);
  Sync();
  NextStep();
  SimStatement bound = parsed;
  bound.tag = Tag();
  Bind("", "", bound);
  if (!setup_.keeps_statements) {
    script_.back().requests.back().refusal = sqlstate::kInvalidSqlStatementName;
  }
  Execute("", bound, 0);
  Sync();
}

}  // namespace trireme::sim
