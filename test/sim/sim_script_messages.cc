// SPDX-License-Identifier: GPL-3.0-or-later
//
// The messages of a script and the statements in them.
#include <iterator>

#include "test/sim/sim_script.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::sim {

using Kind = SimRequest::Kind;

void ScriptWriter::NextStep() {
  if (in_pipeline_ && !script_.empty()) return;
  script_.emplace_back();
  if (script_.size() > 1) script_.back().think = habits_.think.Draw(random_);
}

void ScriptWriter::Asked(SimRequest request) {
  SimStep& step = script_.back();
  request.end = step.bytes.size();
  step.requests.push_back(std::move(request));
}

void ScriptWriter::Query(std::vector<SimStatement> statements) {
  std::string sql;
  for (const SimStatement& statement : statements) {
    sql += (sql.empty() ? "" : "; ") + statement.Text();
  }
  if (Below(2) == 0) sql += ';';
  MessageWriter(script_.back().bytes).Query(sql);
  Asked({.kind = Kind::kQuery, .statements = std::move(statements)});
}

void ScriptWriter::Parse(const std::string& name, const SimStatement& statement) {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kParse);
  writer.String(name);
  writer.String(statement.Text());
  writer.Int16(0);
  writer.End();
  Asked({.kind = Kind::kParse, .statements = {statement}, .name = name});
}

void ScriptWriter::Bind(const std::string& portal, const std::string& name,
                        const SimStatement& statement) {
  const bool by_parameter = statement.tag_by_bind;
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kBind);
  writer.String(portal);
  writer.String(name);
  writer.Int16(0);
  writer.Int16(by_parameter ? 1 : 0);
  if (by_parameter) {
    writer.Int32(static_cast<int32_t>(statement.tag.size()));
    writer.RawBytes(AsBytes(statement.tag));
  }
  writer.Int16(0);
  writer.End();
  Asked({.kind = Kind::kBind, .statements = {statement}, .name = name, .portal = portal});
}

void ScriptWriter::DescribeStatement(const std::string& name, const SimStatement& statement) {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kDescribe);
  writer.Byte('S');
  writer.String(name);
  writer.End();
  Asked({.kind = Kind::kDescribeStatement, .statements = {statement}, .name = name});
}

void ScriptWriter::DescribePortal(const std::string& portal, const SimStatement& statement) {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kDescribe);
  writer.Byte('P');
  writer.String(portal);
  writer.End();
  Asked({.kind = Kind::kDescribePortal, .statements = {statement}, .portal = portal});
}

void ScriptWriter::Execute(const std::string& portal, const SimStatement& statement,
                           uint32_t row_limit) {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kExecute);
  writer.String(portal);
  writer.Int32(static_cast<int32_t>(row_limit));
  writer.End();
  Asked({.kind = Kind::kExecute,
         .statements = {statement},
         .portal = portal,
         .row_limit = row_limit});
}

void ScriptWriter::Close(const std::string& name) {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kClose);
  writer.Byte('S');
  writer.String(name);
  writer.End();
  Asked({.kind = Kind::kClose, .name = name});
}

void ScriptWriter::Sync() {
  MessageWriter(script_.back().bytes).Sync();
  Asked({.kind = Kind::kSync});
}

void ScriptWriter::Flush() {
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kFlush);
  writer.End();
}

void ScriptWriter::FunctionCall() {
  const std::string tag = Tag();
  MessageWriter writer(script_.back().bytes);
  writer.Begin(frontend::kFunctionCall);
  writer.Int32(42);
  writer.Int16(0);
  writer.Int16(1);
  writer.Int32(static_cast<int32_t>(tag.size()));
  writer.RawBytes(AsBytes(tag));
  writer.Int16(0);
  writer.End();
  Asked({.kind = Kind::kFunctionCall, .tag = tag});
}

std::string ScriptWriter::Tag() {
  return "c" + std::to_string(setup_.client) + ".q" + std::to_string(++setup_.last_query);
}

std::string ScriptWriter::MaybeTag() { return Below(2) == 0 ? Tag() : ""; }

SimStatement ScriptWriter::Select() {
  static constexpr const char* kErrors[] = {"22012", "23505", "40001", "P0001"};
  SimStatement s{.kind = SimStatement::Kind::kSelect, .tag = Tag()};
  s.rows = Below(habits_.rows_max + 1);
  s.size = Below(habits_.row_bytes_max + 1);
  if (Chance(habits_.big_permille)) {
    if (Below(2) == 0) {
      s.size = Below(habits_.big_bytes_max + 1);
      s.rows = 1 + Below(2);
    } else {
      s.rows = 1 + Below(habits_.big_bytes_max / 1000 + 1);
    }
  }
  if (Chance(habits_.big_permille)) s.pad = 1 + Below(habits_.big_bytes_max);
  if (Chance(habits_.sleep_permille)) s.sleep = habits_.sleep.Draw(random_);
  if (Chance(habits_.error_permille)) s.error = kErrors[Below(std::size(kErrors))];
  if (Below(20) == 0) s.notices = 1 + Below(3);
  return s;
}

// A parameter that the server reports, so that a pooler can follow it; in session mode any.
SimStatement ScriptWriter::Set() {
  struct Choice {
    std::string_view name;
    std::string_view values[3];
  };
  static constexpr Choice kChoices[] = {
      {"TimeZone", {"Europe/Berlin", "UTC", "Asia/Tokyo"}},
      {"DateStyle", {"ISO", "German", "SQL, MDY"}},
      {"application_name", {"it's", "back\\slash", ""}},
      {"client_encoding", {"utf-8", "LATIN1", "UTF8"}},
      {"IntervalStyle", {"iso_8601", "postgres", "bad"}},
      {"search_path", {"public", "\"$user\", public", "a, \"B c\""}},
      {"standard_conforming_strings", {"on", "off", "on"}},
      {"statement_timeout", {"1min", "2min", "0"}},
      {"work_mem", {"1MB", "2MB", "bad"}},
      {"trireme.test", {"1", "2", "3"}},
  };
  constexpr uint32_t kReported = 7;
  SimStatement s{.kind = SimStatement::Kind::kSet, .tag = MaybeTag()};
  s.local = in_block_ && Below(2) == 0;
  const bool any = s.local || setup_.mode == SimPoolMode::kSession;
  const Choice& choice = kChoices[Below(any ? uint32_t{std::size(kChoices)} : kReported)];
  s.name = choice.name;
  s.value = choice.values[Below(3)];
  return s;
}

SimStatement ScriptWriter::Plain(SimStatement::Kind kind) {
  return {.kind = kind, .tag = MaybeTag()};
}

}  // namespace trireme::sim
