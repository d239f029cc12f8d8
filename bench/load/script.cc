// SPDX-License-Identifier: GPL-3.0-or-later
#include "load/script.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/flags.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kBuiltIn = {{
    {"simple", "query SELECT abalance FROM pgbench_accounts WHERE aid = {1..100000};"},
    {"extended", "extended SELECT abalance FROM pgbench_accounts WHERE aid = $1 | {1..100000}"},
    {"prepared", "prepared SELECT abalance FROM pgbench_accounts WHERE aid = $1 | {1..100000}"},
    {"pipelined",
     "pipeline 16 extended SELECT abalance FROM pgbench_accounts WHERE aid = $1 | {1..100000}"},
    {"batched",
     "batch 16 extended SELECT abalance FROM pgbench_accounts WHERE aid = $1 | {1..100000}"},
    {"transaction",
     "query BEGIN\n"
     "query SELECT abalance FROM pgbench_accounts WHERE aid = {1..100000}\n"
     "query UPDATE pgbench_accounts SET abalance = abalance + {-5..5} WHERE aid = {1..100000}\n"
     "query COMMIT\n"},
    {"idle-transaction",
     "query BEGIN\n"
     "query SELECT abalance FROM pgbench_accounts WHERE aid = {1..100000}\n"
     "sleep exp:2ms\n"
     "query COMMIT\n"},
    {"one", "query SELECT 1"},
    {"large",
     "query /*stub rows=10000 bytes=1000*/ SELECT repeat('x', 990) FROM "
     "generate_series(1, 10000)"},
    {"copy-out",
     "query /*stub rows=100000 bytes=100*/ COPY (SELECT repeat('x', 99) FROM "
     "generate_series(1, 100000)) TO STDOUT"},
    {"copy-in", "copy-in 10M 100 COPY bench_copy FROM STDIN"},
    {"mixed",
     "query SELECT abalance FROM pgbench_accounts WHERE aid = {1..100000}\n"
     "extended SELECT abalance FROM pgbench_accounts WHERE aid = $1 | {1..100000}\n"
     "query BEGIN\n"
     "query SELECT abalance FROM pgbench_accounts WHERE aid = {1..100000}\n"
     "query COMMIT\n"},
}};

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The first word of `text`, which then begins after it.
std::string_view TakeWord(std::string_view& text) {
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text = Trim(text.substr(end));
  return word;
}

Result<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    return InvalidArgument(absl::StrCat("\"", ToAbsl(text), "\" is not an integer"));
  }
  return value;
}

Status ParseStatement(std::string_view text, Step& step) {
  std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), '|');
  if (step.kind == Step::Kind::kQuery || step.kind == Step::Kind::kCopyIn) {
    parts = {std::string(text)};  // || may be an operator
  }
  step.sql_text = Trim(parts[0]);
  if (step.sql_text.empty()) return InvalidArgument("the SQL is missing");
  Result<Template> sql = Template::Parse(step.sql_text);
  if (!sql.ok()) return sql.status();
  step.sql = *std::move(sql);
  for (size_t i = 1; i < parts.size(); ++i) {
    Result<Template> parameter = Template::Parse(Trim(parts[i]));
    if (!parameter.ok()) return parameter.status();
    step.parameters.push_back(*std::move(parameter));
  }
  return OkStatus();
}

Status ParseCopyIn(std::string_view rest, Step& step) {
  const Result<uint64_t> bytes = ParseSize(TakeWord(rest));
  const Result<uint64_t> row = ParseSize(TakeWord(rest));
  if (!bytes.ok()) return bytes.status();
  if (!row.ok()) return row.status();
  if (*row < 2 || *row > 65536 || *bytes < *row) {
    return InvalidArgument("copy-in needs rows of 2 to 65536 bytes, and at least one");
  }
  step.copy_bytes = *bytes / *row * *row;
  step.copy_row_bytes = static_cast<uint32_t>(*row);
  return ParseStatement(rest, step);
}

// What may stand after pipeline N and batch N.
bool Repeats(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kQuery:
      return !step.one_sync;
    case Step::Kind::kExtended:
    case Step::Kind::kPrepared:
      return true;
    case Step::Kind::kCopyIn:
    case Step::Kind::kSleep:
      return false;
  }
  return false;
}

Result<Step> ParseStep(std::string_view line) {
  Step step;
  std::string_view rest = line;
  std::string_view word = TakeWord(rest);
  const bool repeated = word == "pipeline" || word == "batch";
  if (repeated) {
    step.one_sync = word == "batch";
    const Result<int64_t> copies = ParseInteger(TakeWord(rest));
    if (!copies.ok() || *copies < 1 || *copies > 10'000) {
      return InvalidArgument("pipeline and batch need a number from 1 to 10000, then a step");
    }
    step.copies = static_cast<uint32_t>(*copies);
    word = TakeWord(rest);
  }
  Status status = OkStatus();
  if (word == "query") {
    step.kind = Step::Kind::kQuery;
    status = ParseStatement(rest, step);
  } else if (word == "extended") {
    step.kind = Step::Kind::kExtended;
    status = ParseStatement(rest, step);
  } else if (word == "prepared") {
    step.kind = Step::Kind::kPrepared;
    status = ParseStatement(rest, step);
  } else if (word == "copy-in") {
    step.kind = Step::Kind::kCopyIn;
    status = ParseCopyIn(rest, step);
  } else if (word == "sleep") {
    step.kind = Step::Kind::kSleep;
    const Result<Draw> sleep = Draw::Parse(rest);
    if (sleep.ok()) step.sleep = *sleep;
    status = sleep.status();
  } else {
    status = InvalidArgument(absl::StrCat("unknown step \"", ToAbsl(word),
                                          "\"; expected query, extended, prepared, copy-in, sleep, "
                                          "pipeline or batch"));
  }
  if (!status.ok()) return status;
  if (repeated && !Repeats(step)) {
    return InvalidArgument(step.one_sync ? "batch takes extended or prepared"
                                         : "pipeline takes query, extended or prepared");
  }
  return step;
}

void BindExecute(const Step& step, std::string_view statement, Template::Values values,
                 std::string& out) {
  MessageWriter writer(out);
  writer.Begin(frontend::kBind);
  writer.String("");
  writer.String(statement);
  writer.Int16(0);
  writer.Int16(static_cast<int16_t>(step.parameters.size()));
  for (const Template& parameter : step.parameters) {
    const size_t at = out.size();
    writer.Int32(0);
    parameter.Append(values, out);
    StoreBig32(reinterpret_cast<std::byte*>(out.data() + at),
               static_cast<uint32_t>(out.size() - at - 4));
  }
  writer.Int16(0);
  writer.End();
  writer.Begin(frontend::kDescribe);
  writer.Byte('P');
  writer.String("");
  writer.End();
  writer.Begin(frontend::kExecute);
  writer.String("");
  writer.Int32(0);
  writer.End();
}

void Parse(const Step& step, std::string_view statement, std::string& out) {
  MessageWriter writer(out);
  writer.Begin(frontend::kParse);
  writer.String(statement);
  writer.String(step.sql_text);
  writer.Int16(0);
  writer.End();
}

}  // namespace

Result<Template::Piece> Template::ParsePlace(std::string_view inside) {
  if (inside == "client") return Piece{.kind = Piece::Kind::kClient};
  std::string_view rest = inside;
  const std::string_view range = TakeWord(rest);
  const size_t dots = range.find("..");
  const auto low = ParseInteger(range.substr(0, dots));
  const auto high =
      ParseInteger(dots == std::string_view::npos ? std::string_view() : range.substr(dots + 2));
  if (!low.ok() || !high.ok() || *low > *high) {
    return InvalidArgument(
        absl::StrCat("{", ToAbsl(inside), "}: expected {client}, {1..100} or {1..100 zipf 1.1}"));
  }
  Piece piece{.kind = Piece::Kind::kUniform,
              .low = *low,
              .count = static_cast<uint64_t>(*high) - static_cast<uint64_t>(*low) + 1};
  if (rest.empty()) return piece;
  const std::string_view word = TakeWord(rest);
  const std::string number(rest);
  char* end = nullptr;
  const double exponent = std::strtod(number.c_str(), &end);
  if (word != "zipf" || number.empty() || *end != 0 || !(exponent >= 0 && exponent <= 20)) {
    return InvalidArgument(
        absl::StrCat("{", ToAbsl(inside), "}: expected zipf and an exponent from 0 to 20"));
  }
  piece.kind = Piece::Kind::kZipf;
  piece.zipf = std::make_shared<const Zipf>(piece.count, exponent);
  return piece;
}

Result<Template> Template::Parse(std::string_view text) {
  Template result;
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    if (open > 0) {
      result.pieces_.push_back(
          {.kind = Piece::Kind::kText, .text = std::string(text.substr(0, open))});
    }
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t close = text.find('}');
    if (close == std::string_view::npos) return InvalidArgument("{ without }");
    Result<Piece> piece = ParsePlace(text.substr(1, close - 1));
    if (!piece.ok()) return piece.status();
    result.pieces_.push_back(*std::move(piece));
    text.remove_prefix(close + 1);
  }
  return result;
}

void Template::Append(Values values, std::string& out) const {
  const auto append = [&out](int64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, static_cast<size_t>(end - digits));
  };
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Piece::Kind::kText:
        out += piece.text;
        break;
      case Piece::Kind::kClient:
        append(static_cast<int64_t>(values.client));
        break;
      case Piece::Kind::kUniform:
        append(piece.low + static_cast<int64_t>(values.random.Below(piece.count)));
        break;
      case Piece::Kind::kZipf:
        append(piece.low + static_cast<int64_t>(piece.zipf->Next(values.random)));
        break;
    }
  }
}

Result<Script> ParseScript(std::string_view name, std::string_view text, uint32_t statement_next) {
  Script script;
  script.name = name;
  uint32_t number = 0;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), '\n')) {
    ++number;
    const std::string_view line = Trim(FromAbsl(part));
    if (line.empty() || line[0] == '#') continue;
    Result<Step> step = ParseStep(line);
    if (!step.ok()) {
      return InvalidArgument(absl::StrCat("script ", ToAbsl(name), ", line ", number, ": ",
                                          absl::string_view(step.status().message())));
    }
    if (step->kind == Step::Kind::kPrepared) step->statement = statement_next++;
    script.steps.push_back(*std::move(step));
  }
  if (script.steps.empty()) {
    return InvalidArgument(absl::StrCat("script ", ToAbsl(name), " has no step"));
  }
  if (statement_next > kPreparedMax) {
    return InvalidArgument(absl::StrCat("more than ", kPreparedMax, " prepared steps"));
  }
  return script;
}

uint32_t CountPrepared(const Script& script) {
  uint32_t count = 0;
  for (const Step& step : script.steps) count += step.kind == Step::Kind::kPrepared ? 1 : 0;
  return count;
}

std::string_view BuiltInScript(std::string_view name) {
  for (const auto& [known, text] : kBuiltIn) {
    if (known == name) return text;
  }
  return "";
}

std::string BuiltInScriptNames() {
  std::string names;
  for (const auto& [name, text] : kBuiltIn) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", ToAbsl(name));
  }
  return names;
}

void RenderStep(const Step& step, bool known, Template::Values values, std::string& out) {
  MessageWriter writer(out);
  const bool prepared = step.kind == Step::Kind::kPrepared;
  const std::string statement = prepared ? absl::StrCat("s", step.statement) : std::string();
  for (uint32_t copy = 0; copy < step.copies; ++copy) {
    switch (step.kind) {
      case Step::Kind::kQuery:
      case Step::Kind::kCopyIn:
        writer.Begin(frontend::kQuery);
        step.sql.Append(values, out);
        writer.Byte(0);
        writer.End();
        continue;
      case Step::Kind::kExtended:
        Parse(step, "", out);
        break;
      case Step::Kind::kPrepared:
        if (copy == 0 && !known) Parse(step, statement, out);
        break;
      case Step::Kind::kSleep:
        continue;
    }
    BindExecute(step, statement, values, out);
    if (!step.one_sync) writer.Sync();
  }
  if (step.one_sync) writer.Sync();
}

}  // namespace trireme::bench
