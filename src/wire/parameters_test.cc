// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/parameters.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/command.h"
#include "wire/writer.h"

namespace trireme {
namespace {

using std::string_literals::operator""s;

std::string Set(std::string_view name, std::string_view value) {
  std::string sql;
  EXPECT_TRUE(AppendSet(sql, {.name = name, .value = value})) << value;
  return sql;
}

TEST(SetParameter, QuotesNameAndValue) {
  EXPECT_EQ(Set("TimeZone", "Europe/Berlin"), R"(SET "TimeZone" TO 'Europe/Berlin';)");
  EXPECT_EQ(Set("DateStyle", "ISO, MDY"), R"(SET "DateStyle" TO 'ISO, MDY';)");
  EXPECT_EQ(Set("application_name", ""), R"(SET "application_name" TO '';)");
  EXPECT_EQ(Set("application_name", "a'; DROP TABLE x --"),
            R"(SET "application_name" TO 'a''; DROP TABLE x --';)");
  EXPECT_EQ(Set("my.set\"ting", "1"), R"(SET "my"."set""ting" TO '1';)");
}

TEST(SetParameter, WritesListsOfNamesNameByName) {
  struct Case {
    const char* value;
    const char* expected;
  };
  const Case cases[] = {
      {"", R"(SET "search_path" TO '';)"},
      {"public", R"(SET "search_path" TO 'public';)"},
      {"\"$user\", public", R"(SET "search_path" TO '$user', 'public';)"},
      {" A ,\"B\" , \"c\"\"d\"", R"(SET "search_path" TO 'a', 'B', 'c"d';)"},
      {"\"a'b, c\"", R"(SET "search_path" TO 'a''b, c';)"},
      {"\"\"", R"(SET "search_path" TO '';)"},
  };
  for (const Case& c : cases) EXPECT_EQ(Set("search_path", c.value), c.expected);
  EXPECT_EQ(Set("SEARCH_PATH", "a,b"), R"(SET "SEARCH_PATH" TO 'a', 'b';)");
}

TEST(SetParameter, RefusesAListTheServerWouldRefuse) {
  for (const char* bad : {"a,", ",a", "a b", "\"a", "a,,b", "\"a\"b", ","}) {
    std::string sql = "kept";
    EXPECT_FALSE(AppendSet(sql, {.name = "search_path", .value = bad})) << bad;
    EXPECT_EQ(sql, "kept");
  }
}

TEST(SetParameter, KeepsAListToTheLetter) {
  const auto exactly = [](std::string_view name, std::string_view value) {
    std::string sql;
    AppendExactSet(sql, {.name = name, .value = value});
    return sql;
  };
  EXPECT_EQ(exactly("search_path", "a,\"B'c\""),
            R"(SELECT pg_catalog.set_config('search_path', 'a,"B''c"', false);)");
  EXPECT_EQ(exactly("temp_tablespaces", ""),
            "SELECT pg_catalog.set_config('temp_tablespaces', '', false);");
  EXPECT_EQ(exactly("DateStyle", "iso,dmy"), "SET \"DateStyle\" TO 'iso,dmy';");
}

TEST(SetParameter, ResetsByName) {
  std::string sql;
  AppendReset(sql, "search_path");
  AppendReset(sql, "my.own");
  EXPECT_EQ(sql, R"(RESET "search_path";RESET "my"."own";)");
}

TEST(Literal, UsesEscapesOnlyForBackslashes) {
  const auto literal = [](std::string_view text) {
    std::string sql;
    AppendLiteral(sql, text);
    return sql;
  };
  EXPECT_EQ(literal("plain"), "'plain'");
  EXPECT_EQ(literal("it's"), "'it''s'");
  EXPECT_EQ(literal("a\\b"), R"(E'a\\b')");
  EXPECT_EQ(literal("\\'"), R"(E'\\''')");
  EXPECT_EQ(literal("\x83\\"), "E'\x83\\x5C'");  // SJIS: one character, must not eat the quote
}

// Whatever is quoted reads back as itself, and nothing of it gets outside the quotes.
TEST(Literal, NeverLetsAValueOut) {
  Random random(3);
  const std::string_view alphabet = "'\\\"; -/*aE\n\x83\xff";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t left = random.Below(12); left > 0; --left) {
      text += alphabet[random.Below(alphabet.size())];
    }
    std::string sql;
    AppendLiteral(sql, text);
    std::string read;
    std::string_view rest = sql;
    const bool escapes = rest.starts_with('E');
    if (escapes) rest.remove_prefix(1);
    ASSERT_TRUE(rest.starts_with('\''));
    rest.remove_prefix(1);
    for (;;) {
      ASSERT_FALSE(rest.empty()) << sql;
      if (rest.starts_with("''")) {
        read += '\'';
        rest.remove_prefix(2);
      } else if (rest.starts_with('\'')) {
        break;
      } else if (escapes && rest.starts_with("\\x5C")) {
        read += '\\';
        rest.remove_prefix(4);
      } else if (escapes && rest.starts_with('\\')) {
        ASSERT_TRUE(rest.starts_with("\\\\")) << sql;
        read += '\\';
        rest.remove_prefix(2);
      } else {
        ASSERT_NE(rest.front(), '\\') << sql;
        read += rest.front();
        rest.remove_prefix(1);
      }
    }
    ASSERT_EQ(rest, "'");
    ASSERT_EQ(read, text);
  }
}

TEST(ReportedParameters, AreFoundInAnySpelling) {
  ASSERT_NE(FindReportedParameter("timezone"), nullptr);
  EXPECT_EQ(FindReportedParameter("timezone")->name, "TimeZone");
  EXPECT_TRUE(FindReportedParameter("DATESTYLE")->settable);
  EXPECT_FALSE(FindReportedParameter("server_version")->settable);
  EXPECT_EQ(FindReportedParameter("work_mem"), nullptr);
}

TEST(ServerMessages, AreReadWhole) {
  EXPECT_EQ(ParseParameterStatus(AsBytes("a\0b\0"s)), (ParameterView{"a", "b"}));
  EXPECT_EQ(ParseParameterStatus(AsBytes("a\0\0"s)), (ParameterView{"a", ""}));
  EXPECT_EQ(ParseReadyForQuery(AsBytes("T")), TransactionStatus::kInTransaction);
  EXPECT_EQ(ParseCommandComplete(AsBytes("DISCARD ALL\0"s)), "DISCARD ALL");
  const std::string key_body = "\0\0\x01\0secret"s;
  const std::optional<BackendKeyView> key = ParseBackendKeyData(AsBytes(key_body));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->process_id, 256u);
  EXPECT_EQ(AsText(key->key), "secret");
  const std::string sasl_body = "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s;
  const std::optional<AuthenticationRequest> sasl = ParseAuthentication(AsBytes(sasl_body));
  ASSERT_TRUE(sasl);
  EXPECT_EQ(sasl->code, AuthenticationCode::kSasl);
  EXPECT_EQ(sasl->mechanisms,
            (std::vector<std::string_view>{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}));
  const std::optional<AuthenticationRequest> md5 = ParseAuthentication(AsBytes("\0\0\0\x05salt"s));
  ASSERT_TRUE(md5);
  EXPECT_EQ(AsText(md5->md5_salt), "salt");
  const std::string final_body = "\0\0\0\x0cv=x"s;
  EXPECT_EQ(AsText(ParseAuthentication(AsBytes(final_body))->data), "v=x");
  const std::string version_body = "\0\x03\0\0\0\0\0\x01_pq_.x\0"s;
  const std::optional<NegotiatedVersion> version =
      ParseNegotiateProtocolVersion(AsBytes(version_body));
  ASSERT_TRUE(version);
  EXPECT_EQ(version->version, kProtocol30);
  EXPECT_EQ(version->unknown_options, (std::vector<std::string_view>{"_pq_.x"}));
}

TEST(ServerMessages, AreRefusedWhenMalformed) {
  for (const std::string& body : {""s, "a"s, "a\0"s, "a\0b"s, "a\0b\0c"s, "\0b\0"s}) {
    EXPECT_FALSE(ParseParameterStatus(AsBytes(body))) << testing::PrintToString(body);
  }
  for (const std::string& body : {""s, "X"s, "II"s})
    EXPECT_FALSE(ParseReadyForQuery(AsBytes(body)));
  for (const std::string& body : {""s, "x"s, "x\0y"s}) {
    EXPECT_FALSE(ParseCommandComplete(AsBytes(body)));
  }
  EXPECT_FALSE(
      ParseBackendKeyData(AsBytes("\0\0\0\x01"
                                  "abc"s)));
  EXPECT_FALSE(ParseBackendKeyData(AsBytes("\0\0\0\x01"s + std::string(257, 'k'))));
  for (const std::string& body : {""s, "\0\0\0"s, "\0\0\0\x05sal"s, "\0\0\0\x05salty"s,
                                  "\0\0\0\x0aSCRAM"s, "\0\0\0\x0aSCRAM\0"s, "\0\0\0\x0a\0x"s}) {
    EXPECT_FALSE(ParseAuthentication(AsBytes(body))) << testing::PrintToString(body);
  }
  for (const std::string& body : {""s, "\0\x03\0\0"s, "\0\x03\0\0\xff\xff\xff\xff"s,
                                  "\0\x03\0\0\0\0\0\x02x\0"s, "\0\x03\0\0\0\0\0\0x"s}) {
    EXPECT_FALSE(ParseNegotiateProtocolVersion(AsBytes(body))) << testing::PrintToString(body);
  }
}

TEST(ServerMessages, SurviveGarbage) {
  Random random(5);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> body(random.Below(24));
    for (std::byte& byte : body) {
      byte = static_cast<std::byte>(random.Below(3) ? random.Below(13) : random.Next());
    }
    (void)ParseParameterStatus(body);
    (void)ParseReadyForQuery(body);
    (void)ParseCommandComplete(body);
    (void)ParseBackendKeyData(body);
    (void)ParseAuthentication(body);
    (void)ParseNegotiateProtocolVersion(body);
  }
}

}  // namespace
}  // namespace trireme
