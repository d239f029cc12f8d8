// SPDX-License-Identifier: GPL-3.0-or-later
#include "stub/session.h"

#include <gtest/gtest.h>

#include <optional>
#include <span>

#include "engine/scanner.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

using Next = StubSession::Next;

class SessionTest : public testing::Test {
 protected:
  void LogIn() {
    std::string packet;
    const ParameterView parameters[] = {{"user", "u"}, {"application_name", "app"}};
    MessageWriter(packet).StartupMessage(kProtocol30, parameters);
    EXPECT_EQ(Say(packet), "RSSSSSSSSSSSSSKZ");
  }
  // Feeds `bytes` and works, waiting for nothing; the types of what comes back. Bulks are "*".
  std::string Say(std::string_view bytes) {
    session_.Feed(AsBytes(bytes));
    std::string types;
    for (int i = 0; i < 100; ++i) {
      std::string out;
      next_ = session_.Work(out);
      types += Types(out);
      text_ += out;
      if (next_ == Next::kServe) {
        served_ += session_.service();
        session_.Resume();
      } else if (next_ == Next::kBulk) {
        types += '*';
        bulk_ = session_.bulk();
        session_.BulkSent();
      } else {
        return types;
      }
    }
    ADD_FAILURE() << "no end";
    return types;
  }
  std::string Query(std::string_view sql) {
    std::string bytes;
    MessageWriter(bytes).Query(sql);
    return Say(bytes);
  }
  static std::string Types(const std::string& bytes) {
    std::string types;
    Scanner scanner;
    const auto status = [](char type) { return type == 'Z'; };
    scanner.Feed(AsBytes(bytes), status, [&](char type, Bytes body) {
      types += type;
      if (type == 'Z' && body[0] != std::byte{'I'}) types += AsText(body);
      return true;
    });
    EXPECT_TRUE(scanner.at_boundary());
    return types;
  }
  static std::string Message(char type, std::initializer_list<std::string_view> strings,
                             std::string_view tail = "") {
    std::string bytes;
    MessageWriter writer(bytes);
    writer.Begin(type);
    for (const std::string_view text : strings) writer.String(text);
    writer.RawBytes(AsBytes(tail));
    writer.End();
    return bytes;
  }
  static std::string Describe(char what, std::string_view name) {
    return Message('D', {}, what + std::string(name) + std::string(1, '\0'));
  }
  static std::string Parse(std::string_view name, std::string_view sql) {
    return Message('P', {name, sql}, std::string_view("\0\0", 2));
  }
  static std::string Bind(std::string_view statement) {
    return Message('B', {"", statement}, std::string_view("\0\0\0\0\0\0", 6));
  }
  static std::string Execute() { return Message('E', {""}, std::string_view("\0\0\0\0", 4)); }
  static std::string Sync() { return Message('S', {}); }

  StubSettings settings_;
  Random random_{1};
  RowBlocks blocks_;
  StubCounts counts_;
  StubSession session_{{settings_, random_, blocks_, counts_}};
  Next next_ = Next::kNeedInput;
  Duration served_{0};
  uint64_t bulk_ = 0;
  std::string text_;
};

TEST_F(SessionTest, ASslRequestIsRefusedAndTheLoginFollows) {
  std::string request;
  MessageWriter(request).SslRequest();
  session_.Feed(AsBytes(request));
  std::string out;
  EXPECT_EQ(session_.Work(out), Next::kNeedInput);
  EXPECT_EQ(out, "N");
  LogIn();
  EXPECT_NE(text_.find(std::string_view("application_name\0app\0", 21)), std::string::npos);
}

TEST_F(SessionTest, MessagesMayComeBitByBit) {
  LogIn();
  std::string bytes, types;
  MessageWriter(bytes).Query("SELECT 1");
  for (const char c : bytes) types += Say(std::string_view(&c, 1));
  EXPECT_EQ(types, "TDCZ");
}

TEST_F(SessionTest, TransactionsHaveTheirStatus) {
  LogIn();
  EXPECT_EQ(Query("BEGIN"), "CZT");
  EXPECT_EQ(Query("SELECT 1"), "TDCZT");
  EXPECT_EQ(Query("/*stub error=40001*/ SELECT 1"), "EZE");
  EXPECT_EQ(Query("SELECT 1"), "EZE");
  EXPECT_EQ(Query("COMMIT"), "CZ");
  EXPECT_NE(text_.find("ROLLBACK"), std::string::npos);
}

TEST_F(SessionTest, AQueryOfManyStatementsHasOneReady) {
  LogIn();
  EXPECT_EQ(Query("SET application_name TO 'x'; SELECT 1; UPDATE t SET a = 1"), "CSTDCCZ");
  EXPECT_EQ(counts_.sets, 1u);
  EXPECT_EQ(counts_.statements, 2u);
  EXPECT_EQ(Query("SELECT 1; /*no*/ SELECT 2"), "TDCTDCZ");
  EXPECT_EQ(Query(""), "IZ");
}

TEST_F(SessionTest, ExtendedProtocolAndNamedStatements) {
  LogIn();
  EXPECT_EQ(Say(Parse("", "SELECT $1") + Bind("") + Describe('P', "") + Execute() + Sync()),
            "12TDCZ");
  EXPECT_EQ(Say(Parse("s1", "SELECT $1") + Describe('S', "s1") + Sync()), "1tTZ");
  EXPECT_EQ(Say(Bind("s1") + Execute() + Sync() + Bind("s1") + Execute() + Sync()), "2DCZ2DCZ");
  EXPECT_EQ(Say(Parse("s1", "SELECT 2") + Bind("s1") + Execute() + Sync()), "EZ");
  EXPECT_EQ(Say(Bind("nobody") + Execute() + Sync()), "EZ");
}

TEST_F(SessionTest, LargeResultsComeInBulk) {
  LogIn();
  EXPECT_EQ(Query("/*stub rows=100000 bytes=100*/ SELECT 1"), "T*CZ");
  EXPECT_EQ(bulk_, 100'000u * (5 + 2 + 4 + 100));
  EXPECT_EQ(Query("/*stub rows=1000 bytes=1000*/ COPY t TO STDOUT"), "H*cCZ");
  EXPECT_EQ(bulk_, 1000u * (5 + 1000));
  const std::string large = Parse("", "/*stub rows=100000 bytes=100*/ SELECT 1");
  EXPECT_EQ(Say(large + Bind("") + Execute() + Sync()), "12*CZ");
  EXPECT_EQ(Query("SELECT 1"), "TDCZ");
}

TEST_F(SessionTest, CopyInTakesRowsUntilDone) {
  LogIn();
  EXPECT_EQ(Query("COPY t FROM STDIN"), "G");
  EXPECT_EQ(Say(Message('d', {}, "row\n") + Message('d', {}, std::string(100'000, 'x'))), "");
  EXPECT_EQ(Say(Message('c', {})), "CZ");
  EXPECT_NE(text_.find("COPY 2"), std::string::npos);
  EXPECT_EQ(Query("COPY t FROM STDIN"), "G");
  EXPECT_EQ(Say(Message('f', {"enough"})), "EZ");
}

TEST_F(SessionTest, StatementsTakeTheirTimeAndTransactionControlNone) {
  settings_.service = *Draw::Parse("3ms");
  LogIn();
  Query("BEGIN");
  EXPECT_EQ(served_, 0ms);
  Query("SELECT 1");
  EXPECT_EQ(served_, 3ms);
  Query("/*stub service=10ms*/ SELECT 1");
  EXPECT_EQ(served_, 13ms);
  EXPECT_EQ(Say(Parse("", "SELECT 1") + Bind("") + Execute() + Sync()), "12DCZT");
  EXPECT_EQ(served_, 16ms);
}

TEST_F(SessionTest, NonsenseEndsTheConnection) {
  LogIn();
  EXPECT_EQ(Say(std::string_view("Q\0\0\0\1", 5)), "E");
  EXPECT_EQ(next_, Next::kClose);
}

}  // namespace
}  // namespace trireme::bench
