// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/login.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "config/units.h"
#include "session/client.h"
#include "session/clients.h"
#include "wire/messages.h"
#include "wire/options.h"
#include "wire/parameters.h"
#include "wire/reported_values.h"
#include "wire/writer.h"

namespace trireme {
namespace {

ClientAuthMethod MethodOf(AuthMethod method) {
  switch (method) {
    case AuthMethod::kTrust:
      return ClientAuthMethod::kTrust;
    case AuthMethod::kReject:
      return ClientAuthMethod::kReject;
    case AuthMethod::kPassword:
      return ClientAuthMethod::kPassword;
    case AuthMethod::kMd5:
      return ClientAuthMethod::kMd5;
    case AuthMethod::kScramSha256:
      return ClientAuthMethod::kScramSha256;
  }
  TRIREME_UNREACHABLE();
}

PgError Fatal(std::string_view code, std::string message) {
  return {
      .severity = severity::kFatal, .sqlstate = std::string(code), .message = std::move(message)};
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [name](const std::string& each) { return CompareNames(each, name) == 0; });
}

}  // namespace

Login::Login(Client& client, Clients& clients) : client_(client), clients_(clients) {}

Login::~Login() { TRIREME_ASSERT(!waiting()); }

void Login::Cancel() {
  if (waiting()) account_->pool->Leave(*this);
  stage_ = Stage::kDone;
}

void Login::OnTimeout() {
  PgError error = Fatal(sqlstate::kQueryCanceled, "canceling authentication due to timeout");
  error.detail = absl::StrCat("The login was not finished within ",
                              FormatDuration(clients_.config().timeouts.client_login),
                              " (timeouts.client_login).");
  if (stage_ == Stage::kWelcome) {
    error.detail += " It waited for the first server connection of its pool.";
  }
  client_.CloseWith(error, "login timeout");
}

void Login::Fail(const PgError& error) { client_.CloseWith(error, "login failed"); }

void Login::OnBytes() {
  switch (stage_) {
    case Stage::kStartup:
      OnStartupBytes();
      if (stage_ == Stage::kProving) OnProofBytes();  // sent along, unasked
      return;
    case Stage::kProving:
      OnProofBytes();
      return;
    case Stage::kDeriving:
    case Stage::kWelcome:
      // Early messages wait; more of them than a login can need stay in the socket.
      client_.UpdateReceiving();
      return;
    case Stage::kCancelling:
    case Stage::kDone:
      client_.inbox_.Clear();
      return;
  }
}

// --- the first packets ---

void Login::OnStartupBytes() {
  Inbox& inbox = client_.inbox_;
  while (stage_ == Stage::kStartup && !inbox.empty()) {
    if (inbox.Front().size() < kLengthBytes) {
      if (inbox.size() < kLengthBytes) return;
      inbox.Join(kLengthBytes, clients_.streams().buffers());
    }
    const auto size = StartupSize(inbox.Front(), clients_.config().limits.startup_packet_bytes_max);
    if (const auto* error = std::get_if<PgError>(&size)) return Fail(*error);
    const uint32_t bytes = static_cast<uint32_t>(std::get<size_t>(size));
    if (bytes == 0 || inbox.size() < bytes) return;
    if (inbox.Front().size() < bytes) inbox.Join(bytes, clients_.streams().buffers());
    const Slice packet = inbox.TakeFront(bytes);
    const auto parsed = ParseStartup(packet.bytes());
    if (const auto* error = std::get_if<PgError>(&parsed)) return Fail(*error);
    const StartupPacket& startup = std::get<StartupPacket>(parsed);
    if (const auto* cancel = std::get_if<trireme::CancelRequest>(&startup)) {
      stage_ = Stage::kCancelling;
      clients_.RouteCancel(client_, cancel->process_id, cancel->key);
    } else if (const auto* message = std::get_if<StartupMessage>(&startup)) {
      OnStartup(*message);
    } else {
      OnRefusedEncryption();
    }
  }
}

// SSLRequest or GSSENCRequest: no. Bytes that were sent along with the request were meant for an
// encrypted channel, or were put there by somebody in between (CVE-2021-3935): never go on with
// them.
void Login::OnRefusedEncryption() {
  if (!client_.inbox_.empty()) {
    return Fail(Fatal(sqlstate::kProtocolViolation,
                      "received unencrypted data after an encryption request"));
  }
  if (++encryption_requests_ > 2) {
    return Fail(Fatal(sqlstate::kProtocolViolation, "too many encryption requests"));
  }
  client_.SendText(std::string_view(&kEncryptionRefused, 1));
}

void Login::OnStartup(const StartupMessage& startup) {
  minor_ = startup.minor();
  user_ = startup.user;
  database_ = startup.database;
  if (startup.needs_negotiation()) {
    std::string text;
    // Never more than was asked for: libpq takes that for a broken server.
    MessageWriter(text).NegotiateProtocolVersion(minor_, startup.protocol_options);
    client_.SendText(text);
  }
  if (startup.replication != Replication::kNone) {
    return Fail(Fatal(sqlstate::kFeatureNotSupported,
                      "replication connections are not supported by the pooler; connect to the "
                      "server directly"));
  }
  if (!TakeParameters(startup)) return;
  BeginProof();
}

// Settings of the startup packet are the client's wish; they are carried to whichever server serves
// it.
bool Login::TakeParameters(const StartupMessage& startup) {
  const std::vector<std::string>& ignored = clients_.config().ignore_startup_parameters;
  if (!startup.options.empty() && !Contains(ignored, "options")) {
    const auto options = ParseStartupOptions(startup.options);
    if (const auto* error = std::get_if<PgError>(&options)) {
      Fail(*error);
      return false;
    }
    for (const StartupOption& option : std::get<std::vector<StartupOption>>(options)) {
      if (!Contains(ignored, option.name)) wish_.Set(option.name, option.value);
    }
  }
  for (const ParameterView& parameter : startup.parameters) {
    if (!Contains(ignored, parameter.name)) wish_.Set(parameter.name, parameter.value);
  }
  return true;
}

// --- who is it? ---

void Login::BeginProof() {
  const Config& config = clients_.config();
  console_ = IsConsole(config, database_);
  route_ = console_ ? nullptr : Match(config, database_, user_);
  user_config_ = FindUser(config, user_);
  StoredSecret secret = NoSecret{};
  if (user_config_ != nullptr) {
    Result<StoredSecret> stored = ParseStoredSecret(user_config_->secret.text);
    if (stored.ok()) secret = *std::move(stored);  // the loader has refused the others
  }
  AuthMethod method = EffectiveAuth(config, user_config_);
  if (user_config_ == nullptr && method == AuthMethod::kTrust) method = AuthMethod::kReject;
  proof_ = std::make_unique<ClientAuthenticator>(
      ClientAuthenticator::Setup{.method = MethodOf(method),
                                 .user = user_,
                                 .secret = std::move(secret),
                                 .scram_iterations = config.scram_iterations},
      clients_.auth());
  stage_ = Stage::kProving;
  Act(proof_->Begin());
}

void Login::OnProofBytes() {
  Inbox& inbox = client_.inbox_;
  while (stage_ == Stage::kProving && !inbox.empty()) {
    if (inbox.Front().size() < kHeadBytes) {
      if (inbox.size() < kHeadBytes) return;
      inbox.Join(kHeadBytes, clients_.streams().buffers());
    }
    const MessageHead head = ReadHead(inbox.Front().data());
    if (head.type == frontend::kTerminate) {
      return client_.Close("client closed the session", Client::Farewell::kFlush);
    }
    if (head.type != frontend::kPasswordMessage ||
        !head.valid(clients_.config().limits.auth_packet_bytes_max)) {
      return Fail(Fatal(sqlstate::kProtocolViolation,
                        "expected a password response of permitted length, got message type " +
                            std::to_string(static_cast<uint8_t>(head.type))));
    }
    if (inbox.size() < head.total_size()) return;
    if (inbox.Front().size() < head.total_size()) {
      inbox.Join(head.total_size(), clients_.streams().buffers());
    }
    const Slice message = inbox.TakeFront(head.total_size());
    Act(proof_->Feed(message.bytes().subspan(kHeadBytes)));
  }
}

void Login::OnKeys(const ScramKeys& keys) {
  if (stage_ != Stage::kDeriving) return;
  stage_ = Stage::kProving;
  Act(proof_->ProvideKeys(keys));
  if (stage_ == Stage::kProving) OnProofBytes();
}

void Login::Act(const ClientAuthenticator::Step& step) {
  using Kind = ClientAuthenticator::Step::Kind;
  const auto send = [this, &step] {
    std::string text;
    MessageWriter writer(text);
    writer.Begin(backend::kAuthentication);
    writer.Int32(static_cast<int32_t>(step.code));
    writer.RawBytes(step.payload);
    writer.End();
    client_.SendText(text);
  };
  switch (step.kind) {
    case Kind::kSend:
      send();
      return;
    case Kind::kNeedKeys:
      stage_ = Stage::kDeriving;
      clients_.DeriveKeys(client_, proof_->key_request());
      return;
    case Kind::kSucceeded:
      if (step.code == AuthenticationCode::kSaslFinal) send();
      OnProved();
      return;
    case Kind::kFailed: {
      const AuthFailure failure = proof_->failure();
      clients_.log().Warning("login failed", {{"client", client_.id()},
                                              {"user", user_},
                                              {"database", database_},
                                              {"detail", failure.log_detail}});
      Fail(failure.error);
      return;
    }
  }
}

// --- may it enter, and where? ---

void Login::OnProved() {
  if (console_) return EnterConsole();
  if (route_ == nullptr) {
    return Fail(Fatal(sqlstate::kInvalidCatalogName,
                      "no route for database \"" + database_ + "\" and user \"" + user_ + "\""));
  }
  EnterPool();
}

void Login::EnterConsole() {
  const ConsoleConfig& console = clients_.config().console;
  const auto named = [this](const std::vector<std::string>& users) {
    return std::find(users.begin(), users.end(), user_) != users.end();
  };
  const bool admin = named(console.admin_users);
  if (!admin && !named(console.stats_users)) {
    return Fail(Fatal(sqlstate::kInsufficientPrivilege,
                      "user \"" + user_ +
                          "\" may not use the console; console.admin_users and "
                          "console.stats_users name those who may"));
  }
  stage_ = Stage::kDone;
  client_.BeginConsole(admin ? ConsoleRole::kAdmin : ConsoleRole::kStats, user_);
}

void Login::EnterPool() {
  const Target target =
      Resolve(clients_.config(), *route_, *user_config_, {.database = database_, .user = user_});
  PgResult<Account*> account = clients_.FindAccount(target, {.database = database_, .user = user_});
  if (const auto* error = std::get_if<PgError>(&account)) return Fail(*error);
  account_ = std::get<Account*>(account);
  if (const auto error = clients_.Admit(client_, *account_)) {
    account_ = nullptr;
    return Fail(*error);
  }
  // Keys prove one name only: those of another client would not log in, and would take the place
  // of the storage user's own.
  if (proof_->pass_through() && target.storage_user == user_) {
    account_->pool->SetPassThrough(*proof_->pass_through());
  }
  if (const ParameterSet* welcome = account_->pool->welcome()) return SendWelcome(*welcome);
  stage_ = Stage::kWelcome;
  since = clients_.now();
  account_->pool->Checkout(*this, *this, account_->limits.wait.after);
}

// The first server of this pool: it was only needed for what it says at login. Nobody has used it,
// so it goes back as it is, whatever the mode: without a reset, in time for the first query of the
// very client.
void Login::OnServer(Server& server) {
  const ParameterSet welcome = server.baseline();
  account_->pool->Return(server, PoolMode::kTransaction);
  SendWelcome(welcome);
}

void Login::OnRefused(const PgError& error) { Fail(error); }
void Login::OnServerReceive(Slice&&) {}
void Login::OnServerEnd(int) {}

// In the server's spelling, before the client is told or any server is: what is wished and what a
// server reports then compare as equal.
void Login::SpellWish(const ParameterSet& parameters) {
  const std::vector<ParameterSet::Entry> wanted = wish_.entries();
  for (const ParameterSet::Entry& entry : wanted) {
    wish_.Set(entry.name, ReportedValue({entry.name, entry.value}, parameters));
  }
}

void Login::SendWelcome(const ParameterSet& parameters) {
  SpellWish(parameters);
  std::string text;
  MessageWriter writer(text);
  writer.Begin(backend::kAuthentication);
  writer.Int32(static_cast<int32_t>(AuthenticationCode::kOk));
  writer.End();
  for (const ParameterSet::Entry& entry : parameters.entries()) {
    const ReportedParameter* reported = FindReportedParameter(entry.name);
    const bool settable = reported == nullptr || reported->settable;
    const std::string* wanted = settable ? wish_.Find(entry.name) : nullptr;
    writer.ParameterStatus({entry.name, wanted != nullptr ? *wanted : entry.value});
  }
  std::byte secret[kLongCancelSecretBytes];
  const size_t secret_bytes = minor_ >= 2 ? kLongCancelSecretBytes : sizeof(uint32_t);
  if (!clients_.auth().random.Fill({secret, secret_bytes}).ok()) {
    return Fail(Fatal(sqlstate::kInternalError, "could not generate a cancel key"));
  }
  if (minor_ >= 2) {
    client_.cancel_secret_long_ = std::make_unique<std::byte[]>(kLongCancelSecretBytes);
    std::copy(std::begin(secret), std::end(secret), client_.cancel_secret_long_.get());
  } else {
    client_.cancel_secret_ = LoadBig32(secret);
  }
  writer.BackendKeyData(clients_.CancelIdOf(client_), {secret, secret_bytes});
  writer.ReadyForQuery(TransactionStatus::kIdle);
  client_.SendText(text);
  stage_ = Stage::kDone;
  client_.EnterPool(clients_.wishes().Intern(std::move(wish_)));
}

}  // namespace trireme
