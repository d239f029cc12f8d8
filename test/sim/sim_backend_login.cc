// SPDX-License-Identifier: GPL-3.0-or-later
//
// From the first packet to the first ReadyForQuery, as a PostgreSQL server does it.
#include <algorithm>

#include "test/sim/sim_backend.h"
#include "test/sim/sim_postgres.h"
#include "wire/options.h"
#include "wire/parameters.h"
#include "wire/startup.h"

namespace trireme::sim {
namespace {

constexpr size_t kStartupBytesMax = 10000;  // MAX_STARTUP_PACKET_LENGTH
constexpr uint32_t kIterations = 4;

}  // namespace

void SimBackend::OnStartupBytes() {
  const auto size = StartupSize(inbox_.rest(), kStartupBytesMax);
  if (const auto* error = std::get_if<PgError>(&size)) {
    ++cluster_.counts_.protocol_errors;
    return Fatal(error->sqlstate, error->message);
  }
  const size_t bytes = std::get<size_t>(size);
  if (bytes == 0 || inbox_.size() < bytes) return;
  const std::string packet(AsText(inbox_.rest().first(bytes)));
  inbox_.Drop(bytes);
  OnStartup(AsBytes(packet));
}

void SimBackend::OnStartup(Bytes packet) {
  const auto parsed = ParseStartup(packet);
  if (const auto* error = std::get_if<PgError>(&parsed)) {
    ++cluster_.counts_.protocol_errors;
    return Fatal(error->sqlstate, error->message);
  }
  const StartupPacket& startup = std::get<StartupPacket>(parsed);
  if (const auto* cancel = std::get_if<CancelRequest>(&startup)) {
    // As the real one: first the signal, then the end of the connection, also when the world heals
    // meanwhile.
    open_ = false;
    const uint32_t secret = cancel->key.size() == 4 ? LoadBig32(cancel->key.data()) : 0;
    network().At(network().now() + habits().cancel_time.Draw(random()),
                 [&cluster = cluster_, id = id_, process_id = cancel->process_id, secret] {
                   cluster.OnCancelRequest(process_id, secret);
                   if (SimBackend* backend = cluster.Find(id)) backend->End();
                 });
    return;
  }
  const auto* message = std::get_if<StartupMessage>(&startup);
  if (message == nullptr) {
    socket_->Send(AsBytes(std::string_view(&kEncryptionRefused, 1)));
    return;
  }
  startup_seen_ = connected_ = true;
  cluster_.CountConnections();
  user_ = message->user;
  database_ = message->database;
  if (message->needs_negotiation()) {
    MessageWriter(out_).NegotiateProtocolVersion(kProtocolMinorNewest, message->protocol_options);
  }
  const auto options = ParseStartupOptions(message->options);
  if (const auto* error = std::get_if<PgError>(&options)) {
    return Fatal(error->sqlstate, error->message);
  }
  for (const StartupOption& option : std::get<std::vector<StartupOption>>(options)) {
    wishes_.emplace_back(option.name, option.value);
  }
  for (const ParameterView& wish : message->parameters) wishes_.emplace_back(wish.name, wish.value);

  if (Happens(random(), habits().die_in_login_permille)) {
    ++cluster_.counts_.deaths_in_login;
    return Die();
  }
  if (network().now() < cluster_.refusing_until_) {
    ++cluster_.counts_.refused_start;
    return Fatal(sqlstate::kCannotConnectNow, "the database system is starting up");
  }
  uint32_t others = 0;
  for (const auto& [id, backend] : cluster_.backends_) {
    others += backend.get() != this && backend->startup_seen_ ? 1 : 0;
  }
  if (others >= cluster_.settings_.connections_max) {
    ++cluster_.counts_.refused_full;
    return Fatal(sqlstate::kTooManyConnections, "sorry, too many clients already");
  }
  Result<StoredSecret> secret = ParseStoredSecret(cluster_.settings_.secret);
  proof_ = std::make_unique<ClientAuthenticator>(
      ClientAuthenticator::Setup{.method = habits().auth,
                                 .user = user_,
                                 .secret = secret.ok() ? *std::move(secret) : NoSecret{},
                                 .scram_iterations = kIterations},
      AuthResources{cluster_.secrets_, cluster_.keys_, cluster_.salts_});
  state_ = State::kProof;
  Act(proof_->Begin());
}

void SimBackend::Act(const ClientAuthenticator::Step& step) {
  using Kind = ClientAuthenticator::Step::Kind;
  const auto send = [this, &step] {
    MessageWriter writer(out_);
    writer.Begin(backend::kAuthentication);
    writer.Int32(static_cast<int32_t>(step.code));
    writer.RawBytes(step.payload);
    writer.End();
  };
  switch (step.kind) {
    case Kind::kSend:
      send();
      return Flush();
    case Kind::kNeedKeys: {
      const ScramKeyRequest& request = proof_->key_request();
      const ScramKeys keys = DeriveScramKeys(request.password, request.salt, request.iterations);
      cluster_.keys_.Insert(request.id, keys);
      return Act(proof_->ProvideKeys(keys));
    }
    case Kind::kSucceeded:
      if (step.code == AuthenticationCode::kSaslFinal) send();
      return Welcome();
    case Kind::kFailed:
      ++cluster_.counts_.logins_failed;
      return Fatal(proof_->failure().error.sqlstate, proof_->failure().error.message);
  }
}

void SimBackend::OnProof(Bytes body) {
  if (Happens(random(), habits().die_in_login_permille)) {
    ++cluster_.counts_.deaths_in_login;
    return Die();
  }
  Act(proof_->Feed(body));
}

void SimBackend::Welcome() {
  proof_.reset();
  MessageWriter writer(out_);
  writer.AuthenticationOk();
  auto session = std::make_unique<SimSession>(user_);
  for (const auto& [name, value] : wishes_) {
    if (session->SetAtStartup(name, value)) continue;
    ++cluster_.counts_.logins_failed;
    return Fatal(sqlstate::kInvalidParameterValue,
                 "invalid value for parameter \"" + name + "\": \"" + value + "\"");
  }
  session_ = std::move(session);
  ++cluster_.counts_.logins;
  ReportParameters();
  std::byte key[4];
  StoreBig32(key, secret_);
  writer.BackendKeyData(process_id_, key);
  writer.ReadyForQuery(TransactionStatus::kIdle);
  state_ = State::kReady;
  cluster_.observer_->OnLogin(*this);
  Flush();
}

// Those that changed since they were reported last.
void SimBackend::ReportParameters() {
  for (const ParameterSet::Entry& entry : session_->parameters().entries()) {
    if (FindReportedParameter(entry.name) == nullptr) continue;
    if (entry.name == "in_hot_standby" && reported_.Find(entry.name) != nullptr) continue;
    if (reported_.Set(entry.name, entry.value)) {
      MessageWriter(out_).ParameterStatus({entry.name, entry.value});
    }
  }
}

}  // namespace trireme::sim
