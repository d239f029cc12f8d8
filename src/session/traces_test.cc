// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/traces.h"

#include <gtest/gtest.h>

#include "wire/writer.h"

namespace trireme {
namespace {

SessionEffects Of(std::string_view text) { return AnalyzeStatements(text, {}); }
Doubt DoubtAfter(std::string_view text, Pins held = 0) { return TouchOf(Of(text), held).doubt; }

ParameterSet Set(std::initializer_list<ParameterSet::Entry> entries) {
  ParameterSet set;
  for (const auto& entry : entries) set.Set(entry.name, entry.value);
  return set;
}

const ParameterSet kReported = Set({{"TimeZone", "UTC"}, {"DateStyle", "ISO"}});

std::string Row(std::initializer_list<const char*> columns) {
  std::string row;
  MessageWriter writer(row);
  writer.Int16(static_cast<int16_t>(columns.size()));
  for (const char* column : columns) {
    writer.Int32(column != nullptr ? static_cast<int32_t>(std::strlen(column)) : -1);
    if (column != nullptr) row += column;
  }
  return row;
}

TEST(Traces, HarmlessTextsLeaveNoDoubt) {
  for (const char* text :
       {"SELECT 1", "BEGIN", "COMMIT", "SET LOCAL work_mem = '1MB'", "",
        "SET TRANSACTION READ ONLY", "INSERT INTO t VALUES (1)", "UNLISTEN *", "DROP TABLE t",
        "DEALLOCATE x", "SELECT pg_advisory_unlock_all()", "SELECT nextval('s')", "CALL p()",
        "SELECT pg_advisory_xact_lock(1)", "CLOSE ALL"}) {
    EXPECT_TRUE(DoubtAfter(text).empty()) << text;
    EXPECT_EQ(TouchOf(Of(text), 0).certain, 0u) << text;
  }
}

TEST(Traces, StateThatCannotMoveIsDoubted) {
  const struct {
    const char* text;
    Pins pin;
  } cases[] = {
      {"CREATE TEMP TABLE t (a int)", pin::kTemporary},
      {"CREATE TEMPORARY VIEW v AS SELECT 1", pin::kTemporary},
      {"SELECT 1 INTO TEMP t", pin::kTemporary},
      {"CREATE TABLE pg_temp.t (a int)", pin::kTemporary},
      {"SELECT pg_advisory_lock(1)", pin::kAdvisoryLock},
      {"SELECT CASE WHEN true THEN pg_try_advisory_lock(1, 2) END", pin::kAdvisoryLock},
      {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", pin::kHeldCursor},
      {"LISTEN x", pin::kListen},
      {"PREPARE p AS SELECT 1", pin::kPrepared},
      {"DO $$ BEGIN PERFORM f(); END $$", pin::kAnswerable},
  };
  for (const auto& each : cases) EXPECT_EQ(DoubtAfter(each.text).pins, each.pin) << each.text;
}

TEST(Traces, WhatUndoesStateIsDoubtedWhereThereIsSome) {
  const struct {
    const char* text;
    Pins pin;
  } cases[] = {
      {"DROP TABLE t", pin::kTemporary},
      {"DISCARD TEMP", pin::kTemporary},
      {"COMMIT", pin::kTemporary},
      {"SELECT pg_advisory_unlock(1)", pin::kAdvisoryLock},
      {"CLOSE c", pin::kHeldCursor},
      {"CLOSE ALL", pin::kHeldCursor},
      {"UNLISTEN x", pin::kListen},
      {"UNLISTEN *", pin::kListen},
      {"DEALLOCATE p", pin::kPrepared},
      {"DEALLOCATE ALL", pin::kPrepared},
      {"DISCARD ALL", pin::kTemporary | pin::kListen},
  };
  for (const auto& each : cases)
    EXPECT_EQ(DoubtAfter(each.text, each.pin).pins, each.pin) << each.text;
}

TEST(Traces, StateMadeAndUndoneInOneTextIsDoubted) {
  EXPECT_EQ(DoubtAfter("LISTEN x; UNLISTEN x").pins, pin::kListen);
}

TEST(Traces, WhatNoResetUndoesIsCertain) {
  EXPECT_EQ(TouchOf(Of("LOAD 'auto_explain'"), 0).certain, pin::kLibrary);
  EXPECT_EQ(TouchOf(Of("SELECT setseed(0.5)"), 0).certain, pin::kOther);
}

TEST(Traces, SequencesMatterToWhoReadsThem) {
  EXPECT_TRUE(TouchOf(Of("SELECT currval('s')"), 0).reads_sequences);
  EXPECT_TRUE(TouchOf(Of("SELECT lastval()"), 0).reads_sequences);
  EXPECT_FALSE(TouchOf(Of("SELECT nextval('s')"), 0).reads_sequences);
}

TEST(Traces, ExecutingWhatNobodyHasReadMayDoAnything) {
  EXPECT_TRUE(DoubtAfter("EXECUTE p").empty());
  EXPECT_EQ(DoubtAfter("EXECUTE p", pin::kPrepared).pins, pin::kAnswerable);
}

TEST(Traces, FunctionsAreKnownByTheirNumbers) {
  EXPECT_EQ(TouchOf(2880, 0).doubt.pins, pin::kAdvisoryLock);
  EXPECT_TRUE(TouchOf(2078, 0).doubt.all_parameters);
  EXPECT_TRUE(TouchOf(952, 0).doubt.empty());  // lo_open
}

TEST(Traces, ParametersThatTheServerDoesNotReportAreDoubted) {
  EXPECT_EQ(DoubtAfter("SET Work_Mem = '1MB'").parameters, std::vector<std::string>{"work_mem"});
  EXPECT_EQ(DoubtAfter("SET ROLE x").parameters, std::vector<std::string>{"role"});
  EXPECT_EQ(DoubtAfter("SELECT set_config('app.user', 'x', false)").parameters,
            std::vector<std::string>{"app.user"});
  EXPECT_TRUE(DoubtAfter("SELECT set_config(n, 'x', false) FROM t").all_parameters);
  EXPECT_TRUE(DoubtAfter("RESET work_mem").all_parameters);
  EXPECT_TRUE(DoubtAfter("RESET ALL").all_parameters);
}

TEST(Traces, OfWhatTheServerReportsThereIsNoDoubt) {
  Doubt doubt = DoubtAfter("SET TimeZone = 'UTC'; SET work_mem = '1MB'");
  doubt.DropReported(kReported);
  EXPECT_EQ(doubt.parameters, std::vector<std::string>{"work_mem"});
}

TEST(Traces, TheQuestionHasOneColumnForEachDoubt) {
  const Doubt doubt{.pins = pin::kListen | pin::kTemporary, .parameters = {"work_mem", "a'b"}};
  const std::string sql = Question(doubt);
  EXPECT_NE(sql.find("pg_my_temp_schema"), std::string::npos);
  EXPECT_NE(sql.find("pg_listening_channels"), std::string::npos);
  EXPECT_NE(sql.find("pg_catalog.current_setting('a''b', true)"), std::string::npos);
  const std::optional<Answer> answer =
      ParseAnswer(AsBytes(Row({"t", "f", "64MB", nullptr})), doubt);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->pins, pin::kTemporary);
  ASSERT_EQ(answer->parameters.size(), 2u);
  EXPECT_EQ(answer->parameters[0].second, "64MB");
  EXPECT_EQ(answer->parameters[1].second, std::nullopt);
}

TEST(Traces, AnAnswerToAnotherQuestionIsNone) {
  const Doubt doubt{.pins = pin::kListen};
  EXPECT_FALSE(ParseAnswer(AsBytes(Row({})), doubt).has_value());
  EXPECT_FALSE(ParseAnswer(AsBytes(Row({"x"})), doubt).has_value());
  EXPECT_FALSE(ParseAnswer(AsBytes(Row({"t", "t"})), doubt).has_value());
  EXPECT_FALSE(ParseAnswer(AsBytes(Row({"t"})).first(5), doubt).has_value());
  EXPECT_FALSE(ParseAnswer({}, doubt).has_value());
}

TEST(Traces, AllParametersComeInOneColumn) {
  const Doubt doubt{.all_parameters = true};
  const auto answer = ParseAnswer(AsBytes(Row({"work_mem\x01"
                                               "8MB\x02"
                                               "search_path\x01"
                                               "a, \"B c\"\x02"
                                               "role\x01none"})),
                                  doubt);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->complete);
  ASSERT_EQ(answer->parameters.size(), 2u);
  EXPECT_EQ(answer->parameters[1].first, "search_path");
  EXPECT_EQ(answer->parameters[1].second, "a, \"B c\"");
}

TEST(Traces, ALoneSettingIsKnownWithoutAsking) {
  for (const char* text : {"SET work_mem = '1MB'", "RESET work_mem", "SET search_path TO a, b",
                           "RESET ALL", "DISCARD ALL", "SET ROLE x", "UNLISTEN *; RESET ALL",
                           "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"}) {
    EXPECT_TRUE(IsPlain(Of(text), 0)) << text;
  }
  for (const char* text : {"BEGIN; SET work_mem = '1MB'; COMMIT", "LISTEN x; RESET ALL",
                           "SELECT set_config('a.b', 'x', false) FROM t", "DO $$ BEGIN END $$"}) {
    EXPECT_FALSE(IsPlain(Of(text), 0)) << text;
  }
  EXPECT_FALSE(IsPlain(Of("DISCARD ALL"), pin::kListen));
}

TEST(Traces, APlainTextChangesWishAndServerAlike) {
  const auto after =
      ApplyPlain(Of("SET work_mem = '1MB'; SET search_path TO a, b; SET ROLE x"),
                 {Set({{"work_mem", "2MB"}}), Set({{"work_mem", "2MB"}})}, {{}, kReported});
  const ParameterSet expected = Set({{"work_mem", "1MB"}, {"search_path", "a, b"}, {"role", "x"}});
  EXPECT_EQ(after.wish, expected);
  EXPECT_EQ(after.has, expected);
}

TEST(Traces, ResetGoesBackToWhatTheClientAskedForAtLogin) {
  const ParameterSet startup = Set({{"search_path", "mine"}, {"TimeZone", "Asia/Tokyo"}});
  const ParameterSet wish =
      Set({{"search_path", "other"}, {"work_mem", "1MB"}, {"TimeZone", "UTC"}});
  const ParameterSet has = wish;
  const auto all = ApplyPlain(Of("RESET ALL"), {wish, has}, {startup, kReported});
  EXPECT_EQ(all.wish, startup);
  EXPECT_EQ(all.has, Set({{"TimeZone", "UTC"}}));  // the server tells what it reports
  const auto one = ApplyPlain(Of("RESET work_mem"), {wish, has}, {startup, kReported});
  EXPECT_EQ(one.wish, Set({{"search_path", "other"}, {"TimeZone", "UTC"}}));
}

TEST(Traces, AnAnswerSaysWhatIsSet) {
  const auto after =
      ApplyAnswer({.parameters = {{"work_mem", "8MB"}, {"app.user", std::nullopt}}},
                  {Set({{"app.user", "x"}, {"lock_timeout", "1s"}}), Set({{"app.user", "x"}})},
                  {{}, kReported}, {});
  EXPECT_EQ(after.wish, Set({{"work_mem", "8MB"}, {"lock_timeout", "1s"}}));
  EXPECT_EQ(after.has, Set({{"work_mem", "8MB"}}));
}

TEST(Traces, ACompleteAnswerSaysWhatIsNotSetAnyMore) {
  const ParameterSet startup = Set({{"search_path", "mine"}});
  const auto after =
      ApplyAnswer({.parameters = {{"work_mem", "8MB"}}, .complete = true},
                  {Set({{"search_path", "other"}, {"lock_timeout", "1s"}, {"DateStyle", "ISO"}}),
                   Set({{"search_path", "other"}, {"lock_timeout", "1s"}, {"DateStyle", "ISO"}})},
                  {startup, kReported}, Set({{"DateStyle", "ISO"}}));
  EXPECT_EQ(after.wish, Set({{"search_path", "mine"}, {"work_mem", "8MB"}, {"DateStyle", "ISO"}}));
  EXPECT_EQ(after.has, Set({{"work_mem", "8MB"}, {"DateStyle", "ISO"}}));
}

TEST(Traces, PinsAreNamed) {
  EXPECT_EQ(DescribePins(0), "");
  EXPECT_EQ(DescribePins(pin::kTemporary | pin::kListen), "temporary objects, LISTEN");
}

TEST(Traces, WhatPinsIsFoundForRefusal) {
  EXPECT_EQ(PinningEffect(Of("SELECT 1; SET work_mem = '1MB'")), nullptr);
  EXPECT_EQ(PinningEffect(Of("CREATE TEMP TABLE t (a int) ON COMMIT DROP")), nullptr);
  ASSERT_NE(PinningEffect(Of("LISTEN x")), nullptr);
  ASSERT_NE(PinningEffect(Of("SELECT lastval()")), nullptr);
}

}  // namespace
}  // namespace trireme
