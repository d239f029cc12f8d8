// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/writer.h"

#include <limits>

#include "base/assert.h"

namespace trireme {

void MessageWriter::Begin(char type) {
  TRIREME_ASSERT(length_at_ == kNotOpen);
  buffer_.push_back(type);
  BeginUntyped();
}

void MessageWriter::BeginUntyped() {
  TRIREME_ASSERT(length_at_ == kNotOpen);
  length_at_ = buffer_.size();
  buffer_.append(kLengthBytes, '\0');
}

void MessageWriter::Byte(uint8_t value) { buffer_.push_back(static_cast<char>(value)); }

void MessageWriter::Int16(int16_t value) {
  std::byte bytes[2];
  StoreBig16(bytes, static_cast<uint16_t>(value));
  RawBytes(bytes);
}

void MessageWriter::Int32(int32_t value) {
  std::byte bytes[4];
  StoreBig32(bytes, static_cast<uint32_t>(value));
  RawBytes(bytes);
}

void MessageWriter::String(std::string_view text) {
  buffer_.append(text.substr(0, text.find('\0')));
  buffer_.push_back('\0');
}

void MessageWriter::RawBytes(Bytes bytes) { buffer_.append(AsText(bytes)); }

void MessageWriter::End() {
  TRIREME_ASSERT(length_at_ != kNotOpen);
  const size_t length = buffer_.size() - length_at_;
  TRIREME_ASSERT(length <= static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  StoreBig32(reinterpret_cast<std::byte*>(buffer_.data()) + length_at_,
             static_cast<uint32_t>(length));
  length_at_ = kNotOpen;
}

void MessageWriter::Empty(char type) {
  Begin(type);
  End();
}

// Login.

void MessageWriter::Authentication(AuthenticationCode code, Bytes data) {
  Begin(backend::kAuthentication);
  Int32(static_cast<int32_t>(code));
  RawBytes(data);
  End();
}

void MessageWriter::AuthenticationOk() { Authentication(AuthenticationCode::kOk, {}); }

void MessageWriter::AuthenticationCleartextPassword() {
  Authentication(AuthenticationCode::kCleartextPassword, {});
}

void MessageWriter::AuthenticationMd5Password(std::span<const std::byte, 4> salt) {
  Authentication(AuthenticationCode::kMd5Password, salt);
}

void MessageWriter::AuthenticationSasl(std::span<const std::string_view> mechanisms) {
  Begin(backend::kAuthentication);
  Int32(static_cast<int32_t>(AuthenticationCode::kSasl));
  for (const std::string_view mechanism : mechanisms) String(mechanism);
  Byte(0);
  End();
}

void MessageWriter::AuthenticationSaslContinue(Bytes data) {
  Authentication(AuthenticationCode::kSaslContinue, data);
}

void MessageWriter::AuthenticationSaslFinal(Bytes data) {
  Authentication(AuthenticationCode::kSaslFinal, data);
}

// The manual speaks of a minor version; servers send, and libpq reads, the whole version word.
void MessageWriter::NegotiateProtocolVersion(uint16_t minor_newest,
                                             std::span<const std::string_view> unknown) {
  Begin(backend::kNegotiateProtocolVersion);
  Int32(static_cast<int32_t>(ProtocolVersion(3, minor_newest)));
  Int32(static_cast<int32_t>(unknown.size()));
  for (const std::string_view name : unknown) String(name);
  End();
}

void MessageWriter::ParameterStatus(ParameterView parameter) {
  Begin(backend::kParameterStatus);
  String(parameter.name);
  String(parameter.value);
  End();
}

void MessageWriter::BackendKeyData(uint32_t process_id, Bytes key) {
  TRIREME_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  Begin(backend::kBackendKeyData);
  Int32(static_cast<int32_t>(process_id));
  RawBytes(key);
  End();
}

void MessageWriter::ReadyForQuery(TransactionStatus status) {
  Begin(backend::kReadyForQuery);
  Byte(static_cast<uint8_t>(status));
  End();
}

// Answers.

void MessageWriter::ErrorFields(char type, const PgError& error) {
  const auto field = [this](char code, std::string_view text) {
    Byte(static_cast<uint8_t>(code));
    String(text);
  };
  Begin(type);
  field('S', error.severity);
  field('V', error.severity);
  field('C', error.sqlstate);
  field('M', error.message);
  if (!error.detail.empty()) field('D', error.detail);
  if (!error.hint.empty()) field('H', error.hint);
  Byte(0);
  End();
}

void MessageWriter::ErrorResponse(const PgError& error) {
  ErrorFields(backend::kErrorResponse, error);
}

void MessageWriter::NoticeResponse(const PgError& notice) {
  ErrorFields(backend::kNoticeResponse, notice);
}

void MessageWriter::ParseComplete() { Empty(backend::kParseComplete); }
void MessageWriter::BindComplete() { Empty(backend::kBindComplete); }
void MessageWriter::CloseComplete() { Empty(backend::kCloseComplete); }
void MessageWriter::NoData() { Empty(backend::kNoData); }
void MessageWriter::EmptyQueryResponse() { Empty(backend::kEmptyQueryResponse); }
void MessageWriter::PortalSuspended() { Empty(backend::kPortalSuspended); }

void MessageWriter::ParameterDescription(std::span<const uint32_t> type_oids) {
  TRIREME_ASSERT(type_oids.size() <= std::numeric_limits<uint16_t>::max());
  Begin(backend::kParameterDescription);
  Int16(static_cast<int16_t>(type_oids.size()));
  for (const uint32_t oid : type_oids) Int32(static_cast<int32_t>(oid));
  End();
}

void MessageWriter::RowDescription(std::span<const ColumnDescription> columns) {
  TRIREME_ASSERT(columns.size() <= std::numeric_limits<int16_t>::max());
  Begin(backend::kRowDescription);
  Int16(static_cast<int16_t>(columns.size()));
  for (const ColumnDescription& column : columns) {
    String(column.name);
    Int32(0);  // no table
    Int16(0);  // no attribute number
    Int32(static_cast<int32_t>(column.type.oid));
    Int16(column.type.length);
    Int32(-1);  // no type modifier
    Int16(column.format);
  }
  End();
}

void MessageWriter::DataRow(std::span<const std::optional<std::string_view>> values) {
  TRIREME_ASSERT(values.size() <= std::numeric_limits<int16_t>::max());
  Begin(backend::kDataRow);
  Int16(static_cast<int16_t>(values.size()));
  for (const std::optional<std::string_view>& value : values) {
    Int32(value ? static_cast<int32_t>(value->size()) : -1);
    if (value) buffer_.append(*value);
  }
  End();
}

void MessageWriter::CommandComplete(std::string_view tag) {
  Begin(backend::kCommandComplete);
  String(tag);
  End();
}

// What a client says.

void MessageWriter::SslRequest() {
  BeginUntyped();
  Int32(static_cast<int32_t>(kSslRequestCode));
  End();
}

void MessageWriter::StartupMessage(uint32_t version, std::span<const ParameterView> parameters) {
  BeginUntyped();
  Int32(static_cast<int32_t>(version));
  for (const ParameterView& parameter : parameters) {
    TRIREME_ASSERT(!parameter.name.empty());  // an empty name would end the list
    String(parameter.name);
    String(parameter.value);
  }
  Byte(0);
  End();
}

void MessageWriter::CancelRequest(uint32_t process_id, Bytes key) {
  TRIREME_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  BeginUntyped();
  Int32(static_cast<int32_t>(kCancelRequestCode));
  Int32(static_cast<int32_t>(process_id));
  RawBytes(key);
  End();
}

void MessageWriter::PasswordMessage(std::string_view password) {
  Begin(frontend::kPasswordMessage);
  String(password);
  End();
}

void MessageWriter::SaslInitialResponse(std::string_view mechanism, Bytes data) {
  Begin(frontend::kPasswordMessage);
  String(mechanism);
  Int32(static_cast<int32_t>(data.size()));
  RawBytes(data);
  End();
}

void MessageWriter::SaslResponse(Bytes data) {
  Begin(frontend::kPasswordMessage);
  RawBytes(data);
  End();
}

void MessageWriter::Query(std::string_view sql) {
  Begin(frontend::kQuery);
  String(sql);
  End();
}

void MessageWriter::Sync() { Empty(frontend::kSync); }
void MessageWriter::Terminate() { Empty(frontend::kTerminate); }

}  // namespace trireme
