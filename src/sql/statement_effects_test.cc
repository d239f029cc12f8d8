// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/statement_effects.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sql/lexical_effects.h"
#include "sql/statement_scan.h"

namespace trireme {
namespace {

using Reading = SessionEffects::Reading;

std::string Described(const std::vector<Effect>& effects) {
  std::string text;
  for (const Effect& effect : effects) {
    if (!text.empty()) text += "; ";
    text += Describe(effect);
  }
  return text;
}

std::string Effects(std::string_view text, TextRules rules = {}) {
  return Described(AnalyzeStatements(text, rules).effects);
}

struct Case {
  const char* text;
  const char* effects;
};

constexpr Case kParsed[] = {
    {"SET a.b TO 'c'", "SET a.b 'c'"},
    {R"(SET search_path TO a, "B c", '$user')", R"(SET search_path 'a, "B c", "$user"')"},
    {"set SEARCH_PATH = 'a, b'", R"(SET search_path '"a, b"')"},
    {"SET LOCAL work_mem = 4096", "SET work_mem '4096' local"},
    {"SET SESSION work_mem = '4MB'", "SET work_mem '4MB'"},
    {"SET x.y = -1.5", "SET x.y '-1.5'"},
    {"SET x.y =-1", "SET x.y '-1'"},
    {"SET x.y TO on", "SET x.y 'on'"},
    {"SET x.y TO Off, 'B'", "SET x.y 'off, B'"},
    {"SET x.y TO DEFAULT", "RESET x.y"},
    {"SET LOCAL x.y TO DEFAULT", "RESET x.y local"},
    {R"(SET "My"."Par" TO TRUE)", "SET My.Par 'true'"},
    {"SET TIME ZONE 'UTC'", "SET timezone 'UTC'"},
    {"SET TIME ZONE LOCAL", "RESET timezone"},
    {"SET TIME ZONE DEFAULT", "RESET timezone"},
    {"SET TIME ZONE -7", "SET timezone '-7'"},
    {"SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SET timezone 'INTERVAL '-08:00''"},
    {"SET timezone TO PST8PDT", "SET timezone 'pst8pdt'"},
    {"SET NAMES 'latin1'", "SET client_encoding 'latin1'"},
    {"SET NAMES", "RESET client_encoding"},
    {"SET SCHEMA 'A'", R"(SET search_path '"A"')"},
    {"SET ROLE bob", "SET ROLE 'bob'"},
    {"SET ROLE NONE", "SET ROLE 'none'"},
    {"SET LOCAL ROLE 'Bob'", "SET ROLE 'Bob' local"},
    {"RESET ROLE", "RESET role"},
    {"SET SESSION AUTHORIZATION bob", "SET SESSION AUTHORIZATION 'bob'"},
    {"SET SESSION SESSION AUTHORIZATION 'bob'", "SET SESSION AUTHORIZATION 'bob'"},
    {"SET SESSION AUTHORIZATION DEFAULT", "RESET session_authorization"},
    {"RESET SESSION AUTHORIZATION", "RESET session_authorization"},
    {"SET role TO alice", "SET ROLE 'alice'"},
    {"SET transaction TO x", "SET transaction 'x'"},  // a parameter of that name
    {"SET LOCAL constraints = x", "SET constraints 'x' local"},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, NOT "
     "DEFERRABLE",
     "SET default_transaction_isolation 'repeatable read'; SET default_transaction_read_only 'on'; "
     "SET default_transaction_deferrable 'off'"},
    {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE, DEFERRABLE",
     "SET TRANSACTION 'ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE'"},
    {"SET TRANSACTION SNAPSHOT '0001'", "SET TRANSACTION 'SNAPSHOT'"},
    {"SET transaction_read_only TO on", "SET TRANSACTION 'transaction_read_only = on'"},
    {"SET CONSTRAINTS ALL DEFERRED", ""},
    {"SET XML OPTION DOCUMENT", "SET xmloption 'DOCUMENT'"},
    {"SET DateStyle TO ISO, dmy", "SET datestyle 'iso, dmy'"},
    {"SET sort_mem TO 100", "SET work_mem '100'"},
    {"SET a.b TO 'pg_temp'", "SET a.b 'pg_temp'"},
    {"SET search_path TO pg_temp, public",
     "SET search_path 'pg_temp, public'; temporary schema pg_temp"},
    {"RESET a.b", "RESET a.b"},
    {"RESET ALL", "RESET ALL"},
    {"RESET TIME ZONE", "RESET timezone"},
    {"RESET TRANSACTION ISOLATION LEVEL", "SET TRANSACTION 'transaction_isolation = DEFAULT'"},
    {R"(SET a TO U&'d\0061ta')", "SET a 'data'"},
    {"SET a TO $$x'y$$", "SET a 'x'y'"},
    {"SELECT set_config('a.b', 'c', false)", "set_config a.b 'c'"},
    {"SELECT pg_catalog.set_config('search_path', 'x, y', true), set_config('a', NULL, false)",
     "set_config search_path 'x, y' local; RESET a"},
    {"SELECT set_config('a', $1, $2)", "set_config a ? local?"},
    {"SELECT set_config($1, 'b', 't'::bool)", "set_config 'b' local"},
    {"SELECT set_config('a', 'b'::text, false) FROM t WHERE x", "set_config a 'b' perhaps"},
    {"SELECT x.set_config('a', 'b', false)", ""},
    {R"(SELECT "set_config"('a', 'b', 'off'))", "set_config a 'b'"},
    {R"(SELECT U&"set\005fconfig"('a', 'b', false))", "set_config a 'b'"},
    {"INSERT INTO t SELECT set_config('a', 'b', false)", "set_config a 'b' perhaps; insert"},
    {"INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "insert"},
    {"SELECT set_config('b', -NULL, true)", "set_config b ? local"},
    {"WITH x AS (SELECT set_config('a', 'b', false)) SELECT 1", "set_config a 'b' perhaps"},
    {"SELECT * FROM set_config('a', 'b', false)", "set_config a 'b' perhaps"},
    {"UPDATE t SET a = set_config('a', 'b', true) RETURNING pg_advisory_lock(1)",
     "set_config a 'b' local perhaps; advisory lock pg_advisory_lock (1) perhaps"},
    {"DISCARD ALL", "DISCARD ALL"},
    {"DISCARD PLANS", "DISCARD PLANS"},
    {"DISCARD SEQUENCES", "DISCARD SEQUENCES"},
    {"DISCARD TEMP", "DISCARD TEMP"},
    {"discard temporary", "DISCARD TEMP"},
    {"PREPARE p AS SELECT set_config('a', 'b', false)",
     "PREPARE p 'SELECT set_config('a', 'b', false)'"},
    {R"(PREPARE "P q" (int, numeric(10, 2), text[]) AS INSERT INTO t VALUES ($1, $2, $3))",
     "PREPARE P q <int> <numeric(10, 2)> <text[]> 'INSERT INTO t VALUES ($1, $2, $3)'"},
    {"EXECUTE p", "EXECUTE p"},
    {R"(EXECUTE "P q" (1, currval('s')))", "EXECUTE P q; sequence currval (s) perhaps"},
    {"EXPLAIN EXECUTE p(1)", "EXECUTE p"},
    {"EXPLAIN (ANALYZE, COSTS off) EXECUTE p(1)", "EXECUTE p"},
    {"EXPLAIN SELECT set_config('a', 'b', false)", ""},
    {"EXPLAIN ANALYZE SELECT set_config('a', 'b', false)", "set_config a 'b' perhaps"},
    {"EXPLAIN (ANALYZE false) SELECT set_config('a', 'b', false)", ""},
    {"CREATE TABLE t AS EXECUTE p", "EXECUTE p"},
    {"DEALLOCATE p", "DEALLOCATE p"},
    {R"(DEALLOCATE PREPARE "P")", "DEALLOCATE P"},
    {"DEALLOCATE ALL", "DEALLOCATE ALL"},
    {"DEALLOCATE PREPARE ALL", "DEALLOCATE ALL"},
    {"LISTEN a", "LISTEN a"},
    {R"(LISTEN "A b")", "LISTEN A b"},
    {"UNLISTEN a", "UNLISTEN a"},
    {"UNLISTEN *", "UNLISTEN *"},
    {"CREATE TEMP TABLE t (a int)", "temporary table t"},
    {"CREATE TEMPORARY TABLE IF NOT EXISTS t (a int) ON COMMIT DROP",
     "temporary table t on commit drop"},
    {"CREATE LOCAL TEMP TABLE t (a int) ON COMMIT DELETE ROWS", "temporary table t"},
    {"CREATE GLOBAL TEMPORARY TABLE t AS SELECT 1", "temporary table t"},
    {"CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1", "temporary table t on commit drop"},
    {"CREATE TABLE pg_temp.t (a int)", "temporary table pg_temp.t"},
    {"CREATE TABLE t (a int DEFAULT currval('s'))", ""},
    {"CREATE TEMP VIEW v AS SELECT set_config('a', 'b', false)", "temporary view v"},
    {"CREATE OR REPLACE TEMP RECURSIVE VIEW v (a) AS SELECT 1", "temporary view v"},
    {"CREATE TEMP SEQUENCE s", "temporary sequence s"},
    {"CREATE TABLE t AS SELECT set_config('a','b',false)", "set_config a 'b' perhaps"},
    {"CREATE UNLOGGED TABLE t (a int)", ""},
    {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
     "temporary schema pg_temp"},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path TO x AS 'SELECT 1'", ""},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; LISTEN x", "LISTEN x"},
    {"CREATE TYPE pg_temp.ty AS (a int)", "temporary schema ty"},
    {"SELECT pg_temp.f(), a::pg_temp.ty", "temporary schema pg_temp; temporary schema pg_temp"},
    {"SELECT 1 INTO TEMP t", "temporary table t"},
    {"SELECT 1 AS a INTO TEMPORARY TABLE t FROM x UNION SELECT 2", "temporary table t"},
    {"SELECT 1 INTO t", ""},
    {"SELECT * FROM pg_temp.t", "temporary schema t"},
    {"SELECT * FROM t WHERE n = 'pg_temp'", ""},
    {"DROP TABLE t, pg_temp.u, a.b.c", "DROP t; DROP pg_temp.u; DROP b.c"},
    {"DROP TABLE IF EXISTS t CASCADE", "DROP t"},
    {"DROP VIEW v", "DROP v"},
    {"DROP SEQUENCE s", "DROP s"},
    {"DROP INDEX i", ""},
    {"DROP FUNCTION pg_temp.f()", "temporary schema pg_temp"},
    {"DROP SCHEMA pg_temp_3 CASCADE", "temporary schema pg_temp_3"},
    {"ALTER TABLE t RENAME TO u", "RENAME t 'u'"},
    {"ALTER TABLE IF EXISTS ONLY x.t RENAME TO u", "RENAME x.t 'u'"},
    {"ALTER TABLE t RENAME COLUMN a TO b", ""},
    {"ALTER TABLE t ADD COLUMN a int", ""},
    {"ALTER VIEW v RENAME TO w", "RENAME v 'w'"},
    {"ALTER ROLE bob SET search_path TO x", ""},
    {"ALTER DATABASE d SET work_mem TO 1", ""},
    {"ALTER SYSTEM SET work_mem TO 1", ""},
    {"SELECT pg_advisory_lock(1), pg_try_advisory_lock(1, 2), pg_advisory_lock_shared($1)",
     "advisory lock pg_advisory_lock (1); advisory lock pg_try_advisory_lock (1,2); advisory lock "
     "pg_advisory_lock_shared ?"},
    {"SELECT pg_advisory_unlock(-1), pg_advisory_unlock_shared('5'), pg_advisory_unlock_all()",
     "advisory unlock pg_advisory_unlock (-1); advisory unlock pg_advisory_unlock_shared (5); "
     "advisory unlock of all pg_advisory_unlock_all"},
    {"SELECT pg_advisory_xact_lock(1)", ""},
    {"SELECT pg_advisory_lock(id) FROM t", "advisory lock pg_advisory_lock ? perhaps"},
    {"SELECT CASE WHEN a THEN pg_advisory_lock(1) END",
     "advisory lock pg_advisory_lock (1) perhaps"},
    {"SELECT pg_advisory_lock(hashtext('x'))", "advisory lock pg_advisory_lock ?"},
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "WITH HOLD cursor c"},
    {R"(DECLARE "C" BINARY INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT pg_advisory_lock(1))",
     "WITH HOLD cursor C; advisory lock pg_advisory_lock (1) perhaps"},
    {"DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", ""},
    {"DECLARE c CURSOR FOR SELECT 1", ""},
    {"CLOSE c", "CLOSE c"},
    {"CLOSE ALL", "CLOSE ALL"},
    {"FETCH ALL FROM c", ""},
    {"LOAD 'auto_explain'", "LOAD 'auto_explain'"},
    {"BEGIN", "BEGIN"},
    {"BEGIN WORK", "BEGIN"},
    {"BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
     "BEGIN 'ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE'"},
    {"START TRANSACTION READ WRITE", "BEGIN 'READ WRITE'"},
    {"COMMIT", "COMMIT"},
    {"END", "COMMIT"},
    {"COMMIT AND CHAIN", "COMMIT and chain"},
    {"COMMIT WORK AND NO CHAIN", "COMMIT"},
    {"ROLLBACK", "ROLLBACK"},
    {"ABORT", "ROLLBACK"},
    {"ROLLBACK AND CHAIN", "ROLLBACK and chain"},
    {R"(SAVEPOINT "A")", "SAVEPOINT A"},
    {"ROLLBACK TO a", "ROLLBACK TO a"},
    {"ROLLBACK WORK TO SAVEPOINT a", "ROLLBACK TO a"},
    {"RELEASE a", "RELEASE a"},
    {"RELEASE SAVEPOINT a", "RELEASE a"},
    {"PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION 'x'"},
    {"COMMIT PREPARED 'x'", "COMMIT PREPARED 'x'"},
    {"ROLLBACK PREPARED 'x'", "ROLLBACK PREPARED 'x'"},
    {"SELECT currval('s'), lastval(), nextval('s'::regclass), setval('s', 5)",
     "sequence currval (s); sequence lastval; sequence nextval (s); sequence setval (s)"},
    {"SELECT setseed(0.5), set_limit(0.2), dblink_connect('c', 'x'), ext.dblink_open('c')",
     "function setseed '0.5'; function set_limit '0.2'; function dblink_connect 'c,x'; function "
     "dblink_open 'c'"},
    {"SELECT pg_create_physical_replication_slot('a', false, true)",
     "function pg_create_physical_replication_slot 'a,false'"},
    {"DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$",
     "DO ' BEGIN PERFORM set_config('a', 'b', false); END '"},
    {"DO LANGUAGE plpgsql 'begin end'", "DO 'begin end'"},
    {"CALL p(1)", "CALL p"},
    {"CALL s.p(currval('s'))", "CALL s.p; sequence currval (s) perhaps"},
    {"COPY (SELECT set_config('a', 'b', false)) TO STDOUT", "set_config a 'b' perhaps; insert"},
    {"SET a TO b; SELECT 1; LISTEN c", "SET a 'b'; LISTEN c"},
    {"BEGIN; SET LOCAL a TO b; COMMIT;", "BEGIN; SET a 'b' local; COMMIT"},
    {"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", ""},
    {"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT set_config('a','b',false); NOTIFY x)", ""},
    {"NOTIFY a, 'b'; SHOW a; VACUUM pg_temp.t", "temporary schema t"},
    {"MERGE INTO pg_temp.t USING x ON true WHEN MATCHED THEN DELETE", "temporary schema t; insert"},
    {"SET SESSION x TO 1", "SET x '1'"},
    {"SET session TO 1", "SET session '1'"},
    {"SET local.x TO 1", "SET local.x '1'"},
    {"SET names.x TO 1", "SET names.x '1'"},
    {"REASSIGN OWNED BY a TO b", ""},
    {"CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1", ""},
};

// Texts that PostgreSQL 15 refuses; perhaps not a newer one.
constexpr Case kLexical[] = {
    {"NEWSTATEMENT a b", "unknown statement NEWSTATEMENT"},
    {"SELECT 1 FROM t WINDOW w AS (PARTITION BY a) QUALIFY set_config('a', 'b', false) = 'x'",
     "set_config a 'b' perhaps"},
    {"SELECT 1; SELEC 2; LISTEN c", "unknown statement SELEC; LISTEN c"},
    {"SET", "unknown statement"},
    {"RESET", "unknown statement"},
    {"SET a", "RESET a"},
    {"SET a TO", "RESET a"},
    {"SELECT set_config(", "set_config ? local? perhaps"},
    {"LISTEN", "LISTEN"},
    {"CREATE TEMP", ""},
    {"DROP TABLE", "DROP"},
    {"SET x.y TO 'a' 'b'", "SET x.y ?"},
    {"SELECT JSON_TABLE(a, '$' COLUMNS (x int)), set_config('a','b',false)",
     "set_config a 'b' perhaps"},
};

TEST(AnalyzeStatements, TellsWhatStatementsDo) {
  for (const Case& c : kParsed) {
    EXPECT_EQ(Effects(c.text), c.effects) << c.text;
    EXPECT_EQ(AnalyzeStatements(c.text, {}).reading, Reading::kParsed) << c.text;
  }
}

TEST(AnalyzeStatements, FallsBackToTokens) {
  for (const Case& c : kLexical) {
    EXPECT_EQ(Effects(c.text), c.effects) << c.text;
    EXPECT_EQ(AnalyzeStatements(c.text, {}).reading, Reading::kLexical) << c.text;
  }
}

bool HasKind(const std::vector<Effect>& effects, EffectKind kind) {
  return std::any_of(effects.begin(), effects.end(),
                     [kind](const Effect& effect) { return effect.kind == kind; });
}

TEST(LexicalEffects, FindAtLeastWhatTheParserFinds) {
  for (const Case& c : kParsed) {
    std::vector<Effect> lexical;
    StatementScanner scanner(c.text, {});
    while (const std::optional<ScannedStatement> statement = scanner.Next()) {
      const std::vector<Effect> effects = LexicalEffects(statement->text, {});
      lexical.insert(lexical.end(), effects.begin(), effects.end());
    }
    for (const Effect& effect : AnalyzeStatements(c.text, {}).effects) {
      if (effect.kind == EffectKind::kInsert) continue;  // found before either is asked
      EXPECT_TRUE(HasKind(lexical, effect.kind)) << c.text << " lacks " << Describe(effect);
    }
  }
}

TEST(AnalyzeStatements, CountsStatements) {
  const SessionEffects effects = AnalyzeStatements("; SELECT 1; LISTEN a; SELECT 2; LISTEN b;", {});
  EXPECT_EQ(effects.statement_count, 4u);
  ASSERT_EQ(effects.effects.size(), 2u);
  EXPECT_EQ(effects.effects[0].statement, 1u);
  EXPECT_EQ(effects.effects[1].statement, 3u);
  EXPECT_EQ(AnalyzeStatements("", {}).statement_count, 0u);
}

TEST(AnalyzeStatements, IgnoresCaseCommentsAndLines) {
  EXPECT_EQ(Effects("/* a /* b */ */ sEt -- c\n LoCaL\tA.b/**/= /* d */ 'x' -- e"),
            "SET a.b 'x' local");
  EXPECT_EQ(Effects("Select\n Pg_Advisory_Lock /* x */ ( 1 )"),
            "advisory lock pg_advisory_lock (1)");
}

TEST(AnalyzeStatements, ReadsStringsByTheRulesOfTheSession) {
  constexpr TextRules kEscaping{.standard_conforming_strings = false};
  const char* text = R"(SET a.b TO 'x\'; LISTEN c; --')";
  EXPECT_EQ(Effects(text), R"(SET a.b 'x\'; LISTEN c)");
  EXPECT_EQ(Effects(text, kEscaping), "SET a.b 'x'; LISTEN c; --'");
  EXPECT_EQ(Effects(R"(SELECT set_config('a\x41', 'b\\', false))", kEscaping),
            "set_config aA 'b\\'");
  EXPECT_EQ(Effects(R"(PREPARE p AS SELECT 'a\'b')", kEscaping), R"(PREPARE p 'SELECT 'a\'b'')");
  EXPECT_EQ(AnalyzeStatements(R"(SET a.b TO 'x\'; y')", kEscaping).reading, Reading::kParsed);
}

TEST(AnalyzeStatements, DoesNotGuessWhereTheEncodingHidesBytes) {
  constexpr TextRules kSjis{.encoding_embeds_ascii = false};
  EXPECT_EQ(AnalyzeStatements("SET a.b TO '\x95\x5c'", kSjis).reading, Reading::kUnknown);
  EXPECT_EQ(AnalyzeStatements("SET a.b TO 'x'", kSjis).reading, Reading::kParsed);
}

TEST(AnalyzeStatements, EndsAtAZeroByte) {
  using std::string_literals::operator""s;
  EXPECT_EQ(Effects("LISTEN a\0; LISTEN b"s), "LISTEN a");
  EXPECT_EQ(Effects("\0LISTEN b"s), "");
}

TEST(AnalyzeStatements, BearsWhatIsNotUtf8) {
  EXPECT_EQ(Effects("SET a.b TO '\xff\xfe'"), "SET a.b '\xff\xfe'");
  EXPECT_EQ(Effects("LISTEN \"\xe9t\xe9\""), "LISTEN \xe9t\xe9");
  EXPECT_EQ(Effects("LISTEN " + std::string(70, '\xff')), "LISTEN " + std::string(63, '\xff'));
  EXPECT_EQ(Effects("LISTEN naïve"), "LISTEN naïve");
}

TEST(AnalyzeStatements, SaysUnknownForWhatNeverEnds) {
  for (const char* text :
       {"SELECT 'never; LISTEN a", "SELECT 1; SET a TO 'never", "LISTEN a; /* never"}) {
    EXPECT_EQ(AnalyzeStatements(text, {}).reading, Reading::kUnknown) << text;
  }
}

TEST(AnalyzeStatements, ReadsLargeStatementsByTheirTokens) {
  std::string text = "SELECT set_config('a', 'b', false), 1";
  while (text.size() < 1 << 20) text += ", 'some; text', f(x)";
  EXPECT_EQ(Effects(text), "set_config a 'b' perhaps");
  EXPECT_EQ(AnalyzeStatements(text, {}).reading, Reading::kLexical);
  // A large text of small statements is parsed, and what does not matter costs little.
  std::string many;
  while (many.size() < 1 << 20) many += "INSERT INTO t VALUES ('SET a TO b; LISTEN c');\n";
  EXPECT_EQ(Effects(many + "LISTEN x; " + many), "insert; LISTEN x");
}

std::string Repeat(std::string_view text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

// On a stack as small as a thread may have: nothing here recurses without a bound.
TEST(AnalyzeStatements, NestingDoesNotOverflowTheStack) {
  constexpr size_t kStackBytes = 1 << 20;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStackBytes), 0);
  const auto run = [](void*) -> void* {
    struct Shape {
      const char* open;
      const char* middle;
      const char* close;
    };
    constexpr Shape kShapes[] = {
        {"+ ", "1", ""},
        {"NOT ", "true", ""},
        {"(", "1", ")"},
        {"", "1", "+1"},
        {"", "1", "::int"},
        {"f(", "1", ")"},
        {"(SELECT ", "1", ")"},
        {"ARRAY[", "1", "]"},
        {"", "a", " IS NULL"},
        {"(1, ", "1", ")"},
        {"CASE WHEN ", "a", " THEN 1 END"},
        {"", "1", " UNION SELECT 1, 2"},
        {"", "1 FROM t", " JOIN t ON true"},
        {"EXISTS (SELECT ", "1", ")"},
        {"", "a", "[1]"},
        {"(SELECT 1 FROM (SELECT ", "1", ") x)"},
        {"ROW(", "1", ")"},
    };
    for (const Shape& shape : kShapes) {
      for (const size_t depth : {250, 500, 1000, 20000}) {
        const std::string text = "SELECT pg_advisory_lock(1), " + Repeat(shape.open, depth) +
                                 shape.middle + Repeat(shape.close, depth);
        const SessionEffects effects = AnalyzeStatements(text, {});
        EXPECT_TRUE(HasKind(effects.effects, EffectKind::kAdvisoryLock)) << text.substr(0, 80);
      }
    }
    return nullptr;
  };
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, run, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(AnalyzeStatements, BoundsTheEffectsItLists) {
  const SessionEffects some = AnalyzeStatements(Repeat("LISTEN a;", kEffectsMax), {});
  EXPECT_EQ(some.reading, Reading::kParsed);
  EXPECT_EQ(some.effects.size(), kEffectsMax);
  const SessionEffects many = AnalyzeStatements(Repeat("LISTEN a;", kEffectsMax + 1), {});
  EXPECT_EQ(many.reading, Reading::kUnknown);
  EXPECT_EQ(many.effects.size(), kEffectsMax);
}

}  // namespace
}  // namespace trireme
