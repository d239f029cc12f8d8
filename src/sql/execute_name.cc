// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/execute_name.h"

#include "sql/quote.h"

namespace trireme {

std::optional<std::string> RenameExecuted(std::string_view text, TextRules rules,
                                          std::string_view name, std::string_view new_name) {
  if (!LexerIsExact(text, rules)) return std::nullopt;
  SqlLexer lexer(text, rules);
  std::string_view place;
  bool executes = false;
  for (SqlToken token = lexer.Next(); token.kind != SqlToken::Kind::kEnd; token = lexer.Next()) {
    if (executes && token.IsIdentifier() && TokenValue(token, rules) == name) {
      if (!place.empty()) return std::nullopt;
      place = token.text;
    }
    executes = token.IsWord("execute");
  }
  if (place.empty()) return std::nullopt;
  const auto begin = static_cast<size_t>(place.data() - text.data());
  std::string renamed(text.substr(0, begin));
  renamed += QuoteName(new_name);
  renamed += text.substr(begin + place.size());
  return renamed;
}

}  // namespace trireme
