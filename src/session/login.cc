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
#include "session/cancel_key.h"
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

PgError RefusedReplication(const RouteConfig& route) {
  PgError error = Fatal(sqlstate::kInvalidAuthorizationSpecification,
                        "replication connections are refused by the pooler");
  error.detail = absl::StrCat("The route for database \"", route.database, "\" and user \"",
                              route.user, "\" has \"replication\": \"refuse\".");
  error.hint = "Connect to the server directly, or set replication of the route to \"allow\".";
  return error;
}

}  // namespace

Login::Login(Client& client, Clients& clients) : client_(client), clients_(clients) {}

Login::~Login() { TRIREME_ASSERT(!waiting() && server_ == nullptr); }

void Login::Cancel() {
  if (waiting()) pool_->Leave(*this);
  if (server_ != nullptr) LetGoOfServer();
  stage_ = Stage::kDone;
}

void Login::OnTimeout() {
  PgError error = Fatal(sqlstate::kQueryCanceled, "canceling authentication due to timeout");
  error.detail = absl::StrCat("The login was not finished within ",
                              FormatDuration(clients_.config().timeouts.client_login),
                              " (timeouts.client_login).");
  if (stage_ == Stage::kWelcome) {
    error.detail += " It waited for a server connection of its pool.";
    const std::string trouble = pool_->ConnectTrouble();
    if (!trouble.empty()) absl::StrAppend(&error.detail, " The last attempt: ", trouble);
  }
  if (stage_ == Stage::kTrying)
    error.detail += " A server was still trying its startup parameters.";
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
    case Stage::kTrying:
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
    if (OnKnownStartup(packet.bytes())) return;
    const auto parsed = ParseStartup(packet.bytes());
    if (const auto* error = std::get_if<PgError>(&parsed)) return Fail(*error);
    const StartupPacket& startup = std::get<StartupPacket>(parsed);
    if (const auto* cancel = std::get_if<trireme::CancelRequest>(&startup)) {
      stage_ = Stage::kCancelling;
      clients_.RouteCancel(client_, cancel->process_id, cancel->key);
    } else if (const auto* message = std::get_if<StartupMessage>(&startup)) {
      OnStartup(*message, packet.bytes());
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

// False: it is not known.
bool Login::OnKnownStartup(Bytes packet) {
  const KnownStartup* known = clients_.known_startups().Find(AsText(packet));
  if (known == nullptr) return false;
  packet_ = AsText(packet);
  minor_ = known->minor;
  user_ = known->user;
  database_ = known->database;
  route_ = known->route;
  user_config_ = known->user_config;
  BeginProof();
  return true;
}

void Login::OnStartup(const StartupMessage& startup, Bytes packet) {
  const Config& config = clients_.config();
  parsed_ = true;
  minor_ = startup.minor();
  user_ = startup.user;
  database_ = startup.database;
  console_ = IsConsole(config, database_);
  route_ = console_ ? nullptr : Match(config, database_, user_);
  user_config_ = FindUser(config, user_);
  const bool plain = startup.replication == Replication::kNone && !startup.needs_negotiation() &&
                     !config.application_name_add_host;
  if (plain && packet.size() <= KnownStartups::kPacketBytesMax) packet_ = AsText(packet);
  if (startup.needs_negotiation()) {
    std::string text;
    // Never more than was asked for: libpq takes that for a broken server.
    MessageWriter(text).NegotiateProtocolVersion(minor_, startup.protocol_options);
    client_.SendText(text);
  }
  if (startup.replication != Replication::kNone) {
    TakeReplication(startup);
  } else if (!TakeParameters(startup)) {
    return;
  }
  BeginProof();
}

// The server of a replication connection hears what its client has said, word for word: there is no
// SET in physical replication, and the name of a standby counts (synchronous_standby_names).
void Login::TakeReplication(const StartupMessage& startup) {
  const std::vector<std::string>& ignored = clients_.config().ignore_startup_parameters;
  replication_.kind = startup.replication;
  const auto take = [&](ParameterView parameter) {
    if (Contains(ignored, parameter.name)) return;
    replication_.startup_parameters.emplace_back(parameter.name, parameter.value);
  };
  if (!startup.options.empty()) take({"options", startup.options});
  for (const ParameterView& parameter : startup.parameters) take(parameter);
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

// It was taken before.
void Login::TakeParametersOfKnown() {
  const auto packet = ParseStartup(AsBytes(packet_));
  const auto* startup = std::get_if<StartupPacket>(&packet);
  TRIREME_ASSERT(startup != nullptr && std::holds_alternative<StartupMessage>(*startup));
  parsed_ = TakeParameters(std::get<StartupMessage>(*startup));
  TRIREME_ASSERT(parsed_);
}

// --- who is it? ---

void Login::BeginProof() {
  const Config& config = clients_.config();
  stage_ = Stage::kProving;
  AuthMethod method = EffectiveAuth(config, user_config_);
  if (user_config_ == nullptr && method == AuthMethod::kTrust) method = AuthMethod::kReject;
  if (method == AuthMethod::kTrust) return OnProved();
  const StoredSecret secret =
      user_config_ != nullptr ? clients_.SecretOf(*user_config_) : StoredSecret(NoSecret{});
  proof_ = std::make_unique<ClientAuthenticator>(
      ClientAuthenticator::Setup{.method = MethodOf(method),
                                 .user = user_,
                                 .secret = secret,
                                 .scram_iterations = config.scram_iterations},
      clients_.auth());
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
  if (replication_.kind != Replication::kNone) {
    return Fail(Fatal(sqlstate::kFeatureNotSupported,
                      "the console has nothing to replicate; name another database"));
  }
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
  const KnownStartup* known = packet_.empty() ? nullptr : clients_.known_startups().Find(packet_);
  if (known != nullptr) return EnterPoolOf(*known);
  if (!parsed_) TakeParametersOfKnown();  // forgotten before its proof
  const bool replicates = replication_.kind != Replication::kNone;
  if (replicates && route_->replication == ReplicationPolicy::kRefuse) {
    return Fail(RefusedReplication(*route_));
  }
  const ClientNames names{.database = database_, .user = user_};
  const Target target = Resolve(clients_.config(), *route_, *user_config_, names);
  PgResult<Account*> account = clients_.FindAccount(target, {names, replication_.kind});
  if (const auto* error = std::get_if<PgError>(&account)) return Fail(*error);
  account_ = std::get<Account*>(account);
  if (const auto error = clients_.Admit(client_, *account_)) {
    account_ = nullptr;
    return Fail(*error);
  }
  pool_ = replicates ? &clients_.pools().MakeForReplication(target, replication_) : account_->pool;
  PassKeysOn();
  if (replicates) return WaitForServer(client_);
  if (clients_.config().application_name_add_host) AddHost();
  Greet();
}

void Login::EnterPoolOf(const KnownStartup& known) {
  if (const auto error = clients_.Admit(client_, *known.account)) return Fail(*error);
  account_ = known.account;
  pool_ = account_->pool;
  PassKeysOn();
  if (pool_->welcome() == known.reported) {
    std::string& told = clients_.scratch_text();
    told = known.told;
    return SendWelcome(told, known.wish.Share());
  }
  if (!parsed_) TakeParametersOfKnown();
  Greet();
}

bool Login::EnterAtOnce(Client& client, Clients& clients, Bytes packet) {
  const KnownStartup* known = clients.known_startups().Find(AsText(packet));
  if (known == nullptr || known->account->pool->welcome() != known->reported ||
      EffectiveAuth(clients.config(), known->user_config) != AuthMethod::kTrust) {
    return false;
  }
  if (const auto error = clients.Admit(client, *known->account)) {
    client.CloseWith(*error, "login failed");
    return true;
  }
  std::string& told = clients.scratch_text();
  told = known->told;
  Welcome(client, clients, known->minor, told, known->wish.Share());
  return true;
}

// Keys prove one name only: those of another client would not log in, and would take the place of
// the storage user's own.
void Login::PassKeysOn() {
  if (proof_ == nullptr || !proof_->pass_through()) return;
  if (pool_->settings().storage_user == user_) pool_->SetPassThrough(*proof_->pass_through());
}

// Tells the client what it is to be told, when that is known; else a server is asked.
void Login::Greet() {
  const ParameterSet* reported = pool_->welcome();
  if (reported == nullptr) return WaitForServer(*this);
  const ParameterSet asked = wish_;
  SpellWish(*reported);
  if (!untried_.empty()) {
    wish_ = asked;  // the server that tries it may spell the rest in another way
    return WaitForServer(*this);
  }
  WishRef wish = clients_.wishes().Intern(std::move(wish_));
  std::string& told = WriteTold();
  if (!packet_.empty()) {
    clients_.known_startups().Note(packet_, {.minor = minor_,
                                             .database = database_,
                                             .user = user_,
                                             .route = route_,
                                             .user_config = user_config_,
                                             .account = account_,
                                             .reported = reported,
                                             .wish = wish.Share(),
                                             .told = told});
  }
  SendWelcome(told, std::move(wish));
}

void Login::WaitForServer(ServerUser& lent_to) {
  stage_ = Stage::kWelcome;
  since = clients_.now();
  pool_->Checkout(*this, lent_to, account_->limits.wait.after);
}

// PgBouncer's form. Room is kept for the address: the server cuts names at 63 bytes.
void Login::AddHost() {
  constexpr size_t kNameBytesMax = 63;
  const std::string host = " - " + client_.stream_.PeerAddress().Text();
  const std::string* wanted = wish_.Find("application_name");
  std::string name = wanted == nullptr || wanted->empty() ? "app" : *wanted;
  if (name.size() + host.size() > kNameBytesMax && host.size() < kNameBytesMax) {
    name.resize(kNameBytesMax - host.size());
  }
  wish_.Set("application_name", name + host);
}

// It has what the client has asked for, and says so itself: nothing remains to be wished.
void Login::KeepServer(Server& server) {
  told_ = server.baseline();
  const std::string* name = told_.Find("application_name");
  if (name != nullptr) wish_.Set("application_name", *name);  // for the console
  client_.wish_ = clients_.wishes().Intern(wish_);
  client_.request_since_ = since;
  client_.Link(server);
  SendWelcome();
}

// In the server's spelling, before the client is told or any server is: what is wished and what a
// server reports then compare as equal. Leaves the names of what no server has been asked for in
// untried_; `reported`: what servers of this pool say at login.
void Login::SpellWish(const ParameterSet& reported) {
  const std::string& pool = pool_->settings().key;
  const std::vector<ParameterSet::Entry> wanted = wish_.entries();
  told_ = reported;
  untried_.clear();
  for (const ParameterSet::Entry& entry : wanted) {
    const ParameterView wish{entry.name, entry.value};
    if (IsSureToBeTaken(wish, reported)) {
      wish_.Set(entry.name, ReportedValue(wish, reported));
    } else if (const auto* tried = clients_.tried_values().Find(pool, wish, clients_.now())) {
      packet_.clear();  // an answer that may go stale
      wish_.Set(entry.name, tried->value);
      if (!tried->is_superuser.empty()) told_.Set("is_superuser", tried->is_superuser);
    } else {
      untried_.push_back(entry.name);
    }
    if (told_.Find(entry.name) != nullptr) told_.Set(entry.name, *wish_.Find(entry.name));
  }
}

// --- it is in ---

// All of it, but for the cancel key.
std::string& Login::WriteTold() const {
  constexpr std::byte kNoKey[kLongCancelSecretBytes] = {};
  std::string& text = clients_.scratch_text();
  MessageWriter writer(text);
  writer.AuthenticationOk();
  for (const ParameterSet::Entry& entry : told_.entries()) {
    writer.ParameterStatus({entry.name, entry.value});
  }
  writer.BackendKeyData(0, {kNoKey, CancelSecretBytes(minor_)});
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return text;
}

void Login::SendWelcome() {
  WishRef wish = clients_.wishes().Intern(std::move(wish_));
  SendWelcome(WriteTold(), std::move(wish));
}

void Login::SendWelcome(std::string& told, WishRef wish) {
  stage_ = Stage::kDone;
  Welcome(client_, clients_, minor_, told, std::move(wish));
}

// `told` is what WriteTold() has written.
void Login::Welcome(Client& client, Clients& clients, uint16_t minor, std::string& told,
                    WishRef wish) {
  constexpr size_t kReadyForQueryBytes = kMessageHeaderBytes + 1;
  const size_t secret_bytes = CancelSecretBytes(minor);
  char* const at = told.data() + told.size() - kReadyForQueryBytes - secret_bytes;
  auto* const secret = reinterpret_cast<std::byte*>(at);
  if (!clients.auth().random.Fill({secret, secret_bytes}).ok()) {
    return client.CloseWith(Fatal(sqlstate::kInternalError, "could not generate a cancel key"),
                            "login failed");
  }
  StoreBig32(secret - sizeof(uint32_t), clients.CancelIdOf(client));
  if (minor >= 2) {
    auto& kept = client.rare().cancel_secret_long;
    kept = std::make_unique<std::byte[]>(kLongCancelSecretBytes);
    std::copy(secret, secret + secret_bytes, kept.get());
  } else {
    client.cancel_secret_ = LoadBig32(secret);
  }
  client.SendText(told);
  client.EnterPool(std::move(wish));
}

}  // namespace trireme
