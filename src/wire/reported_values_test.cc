// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/reported_values.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

struct Case {
  const char* name;
  const char* wanted;
  const char* reported;
};

ParameterSet Server(std::string_view version = "15.4", std::string_view date_style = "ISO, MDY") {
  ParameterSet server;
  server.Set("server_version", version);
  server.Set("DateStyle", date_style);
  return server;
}

// Each line was asked of PostgreSQL 15; test/e2e compares some of them with it again.
TEST(ReportedValue, IsSpelledAsPostgresSpellsIt) {
  const Case cases[] = {
      {"client_encoding", "utf8", "UTF8"},
      {"client_encoding", "utf-8", "UTF8"},
      {"client_encoding", "'UTF-8'", "UTF8"},
      {"CLIENT_ENCODING", "Unicode", "UTF8"},
      {"client_encoding", "UNICODE", "UNICODE"},
      {"client_encoding", "latin-1", "LATIN1"},
      {"client_encoding", "ISO-8859-1", "LATIN1"},
      {"client_encoding", "ISO_8859-15", "LATIN9"},
      {"client_encoding", "iso-8859-5", "ISO_8859_5"},
      {"client_encoding", "windows-1252", "WIN1252"},
      {"client_encoding", "win", "WIN1251"},
      {"client_encoding", "Windows-949", "UHC"},
      {"client_encoding", "koi8", "KOI8R"},
      {"client_encoding", "shift_jis", "SJIS"},
      {"client_encoding", "shift_jis_2004", "SHIFT_JIS_2004"},
      {"client_encoding", "sql_ascii", "SQL_ASCII"},
      {"client_encoding", "windows", "windows"},
      {"client_encoding", "klingon", "klingon"},
      {"client_encoding", "", ""},

      {"DateStyle", "iso", "ISO, MDY"},
      {"datestyle", "ISO", "ISO, MDY"},
      {"DateStyle", "iso, dmy", "ISO, DMY"},
      {"DateStyle", "dmy,iso", "ISO, DMY"},
      {"DateStyle", " Sql ,\tYMD ", "SQL, YMD"},
      {"DateStyle", "german", "German, DMY"},
      {"DateStyle", "german, mdy", "German, MDY"},
      {"DateStyle", "mdy, german", "German, MDY"},
      {"DateStyle", "postgresql", "Postgres, MDY"},
      {"DateStyle", "european", "ISO, DMY"},
      {"DateStyle", "NonEuropean", "ISO, MDY"},
      {"DateStyle", "us", "ISO, MDY"},
      {"DateStyle", "default", "ISO, MDY"},
      {"DateStyle", "default, ymd", "ISO, YMD"},
      {"DateStyle", "", "ISO, MDY"},
      {"DateStyle", "iso, sql", "iso, sql"},
      {"DateStyle", "dmy, mdy", "dmy, mdy"},
      {"DateStyle", "iso,", "iso,"},
      {"DateStyle", "martian", "martian"},

      {"IntervalStyle", "Postgres", "postgres"},
      {"intervalstyle", "ISO_8601", "iso_8601"},
      {"IntervalStyle", "SQL_standard", "sql_standard"},
      {"IntervalStyle", "postgres_VERBOSE", "postgres_verbose"},
      {"IntervalStyle", "iso", "iso"},

      {"standard_conforming_strings", "TRUE", "on"},
      {"standard_conforming_strings", "t", "on"},
      {"standard_conforming_strings", "ye", "on"},
      {"standard_conforming_strings", "On", "on"},
      {"standard_conforming_strings", "1", "on"},
      {"standard_conforming_strings", "0", "off"},
      {"standard_conforming_strings", "of", "off"},
      {"default_transaction_read_only", "n", "off"},
      {"default_transaction_read_only", "FALSE", "off"},
      {"default_transaction_read_only", "o", "o"},
      {"default_transaction_read_only", "2", "2"},
      {"default_transaction_read_only", "", ""},
      {"default_transaction_read_only", "trueish", "trueish"},

      {"TimeZone", "utc", "UTC"},
      {"timezone", "gmt", "GMT"},
      {"TimeZone", "etc/utc", "Etc/UTC"},
      {"TimeZone", "Europe/Berlin", "Europe/Berlin"},

      {"application_name", "caf\xc3\xa9\t1", "caf???1"},
      {"search_path", "Public", "Public"},
      {"enable_seqscan", "TRUE", "TRUE"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ReportedValue({c.name, c.wanted}, Server()), c.reported)
        << c.name << " = " << c.wanted;
  }
}

TEST(ReportedValue, OfADateStyleKeepsWhatTheServerHas) {
  EXPECT_EQ(ReportedValue({"DateStyle", "iso"}, Server("15", "SQL, DMY")), "ISO, DMY");
  EXPECT_EQ(ReportedValue({"DateStyle", "ymd"}, Server("15", "German, DMY")), "German, YMD");
  EXPECT_EQ(ReportedValue({"DateStyle", "default"}, Server("15", "SQL, DMY")), "SQL, DMY");
  EXPECT_EQ(ReportedValue({"DateStyle", "dmy"}, {}), "ISO, DMY");
  EXPECT_EQ(ReportedValue({"DateStyle", "dmy"}, Server("15", "Stardate")), "ISO, DMY");
}

TEST(ReportedValue, OfAnApplicationNameIsEscapedSincePostgres16) {
  const ParameterView wanted{"application_name", "caf\xc3\xa9\n"};
  EXPECT_EQ(ReportedValue(wanted, Server("15.4")), "caf???");
  EXPECT_EQ(ReportedValue(wanted, Server("16beta1")), "caf\\xc3\\xa9\\x0a");
  EXPECT_EQ(ReportedValue(wanted, Server("18.1 (Debian)")), "caf\\xc3\\xa9\\x0a");
  EXPECT_EQ(ReportedValue(wanted, {}), "caf???");
}

TEST(ReportedValue, OfAnApplicationNameIsCutLikeAName) {
  const std::string most(62, 'n');
  EXPECT_EQ(ReportedValue({"application_name", most + "nn"}, Server()), most + "n");
  EXPECT_EQ(ReportedValue({"application_name", most + "\xc3\xa9"}, Server()), most + "?");
  ParameterSet utf8 = Server();
  utf8.Set("server_encoding", "UTF8");
  EXPECT_EQ(ReportedValue({"application_name", most + "\xc3\xa9"}, utf8), most);
  EXPECT_EQ(ReportedValue({"application_name", std::string(100, '\x80')}, utf8), "");
}

TEST(ReportedValue, NeedsNoTrialWhereTheRuleIsFixed) {
  ParameterSet server = Server("15.4");
  server.Set("server_encoding", "UTF8");
  server.Set("TimeZone", "Europe/Berlin");
  server.Set("is_superuser", "off");
  const ParameterView sure[] = {
      {"application_name", "anything \n"},
      {"client_encoding", "latin-1"},
      {"client_encoding", "UNICODE"},
      {"Client_Encoding", "sql_ascii"},
      {"DateStyle", "german"},
      {"IntervalStyle", "ISO_8601"},
      {"timezone", "utc"},
      {"TimeZone", "Europe/Berlin"},
      {"default_transaction_read_only", "1"},
      {"standard_conforming_strings", "true"},
      {"extra_float_digits", "3"},
      {"extra_float_digits", "-15"},
  };
  for (const ParameterView wanted : sure) {
    EXPECT_TRUE(IsSureToBeTaken(wanted, server)) << wanted.name << " " << wanted.value;
  }
  const ParameterView unsure[] = {
      {"client_encoding", "klingon"},
      {"client_encoding", "MULE_INTERNAL"},
      {"DateStyle", "stardate"},
      {"DateStyle", "german, sql"},
      {"IntervalStyle", "long"},
      {"TimeZone", "Asia/Tokyo"},
      {"TimeZone", "europe/berlin"},
      {"default_transaction_read_only", "maybe"},
      {"standard_conforming_strings", "off"},
      {"extra_float_digits", "4"},
      {"extra_float_digits", "+3"},
      {"extra_float_digits", "03"},
      {"extra_float_digits", "3 "},
      {"extra_float_digits", ""},
      {"is_superuser", "off"},  // not to be set, whatever it is
      {"search_path", "public"},
      {"work_mem", "1MB"},
  };
  for (const ParameterView wanted : unsure) {
    EXPECT_FALSE(IsSureToBeTaken(wanted, server)) << wanted.name << " " << wanted.value;
  }
}

TEST(ReportedValue, OfAnEncodingIsSureOnlyWithAConversion) {
  const auto sure = [](std::string_view wanted, std::string_view own) {
    ParameterSet server;
    if (!own.empty()) server.Set("server_encoding", own);
    return IsSureToBeTaken({"client_encoding", wanted}, server);
  };
  EXPECT_TRUE(sure("EUC_JP", "UTF8"));
  EXPECT_TRUE(sure("UTF8", "LATIN1"));
  EXPECT_TRUE(sure("latin1", "LATIN1"));
  EXPECT_TRUE(sure("LATIN1", "SQL_ASCII"));
  EXPECT_FALSE(sure("EUC_JP", "LATIN1"));
  EXPECT_FALSE(sure("UTF8", "MULE_INTERNAL"));
  EXPECT_FALSE(sure("UTF8", ""));
}

TEST(ReportedValue, ReportedAgainStaysAsItIs) {
  for (const ParameterView once :
       {ParameterView{"client_encoding", "UTF8"}, ParameterView{"DateStyle", "German, DMY"},
        ParameterView{"standard_conforming_strings", "off"},
        ParameterView{"IntervalStyle", "iso_8601"}}) {
    EXPECT_EQ(ReportedValue(once, Server()), once.value);
  }
}

}  // namespace
}  // namespace trireme
