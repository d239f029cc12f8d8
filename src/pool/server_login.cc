// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/server_login.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace trireme {

namespace {

// The loader has checked the text; one that still does not parse is as good as none.
StoredSecret SecretOf(const PoolSettings& settings) {
  if (settings.secret.kind == Secret::Kind::kNone) return NoSecret{};
  if (settings.secret.kind == Secret::Kind::kPlaintext) {
    return PlaintextSecret{SecretText(settings.secret.text)};
  }
  Result<StoredSecret> secret = ParseStoredSecret(settings.secret.text);
  return secret.ok() ? *std::move(secret) : StoredSecret(NoSecret{});
}

uint32_t VersionAsked(const PoolSettings& settings) {
  return settings.storage.protocol == ServerProtocol::k32 ? kProtocol32 : kProtocol30;
}

}  // namespace

ServerLogin::ServerLogin(const PoolSettings& settings, std::optional<ScramPassThrough> pass_through,
                         AuthResources resources)
    : settings_(settings),
      authenticator_(
          {.user = settings.storage_user,
           .secret = SecretOf(settings),
           .pass_through = settings.secret.kind == Secret::Kind::kScram ? std::move(pass_through)
                                                                        : std::nullopt},
          resources) {}

ServerLogin::~ServerLogin() { SecureZero(payload_); }

std::string ServerLogin::StartupPacket() const {
  std::vector<ParameterView> parameters{{"user", settings_.storage_user},
                                        {"database", settings_.storage_database}};
  if (settings_.replication != Replication::kNone) {
    const bool logical = settings_.replication == Replication::kLogical;
    parameters.push_back({"replication", logical ? "database" : "true"});
  }
  for (const auto& [name, value] : settings_.startup_parameters) {
    parameters.push_back({name, value});
  }
  std::string packet;
  MessageWriter(packet).StartupMessage(VersionAsked(settings_), parameters);
  return packet;
}

ServerLogin::Step ServerLogin::Feed(Bytes bytes) {
  TRIREME_ASSERT(state_ == State::kAuthenticating || state_ == State::kAuthenticated);
  uint32_t at = 0;
  while (true) {
    const Bytes rest = bytes.subspan(at);
    if (rest.size() < kHeadBytes) {
      return {.kind = Step::Kind::kNeedMore, .consumed = at, .need = kHeadBytes};
    }
    const MessageHead head = ReadHead(rest.data());
    if (!head.valid(kMessageBytesMax)) return Violation("a message of impossible length");
    if (rest.size() < head.total_size()) {
      return {.kind = Step::Kind::kNeedMore, .consumed = at, .need = head.total_size()};
    }
    at += head.total_size();
    Step step = OnMessage(head.type, rest.subspan(kHeadBytes, head.body_size()));
    step.consumed = at;
    if (step.kind != Step::Kind::kNeedMore) return step;
  }
}

// kNeedMore: go on with the next message.
ServerLogin::Step ServerLogin::OnMessage(char type, Bytes body) {
  switch (type) {
    case backend::kAuthentication:
      if (state_ != State::kAuthenticating) return Violation("authentication after its end");
      return OnAuthentication(authenticator_.FeedBody(body));
    case backend::kErrorResponse: {
      PgError error = ParseErrorBody(body);
      error.severity = severity::kFatal;
      return Fail(std::move(error));
    }
    case backend::kNoticeResponse:
      return {.kind = Step::Kind::kNeedMore};
    case backend::kNegotiateProtocolVersion:
      return OnNegotiation(body);
    default:
      break;
  }
  if (state_ != State::kAuthenticated) return Violation("a message before authentication");
  switch (type) {
    case backend::kParameterStatus:
      return OnParameterStatus(body);
    case backend::kBackendKeyData:
      return OnKeyData(body);
    case backend::kReadyForQuery:
      return OnReady(body);
    default:
      return Violation(absl::StrCat("a message of type '", std::string(1, type), "' in the login"));
  }
}

// An older server. All that 3.2 changes is how long a cancel key may be, and each length is taken.
ServerLogin::Step ServerLogin::OnNegotiation(Bytes body) {
  const std::optional<NegotiatedVersion> offer = ParseNegotiateProtocolVersion(body);
  const bool fitting = offer && state_ == State::kAuthenticating &&
                       offer->version <= VersionAsked(settings_) && offer->unknown_options.empty();
  if (!fitting) return Violation("an offer of a protocol that was not asked for");
  return {.kind = Step::Kind::kNeedMore};
}

ServerLogin::Step ServerLogin::ProvideKeys(const ScramKeys& keys) {
  TRIREME_ASSERT(state_ == State::kAuthenticating);
  return OnAuthentication(authenticator_.ProvideKeys(keys));
}

ServerLogin::Step ServerLogin::OnAuthentication(ServerAuthenticator::Step step) {
  switch (step.kind) {
    case ServerAuthenticator::Step::Kind::kSend: {
      SecureZero(payload_);
      MessageWriter writer(payload_);
      writer.Begin(frontend::kPasswordMessage);
      writer.RawBytes(step.payload);
      writer.End();
      return {.kind = Step::Kind::kSend, .payload = payload_};
    }
    case ServerAuthenticator::Step::Kind::kWait:
      return {.kind = Step::Kind::kNeedMore};
    case ServerAuthenticator::Step::Kind::kNeedKeys:
      return {.kind = Step::Kind::kNeedKeys};
    case ServerAuthenticator::Step::Kind::kSucceeded:
      state_ = State::kAuthenticated;
      return {.kind = Step::Kind::kNeedMore};
    case ServerAuthenticator::Step::Kind::kFailed:
      log_detail_ = authenticator_.failure().log_detail;
      return Fail(Explain(authenticator_.failure().error));
  }
  TRIREME_UNREACHABLE();
}

// Whoever meets the error is not the user it is about: which route made them one?
PgError ServerLogin::Explain(PgError error) const {
  const bool no_secret = error.sqlstate == sqlstate::kInvalidAuthorizationSpecification;
  if (!no_secret || settings_.shared_by_route.empty()) return error;
  error.detail = absl::StrCat("The route for ", settings_.shared_by_route, " logs in at storage \"",
                              settings_.storage.name, "\" as its storage_user \"",
                              settings_.storage_user, "\", whoever the client is.");
  error.hint = absl::StrCat("Set storage_secret of the route, or the secret of user \"",
                            settings_.storage_user, "\", to the plaintext password.");
  return error;
}

ServerLogin::Step ServerLogin::OnParameterStatus(Bytes body) {
  MessageReader reader(body);
  const std::string_view name = reader.String();
  const std::string_view value = reader.String();
  if (!reader.AtEnd()) return Violation("a malformed ParameterStatus");
  parameters_.Set(name, value);
  return {.kind = Step::Kind::kNeedMore};
}

ServerLogin::Step ServerLogin::OnKeyData(Bytes body) {
  MessageReader reader(body);
  key_.process_id = reader.Int32();
  const Bytes secret = reader.TakeRest();
  if (!reader.ok() || secret.size() < kCancelKeyBytesMin || secret.size() > kCancelKeyBytesMax) {
    return Violation("a malformed BackendKeyData");
  }
  key_.secret = AsText(secret);
  return {.kind = Step::Kind::kNeedMore};
}

ServerLogin::Step ServerLogin::OnReady(Bytes body) {
  if (body.size() != 1 || static_cast<char>(body[0]) != 'I') {
    return Violation("a login that ends in a transaction");
  }
  state_ = State::kDone;
  return {.kind = Step::Kind::kDone};
}

ServerLogin::Step ServerLogin::Fail(PgError error) {
  state_ = State::kFailed;
  error_ = std::move(error);
  return {.kind = Step::Kind::kFailed};
}

ServerLogin::Step ServerLogin::Violation(std::string_view what) {
  return Fail({.severity = severity::kFatal,
               .sqlstate = sqlstate::kProtocolViolation,
               .message = absl::StrCat(
                   "the server does not speak the PostgreSQL protocol: it sent ", ToAbsl(what)),
               .hint = "Check that the storage's host and port are those of a PostgreSQL server."});
}

}  // namespace trireme
