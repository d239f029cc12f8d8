// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/writer.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "wire/reader.h"

namespace trireme {
namespace {

using std::string_literals::operator""s;

std::string Written(const std::function<void(MessageWriter&)>& write) {
  std::string buffer;
  MessageWriter writer(buffer);
  write(writer);
  return buffer;
}

TEST(MessageWriter, WritesEachServerMessageByteForByte) {
  const std::array<std::string_view, 2> mechanisms = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
  const std::array<std::string_view, 1> unknown = {"_pq_.x"};
  const std::array<uint32_t, 2> oids = {23, 25};
  struct Case {
    std::string expected;
    std::function<void(MessageWriter&)> write;
  };
  const std::vector<Case> cases = {
      {"R\0\0\0\x08\0\0\0\0"s, [](MessageWriter& w) { w.AuthenticationOk(); }},
      {"R\0\0\0\x08\0\0\0\x03"s, [](MessageWriter& w) { w.AuthenticationCleartextPassword(); }},
      {"R\0\0\0\x0c\0\0\0\x05salt"s,
       [](MessageWriter& w) { w.AuthenticationMd5Password(AsBytes("salt").first<4>()); }},
      {"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s,
       [&](MessageWriter& w) { w.AuthenticationSasl(mechanisms); }},
      {"R\0\0\0\x0b\0\0\0\x0br=x"s,
       [](MessageWriter& w) { w.AuthenticationSaslContinue(AsBytes("r=x")); }},
      {"R\0\0\0\x0b\0\0\0\x0cv=x"s,
       [](MessageWriter& w) { w.AuthenticationSaslFinal(AsBytes("v=x")); }},
      {"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0"s,
       [&](MessageWriter& w) { w.NegotiateProtocolVersion(2, unknown); }},
      {"S\0\0\0\x11TimeZone\0GMT\0"s,
       [](MessageWriter& w) { w.ParameterStatus({.name = "TimeZone", .value = "GMT"}); }},
      {"K\0\0\0\x0c\x01\x02\x03\x04key!"s,
       [](MessageWriter& w) { w.BackendKeyData(0x01020304, AsBytes("key!")); }},
      {"Z\0\0\0\x05T"s,
       [](MessageWriter& w) { w.ReadyForQuery(TransactionStatus::kInTransaction); }},
      {"1\0\0\0\x04"s, [](MessageWriter& w) { w.ParseComplete(); }},
      {"2\0\0\0\x04"s, [](MessageWriter& w) { w.BindComplete(); }},
      {"3\0\0\0\x04"s, [](MessageWriter& w) { w.CloseComplete(); }},
      {"n\0\0\0\x04"s, [](MessageWriter& w) { w.NoData(); }},
      {"I\0\0\0\x04"s, [](MessageWriter& w) { w.EmptyQueryResponse(); }},
      {"s\0\0\0\x04"s, [](MessageWriter& w) { w.PortalSuspended(); }},
      {"t\0\0\0\x0e\0\x02\0\0\0\x17\0\0\0\x19"s,
       [&](MessageWriter& w) { w.ParameterDescription(oids); }},
      {"C\0\0\0\x09SHOW\0"s, [](MessageWriter& w) { w.CommandComplete("SHOW"); }},
  };
  for (const Case& c : cases) EXPECT_EQ(Written(c.write), c.expected);
}

TEST(MessageWriter, WritesEachClientMessageByteForByte) {
  const std::array<ParameterView, 2> parameters = {
      {{.name = "user", .value = "u"}, {.name = "database", .value = ""}}};
  struct Case {
    std::string expected;
    std::function<void(MessageWriter&)> write;
  };
  const std::vector<Case> cases = {
      {"\0\0\0\x08\x04\xd2\x16\x2f"s, [](MessageWriter& w) { w.SslRequest(); }},
      {"\0\0\0\x1a\0\x03\0\0user\0u\0database\0\0\0"s,
       [&](MessageWriter& w) { w.StartupMessage(kProtocol30, parameters); }},
      {"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07key!"s,
       [](MessageWriter& w) { w.CancelRequest(7, AsBytes("key!")); }},
      {"p\0\0\0\x08pwd\0"s, [](MessageWriter& w) { w.PasswordMessage("pwd"); }},
      {"p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\x03n,,"s,
       [](MessageWriter& w) { w.SaslInitialResponse("SCRAM-SHA-256", AsBytes("n,,")); }},
      {"p\0\0\0\x07"
       "c=x"s,
       [](MessageWriter& w) { w.SaslResponse(AsBytes("c=x")); }},
      {"Q\0\0\0\x0dSELECT 1\0"s, [](MessageWriter& w) { w.Query("SELECT 1"); }},
      {"S\0\0\0\x04"s, [](MessageWriter& w) { w.Sync(); }},
      {"X\0\0\0\x04"s, [](MessageWriter& w) { w.Terminate(); }},
  };
  for (const Case& c : cases) EXPECT_EQ(Written(c.write), c.expected);
}

TEST(MessageWriter, WritesBothSeveritiesAndOnlyTheFieldsThatAreGiven) {
  EXPECT_EQ(Written([](MessageWriter& w) {
              w.ErrorResponse({.severity = severity::kFatal,
                               .sqlstate = sqlstate::kTooManyConnections,
                               .message = "full"});
            }),
            "E\0\0\0\x20SFATAL\0VFATAL\0C53300\0Mfull\0\0"s);
  EXPECT_EQ(Written([](MessageWriter& w) {
              w.NoticeResponse({.severity = severity::kNotice,
                                .sqlstate = "00000",
                                .message = "m",
                                .detail = "d",
                                .hint = "h"});
            }),
            "N\0\0\0\x25SNOTICE\0VNOTICE\0C00000\0Mm\0Dd\0Hh\0\0"s);
}

TEST(MessageWriter, DescribesColumnsAndTellsNullFromEmpty) {
  const std::array<ColumnDescription, 2> columns = {
      {{.name = "a", .type = kTypeText}, {.name = "b", .type = kTypeInt8, .format = 1}}};
  EXPECT_EQ(Written([&](MessageWriter& w) { w.RowDescription(columns); }),
            "T\0\0\0\x2e\0\x02"
            "a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
            "b\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\x01"s);
  const std::array<std::optional<std::string_view>, 3> values = {"x", std::nullopt, ""};
  EXPECT_EQ(Written([&](MessageWriter& w) { w.DataRow(values); }),
            "D\0\0\0\x13\0\x03\0\0\0\x01x\xff\xff\xff\xff\0\0\0\0"s);
}

TEST(MessageWriter, CutsATextAtAZeroByteSoThatFramingHolds) {
  EXPECT_EQ(Written([](MessageWriter& w) { w.Query("a\0b"s); }),
            "Q\0\0\0\x06"
            "a\0"s);
}

TEST(MessageWriter, AppendsBehindWhatTheBufferHolds) {
  std::string buffer = "kept";
  MessageWriter writer(buffer);
  writer.Sync();
  writer.Sync();
  EXPECT_EQ(buffer, "keptS\0\0\0\x04S\0\0\0\x04"s);
}

TEST(MessageReader, ReadsWhatIsThere) {
  const std::string bytes = "\x01\x02\x03\x04\x05\x06\x07text\0rest"s;
  MessageReader reader(AsBytes(bytes));
  EXPECT_EQ(reader.Byte(), 1);
  EXPECT_EQ(reader.Int16(), 0x0203);
  EXPECT_EQ(reader.Int32(), 0x04050607u);
  EXPECT_EQ(reader.String(), "text");
  EXPECT_EQ(AsText(reader.Take(2)), "re");
  EXPECT_EQ(AsText(reader.TakeRest()), "st");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(MessageReader, StaysFailedBehindTheEnd) {
  const std::string bytes = "abc";
  MessageReader reader(AsBytes(bytes));
  EXPECT_EQ(reader.Int32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Byte(), 0);
  EXPECT_EQ(reader.String(), "");
  EXPECT_TRUE(reader.TakeRest().empty());
  EXPECT_FALSE(reader.AtEnd());
}

TEST(MessageReader, DoesNotFindTheZeroBehindTheEnd) {
  const std::string bytes = "abc\0"s;
  MessageReader reader(AsBytes(bytes).first(3));
  EXPECT_EQ(reader.String(), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace trireme
