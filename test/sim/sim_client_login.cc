// SPDX-License-Identifier: GPL-3.0-or-later
//
// A simulated client's login: encryption refused, the startup packet with its wishes, the password
// exchange, and what the session is told.
#include "test/sim/sim_client_connection.h"
#include "test/sim/sim_session.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme::sim {

void ClientConnection::OnConnect(PeerSocket&) {
  if (!Chance(habits().ssl_request_permille)) return SendStartup();
  state_ = State::kEncryption;
  std::string bytes;
  MessageWriter(bytes).SslRequest();
  socket_->Send(AsBytes(bytes));
}

std::vector<std::pair<std::string, std::string>> ClientConnection::Wishes() {
  struct Choice {
    std::string_view name;
    std::string_view values[2];
  };
  static constexpr Choice kChoices[] = {
      {"application_name", {"app", "it's"}},
      {"TimeZone", {"Europe/Berlin", "Asia/Tokyo"}},
      {"DateStyle", {"ISO", "German"}},
      {"client_encoding", {"UTF8", "LATIN1"}},
      {"search_path", {"public", "a, \"B c\""}},
      {"statement_timeout", {"1min", "2min"}},
      {"work_mem", {"1MB", "2MB"}},
  };
  std::vector<std::pair<std::string, std::string>> wishes;
  for (const Choice& choice : kChoices) {
    if (!Chance(habits().wishes_permille)) continue;
    wishes.emplace_back(choice.name, choice.values[random().Below(2)]);
  }
  return wishes;
}

void ClientConnection::SendStartup() {
  state_ = State::kLogin;
  wishes_ = Wishes();
  std::vector<ParameterView> parameters{{"user", client_.settings_.user},
                                        {"database", client_.settings_.database}};
  for (const auto& [name, value] : wishes_) parameters.push_back({name, value});
  std::string packet;
  MessageWriter(packet).StartupMessage(kProtocol30, parameters);
  if (Chance(habits().stall_login_permille)) {
    ++client_.counts_.stalled_logins;
    client_.Tell("stalls in its startup packet");
    packet.resize(random().Below(packet.size()));
    socket_->Send(AsBytes(packet));
    return BeginLeaving(habits().stall.Draw(random()));
  }
  wrong_password_ = Chance(habits().wrong_password_permille);
  const std::string password = wrong_password_ ? "wrong" : client_.settings_.password;
  proof_ = std::make_unique<ServerAuthenticator>(
      ServerAuthenticator::Setup{.user = client_.settings_.user,
                                 .secret = PlaintextSecret{SecretText(password)},
                                 .pass_through = std::nullopt},
      AuthResources{secrets_, keys_, salts_});
  socket_->Send(AsBytes(packet));
}

void ClientConnection::OnLoginMessage(char type, Bytes body) {
  switch (type) {
    case backend::kAuthentication:
      return OnAuthentication(body);
    case backend::kErrorResponse: {
      const PgError error = ParseErrorBody(body);
      ++client_.counts_.errors[error.sqlstate];
      return LoginFailed(error);
    }
    case backend::kNoticeResponse:
    case backend::kNegotiateProtocolVersion:
      return;
    default:
      break;
  }
  if (!authenticated_) {
    return Violate(Rule::kLogin,
                   std::string("expected authentication, got a message of type '") + type + "'");
  }
  if (type == backend::kParameterStatus) {
    const auto parameter = ParseParameterStatus(body);
    if (!parameter) return Violate(Rule::kProtocol, "got a malformed ParameterStatus");
    told_[std::string(parameter->name)] = parameter->value;
  } else if (type == backend::kBackendKeyData) {
    const auto key = ParseBackendKeyData(body);
    if (!key) return Violate(Rule::kProtocol, "got a malformed BackendKeyData");
    process_id_ = key->process_id;
    key_ = AsText(key->key);
  } else if (type == backend::kReadyForQuery) {
    if (ParseReadyForQuery(body) != TransactionStatus::kIdle) {
      return Violate(Rule::kTransaction, "expected a login that ends idle, got another status");
    }
    OnLoggedIn();
  } else {
    Violate(Rule::kLogin,
            std::string("expected the end of the login, got a message of type '") + type + "'");
  }
}

void ClientConnection::OnAuthentication(Bytes body) {
  if (authenticated_) return Violate(Rule::kLogin, "was authenticated twice");
  ServerAuthenticator::Step step = proof_->FeedBody(body);
  using Kind = ServerAuthenticator::Step::Kind;
  if (step.kind == Kind::kNeedKeys) {
    const ScramKeyRequest& request = proof_->key_request();
    step = proof_->ProvideKeys(DeriveScramKeys(request.password, request.salt, request.iterations));
  }
  if (step.kind == Kind::kSend) {
    asked_password_ = true;
    std::string bytes;
    MessageWriter writer(bytes);
    writer.Begin(frontend::kPasswordMessage);
    writer.RawBytes(step.payload);
    writer.End();
    socket_->Send(AsBytes(bytes));
  } else if (step.kind == Kind::kSucceeded) {
    authenticated_ = true;
    if (wrong_password_ && asked_password_) {
      Violate(Rule::kLogin, "expected its wrong password to be refused, was let in");
    }
  } else if (step.kind == Kind::kFailed) {
    Violate(Rule::kLogin,
            "expected the server to prove itself: " + ToString(proof_->failure().error));
  }
}

void ClientConnection::LoginFailed(const PgError& error) {
  ++client_.counts_.logins_failed;
  const bool expected =
      client_.settings_.allowed_sqlstates.contains(error.sqlstate) || rude_ ||
      error.sqlstate == sqlstate::kQueryCanceled ||  // it took too long
      (wrong_password_ && asked_password_ && error.sqlstate == sqlstate::kInvalidPassword);
  if (!expected) {
    return Violate(Rule::kLogin, "expected to be let in, got " + ToString(error));
  }
  client_.Tell("is not let in: " + ToString(error));
  Leave();
}

void ClientConnection::OnLoggedIn() {
  ++client_.counts_.logins;
  SimSession session(client_.settings_.user);
  bool known = true;
  for (const auto& [name, value] : client_.settings_.route_parameters) {
    known &= session.SetAtStartup(name, value);
  }
  for (const auto& [name, value] : wishes_) known &= session.SetAtStartup(name, value);
  if (!known) return Violate(Rule::kLogin, "expected its parameters to be refused, was let in");
  const ClientSettings& settings = client_.settings_;
  conversation_ = std::make_unique<Conversation>(
      Conversation::Setup{.client = settings.id,
                          .session = std::move(session),
                          .told = std::move(told_),
                          .keeps_server = settings.mode == SimPoolMode::kSession,
                          .allowed_sqlstates = settings.allowed_sqlstates,
                          .counts = client_.counts_,
                          .verdict = client_.verdict_});
  if (conversation_->over()) return Leave();
  client_.Tell("is logged in");
  scripts_left_ = 1 + static_cast<uint32_t>(random().Below(habits().transactions_per_login_max));
  Rest();
}

}  // namespace trireme::sim
