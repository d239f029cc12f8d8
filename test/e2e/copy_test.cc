// SPDX-License-Identifier: GPL-3.0-or-later
//
// COPY in both directions, and everything that can go wrong in the middle of it.
#include <gtest/gtest.h>

#include "rig/drain.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

constexpr uint64_t kGrowthKiB = 48 * 1024;

// One table, one server, one client on it, one that would notice what the first leaves behind.
class Copy : public OnShards {
 protected:
  Copy()
      : trireme_({.cores = GetParam(), .size = 1}),
        client_(trireme_.LoggedIn()),
        other_(trireme_.LoggedIn()) {
    client_.Ask("DROP TABLE IF EXISTS copied; CREATE TABLE copied (n int, t text)");
  }
  ~Copy() override {
    try {
      client_.socket().Close();
      other_.Ask("DROP TABLE IF EXISTS copied");
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
  void ExpectBothFit() {
    EXPECT_EQ(other_.Value("SELECT 1"), "1");
    EXPECT_EQ(client_.Value("SELECT 2"), "2");
  }
  std::string Rows() { return other_.Value("SELECT count(*) FROM copied"); }

  Trireme trireme_;
  RawClient client_;
  RawClient other_;
};
ON_1_2_4_SHARDS(Copy);

TEST_P(Copy, InStoresTheRows) {
  client_.Send(Query("COPY copied FROM STDIN"));
  EXPECT_EQ(client_.Read().type, 'G');
  for (int i = 0; i < 1000; ++i) client_.Send(CopyData(std::to_string(i) + "\trow\n"));
  EXPECT_EQ(Types(client_.Exchange(CopyDone())), "CZ");
  EXPECT_EQ(Rows(), "1000");
  ExpectBothFit();
}

TEST_P(Copy, InMayBePipelinedWithItsData) {
  EXPECT_EQ(
      Types(client_.Exchange(Query("COPY copied FROM STDIN") + CopyData("1\tone\n") + CopyDone())),
      "GCZ");
  EXPECT_EQ(Rows(), "1");
  ExpectBothFit();
}

TEST_P(Copy, InKeepsItsServerUntilItIsDone) {
  client_.Send(Query("COPY copied FROM STDIN"));
  EXPECT_EQ(client_.Read().type, 'G');
  other_.Send(Query("SELECT 1"));
  EXPECT_FALSE(other_.socket().ReadableWithin(milliseconds(100)));
  EXPECT_EQ(Types(client_.Exchange(CopyDone())), "CZ");
  EXPECT_EQ(Types(other_.ReadUntilReady()), "TDCZ");
}

TEST_P(Copy, FailIsReportedAndStoresNothing) {
  client_.Send(Query("COPY copied FROM STDIN"));
  EXPECT_EQ(client_.Read().type, 'G');
  client_.Send(CopyData("1\tone\n"));
  const std::vector<Message> answer = client_.Exchange(CopyFail("changed my mind"));
  ASSERT_EQ(Types(answer), "EZ");
  EXPECT_EQ(ErrorField(answer[0], 'C'), "57014");
  EXPECT_EQ(Rows(), "0");
  ExpectBothFit();
}

TEST_P(Copy, DataSentAfterTheServersErrorIsSwallowed) {
  client_.Send(Query("COPY copied FROM STDIN"));
  EXPECT_EQ(client_.Read().type, 'G');
  client_.Send(CopyData("not a number\tx\n") + CopyData("1\tmore\n"));
  const std::vector<Message> answer = client_.ReadUntilReady();
  ASSERT_EQ(Types(answer), "EZ");
  EXPECT_EQ(ErrorField(answer[0], 'C'), "22P02");
  // The client had more under way before it read the error.
  for (int i = 0; i < 100; ++i) client_.Send(CopyData("2\tlate\n"));
  client_.Send(CopyDone());
  ExpectBothFit();
  EXPECT_EQ(Rows(), "0");
}

TEST_P(Copy, FailSentAfterTheServersErrorIsSwallowed) {
  client_.Send(Query("COPY copied FROM STDIN"));
  EXPECT_EQ(client_.Read().type, 'G');
  client_.Send(CopyData("not a number\tx\n"));
  EXPECT_EQ(Types(client_.ReadUntilReady()), "EZ");
  client_.Send(CopyFail("too late"));
  ExpectBothFit();
}

TEST_P(Copy, ErrorsBeforeItStartsSwallowThePipelinedData) {
  EXPECT_EQ(
      Types(client_.Exchange(Query("COPY missing FROM STDIN") + CopyData("1\tx\n") + CopyDone())),
      "EZ");
  ExpectBothFit();
}

TEST_P(Copy, OutBringsTheRows) {
  const std::vector<Message> answer = client_.Ask("COPY (SELECT generate_series(1,3)) TO STDOUT");
  EXPECT_EQ(Types(answer), "HdddcCZ");
  EXPECT_EQ(answer[2].body, "2\n");
  ExpectBothFit();
}

TEST_P(Copy, OutMayFailInTheMiddle) {
  const std::string types =
      Types(client_.Ask("COPY (SELECT 1/(3-n) FROM generate_series(1,5) n) TO STDOUT"));
  EXPECT_EQ(types, "HddEZ");
  ExpectBothFit();
}

TEST_P(Copy, SeveralInOneQueryFollowOneAnother) {
  client_.Send(
      Query("COPY copied FROM STDIN; COPY copied FROM STDIN; COPY copied TO STDOUT; SELECT 1"));
  EXPECT_EQ(Types(client_.ReadUntil('G')), "G");
  client_.Send(CopyData("1\ta\n") + CopyDone());
  EXPECT_EQ(Types(client_.ReadUntil('G')), "CG");
  client_.Send(CopyData("2\tb\n") + CopyDone());
  EXPECT_EQ(Types(client_.ReadUntilReady()), "CHddcCTDCZ");
  ExpectBothFit();
}

TEST_P(Copy, InOverTheExtendedProtocol) {
  client_.Send(Parse("", "COPY copied FROM STDIN") + Bind("", "") + Execute("") + Flush());
  EXPECT_EQ(Types(client_.ReadUntil('G')), "12G");
  client_.Send(CopyData("1\tone\n") + CopyDone() + Sync());
  EXPECT_EQ(Types(client_.ReadUntilReady()), "CZ");
  ExpectBothFit();
}

TEST_P(Copy, InIgnoresTheSyncThatLibpqSendsAheadOfTheData) {
  client_.Send(Parse("", "COPY copied FROM STDIN") + Bind("", "") + Execute("") + Sync());
  EXPECT_EQ(Types(client_.ReadUntil('G')), "12G");
  client_.Send(CopyData("1\tone\n") + CopyDone() + Sync());
  EXPECT_EQ(Types(client_.ReadUntilReady()), "CZ");
  ExpectBothFit();
  EXPECT_EQ(Rows(), "1");
}

TEST_P(Copy, InOverTheExtendedProtocolMayFail) {
  client_.Send(Parse("", "COPY copied FROM STDIN") + Bind("", "") + Execute("") + Sync());
  EXPECT_EQ(Types(client_.ReadUntil('G')), "12G");
  client_.Send(CopyData("not a number\tx\n"));
  EXPECT_EQ(client_.Read().type, 'E');
  client_.Send(CopyData("1\tlate\n") + CopyDone() + Sync());
  EXPECT_EQ(Types(client_.ReadUntilReady()), "Z");
  ExpectBothFit();
}

TEST_P(Copy, InWithLibpqsExtendedQuery) {
  Connection connection(trireme_.As("app"));
  ASSERT_TRUE(connection.AskExtended("COPY copied FROM STDIN").ok);
  EXPECT_EQ(PQputCopyData(connection.handle(), "1\tone\n", 6), 1);
  EXPECT_EQ(PQputCopyEnd(connection.handle(), nullptr), 1);
  EXPECT_EQ(connection.Finish().tag, "COPY 1");
  EXPECT_EQ(connection.Value("SELECT count(*) FROM copied"), "1");
  ExpectBothFit();
}

TEST_P(Copy, InMayComeByteByByte) {
  client_.SendByteByByte(Query("COPY copied FROM STDIN") + CopyData("1\tone\n") +
                         CopyData("2\ttwo\n") + CopyDone() + Query("SELECT 1"));
  EXPECT_EQ(Types(client_.ReadUntilReady()), "GCZ");
  EXPECT_EQ(Types(client_.ReadUntilReady()), "TDCZ");
  EXPECT_EQ(Rows(), "2");
}

TEST_P(Copy, OutToASlowReaderKeepsMemoryBounded) {
  RawClient slow(Socket::ConnectTcp("127.0.0.1", trireme_.port(), 4096));
  slow.Login();
  const uint64_t before = ResidentKiB(trireme_.process().pid());
  slow.Send(Query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 65536)) TO STDOUT"));
  EXPECT_TRUE(Throughout(milliseconds(500), [&] {
    return ResidentKiB(trireme_.process().pid()) < before + kGrowthKiB;
  }));
  EXPECT_EQ(DrainUntilReady(slow).rows, 65536u);
  ExpectBothFit();
}

// psql's own \copy, out to a file and back into a second table.
TEST(CopyWithPsql, RoundTripKeepsEveryRowInBoundedMemory) {
  Trireme trireme;
  const TempDir dir;
  const uint64_t rows = TransferMegabytes(64) * 1024;  // about 1 KiB each
  const std::string file = dir / "table";
  WriteFile(
      dir / "script",
      "\\set ON_ERROR_STOP on\n"
      "CREATE TABLE wide AS SELECT n, repeat(md5(n::text), 32) AS t FROM generate_series(1, " +
          std::to_string(rows) +
          ") n;\nCREATE TABLE wide_again (n int, t text);\n"
          "\\copy wide to '" +
          file +
          "'\n"
          "\\copy wide_again from '" +
          file +
          "'\n"
          "SELECT count(*) || ' equal' FROM wide JOIN wide_again USING (n, t);\n"
          "DROP TABLE wide, wide_again;\n");
  RawClient warm = trireme.LoggedIn();
  warm.Value("SELECT 1");
  const uint64_t before = ResidentKiB(trireme.process().pid());
  const RunOutput psql = RunToEnd({.argv = {"psql", "-X", "-q", "-A", "-t", "-f", dir / "script",
                                            trireme.As("app").ConnInfo()}},
                                  seconds(600));
  EXPECT_EQ(psql.exit.code, 0) << psql.text;
  EXPECT_NE(psql.text.find(std::to_string(rows) + " equal"), std::string::npos) << psql.text;
  EXPECT_LT(PeakResidentKiB(trireme.process().pid()), before + kGrowthKiB);
}

}  // namespace
}  // namespace trireme::e2e
