// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/statement_scan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trireme {
namespace {

std::vector<std::string> Statements(std::string_view text) {
  std::vector<std::string> statements;
  StatementScanner scanner(text, {});
  while (const std::optional<ScannedStatement> statement = scanner.Next()) {
    statements.emplace_back(statement->text);
  }
  return statements;
}

using Texts = std::vector<std::string>;

TEST(StatementScanner, SplitsAtSemicolonsThatEndStatements) {
  EXPECT_EQ(Statements(""), Texts{});
  EXPECT_EQ(Statements(" ; ;-- x\n;"), Texts{});
  EXPECT_EQ(Statements("a"), Texts{"a"});
  EXPECT_EQ(Statements(" a b ; /* x */ c -- d\n;"), (Texts{"a b", "c"}));
  EXPECT_EQ(Statements("a ';' b; \"c;\" ; $$;$$"), (Texts{"a ';' b", "\"c;\"", "$$;$$"}));
  EXPECT_EQ(Statements("a; 'b"), (Texts{"a", "'b"}));
}

TEST(StatementScanner, KeepsBodiesTogether) {
  EXPECT_EQ(Statements("CREATE RULE r AS ON INSERT TO t DO (a; b); c"),
            (Texts{"CREATE RULE r AS ON INSERT TO t DO (a; b)", "c"}));
  EXPECT_EQ(
      Statements("CREATE FUNCTION f() BEGIN ATOMIC a; SELECT CASE 1 WHEN 1 THEN 2 END; c; END; d"),
      (Texts{"CREATE FUNCTION f() BEGIN ATOMIC a; SELECT CASE 1 WHEN 1 THEN 2 END; c; END", "d"}));
  EXPECT_EQ(Statements("BEGIN; ATOMIC; END; x"), (Texts{"BEGIN", "ATOMIC", "END", "x"}));
  EXPECT_EQ(Statements("SELECT (a; b"), Texts{"SELECT (a; b"});
  EXPECT_EQ(Statements("a); b"), (Texts{"a)", "b"}));
}

uint32_t Nesting(const std::string& text) { return StatementScanner(text, {}).Next()->nesting; }

std::string Repeat(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(StatementScanner, BoundsHowDeepATreeCanBecome) {
  EXPECT_GE(Nesting("SELECT 1" + Repeat("+1", 100)), 100u);
  EXPECT_GE(Nesting("SELECT 1" + Repeat("::int", 100)), 100u);
  EXPECT_GE(Nesting("SELECT " + Repeat("NOT ", 100) + "true"), 100u);
  EXPECT_GE(Nesting("SELECT " + Repeat("f(", 100) + Repeat(")", 100)), 100u);
  EXPECT_GE(Nesting("SELECT 1" + Repeat(", 2 UNION SELECT 1", 100)), 100u);
  EXPECT_GE(Nesting("SELECT " + Repeat("CASE WHEN 1 THEN ", 100)), 100u);
  EXPECT_EQ(Nesting("SELECT " + Repeat("(1, ", 1000)), kTooDeep);
  EXPECT_LT(Nesting("SELECT a" + Repeat(", b + 1", 1000)), 10u);
  EXPECT_LT(Nesting("SELECT 1 WHERE a IN (1" + Repeat(",1", 1000) + ")"), 10u);
  EXPECT_LT(Nesting("INSERT INTO t VALUES (1, 2)" + Repeat(", (1, 2)", 1000)), 10u);
}

}  // namespace
}  // namespace trireme
