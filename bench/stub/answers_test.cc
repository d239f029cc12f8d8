// SPDX-License-Identifier: GPL-3.0-or-later
#include "stub/answers.h"

#include <gtest/gtest.h>

namespace trireme::bench {
namespace {

using Kind = Answer::Kind;

TEST(Answers, TheFirstWordSaysWhatItIs) {
  const struct {
    const char* sql;
    Kind kind;
    const char* tag;
  } kCases[] = {
      {"", Kind::kEmpty, ""},
      {" ; ", Kind::kEmpty, ""},
      {"select 1", Kind::kRows, "SELECT"},
      {"  -- why\n WITH x AS (SELECT 1) SELECT * FROM x", Kind::kRows, "SELECT"},
      {"BEGIN", Kind::kBegin, "BEGIN"},
      {"start transaction", Kind::kBegin, "BEGIN"},
      {"END;", Kind::kCommit, "COMMIT"},
      {"rollback", Kind::kRollback, "ROLLBACK"},
      {"INSERT INTO t VALUES (1)", Kind::kCommand, "INSERT 0 1"},
      {"UPDATE t SET a = 1", Kind::kCommand, "UPDATE 1"},
      {"DISCARD ALL", Kind::kCommand, "DISCARD ALL"},
      {"vacuum", Kind::kCommand, "VACUUM"},
      {"COPY t FROM STDIN", Kind::kCopyIn, "COPY"},
      {"COPY t TO STDOUT", Kind::kCopyOut, "COPY"},
      {"COPY (SELECT a FROM stdin) TO STDOUT", Kind::kCopyOut, "COPY"},
      {"SHOW server_version", Kind::kRows, "SHOW"},
  };
  for (const auto& expected : kCases) {
    const Answer answer = AnswerTo(expected.sql, {});
    EXPECT_EQ(answer.kind, expected.kind) << expected.sql;
    EXPECT_EQ(answer.tag, expected.tag) << expected.sql;
  }
}

TEST(Answers, ACommentInFrontSaysMore) {
  const Answer answer =
      AnswerTo("/*stub rows=7 bytes=30 service=exp:2ms error=40001 colour=red x*/ SELECT 1", {});
  EXPECT_EQ(answer.rows, 7u);
  EXPECT_EQ(answer.bytes, 30u);
  EXPECT_EQ(answer.error, "40001");
  ASSERT_TRUE(answer.service.has_value());
  EXPECT_EQ(answer.service->MeanNs(), 2e6);
  EXPECT_EQ(answer.kind, Kind::kRows);
}

TEST(Answers, WithoutItTheDefaultsHold) {
  const Answer answer = AnswerTo("SELECT $1, $12, $3", {.rows = 3, .bytes = 4});
  EXPECT_EQ(answer.rows, 3u);
  EXPECT_EQ(answer.bytes, 4u);
  EXPECT_FALSE(answer.service.has_value());
  EXPECT_EQ(answer.parameters, 12u);
}

TEST(Answers, ASetIsRead) {
  for (const char* sql :
       {"SET application_name TO 'a b'", "set session application_name = 'a b'"}) {
    const Answer answer = AnswerTo(sql, {});
    EXPECT_EQ(answer.kind, Kind::kSet);
    EXPECT_EQ(answer.name, "application_name") << sql;
    EXPECT_EQ(answer.value, "a b") << sql;
  }
  EXPECT_EQ(AnswerTo("SET TRANSACTION READ ONLY", {}).name, "");
}

TEST(Answers, StatementsEndAtSemicolonsOutsideOfTexts) {
  EXPECT_EQ(SplitStatements("SELECT 1").size(), 1u);
  EXPECT_EQ(SplitStatements("SELECT 1; ").size(), 1u);
  EXPECT_EQ(SplitStatements("").size(), 1u);
  EXPECT_EQ(SplitStatements(";;").size(), 1u);
  const auto three = SplitStatements("BEGIN; SELECT ';' /* ; */; COMMIT;");
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0], "BEGIN");
  EXPECT_EQ(three[1], " SELECT ';' /* ; */");
  EXPECT_EQ(three[2], " COMMIT");
}

}  // namespace
}  // namespace trireme::bench
