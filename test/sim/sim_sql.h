// SPDX-License-Identifier: GPL-3.0-or-later
//
// The vocabulary that the simulated clients speak and the simulated servers understand: SQL in
// looks, a script in truth. A statement says what its answer shall be, and its tag says whose
// answer it is.
//
//   SELECT tag('c17.q42') rows 3 size 200 sleep 5 notices 1 error '22012' pad 1000 '...'
//   BEGIN tag('c17.q43')         COMMIT ...    ROLLBACK ...
//   SET TimeZone TO 'UTC' tag('c17.q44')        SET LOCAL ...    RESET TimeZone ...   RESET ALL
//   SHOW TimeZone tag('c17.q45')                one row, the value as its payload
//   COPY tag('c17.q46') FROM STDIN error '22P04'
//   COPY tag('c17.q47') TO STDOUT rows 9 size 1000
//   CREATE TEMP TABLE t1 tag('c17.q48')         (ON COMMIT DROP)    DISCARD ALL
//   DEALLOCATE s1                               DEALLOCATE ALL
//   LISTEN news tag(...)   UNLISTEN ...   NOTIFY news, 'text' tag(...)
//
// Every clause is optional; tag($1) takes the tag from the first parameter of Bind; several
// statements are joined by ';'. `sleep` is in microseconds. `error` comes after the rows. Words of
// the real language that Trireme says itself (ROLLBACK, DISCARD ALL, SET "a" TO 'b';, SELECT
// pg_catalog.set_config('a', 'b', false);) are part of it. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "wire/errors.h"

namespace trireme::sim {

struct SimStatement {
  enum class Kind : uint8_t {
    kSelect,
    kBegin,
    kCommit,
    kRollback,
    kSet,
    kReset,
    kResetAll,
    kShow,
    kQuestion,  // SELECT pg_catalog.…: of what the session has; `value` = the items
    kDiscardAll,
    kDeallocate,  // all when it has no name
    kCreateTemp,
    kCopyFrom,
    kCopyTo,
    kListen,
    kUnlisten,
    kNotify,
  };
  Kind kind = Kind::kSelect;
  std::string tag;    // "" = none; "$1" = from Bind
  uint32_t rows = 1;  // kSelect, kCopyTo
  uint32_t size = 0;  // payload bytes of a row
  uint32_t pad = 0;   // bytes of the request itself, checked by the server
  uint32_t notices = 0;
  Duration sleep{};
  std::string error;         // SQLSTATE, "" = none
  std::string name;          // of a parameter, a table, a channel
  std::string value;         // of kSet, kNotify
  bool tag_by_bind = false;  // the client's note: its text says tag($1)
  bool local = false;        // SET LOCAL; CREATE TEMP TABLE ... ON COMMIT DROP

  // As SQL, as ParseSql reads it.
  std::string Text() const;
  // "SELECT", "BEGIN": the word of CommandComplete.
  std::string_view Command() const;
  bool ReturnsRows() const {
    return kind == Kind::kSelect || kind == Kind::kShow || kind == Kind::kQuestion;
  }
};

// The statements of one text; none for an empty one. The error is what PostgreSQL would say
// (42601; XX001 when the pad is not what was sent).
PgResult<std::vector<SimStatement>> ParseSql(std::string_view sql);

// `size` bytes that only this tag and this row have.
std::string Payload(std::string_view tag, uint32_t row, uint32_t size);
// Continues a digest over bytes as they come, for COPY; starts with kDigestStart.
inline constexpr uint64_t kDigestStart = 0xcbf29ce484222325u;
uint64_t Digest64(uint64_t digest, std::string_view bytes);

// CommandComplete: "SELECT 3 c17.q42", "BEGIN c17.q43", "COPY 5 c17.q46 <digest>"; without a tag as
// PostgreSQL has it.
std::string CompletionText(std::string_view command, std::string_view tag);

// What a row says.
struct SimRow {
  std::string tag;
  uint32_t row = 0;  // of this result, from 0
  uint32_t process_id = 0;
  uint64_t sequence = 0;  // of the tagged statements that backend has begun to run
  std::string session;    // SimSession::Digest()
  std::string payload;
};
inline constexpr size_t kRowColumns = 6;

// The value in the form the server keeps and reports ("iso" of DateStyle is "ISO, MDY"); nullopt =
// refused (22023).
std::optional<std::string> NormalValue(std::string_view name, std::string_view value);

}  // namespace trireme::sim
