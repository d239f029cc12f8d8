// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/statements.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace trireme {
namespace {

using Added = ClientStatements::Added;

constexpr ClientStatements::Limits kLimits{.count_max = 100, .bytes_max = 10000};
constexpr Replies::Outcome kAnswered{.notes = {.client = true}, .answered = true};
constexpr Replies::Outcome kDropped{.notes = {.client = true}, .answered = false};

class StatementsTest : public testing::Test {
 protected:
  Added Add(std::string_view name, std::string_view text) {
    return client_.Add(name, all_.Intern(text), kLimits);
  }
  void Settle(std::vector<Replies::Outcome> outcomes) { client_.OnOutcomes(outcomes); }
  std::string TextOf(std::string_view name) {
    const StatementRef* statement = client_.Find(name);
    return statement != nullptr ? std::string(statement->text()) : "none";
  }

  Statements all_{1};
  ClientStatements client_;
};

TEST_F(StatementsTest, KeepsEachTextOnceWhileSomebodyHoldsIt) {
  {
    const StatementRef a = all_.Intern("select 1"), b = all_.Intern("select 1");
    EXPECT_EQ(all_.count(), 1u);
    EXPECT_EQ(all_.bytes(), 8u);
    EXPECT_TRUE(a.Is("select 1"));
    EXPECT_EQ(a.text().data(), b.text().data());
  }
  EXPECT_EQ(all_.count(), 0u);
  EXPECT_EQ(all_.bytes(), 0u);
}

TEST_F(StatementsTest, TheIdDependsOnTextParametersAndSecret) {
  ParameterSet german, named;
  german.Set("DateStyle", "German");
  named.Set("application_name", "x");
  EXPECT_EQ(all_.EnvironmentOf(named), StatementId{});
  Statements other(2);
  std::set<std::string> names;
  for (const char* text : {"select 1", "select 2"}) {
    for (const ParameterSet& parameters : {german, ParameterSet{}}) {
      for (Statements* statements : {&all_, &other}) {
        const StatementId id =
            statements->IdOf(statements->Intern(text), statements->EnvironmentOf(parameters));
        names.emplace(StatementName(id).view());
      }
    }
  }
  EXPECT_EQ(names.size(), 8u);
  for (const std::string& name : names) EXPECT_EQ(name.size(), StatementName::kBytes);
}

TEST_F(StatementsTest, ANameIsTakenUntilItIsClosed) {
  EXPECT_EQ(Add("s", "a"), Added::kYes);
  EXPECT_EQ(Add("s", "b"), Added::kExists);
  client_.Remove("s");
  EXPECT_EQ(Add("s", "b"), Added::kYes);
  Settle({kAnswered, kAnswered, kAnswered});
  EXPECT_EQ(TextOf("s"), "b");
}

TEST_F(StatementsTest, WhatFailedIsUndoneBackwards) {
  EXPECT_EQ(Add("s", "a"), Added::kYes);
  Settle({kAnswered});
  client_.Remove("s");
  EXPECT_EQ(Add("s", "b"), Added::kYes);
  EXPECT_EQ(Add("t", "c"), Added::kYes);
  Settle({kDropped, kDropped, kDropped});
  EXPECT_EQ(TextOf("s"), "a");
  EXPECT_EQ(TextOf("t"), "none");
  EXPECT_EQ(client_.bytes(), 2u);
}

TEST_F(StatementsTest, CountAndBytesAreBounded) {
  EXPECT_EQ(client_.Add("s", all_.Intern("a"), {.count_max = 1, .bytes_max = 2}), Added::kYes);
  EXPECT_EQ(client_.Add("t", all_.Intern("a"), {.count_max = 1, .bytes_max = 9}), Added::kTooMany);
  EXPECT_EQ(client_.Add("t", all_.Intern("a"), {.count_max = 9, .bytes_max = 3}), Added::kTooMany);
}

TEST_F(StatementsTest, ARefusalIsToldInItsTurn) {
  EXPECT_EQ(Add("s", "a"), Added::kYes);
  client_.Refuse({.sqlstate = "26000", .message = "no"});
  EXPECT_EQ(client_.refusal(), nullptr);
  Settle({kAnswered});
  ASSERT_NE(client_.refusal(), nullptr);
  EXPECT_EQ(client_.refusal()->sqlstate, "26000");
  Settle({kDropped});
  EXPECT_EQ(client_.refusal(), nullptr);
}

TEST_F(StatementsTest, DiscardKeepsOnlyWhatWasAskedForSince) {
  EXPECT_EQ(Add("s", "a"), Added::kYes);
  Settle({kAnswered});
  EXPECT_EQ(Add("t", "b"), Added::kYes);
  client_.OnDiscarded();
  EXPECT_EQ(TextOf("s"), "none");
  EXPECT_EQ(TextOf("t"), "b");
  EXPECT_EQ(client_.bytes(), 2u);
}

TEST_F(StatementsTest, KnowsTheClientsNameOfAServersStatement) {
  EXPECT_EQ(Add("s", "a"), Added::kYes);
  const std::string name(StatementName(all_.IdOf(all_.Intern("a"), {})).view());
  EXPECT_EQ(client_.NameOf(name, all_), "s");
  Settle({kDropped});
  EXPECT_EQ(client_.NameOf(name, all_), "s");  // until lately
  client_.OnReady();
  EXPECT_EQ(client_.NameOf(name, all_), "");
}

}  // namespace
}  // namespace trireme
