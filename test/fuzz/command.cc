// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/command.h and admin/console_command.h: the words of a text, and what a console command asks
// for.
//
//   input:   the text
//
// Properties: tokens and what is passed over between them are the whole text, in order; quoted
// again a quoted token is the same; a text is a command or an error, whose message is of bounded
// length; who may do less is told no more than who may do all.
#include "wire/command.h"

#include "admin/console_command.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

void CheckToken(const Token& token) {
  Check(!token.text.empty(), "a token has text");
  const bool string = token.kind == Token::Kind::kString;
  if (!string && token.kind != Token::Kind::kQuotedIdentifier) return;
  const char quote = string ? '\'' : '"';
  std::string again(1, quote);
  for (const char c : TokenText(token)) again += c == quote ? std::string(2, c) : std::string(1, c);
  CheckEqual(again + quote, token.text, "a quoted token quoted again is the same");
}

void CheckTokens(std::string_view text) {
  CommandTokenizer tokenizer(text);
  const char* at = text.data();
  for (size_t count = 0; count <= text.size(); ++count) {
    const Token token = tokenizer.Next();
    if (token.kind == Token::Kind::kEnd) {
      Check(tokenizer.rest().empty(), "the end is the end");
      return;
    }
    CheckToken(token);
    Check(token.text.data() >= at, "tokens come in order");
    at = token.text.data() + token.text.size();
    Check(at == tokenizer.rest().data() || tokenizer.rest().empty(), "nothing is lost");
  }
  Broken("a text has no more tokens than bytes");
}

bool IsDenied(const PgResult<ConsoleCommand>& result) {
  const PgError* error = std::get_if<PgError>(&result);
  return error != nullptr && error->sqlstate == sqlstate::kInsufficientPrivilege;
}

void Run(Input input) {
  const std::string_view text = input.RestText();
  CheckTokens(text);
  const std::string_view first = FirstKeyword(text);
  Check(text.find(first) != std::string_view::npos, "the first keyword is in the text");

  const PgResult<ConsoleCommand> admin = ParseConsoleCommand(text, ConsoleRole::kAdmin);
  if (const PgError* error = std::get_if<PgError>(&admin)) {
    Check(error->message.size() < 400 && error->sqlstate.size() == 5, "an error is short");
  } else {
    const ConsoleCommand& command = std::get<ConsoleCommand>(admin);
    Check((command.kind == ConsoleCommand::Kind::kShow) == (command.view != nullptr),
          "what shows a view has one");
    Check((command.kind == ConsoleCommand::Kind::kParameter) == (command.parameter != nullptr),
          "what shows a parameter has one");
  }
  Check(!IsDenied(admin), "an administrator may do everything");
  const PgResult<ConsoleCommand> stats = ParseConsoleCommand(text, ConsoleRole::kStats);
  Check(IsDenied(stats) || stats.index() == admin.index(),
        "a role denies and changes nothing else");
  const PgResult<ConsoleCommand> nobody = ParseConsoleCommand(text, ConsoleRole::kNone);
  const ConsoleCommand* allowed = std::get_if<ConsoleCommand>(&nobody);
  Check(allowed == nullptr ? IsDenied(nobody) : allowed->kind == ConsoleCommand::Kind::kEmpty,
        "who may do nothing can say nothing");
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
