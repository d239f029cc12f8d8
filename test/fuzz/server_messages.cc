// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/parameters.h and wire/errors.h: bodies of what a server says at login, and of its errors.
//
//   input:   kind 1 | the body
//
// Properties: a body that is accepted is, written again, the same bytes; a body that is not
// accepted is refused, never read past; an error read, sent on and read again is the same error.
#include <variant>

#include "test/fuzz/input.h"
#include "wire/errors.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme::fuzz {
namespace {

void CheckSame(const std::string& message, Bytes body) {
  CheckEqual(AsText(AsBytes(message).subspan(kMessageHeaderBytes)), AsText(body),
             "a message written again is the same");
}

void CheckAuthentication(Bytes body) {
  const std::optional<AuthenticationRequest> request = ParseAuthentication(body);
  if (!request) return;
  std::string again;
  MessageWriter writer(again);
  switch (request->code) {
    case AuthenticationCode::kMd5Password:
      writer.AuthenticationMd5Password(request->md5_salt);
      break;
    case AuthenticationCode::kSasl:
      writer.AuthenticationSasl(request->mechanisms);
      break;
    case AuthenticationCode::kSaslContinue:
      writer.AuthenticationSaslContinue(request->data);
      break;
    case AuthenticationCode::kSaslFinal:
      writer.AuthenticationSaslFinal(request->data);
      break;
    default:
      writer.Begin(backend::kAuthentication);
      writer.Int32(static_cast<int32_t>(request->code));
      writer.RawBytes(request->data);
      writer.End();
  }
  CheckSame(again, body);
}

void CheckNegotiation(Bytes body) {
  const std::optional<NegotiatedVersion> version = ParseNegotiateProtocolVersion(body);
  if (!version) return;
  std::string again;
  MessageWriter writer(again);
  writer.Begin(backend::kNegotiateProtocolVersion);
  writer.Int32(static_cast<int32_t>(version->version));
  writer.Int32(static_cast<int32_t>(version->unknown_options.size()));
  for (const std::string_view option : version->unknown_options) writer.String(option);
  writer.End();
  CheckSame(again, body);
}

void CheckError(Bytes body) {
  const PgError error = ParseErrorBody(body);
  std::string again;
  MessageWriter(again).ErrorResponse(error);
  Check(ParseErrorBody(AsBytes(again).subspan(kMessageHeaderBytes)) == error,
        "an error sent on is the same error");
}

void CheckBody(uint8_t kind, Bytes body) {
  std::string again;
  MessageWriter writer(again);
  switch (kind % 7) {
    case 0:
      return CheckAuthentication(body);
    case 1:
      return CheckNegotiation(body);
    case 2:
      return CheckError(body);
    case 3:
      if (const auto parameter = ParseParameterStatus(body)) writer.ParameterStatus(*parameter);
      break;
    case 4:
      if (const auto key = ParseBackendKeyData(body))
        writer.BackendKeyData(key->process_id, key->key);
      break;
    case 5:
      if (const auto status = ParseReadyForQuery(body)) writer.ReadyForQuery(*status);
      break;
    case 6:
      if (const auto tag = ParseCommandComplete(body)) writer.CommandComplete(*tag);
      break;
  }
  if (!again.empty()) CheckSame(again, body);
}

void Run(Input input) {
  const uint8_t kind = input.Byte();
  CheckBody(kind, input.Rest());
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
