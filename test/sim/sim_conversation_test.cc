// SPDX-License-Identifier: GPL-3.0-or-later
//
// Wrong servers: each of what a pooler must never do is done once, and must be reported in words
// that say who, what was expected, and what came.
#include "test/sim/sim_conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "test/sim/sim_client.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::sim {
namespace {

using Kind = SimStatement::Kind;
using testing::AllOf;
using testing::HasSubstr;

class Verdicts final : public Verdict {
 public:
  void OnViolation(const Violation& violation) override {
    text += "[" + std::string(Name(violation.rule)) + "] " + violation.text;
  }
  std::string text;
};

constexpr char kSession[] =
    "application_name=|client_encoding=UTF8|DateStyle=ISO, MDY|default_transaction_read_only=off|"
    "IntervalStyle=postgres|scram_iterations=4096|search_path=\"$user\", public|"
    "standard_conforming_strings=on|TimeZone=Etc/UTC statements= temp= listen= block=I";

// A server played by hand.
class Server {
 public:
  Server() : conversation_(Setup()) {}

  Conversation& conversation() { return conversation_; }
  const std::string& verdict() const { return verdicts_.text; }

  void AskSelect(const std::string& tag, uint32_t rows = 1, const std::string& error = "") {
    conversation_.Ask(
        {.kind = SimRequest::Kind::kQuery,
         .statements = {{.kind = Kind::kSelect, .tag = tag, .rows = rows, .error = error}}});
  }
  void Ask(SimStatement statement) {
    conversation_.Ask({.kind = SimRequest::Kind::kQuery, .statements = {std::move(statement)}});
  }

  Server& Describe() {
    return Say([](MessageWriter& w) { w.RowDescription({}); });
  }
  struct Row {
    std::string tag;
    std::string number = "0";
    std::string process_id = "1001";
    std::string sequence = "1";
    std::string session = kSession;
    std::string payload = "";
  };
  Server& Send(const Row& row) {
    return Say([&](MessageWriter& w) {
      const std::optional<std::string_view> values[] = {row.tag,      row.number,  row.process_id,
                                                        row.sequence, row.session, row.payload};
      w.DataRow(values);
    });
  }
  Server& Complete(std::string_view text) {
    return Say([&](MessageWriter& w) { w.CommandComplete(text); });
  }
  Server& Ready(TransactionStatus status = TransactionStatus::kIdle) {
    return Say([&](MessageWriter& w) { w.ReadyForQuery(status); });
  }
  Server& Error(const std::string& code, const std::string& severity = severity::kError) {
    return Say([&](MessageWriter& w) {
      w.ErrorResponse({.severity = severity, .sqlstate = code, .message = "no"});
    });
  }
  Server& Tell(ParameterView parameter) {
    return Say([&](MessageWriter& w) { w.ParameterStatus(parameter); });
  }
  Server& Say(const std::function<void(MessageWriter&)>& write) {
    std::string bytes;
    MessageWriter writer(bytes);
    write(writer);
    conversation_.OnMessage(bytes[0], AsBytes(bytes).subspan(5));
    return *this;
  }

 private:
  Conversation::Setup Setup() {
    SimSession session("app");
    std::map<std::string, std::string> told;
    for (const auto& entry : session.parameters().entries()) told[entry.name] = entry.value;
    return {.client = 7,
            .session = session,
            .told = std::move(told),
            .keeps_server = false,
            .allowed_sqlstates = allowed_,
            .counts = counts_,
            .verdict = verdicts_};
  }

  const std::set<std::string> allowed_ = {"57P01"};
  ClientCounts counts_;
  Verdicts verdicts_;
  Conversation conversation_;
};

TEST(Conversation, AcceptsWhatIsRight) {
  Server server;
  server.AskSelect("c7.q1", 2);
  server.Describe().Send({.tag = "c7.q1"}).Send({.tag = "c7.q1", .number = "1"});
  server.Complete("SELECT 2 c7.q1").Ready();
  EXPECT_EQ(server.verdict(), "");
  EXPECT_TRUE(server.conversation().at_rest());
}

TEST(Conversation, CatchesTwoRepliesSwapped) {
  Server server;
  server.AskSelect("c7.q1");
  server.AskSelect("c7.q2");
  server.Describe().Send({.tag = "c7.q2"});
  EXPECT_EQ(server.verdict(),
            "[cross-talk] client 7, query c7.q1 (Query): expected a row of its own, got one of "
            "c7.q2");
}

TEST(Conversation, CatchesARowOfAnotherClient) {
  Server server;
  server.AskSelect("c7.q1");
  server.Describe().Send({.tag = "c8.q1"});
  EXPECT_THAT(server.verdict(), AllOf(HasSubstr("[cross-talk]"), HasSubstr("c8.q1")));
}

TEST(Conversation, CatchesACompletionOfAnotherClient) {
  Server server;
  server.AskSelect("c7.q1", 0);
  server.Describe().Complete("SELECT 0 c8.q9");
  EXPECT_THAT(server.verdict(), AllOf(HasSubstr("[cross-talk]"), HasSubstr("c8.q9")));
}

TEST(Conversation, CatchesADoubledRow) {
  Server server;
  server.AskSelect("c7.q1", 2);
  server.Describe().Send({.tag = "c7.q1"}).Send({.tag = "c7.q1"});
  EXPECT_THAT(server.verdict(), HasSubstr("[bytes] client 7, query c7.q1 (Query): expected row 1 "
                                          "of 2, got row 0"));
}

TEST(Conversation, CatchesALostRow) {
  Server server;
  server.AskSelect("c7.q1", 2);
  server.Describe().Send({.tag = "c7.q1"}).Complete("SELECT 1 c7.q1");
  EXPECT_THAT(server.verdict(), HasSubstr("expected 2 rows, got 1"));
}

TEST(Conversation, CatchesAChangedByte) {
  Server server;
  server.Ask({.kind = Kind::kSelect, .tag = "c7.q1", .size = 8});
  std::string payload = Payload("c7.q1", 0, 8);
  payload[3] = '!';
  server.Describe().Send({.tag = "c7.q1", .payload = payload});
  EXPECT_THAT(server.verdict(), AllOf(HasSubstr("[bytes]"), HasSubstr("in row 0, got 8 bytes")));
}

TEST(Conversation, CatchesASessionOfAnotherClient) {
  Server server;
  server.AskSelect("c7.q1");
  std::string session = kSession;
  session.replace(session.find("Etc/UTC"), 7, "Asia/Tokyo");
  server.Describe().Send({.tag = "c7.q1", .session = session});
  EXPECT_THAT(server.verdict(), AllOf(HasSubstr("[session state]"), HasSubstr("Asia/Tokyo"),
                                      HasSubstr("on backend 1001")));
}

TEST(Conversation, CatchesAMissingReadyForQuery) {
  Server server;
  server.AskSelect("c7.q1");
  server.AskSelect("c7.q2");
  server.Describe().Send({.tag = "c7.q1"}).Complete("SELECT 1 c7.q1").Describe();
  EXPECT_EQ(server.verdict(),
            "[reply order] client 7, query c7.q1 (Query): expected the ReadyForQuery to Query, got "
            "a message of type 'T'");
}

TEST(Conversation, CatchesAReplyToNothing) {
  Server server;
  server.Ready();
  EXPECT_EQ(server.verdict(),
            "[reply order] client 7: expected nothing, for nothing was asked, got a message of "
            "type 'Z'");
}

TEST(Conversation, CatchesAReadyForQueryTooEarly) {
  Server server;
  server.AskSelect("c7.q1");
  server.Ready();
  EXPECT_THAT(server.verdict(), HasSubstr("[reply order]"));
}

TEST(Conversation, CatchesAWrongTransactionStatus) {
  Server server;
  server.Ask({.kind = Kind::kBegin});
  server.Complete("BEGIN").Ready(TransactionStatus::kIdle);
  EXPECT_THAT(server.verdict(),
              HasSubstr("[transaction] client 7, query  (Query): expected ReadyForQuery 'T', got "
                        "'I'"));
}

TEST(Conversation, CatchesAParameterThatWasNotReported) {
  Server server;
  server.Ask({.kind = Kind::kSet, .name = "TimeZone", .value = "Asia/Tokyo"});
  server.Complete("SET").Ready();
  EXPECT_THAT(
      server.verdict(),
      HasSubstr("expected to be told TimeZone = \"Asia/Tokyo\", was told last \"Etc/UTC\""));
}

TEST(Conversation, CatchesAParameterOfAnotherClient) {
  Server server;
  server.AskSelect("c7.q1", 0);
  server.Tell({"TimeZone", "Asia/Tokyo"}).Describe().Complete("SELECT 0 c7.q1").Ready();
  EXPECT_THAT(server.verdict(), AllOf(HasSubstr("[session state]"), HasSubstr("Asia/Tokyo")));
}

TEST(Conversation, CatchesAnErrorWithoutReason) {
  Server server;
  server.AskSelect("c7.q1");
  server.Error("57014");
  EXPECT_THAT(server.verdict(), HasSubstr("[error] client 7, query c7.q1 (Query): expected no "
                                          "error, got ERROR 57014"));
}

TEST(Conversation, AcceptsACancelOnlyWhenItWasSent) {
  Server server;
  server.AskSelect("c7.q1");
  server.conversation().OnCancelSent();
  server.Error("57014").Ready();
  EXPECT_EQ(server.verdict(), "");
}

TEST(Conversation, CatchesAnErrorThatDidNotCome) {
  Server server;
  server.AskSelect("c7.q1", 0, "22012");
  server.Describe().Complete("SELECT 0 c7.q1");
  EXPECT_THAT(server.verdict(), HasSubstr("expected error 22012, got its completion"));
}

TEST(Conversation, CatchesATransactionThatMoves) {
  Server server;
  std::string session = kSession;
  session.back() = 'T';
  server.Ask({.kind = Kind::kBegin});
  server.AskSelect("c7.q1");
  server.AskSelect("c7.q2");
  server.Complete("BEGIN").Ready(TransactionStatus::kInTransaction);
  server.Describe().Send({.tag = "c7.q1", .session = session}).Complete("SELECT 1 c7.q1");
  server.Ready(TransactionStatus::kInTransaction).Describe();
  server.Send({.tag = "c7.q2", .process_id = "1002", .session = session});
  EXPECT_THAT(server.verdict(), HasSubstr("expected backend 1001 as before, got backend 1002"));
}

TEST(Conversation, CatchesStatementsOfOthersWithinATransaction) {
  Server server;
  std::string session = kSession;
  session.back() = 'T';
  server.Ask({.kind = Kind::kBegin});
  server.AskSelect("c7.q1");
  server.AskSelect("c7.q2");
  server.Complete("BEGIN").Ready(TransactionStatus::kInTransaction);
  server.Describe().Send({.tag = "c7.q1", .session = session}).Complete("SELECT 1 c7.q1");
  server.Ready(TransactionStatus::kInTransaction).Describe();
  server.Send({.tag = "c7.q2", .sequence = "3", .session = session});
  EXPECT_THAT(server.verdict(), HasSubstr("expected at most 1 statements on the backend"));
}

TEST(Conversation, CatchesWordsAfterFatal) {
  Server server;
  server.AskSelect("c7.q1");
  server.Error("57P01", severity::kFatal);
  EXPECT_TRUE(server.conversation().told_why());
  server.Ready();
  EXPECT_THAT(server.verdict(), HasSubstr("expected the end of the connection after FATAL"));
}

TEST(Conversation, ACancelMayFindHalfAQueryInTheQueue) {
  Server server;
  server.conversation().OnCancelSent();
  server.conversation().OnCutShort();
  server.Error(sqlstate::kQueryCanceled);
  EXPECT_TRUE(server.conversation().over());
  server.Ready();
  EXPECT_EQ(server.verdict(), "");
}

TEST(Conversation, CatchesLostCopyData) {
  Server server;
  server.Ask({.kind = Kind::kCopyTo, .tag = "c7.q1", .rows = 2, .size = 4});
  server.Say([](MessageWriter& w) {
    w.Begin(backend::kCopyOutResponse);
    w.Byte(0);
    w.Int16(0);
    w.End();
  });
  server.Say([](MessageWriter& w) {
    w.Begin(backend::kCopyData);
    w.RawBytes(AsBytes(Payload("c7.q1", 1, 4)));
    w.End();
  });
  EXPECT_THAT(server.verdict(), HasSubstr("as part 0 of COPY"));
}

// In the extended protocol an error stands for everything up to Sync.
TEST(Conversation, CatchesADeallocatedStatementThatIsStillThere) {
  Server server;
  Conversation& conversation = server.conversation();
  const auto say = [&server](char type) {
    server.Say([type](MessageWriter& w) {
      w.Begin(type);
      w.End();
    });
  };
  conversation.Ask({.kind = SimRequest::Kind::kParse, .name = "d1"});
  say(backend::kParseComplete);
  server.Ask({.kind = Kind::kDeallocate, .name = "d1"});
  server.Complete("DEALLOCATE").Ready();
  EXPECT_EQ(server.verdict(), "");
  conversation.Ask({.kind = SimRequest::Kind::kBind, .name = "d1"});
  say(backend::kBindComplete);
  EXPECT_THAT(server.verdict(),
              AllOf(HasSubstr("expected error 26000"), HasSubstr("BindComplete")));
}

TEST(Conversation, OwesNothingBetweenAnErrorAndSync) {
  Server server;
  const SimStatement s{.kind = Kind::kSelect, .tag = "c7.q1", .error = "22012"};
  using Request = SimRequest::Kind;
  server.conversation().Ask({.kind = Request::kParse, .statements = {s}});
  server.conversation().Ask({.kind = Request::kBind, .statements = {s}});
  server.conversation().Ask({.kind = Request::kExecute, .statements = {s}});
  server.Say([](MessageWriter& w) { w.ParseComplete(); });
  server.Say([](MessageWriter& w) { w.BindComplete(); });
  server.Send({.tag = "c7.q1"}).Error("22012");
  EXPECT_TRUE(server.conversation().skipping());
  server.conversation().Ask({.kind = Request::kExecute, .statements = {s}});
  server.conversation().Ask({.kind = Request::kSync});
  server.Ready();
  EXPECT_EQ(server.verdict(), "");
  EXPECT_TRUE(server.conversation().at_rest());
}

}  // namespace
}  // namespace trireme::sim
