// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the stub makes of an SQL text: not its meaning, only the shape of the answer PostgreSQL
// would give to a statement that begins so. A comment in front of it says more than the first word
// does:
//
//   /*stub rows=1000 bytes=100 service=exp:2ms error=40001*/ SELECT …
//
//   rows      DataRow or CopyData messages      bytes    of the one column of each
//   service   how long the statement takes      error    SQLSTATE to fail with, after that
//
// Pure functions; an unknown word in the comment is ignored, as a comment is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/draw.h"

namespace trireme::bench {

struct Answer {
  enum class Kind : uint8_t {
    kEmpty,
    kRows,     // RowDescription, rows, a tag with their number
    kCommand,  // a tag
    kBegin,
    kCommit,
    kRollback,
    kSet,  // a tag, and ParameterStatus when PostgreSQL reports that parameter
    kCopyIn,
    kCopyOut,
  };
  Kind kind = Kind::kEmpty;
  std::string tag;  // with " N" still to come for kRows and COPY
  uint32_t rows = 1;
  uint32_t bytes = 10;
  std::optional<Draw> service;  // else the server's
  std::string error;            // SQLSTATE, "" = none
  std::string name, value;      // kSet
  uint32_t parameters = 0;      // highest $n

  // Takes the time a server sets for its statements; what only opens and ends transactions does
  // not.
  bool works() const {
    return kind == Kind::kRows || kind == Kind::kCommand || kind == Kind::kCopyIn ||
           kind == Kind::kCopyOut;
  }
};

struct AnswerDefaults {
  uint32_t rows = 1;
  uint32_t bytes = 10;
};

Answer AnswerTo(std::string_view sql, const AnswerDefaults& defaults);

// The statements of a simple query, without the semicolons between them; never empty.
std::vector<std::string_view> SplitStatements(std::string_view sql);

}  // namespace trireme::bench
