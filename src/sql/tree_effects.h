// SPDX-License-Identifier: GPL-3.0-or-later
//
// From the parse tree of one statement to what it does to the session. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "sql/effect.h"
#include "sql/lexer.h"
#include "sql/parse_tree.h"

namespace trireme {

// In the order in which the tree has them; `text` is the statement the tree was made of, for what
// the tree does not keep (the text that PREPARE prepares).
std::vector<Effect> TreeEffects(const TreeNode& statement, std::string_view text, TextRules rules);

}  // namespace trireme
