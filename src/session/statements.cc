// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/statements.h"

#include <algorithm>
#include <array>

#include "auth/crypto.h"
#include "base/assert.h"

namespace trireme {
namespace {

constexpr auto kHarmlessParameters = std::to_array<std::string_view>(
    {"application_name", "client_min_messages", "idle_in_transaction_session_timeout",
     "idle_session_timeout", "lock_timeout", "maintenance_work_mem", "statement_timeout",
     "synchronous_commit", "transaction_timeout", "work_mem"});

// Custom ones are read when a statement runs.
bool IsHarmless(std::string_view name) {
  return name.find('.') != std::string_view::npos ||
         std::any_of(kHarmlessParameters.begin(), kHarmlessParameters.end(),
                     [name](std::string_view each) { return CompareNames(each, name) == 0; });
}

StatementId FirstHalf(const Digest& digest) {
  StatementId id;
  std::memcpy(&id.high, digest.data(), sizeof id.high);
  std::memcpy(&id.low, digest.data() + sizeof id.high, sizeof id.low);
  return id;
}

}  // namespace

// --- the texts of a core -------------------------------------------------------------------------

void StatementRef::DropCounted() {
  if (--statement_->references == 0) statement_->home->Free(statement_);
  statement_ = nullptr;
}

Statements::~Statements() { TRIREME_ASSERT(by_text_.empty()); }

StatementRef Statements::Intern(std::string_view text) {
  const auto found = by_text_.find(ToAbsl(text));
  if (found != by_text_.end()) return StatementRef(found->second.get());
  auto statement = std::make_unique<Statement>();
  statement->text = text;
  statement->home = this;
  bytes_ += text.size();
  const absl::string_view key = statement->text;
  return StatementRef(by_text_.emplace(key, std::move(statement)).first->second.get());
}

void Statements::Free(Statement* statement) {
  bytes_ -= statement->text.size();
  by_text_.erase(absl::string_view(statement->text));
}

StatementId Statements::IdOf(const StatementRef& statement, StatementId environment) {
  std::optional<StatementId>& id = statement.statement_->id;
  if (!id) {
    id = FirstHalf(HmacSha256(std::as_bytes(std::span(&secret_, 1)), {AsBytes(statement.text())}));
  }
  return {id->high + environment.high, id->low + environment.low};
}

StatementId Statements::EnvironmentOf(const ParameterSet& parameters) const {
  std::string all;
  for (const ParameterSet::Entry& entry : parameters.entries()) {
    if (IsHarmless(entry.name)) continue;
    all.append(entry.name).push_back('\0');
    all.append(entry.value).push_back('\0');
  }
  if (all.empty()) return {};
  return FirstHalf(HmacSha256(std::as_bytes(std::span(&secret_, 1)), {AsBytes(all)}));
}

// --- the names of a client -----------------------------------------------------------------------

const StatementRef* ClientStatements::Find(std::string_view name) const {
  const auto found = by_name_.find(ToAbsl(name));
  return found != by_name_.end() ? &found->second.statement : nullptr;
}

ClientStatements::Entry* ClientStatements::Look(std::string_view name) {
  const auto found = by_name_.find(ToAbsl(name));
  return found != by_name_.end() ? &found->second : nullptr;
}

ClientStatements::Added ClientStatements::Add(std::string_view name, StatementRef statement,
                                              const Limits& limits) {
  if (by_name_.contains(ToAbsl(name))) return Added::kExists;
  if (by_name_.size() >= limits.count_max ||
      bytes_ + name.size() + statement.text().size() > limits.bytes_max) {
    return Added::kTooMany;
  }
  notes_.push_back({.kind = Note::Kind::kAdded, .name = std::string(name)});
  Insert(name, std::move(statement));
  return Added::kYes;
}

void ClientStatements::Remove(std::string_view name) {
  Note note{.kind = Note::Kind::kRemoved, .name = std::string(name)};
  if (const StatementRef* statement = Find(name)) note.statement = *statement;
  notes_.push_back(std::move(note));
  Erase(name);
}

void ClientStatements::Refuse(PgError error) {
  notes_.push_back(
      {.kind = Note::Kind::kRefused, .error = std::make_unique<PgError>(std::move(error))});
}

const PgError* ClientStatements::refusal() const {
  return notes_.empty() ? nullptr : notes_.front().error.get();
}

void ClientStatements::OnOutcomes(std::span<const Replies::Outcome> outcomes) {
  std::vector<Note> dropped;
  size_t settled = 0;
  for (const Replies::Outcome& outcome : outcomes) {
    if (!outcome.notes.client) continue;
    TRIREME_ASSERT(settled < notes_.size());
    Note& note = notes_[settled++];
    if (!outcome.answered) dropped.push_back(std::move(note));
  }
  notes_.erase(notes_.begin(), notes_.begin() + static_cast<ptrdiff_t>(settled));
  for (auto note = dropped.rbegin(); note != dropped.rend(); ++note) Undo(*note);
}

void ClientStatements::Undo(Note& note) {
  switch (note.kind) {
    case Note::Kind::kAdded:
      if (const StatementRef* statement = Find(note.name)) note.statement = *statement;
      Erase(note.name);
      undone_.push_back(std::move(note));
      return;
    case Note::Kind::kRemoved:
      if (note.statement) Insert(note.name, std::move(note.statement));
      return;
    case Note::Kind::kRefused:
      return;
  }
}

void ClientStatements::Erase(std::string_view name) {
  const auto found = by_name_.find(ToAbsl(name));
  if (found == by_name_.end()) return;
  bytes_ -= name.size() + found->second.statement.text().size();
  by_name_.erase(found);
}

void ClientStatements::Insert(std::string_view name, StatementRef statement) {
  Erase(name);
  bytes_ += name.size() + statement.text().size();
  by_name_.emplace(std::string(name), Entry{.statement = std::move(statement)});
}

void ClientStatements::OnDiscarded() {
  std::vector<std::pair<std::string, StatementRef>> asked_since;
  for (const Note& note : notes_) {
    const StatementRef* statement = Find(note.name);
    if (note.kind == Note::Kind::kAdded && statement != nullptr) {
      asked_since.emplace_back(note.name, *statement);
    }
  }
  by_name_.clear();
  bytes_ = 0;
  for (auto& [name, statement] : asked_since) Insert(name, std::move(statement));
}

std::string ClientStatements::NameOf(std::string_view server_name, Statements& statements) const {
  const auto is = [&](const StatementRef& statement) {
    return statement &&
           StatementName(statements.IdOf(statement, environment_)).view() == server_name;
  };
  for (const auto& [name, entry] : by_name_) {
    if (is(entry.statement)) return name;
  }
  for (const Note& note : undone_) {
    if (is(note.statement)) return note.name;
  }
  return {};
}

StatementId ClientStatements::Environment(const Statements& statements,
                                          const ParameterSet& parameters) {
  if (parameters.hash() != parameters_hash_) {
    parameters_hash_ = parameters.hash();
    environment_ = statements.EnvironmentOf(parameters);
  }
  return environment_;
}

}  // namespace trireme
