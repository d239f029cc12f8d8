// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/startup.h and what stands on it: the first packets of a connection.
//
//   input:   the bytes of a client that begins: any number of packets
//
// Properties: the size is known from four bytes and never changes as more come; what is parsed
// points into the packet; a startup message written again from what was read is read the same; an
// error is FATAL, has a SQLSTATE, and survives being sent.
#include "wire/startup.h"

#include "test/fuzz/input.h"
#include "wire/options.h"
#include "wire/writer.h"

namespace trireme::fuzz {
namespace {

constexpr size_t kPacketBytesMax = 10000;

void CheckError(const PgError& error) {
  Check(error.severity == severity::kFatal && error.sqlstate.size() == 5 && !error.message.empty(),
        "an error in the first packet is FATAL and says what it is");
  std::string sent;
  MessageWriter(sent).ErrorResponse(error);
  Check(LoadBig32(AsBytes(sent).data() + 1) + 1 == sent.size(), "an error is one message");
  PgError received = ParseErrorBody(AsBytes(sent).subspan(kMessageHeaderBytes));
  Check(received.sqlstate == error.sqlstate && error.message.starts_with(received.message),
        "an error survives being sent");
}

void CheckInside(Bytes packet, std::string_view view) {
  if (view.empty()) return;
  const auto* begin = reinterpret_cast<const char*>(packet.data());
  Check(view.data() >= begin && view.data() + view.size() <= begin + packet.size(),
        "what is parsed points into the packet");
}

std::string WriteAgain(const StartupMessage& message) {
  std::vector<ParameterView> parameters{{"user", message.user}, {"database", message.database}};
  if (!message.options.empty()) parameters.push_back({"options", message.options});
  if (message.replication != Replication::kNone) {
    const bool logical = message.replication == Replication::kLogical;
    parameters.push_back({"replication", logical ? "database" : "true"});
  }
  for (const ParameterView& parameter : message.parameters) parameters.push_back(parameter);
  for (const std::string_view option : message.protocol_options) parameters.push_back({option, ""});
  std::string packet;
  MessageWriter(packet).StartupMessage(ProtocolVersion(3, message.minor_requested), parameters);
  return packet;
}

void CheckMessage(Bytes packet, const StartupMessage& message) {
  Check(!message.user.empty(), "a user is never empty");
  Check(message.minor() <= kProtocolMinorNewest, "no version is spoken that does not exist");
  for (const std::string_view view : {message.user, message.database, message.options}) {
    CheckInside(packet, view);
  }
  for (const ParameterView& parameter : message.parameters) {
    CheckInside(packet, parameter.name);
    CheckInside(packet, parameter.value);
  }
  const PgResult<std::vector<StartupOption>> options = ParseStartupOptions(message.options);
  if (const PgError* error = std::get_if<PgError>(&options)) CheckError(*error);

  const std::string again = WriteAgain(message);
  const PgResult<StartupPacket> parsed = ParseStartup(AsBytes(again));
  Check(std::holds_alternative<StartupPacket>(parsed), "a message can be written again");
  const StartupMessage& same = std::get<StartupMessage>(std::get<StartupPacket>(parsed));
  Check(same.minor_requested == message.minor_requested && same.user == message.user &&
            same.database == message.database && same.options == message.options &&
            same.replication == message.replication && same.parameters == message.parameters &&
            same.protocol_options == message.protocol_options,
        "a message written again is the same");
}

void CheckPacket(Bytes packet) {
  const PgResult<StartupPacket> parsed = ParseStartup(packet);
  if (const PgError* error = std::get_if<PgError>(&parsed)) return CheckError(*error);
  const StartupPacket& startup = std::get<StartupPacket>(parsed);
  if (const auto* message = std::get_if<StartupMessage>(&startup)) CheckMessage(packet, *message);
  if (const auto* cancel = std::get_if<CancelRequest>(&startup)) {
    CheckInside(packet, AsText(cancel->key));
    Check(cancel->key.size() >= kCancelKeyBytesMin && cancel->key.size() <= kCancelKeyBytesMax,
          "a cancel key has the size of one");
    std::string again;
    MessageWriter(again).CancelRequest(cancel->process_id, cancel->key);
    CheckEqual(again, AsText(packet), "a cancel request written again is the same");
  }
}

// The size of the packet at the front as it shows while bytes come; 0 = none there.
size_t SizeOf(Bytes received) {
  for (size_t count = 0; count <= 3 && count <= received.size(); ++count) {
    const PgResult<size_t> early = StartupSize(received.first(count), kPacketBytesMax);
    Check(std::holds_alternative<size_t>(early) && std::get<size_t>(early) == 0,
          "four bytes tell the size, fewer do not");
  }
  if (received.size() < kLengthBytes) return 0;
  const PgResult<size_t> size = StartupSize(received.first(kLengthBytes), kPacketBytesMax);
  Check(size == StartupSize(received, kPacketBytesMax), "the size does not change");
  if (const PgError* error = std::get_if<PgError>(&size)) {
    CheckError(*error);
    return 0;
  }
  const size_t bytes = std::get<size_t>(size);
  Check(bytes >= 8 && bytes <= kPacketBytesMax, "the size is within its limits");
  return bytes <= received.size() ? bytes : 0;
}

void Run(Input input) {
  Bytes rest = input.Rest();
  for (size_t size = SizeOf(rest); size > 0; size = SizeOf(rest)) {
    CheckPacket(rest.first(size));
    rest = rest.subspan(size);
  }
  CheckPacket(rest);  // framed by nobody: refused, never read past
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
