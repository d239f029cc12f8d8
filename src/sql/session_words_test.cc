// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/session_words.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace trireme {
namespace {

using namespace session_word;

struct Word {
  const char* text;
  SessionWords bit;
};
constexpr Word kWords[] = {
    {"set_config", kSetConfig},
    {"pg_advisory_lock", kAdvisory},
    {"pg_try_advisory_lock", kAdvisory},
    {"pg_advisory_unlock_all", kAdvisory},
    {"currval", kSequenceRead},
    {"lastval", kSequenceRead},
    {"nextval", kSequenceAdvance},
    {"setval", kSequenceAdvance},
    {"into temp", kTemp},
    {"create temporary", kTemp},
    {"pg_temp", kTemp},
    {"pg_temp_12", kTemp},
    {"setseed", kOtherFunction},
    {"set_limit", kOtherFunction},
    {"dblink_exec", kOtherFunction},
    {"pg_backup_start", kOtherFunction},
    {"pg_stop_backup", kOtherFunction},
    {"pg_replication_origin_session_setup", kOtherFunction},
    {"pg_create_logical_replication_slot", kOtherFunction},
    {"u&\"a\"", kUnicodeName},
    {"; x", kSeveral},
};

// Wherever a word stands, and in any case.
TEST(SuspectWords, FindsEachWordAtEachPlace) {
  for (const Word& word : kWords) {
    for (size_t before = 0; before < 40; ++before) {
      for (size_t after = 0; after < 20; ++after) {
        std::string text = std::string(before, '.') + word.text + std::string(after, '.');
        EXPECT_EQ(SuspectWords(text) & word.bit, word.bit) << text;
        for (char& c : text) c = static_cast<char>(std::toupper(c));
        EXPECT_EQ(SuspectWords(text) & word.bit, word.bit) << text;
      }
    }
  }
}

TEST(SuspectWords, FindsNothingInOrdinaryQueries) {
  for (const char* text :
       {"", "a", ";", "SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
        "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, "
        "CURRENT_TIMESTAMP)",
        "SELECT c.id, c.email FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total "
        "> "
        "100 AND c.city IN ('Berlin', 'Wien') ORDER BY c.created_at DESC LIMIT 20 OFFSET 40"}) {
    EXPECT_EQ(SuspectWords(text), 0) << text;
  }
}

TEST(SuspectStream, FindsWordsAcrossAnyBorder) {
  for (const Word& word : kWords) {
    const std::string text = std::string(30, '.') + word.text + std::string(30, '.');
    for (size_t first = 0; first <= text.size(); ++first) {
      SuspectStream stream;
      stream.Feed(std::string_view(text).substr(0, first));
      stream.Feed(std::string_view(text).substr(first));
      EXPECT_EQ(stream.found() & word.bit, word.bit) << word.text << " cut at " << first;
    }
    SuspectStream bytewise;
    for (const char& c : text) bytewise.Feed(std::string_view(&c, 1));
    EXPECT_EQ(bytewise.found() & word.bit, word.bit) << word.text;
  }
}

TEST(ConfirmWords, CountsTokensOnly) {
  struct Case {
    const char* text;
    SessionWords words;
  };
  const Case cases[] = {
      {"SELECT set_config('a', 'b', true)", kSetConfig},
      {"SELECT Set_Config ('a', 'b', true)", kSetConfig},
      {"SELECT 'set_config(1)'", 0},
      {"SELECT $$set_config(1)$$ -- set_config(1)", 0},
      {"SELECT /* pg_temp */ 1", 0},
      {"SELECT my_set_config(1), set_configs(1)", 0},
      {"SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)", 0},
      {"SELECT temp FROM temporary", 0},
      {"INSERT INTO t (temp) VALUES (1)", kInserts},
      {"SELECT 1 INTO temp", kTemp},
      {"CREATE OR REPLACE TEMP VIEW v", kTemp},
      {"SELECT pg_temporary", 0},
      {"SELECT 1;", 0},
      {"SELECT 1 ; ; -- x", 0},
      {"; SELECT 1", 0},
      {"SELECT 1;SELECT 2", kSeveral},
      {"SELECT ';' ; $$ ", kSeveral | kUnreadable},
      {"U&\"x\"", kUnicodeName},
      {"\"CURRVAL\"", kSequenceRead},
      {"/*", kUnreadable},
  };
  for (const Case& c : cases) EXPECT_EQ(ConfirmWords(c.text, {}), c.words) << c.text;
}

// What tokens show, bytes show.
TEST(SuspectWords, MissesNothingThatTokensShow) {
  Random random(1);
  const char* parts[] = {"set_config", "(",       " ",  ";",       "pg_temp",  ".",
                         "INTO",       " TEMP ",  "'",  "--",      "\n",       "u&\"",
                         "\"",         "currval", "$$", "lastval", "advisory", "pg_advisory_lock",
                         "x"};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t n = random.Below(12); n > 0; --n) text += parts[random.Below(std::size(parts))];
    const SessionWords confirmed = ConfirmWords(text, {}) & ~kUnreadable;
    EXPECT_EQ(SuspectWords(text) & confirmed, confirmed) << text;
  }
}

}  // namespace
}  // namespace trireme
