// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/startup.h"

#include <optional>

#include "base/assert.h"
#include "wire/command.h"
#include "wire/reader.h"

namespace trireme {
namespace {

constexpr size_t kStartupBytesMin = 2 * kLengthBytes;  // length and code

PgError Violation(std::string_view message) {
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kProtocolViolation,
          .message = std::string(message)};
}

// PostgreSQL's parse_bool: on, off, yes, no, 1, 0, and every unique beginning of true, false, yes,
// no.
std::optional<bool> ParseBool(std::string_view text) {
  const auto begins = [text](std::string_view word, size_t letters_min) {
    return text.size() >= letters_min && text.size() <= word.size() &&
           EqualsIgnoreCase(text, word.substr(0, text.size()));
  };
  if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1") return true;
  if (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0") return false;
  return std::nullopt;
}

std::optional<Replication> ParseReplication(std::string_view text) {
  if (text == "database") return Replication::kLogical;
  const std::optional<bool> on = ParseBool(text);
  if (!on) return std::nullopt;
  return *on ? Replication::kPhysical : Replication::kNone;
}

PgError UnknownVersion(uint32_t version) {
  return {.severity = severity::kFatal,
          .sqlstate = sqlstate::kFeatureNotSupported,
          .message = "unsupported frontend protocol " + std::to_string(ProtocolMajor(version)) +
                     "." + std::to_string(ProtocolMinor(version)) + ": server supports 3.0 to 3." +
                     std::to_string(kProtocolMinorNewest)};
}

PgResult<StartupPacket> ParseCancel(MessageReader reader) {
  CancelRequest request;
  request.process_id = reader.Int32();
  request.key = reader.TakeRest();
  if (!reader.ok()) return Violation("invalid length of query cancel packet");
  if (request.key.size() < kCancelKeyBytesMin || request.key.size() > kCancelKeyBytesMax) {
    return Violation("invalid length of query cancel key");
  }
  return StartupPacket(request);
}

// Puts one pair where it belongs; false = the value of `replication` is none. The last of several
// wins.
bool Accept(StartupMessage& message, ParameterView pair) {
  if (pair.name == "user") {
    message.user = pair.value;
  } else if (pair.name == "database") {
    message.database = pair.value;
  } else if (pair.name == "options") {
    message.options = pair.value;
  } else if (pair.name == "replication") {
    const std::optional<Replication> replication = ParseReplication(pair.value);
    if (!replication) return false;
    message.replication = *replication;
  } else if (pair.name.starts_with("_pq_.")) {
    message.protocol_options.push_back(pair.name);
  } else {
    message.parameters.push_back(pair);
  }
  return true;
}

PgResult<StartupPacket> ParseParameters(uint32_t version, MessageReader reader) {
  StartupMessage message;
  message.minor_requested = ProtocolMinor(version);
  for (;;) {
    const std::string_view name = reader.String();
    if (!reader.ok() || name.empty()) break;
    const std::string_view value = reader.String();
    if (!reader.ok()) break;
    if (!Accept(message, {name, value})) {
      return PgError{
          .severity = severity::kFatal,
          .sqlstate = sqlstate::kInvalidParameterValue,
          .message = "invalid value for parameter \"replication\": \"" + std::string(value) + "\"",
          .hint = "Valid values are: \"false\", 0, \"true\", 1, \"database\"."};
    }
  }
  if (!reader.AtEnd()) {
    return Violation("invalid startup packet layout: expected terminator as last byte");
  }
  if (message.user.empty()) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kInvalidAuthorizationSpecification,
                   .message = "no PostgreSQL user name specified in startup packet"};
  }
  if (message.database.empty()) message.database = message.user;
  return StartupPacket(std::move(message));
}

}  // namespace

std::string_view ToString(Replication replication) {
  switch (replication) {
    case Replication::kNone:
      return "none";
    case Replication::kPhysical:
      return "physical";
    case Replication::kLogical:
      return "logical";
  }
  TRIREME_UNREACHABLE();
}

PgResult<size_t> StartupSize(Bytes received, size_t bytes_max) {
  if (received.size() < kLengthBytes) return size_t{0};
  const size_t size = LoadBig32(received.data());
  if (size < kStartupBytesMin || size > bytes_max) {
    return PgError{.severity = severity::kFatal,
                   .sqlstate = sqlstate::kProtocolViolation,
                   .message = "invalid length of startup packet",
                   .hint = "This port speaks the PostgreSQL protocol; a startup packet may have " +
                           std::to_string(bytes_max) + " bytes."};
  }
  return size;
}

PgResult<StartupPacket> ParseStartup(Bytes packet) {
  MessageReader reader(packet);
  const uint32_t size = reader.Int32();
  const uint32_t version = reader.Int32();
  if (!reader.ok() || size != packet.size()) return Violation("invalid length of startup packet");
  switch (version) {
    case kSslRequestCode:
      if (!reader.AtEnd()) return Violation("invalid length of startup packet");
      return StartupPacket(SslRequest{});
    case kGssEncRequestCode:
      if (!reader.AtEnd()) return Violation("invalid length of startup packet");
      return StartupPacket(GssEncRequest{});
    case kCancelRequestCode:
      return ParseCancel(reader);
    default:  // a version, known or not
      if (ProtocolMajor(version) != 3) return UnknownVersion(version);
      return ParseParameters(version, reader);
  }
}

}  // namespace trireme
