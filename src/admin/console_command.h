// SPDX-License-Identifier: GPL-3.0-or-later
//
// A console command as text → what it asks for. Case does not matter, one `;` may end it.
// Understood are SHOW, and what drivers say unasked: SET, SHOW of a few session parameters, nothing
// at all.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "admin/views.h"
#include "config/config.h"
#include "wire/errors.h"

namespace trireme {

enum class ConsoleRole : uint8_t {
  kNone,   // may not log in to the console
  kStats,  // SHOW
  kAdmin,  // everything
};

// Admin wins when a user is in both lists.
ConsoleRole ConsoleRoleOf(const ConsoleConfig& config, std::string_view user);

// A session parameter that drivers ask for, with the answer: one row of one text column.
struct ConsoleParameter {
  Column column;
  std::string_view value;
};

struct ConsoleCommand {
  enum class Kind : uint8_t {
    kEmpty,      // nothing, or only comments
    kShow,       // SHOW <view>
    kHelp,       // SHOW HELP
    kParameter,  // SHOW <session parameter>
    kSet,        // SET …: accepted with a notice, changes nothing
  };
  Kind kind = Kind::kEmpty;
  const View* view = nullptr;                   // kShow
  const ConsoleParameter* parameter = nullptr;  // kParameter

  // Of its answer; empty = it returns no rows.
  std::span<const Column> columns() const;
};

// Errors: 42601 for what is no command, 42501 for what the role may not do, 0A000 for commands of
// PgBouncer that Trireme does not have.
PgResult<ConsoleCommand> ParseConsoleCommand(std::string_view text, ConsoleRole role);

}  // namespace trireme
