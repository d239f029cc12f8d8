// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/startup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/random.h"
#include "wire/writer.h"

namespace trireme {
namespace {

using std::string_literals::operator""s;

// A packet around a body: the length word is right.
std::string Packet(const std::string& body) {
  std::string packet;
  MessageWriter writer(packet);
  writer.BeginUntyped();
  writer.RawBytes(AsBytes(body));
  writer.End();
  return packet;
}

std::string V3(const std::string& pairs, uint16_t minor = 0) {
  return Packet("\0\x03"s + static_cast<char>(minor >> 8) + static_cast<char>(minor) + pairs);
}

// Exactly `bytes` on the heap, so that the address sanitizer sees a read of one byte more.
struct Exact {
  explicit Exact(std::string_view text) : memory(new std::byte[text.size()]), size(text.size()) {
    std::copy_n(AsBytes(text).data(), size, memory.get());
  }
  Bytes bytes() const { return {memory.get(), size}; }

  std::unique_ptr<std::byte[]> memory;
  size_t size;
};

StartupMessage Message(const std::string& packet) {
  PgResult<StartupPacket> result = ParseStartup(AsBytes(packet));
  if (const PgError* error = std::get_if<PgError>(&result)) {
    ADD_FAILURE() << error->message;
    return {};
  }
  const StartupMessage* message = std::get_if<StartupMessage>(&std::get<StartupPacket>(result));
  EXPECT_NE(message, nullptr);
  return message != nullptr ? *message : StartupMessage{};
}

PgError Error(const std::string& packet) {
  PgResult<StartupPacket> result = ParseStartup(AsBytes(packet));
  const PgError* error = std::get_if<PgError>(&result);
  EXPECT_NE(error, nullptr);
  return error != nullptr ? *error : PgError{};
}

TEST(StartupSize, WaitsForTheLengthAndChecksItAtOnce) {
  const std::string packet = "\0\0\0\x08\x04\xd2\x16\x2f"s;
  for (size_t size = 0; size < 4; ++size) {
    EXPECT_EQ(std::get<size_t>(StartupSize(Exact(packet.substr(0, size)).bytes(), 10000)), 0u);
  }
  for (size_t size = 4; size <= packet.size(); ++size) {
    EXPECT_EQ(std::get<size_t>(StartupSize(Exact(packet.substr(0, size)).bytes(), 10000)), 8u);
  }
}

TEST(StartupSize, RefusesLengthsOutsideItsBounds) {
  struct Case {
    std::string word;
    bool good;
  };
  const Case cases[] = {
      {"\0\0\0\0"s, false},         {"\0\0\0\x07"s, false},   {"\0\0\0\x08"s, true},
      {"\0\0\x27\x10"s, true},      {"\0\0\x27\x11"s, false}, {"\x7f\xff\xff\xff"s, false},
      {"\xff\xff\xff\xff"s, false}, {"GET "s, false},         {"\x16\x03\x01\x02"s, false},
  };
  for (const Case& c : cases) {
    const PgResult<size_t> size = StartupSize(AsBytes(c.word), 10000);
    EXPECT_EQ(std::holds_alternative<size_t>(size), c.good) << testing::PrintToString(c.word);
    if (const PgError* error = std::get_if<PgError>(&size)) {
      EXPECT_EQ(error->sqlstate, "08P01");
      EXPECT_EQ(error->severity, "FATAL");
    }
  }
}

TEST(Startup, ReadsTheRequestsForEncryption) {
  EXPECT_TRUE(std::holds_alternative<SslRequest>(
      std::get<StartupPacket>(ParseStartup(AsBytes(Packet("\x04\xd2\x16\x2f"s))))));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(
      std::get<StartupPacket>(ParseStartup(AsBytes(Packet("\x04\xd2\x16\x30"s))))));
  EXPECT_EQ(Error(Packet("\x04\xd2\x16\x2fx"s)).sqlstate, "08P01");
  EXPECT_EQ(Error(Packet("\x04\xd2\x16\x30x"s)).sqlstate, "08P01");
}

TEST(Startup, ReadsCancelKeysOfFourTo256Bytes) {
  for (const size_t size : {0u, 3u, 4u, 5u, 32u, 256u, 257u}) {
    const std::string key(size, 'k');
    const std::string packet = Packet("\x04\xd2\x16\x2e\0\0\x01\x02"s + key);
    const PgResult<StartupPacket> result = ParseStartup(AsBytes(packet));
    if (size < 4 || size > 256) {
      EXPECT_EQ(std::get<PgError>(result).message, "invalid length of query cancel key");
      continue;
    }
    const CancelRequest& request = std::get<CancelRequest>(std::get<StartupPacket>(result));
    EXPECT_EQ(request.process_id, 0x0102u);
    EXPECT_EQ(AsText(request.key), key);
  }
  EXPECT_EQ(Error(Packet("\x04\xd2\x16\x2e\0\0"s)).message,
            "invalid length of query cancel packet");
}

TEST(Startup, ReadsNamesInOrderAndKeepsThePoolersOwnApart) {
  const std::string packet =
      V3("user\0joe\0search_path\0a, b\0database\0shop\0options\0-c a=b\0application_name\0\0\0"s);
  const StartupMessage message = Message(packet);
  EXPECT_EQ(message.user, "joe");
  EXPECT_EQ(message.database, "shop");
  EXPECT_EQ(message.options, "-c a=b");
  EXPECT_EQ(message.replication, Replication::kNone);
  EXPECT_EQ(message.parameters,
            (std::vector<ParameterView>{{"search_path", "a, b"}, {"application_name", ""}}));
  EXPECT_FALSE(message.needs_negotiation());
}

TEST(Startup, TakesTheUserForAMissingDatabase) {
  for (const std::string& pairs : {"user\0joe\0\0"s, "user\0joe\0database\0\0\0"s}) {
    const std::string packet = V3(pairs);
    EXPECT_EQ(Message(packet).database, "joe");
  }
}

TEST(Startup, RequiresAUser) {
  for (const std::string& pairs : {"\0"s, "database\0d\0\0"s, "user\0\0\0"s}) {
    const PgError error = Error(V3(pairs));
    EXPECT_EQ(error.sqlstate, "28000");
    EXPECT_EQ(error.message, "no PostgreSQL user name specified in startup packet");
    EXPECT_EQ(error.severity, "FATAL");
  }
}

TEST(Startup, ReadsReplicationAsPostgresDoes) {
  struct Case {
    const char* value;
    Replication expected;
  };
  const Case good[] = {
      {"database", Replication::kLogical}, {"true", Replication::kPhysical},
      {"TRUE", Replication::kPhysical},    {"t", Replication::kPhysical},
      {"1", Replication::kPhysical},       {"on", Replication::kPhysical},
      {"yes", Replication::kPhysical},     {"false", Replication::kNone},
      {"of", Replication::kNone},          {"0", Replication::kNone},
      {"n", Replication::kNone},
  };
  for (const Case& c : good) {
    const std::string packet = V3("user\0u\0database\0d\0replication\0"s + c.value + "\0\0"s);
    const StartupMessage message = Message(packet);
    EXPECT_EQ(message.replication, c.expected) << c.value;
    EXPECT_EQ(message.database, "d");
  }
  for (const char* bad : {"", "o", "maybe", "2", "truee", "DATABASE"}) {
    const PgError error = Error(V3("user\0u\0replication\0"s + bad + "\0\0"s));
    EXPECT_EQ(error.sqlstate, "22023");
    EXPECT_EQ(error.message,
              "invalid value for parameter \"replication\": \"" + std::string(bad) + "\"");
  }
}

TEST(Startup, NegotiatesNewerMinorsAndUnknownProtocolOptions) {
  struct Case {
    uint16_t requested;
    uint16_t spoken;
    bool negotiation;
    bool long_key;
  };
  const Case cases[] = {{0, 0, false, false}, {1, 1, false, false},  {2, 2, false, true},
                        {3, 2, true, true},   {9999, 2, true, true}, {0xffff, 2, true, true}};
  for (const Case& c : cases) {
    const std::string packet = V3("user\0u\0\0"s, c.requested);
    const StartupMessage message = Message(packet);
    EXPECT_EQ(message.minor(), c.spoken);
    EXPECT_EQ(message.needs_negotiation(), c.negotiation);
    EXPECT_EQ(message.long_cancel_key(), c.long_key);
  }
  const std::string packet = V3("user\0u\0_pq_.a\0x\0_pq_.b\0\0\0"s);
  const StartupMessage message = Message(packet);
  EXPECT_TRUE(message.needs_negotiation());
  EXPECT_EQ(message.minor(), 0);
  EXPECT_EQ(message.protocol_options, (std::vector<std::string_view>{"_pq_.a", "_pq_.b"}));
  EXPECT_TRUE(message.parameters.empty());
}

TEST(Startup, RefusesOtherMajors) {
  struct Case {
    std::string version;
    const char* text;
  };
  const Case cases[] = {{"\0\x02\0\0"s, "2.0"},
                        {"\0\x01\0\0"s, "1.0"},
                        {"\0\x04\0\x01"s, "4.1"},
                        {"\0\0\0\0"s, "0.0"},
                        {"\x04\xd2\x16\x31"s, "1234.5681"}};
  for (const Case& c : cases) {
    const PgError error = Error(Packet(c.version + std::string(64, '\0')));
    EXPECT_EQ(error.sqlstate, "0A000");
    EXPECT_EQ(error.message, "unsupported frontend protocol " + std::string(c.text) +
                                 ": server supports 3.0 to 3.2");
  }
}

TEST(Startup, WantsTheTerminatorAsTheLastByte) {
  for (const std::string& pairs :
       {""s, "user\0u\0"s, "user\0u"s, "user\0"s, "user"s, "user\0u\0\0x"s, "user\0u\0\0\0"s}) {
    EXPECT_EQ(Error(V3(pairs)).message,
              "invalid startup packet layout: expected terminator as last byte");
  }
}

TEST(Startup, RefusesAPacketThatIsNotWhatItsLengthSays) {
  const std::string packet = V3("user\0u\0\0"s);
  EXPECT_EQ(Error(packet + "x").message, "invalid length of startup packet");
  for (size_t size = 0; size < packet.size(); ++size) {
    EXPECT_EQ(Error(packet.substr(0, size)).message, "invalid length of startup packet");
  }
}

TEST(Startup, AnswersEveryTruncationAndGarbageWithoutReadingPastTheEnd) {
  const std::string bodies[] = {
      "\0\x03\0\x02user\0joe\0database\0shop\0options\0-c a=b\0replication\0database\0_pq_.x\0y\0\0"s,
      "\x04\xd2\x16\x2e\0\0\x01\x02keykeykey"s, "\x04\xd2\x16\x2f"s, "\x04\xd2\x16\x30"s};
  for (const std::string& body : bodies) {
    for (size_t size = 0; size <= body.size(); ++size) {
      const Exact packet(Packet(body.substr(0, size)));
      const PgResult<StartupPacket> result = ParseStartup(packet.bytes());
      if (size == body.size()) {
        EXPECT_TRUE(std::holds_alternative<StartupPacket>(result));
      }
    }
  }
  Random random(20240601);
  for (int round = 0; round < 20000; ++round) {
    std::string body = bodies[random.Below(std::size(bodies))];
    for (uint64_t change = random.Below(6); change > 0; --change) {
      body[random.Below(body.size())] = static_cast<char>(random.Below(4) ? random.Next() : 0);
    }
    body.resize(random.Below(body.size() + 4));
    const Exact packet(Packet(body));
    const PgResult<StartupPacket> result = ParseStartup(packet.bytes());
    if (const PgError* error = std::get_if<PgError>(&result)) {
      ASSERT_EQ(error->severity, "FATAL");
      ASSERT_EQ(error->sqlstate.size(), 5u);
    }
  }
}

TEST(Startup, ReadsWhatTheWriterWrites) {
  std::string packet;
  const ParameterView pairs[] = {{"user", "u"}, {"database", "d"}, {"TimeZone", "GMT"}};
  MessageWriter(packet).StartupMessage(kProtocol32, pairs);
  EXPECT_EQ(std::get<size_t>(StartupSize(AsBytes(packet), 10000)), packet.size());
  const StartupMessage message = Message(packet);
  EXPECT_EQ(message.minor_requested, 2);
  EXPECT_EQ(message.parameters, (std::vector<ParameterView>{{"TimeZone", "GMT"}}));
}

}  // namespace
}  // namespace trireme
