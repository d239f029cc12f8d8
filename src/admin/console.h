// SPDX-License-Identifier: GPL-3.0-or-later
//
// The console's side of a conversation, after login: one message of the client in, its answer out.
// Simple and extended protocol; no I/O. One object for each console client, on the client's core.
//
//   OnMessage ──▶ kDone            the answer is written; give the next message
//             ──▶ kNeedsSnapshot   gather `parts` from all cores, then OnSnapshot; no message
//             before ──▶ kClose           the goodbye, if any, is written; end the connection
//
// What must hold: messages are answered in order; after an error in the extended protocol nothing
// is answered until Sync; every Query and Sync is answered by exactly one ReadyForQuery, always
// idle: the console knows no transactions. What a client makes it keep is bounded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/console_command.h"
#include "admin/snapshot.h"
#include "base/bytes.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace trireme {

// The ParameterStatus messages of a console login.
void WriteConsoleParameters(MessageWriter& writer, std::string_view version);

class Console {
 public:
  static constexpr size_t kStatementsMax = 64;  // prepared statements, and portals, of one client

  struct Step {
    enum class Kind : uint8_t { kDone, kNeedsSnapshot, kClose };
    Kind kind = Kind::kDone;
    SnapshotParts parts{};  // of every core; may be none: then FleetFacts are enough
  };

  explicit Console(ConsoleRole role) : role_(role) {}

  // One whole message behind its header. The answer is appended by `writer`.
  Step OnMessage(MessageWriter& writer, char type, Bytes body);
  Step OnSnapshot(MessageWriter& writer, const FleetSnapshot& fleet);

 private:
  enum class State : uint8_t { kReady, kSkipping, kGathering };  // kSkipping: until Sync

  struct Portal {
    ConsoleCommand command;
    Formats formats;
    bool run = false;  // `rows` are filled
    std::vector<Row> rows{};
    size_t next = 0;
  };
  // What waits for a snapshot: a simple query, or a portal with the rows it may return.
  struct Gathering {
    Portal* portal = nullptr;  // nullptr = simple query
    ConsoleCommand command;
    size_t rows_max = 0;  // 0 = all
  };

  Step OnQuery(MessageWriter& writer, MessageReader body);
  Step OnExtended(MessageWriter& writer, char type, MessageReader body);
  std::optional<PgError> OnParse(MessageWriter& writer, MessageReader body);
  std::optional<PgError> OnBind(MessageWriter& writer, MessageReader body);
  std::optional<PgError> OnDescribe(MessageWriter& writer, MessageReader body);
  std::optional<PgError> OnCloseMessage(MessageWriter& writer, MessageReader body);
  std::optional<PgError> OnExecute(MessageWriter& writer, MessageReader body);
  std::optional<PgError> OnSync(MessageWriter& writer);
  Step Refuse(MessageWriter& writer, const PgError& error);
  Step Fatal(MessageWriter& writer, std::string message);
  Step CurrentStep() const;
  void WriteRows(MessageWriter& writer, Portal& portal, size_t rows_max);

  const ConsoleRole role_;
  State state_ = State::kReady;
  std::map<std::string, ConsoleCommand, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;  // live until Sync
  Gathering gathering_;
};

}  // namespace trireme
