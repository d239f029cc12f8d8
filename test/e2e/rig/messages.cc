// SPDX-License-Identifier: GPL-3.0-or-later
#include "messages.h"

namespace trireme::e2e {

std::string Types(const std::vector<Message>& messages) {
  std::string types;
  for (const Message& message : messages) types += message.type;
  return types;
}

std::string ErrorField(const Message& message, char field) {
  size_t at = 0;
  while (at < message.body.size() && message.body[at] != '\0') {
    const size_t end = message.body.find('\0', at + 1);
    if (end == std::string::npos) break;
    if (message.body[at] == field) return message.body.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  return "";
}

std::vector<std::string> DataRowValues(const Message& message) {
  std::vector<std::string> values;
  size_t at = 2;
  while (at + 4 <= message.body.size()) {
    const int64_t size = ReadBe32(message.body, at);
    at += 4;
    if (size == 0xffffffff) {
      values.push_back("NULL");
      continue;
    }
    values.push_back(message.body.substr(at, static_cast<size_t>(size)));
    at += static_cast<size_t>(size);
  }
  return values;
}

const Message* FindType(const std::vector<Message>& messages, char type) {
  for (const Message& message : messages) {
    if (message.type == type) return &message;
  }
  return nullptr;
}

std::string Be16(int value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

std::string Be32(int64_t value) {
  return {static_cast<char>(value >> 24 & 0xff), static_cast<char>(value >> 16 & 0xff),
          static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

int64_t ReadBe32(std::string_view bytes, size_t offset) {
  int64_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes.at(offset + i));
  return value;
}

std::string CString(std::string_view text) { return std::string(text) + '\0'; }

namespace {
std::string Untyped(std::string_view body) {
  return Be32(static_cast<int64_t>(body.size()) + 4) + std::string(body);
}
}  // namespace

std::string StartupPacket(const Parameters& parameters, int64_t version) {
  std::string body = Be32(version);
  for (const auto& [name, value] : parameters) body += CString(name) + CString(value);
  return Untyped(body + '\0');
}

std::string SslRequest() { return Untyped(Be32(80877103)); }
std::string GssEncRequest() { return Untyped(Be32(80877104)); }
std::string CancelRequest(int64_t pid, std::string_view key) {
  return Untyped(Be32(80877102) + Be32(pid) + std::string(key));
}

std::string Bytes(char type, std::string_view body) { return type + Untyped(body); }
std::string Query(std::string_view sql) { return Bytes('Q', CString(sql)); }

std::string Parse(std::string_view statement, std::string_view sql) {
  return Bytes('P', CString(statement) + CString(sql) + Be16(0));
}

std::string Bind(std::string_view portal, std::string_view statement,
                 const std::vector<std::string>& text_parameters) {
  std::string body = CString(portal) + CString(statement) + Be16(0);
  body += Be16(static_cast<int>(text_parameters.size()));
  for (const std::string& value : text_parameters)
    body += Be32(static_cast<int64_t>(value.size())) + value;
  return Bytes('B', body + Be16(0));
}

std::string DescribePortal(std::string_view portal) { return Bytes('D', 'P' + CString(portal)); }
std::string DescribeStatement(std::string_view statement) {
  return Bytes('D', 'S' + CString(statement));
}
std::string Execute(std::string_view portal, int rows_max) {
  return Bytes('E', CString(portal) + Be32(rows_max));
}
std::string CloseStatement(std::string_view statement) {
  return Bytes('C', 'S' + CString(statement));
}
std::string ClosePortal(std::string_view portal) { return Bytes('C', 'P' + CString(portal)); }
std::string Sync() { return Bytes('S', ""); }
std::string Flush() { return Bytes('H', ""); }
std::string CopyData(std::string_view data) { return Bytes('d', data); }
std::string CopyDone() { return Bytes('c', ""); }
std::string CopyFail(std::string_view reason) { return Bytes('f', CString(reason)); }
std::string PasswordMessage(std::string_view password) { return Bytes('p', CString(password)); }
std::string Terminate() { return Bytes('X', ""); }

std::string AuthenticationOk() { return Authentication(0); }
std::string Authentication(int64_t code, std::string_view rest) {
  return Bytes('R', Be32(code) + std::string(rest));
}
std::string ParameterStatus(std::string_view name, std::string_view value) {
  return Bytes('S', CString(name) + CString(value));
}
std::string BackendKeyData(int64_t pid, std::string_view key) {
  return Bytes('K', Be32(pid) + std::string(key));
}
std::string ReadyForQuery(char status) { return Bytes('Z', std::string(1, status)); }

std::string ErrorResponse(std::string_view severity, std::string_view sqlstate,
                          std::string_view text) {
  return Bytes('E', 'S' + CString(severity) + 'V' + CString(severity) + 'C' + CString(sqlstate) +
                        'M' + CString(text) + '\0');
}

std::string RowDescription(const std::vector<std::string>& text_columns) {
  std::string body = Be16(static_cast<int>(text_columns.size()));
  for (const std::string& name : text_columns) {
    body += CString(name) + Be32(0) + Be16(0) + Be32(25) + Be16(-1) + Be32(-1) + Be16(0);
  }
  return Bytes('T', body);
}

std::string DataRow(const std::vector<std::string>& values) {
  std::string body = Be16(static_cast<int>(values.size()));
  for (const std::string& value : values) body += Be32(static_cast<int64_t>(value.size())) + value;
  return Bytes('D', body);
}

std::string CommandComplete(std::string_view tag) { return Bytes('C', CString(tag)); }

}  // namespace trireme::e2e
