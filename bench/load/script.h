// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a client does, written down: one step a line, # begins a comment line. One run of a script
// is one transaction in the report; its latency is that of the whole run.
//
//   query SQL                     simple protocol
//   extended SQL [| P1 | P2 …]    unnamed Parse, Bind, Describe, Execute, Sync
//   prepared SQL [| P1 | P2 …]    as extended; Parse by name once a connection, then without it
//   copy-in SIZE ROW SQL          COPY … FROM STDIN, SIZE bytes in rows of ROW bytes
//   sleep DURATION                idle, transaction open or not; may be drawn: exp:5ms
//   (engine/draw.h) pipeline N STEP               N copies at once, each with a Sync of its own
//   batch N STEP                  N copies at once with one Sync (extended and prepared)
//
// In SQL and in parameters {a..b} is a random integer, {a..b zipf S} one that prefers the low ends,
// {client} the number of the client. Rendered bytes are appended to a buffer that keeps its memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "engine/draw.h"

namespace trireme::bench {

// Text with places for what is drawn.
class Template {
 public:
  static Result<Template> Parse(std::string_view text);
  struct Values {
    Random& random;
    uint64_t client;
  };
  void Append(Values values, std::string& out) const;

 private:
  struct Piece {
    enum class Kind : uint8_t { kText, kClient, kUniform, kZipf } kind;
    std::string text{};
    int64_t low = 0;
    uint64_t count = 0;
    std::shared_ptr<const Zipf> zipf{};
  };
  static Result<Piece> ParsePlace(std::string_view inside);
  std::vector<Piece> pieces_;
};

struct Step {
  enum class Kind : uint8_t { kQuery, kExtended, kPrepared, kCopyIn, kSleep };
  Kind kind = Kind::kQuery;
  Template sql;
  std::string sql_text;  // as written; of kExtended and kPrepared it has no places
  std::vector<Template> parameters;
  uint32_t copies = 1;
  bool one_sync = false;
  uint32_t statement = 0;  // kPrepared: its number within all scripts
  uint64_t copy_bytes = 0;
  uint32_t copy_row_bytes = 0;
  Draw sleep;

  // ReadyForQuery messages that answer it.
  uint32_t replies() const { return one_sync ? 1 : copies; }
};

struct Script {
  std::string name;
  double weight = 1;
  std::vector<Step> steps;
};

inline constexpr uint32_t kPreparedMax = 64;  // kPrepared steps over all scripts

// `statement_next`: kPrepared steps are numbered from it on.
Result<Script> ParseScript(std::string_view name, std::string_view text, uint32_t statement_next);
uint32_t CountPrepared(const Script& script);
// The text of a script that needs no file, "" = there is none of that name.
std::string_view BuiltInScript(std::string_view name);
std::string BuiltInScriptNames();

// Appends the bytes of one step that is not kSleep. `known`: the connection has its statement.
void RenderStep(const Step& step, bool known, Template::Values values, std::string& out);

}  // namespace trireme::bench
