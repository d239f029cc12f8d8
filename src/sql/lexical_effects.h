// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a statement does to the session, told from its tokens alone: for statements that the parser
// refuses (newer syntax than its own), that are too large for it, or nested too deep. Finds at
// least what TreeEffects finds, in kind: it does not know which parts of a statement are run now
// and which are kept as a definition, and takes each call for conditional. Values are as exact as
// constants allow.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sql/effect.h"
#include "sql/lexer.h"

namespace trireme {

// `statement`: one, as StatementScanner takes it out of a text.
std::vector<Effect> LexicalEffects(std::string_view statement, TextRules rules);

// PREPARE name (types) AS text, taken apart; types as they are written.
struct PreparedParts {
  std::string name;
  std::vector<std::string> types;
  std::string text;
};
PreparedParts TakePreparedApart(std::string_view statement, TextRules rules);

}  // namespace trireme
