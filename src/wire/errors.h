// SPDX-License-Identifier: GPL-3.0-or-later
//
// An error as a PostgreSQL client sees it: what ErrorResponse and NoticeResponse carry. The pooler
// speaks with PostgreSQL's own SQLSTATEs (errcodes.txt), so that drivers react to it as they would
// to the server. Values own their text; any thread.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"

namespace trireme {

// Severities as PostgreSQL writes them. FATAL: the connection ends after it.
namespace severity {
inline constexpr char kNotice[] = "NOTICE";
inline constexpr char kWarning[] = "WARNING";
inline constexpr char kError[] = "ERROR";
inline constexpr char kFatal[] = "FATAL";
inline constexpr char kPanic[] = "PANIC";
}  // namespace severity

struct PgError {
  std::string severity = severity::kError;
  std::string sqlstate = "XX000";
  std::string message;
  std::string detail{};  // "" = none
  std::string hint{};    // "" = none

  bool operator==(const PgError&) const = default;
};

// A value, or the error to send to the peer that gave the bytes. Look with std::get_if.
template <typename T>
using PgResult = std::variant<T, PgError>;

// The body of an ErrorResponse or NoticeResponse (without its header). Never fails: unknown fields
// are passed over, a body that breaks off gives what was complete, missing fields keep the
// defaults. The untranslated severity (V) wins over the translated one (S).
PgError ParseErrorBody(Bytes body);

// "FATAL 28P01: password authentication failed ... (detail; hint)", one line for logs.
std::string ToString(const PgError& error);

// SQLSTATEs a pooler meets or sends; names as in PostgreSQL's errcodes.
namespace sqlstate {
inline constexpr char kSuccessfulCompletion[] = "00000";
inline constexpr char kWarning[] = "01000";
inline constexpr char kConnectionException[] = "08000";
inline constexpr char kSqlclientUnableToEstablishSqlconnection[] = "08001";
inline constexpr char kConnectionDoesNotExist[] = "08003";
inline constexpr char kSqlserverRejectedEstablishmentOfSqlconnection[] = "08004";
inline constexpr char kConnectionFailure[] = "08006";
inline constexpr char kProtocolViolation[] = "08P01";
inline constexpr char kFeatureNotSupported[] = "0A000";
inline constexpr char kInvalidParameterValue[] = "22023";
inline constexpr char kInvalidTransactionState[] = "25000";
inline constexpr char kActiveSqlTransaction[] = "25001";
inline constexpr char kInFailedSqlTransaction[] = "25P02";
inline constexpr char kIdleInTransactionSessionTimeout[] = "25P03";
inline constexpr char kTransactionTimeout[] = "25P04";
inline constexpr char kInvalidSqlStatementName[] = "26000";
inline constexpr char kInvalidAuthorizationSpecification[] = "28000";
inline constexpr char kInvalidPassword[] = "28P01";
inline constexpr char kInvalidCursorName[] = "34000";
inline constexpr char kInvalidCatalogName[] = "3D000";
inline constexpr char kInsufficientPrivilege[] = "42501";
inline constexpr char kSyntaxError[] = "42601";
inline constexpr char kUndefinedObject[] = "42704";
inline constexpr char kUndefinedParameter[] = "42P02";
inline constexpr char kDuplicateCursor[] = "42P03";
inline constexpr char kDuplicatePreparedStatement[] = "42P05";
inline constexpr char kInsufficientResources[] = "53000";
inline constexpr char kOutOfMemory[] = "53200";
inline constexpr char kTooManyConnections[] = "53300";
inline constexpr char kConfigurationLimitExceeded[] = "53400";
inline constexpr char kProgramLimitExceeded[] = "54000";
inline constexpr char kObjectNotInPrerequisiteState[] = "55000";
inline constexpr char kCantChangeRuntimeParam[] = "55P02";
inline constexpr char kOperatorIntervention[] = "57000";
inline constexpr char kQueryCanceled[] = "57014";
inline constexpr char kAdminShutdown[] = "57P01";
inline constexpr char kCrashShutdown[] = "57P02";
inline constexpr char kCannotConnectNow[] = "57P03";
inline constexpr char kDatabaseDropped[] = "57P04";
inline constexpr char kIdleSessionTimeout[] = "57P05";
inline constexpr char kSystemError[] = "58000";
inline constexpr char kIoError[] = "58030";
inline constexpr char kConfigFileError[] = "F0000";
inline constexpr char kInternalError[] = "XX000";
}  // namespace sqlstate

}  // namespace trireme
