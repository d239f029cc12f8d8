// SPDX-License-Identifier: GPL-3.0-or-later
//
// Session parameters on the wire: which ones a server reports, how to set one by SQL so that no
// value can be anything but a value, and the small server messages of a login. Pure functions;
// views point into the given bytes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire/messages.h"

namespace trireme {

// Parameters a server reports by ParameterStatus (GUC_REPORT) up to PostgreSQL 18. Settable ones
// may be part of a client's wish; the others are facts about the server.
struct ReportedParameter {
  std::string_view name;
  bool settable;
};
inline constexpr std::array kReportedParameters = std::to_array<ReportedParameter>({
    {"application_name", true},
    {"client_encoding", true},
    {"DateStyle", true},
    {"default_transaction_read_only", true},
    {"in_hot_standby", false},
    {"integer_datetimes", false},
    {"IntervalStyle", true},
    {"is_superuser", false},
    {"scram_iterations", true},
    {"search_path", true},
    {"server_encoding", false},
    {"server_version", false},
    {"session_authorization", false},
    {"standard_conforming_strings", true},
    {"TimeZone", true},
});

// The entry for a name in any spelling of its case, with the server's spelling; nullptr = not
// reported.
const ReportedParameter* FindReportedParameter(std::string_view name);

// Appends `SET "name" TO 'value';`. Dotted names are quoted part by part. Values of parameters that
// hold a list of names (search_path ...) are taken apart and written name by name, because the
// server would take one literal for one name. False, and nothing appended: such a value is no list,
// and the server would have refused it too (22023).
[[nodiscard]] bool AppendSet(std::string& sql, ParameterView parameter);

// The same, to the letter: a list of names as it was written, where SET would have the server write
// it anew (`a,b` as `a, b`), and what is no list is refused with the server's own error. Such a
// list is set by set_config(), whose row is nobody's.
void AppendExactSet(std::string& sql, ParameterView parameter);

// Appends `RESET "name";`.
void AppendReset(std::string& sql, std::string_view name);

// 'text', or E'text' when it holds a backslash: right under either setting of
// standard_conforming_strings.
void AppendLiteral(std::string& sql, std::string_view text);

// "text", quote characters doubled.
void AppendIdentifier(std::string& sql, std::string_view text);

// Bodies of server messages, without their headers. nullopt = malformed.
std::optional<ParameterView> ParseParameterStatus(Bytes body);
std::optional<TransactionStatus> ParseReadyForQuery(Bytes body);
std::optional<std::string_view> ParseCommandComplete(Bytes body);

struct BackendKeyView {
  uint32_t process_id = 0;
  Bytes key;  // 4 to 256 bytes
};
std::optional<BackendKeyView> ParseBackendKeyData(Bytes body);

struct AuthenticationRequest {
  AuthenticationCode code = AuthenticationCode::kOk;  // may be a value we do not know
  std::array<std::byte, 4> md5_salt{};                // kMd5Password
  std::vector<std::string_view> mechanisms;           // kSasl
  Bytes data;                                         // kSaslContinue, kSaslFinal, GSSAPI
};
std::optional<AuthenticationRequest> ParseAuthentication(Bytes body);

struct NegotiatedVersion {
  uint32_t version = 0;
  std::vector<std::string_view> unknown_options;
};
std::optional<NegotiatedVersion> ParseNegotiateProtocolVersion(Bytes body);

}  // namespace trireme
