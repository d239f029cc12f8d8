// SPDX-License-Identifier: GPL-3.0-or-later
//
// The numbers of the PostgreSQL frontend/backend protocol, version 3 ("Message Formats" in the
// manual): message types under the names PostgreSQL gives them, version and request codes,
// transaction status.
//
//   typed message          |type 1|length 4, counts itself|body ...|
//   start-up packet        |length 4, counts itself|code or version 4|body ...|
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

inline constexpr size_t kMessageHeaderBytes = 5;  // type and length
inline constexpr size_t kLengthBytes = 4;         // the length word, which counts itself

// What a client sends.
namespace frontend {
inline constexpr char kBind = 'B';
inline constexpr char kClose = 'C';
inline constexpr char kCopyData = 'd';
inline constexpr char kCopyDone = 'c';
inline constexpr char kCopyFail = 'f';
inline constexpr char kDescribe = 'D';
inline constexpr char kExecute = 'E';
inline constexpr char kFlush = 'H';
inline constexpr char kFunctionCall = 'F';
inline constexpr char kParse = 'P';
inline constexpr char kPasswordMessage =
    'p';  // also SASLInitialResponse, SASLResponse, GSSResponse
inline constexpr char kQuery = 'Q';
inline constexpr char kSync = 'S';
inline constexpr char kTerminate = 'X';
}  // namespace frontend

// What a server sends.
namespace backend {
inline constexpr char kAuthentication = 'R';
inline constexpr char kBackendKeyData = 'K';
inline constexpr char kBindComplete = '2';
inline constexpr char kCloseComplete = '3';
inline constexpr char kCommandComplete = 'C';
inline constexpr char kCopyBothResponse = 'W';
inline constexpr char kCopyData = 'd';
inline constexpr char kCopyDone = 'c';
inline constexpr char kCopyInResponse = 'G';
inline constexpr char kCopyOutResponse = 'H';
inline constexpr char kDataRow = 'D';
inline constexpr char kEmptyQueryResponse = 'I';
inline constexpr char kErrorResponse = 'E';
inline constexpr char kFunctionCallResponse = 'V';
inline constexpr char kNegotiateProtocolVersion = 'v';
inline constexpr char kNoData = 'n';
inline constexpr char kNoticeResponse = 'N';
inline constexpr char kNotificationResponse = 'A';
inline constexpr char kParameterDescription = 't';
inline constexpr char kParameterStatus = 'S';
inline constexpr char kParseComplete = '1';
inline constexpr char kPortalSuspended = 's';
inline constexpr char kReadyForQuery = 'Z';
inline constexpr char kRowDescription = 'T';
}  // namespace backend

// One answer byte to SSLRequest and GSSENCRequest.
inline constexpr char kEncryptionAccepted = 'S';  // 'G' for GSSAPI
inline constexpr char kEncryptionRefused = 'N';

// The second word of a start-up packet: a version, or one of the request codes (major 1234).
constexpr uint32_t ProtocolVersion(uint32_t major, uint32_t minor) { return major << 16 | minor; }
constexpr uint16_t ProtocolMajor(uint32_t version) { return static_cast<uint16_t>(version >> 16); }
constexpr uint16_t ProtocolMinor(uint32_t version) { return static_cast<uint16_t>(version); }

inline constexpr uint32_t kProtocol30 = ProtocolVersion(3, 0);
inline constexpr uint32_t kProtocol32 = ProtocolVersion(3, 2);
inline constexpr uint16_t kProtocolMinorNewest = 2;  // of major 3; 3.2 brought long cancel keys
inline constexpr uint32_t kCancelRequestCode = 80877102;
inline constexpr uint32_t kSslRequestCode = 80877103;
inline constexpr uint32_t kGssEncRequestCode = 80877104;
static_assert(kProtocol30 == 196608 && kProtocol32 == 196610);
static_assert(kCancelRequestCode == ProtocolVersion(1234, 5678));

// The secret of BackendKeyData and CancelRequest: 4 bytes up to 3.0, 4 to 256 from 3.2.
inline constexpr size_t kCancelKeyBytesMin = 4;
inline constexpr size_t kCancelKeyBytesMax = 256;

// The first word of an Authentication message.
enum class AuthenticationCode : uint32_t {
  kOk = 0,
  kKerberosV5 = 2,
  kCleartextPassword = 3,
  kMd5Password = 5,
  kScmCredential = 6,
  kGss = 7,
  kGssContinue = 8,
  kSspi = 9,
  kSasl = 10,
  kSaslContinue = 11,
  kSaslFinal = 12,
};

// The byte of ReadyForQuery.
enum class TransactionStatus : char {
  kIdle = 'I',
  kInTransaction = 'T',
  kFailed = 'E',  // in a transaction that can only be rolled back
};

// A name with its value: startup parameters, ParameterStatus. Views.
struct ParameterView {
  std::string_view name;
  std::string_view value;

  bool operator==(const ParameterView&) const = default;
};

// Type OIDs of pg_type that generated answers use, and their typlen (-1 = variable).
struct TypeInfo {
  uint32_t oid;
  int16_t length;
};
inline constexpr TypeInfo kTypeInt8{20, 8};
inline constexpr TypeInfo kTypeInt4{23, 4};
inline constexpr TypeInfo kTypeText{25, -1};
inline constexpr TypeInfo kTypeNumeric{1700, -1};

}  // namespace trireme
