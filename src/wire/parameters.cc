// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/parameters.h"

#include <algorithm>

#include "base/assert.h"
#include "wire/command.h"
#include "wire/reader.h"

namespace trireme {
namespace {

// The parameters marked GUC_LIST_QUOTE in the server that a session can set.
constexpr std::array<std::string_view, 2> kNameLists = {"search_path", "temp_tablespaces"};

bool IsNameList(std::string_view name) {
  return std::any_of(kNameLists.begin(), kNameLists.end(),
                     [name](std::string_view list) { return EqualsIgnoreCase(list, name); });
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void SkipSpace(std::string_view& text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
}

// One name from the front of a list; nullopt = malformed. Unquoted names are folded to lower case.
std::optional<std::string> TakeName(std::string_view& rest) {
  if (rest.empty()) return std::nullopt;
  if (rest.front() != '"') {
    const auto end =
        std::find_if(rest.begin(), rest.end(), [](char c) { return c == ',' || IsSpace(c); });
    const std::string_view name = rest.substr(0, static_cast<size_t>(end - rest.begin()));
    if (name.empty()) return std::nullopt;
    rest.remove_prefix(name.size());
    return AsciiLower(name);
  }
  std::string name;
  for (size_t at = 1; at < rest.size(); ++at) {
    if (rest[at] != '"') {
      name.push_back(rest[at]);
    } else if (at + 1 < rest.size() && rest[at + 1] == '"') {
      name.push_back(rest[at++]);
    } else {
      rest.remove_prefix(at + 1);
      return name;
    }
  }
  return std::nullopt;
}

// The server's SplitIdentifierString: names between commas, quoted or not, spaces around them.
std::optional<std::vector<std::string>> SplitNames(std::string_view rest) {
  std::vector<std::string> names;
  SkipSpace(rest);
  if (rest.empty()) return names;
  for (;;) {
    std::optional<std::string> name = TakeName(rest);
    if (!name) return std::nullopt;
    names.push_back(std::move(*name));
    SkipSpace(rest);
    if (rest.empty()) return names;
    if (rest.front() != ',') return std::nullopt;
    rest.remove_prefix(1);
    SkipSpace(rest);
  }
}

void AppendParameterName(std::string& sql, std::string_view name) {
  for (;;) {
    const size_t dot = name.find('.');
    AppendIdentifier(sql, name.substr(0, dot));
    if (dot == std::string_view::npos) return;
    sql += '.';
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

const ReportedParameter* FindReportedParameter(std::string_view name) {
  for (const ReportedParameter& parameter : kReportedParameters) {
    if (EqualsIgnoreCase(parameter.name, name)) return &parameter;
  }
  return nullptr;
}

bool AppendSet(std::string& sql, ParameterView parameter) {
  std::vector<std::string> names;
  if (IsNameList(parameter.name)) {
    std::optional<std::vector<std::string>> split = SplitNames(parameter.value);
    if (!split) return false;
    names = std::move(*split);
  }
  sql += "SET ";
  AppendParameterName(sql, parameter.name);
  sql += " TO ";
  if (names.empty()) {
    AppendLiteral(sql, parameter.value);
  } else {
    for (size_t i = 0; i < names.size(); ++i) {
      if (i > 0) sql += ", ";
      AppendLiteral(sql, names[i]);
    }
  }
  sql += ';';
  return true;
}

void AppendExactSet(std::string& sql, ParameterView parameter) {
  if (!IsNameList(parameter.name)) {
    const bool set = AppendSet(sql, parameter);
    TRIREME_ASSERT(set);
    return;
  }
  sql += "SELECT pg_catalog.set_config(";
  AppendLiteral(sql, parameter.name);
  sql += ", ";
  AppendLiteral(sql, parameter.value);
  sql += ", false);";
}

void AppendReset(std::string& sql, std::string_view name) {
  sql += "RESET ";
  AppendParameterName(sql, name);
  sql += ';';
}

// In some client encodings (SJIS, BIG5, GBK ...) the byte 0x5c may be the second half of a
// character. Doubled there, it would escape our closing quote. Behind a byte above 127 a backslash
// is therefore written as \x5C, which is right in every encoding that embeds ASCII and harmless in
// the others.
void AppendLiteral(std::string& sql, std::string_view text) {
  if (text.find('\\') != std::string_view::npos) sql += 'E';
  sql += '\'';
  char before = 0;
  for (const char c : text) {
    if (c == '\\' && static_cast<unsigned char>(before) > 127) {
      sql += "\\x5C";
    } else {
      if (c == '\'' || c == '\\') sql += c;
      sql += c;
    }
    before = c;
  }
  sql += '\'';
}

void AppendIdentifier(std::string& sql, std::string_view text) {
  sql += '"';
  for (const char c : text) {
    if (c == '"') sql += c;
    sql += c;
  }
  sql += '"';
}

std::optional<ParameterView> ParseParameterStatus(Bytes body) {
  MessageReader reader(body);
  ParameterView parameter;
  parameter.name = reader.String();
  parameter.value = reader.String();
  if (!reader.AtEnd() || parameter.name.empty()) return std::nullopt;
  return parameter;
}

std::optional<TransactionStatus> ParseReadyForQuery(Bytes body) {
  if (body.size() != 1) return std::nullopt;
  switch (static_cast<char>(body[0])) {
    case static_cast<char>(TransactionStatus::kIdle):
      return TransactionStatus::kIdle;
    case static_cast<char>(TransactionStatus::kInTransaction):
      return TransactionStatus::kInTransaction;
    case static_cast<char>(TransactionStatus::kFailed):
      return TransactionStatus::kFailed;
    default:
      return std::nullopt;
  }
}

std::optional<std::string_view> ParseCommandComplete(Bytes body) {
  MessageReader reader(body);
  const std::string_view tag = reader.String();
  if (!reader.AtEnd()) return std::nullopt;
  return tag;
}

std::optional<BackendKeyView> ParseBackendKeyData(Bytes body) {
  MessageReader reader(body);
  BackendKeyView key;
  key.process_id = reader.Int32();
  key.key = reader.TakeRest();
  if (!reader.ok() || key.key.size() < kCancelKeyBytesMin || key.key.size() > kCancelKeyBytesMax) {
    return std::nullopt;
  }
  return key;
}

std::optional<AuthenticationRequest> ParseAuthentication(Bytes body) {
  MessageReader reader(body);
  AuthenticationRequest request;
  request.code = static_cast<AuthenticationCode>(reader.Int32());
  if (!reader.ok()) return std::nullopt;
  if (request.code == AuthenticationCode::kMd5Password) {
    const Bytes salt = reader.Take(request.md5_salt.size());
    std::copy(salt.begin(), salt.end(), request.md5_salt.begin());
  } else if (request.code == AuthenticationCode::kSasl) {
    for (;;) {
      const std::string_view mechanism = reader.String();
      if (!reader.ok()) return std::nullopt;
      if (mechanism.empty()) break;
      request.mechanisms.push_back(mechanism);
    }
  } else {
    request.data = reader.TakeRest();
  }
  if (!reader.AtEnd()) return std::nullopt;
  return request;
}

std::optional<NegotiatedVersion> ParseNegotiateProtocolVersion(Bytes body) {
  MessageReader reader(body);
  NegotiatedVersion negotiated;
  negotiated.version = reader.Int32();
  const uint32_t count = reader.Int32();
  if (count > reader.left()) return std::nullopt;  // each option has one byte at least
  for (uint32_t i = 0; i < count; ++i) negotiated.unknown_options.push_back(reader.String());
  if (!reader.AtEnd()) return std::nullopt;
  return negotiated;
}

}  // namespace trireme
