// SPDX-License-Identifier: GPL-3.0-or-later
//
// Are there words in a text that may touch the session's state although it begins like a harmless
// query? SELECT set_config(…), SELECT … INTO TEMP, two statements in one text. Two looks:
//
//   SuspectWords   bytes only, by fingerprint_scan.h. Finds more than is there (template, tempo in
//                  a constant), never less. No allocation, about one instruction a byte.
//   ConfirmWords   tokens, by the rules of the server's scanner: what is in comments and constants
//                  does not count. About ten times the price.
//
// What neither can see, because it is not in the text: functions, triggers, procedures and DO
// blocks that run SET, set_config, LISTEN, CREATE TEMP or a lock inside; SQL that a function is
// given as a string (query_to_xml, dblink); SQL statements prepared before and executed by
// protocol; unqualified CREATE TABLE when search_path begins
// with pg_temp. The session's own ParameterStatus messages and the pool's reset are the defence
// against those.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sql/lexer.h"

namespace trireme {

// A set of these bits.
using SessionWords = uint16_t;

namespace session_word {
inline constexpr SessionWords kSetConfig = 1 << 0;
inline constexpr SessionWords kAdvisory = 1 << 1;         // session-level advisory locks
inline constexpr SessionWords kSequenceRead = 1 << 2;     // currval, lastval
inline constexpr SessionWords kSequenceAdvance = 1 << 3;  // nextval, setval
inline constexpr SessionWords kTemp = 1 << 4;             // INTO TEMP, CREATE TEMP, pg_temp
inline constexpr SessionWords kOtherFunction = 1 << 5;    // setseed, dblink_…
inline constexpr SessionWords kUnicodeName = 1 << 6;      // U&"…" may spell any of them
inline constexpr SessionWords kSeveral = 1 << 7;          // something follows a semicolon
inline constexpr SessionWords kUnreadable = 1 << 8;       // a comment or quote never ends
// INSERT, MERGE, COPY: a serial column may advance its sequence. Only ConfirmWords finds it.
inline constexpr SessionWords kInserts = 1 << 9;

// What must be analyzed in any case. Not sequences that advance: nearly every INSERT of an ORM
// does, and only a later currval or lastval can tell.
inline constexpr SessionWords kRelevant = 0x1ff & ~kSequenceAdvance;
inline constexpr SessionWords kNumbers = kSequenceAdvance | kInserts;
}  // namespace session_word

SessionWords SuspectWords(std::string_view text);
// May SuspectWords find anything?
bool HasSuspectWords(std::string_view text);

SessionWords ConfirmWords(std::string_view text, TextRules rules);

// SuspectWords for a text that comes in pieces: a word cut by their border is found.
class SuspectStream {
 public:
  void Feed(std::string_view piece);
  SessionWords found() const { return found_; }

 private:
  static constexpr size_t kCarryBytes = 16;  // more than the longest word
  std::array<char, kCarryBytes> carry_{};    // the last bytes seen
  uint8_t carried_ = 0;
  SessionWords found_ = 0;
};

// The bit of one token, given the one before it. Words that need a neighbour (TEMP behind INTO or
// CREATE) count only there.
SessionWords WordsOf(const SqlToken& token, const SqlToken& before);

}  // namespace trireme
