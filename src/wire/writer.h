// SPDX-License-Identifier: GPL-3.0-or-later
//
// Writes the messages the pooler itself has to say (login, errors, console, injected requests) to
// the end of a buffer the caller gives. Never on the data path: bytes that pass are sent from the
// buffer they came in.
//
// One object may write many messages. Between Begin and End the length word is a hole; End fills
// it. A text with a zero byte inside ends there, so no value can break the framing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/errors.h"
#include "wire/messages.h"

namespace trireme {

struct ColumnDescription {
  std::string_view name;
  TypeInfo type = kTypeText;
  int16_t format = 0;  // 0 = text, 1 = binary
};

class MessageWriter {
 public:
  // `buffer` outlives the writer; messages are appended.
  explicit MessageWriter(std::string& buffer) : buffer_(buffer) {}
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  // Any message by hand: Begin, fields, End.
  void Begin(char type);
  void BeginUntyped();  // start-up packets have no type byte
  void Byte(uint8_t value);
  void Int16(int16_t value);
  void Int32(int32_t value);
  void String(std::string_view text);  // with its terminating zero
  void RawBytes(Bytes bytes);
  void End();

  // What a server says at login.
  void AuthenticationOk();
  void AuthenticationCleartextPassword();
  void AuthenticationMd5Password(std::span<const std::byte, 4> salt);
  void AuthenticationSasl(std::span<const std::string_view> mechanisms);
  void AuthenticationSaslContinue(Bytes data);
  void AuthenticationSaslFinal(Bytes data);
  void NegotiateProtocolVersion(uint16_t minor_newest, std::span<const std::string_view> unknown);
  void ParameterStatus(ParameterView parameter);
  void BackendKeyData(uint32_t process_id, Bytes key);  // key: 4 to 256 bytes
  void ReadyForQuery(TransactionStatus status);

  // Answers. ErrorResponse writes S, V, C, M, and D and H when given.
  void ErrorResponse(const PgError& error);
  void NoticeResponse(const PgError& notice);
  void ParseComplete();
  void BindComplete();
  void CloseComplete();
  void NoData();
  void ParameterDescription(std::span<const uint32_t> type_oids);
  void RowDescription(std::span<const ColumnDescription> columns);
  void DataRow(std::span<const std::optional<std::string_view>> values);  // nullopt = NULL
  void CommandComplete(std::string_view tag);
  void EmptyQueryResponse();
  void PortalSuspended();

  // What a client says.
  void SslRequest();
  void StartupMessage(uint32_t version, std::span<const ParameterView> parameters);
  void CancelRequest(uint32_t process_id, Bytes key);
  void PasswordMessage(std::string_view password);
  void SaslInitialResponse(std::string_view mechanism, Bytes data);
  void SaslResponse(Bytes data);
  void Query(std::string_view sql);
  void Sync();
  void Terminate();

 private:
  void Empty(char type);
  void Authentication(AuthenticationCode code, Bytes data);
  void ErrorFields(char type, const PgError& error);

  static constexpr size_t kNotOpen = static_cast<size_t>(-1);
  std::string& buffer_;
  size_t length_at_ = kNotOpen;  // where the length word of the open message is
};

}  // namespace trireme
