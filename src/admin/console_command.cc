// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/console_command.h"

#include <algorithm>
#include <array>
#include <vector>

#include "wire/command.h"

namespace trireme {
namespace {

constexpr auto kParameters = std::to_array<ConsoleParameter>({
    {{"client_encoding"}, "UTF-8"},  // PgBouncer's spelling
    {{"datestyle"}, "ISO"},
    {{"default_transaction_isolation"}, "read committed"},
    {{"standard_conforming_strings"}, "on"},
    {{"timezone"}, "GMT"},
    {{"transaction_isolation"}, "read committed"},
});

// PgBouncer's commands that change something. Known, so that they are refused for the right reason.
constexpr std::array<std::string_view, 12> kAdminCommands = {
    "disable", "enable", "kill",     "kill_client", "pause",    "reconnect",
    "reload",  "resume", "shutdown", "suspend",     "takeover", "wait_close",
};

constexpr size_t kQuotedCommandBytesMax = 200;

// The command as an error message shows it, never cut within a character.
std::string Quoted(std::string_view text) {
  if (text.size() <= kQuotedCommandBytesMax) return std::string(text);
  size_t size = kQuotedCommandBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return std::string(text.substr(0, size)) + "...";
}

PgError Invalid(std::string_view text) {
  return {.sqlstate = sqlstate::kSyntaxError,
          .message = "invalid command '" + Quoted(text) + "', use SHOW HELP;"};
}

const ConsoleParameter* FindParameter(std::string_view name) {
  for (const ConsoleParameter& parameter : kParameters) {
    if (EqualsIgnoreCase(parameter.column.name, name)) return &parameter;
  }
  return nullptr;
}

// The words of a command without the `;` at its end. More than `kWordsMax` are never needed.
constexpr size_t kWordsMax = 8;
std::vector<Token> WordsOf(std::string_view text) {
  std::vector<Token> words;
  CommandTokenizer tokenizer(text);
  while (words.size() < kWordsMax) {
    const Token token = tokenizer.Next();
    if (token.kind == Token::Kind::kEnd) {
      if (!words.empty() && words.back().text == ";") words.pop_back();
      break;
    }
    words.push_back(token);
  }
  return words;
}

PgResult<ConsoleCommand> ParseShow(std::string_view text, const std::vector<Token>& words) {
  using Kind = ConsoleCommand::Kind;
  if (words.size() == 4 && EqualsIgnoreCase(words[1].text, "transaction") &&
      EqualsIgnoreCase(words[2].text, "isolation") && EqualsIgnoreCase(words[3].text, "level")) {
    return ConsoleCommand{.kind = Kind::kParameter,
                          .parameter = FindParameter("transaction_isolation")};
  }
  if (words.size() != 2) return Invalid(text);
  const std::string name = TokenText(words[1]);
  if (EqualsIgnoreCase(name, "help")) return ConsoleCommand{.kind = Kind::kHelp};
  if (const View* view = FindView(name)) return ConsoleCommand{.kind = Kind::kShow, .view = view};
  if (const ConsoleParameter* parameter = FindParameter(name)) {
    return ConsoleCommand{.kind = Kind::kParameter, .parameter = parameter};
  }
  return Invalid(text);
}

bool IsAdminCommand(std::string_view word) {
  return std::any_of(kAdminCommands.begin(), kAdminCommands.end(),
                     [word](std::string_view command) { return EqualsIgnoreCase(command, word); });
}

}  // namespace

ConsoleRole ConsoleRoleOf(const ConsoleConfig& config, std::string_view user) {
  const auto has = [user](const std::vector<std::string>& users) {
    return std::find(users.begin(), users.end(), user) != users.end();
  };
  if (has(config.admin_users)) return ConsoleRole::kAdmin;
  return has(config.stats_users) ? ConsoleRole::kStats : ConsoleRole::kNone;
}

std::span<const Column> ConsoleCommand::columns() const {
  if (view != nullptr) return view->columns;
  if (parameter != nullptr) return {&parameter->column, 1};
  return {};
}

PgResult<ConsoleCommand> ParseConsoleCommand(std::string_view text, ConsoleRole role) {
  const PgError denied{.sqlstate = sqlstate::kInsufficientPrivilege,
                       .message = "admin access needed",
                       .hint = "Connect as one of the console's admin_users."};
  const std::vector<Token> words = WordsOf(text);
  if (words.empty()) return ConsoleCommand{.kind = ConsoleCommand::Kind::kEmpty};
  const std::string_view first = words[0].text;
  if (role == ConsoleRole::kNone) return denied;
  if (EqualsIgnoreCase(first, "show")) return ParseShow(text, words);
  if (EqualsIgnoreCase(first, "set") && words.size() > 1) {
    return ConsoleCommand{.kind = ConsoleCommand::Kind::kSet};
  }
  if (IsAdminCommand(first)) {
    if (role != ConsoleRole::kAdmin) return denied;
    return PgError{.sqlstate = sqlstate::kFeatureNotSupported,
                   .message = "console command '" + Quoted(text) + "' is not supported",
                   .hint = "SHOW HELP lists what is."};
  }
  return Invalid(text);
}

}  // namespace trireme
