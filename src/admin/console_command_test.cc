// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/console_command.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Kind = ConsoleCommand::Kind;

TEST(ConsoleCommand, UnderstandsWhatToolsSend) {
  struct Case {
    const char* text;
    Kind kind;
    const char* view;
  };
  const Case cases[] = {
      {"SHOW POOLS", Kind::kShow, "pools"},
      {"show pools;", Kind::kShow, "pools"},
      {"  ShOw\t\nStats_Totals ; ", Kind::kShow, "stats_totals"},
      {"/* exporter */ SHOW LISTS -- all", Kind::kShow, "lists"},
      {"SHOW \"clients\"", Kind::kShow, "clients"},
      {"SHOW SHARDS", Kind::kShow, "shards"},
      {"SHOW HELP", Kind::kHelp, ""},
      {"show help;", Kind::kHelp, ""},
      {"", Kind::kEmpty, ""},
      {" \n", Kind::kEmpty, ""},
      {";", Kind::kEmpty, ""},
      {"-- nothing", Kind::kEmpty, ""},
      {"SET client_encoding = 'UTF8'", Kind::kSet, ""},
      {"set session characteristics as transaction isolation level read committed", Kind::kSet, ""},
      {"SHOW client_encoding", Kind::kParameter, ""},
      {"SHOW DateStyle;", Kind::kParameter, ""},
      {"SHOW TRANSACTION ISOLATION LEVEL", Kind::kParameter, ""},
  };
  for (const Case& c : cases) {
    const PgResult<ConsoleCommand> result = ParseConsoleCommand(c.text, ConsoleRole::kStats);
    const ConsoleCommand* command = std::get_if<ConsoleCommand>(&result);
    ASSERT_NE(command, nullptr) << c.text;
    EXPECT_EQ(command->kind, c.kind) << c.text;
    EXPECT_EQ(command->view != nullptr ? command->view->name : "", c.view) << c.text;
    EXPECT_EQ(command->parameter != nullptr, c.kind == Kind::kParameter) << c.text;
    EXPECT_EQ(command->columns().empty(), c.kind != Kind::kShow && c.kind != Kind::kParameter);
  }
}

TEST(ConsoleCommand, QuotesWhatItDoesNotKnow) {
  for (const char* text : {"SHOW", "SHOW FOO", "SHOW POOLS POOLS", "SHOW POOLS; SHOW STATS",
                           "select 1", "begin", "SET", "SHOW 'pools", "/* open", "SHOW ;", ";;"}) {
    const PgResult<ConsoleCommand> result = ParseConsoleCommand(text, ConsoleRole::kAdmin);
    const PgError* error = std::get_if<PgError>(&result);
    ASSERT_NE(error, nullptr) << text;
    EXPECT_EQ(error->sqlstate, "42601") << text;
    EXPECT_EQ(error->severity, "ERROR");
    EXPECT_EQ(error->message, "invalid command '" + std::string(text) + "', use SHOW HELP;");
  }
}

TEST(ConsoleCommand, ShortensALongCommandBetweenCharacters) {
  std::string umlauts = "a";
  for (int i = 0; i < 150; ++i) umlauts += "\xc3\xa4";
  const PgResult<ConsoleCommand> result = ParseConsoleCommand(umlauts, ConsoleRole::kAdmin);
  const std::string& message = std::get<PgError>(result).message;
  EXPECT_EQ(message, "invalid command '" + umlauts.substr(0, 199) + "...', use SHOW HELP;");
}

TEST(ConsoleCommand, IsAllowedByRole) {
  struct Case {
    const char* text;
    ConsoleRole role;
    const char* sqlstate;  // "" = allowed
  };
  const Case cases[] = {
      {"SHOW POOLS", ConsoleRole::kAdmin, ""},
      {"SHOW POOLS", ConsoleRole::kStats, ""},
      {"SHOW POOLS", ConsoleRole::kNone, "42501"},
      {"SET x = 1", ConsoleRole::kStats, ""},
      {"SET x = 1", ConsoleRole::kNone, "42501"},
      {"", ConsoleRole::kNone, ""},
      {"RELOAD", ConsoleRole::kStats, "42501"},
      {"pause shop", ConsoleRole::kStats, "42501"},
      {"RELOAD", ConsoleRole::kAdmin, "0A000"},
      {"KILL_CLIENT 7;", ConsoleRole::kAdmin, "0A000"},
      {"SHUTDOWN WAIT_FOR_CLIENTS", ConsoleRole::kAdmin, "0A000"},
      {"DROP TABLE x", ConsoleRole::kStats, "42601"},
  };
  for (const Case& c : cases) {
    const PgResult<ConsoleCommand> result = ParseConsoleCommand(c.text, c.role);
    const PgError* error = std::get_if<PgError>(&result);
    EXPECT_EQ(error != nullptr ? error->sqlstate : "", c.sqlstate) << c.text;
  }
}

TEST(ConsoleRole, ComesFromTheLists) {
  const ConsoleConfig config{.admin_users = {"root", "both"}, .stats_users = {"mon", "both"}};
  EXPECT_EQ(ConsoleRoleOf(config, "root"), ConsoleRole::kAdmin);
  EXPECT_EQ(ConsoleRoleOf(config, "both"), ConsoleRole::kAdmin);
  EXPECT_EQ(ConsoleRoleOf(config, "mon"), ConsoleRole::kStats);
  EXPECT_EQ(ConsoleRoleOf(config, "Root"), ConsoleRole::kNone);
  EXPECT_EQ(ConsoleRoleOf(config, ""), ConsoleRole::kNone);
}

}  // namespace
}  // namespace trireme
