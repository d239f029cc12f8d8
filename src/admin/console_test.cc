// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/console.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace trireme {
namespace {

using std::string_literals::operator""s;
using StepKind = Console::Step::Kind;

// The messages of an answer in short: types, and what makes them this one.
//   "T:database,user D:shop,app C:SHOW Z:I"
class Answer {
 public:
  static std::string Summary(const std::string& buffer) {
    std::string text;
    Bytes rest = AsBytes(buffer);
    while (!rest.empty()) {
      const char type = static_cast<char>(rest[0]);
      const uint32_t length = LoadBig32(rest.data() + 1);
      if (!text.empty()) text += ' ';
      text += type;
      const std::string body = Body(type, rest.subspan(kMessageHeaderBytes, length - 4));
      if (!body.empty()) text += ":" + body;
      rest = rest.subspan(1 + length);
    }
    return text;
  }

 private:
  static std::string Body(char type, Bytes bytes) {
    MessageReader body(bytes);
    switch (type) {
      case backend::kErrorResponse:
        return ParseErrorBody(bytes).sqlstate;
      case backend::kNoticeResponse:
        return ParseErrorBody(bytes).message;
      case backend::kCommandComplete:
        return std::string(body.String());
      case backend::kReadyForQuery:
        return std::string(AsText(bytes));
      case backend::kRowDescription:
        return Names(body);
      case backend::kDataRow:
        return Values(body);
      default:
        return "";
    }
  }

  static std::string Names(MessageReader body) {
    std::string text;
    for (uint16_t left = body.Int16(); left > 0; --left) {
      if (!text.empty()) text += ',';
      text += body.String();
      body.Take(16);
      if (body.Int16() == 1) text += '*';  // binary
    }
    return text;
  }

  static std::string Values(MessageReader body) {
    std::string text;
    for (uint16_t left = body.Int16(); left > 0; --left) {
      if (!text.empty()) text += ',';
      const uint32_t size = body.Int32();
      text += size == UINT32_MAX ? "~" : std::string(AsText(body.Take(size)));
    }
    return text;
  }
};

FleetSnapshot Fleet() {
  FleetSnapshot fleet;
  fleet.facts.version = "1.2.3";
  fleet.facts.settings = {{"k1", "v1", "d1"}, {"k2", "v2", "d2"}, {"k3", "v3", "d3"}};
  return fleet;
}

// A client of the console: messages in, summaries out. Snapshots are answered at once.
class Client {
 public:
  explicit Client(ConsoleRole role = ConsoleRole::kAdmin) : console_(role) {}

  Client& Send(char type, const std::string& body) {
    const Console::Step step = console_.OnMessage(writer_, type, AsBytes(body));
    Follow(step);
    return *this;
  }
  Client& Query(const std::string& text) { return Send('Q', text + "\0"s); }
  Client& Parse(const std::string& name, const std::string& text) {
    return Send('P', name + "\0"s + text + "\0\0\0"s);
  }
  Client& Bind(const std::string& portal, const std::string& statement,
               const std::string& formats = "\0\0"s) {
    return Send('B', portal + "\0"s + statement + "\0\0\0\0\0"s + formats);
  }
  Client& Describe(char what, const std::string& name) { return Send('D', what + name + "\0"s); }
  Client& Execute(const std::string& portal, char rows_max = 0) {
    return Send('E', portal + "\0\0\0\0"s + rows_max);
  }
  Client& Close(char what, const std::string& name) { return Send('C', what + name + "\0"s); }
  Client& Sync() { return Send('S', ""); }

  // What was answered since the last call.
  std::string Take() {
    const std::string summary = Answer::Summary(buffer_);
    buffer_.clear();
    return summary;
  }

  std::string buffer_;
  MessageWriter writer_{buffer_};
  Console console_;
  Console::Step last_;
  SnapshotParts asked_;

 private:
  void Follow(Console::Step step) {
    last_ = step;
    if (step.kind != StepKind::kNeedsSnapshot) return;
    asked_ = step.parts;
    last_ = console_.OnSnapshot(writer_, Fleet());
  }
};

TEST(Console, AnswersASimpleQuery) {
  Client client;
  EXPECT_EQ(client.Query("SHOW VERSION;").Take(), "T:version D:Trireme 1.2.3 C:SHOW Z:I");
  EXPECT_EQ(client.Query("show config").Take(),
            "T:key,value,default,changeable D:k1,v1,d1,no D:k2,v2,d2,no D:k3,v3,d3,no C:SHOW Z:I");
  EXPECT_EQ(client.Query("SHOW STATS_TOTALS").Take().substr(0, 12), "T:database,s");
}

TEST(Console, AsksForWhatAViewNeeds) {
  struct Case {
    const char* query;
    SnapshotParts parts;
  };
  const Case cases[] = {
      {"SHOW POOLS", {.pools = true}},     {"SHOW CLIENTS", {.clients = true}},
      {"SHOW SERVERS", {.servers = true}}, {"SHOW STATS", {.stats = true}},
      {"SHOW SHARDS", {.shards = true}},   {"SHOW LISTS", {.pools = true, .lists = true}},
      {"SHOW MEM", {.memory = true}},      {"SHOW VERSION", {}},
      {"SHOW DATABASES", {.pools = true}}, {"SHOW USERS", {.clients = true, .servers = true}},
  };
  for (const Case& c : cases) {
    Client client;
    client.Query(c.query);
    EXPECT_EQ(client.asked_, c.parts) << c.query;
  }
}

TEST(Console, AnswersWhatDriversSayUnasked) {
  Client client;
  EXPECT_EQ(client.Query("").Take(), "I Z:I");
  EXPECT_EQ(client.Query("SET extra_float_digits = 3").Take(), "N:SET ignored C:SET Z:I");
  EXPECT_EQ(client.Query("SHOW client_encoding").Take(), "T:client_encoding D:UTF-8 C:SHOW Z:I");
  EXPECT_EQ(client.Query("SHOW TimeZone").Take(), "T:timezone D:GMT C:SHOW Z:I");
  EXPECT_EQ(client.Query("SHOW HELP").Take(), "N:Console usage C:SHOW Z:I");
}

TEST(Console, NamesEveryViewInItsHelp) {
  Client client;
  client.Query("SHOW HELP");
  const PgError notice = ParseErrorBody(AsBytes(client.buffer_).subspan(kMessageHeaderBytes));
  EXPECT_EQ(notice.severity, "NOTICE");
  for (const char* name : {"POOLS", "SHARDS", "STATS_AVERAGES", "VERSION", "SHOW HELP"}) {
    EXPECT_NE(notice.detail.find(name), std::string::npos) << name;
  }
}

TEST(Console, ReportsErrorsAndGoesOn) {
  Client client(ConsoleRole::kStats);
  EXPECT_EQ(client.Query("nonsense").Take(), "E:42601 Z:I");
  EXPECT_EQ(client.Query("RELOAD").Take(), "E:42501 Z:I");
  EXPECT_EQ(client.Send('Q', "SHOW VERSION").Take(), "E:08P01 Z:I");  // no zero at its end
  EXPECT_EQ(client.Send('Q', "SHOW\0VERSION\0"s).Take(), "E:08P01 Z:I");
  EXPECT_EQ(client.Send('F', "").Take(), "E:0A000 Z:I");
  EXPECT_EQ(client.Query("SHOW VERSION").Take(), "T:version D:Trireme 1.2.3 C:SHOW Z:I");
}

TEST(Console, SpeaksTheExtendedProtocolAsDriversDo) {
  Client client;
  // pgjdbc, npgsql: unnamed statement and portal, described as a portal.
  EXPECT_EQ(
      client.Parse("", "SHOW VERSION").Bind("", "").Describe('P', "").Execute("").Sync().Take(),
      "1 2 T:version D:Trireme 1.2.3 C:SHOW Z:I");
  // asyncpg, pgx: named statement, described first, executed later and again.
  EXPECT_EQ(client.Parse("s", "SHOW CONFIG").Describe('S', "s").Sync().Take(),
            "1 t T:key,value,default,changeable Z:I");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(client.Bind("", "s").Execute("").Sync().Take(),
              "2 D:k1,v1,d1,no D:k2,v2,d2,no D:k3,v3,d3,no C:SHOW Z:I");
  }
  EXPECT_EQ(client.Close('S', "s").Sync().Take(), "3 Z:I");
  EXPECT_EQ(client.Bind("", "s").Sync().Take(), "E:26000 Z:I");
}

TEST(Console, DescribesCommandsWithoutRowsAsNoData) {
  Client client;
  EXPECT_EQ(client.Parse("", "SET a = b")
                .Describe('S', "")
                .Bind("", "")
                .Describe('P', "")
                .Execute("")
                .Sync()
                .Take(),
            "1 t n 2 n N:SET ignored C:SET Z:I");
  EXPECT_EQ(client.Parse("", "").Bind("", "").Describe('P', "").Execute("").Sync().Take(),
            "1 2 n I Z:I");
  EXPECT_EQ(client.Parse("", "SHOW HELP").Bind("", "").Execute("").Sync().Take(),
            "1 2 N:Console usage C:SHOW Z:I");
  EXPECT_EQ(
      client.Parse("", "SHOW datestyle").Bind("", "").Describe('P', "").Execute("").Sync().Take(),
      "1 2 T:datestyle D:ISO C:SHOW Z:I");
}

TEST(Console, HonoursRowLimits) {
  Client client;
  EXPECT_EQ(client.Parse("", "SHOW CONFIG").Bind("p", "").Execute("p", 2).Execute("p", 2).Take(),
            "1 2 D:k1,v1,d1,no D:k2,v2,d2,no s D:k3,v3,d3,no C:SHOW");
  EXPECT_EQ(client.Execute("p").Sync().Take(), "C:SHOW Z:I");
  EXPECT_EQ(client.Bind("p", "").Execute("p", 3).Execute("p", 3).Sync().Take(),
            "2 D:k1,v1,d1,no D:k2,v2,d2,no D:k3,v3,d3,no s C:SHOW Z:I");
}

TEST(Console, GivesBinaryResultsWhenAsked) {
  Client client;
  EXPECT_EQ(client.Parse("", "SHOW LISTS").Bind("", "", "\0\x01\0\x01"s).Describe('P', "").Take(),
            "1 2 T:list*,items*");
  EXPECT_EQ(client.Execute("").Take().substr(0, 16), "D:databases,\0\0\0\0"s);
  client.Sync().Take();
  EXPECT_EQ(client.Bind("", "", "\0\x02\0\0\0\x01"s).Describe('P', "").Sync().Take(),
            "2 T:list,items* Z:I");
  EXPECT_EQ(client.Bind("", "", "\0\x03\0\0\0\0\0\0"s).Sync().Take(), "E:08P01 Z:I");
  EXPECT_EQ(client.Bind("", "", "\0\x01\0\x02"s).Sync().Take(), "E:22023 Z:I");
}

TEST(Console, SkipsEverythingBetweenAnErrorAndSync) {
  Client client;
  EXPECT_EQ(client.Parse("", "nonsense")
                .Bind("", "")
                .Describe('P', "")
                .Execute("")
                .Close('S', "")
                .Query("SHOW VERSION")
                .Send('H', "")
                .Send('F', "")
                .Take(),
            "E:42601");
  EXPECT_EQ(client.Sync().Take(), "Z:I");
  EXPECT_EQ(client.Query("SHOW VERSION").Take(), "T:version D:Trireme 1.2.3 C:SHOW Z:I");
}

TEST(Console, UsesPostgresErrorsForNames) {
  Client client;
  EXPECT_EQ(client.Execute("nope").Sync().Take(), "E:34000 Z:I");
  EXPECT_EQ(client.Describe('P', "nope").Sync().Take(), "E:34000 Z:I");
  EXPECT_EQ(client.Describe('S', "nope").Sync().Take(), "E:26000 Z:I");
  EXPECT_EQ(client.Parse("a", "SHOW MEM").Parse("a", "SHOW MEM").Sync().Take(), "1 E:42P05 Z:I");
  EXPECT_EQ(client.Bind("p", "a").Bind("p", "a").Sync().Take(), "2 E:42P03 Z:I");
  EXPECT_EQ(client.Bind("p", "a").Sync().Execute("p").Sync().Take(), "2 Z:I E:34000 Z:I");
  EXPECT_EQ(client.Close('S', "never").Close('P', "never").Sync().Take(), "3 3 Z:I");
  EXPECT_EQ(client.Parse("", "SHOW MEM").Query("").Bind("", "").Sync().Take(),
            "1 I Z:I E:26000 Z:I");
}

TEST(Console, RefusesParametersItDoesNotHave) {
  Client client;
  client.Parse("", "SHOW MEM").Send('B', "\0\0\0\0\0\x01\0\0\0\x01x\0\0"s).Sync();
  EXPECT_EQ(client.Take(), "1 E:08P01 Z:I");
}

TEST(Console, KeepsABoundedNumberOfStatementsAndPortals) {
  Client client;
  for (size_t i = 0; i < Console::kStatementsMax; ++i) {
    EXPECT_EQ(client.Parse("s" + std::to_string(i), "SHOW MEM").Take(), "1");
    EXPECT_EQ(client.Bind("p" + std::to_string(i), "s0").Take(), "2");
  }
  EXPECT_EQ(client.Bind("one more", "s0").Sync().Take(), "E:53400 Z:I");
  EXPECT_EQ(client.Parse("one more", "SHOW MEM").Sync().Take(), "E:53400 Z:I");
  EXPECT_EQ(client.Close('S', "s0").Parse("one more", "SHOW MEM").Sync().Take(), "3 1 Z:I");
}

TEST(Console, PassesOverTheRestOfACopy) {
  Client client;
  EXPECT_EQ(client.Send('d', "x").Send('c', "").Send('f', "x\0"s).Send('H', "").Take(), "");
  EXPECT_EQ(client.last_.kind, StepKind::kDone);
}

TEST(Console, ClosesOnGoodbyeAndOnWhatIsNoMessage) {
  Client client;
  client.Send('X', "");
  EXPECT_EQ(client.last_.kind, StepKind::kClose);
  EXPECT_EQ(client.Take(), "");
  Client other;
  EXPECT_EQ(other.Send('p', "x\0"s).Take(), "E:08P01");
  EXPECT_EQ(other.last_.kind, StepKind::kClose);
  EXPECT_NE(other.Send('\0', "").last_.kind, StepKind::kNeedsSnapshot);
}

TEST(Console, GreetsAsPgBouncerDoes) {
  std::string buffer;
  MessageWriter writer(buffer);
  WriteConsoleParameters(writer, "1.2.3");
  const std::string expected =
      "S\0\0\0\x21server_version\0"
      "1.2.3/bouncer\0"
      "S\0\0\0\x19"
      "client_encoding\0UTF8\0"s;
  EXPECT_EQ(buffer.substr(0, expected.size()), expected);
  EXPECT_EQ(std::count(buffer.begin(), buffer.end(), 'S') > 6, true);
}

// Every Query and every Sync is answered by one ReadyForQuery, whatever comes between.
TEST(Console, KeepsItsPromisesUnderGarbage) {
  Random random(17);
  const std::string types = "QPBDECSHFdcf";
  const std::string bodies[] = {"\0"s,
                                "SHOW LISTS\0"s,
                                "\0SHOW LISTS\0\0\0"s,
                                "\0\0\0\0\0\0\0\0"s,
                                "P\0"s,
                                "S\0"s,
                                "\0\0\0\0\0"s,
                                "\0\0\0\0\x02"s,
                                ""s,
                                "s\0SHOW CONFIG\0\0\x01\0\0\0\x17"s};
  for (int round = 0; round < 300; ++round) {
    Client client;
    bool skipping = false;
    for (int count = 0; count < 30; ++count) {
      const char type = types[random.Below(types.size())];
      std::string body = bodies[random.Below(std::size(bodies))];
      if (random.Below(4) == 0) body.resize(random.Below(body.size() + 2));
      const std::string answer = client.Send(type, body).Take();
      ASSERT_EQ(client.last_.kind, StepKind::kDone);
      const bool promised = type == 'S' || ((type == 'Q' || type == 'F') && !skipping);
      ASSERT_EQ(answer.ends_with("Z:I"), promised) << type << " → " << answer;
      if (type == 'S') skipping = false;
      if (type != 'Q' && type != 'F' && answer.find("E:") == 0) skipping = true;
    }
  }
}

}  // namespace
}  // namespace trireme
