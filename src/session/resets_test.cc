// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/resets.h"

#include <gtest/gtest.h>

#include "wire/writer.h"

namespace trireme {
namespace {

ParameterSet Set(std::initializer_list<ParameterSet::Entry> entries) {
  ParameterSet set;
  for (const auto& entry : entries) set.Set(entry.name, entry.value);
  return set;
}

std::string Names(const ParameterSet& set) {
  std::string names;
  for (const auto& entry : set.entries()) names += (names.empty() ? "" : " ") + entry.name;
  return names;
}

TEST(Resets, FindTheStartupParametersThatATextUndoes) {
  const ParameterSet startup = Set({{"application_name", "me"},
                                    {"DateStyle", "German"},
                                    {"role", "clerk"},
                                    {"search_path", "a,b"}});
  const struct {
    const char* text;
    const char* undone;
  } cases[] = {
      {"SELECT 1", ""},
      {"SET datestyle = 'ISO'", ""},
      {"RESET work_mem", ""},
      {"RESET datestyle", "DateStyle"},
      {"SET datestyle TO DEFAULT", "DateStyle"},
      {"SET SESSION application_name TO DEFAULT", "application_name"},
      {"SET LOCAL datestyle TO DEFAULT", ""},  // the transaction's end undoes it
      {"RESET ALL", "application_name DateStyle search_path"},
      {"DISCARD ALL", "application_name DateStyle search_path"},
      {"RESET datestyle; RESET search_path", "DateStyle search_path"},
      {"SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
       "application_name DateStyle search_path"},
      {"RESET ALL; UNLISTEN *; DEALLOCATE ALL", "application_name DateStyle search_path"},
      // What comes later in the same text counts more.
      {"RESET datestyle; SET datestyle = 'SQL'", ""},
      {"RESET ALL; SELECT set_config('work_mem', '1MB', false)", ""},
      {"RESET ALL; ROLLBACK", ""},
      {"RESET ALL; COMMIT", ""},
      {"RESET ALL; DO $$ BEGIN END $$", ""},
      {"SET datestyle = 'SQL'; RESET datestyle", "DateStyle"},
      {"COMMIT; RESET ALL", "application_name DateStyle search_path"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(Names(UndoneBy(AnalyzeStatements(each.text, {}), startup)), each.undone) << each.text;
  }
}

TEST(Resets, OfAClientThatAskedForNothingUndoNothing) {
  EXPECT_TRUE(UndoneBy(AnalyzeStatements("DISCARD ALL", {}), {}).empty());
}

TEST(Resets, RestoreWhatTheServerDoesNotHave) {
  const ParameterSet undone =
      Set({{"application_name", "me"}, {"TimeZone", "UTC"}, {"work_mem", "1MB"}});
  const ParameterSet reported = Set({{"application_name", ""}, {"TimeZone", "UTC"}});
  // That it had 1MB for work_mem was before the reset.
  const ParameterSet has =
      Set({{"application_name", ""}, {"TimeZone", "UTC"}, {"work_mem", "1MB"}});
  EXPECT_EQ(SqlToRestore(undone, has, reported),
            "SET \"application_name\" TO 'me';SET \"work_mem\" TO '1MB';");
  EXPECT_EQ(SqlToRestore(Set({{"TimeZone", "UTC"}}), has, reported), "");
}

TEST(Resets, TellTheClientWhatHasChangedForIt) {
  const ParameterSet reported = Set({{"DateStyle", "ISO"}, {"TimeZone", "UTC"}});
  const ParameterSet told =
      Set({{"DateStyle", "German"}, {"TimeZone", "UTC"}, {"work_mem", "1MB"}});
  const ParameterSet now = Set({{"DateStyle", "SQL"}, {"TimeZone", "UTC"}, {"work_mem", "2MB"}});
  std::string expected;
  MessageWriter(expected).ParameterStatus({"DateStyle", "SQL"});
  EXPECT_EQ(Corrections(told, now, reported), expected);
  EXPECT_EQ(Corrections(now, now, reported), "");
}

}  // namespace
}  // namespace trireme
