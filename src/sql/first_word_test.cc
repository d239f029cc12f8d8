// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/first_word.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

using enum FirstWord;

TEST(FirstWordOf, LooksBehindSpaceCommentsAndSemicolons) {
  struct Case {
    const char* text;
    FirstWord first;
  };
  const Case cases[] = {
      {"", kNone},
      {" ;; -- x\n ; /* y */", kNone},
      {"SELECT 1", kQuery},
      {"select", kQuery},
      {"\n\t sElEcT*from t", kQuery},
      {"-- c\r SELECT 1", kQuery},
      {"/* a /* b */ */SELECT 1", kQuery},
      {"(select 1)", kQuery},
      {"( ( select 1", kQuery},
      {";;select 1", kQuery},
      {"WITH x AS (SELECT 1) SELECT 2", kQuery},
      {"copy t from stdin", kQuery},
      {"table t", kQuery},
      {"VALUES (1)", kQuery},
      {"MERGE INTO t", kQuery},
      {"BEGIN", kTransaction},
      {"end;", kTransaction},
      {"COMMIT;", kTransaction},
      {"RELEASE s", kTransaction},
      {"release\ts", kTransaction},
      {"SAVEPOINT a", kTransaction},
      {"START TRANSACTION", kTransaction},
      {"VACUUM", kHarmless},
      {"CHECKPOINT", kHarmless},
      {"set x to 1", kRelevant},
      {"DEALLOCATE ALL", kRelevant},
      {"do $$begin end$$", kRelevant},
      {"do$$begin end$$", kUnknown},
      {"CREATE TABLE t()", kRelevant},
      {"unlisten *", kRelevant},
      {"SELEC 1", kUnknown},
      {"SELECTS 1", kUnknown},
      {"SELECT_1", kUnknown},
      {"SELECT_", kUnknown},
      {"BEGIN_", kUnknown},
      {"BEGIN\x7f", kTransaction},  // no letter to the scanner of PostgreSQL
      {"@SELECT 1", kUnknown},
      {"SELECT$1", kUnknown},
      {"SELECTé", kUnknown},
      {"SAVEPOINTS a", kUnknown},
      {"DEALLOCATION", kUnknown},
      {"\"select\" 1", kUnknown},
      {"1", kUnknown},
      {"/* never", kUnknown},
      {"'select'", kUnknown},
      {"\x80", kUnknown},
  };
  for (const Case& c : cases) EXPECT_EQ(FirstWordOf(c.text, TextPart::kWhole), c.first) << c.text;
}

TEST(FirstWordOf, WaitsForTheRestOfABeginning) {
  for (const char* cut : {"", " ", "SEL", "SELECT", "-- SELECT", "/* SELECT */", "/* x", "-", "/",
                          ";", "  ; -- a\n /* b */ UPDATE"}) {
    EXPECT_EQ(FirstWordOf(cut, TextPart::kBeginning), kCut) << cut;
  }
  EXPECT_EQ(FirstWordOf("SELECT ", TextPart::kBeginning), kQuery);
  EXPECT_EQ(FirstWordOf("(", TextPart::kBeginning), kQuery);
  EXPECT_EQ(FirstWordOf("reset;", TextPart::kBeginning), kRelevant);
  EXPECT_EQ(FirstWordOf("a_word_longer_than_any_statement", TextPart::kBeginning), kUnknown);
}

// No prefix of a text promises what the whole does not keep.
TEST(FirstWordOf, EveryBeginningAgreesWithTheWhole) {
  for (const std::string text : {" -- a\n/* b /* c */ */ ;SeLeCt 1", "DEALLOCATE ALL",
                                 "checkpoint ", "\t(values (1))", "set a to b", "---\nBEGIN;"}) {
    const FirstWord whole = FirstWordOf(text, TextPart::kWhole);
    for (size_t size = 0; size < text.size(); ++size) {
      const FirstWord cut = FirstWordOf(text.substr(0, size), TextPart::kBeginning);
      EXPECT_TRUE(cut == kCut || cut == whole) << text << " cut at " << size;
    }
  }
}

TextVerdict Judge(std::string_view text) { return JudgeText(text, {}); }

TEST(JudgeText, LetsPassWhatLeavesNothing) {
  for (const char* text :
       {"SELECT 1", "SELECT 1;", "select * from templates where attempt = 'set_config(';",
        "UPDATE t SET a = 'x; SET y TO z' WHERE b = $1", "SELECT pg_advisory_xact_lock(1)",
        "SELECT temp, temperature FROM weather", "SELECT 1 -- pg_advisory_lock(1)",
        "SELECT $$;SET x TO y$$", "DELETE FROM t WHERE a = $1 ; ",
        "INSERT INTO t (temp) VALUES (1)", "VACUUM t", "", ";", "SELECT interval '1 day', service",
        "COPY t FROM STDIN", "SELECT advisory FROM t", "SELECT a.replication, backup FROM a"}) {
    EXPECT_EQ(Judge(text), TextVerdict::kHarmless) << text;
  }
}

TEST(JudgeText, KnowsTransactions) {
  for (const char* text : {"BEGIN", "begin;", "COMMIT AND CHAIN", "ROLLBACK TO SAVEPOINT a",
                           "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"}) {
    EXPECT_EQ(Judge(text), TextVerdict::kTransaction) << text;
  }
  EXPECT_EQ(Judge("BEGIN; SELECT 1"), TextVerdict::kAnalyze);
}

TEST(JudgeText, StopsWhatMayTouchTheSession) {
  for (const char* text : {"SET a TO b",
                           "SELECT set_config('a', 'b', false)",
                           "SELECT \"set_config\"('a', 'b', false)",
                           "SELECT U&\"set\\005fconfig\"('a', 'b', false)",
                           "SELECT pg_advisory_lock(1)",
                           "SELECT PG_TRY_ADVISORY_LOCK_SHARED(1, 2)",
                           "SELECT 1; SET a TO b",
                           "SELECT 1;;SELECT 2",
                           "SELECT 1 INTO TEMP t",
                           "SELECT 1 INTO /* x */ LOCAL\nTEMPORARY t",
                           "SELECT * FROM pg_temp.t",
                           "SELECT * FROM \"pg_temp_3\".t",
                           "SELECT currval('s')",
                           "SELECT lastval()",
                           "SELECT setseed(0)",
                           "SELECT dblink_connect('x')",
                           "LISTEN a",
                           "CREATE TABLE t(a int)",
                           "EXPLAIN EXECUTE p",
                           "NEWSTATEMENT",
                           "SELECT ';never",
                           "VACUUM; SET a TO b",
                           "SELECT set_limit(0.2)",
                           "SELECT pg_backup_start('x')",
                           "DO $$begin end$$",
                           "CALL p()"}) {
    EXPECT_EQ(Judge(text), TextVerdict::kAnalyze) << text;
  }
}

TEST(JudgeText, ReadsStringsByTheRulesOfTheSession) {
  const char* text = R"(SELECT 'a\'; SET x TO y; --')";
  EXPECT_EQ(JudgeText(text, {}), TextVerdict::kAnalyze);
  EXPECT_EQ(JudgeText(text, {.standard_conforming_strings = false}), TextVerdict::kHarmless);
  // In an encoding where the lexer cannot tell, suspicion is enough.
  EXPECT_EQ(JudgeText("SELECT '\x95\\; x'", {}), TextVerdict::kHarmless);
  EXPECT_EQ(JudgeText("SELECT '\x95\\; x'", {.encoding_embeds_ascii = false}),
            TextVerdict::kAnalyze);
  EXPECT_EQ(JudgeText("SELECT '\x95\\'", {.encoding_embeds_ascii = false}), TextVerdict::kHarmless);
}

TEST(JudgeText, TellsWhoMayUseANumberOfASequence) {
  for (const char* text : {"SELECT nextval('s')", "INSERT INTO t VALUES (nextval('s'))",
                           "select SETVAL('s', 3);", "SELECT 'nextval' -- not confirmed"}) {
    EXPECT_EQ(Judge(text), TextVerdict::kNumbers) << text;
  }
  EXPECT_EQ(Judge("SAVEPOINT nextval"), TextVerdict::kTransaction);
  EXPECT_EQ(Judge("SELECT nextval('s'), currval('s')"), TextVerdict::kAnalyze);
  EXPECT_EQ(Judge("SELECT 1; SELECT nextval('s')"), TextVerdict::kAnalyze);
  EXPECT_TRUE(MustAnalyze(TextVerdict::kNumbers, Numbers::kMatter));
  EXPECT_FALSE(MustAnalyze(TextVerdict::kNumbers, Numbers::kIgnored));
  EXPECT_TRUE(MustAnalyze(TextVerdict::kAnalyze, Numbers::kIgnored));
}

TEST(JudgeText, TellsWhoInsertsWhereNumbersMatter) {
  for (const char* text :
       {"INSERT INTO t VALUES (1)", " /* new */ insert into t default values", "COPY t FROM STDIN",
        "MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT * FROM a"}) {
    EXPECT_EQ(Judge(text), TextVerdict::kHarmless) << text;
    EXPECT_EQ(JudgeText(text, {}, Numbers::kIgnored), TextVerdict::kHarmless) << text;
    EXPECT_EQ(JudgeText(text, {}, Numbers::kMatter), TextVerdict::kNumbers) << text;
  }
  for (const char* text : {"SELECT 'INSERT' FROM inserts", "WITH a AS (SELECT 1) SELECT * FROM a",
                           "UPDATE t SET a = 1", "DELETE FROM t"}) {
    EXPECT_EQ(JudgeText(text, {}, Numbers::kMatter), TextVerdict::kHarmless) << text;
  }
  EXPECT_EQ(JudgeText("BEGIN", {}, Numbers::kMatter), TextVerdict::kTransaction);
  EXPECT_EQ(JudgeText("INSERT INTO t VALUES (1); SET a TO b", {}, Numbers::kMatter),
            TextVerdict::kAnalyze);
}

}  // namespace
}  // namespace trireme
