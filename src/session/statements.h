// SPDX-License-Identifier: GPL-3.0-or-later
//
// The prepared statements of clients that change servers between transactions. What a client
// prepared is kept here as text, under the client's name for it; the server that it gets next is
// given whatever it lacks, ahead of the client's Bind, in the same send.
//
//   Statements        each text once a core, counted (many clients prepare the same)
//   ClientStatements  name → statement of one client; made at its first named Parse
//
// What must hold: a client's books say what PostgreSQL's would say if it were alone on one server.
// They are changed when a Parse or Close is sent, because the next request of the pipeline builds
// on it, and changed back when the request fails or is passed over (Replies::TakeNews). The id of
// a statement is a keyed hash of its text, its parameter types and the session parameters it is
// read with, so that nobody can make two statements that share one.
//
// Owned by one core.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/result.h"
#include "net/inbox.h"
#include "sql/first_word.h"
#include "wire/errors.h"
#include "wire/parameter_set.h"
#include "wire/replies.h"
#include "wire/statement_name.h"

namespace trireme {

class Statements;

// What executing a text leaves in the session, as far as it tells.
enum class Leaves : uint8_t {
  kNothing,
  kNumbers,    // of sequences: for currval and lastval, if anybody asks
  kSomething,  // perhaps
  kReset,      // something, and the ReadyForQuery behind it is held back
};

// Does it matter to whoever comes next?
constexpr bool Matters(Leaves leaves, Numbers numbers) {
  return leaves > Leaves::kNumbers || (leaves == Leaves::kNumbers && numbers == Numbers::kMatter);
}

// A Parse message without its name: the query with its zero, then the parameter types.
struct Statement {
  std::string text;
  uint32_t references = 0;
  Leaves leaves = Leaves::kNothing;  // each time it is executed
  std::optional<StatementId> id;     // of the text alone; made when first needed
  StatementId named_id;              // what `name` was last made of
  StatementName name{StatementId{}};
  Statements* home = nullptr;
};

// A counted reference; empty = none.
class StatementRef {
 public:
  StatementRef() = default;
  explicit StatementRef(Statement* statement) : statement_(statement) { ++statement_->references; }
  StatementRef(StatementRef&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)) {}
  StatementRef(const StatementRef& other) : statement_(other.statement_) {
    if (statement_ != nullptr) ++statement_->references;
  }
  StatementRef& operator=(StatementRef other) noexcept {
    std::swap(statement_, other.statement_);
    return *this;
  }
  ~StatementRef() { Drop(); }

  explicit operator bool() const { return statement_ != nullptr; }
  std::string_view text() const { return statement_->text; }
  Leaves leaves() const { return statement_->leaves; }
  // Other sessions may have seen more in it (by other rules).
  void MarkLeaves(Leaves leaves) { statement_->leaves = std::max(statement_->leaves, leaves); }
  // What servers call it by that id of it (Statements::IdOf). Valid until the next call.
  std::string_view NameOf(StatementId id) const {
    if (!(statement_->named_id == id)) [[unlikely]] {
      statement_->named_id = id;
      statement_->name = StatementName(id);
    }
    return statement_->name.view();
  }
  bool Is(std::string_view text) const { return statement_ != nullptr && statement_->text == text; }

 private:
  friend class Statements;
  void Drop() {
    if (statement_ != nullptr) [[unlikely]]
      DropCounted();
  }
  void DropCounted();
  Statement* statement_ = nullptr;
};

class Statements {
 public:
  // `secret`: the same on every core, unknown to clients.
  explicit Statements(uint64_t secret) : secret_(secret) {}
  ~Statements();  // nobody holds one (asserted)
  Statements(const Statements&) = delete;
  Statements& operator=(const Statements&) = delete;

  StatementRef Intern(std::string_view text);
  // The id on any server while the session parameters are these.
  StatementId IdOf(const StatementRef& statement, StatementId environment);
  // Of the parameters that change what a text means: not application_name, timeouts, custom ones.
  StatementId EnvironmentOf(const ParameterSet& parameters) const;

  size_t count() const { return by_text_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  friend class StatementRef;
  void Free(Statement* statement);

  const uint64_t secret_;
  uint64_t bytes_ = 0;
  absl::flat_hash_map<absl::string_view, std::unique_ptr<Statement>> by_text_;  // keys: their texts
};

class ClientStatements {
 public:
  struct Limits {
    uint32_t count_max;
    uint32_t bytes_max;
  };

  struct Entry {
    StatementRef statement;
    bool used = false;
    // It is about to be: for the first time?
    bool TakeFirstUse() { return !std::exchange(used, true); }
  };
  // Nothing, when there is none of that name. Valid until the next change.
  Entry* Look(std::string_view name);
  const StatementRef* Find(std::string_view name) const;

  // Every change is noted until its request has an outcome; see Notes::client.
  enum class Added : uint8_t { kYes, kExists, kTooMany };
  Added Add(std::string_view name, StatementRef statement, const Limits& limits);
  void Remove(std::string_view name);
  // Without a note: it does not come back.
  void Forget(std::string_view name) { Erase(name); }
  // A request was refused: the error to tell when its turn comes.
  void Refuse(PgError error);

  // The refusal whose turn has come.
  const PgError* refusal() const;
  void OnOutcomes(std::span<const Replies::Outcome> outcomes);
  // The client has none any more, but for those it asked for since.
  void OnDiscarded();

  size_t count() const { return by_name_.size(); }
  uint64_t bytes() const { return bytes_; }

  // What a statement of that name on a server is, or was until lately, to the client; "" = it is
  // not the client's.
  std::string NameOf(std::string_view server_name, Statements& statements) const;
  // Nothing is owed: what failed is history.
  void OnReady() {
    undone_.clear();
    repeatable.bytes.Clear();
    repeated = false;
  }

  // The requests that a server may have to be asked once more: see Client::AskAgain.
  struct Repeatable {
    Slice bytes;                  // from the Bind or Describe on, all that has been sent
    StatementId id;               // its statement
    uint64_t bytes_received = 0;  // from the client until then
    bool first_use = false;       // since its Parse: the client knows nothing of its columns
  };
  Repeatable repeatable;
  bool repeated = false;  // it was

  // The environment of the statements, kept until the parameters change.
  StatementId Environment(const Statements& statements, const ParameterSet& parameters);

 private:
  struct Note {
    enum class Kind : uint8_t { kAdded, kRemoved, kRefused } kind;
    std::string name{};
    StatementRef statement{};  // kRemoved: what it was; may be empty
    std::unique_ptr<PgError> error{};
  };
  void Undo(Note& note);
  void Erase(std::string_view name);
  void Insert(std::string_view name, StatementRef statement);

  absl::flat_hash_map<std::string, Entry> by_name_;
  uint64_t bytes_ = 0;
  std::vector<Note> notes_;   // the oldest first
  std::vector<Note> undone_;  // kAdded, since anything was owed
  uint64_t parameters_hash_ = 0;
  StatementId environment_;
};

}  // namespace trireme
