// SPDX-License-Identifier: GPL-3.0-or-later
//
// Protocol v3 messages as bytes, written from the protocol chapter and sharing nothing with
// src/wire on purpose: a mistake there must not be mirrored here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::e2e {

struct Message {
  char type = 0;
  std::string body;
};

// "TDCZ": the types of a conversation, for comparing in one line.
std::string Types(const std::vector<Message>& messages);
std::string ErrorField(const Message& message, char field);  // 'C' = SQLSTATE; "" when absent
std::vector<std::string> DataRowValues(const Message& message);
const Message* FindType(const std::vector<Message>& messages, char type);

std::string Be16(int value);
std::string Be32(int64_t value);
int64_t ReadBe32(std::string_view bytes, size_t offset = 0);
std::string CString(std::string_view text);

inline constexpr int64_t kProtocol30 = 196608;
inline constexpr int64_t kProtocol32 = 196610;
using Parameters = std::vector<std::pair<std::string, std::string>>;
std::string StartupPacket(const Parameters& parameters, int64_t version = kProtocol30);
std::string SslRequest();
std::string GssEncRequest();
std::string CancelRequest(int64_t pid, std::string_view key);

std::string Bytes(char type, std::string_view body);  // any typed message
std::string Query(std::string_view sql);
std::string Parse(std::string_view statement, std::string_view sql);
std::string Bind(std::string_view portal, std::string_view statement,
                 const std::vector<std::string>& text_parameters = {});
std::string DescribePortal(std::string_view portal);
std::string DescribeStatement(std::string_view statement);
std::string Execute(std::string_view portal, int rows_max = 0);
std::string CloseStatement(std::string_view statement);
std::string ClosePortal(std::string_view portal);
std::string Sync();
std::string Flush();
std::string CopyData(std::string_view data);
std::string CopyDone();
std::string CopyFail(std::string_view reason);
std::string PasswordMessage(std::string_view password);
std::string Terminate();

// Server side, for the fake server.
std::string AuthenticationOk();
std::string Authentication(int64_t code, std::string_view rest = "");
std::string ParameterStatus(std::string_view name, std::string_view value);
std::string BackendKeyData(int64_t pid, std::string_view key);
std::string ReadyForQuery(char status = 'I');
std::string ErrorResponse(std::string_view severity, std::string_view sqlstate,
                          std::string_view text);
std::string RowDescription(const std::vector<std::string>& text_columns);
std::string DataRow(const std::vector<std::string>& values);
std::string CommandComplete(std::string_view tag);

}  // namespace trireme::e2e
